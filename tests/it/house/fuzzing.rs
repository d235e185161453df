//! The fuzz targets, a workspace of their own that the tests do not build: declared, locked, and run by one command.

use std::collections::BTreeSet;

use super::{files, has_extension, read, toml};

/// The targets by the files that are there.
fn targets() -> BTreeSet<String> {
    let sources = files("fuzz/fuzz_targets").into_iter().filter(|path| has_extension(path, "rs"));
    sources.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

/// `fuzz/run` takes a target's options from there.
#[test]
fn every_fuzz_target_is_declared_and_its_header_says_how_it_is_run() {
    let manifest = toml("fuzz/Cargo.toml");
    let declared = manifest["bin"].as_array().unwrap().iter();
    let declared: BTreeSet<String> = declared.map(|bin| bin["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(declared, targets());
    assert!(declared.len() > 5);
    for file in files("fuzz/fuzz_targets") {
        let target = file.file_stem().unwrap().to_string_lossy().into_owned();
        let command = format!("//! Run it with `cargo +nightly fuzz run {target} -- -max_len=");
        assert!(read(&file).lines().any(|line| line.starts_with(&command)), "{target} does not say how it is run");
    }
}

/// Otherwise `--locked` refuses, or what is fuzzed is not what is shipped.
#[test]
fn the_lock_of_the_fuzz_targets_follows_that_of_the_packages() {
    let (ours, theirs) = (toml("Cargo.lock"), toml("fuzz/Cargo.lock"));
    let versions = |lock: &toml::Table| -> BTreeSet<(String, String)> {
        let packages = lock["package"].as_array().unwrap().iter();
        packages.map(|one| (one["name"].as_str().unwrap().into(), one["version"].as_str().unwrap().into())).collect()
    };
    let (ours, theirs) = (versions(&ours), versions(&theirs));
    for manifest in ["Cargo.toml", "crates/ed25519-lanes/Cargo.toml", "crates/prefetch/Cargo.toml"] {
        let manifest = toml(manifest);
        let Some(dependencies) = manifest.get("dependencies") else { continue };
        for name in dependencies.as_table().unwrap().keys() {
            let of = |versions: &BTreeSet<(String, String)>| -> BTreeSet<String> {
                versions.iter().filter(|(found, _)| found == name).map(|(_, version)| version.clone()).collect()
            };
            assert!(!of(&theirs).is_empty(), "{name} is not in fuzz/Cargo.lock: run 'cargo check' in fuzz");
            assert!(
                of(&theirs).is_subset(&of(&ours)),
                "{name}: {:?} in fuzz/Cargo.lock, {:?} here",
                of(&theirs),
                of(&ours)
            );
        }
    }
}
