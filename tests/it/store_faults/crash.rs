//! Crashes: of writers, of servers, and of commands at any of their steps.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::writer::{self, Acknowledged, failures};
use crate::support::{GENEROUS, GRANT, Home, Server, count, jeton, need, wait_for};

/// S-01 and S-13: two writers and a server on one file, all killed at a random moment, again and again.
#[test]
#[expect(clippy::print_stderr, reason = "the figures of a long run, for whoever asks with --nocapture")]
fn s01_s13_whatever_was_acknowledged_survives_a_kill() {
    let mut home = Home::new();
    let client = home.usual_client();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("acknowledged");
    let mut acknowledged = Acknowledged::default();
    let mut starts = Vec::new();
    let kills = count("JETON_TEST_KILLS", 8);
    for round in 0..kills {
        let began = Instant::now();
        let server = home.serve(GENEROUS);
        starts.push(began.elapsed());
        assert_eq!(server.ask(&client, GRANT).status, 200);
        let names = [format!("a{round}"), format!("b{round}")];
        let writers = names.each_ref().map(|name| writer::start(&server.home, name, &[], Some(&log)));
        wait_for("both write", || writers.iter().all(|writer| !writer.said().is_empty()).then_some(()));
        std::thread::sleep(Duration::from_millis(rand::random_range(0..400)));
        let (killed, _) = server.end_by("-KILL");
        home = killed;
        for writer in writers {
            let said = writer.kill();
            let failed: Vec<_> = said.iter().filter(|line| line.starts_with("failed")).collect();
            assert!(failures(&said).is_empty(), "{failed:?}");
        }
        let integrity = Command::new("sqlite3").arg(&home.database).arg("PRAGMA integrity_check").output();
        if round % 4 == 0 {
            need("sqlite3");
            assert_eq!(String::from_utf8_lossy(&integrity.unwrap().stdout).trim(), "ok");
        }
    }
    let text = std::fs::read_to_string(&log).unwrap();
    acknowledged.note(&text.lines().map(str::to_owned).collect::<Vec<_>>());
    acknowledged.check(&*home.store());
    starts.sort();
    let (median, slowest) = (starts[kills / 2], starts[kills - 1]);
    eprintln!("S-01: {kills} kills, {} acknowledged, start {median:?} (slowest {slowest:?})", acknowledged.1);
    assert!(acknowledged.1 > kills * 10);
    assert!(median < Duration::from_secs(1) && slowest < Duration::from_secs(5), "{starts:?}");
}

const CHANGES: &str = "pwrite64,fsync,fdatasync,ftruncate,link,linkat,unlink,rename,openat";

/// Runs a command and kills it at its nth call that changes a file; true when it got through before that.
fn gets_through(home: &Home, step: u32, arguments: &[&str]) -> bool {
    need("strace");
    let mut traced = Command::new("strace");
    let inject = format!("inject={CHANGES}:signal=KILL:when={step}");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CHANGES}"), "-e", &inject]);
    traced.arg(jeton().get_program()).args(["--store", &home.url()]).args(arguments);
    let output = traced.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(1), "neither done nor killed: {said}");
    output.status.success()
}

/// The steps to be killed at: some of them, others in each run, all with `JETON_TEST_KILL_STRIDE=1`.
fn steps() -> impl Iterator<Item = u32> {
    let stride = u32::try_from(count("JETON_TEST_KILL_STRIDE", 12)).unwrap();
    (1 + rand::random_range(0..stride)..).step_by(stride as usize)
}

/// S-14 and K-05: the first start makes the database, its schema and the master key; killed at any step of it, the
/// next start is a whole one.
#[test]
fn s14_k05_a_first_start_that_is_killed_anywhere_leaves_nothing_half_made() {
    for step in steps() {
        let home = Home::new();
        let through = gets_through(&home, step, &["client", "add", "first"]);
        let client = home.add_client(&["--scope", "read"]);
        let report = home.json(&["store", "check"]);
        assert_eq!(
            (&report["problems"], &report["keys"]),
            (&serde_json::json!([]), &1.into()),
            "killed at step {step}"
        );
        assert_eq!(home.json(&["client", "show", &client.id])["client_id"], client.id.as_str());
        if through {
            return;
        }
    }
}

#[test]
fn s14_a_backup_that_is_killed_is_whole_or_not_there_and_a_whole_one_can_be_restored() {
    let home = Home::new();
    let client = home.usual_client();
    home.add_clients(50);
    let server = home.serve(GENEROUS);
    let home = &server.home;
    let file = |step: u32| home.folder.path().join(format!("backup-{step}"));
    let is_whole = |path: &Path| {
        let url = format!("sqlite:{}", path.display());
        jeton().args(["--store", &url, "store", "check"]).output().unwrap().status.success()
    };
    let mut last = 0;
    for step in steps() {
        let through = gets_through(home, step, &["store", "backup", &file(step).display().to_string()]);
        assert!(!file(step).exists() || is_whole(&file(step)), "killed at step {step}");
        last = step;
        if through {
            break;
        }
    }
    let (restored, whole) = (Home::new(), file(last));
    std::fs::copy(whole, &restored.database).unwrap();
    std::fs::copy(home.master_key(), restored.master_key()).unwrap();
    let restored = restored.serve(GENEROUS);
    assert_eq!(restored.ask(&client, GRANT).status, 200);
    assert_eq!(server.ask(&client, GRANT).status, 200);
}

/// S-13: two servers on one file serve side by side, and either sees what a command changes.
#[test]
fn s13_two_servers_share_one_file() {
    let home = Home::new();
    let client = home.usual_client();
    let first = home.serve(GENEROUS);
    let second = Server::start(Home::within(first.home.folder.path()), GENEROUS, |_| {});
    for server in [&first, &second] {
        assert_eq!(server.ask(&client, GRANT).status, 200);
    }
    first.home.json(&["client", "disable", &client.id]);
    for server in [&first, &second] {
        wait_for("the change acts", || (server.ask(&client, GRANT).status == 401).then_some(()));
    }
    let (_, status) = first.end_by("-TERM");
    assert!(status.success());
    assert_eq!(second.ops("/readyz").status, 200);
}
