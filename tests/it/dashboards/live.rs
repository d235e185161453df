//! Every query of every dashboard, against a real Prometheus that scrapes a server under load: none errs, none is empty.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::boards;
use super::prometheus::Prometheus;
use crate::support::{Client, GRANT, Home, Server, basic, wait_for};

/// Wrong secrets run into the limit; keys of other algorithms sign at once; the audit log is on.
const CONFIG: &str = "[serve]\nworkers = 2\n[limits]\nclient_failures = 5\nclient_failures_per_second = 1\n\
    [keys]\njwks_max_age = \"0s\"\nclock_skew = \"0s\"\n[store]\noutage_grace = \"0s\"\n[token]\nlifetime = \"1m\"\n\
    max_lifetime = \"1m\"\n";
/// What Grafana puts in place of its variables. Longer than the test, so that what happened once is not forgotten while
/// a busy machine misses scrapes.
const INTERPOLATED: [(&str, &str); 4] =
    [("$__rate_interval", "2m"), ("$__range", "2m"), ("$job", "jeton"), ("$instance", ".+")];
/// How long the load lasts at the least: a rate needs two scrapes.
const LOAD: Duration = Duration::from_secs(8);
/// And at the most.
const PATIENCE: Duration = Duration::from_mins(1);

struct Clients {
    usual: Client,
    es256: Client,
    rs256: Client,
    server: Client,
}

/// One of everything that leaves a trace in a figure.
fn use_it(server: &Server, clients: &Clients) {
    let Clients { usual, es256, rs256, server: resource } = clients;
    let form = format!("{GRANT}&client_id={}&client_secret={}", usual.id, usual.secret);
    let mut wire = server.wire();
    for _ in 0..20 {
        wire.post("/oauth2/token", &[("Authorization", &usual.basic())], GRANT);
        wire.answer();
    }
    server.token(&[], &form);
    for client in [es256, rs256] {
        server.ask(client, GRANT);
    }
    for (authorization, form) in [
        (basic(&usual.id, "wrong"), GRANT),
        (basic("nobody", "wrong"), GRANT),
        (usual.basic(), "grant_type=password"),
        (usual.basic(), "grant_type=client_credentials&scope=much"),
    ] {
        server.token(&[("Authorization", &authorization)], form);
    }
    let issued = server.ask(usual, GRANT);
    if issued.status == 200 {
        let token = format!("token={}", issued.access_token());
        for (path, client) in
            [("/oauth2/introspect", resource), ("/oauth2/revoke", usual), ("/oauth2/introspect", resource)]
        {
            let mut wire = server.wire();
            wire.post(path, &[("Authorization", &client.basic())], &token);
            wire.answer();
        }
    }
    for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/nowhere"] {
        server.get(path);
    }
    let mut wire = server.wire();
    wire.send(b"BAD\r\n\r\n");
    wire.answer();
}

fn interpolate(expr: &str) -> String {
    INTERPOLATED.iter().fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value))
}

/// Whether an answer holds a number at all.
fn has_number(data: &Value) -> bool {
    let is_number = |sample: &Value| sample[1].as_str().is_some_and(|text| text.parse().is_ok_and(f64::is_finite));
    data["result"].as_array().unwrap().iter().any(|series| {
        series.get("value").is_some_and(is_number)
            || series["values"].as_array().is_some_and(|values| values.iter().any(is_number))
    })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What each query says, in both forms that panels ask in.
fn questions(prometheus: &Prometheus, since: f64) -> Vec<String> {
    let (end, mut wrong, mut asked) = (now(), Vec::new(), 0);
    let [start_text, end_text] = [since, end].map(|time| time.to_string());
    for (of, expr) in boards().iter().flat_map(super::Board::queries).collect::<Vec<_>>() {
        let query = interpolate(expr);
        let instant = prometheus.ask("/api/v1/query", &[("query", &query), ("time", &end_text)]);
        let range = [("query", query.as_str()), ("start", &start_text), ("end", &end_text), ("step", "1")];
        let range = prometheus.ask("/api/v1/query_range", &range);
        asked += 1;
        match (&instant, &range) {
            (Ok(instant), Ok(range)) if has_number(instant) && has_number(range) => {}
            (Ok(_), Ok(_)) => wrong.push(format!("empty: {of}")),
            _ => wrong.push(format!("{:?} {:?}: {of}", instant.err(), range.err())),
        }
    }
    assert!(asked > 100, "only {asked} queries");
    wrong
}

#[test]
fn every_query_of_every_dashboard_has_an_answer_under_load() {
    let home = Home::new();
    let clients = Clients {
        usual: home.usual_client(),
        es256: home.add_client(&["--scope", "a", "--alg", "ES256"]),
        rs256: home.add_client(&["--scope", "a", "--alg", "RS256"]),
        server: home.add_client(&["--serves", crate::support::API]),
    };
    let audit = home.folder.path().join("audit.log");
    let config = format!("[audit]\noutput = \"{}\"\n{CONFIG}", audit.display());
    let mut server = home.serve(&config);
    use_it(&server, &clients);
    let prometheus = Prometheus::scraping(&server.ops_address, &[]);
    // Seen at once, so that it is a change of what was scraped.
    server.signal("-TERM");
    server.wait_for_end();
    server.restart(&config);
    assert!(server.home.run(&["key", "rotate", "--now"]).status.success());
    let (began, since, over) = (Instant::now(), now() - 2.0, AtomicBool::new(false));
    let wrong = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                use_it(&server, &clients);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        std::thread::sleep(LOAD.saturating_sub(began.elapsed()));
        // On a busy machine a scrape may be missed: what is empty for long is empty.
        let mut wrong = questions(&prometheus, since);
        while !wrong.is_empty() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_secs(2));
            wrong = questions(&prometheus, since);
        }
        over.store(true, Ordering::Relaxed);
        wrong
    });
    assert!(wrong.is_empty(), "{} queries:\n{}", wrong.len(), wrong.join("\n"));
    let lines = || std::fs::read_to_string(&audit).unwrap_or_default().lines().count();
    wait_for("the audit log is written", || (lines() > 10).then_some(()));
}
