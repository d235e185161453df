//! Requests that end badly: by a panic of ours, or by a client that is gone before its answer.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Response;
use jeton::app::{App, Opened};
use jeton::clock::Clock;
use jeton::config::{Config, RawConfig};
use jeton::http::{Bound, ConnectionLimits, Front, Server as Workers, Worker};
use jeton::keys::MasterKey;
use jeton::limiter::FailureLimiter;
use jeton::metrics::Connections;
use jeton::oauth::IssuerUrl;
use jeton::store::OpenMode;

use super::{is_token, served};
use crate::support::h2::{CANCEL, DATA, END_STREAM, End, H2, RST_STREAM, token_fields};
use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, Wire, claims, count, get, wait_for};

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 100,
    head: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    write: Duration::from_secs(10),
};

fn expect_server_error(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (500, "server_error"), "{what}");
    answer.check_refusal(what);
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
    assert!(!answer.text().contains("secret of the panic"), "{what}");
}

#[test]
fn t225_p12_a_panic_in_one_request_is_a_500_and_nothing_else() {
    let bound = Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
    let address = bound.address().to_string();
    let open = Arc::<Connections>::default();
    let server = Workers::start(bound, LIMITS, Arc::clone(&open), |_| {
        Front::plain(|request: http::Request<hyper::body::Incoming>, _| {
            let path = request.uri().path().to_owned();
            assert_ne!(path, "/at-once", "the secret of the panic");
            Box::pin(async move {
                assert_ne!(path, "/before", "the secret of the panic");
                tokio::task::yield_now().await;
                assert_ne!(path, "/after", "the secret of the panic");
                drop(request);
                Response::new(http_body_util::Full::from("ok"))
            })
        })
    })
    .unwrap();
    let mut other = Wire::connect(&address);
    let mut others = H2::connect(&address);
    for path in ["/at-once", "/before", "/after"] {
        for _ in 0..10 {
            expect_server_error(&get(&address, path), path);
        }
        other.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(other.answer().status, 200, "a connection of someone else, after {path}");
        let fields = |path| [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", path)];
        let stream = others.post(&fields(path), "");
        assert!(matches!(others.end_of(stream), End::Answer(500, body) if body.contains("server_error")), "{path}");
        let stream = others.post(&fields("/"), "");
        assert_eq!(others.end_of(stream), End::Answer(200, "ok".to_owned()), "another stream, after {path}");
    }
    assert!(!server.has_lost_a_worker());
    drop((other, others));
    wait_for("no connection is left over", || (open.open() == 0).then_some(()));
}

/// The service as it is built at start, on a store in memory.
fn app(toml: &str) -> Arc<App> {
    let mut raw = RawConfig::default();
    raw.read_toml(toml, "test").unwrap();
    let config = Config::from_raw(&raw).unwrap();
    let issuer = IssuerUrl::parse("http://127.0.0.1:1").unwrap();
    let store = config.store.url.open(OpenMode::CreateIfMissing).unwrap();
    let master = MasterKey::from_random([1; 32]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let records = runtime.block_on(jeton::admin::unlock(&*store, &master, Clock::System.now())).unwrap();
    App::new(config, issuer, Opened { store, master, records }, Clock::System).unwrap().0
}

#[test]
fn t225_a_panic_gives_its_permit_back_and_leaves_the_limiter_usable() {
    let app = app("[store]\nurl = \"memory:\"\n[serve]\nworkers = 1\nmax_in_flight = 2\n");
    let limits = &app.config.limits;
    let limiter = Arc::new(FailureLimiter::new(limits.per_client, limits.per_source));
    let pacing = jeton::http::pacing::Pacing::start().unwrap();
    let bound = Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
    let address = bound.address().to_string();
    let _server = Workers::start(bound, LIMITS, Arc::default(), move |_| {
        let worker = Rc::new(Worker::new(Arc::clone(&app), Arc::clone(&limiter), pacing.clone(), 0));
        Front::plain(move |request: http::Request<hyper::body::Incoming>, peer: jeton::http::Peer| {
            let worker = Rc::clone(&worker);
            Box::pin(async move {
                if request.uri().path() == "/panic" {
                    let _permit = worker.admit(Instant::now());
                    let keys = worker.app().keys.load();
                    worker.limiter().note_failure(peer.address.ip(), "someone", Instant::now());
                    tokio::task::yield_now().await;
                    assert!(keys.document().is_empty(), "the panic that this test is about");
                }
                jeton::http::routes::answer(&worker, request, peer).await
            })
        })
    })
    .unwrap();
    for _ in 0..20 {
        expect_server_error(&get(&address, "/panic"), "panic");
    }
    let mut wire = Wire::connect(&address);
    let refused = wait_for("a permit is left", || {
        wire.post("/oauth2/token", &[("Authorization", &crate::support::basic("nobody", "x"))], GRANT);
        Some(wire.answer()).filter(|answer| answer.status != 503)
    });
    assert_eq!(refused.status, 401);
}

/// Ways to be gone before the answer.
fn leave(server: &Server, client: &Client, scope: &str, way: usize) {
    let form = format!("{GRANT}&scope={scope}");
    let basic = client.basic();
    let mut wire = server.wire();
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: {basic}\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n",
        form.len()
    );
    match way % 6 {
        0 => wire.send(&head.as_bytes()[..40]),
        1 => wire.send(head.as_bytes()),
        2 => wire.send((head + &form[..20]).as_bytes()),
        3 => wire.send((head + &form).as_bytes()),
        4 => {
            wire.send((head + &form).repeat(3).as_bytes());
            drop(wire.try_answer(true));
        }
        _ => {
            let mut h2 = H2::connect(&server.address);
            for _ in 0..3 {
                let stream = h2.open();
                h2.headers(0, stream, &token_fields(&basic));
                h2.send(DATA, 0, stream, &form.as_bytes()[..10]);
                h2.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            }
        }
    }
}

/// Whoever stays gets the answer to its own request: the right client, the right scope.
fn stay(wire: &mut Wire, client: &Client, scope: &str) {
    let form = format!("{GRANT}&scope={scope}");
    served("who stays", || {
        wire.post("/oauth2/token", &[("Authorization", &client.basic())], &form);
        let answer = wire.answer();
        if answer.status == 200 {
            let said = claims(&answer.access_token());
            assert_eq!((said["client_id"].as_str(), said["scope"].as_str()), (Some(&*client.id), Some(scope)));
        }
        answer
    });
}

#[test]
fn t228_clients_that_hang_up_leave_nothing_behind_and_mix_nothing_up() {
    const THREADS: usize = 6;
    let home = Home::new();
    let scopes: Vec<String> = (0..THREADS).map(|n| format!("own{n}")).collect();
    let clients: Vec<Client> =
        scopes.iter().map(|scope| home.add_client(&["--scope", &format!("{scope} all")])).collect();
    let server = home.serve(&format!("{}max_in_flight = 64\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let connections = || server.metric("jeton_connections");
    let rounds = count("JETON_TEST_HANG_UPS", 60);
    let storm = || {
        std::thread::scope(|scope| {
            for (client, own) in clients.iter().zip(&scopes) {
                let server = &server;
                scope.spawn(move || {
                    let mut wire = server.wire();
                    for round in 0..rounds {
                        leave(server, client, own, round);
                        stay(&mut wire, client, if round % 2 == 0 { own } else { "all" });
                    }
                });
            }
        });
        wait_for("no connection is left over", || (connections() < 0.5).then_some(()));
    };
    storm();
    let memory = server.memory();
    storm();
    assert!(server.memory() < memory + 4096, "grew from {memory} to {} KiB", server.memory());
    // Every permit is back: as many requests as there are permits can be begun at once.
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nAuthorization: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n",
        GRANT.len(),
        clients[0].basic()
    );
    let begin = || {
        let mut wire = server.wire();
        wire.send(head.as_bytes());
        (wire.head_answer().status == 100).then_some(wire)
    };
    let mut waiting: Vec<Wire> = (0..64).map(|_| wait_for("a request is begun", begin)).collect();
    for wire in &mut waiting {
        wire.send(GRANT.as_bytes());
        assert_eq!(wire.answer().status, 200);
    }
    assert!(!server.log_text().contains("panicked"));
}

#[test]
fn t228_streams_that_are_reset_hold_nothing() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{}max_in_flight = 8\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let basic = client.basic();
    // Fewer resets per connection than look like an attack.
    for _ in 0..10 {
        let mut h2 = H2::connect(&server.address);
        let streams: Vec<u32> = (0..8).map(|_| h2.open()).collect();
        for stream in &streams {
            h2.headers(0, *stream, &token_fields(&basic));
        }
        for stream in &streams {
            h2.send(RST_STREAM, 0, *stream, &CANCEL.to_be_bytes());
        }
        let kept: Vec<u32> = (0..8).map(|_| h2.open()).collect();
        for stream in &kept {
            h2.headers(0, *stream, &token_fields(&basic));
        }
        for stream in kept {
            h2.send(DATA, END_STREAM, stream, GRANT.as_bytes());
            let end = h2.end_of(stream);
            assert!(is_token(&end), "{end:?}");
        }
    }
}
