//! What the program is built from: versions without known holes, licences that it may be given away under.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::toml;
use crate::support::project;

/// The least version of a crate, whether it must be there, and what is wrong below.
const FLOORS: &[(&str, [u64; 3], bool, &str)] = &[
    ("hyper", [1, 12, 0], true, "kept a Content-Length that came before Transfer-Encoding"),
    ("h2", [0, 4, 16], true, "RUSTSEC-2026-0258: floods of empty DATA frames"),
    ("bytes", [1, 11, 1], true, "an overflow in BytesMut::reserve"),
    ("tracing-subscriber", [0, 3, 20], true, "CVE-2025-58160: escape sequences reach the terminal"),
    ("ed25519-dalek", [2, 0, 0], true, "RUSTSEC-2022-0093: a double public key gives the private one away"),
    ("curve25519-dalek", [4, 1, 3], true, "RUSTSEC-2024-0344: timing of scalar subtraction"),
    ("libsqlite3-sys", [0, 38, 0], true, "bundles an SQLite that can lose writes"),
    ("rustls", [0, 23, 18], false, "RUSTSEC-2024-0399: a reachable panic"),
    ("rustls-webpki", [0, 103, 13], false, "names and revocation lists read loosely"),
    ("ring", [0, 17, 12], false, "RUSTSEC-2025-0009: a panic in AES"),
    ("time", [0, 3, 47], false, "a stack overflow while parsing"),
    ("jsonwebtoken", [10, 3, 0], false, "CVE-2026-25537: claims of the wrong type are skipped"),
];

/// The versions of every crate in Cargo.lock.
fn locked() -> BTreeMap<String, Vec<String>> {
    let mut versions = BTreeMap::<String, Vec<String>>::new();
    for package in toml("Cargo.lock")["package"].as_array().unwrap() {
        let text = |name: &str| package[name].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    versions
}

fn is_below(version: &str, floor: [u64; 3]) -> bool {
    let numbers = version.split(['-', '+']).next().unwrap();
    let parts: Vec<u64> = numbers.split('.').map(|part| part.parse().unwrap()).collect();
    parts.as_slice() < floor.as_slice() || version.contains('-')
}

#[test]
fn no_crate_is_older_than_its_last_known_hole() {
    let locked = locked();
    assert!(locked.len() > 50);
    for (name, floor, required, hole) in FLOORS {
        let versions = locked.get(*name).cloned().unwrap_or_default();
        assert!(!required || !versions.is_empty(), "{name} is not in Cargo.lock: does its floor still make sense?");
        for version in versions {
            assert!(!is_below(&version, *floor), "{name} {version} is below {floor:?}: {hole}");
        }
    }
    for (version, below) in
        [("1.11.9", true), ("1.12.0", false), ("1.9.20", true), ("2.0.0", false), ("1.12.0-rc.1", true)]
    {
        assert_eq!(is_below(version, [1, 12, 0]), below, "{version}");
    }
}

#[test]
fn s12_sqlite_is_the_bundled_one_and_newer_than_the_wal_reset_race() {
    assert!(rusqlite::version_number() >= 3_051_003, "SQLite {}", rusqlite::version());
    let features = toml("Cargo.toml")["dependencies"]["rusqlite"]["features"].clone();
    assert!(features.as_array().unwrap().contains(&"bundled".into()), "the machine's own may be older");
}

/// The licences that deny.toml allows.
fn allowed() -> BTreeSet<String> {
    let allowed = toml("deny.toml")["licenses"]["allow"].as_array().unwrap().clone();
    allowed.iter().map(|licence| licence.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be satisfied by what is allowed. The old `/` means OR.
fn is_satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let satisfied = any_of(&words, &mut at, allowed);
    satisfied && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut satisfied = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        satisfied |= all_of(words, at, allowed);
    }
    satisfied
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut satisfied = licence(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        satisfied &= licence(words, at, allowed);
    }
    satisfied
}

fn licence(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let satisfied = any_of(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return satisfied && closed;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{word} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&name)
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = Command::new("rustc").arg("-vV").output().expect("rustc is missing: install Rust by rustup");
    let target = String::from_utf8(target.stdout).unwrap();
    let host = target.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Only what is built here: the rest of the lock file may never have been fetched.
    let arguments = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host];
    let output = Command::new(cargo).args(arguments).current_dir(project()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (packages, allowed) = (metadata["packages"].as_array().unwrap(), allowed());
    assert!(packages.len() > 50);
    for package in packages {
        let expression = package["license"].as_str().unwrap_or_default();
        assert!(is_satisfied(expression, &allowed), "{} has the licence \"{expression}\"", package["name"]);
    }
}

#[test]
fn the_judge_of_licences_knows_or_and_with_and_brackets() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned(), "A WITH x".to_owned()]);
    for (expression, satisfied) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("A WITH x", true),
        ("", false),
        ("GPL-3.0", false),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND LGPL-3.0", false),
        ("A", false),
        ("MIT WITH x", false),
        ("(MIT", false),
        ("MIT GPL-3.0", false),
    ] {
        assert_eq!(is_satisfied(expression, &allowed), satisfied, "{expression}");
    }
}

#[test]
fn nothing_comes_from_elsewhere_than_the_registry() {
    for package in toml("Cargo.lock")["package"].as_array().unwrap() {
        let source = package.get("source").and_then(toml::Value::as_str);
        let registry = source.is_none_or(|source| source == "registry+https://github.com/rust-lang/crates.io-index");
        assert!(registry, "{} comes from {source:?}", package["name"]);
        assert_eq!(source.is_some(), package.get("checksum").is_some(), "{}", package["name"]);
    }
}
