//! A disk that is full, slow, broken or read-only, and a file that others hold.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jeton::oauth::ClientId;
use jeton::store::{OpenMode, StoreUrl};

use super::writer::{self, Acknowledged, failures, is_writing_again, kind, new};
use crate::support::faults::{Helper, Tmpfs, block_on, end_of, say};
use crate::support::{GENEROUS, GRANT, Home, jeton, need, wait_for};

/// S-02: what makes a write survive a power cut is that the log is synced before anybody hears of it.
#[test]
fn s02_a_write_is_synced_before_it_is_acknowledged() {
    need("strace");
    let home = Home::new();
    home.usual_client();
    let trace = home.folder.path().join("trace");
    let calls = "trace=pwrite64,write,fsync,fdatasync";
    let output = Command::new("strace")
        .args(["-f", "-y", "-qq", "-s", "99", "-o", &trace.display().to_string(), "-e", calls])
        .arg(jeton().get_program())
        .args(["--store", &home.url(), "client", "add", "x", "-o", "json"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = std::fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let told = lines.iter().position(|line| line.contains(" write(1<") && line.contains("client_id")).expect("told");
    let is_log = |line: &&&str| line.contains("jeton.db-wal>");
    let before = &lines[..told];
    let written = before.iter().rposition(|line| line.contains("pwrite64(") && is_log(&line)).expect("written");
    let synced = before.iter().rposition(|line| line.contains("sync(") && is_log(&line)).expect("synced");
    assert!(synced > written && lines[synced].ends_with("= 0"), "{text}");
}

/// S-02 and S-14: the folder is synced, too, or the new files' names could be gone after a power cut.
#[test]
fn s02_a_new_store_and_its_key_are_synced_with_their_folder() {
    need("strace");
    let home = Home::new();
    let trace = home.folder.path().join("trace");
    let output = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-qq",
            "-s",
            "99",
            "-o",
            &trace.display().to_string(),
            "-e",
            "trace=fsync,fdatasync,link,linkat,write",
        ])
        .arg(jeton().get_program())
        .args(["--store", &home.url(), "client", "add", "x", "-o", "json"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = std::fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let told = lines.iter().position(|line| line.contains("write(1<") && line.contains("client_id")).expect("told");
    let folder = format!("{}>)", home.folder.path().display());
    for name in ["jeton.db", "jeton.db.master-key"] {
        let own = format!("{}\"", home.folder.path().join(name).display());
        let linked = lines.iter().position(|line| line.contains("link") && line.contains(&own)).expect("linked");
        let fresh = format!("{name}.new-");
        let is_sync = |line: &&str, of: &str| line.contains("sync(") && line.contains(of) && line.ends_with("= 0");
        assert!(lines[..linked].iter().any(|line| is_sync(line, &fresh)), "{name} is whole before it has its name");
        assert!(lines[linked..told].iter().any(|line| is_sync(line, &folder)), "{name}: {text}");
    }
}

/// S-03: on a full disk writes say so, nothing is half written, and they go on when there is room again.
#[test]
fn s03_on_a_full_disk_writes_fail_reads_go_on_and_nothing_is_half_written() {
    let disk = Tmpfs::mount("1m");
    let home = Home::within(disk.path());
    let client = home.usual_client();
    let server = home.serve(GENEROUS);
    let home = &server.home;
    let before = home.json(&["store", "check"])["clients"].as_u64().unwrap();
    let filler = disk.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let mut added = 0;
    let refused = wait_for("the disk is full", || {
        let output = home.run(&["client", "add", "x"]);
        added += u64::from(output.status.success());
        (!output.status.success()).then_some(output)
    });
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.stdout.is_empty() && said.contains("full"), "{said}");
    assert_eq!(server.ask(&client, GRANT).status, 200);
    assert_eq!(server.get("/.well-known/jwks.json").status, 200);
    std::fs::remove_file(&filler).unwrap();
    let output = home.run(&["client", "add", "x"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = home.json(&["store", "check"]);
    assert_eq!((report["clients"].as_u64(), &report["problems"]), (Some(before + added + 1), &serde_json::json!([])));
    assert_eq!(server.ask(&home.usual_client(), GRANT).status, 200, "the server sees what came later");
}

/// S-03 in one process: the writer that met the full disk writes again once there is room.
#[test]
fn s03_a_process_goes_on_when_there_is_room_again() {
    let disk = Tmpfs::mount("1m");
    let home = Home::within(disk.path());
    home.usual_client();
    let writer = writer::start(&home, "w", &[], None);
    wait_for("the disk is full", || writer.said().iter().any(|line| line.starts_with("failed full")).then_some(()));
    disk.remount("size=8m");
    wait_for("it writes again", || is_writing_again(&writer.said()).then_some(()));
    let said = writer.kill();
    check(&home, &said);
}

fn check(home: &Home, said: &[String]) {
    let mut acknowledged = Acknowledged::default();
    acknowledged.note(said);
    assert!(acknowledged.1 > 0);
    acknowledged.check(&*home.store());
}

/// S-04: after a failed write or sync, the process opens the file anew and goes on; nothing acknowledged is lost.
#[test]
fn s04_a_disk_error_is_told_and_survived_by_the_same_process() {
    need("strace");
    for (calls, when) in [("fdatasync,fsync", "6..9"), ("pwrite64", "40..48"), ("fdatasync,fsync", "5+7")] {
        let home = Home::new();
        home.usual_client();
        let inject = format!("inject={calls}:error=EIO:when={when}");
        let trace = format!("trace={calls}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let writer = writer::start(&home, "w", &strace, None);
        wait_for("it writes again", || is_writing_again(&writer.said()).then_some(()));
        let said = writer.kill();
        let kinds = failures(&said);
        assert!(kinds.iter().all(|kind| kind == "io" || kind == "conflict"), "{calls} {when}: {kinds:?}");
        assert!(kinds.iter().any(|kind| kind == "io"), "{calls} {when}: {kinds:?}");
        check(&home, &said);
    }
}

/// S-04: a command that could not sync prints no secret, since there may be no client.
#[test]
fn s04_a_command_on_a_broken_disk_fails_without_an_acknowledgement() {
    need("strace");
    let home = Home::new();
    home.usual_client();
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"])
        .args(["-e", "inject=fdatasync,fsync:error=EIO"])
        .arg(jeton().get_program())
        .args(["--store", &home.url(), "client", "add", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.stdout.is_empty() && said.contains("store failed") && said.lines().count() == 1, "{said}");
    assert!(home.run(&["store", "check"]).status.success());
}

/// S-05: a sync that takes longer than the deadline: the write is given up by whoever waits, the reads beside it
/// are as quick as ever.
#[test]
fn s05_a_slow_sync_delays_nothing_but_its_own_write() {
    need("strace");
    let home = Home::new();
    home.usual_client();
    let inject = "inject=fsync,fdatasync:delay_enter=7000000";
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject];
    let environment = [("JETON_TEST_STORE", &*home.url())];
    let name = "store_faults::disk::reads_while_a_write_is_slow";
    let said = Helper::start(name, &strace, &environment, None).finish();
    let figure = |name: &str| -> u64 {
        let line = said.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {said:?}"));
        line.trim().parse().unwrap()
    };
    assert_eq!(said[0], "write deadline");
    assert!((4500..9000).contains(&figure("after")), "{said:?}");
    assert!(figure("reads") > 50 && figure("slowest") < 1000, "{said:?}");
}

#[test]
#[ignore = "a process that another test starts"]
fn reads_while_a_write_is_slow() {
    let url = StoreUrl::parse(&std::env::var("JETON_TEST_STORE").unwrap()).unwrap();
    let store = url.open(OpenMode::MustExist).unwrap();
    let id = ClientId::parse("c_slow").unwrap();
    block_on(async {
        let began = Instant::now();
        let mut write = store.put_client(new(&id));
        let (mut reads, mut slowest) = (0, Duration::ZERO);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut write => break outcome,
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
            let asked = Instant::now();
            store.find_client("c_other").await.unwrap();
            reads += 1;
            slowest = slowest.max(asked.elapsed());
        };
        say(&format!("write {}", kind(outcome)));
        say(&format!("after {}", began.elapsed().as_millis()));
        say(&format!("reads {reads}"));
        say(&format!("slowest {}", slowest.as_millis()));
    });
    // An orderly end would wait for the slow disk.
    std::process::exit(0);
}

/// Somebody else's transaction, held until the guard is dropped.
struct Held(std::process::Child);

impl Held {
    fn by_sqlite(home: &Home) -> Self {
        need("sqlite3");
        let mut process =
            Command::new("sqlite3").arg(&home.database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.as_mut().unwrap();
        input.write_all(b"BEGIN EXCLUSIVE;\nSELECT 'held';\n").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(process.stdout.as_mut().unwrap()), &mut line).unwrap();
        assert_eq!(line.trim(), "held");
        Self(process)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// S-06: a write waits for a lock no longer than its bound; reads and even a start do not need it.
#[test]
fn s06_a_lock_of_another_process_delays_writes_only_and_not_for_long() {
    let home = Home::new();
    let [client, other] = [home.usual_client(), home.usual_client()];
    let server = home.serve(GENEROUS);
    assert_eq!(server.ask(&client, GRANT).status, 200);
    let held = Held::by_sqlite(&server.home);
    let began = Instant::now();
    let refused = server.home.run(&["client", "disable", &client.id]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("locked by another process") && said.lines().count() == 1, "{said}");
    assert!(began.elapsed() > Duration::from_secs(1) && began.elapsed() < Duration::from_secs(8));
    let began = Instant::now();
    assert_eq!(server.ask(&client, GRANT).status, 200);
    assert_eq!(server.ask(&other, GRANT).status, 200, "a client that was never asked for before");
    assert!(server.home.run(&["client", "list"]).status.success());
    assert!(began.elapsed() < Duration::from_secs(2), "no read waits for a lock");
    drop(Home::within(server.home.folder.path()).serve(GENEROUS));
    drop(held);
    server.home.json(&["client", "disable", &client.id]);
    wait_for("the change acts", || (server.ask(&client, GRANT).status == 401).then_some(()));
}

/// S-06: the lock is taken at the beginning (`BEGIN IMMEDIATE`), so that of two that read before they write,
/// neither fails half way.
#[test]
fn s06_s13_writers_that_meet_wait_for_each_other() {
    let home = Home::new();
    let client = home.usual_client();
    let writers: Vec<_> = ["a", "b", "c"].map(|name| writer::start(&home, name, &[], None)).into();
    for n in 0..3 {
        // Who comes fourth may wait in vain, for the lock is not handed round; it says so, and comes again.
        wait_for("a command gets its turn", || {
            let set = home.run(&["client", "set", &client.id, "--name", &format!("n{n}")]);
            let said = String::from_utf8_lossy(&set.stderr).into_owned();
            assert!(set.status.success() || said.contains("locked by another process"), "{said}");
            set.status.success().then_some(())
        });
    }
    wait_for("all write", || writers.iter().all(|writer| writer.said().len() > 100).then_some(()));
    for writer in writers {
        let said = writer.kill();
        assert_eq!(failures(&said), Vec::<String>::new());
        check(&home, &said);
    }
}

/// S-10: what cannot be written is not served from the start; a server that runs goes on with its tokens.
#[test]
fn s10_on_a_read_only_disk_a_start_is_refused_and_a_running_server_goes_on() {
    let disk = Tmpfs::mount("4m");
    let home = Home::within(disk.path());
    let client = home.usual_client();
    disk.remount("ro");
    let refusal = home.refused_start(|command| command);
    assert!(matches!(refusal.status.code(), Some(1 | 78)), "{refusal:?}");
    assert_eq!(refusal.said.lines().count(), 1, "{refusal:?}");
    disk.remount("rw");
    let server = home.serve(GENEROUS);
    assert_eq!(server.ask(&client, GRANT).status, 200);
    // Files that are open for writing keep a file system from being made read-only, so the folder's twin is.
    let mut holder =
        Command::new("mount").args(["--bind", "-o", "ro"]).args([disk.path(), disk.path()]).spawn().unwrap();
    assert!(end_of(&mut holder).success());
    let refused = server.home.run(&["client", "add", "x"]);
    let answers = (server.ask(&client, GRANT).status, server.get("/.well-known/jwks.json").status);
    let mut holder = Command::new("umount").arg("-l").arg(disk.path()).spawn().unwrap();
    assert!(end_of(&mut holder).success());
    assert_ne!(refused.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&refused.stderr).lines().count(), 1);
    assert_eq!(answers, (200, 200));
    server.home.usual_client();
}

/// S-11: a long reader of somebody else's keeps the log from being reused, not writes from being done; afterwards
/// the log is bounded again.
#[test]
fn s11_the_log_is_bounded_again_once_a_long_reader_has_gone() {
    let home = Home::new();
    home.usual_client();
    let size = || std::fs::metadata(home.beside("-wal")).map_or(0, |metadata| metadata.len());
    let mut reader =
        Command::new("sqlite3").arg(&home.database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    reader.stdin.as_mut().unwrap().write_all(b"BEGIN;\nSELECT count(*) FROM clients;\n").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(reader.stdout.as_mut().unwrap()), &mut line).unwrap();
    assert_eq!(line.trim(), "1");
    let writer = writer::start(&home, "w", &[], None);
    let bound = 6 << 20;
    wait_for("the log grows", || (size() > bound).then_some(()));
    assert_eq!(failures(&writer.said()), Vec::<String>::new(), "writes are done all the while");
    reader.kill().unwrap();
    reader.wait().unwrap();
    let written = writer.said().len();
    wait_for("more is written", || (writer.said().len() > written + 100).then_some(()));
    let settled = size();
    wait_for("much more is written", || (writer.said().len() > written + 1500).then_some(()));
    assert!(size() <= settled, "the log is used again from its beginning: {settled} then {}", size());
    let said = writer.kill();
    check(&home, &said);
}

/// S-12: SQLite before 3.51.3 can lose writes when the log begins anew.
#[test]
fn s12_the_bundled_sqlite_has_no_wal_reset_race() {
    let home = Home::new();
    home.usual_client();
    let report = home.json(&["store", "check"]);
    let version = report["version"].as_str().unwrap().strip_prefix("SQLite ").unwrap().to_owned();
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(numbers.as_slice() >= [3, 51, 3].as_slice(), "{version}");
    assert!(rusqlite::version_number() >= 3_051_003);
}
