//! What judges instructions and allocations, and what compares two revisions: both see what has grown.

use std::process::{Command, Output};

use crate::support::project;

#[allow(dead_code, reason = "the benches read and write the file themselves")]
#[path = "../../../benches/support/figures.rs"]
mod figures;

use figures::{ALLOCATIONS, Counts, Figures, INSTRUCTIONS, RENEWAL, Verdict};

const FILE: &str = "compiler = \"ours\"\n[allocations]\nbasic = 4.03\n[instructions]\nrequest = 1000\n";

fn judge(table: &str, counts: &[(&str, f64)], compiler: &str) -> Verdict {
    let counts: Counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    Figures::read(FILE).judge(table, &counts, compiler)
}

#[test]
fn a_count_that_grew_by_more_than_three_percent_is_named_and_no_other() {
    for (table, name, count, compiler, mistake) in [
        (INSTRUCTIONS, "request", 1000.0, "ours", ""),
        (INSTRUCTIONS, "request", 1049.0, "ours", ""),
        (INSTRUCTIONS, "request", 500.0, "ours", ""),
        (INSTRUCTIONS, "request", 1051.0, "ours", "request: 1051, 5.1 % above the committed 1000, 3 % allowed"),
        (INSTRUCTIONS, "request", 1119.0, "theirs", ""),
        (INSTRUCTIONS, "request", 1121.0, "theirs", "request: 1121, 12.1 % above the committed 1000, 10 % allowed"),
        (ALLOCATIONS, "basic", 4.2, "theirs", ""),
        (ALLOCATIONS, "basic", 5.03, "theirs", "basic: 5.03, 24.8 % above the committed 4.03, 3 % allowed"),
    ] {
        let mistakes = judge(table, &[(name, count)], compiler).mistakes;
        let expected = (!mistake.is_empty()).then(|| format!("{table}: {mistake}"));
        assert_eq!(mistakes, Vec::from_iter(expected), "{table} {count}");
    }
}

#[test]
fn a_stage_of_few_instructions_may_have_twenty_more() {
    let figures = Figures::read("compiler = \"\"\n[instructions]\nauthorize = 77\n");
    for (count, mistakes) in [(95.0, 0), (100.0, 1)] {
        let counts = Counts::from([("authorize".to_owned(), count)]);
        assert_eq!(figures.judge(INSTRUCTIONS, &counts, "").mistakes.len(), mistakes, "{count}");
    }
}

#[test]
fn a_count_without_a_figure_and_a_figure_without_a_count_are_mistakes() {
    let mistakes = judge(ALLOCATIONS, &[("post", 4.0)], "ours").mistakes;
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].contains("post: 4, but no figure") && mistakes[1].contains("basic: is in the file"));
    let unheard_of = judge("locks", &[("basic", 1.0)], "ours").mistakes;
    assert_eq!(unheard_of.len(), 1, "{unheard_of:?}");
}

#[test]
fn the_committed_counts_are_written_as_they_were_read() {
    let text = super::read(&project().join("benches/counts.toml"));
    let figures = Figures::read(&text);
    assert_eq!(figures.text(), text);
    assert!(text.contains(RENEWAL) && project().join("benches/counts").exists());
    assert!(figures.tables[INSTRUCTIONS].contains_key("request without its signature"));
    assert!(figures.tables[ALLOCATIONS]["basic"] < 2.0);
}

/// Compares rounds that were measured, or made up.
fn compare(rounds: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    std::fs::write(&file, format!(r#"{{"before": "old", "after": "new", "rounds": {rounds}}}"#)).unwrap();
    let script = project().join("benches/compare");
    Command::new("python3").arg(script).arg("--from").arg(file).args(arguments).output().unwrap()
}

#[test]
fn the_comparison_takes_medians_and_fails_above_its_bound() {
    // The machine slowed down from round to round, which is nothing of the stages.
    let rounds = r#"[{"before": {"parse": 100, "sign": 1000, "gone": 5}, "after": {"parse": 110, "sign": 1000, "new": 7000}},
        {"before": {"parse": 200, "sign": 2000, "gone": 5}, "after": {"parse": 240, "sign": 1800, "new": 7000}},
        {"before": {"parse": 400, "sign": 4000, "gone": 5}, "after": {"parse": 400, "sign": 4400, "new": 7000}}]"#;
    for (most, code, complaint) in [("1.11", 0, ""), ("1.09", 1, "slower: parse: 1.100 of the time before")] {
        let output = compare(rounds, &["--most", most]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with(complaint) && said.is_empty() == complaint.is_empty(), "{said}");
    }
    let table = String::from_utf8(compare(rounds, &[]).stdout).unwrap();
    let row = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("parse"), "parse 200.0 ns 240.0 ns 1.100 1.000 to 1.200");
    assert_eq!(row("sign"), "sign 2.00 us 1.80 us 1.000 0.900 to 1.100");
    assert_eq!((row("gone"), row("new")), ("gone 5.0 ns - -".to_owned(), "new - 7.00 us -".to_owned()));
    let json: serde_json::Value = serde_json::from_slice(&compare(rounds, &["-o", "json"]).stdout).unwrap();
    assert_eq!(json["rows"][0]["ratio"], 1.1);
}
