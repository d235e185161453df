//! The rules of Prometheus: well-formed, explained, and each alert proved to fire when it should and not otherwise.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{need, project};

fn folder() -> PathBuf {
    project().join("grafana/prometheus")
}

/// A file below `grafana/prometheus`.
pub fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

fn files(folder: PathBuf, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut files: Vec<String> = entries.filter(|path| path.ends_with(end)).collect();
    files.sort();
    files
}

/// The pages that alerts point to.
pub fn runbooks() -> Vec<String> {
    files(project().join("docs/runbooks"), ".md")
}

fn promtool(arguments: &[&str]) {
    need("promtool");
    let output = Command::new("promtool").args(arguments).current_dir(folder()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("FAILED"), "{arguments:?}: {said}");
}

/// The alerts, each with the text of its rule.
fn alerts() -> Vec<(String, String)> {
    let text = read("rules/alerts.yml");
    let parts = text.split("- alert: ").skip(1);
    parts.map(|part| (part.lines().next().unwrap().to_owned(), part.to_owned())).collect()
}

#[test]
fn promtool_takes_the_configuration_and_the_rules() {
    for file in ["prometheus.yml", "compose.yml"] {
        promtool(&["check", "config", file]);
    }
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules/recording.yml", "rules/alerts.yml"]);
}

#[test]
fn every_alert_fires_when_it_should_and_not_otherwise() {
    let tests = files(folder().join("tests"), ".yml");
    assert!(tests.len() > 3);
    for file in &tests {
        promtool(&["test", "rules", file]);
    }
    let text: String = tests.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for (alert, _) in alerts() {
        // Of each test of the alert, whether it expects it.
        let line = format!("alertname: {alert}\n");
        let verdicts = text.match_indices(&line).map(|(at, _)| {
            let rest = text[at..].split_once("exp_alerts:").unwrap().1;
            !rest.trim_start().starts_with("[]")
        });
        let verdicts: BTreeSet<bool> = verdicts.collect();
        assert_eq!(verdicts, BTreeSet::from([false, true]), "{alert} is tested one way only, or not at all");
    }
}

#[test]
fn every_alert_says_what_it_means_and_where_to_read_on() {
    let alerts = alerts();
    let names: BTreeSet<&str> = alerts.iter().map(|(name, _)| name.as_str()).collect();
    assert!(alerts.len() > 15 && names.len() == alerts.len());
    for (name, rule) in &alerts {
        for part in ["expr: ", "for: ", "severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        let severity = rule.split("severity: ").nth(1).unwrap().lines().next().unwrap();
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        assert!(rule.contains(&format!("runbook_url: docs/runbooks/{name}.md\n")), "{name} points elsewhere");
        let page = std::fs::read_to_string(project().join(format!("docs/runbooks/{name}.md"))).unwrap();
        for part in ["## Impact\n", "## Diagnose\n", "```sh\n", "## Mitigate\n"] {
            assert!(page.starts_with(&format!("# {name}\n")) && page.contains(part), "{name}.md has no {part}");
        }
    }
    let pages = runbooks();
    let orphan = pages.iter().find(|page| {
        let name = page.rsplit('/').next().unwrap().trim_end_matches(".md");
        name != "README" && !names.contains(name)
    });
    assert_eq!(orphan, None, "a page without an alert");
    let index = std::fs::read_to_string(project().join("docs/runbooks/README.md")).unwrap();
    for name in names {
        assert!(index.contains(&format!("[{name}]({name}.md)")), "{name} is not in the list of runbooks");
    }
}
