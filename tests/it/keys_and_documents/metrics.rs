//! What Prometheus sees: only on the operator's listener, well-formed, and of a closed set of series.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::h2::{CANCEL, DATA, H2, RST_STREAM, token_fields};
use crate::support::{GENEROUS, GRANT, Home, Server, basic, count, need, wait_for};

/// The one series that a busy machine may add.
const BUSY: &str = r#"{endpoint="token",status="503"}"#;

/// The samples of an exposition by their series; panics on what Prometheus would not read.
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut helped, mut typed, mut samples) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name) && typed.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')), "{line}");
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(typed.contains_key(name) || typed.get(base).is_some_and(|kind| kind == "histogram"), "{line}");
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
    }
    samples
}

#[test]
fn x01_metrics_are_on_the_operators_listener_only_and_well_formed() {
    let (server, client) = Server::usual();
    server.ask_patiently(&client, GRANT).access_token();
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(server.get(path).status, 404, "{path} on the public listener");
    }
    let answer = server.ops("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let samples = samples(&answer.text());
    assert_eq!(samples.get(r#"jeton_token_requests_total{outcome="issued"}"#), Some(&1.0));
    for (series, total) in samples.iter().filter(|(series, _)| series.contains("le=\"+Inf\"")) {
        let labels = series.split_once("_bucket").unwrap();
        let rest = labels.1.replace(",le=\"+Inf\"", "").replace("{le=\"+Inf\"}", "");
        assert_eq!(samples.get(&format!("{}_count{rest}", labels.0)), Some(total), "{series}");
    }
    assert_eq!(server.ops("/oauth2/token").status, 404);
}

#[test]
fn the_stages_of_a_sample_of_tokens_are_timed_and_those_of_refusals_are_not() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&GENEROUS.replace("workers = 2", "workers = 1"));
    for _ in 0..40 {
        server.ask_patiently(&client, GRANT);
    }
    let stages = ["parse", "load", "authenticate", "authorize", "sign", "reply"];
    let figure =
        |stage: &str, what: &str| server.metric(&format!("jeton_stage_duration_seconds_{what}{{stage=\"{stage}\"}}"));
    let counts = || stages.map(|stage| figure(stage, "count").to_string());
    let before = counts();
    assert!(before[0] != "0" && before.iter().all(|count| *count == before[0]), "{before:?}");
    let total = server.metric("jeton_token_request_duration_seconds_sum");
    for stage in stages {
        assert!(figure(stage, "sum") > 0.0 && figure(stage, "sum") < total, "{stage}");
    }
    for _ in 0..40 {
        server.token(&[("Authorization", &basic(&client.id, "wrong"))], GRANT);
    }
    assert_eq!(counts(), before);
}

#[test]
fn x02_x05_hostile_requests_make_no_new_series_and_leave_no_text() {
    let (server, client) = Server::usual();
    let hostile = |server: &Server, mark: &str| {
        let form = format!("{GRANT}&client_id={mark}&scope={mark}");
        server.token(&[("Authorization", &basic(mark, mark))], &form);
        server.token(&[("User-Agent", mark)], &format!("grant_type={mark}"));
        server.token(&[("Authorization", &client.basic())], &format!("{GRANT}&scope={mark}"));
        let mut wire = server.wire();
        wire.send(format!("{mark} /{mark}?{mark} HTTP/1.1\r\nHost: x\r\n{mark}: {mark}\r\n\r\n").as_bytes());
        wire.answer();
    };
    let token = server.ask_patiently(&client, GRANT).access_token();
    hostile(&server, "marker0");
    // What the server does by itself has series of its own, which are there once it was done.
    for operation in ["put_secret_uses", "purge_tokens"] {
        let labels = format!("{{backend=\"sqlite\",operation=\"{operation}\"}}");
        let count = || server.metric(&format!("jeton_store_operation_duration_seconds_count{labels}"));
        wait_for(operation, || (count() > 0.0).then_some(()));
    }
    let names = |server: &Server| samples(&server.ops("/metrics").text()).into_keys().collect::<BTreeSet<_>>();
    let before = names(&server);
    let rounds: u32 = count("JETON_TEST_HOSTILE", 100).try_into().unwrap();
    for round in 1..=rounds {
        hostile(&server, &format!("marker{round}"));
    }
    let after = names(&server);
    let new: Vec<&String> = after.difference(&before).filter(|series| !series.contains(BUSY)).collect();
    assert!(new.is_empty() && after.is_superset(&before), "{new:?}");
    let text = server.ops("/metrics").text();
    for secret in ["marker", &client.id, &client.secret, token.rsplit('.').next().unwrap()] {
        assert!(!text.lines().filter(|line| !line.starts_with('#')).any(|line| line.contains(secret)), "{secret}");
    }
    // Some may have been refused for the load of this machine.
    assert!(server.metric(r#"jeton_token_requests_total{outcome="invalid_client"}"#) > f64::from(rounds) / 2.0);
}

#[test]
fn x01_promtool_has_nothing_to_say_of_the_metrics() {
    need("promtool");
    let (server, client) = Server::usual();
    server.ask_patiently(&client, GRANT);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(server.ops("/metrics").text().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// The quickest of many scrapes: what more the others took was the machine's other work.
#[test]
fn x03_a_scrape_is_quick_while_every_worker_is_overloaded() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{}max_in_flight = 8\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let over = AtomicBool::new(false);
    let (mut quickest, mut shed) = (Duration::MAX, 0.0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let (mut wire, authorization) = (server.wire(), basic("nobody", "x"));
                while !over.load(Ordering::Relaxed) {
                    wire.post("/oauth2/token", &[("Authorization", &authorization)], GRANT);
                    assert!(matches!(wire.answer().status, 401 | 503));
                }
            });
        }
        for _ in 0..20 {
            server.ask(&client, GRANT);
            let asked = Instant::now();
            assert_eq!(server.ops("/metrics").status, 200);
            quickest = quickest.min(asked.elapsed());
        }
        shed = server.metric(r#"jeton_requests_shed_total{reason="in_flight"}"#);
        over.store(true, Ordering::Relaxed);
    });
    assert!(shed > 0.0, "that was no overload");
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
}

