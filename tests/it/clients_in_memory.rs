//! Which clients stay in memory: those that are served, not those that others ask for in vain.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jeton::admin::{Admin, ClientChange, unlock};
use jeton::app::{App, Opened};
use jeton::authenticator::Occasion;
use jeton::buffers::Buffers;
use jeton::clock::{Clock, UnixTime};
use jeton::config::{Config, RawConfig};
use jeton::jwt::{Instants, SignQueue};
use jeton::keys::MasterKey;
use jeton::metrics::Laps;
use jeton::oauth::{ClientId, IssuerUrl, Scope, TokenRequest};
use jeton::store::Store;
use jeton::store::memory::MemoryStore;

const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

/// A service that keeps two clients in memory, and three clients with their secrets.
async fn service() -> (Arc<App>, Vec<(ClientId, String)>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let master = || MasterKey::from_random([7; 32]);
    let records = unlock(&*store, &master(), NOW).await.unwrap();
    let admin = Admin::new(Arc::clone(&store), master(), NOW);
    let mut clients = Vec::new();
    for number in 0..3 {
        let (name, scope) = (Some(format!("client {number}")), Some(Scope::parse("read").unwrap()));
        let added = admin.add_client(ClientChange { name, scope, ..ClientChange::default() }).await.unwrap();
        clients.push((added.0.id, added.1.secret.expose().to_owned()));
    }
    let mut raw = RawConfig::default();
    raw.read_toml("[serve]\nworkers = 1\n[store]\ncache_clients = 2\n", "test").unwrap();
    let issuer = IssuerUrl::parse("https://issuer.example").unwrap();
    let opened = Opened { store, master: master(), records };
    let (app, _) = App::new(Config::from_raw(&raw).unwrap(), issuer, opened, Clock::manual(NOW)).unwrap();
    (app, clients)
}

/// Asks for a token; whether there was one.
async fn ask(app: &App, id: &ClientId, secret: &str) -> bool {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = TokenRequest::parse(form.as_bytes(), None).unwrap();
    let trail = app.audit.trail(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (shard, queue, buffers, laps) =
        (app.metrics.shard(0), &SignQueue::default(), &Buffers::default(), &Laps::default());
    let (instants, client_key) = (&Instants::default(), std::cell::OnceCell::new());
    let occasion = Occasion { now: NOW, throttled: None, shard, queue, instants, buffers, laps, trail, client_key };
    app.tokens.issue(&request, |bytes| bytes.fill(1), &occasion).await.is_ok()
}

#[tokio::test]
async fn a_client_that_was_served_from_memory_stays_and_one_that_was_guessed_at_does_not() {
    for (is_served, stays) in [(true, 0), (false, 1)] {
        let (app, clients) = service().await;
        let [(first, secret), (second, _), (third, _)] = clients.as_slice() else { panic!("three clients") };
        assert!(ask(&app, first, secret).await, "from the store");
        let again = if is_served { secret } else { "guessed" };
        assert_eq!(ask(&app, first, again).await, is_served);
        for (id, secret) in &clients[1..] {
            assert!(ask(&app, id, secret).await);
        }
        let known = app.authenticator.clients().all_known();
        let known: Vec<&ClientId> = known.iter().map(|known| &known.client().id).collect();
        let expected = [first, second][stays];
        assert!(known.len() == 2 && known.contains(&expected) && known.contains(&third), "{known:?}");
    }
}
