//! Slow signatures wait in a line that has an end.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use jeton::admin::{Admin, ClientChange, unlock};
use jeton::app::{App, Opened};
use jeton::authenticator::{Denial, Occasion};
use jeton::buffers::Buffers;
use jeton::clock::{Clock, UnixTime};
use jeton::config::{Config, RawConfig};
use jeton::jwt::{Instants, SignQueue};
use jeton::keys::MasterKey;
use jeton::metrics::Laps;
use jeton::oauth::{Algorithm, ErrorCode, IssuerUrl, Scope, TokenRequest};
use jeton::store::Store;
use jeton::store::memory::MemoryStore;

use super::verifies;

const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

/// A service with a client whose signatures are made slower than they can be asked for, and its form.
async fn service() -> (Arc<App>, String) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let master = || MasterKey::from_random([7; 32]);
    unlock(&*store, &master(), NOW).await.unwrap();
    let mut raw = RawConfig::default();
    raw.read_toml("[serve]\nworkers = 1\n", "test").unwrap();
    let config = Config::from_raw(&raw).unwrap();
    let admin = Admin::new(Arc::clone(&store), master(), NOW);
    let large = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
    admin.import_key(Algorithm::Rs256, large.as_der().unwrap().as_ref(), config.lead().at_once()).await.unwrap();
    let ring = Some(admin.begin_ring(Algorithm::Rs256, config.lead()).await.unwrap());
    let (name, scope) = (Some("test".to_owned()), Some(Scope::parse("read").unwrap()));
    let (client, new) = admin.add_client(ClientChange { name, scope, ring, ..ClientChange::default() }).await.unwrap();
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", client.id, new.secret.expose());
    let records = unlock(&*store, &master(), NOW).await.unwrap();
    let issuer = IssuerUrl::parse("https://issuer.example").unwrap();
    let (app, _) = App::new(config, issuer, Opened { store, master: master(), records }, Clock::manual(NOW)).unwrap();
    (app, form)
}

#[tokio::test]
async fn t228_beyond_the_end_of_the_line_the_answer_is_503_and_whoever_stands_in_it_is_served() {
    let (app, form) = service().await;
    let set = serde_json::from_slice(app.keys.load().document()).unwrap();
    let request = TokenRequest::parse(form.as_bytes(), None).unwrap();
    let trail = app.audit.trail(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (shard, queue, buffers, laps) =
        (app.metrics.shard(0), &SignQueue::default(), &Buffers::default(), &Laps::default());
    let client_key = std::cell::OnceCell::new();
    let instants = &Instants::default();
    let occasion = Occasion { now: NOW, throttled: None, shard, queue, instants, buffers, laps, trail, client_key };
    let issue = || Box::pin(app.tokens.issue(&request, |bytes| bytes.fill(1), &occasion));
    // The first asks the store for the client, the others find it in memory.
    issue().await.unwrap();
    let mut waiting = Vec::new();
    let most = 64 * std::thread::available_parallelism().unwrap().get() * 50;
    // Whoever has been served may still hold its place for a moment, the first one too.
    let (mut asked_for, mut served) = (0, 1);
    let refused = loop {
        asked_for += 1;
        assert!(asked_for < most, "the line has no end");
        let mut asked = issue();
        match pin!(&mut asked).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => waiting.push(asked),
            Poll::Ready(Err(refused)) => break refused,
            // This thread was paused for so long that it was made meanwhile.
            Poll::Ready(Ok(_)) => served += 1,
        }
    };
    assert!(matches!(&refused, Denial::Refused(error) if error.code() == ErrorCode::TemporarilyUnavailable));
    assert!(waiting.len() + served >= 64, "{} wait", waiting.len());
    for asked in waiting {
        let answer: serde_json::Value = serde_json::from_slice(asked.await.unwrap().body()).unwrap();
        assert!(verifies(answer["access_token"].as_str().unwrap(), &set));
    }
    issue().await.unwrap();
}