#[test]
fn x04_every_request_is_counted_once_whatever_becomes_of_it() {
    let (server, client) = Server::usual();
    let (right, wrong) = (client.basic(), basic(&client.id, "wrong"));
    let mut sent = 0_u32;
    let mut post = |path: &str, authorization: &str, form: &str| {
        let mut wire = server.wire();
        wire.post(path, &[("Authorization", authorization)], form);
        wire.answer();
        sent += 1;
    };
    for _ in 0..5 {
        for (authorization, form) in [(&right, GRANT), (&wrong, GRANT), (&right, "grant_type=x"), (&right, "%zz")] {
            post("/oauth2/token", authorization, form);
        }
        post("/oauth2/introspect", &right, "token=x");
        post("/oauth2/revoke", &right, "token=x");
        post("/oauth2/revoke", &wrong, "token=x");
        post("/nowhere", &right, GRANT);
    }
    for path in ["/oauth2/token", "/.well-known/jwks.json", "/.well-known/openid-configuration", "/"] {
        server.get(path);
    }
    let mut http2 = H2::connect(&server.address);
    let stream = http2.open();
    http2.headers(0, stream, &token_fields(&right));
    http2.send(DATA, 0, stream, &GRANT.as_bytes()[..10]);
    wait_for("the body is awaited", || (server.metric("jeton_bodies_awaited") > 0.0).then_some(()));
    http2.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    let expected = f64::from(sent + 4 + 1);
    let sum = |samples: &BTreeMap<String, f64>, start: &str| -> f64 {
        samples.iter().filter(|(series, _)| series.starts_with(start)).map(|(_, value)| value).sum()
    };
    let found = wait_for("every request is counted", || {
        let found = samples(&server.ops("/metrics").text());
        (sum(&found, "jeton_http_requests_total{") >= expected).then_some(found)
    });
    assert!((sum(&found, "jeton_http_requests_total{") - expected).abs() < 0.5, "{found:?}");
    // The one with the wrong method is no token request, and the one that was given up may have no outcome.
    let unanswered = sum(&found, r#"jeton_http_requests_total{endpoint="token",status="none"}"#);
    let of_endpoint = sum(&found, r#"jeton_http_requests_total{endpoint="token""#) - 1.0 - unanswered;
    let outcomes = sum(&found, "jeton_token_requests_total{");
    assert!((outcomes - of_endpoint).abs() < 0.5, "{outcomes} outcomes of {of_endpoint} token requests");
    assert!((outcomes - found["jeton_token_request_duration_seconds_count"]).abs() < 0.5);
    let came_in = sum(&found, "jeton_client_authentications_total{");
    assert!(came_in >= 10.0 && sum(&found, "jeton_authentication_failures_total{") >= 10.0, "{found:?}");
    assert!((sum(&found, "jeton_introspections_total{") - 5.0).abs() < 0.5);
}
