//! A staged outage fires the right alerts and no other: the committed rules, with their windows shortened, in a real
//! Prometheus. What takes days by its nature is proved by `promtool test rules` in `rules`.

use std::time::{Duration, Instant};

use super::prometheus::Prometheus;
use super::rules;
use crate::support::{Client, GENEROUS, GRANT, Home, Server, wait_for};

/// How long a window of the rules is here.
const WINDOWS: [(&str, &str); 9] = [
    ("[5m]", "[4s]"),
    ("[10m]", "[4s]"),
    ("[15m]", "[6s]"),
    ("[30m]", "[6s]"),
    ("[1h]", "[8s]"),
    ("[2h]", "[8s]"),
    ("[6h]", "[8s]"),
    ("[1d]", "[10s]"),
    ("[3d]", "[10s]"),
];
/// A test machine is slow for reasons of its own; and these are proved by promtool.
const OF_THE_MACHINE: [&str; 3] = ["JetonLatencyFast", "JetonLatencySlow", "JetonSaturated"];

fn shortened(file: &str) -> String {
    let text = WINDOWS.iter().fold(rules::read(file), |text, (window, short)| text.replace(window, short));
    let lines = text.lines().map(|line| match line.trim_start().split(' ').next() {
        Some("for:") => "        for: 1s\n".to_owned(),
        Some("interval:") => "    interval: 500ms\n".to_owned(),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// And these, when it was so busy that requests were shed.
const OF_A_BUSY_MACHINE: [&str; 3] = ["JetonFailuresFast", "JetonFailuresSlow", "JetonSheddingLoad"];

/// What fires, but for what this machine is the cause of.
fn firing(prometheus: &Prometheus) -> Vec<String> {
    let shed = prometheus.ask("/api/v1/query", &[("query", "sum(max_over_time(jeton_requests_shed_total[2m])) > 0")]);
    let is_busy = !shed.unwrap()["result"].as_array().unwrap().is_empty();
    let mut names = prometheus.firing();
    names.retain(|name| {
        let name = name.as_str();
        !(OF_THE_MACHINE.contains(&name) || is_busy && OF_A_BUSY_MACHINE.contains(&name))
    });
    names
}

/// Asks for tokens for a while; what fires meanwhile.
fn work(server: &Server, client: &Client, prometheus: &Prometheus, time: Duration) -> Vec<String> {
    let (began, mut fired) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        server.ask(client, GRANT);
        fired.extend(firing(prometheus));
        std::thread::sleep(Duration::from_millis(100));
    }
    fired.sort();
    fired.dedup();
    fired
}

#[test]
fn a_staged_outage_fires_the_right_alerts_and_no_other() {
    let home = Home::new();
    let client = home.usual_client();
    let mut server = home.serve(GENEROUS);
    let rules = [("recording", "rules/recording.yml"), ("alerts", "rules/alerts.yml")];
    let rules = rules.map(|(name, file)| (format!("{name}.rules.yml"), shortened(file)));
    let rules: Vec<(&str, String)> = rules.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let prometheus = Prometheus::scraping(&server.ops_address, &rules);
    // Before its first scrape Prometheus knows of no server, and says so.
    wait_for("Prometheus knows the server", || firing(&prometheus).is_empty().then_some(()));
    assert_eq!(work(&server, &client, &prometheus, Duration::from_secs(6)), [""; 0], "all is well");

    // The store is gone: another file in its place is as bad as none.
    let (database, aside) = (server.home.database.clone(), server.home.folder.path().join("aside"));
    std::fs::rename(&database, &aside).unwrap();
    let expected = ["JetonNotReady", "JetonStoreDown", "JetonStoreErrors"];
    wait_for("the alerts of a lost store", || (firing(&prometheus) == expected).then_some(()));
    assert_eq!(work(&server, &client, &prometheus, Duration::from_secs(3)), expected, "known clients get their tokens");

    std::fs::rename(&aside, &database).unwrap();
    wait_for("the alerts are over", || firing(&prometheus).is_empty().then_some(()));

    server.process.kill().unwrap();
    server.wait_for_end();
    wait_for("the alert of a lost server", || (firing(&prometheus) == ["JetonDown"]).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(firing(&prometheus), ["JetonDown"]);
}
