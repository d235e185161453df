//! The witness of all drills sees what is lost; shown on a file, which is broken by hand.

use std::path::Path;
use std::process::Command;

use crate::support::drill::{Drill, ISSUER, Stopped};
use crate::support::{GENEROUS, Home};

fn drill_on_a_file() -> Drill {
    let home = Home::new();
    let known = home.usual_client();
    let writer = Home::at(home.database.clone());
    Drill::begin(home, writer, known, "")
}

#[test]
fn a_drill_without_a_fault_finds_none() {
    let drill = drill_on_a_file();
    drill.wait_for_writes(60);
    drill.expect_recovery();
    let stopped = drill.finish();
    assert!(stopped.closed.acknowledged >= 80, "{}", stopped.closed.acknowledged);
    stopped.pulse.expect_unbroken();
}

/// L1: each kind of record is taken away in turn, as a bad crash might.
#[test]
fn the_witness_misses_whatever_is_lost() {
    let drill = drill_on_a_file();
    drill.wait_for_writes(40);
    let Stopped { closed, node, api, .. } = drill.stop();
    let (home, _) = node.end_by("-TERM");
    let sqlite = |file: &Path, statement: &str| {
        assert!(Command::new("sqlite3").arg(file).arg(statement).status().unwrap().success(), "{statement}");
    };
    for (statement, missed) in [
        ("SELECT 1", ""),
        ("DELETE FROM revocations", "a revoked token is inactive"),
        ("DELETE FROM tokens", "a token is active while its client is"),
        ("UPDATE clients SET document = json_remove(document, '$.tokens_revoked_at')", "a revoked token is inactive"),
        ("UPDATE clients SET document = json_set(document, '$.enabled', json('true'))", "is enabled: true"),
        ("UPDATE clients SET document = json_set(document, '$.secrets', json('[]'))", "are others"),
        ("DELETE FROM clients WHERE document LIKE '%account%'", "is gone"),
    ] {
        let copy = home.folder.path().join("copy.db");
        sqlite(&home.database, &format!("VACUUM INTO '{}'", copy.display()));
        let broken = Home::new();
        std::fs::rename(copy, &broken.database).unwrap();
        std::fs::copy(home.master_key(), broken.master_key()).unwrap();
        sqlite(&broken.database, statement);
        let found = closed.differences(&broken.serve(&format!("{ISSUER}{GENEROUS}")), &api);
        let as_due = if missed.is_empty() { found.is_empty() } else { found.iter().any(|one| one.contains(missed)) };
        assert!(as_due, "{statement}: {found:?}");
    }
}
