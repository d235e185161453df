//! `jeton bench`: what it finds fits together, and it leaves nothing behind.

use serde_json::Value;

use super::{objects, printed, refused, stderr};
use crate::support::{Home, jeton};

/// The least that it measures.
const SHORT: [&str; 7] = ["bench", "--seconds", "1", "--clients", "20", "--connections", "4"];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// The middle one of each round's value.
fn median(place: &Value, value: impl Fn(&Value) -> u64) -> u64 {
    let mut values: Vec<u64> = place["rounds"].as_array().unwrap().iter().map(value).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn bench_says_what_a_token_costs_by_figures_that_fit_together() {
    let output = jeton().args(SHORT).args(["-o", "json"]).output().unwrap();
    let found = objects(&output).remove(0);
    for place in [&found["in_process"], &found["loopback"]] {
        assert_eq!(place["rounds"].as_array().unwrap().len(), 5);
        let cost = median(place, |round| number(&round["cpu_nanoseconds"]) / number(&round["tokens"]));
        let rate = median(place, |round| number(&round["tokens"]) * 1_000_000_000 / number(&round["nanoseconds"]));
        assert_eq!(number(&place["cpu_ns_per_token"]["median"]), cost);
        assert_eq!(number(&place["tokens_per_second"]["median"]), rate);
        assert_eq!(number(&place["tokens_per_second_of_a_core"]), 1_000_000_000 / cost);
        for spread in [&place["cpu_ns_per_token"], &place["tokens_per_second"]] {
            let [least, median, most] = ["least", "median", "most"].map(|name| number(&spread[name]));
            assert!(0 < least && least <= median && median <= most, "{spread}");
        }
    }
    // A token is more than its signature, and the kernel adds to it.
    let alone = number(&found["signature"]["by_eight_ns"]["least"]);
    assert!(alone > 0 && alone < number(&found["in_process"]["cpu_ns_per_token"]["most"]), "{found}");
    let cost = number(&found["loopback"]["cpu_ns_per_token"]["median"]);
    let rows = found["sizing"]["rows"].as_array().unwrap();
    let rates: Vec<u64> = rows.iter().map(|row| number(&row["tokens_per_second"])).collect();
    assert_eq!(rates, [1_000, 10_000, 50_000, 200_000]);
    for row in rows {
        let cores = (number(&row["tokens_per_second"]) * cost).div_ceil(600_000_000).max(1);
        assert_eq!(number(&row["cores"]), cores);
        assert_eq!(number(&row["servers"]), cores.div_ceil(number(&found["machine"]["cpus"])));
    }
    assert!(found["machine"]["vector_signing"].is_boolean() && found["notes"].is_array());
    assert_eq!((&found["settings"]["clients"], &found["settings"]["connections"]), (&20.into(), &4.into()));
}

#[test]
fn bench_prints_lines_in_a_pipe_needs_no_folder_and_says_what_is_left_out() {
    let home = Home::new();
    let before = std::fs::read_dir(home.folder.path()).unwrap().count();
    let mut command = jeton();
    let command = command.args(SHORT).current_dir(home.folder.path()).env("JETON_KEYS__VECTOR_SIGNING", "off");
    let output = command.output().unwrap();
    let text = printed(&output);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    for name in ["machine", "signature, alone", "signature, of eight", "token, in process", "measured", "headroom"] {
        assert!(value(name).is_some_and(|value| !value.is_empty()), "{name} is not in {text}");
    }
    assert!(value("token, over loopback").unwrap().contains("tokens/s of a core"));
    assert_eq!(value("signing"), Some("without vector lanes: keys.vector_signing is off"), "by the configuration");
    assert!(text.lines().any(|line| line.starts_with("200,000\t") && line.split('\t').count() == 4), "{text}");
    assert!(text.contains("not included\tTLS"));
    for part in ["jtn_", "eyJ", "Basic "] {
        assert!(!text.contains(part) && !stderr(&output).contains(part), "{part} is printed");
    }
    assert_eq!(std::fs::read_dir(home.folder.path()).unwrap().count(), before, "it leaves nothing behind");
}

#[test]
fn bench_refuses_what_cannot_be_measured_and_a_bad_configuration() {
    for (arguments, code) in [(["bench", "--seconds", "0"], 2), (["bench", "--connections", "0"], 2)] {
        refused(&jeton().args(arguments).output().unwrap(), code, "is not in");
    }
    let output = jeton().args(SHORT).env("JETON_KEYS__VECTOR_SIGNING", "perhaps").output().unwrap();
    refused(&output, 78, "keys.vector_signing");
}
