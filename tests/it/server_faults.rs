//! Faults of the store beneath a running server: tokens go on where they can, everything else is an honest 503, and
//! it is over when the fault is.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::faults::{Killed, Load, Tmpfs, end_of, free_address};
use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, jeton, need, wait_for};

/// L3: an answer that says when to come back, and nothing of the cause.
fn expect_unavailable(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"), "{what}: {}", answer.text());
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1, "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    for word in ["sqlite", "disk", "jeton.db", "file", "malformed"] {
        assert!(!answer.text().contains(word), "{what}: {}", answer.text());
    }
}

/// A server with a client in its memory and many others that it has never heard of.
fn with_many_clients(config: &str) -> (Server, Client, Vec<Client>) {
    let home = Home::new();
    let client = home.usual_client();
    let strangers = home.add_clients(300);
    let server = home.serve(&format!("{GENEROUS}{config}"));
    assert_eq!(server.ask(&client, GRANT).status, 200);
    (server, client, strangers)
}

/// The laws while the store is gone: known clients get tokens; nobody else does, and nobody is told 401 on a guess.
fn check_outage(server: &Server, known: &Client, stranger: &Client, what: &str) {
    assert_eq!(server.ask(known, GRANT).status, 200, "{what}: a known client");
    let began = Instant::now();
    expect_unavailable(&server.ask(stranger, GRANT), what);
    let guess = Client { secret: "wrong".to_owned(), ..known.clone() };
    expect_unavailable(&server.ask(&guess, GRANT), what);
    assert!(began.elapsed() < Duration::from_secs(6), "{what}: within the deadline");
    assert_eq!(server.get("/.well-known/jwks.json").status, 200, "{what}");
    assert_eq!(server.ops("/livez").status, 200, "{what}");
}

fn wait_until_recovered(server: &Server, stranger: &Client, what: &str) {
    let ended = Instant::now();
    wait_for("it recovers", || {
        let well = server.ops("/readyz").status == 200 && server.ask(stranger, GRANT).status == 200;
        well.then_some(())
    });
    assert!(ended.elapsed() < Duration::from_secs(8), "{what}: recovered after {:?}", ended.elapsed());
}

/// S-09 and H-01: the file is moved away, or another is put in its place.
#[test]
fn s09_h01_a_database_that_is_moved_or_replaced_is_noticed_and_comes_back() {
    let (server, client, strangers) = with_many_clients("");
    let home = &server.home;
    let away = home.beside(".away");
    fs::rename(&home.database, &away).unwrap();
    server.wait_until_ready(false);
    check_outage(&server, &client, &strangers[0], "moved away");
    let other = Home::new();
    other.usual_client();
    fs::copy(&other.database, &home.database).unwrap();
    // The identity of a file is looked at again within a second.
    wait_for("the replacement is noticed", || (server.ask(&strangers[1], GRANT).status == 503).then_some(()));
    assert_eq!(server.ops("/readyz").status, 503);
    check_outage(&server, &client, &strangers[2], "replaced");
    fs::remove_file(&home.database).unwrap();
    fs::rename(&away, &home.database).unwrap();
    wait_until_recovered(&server, &strangers[3], "back again");
    let text = server.log_text();
    assert!(text.matches("the store does not answer").count() <= 2, "said once, not every time: {text}");
}

/// S-09 and L1: the log is deleted or replaced under a running server; what it held is not lost if nobody wrote
/// since.
#[test]
fn s09_a_log_that_is_deleted_is_noticed_and_nothing_acknowledged_is_lost() {
    for suffix in ["-wal", "-shm"] {
        let (server, client, strangers) = with_many_clients("");
        let late = server.home.usual_client();
        assert_eq!(server.ask(&late, GRANT).status, 200);
        server.home.json(&["client", "disable", &late.id]);
        fs::remove_file(server.home.beside(suffix)).unwrap();
        server.wait_until_ready(false);
        check_outage(&server, &client, &strangers[0], suffix);
        let (home, status) = server.end_by("-TERM");
        assert!(status.success());
        let server = home.serve(GENEROUS);
        assert_eq!(server.ask(&client, GRANT).status, 200, "{suffix}");
        assert_eq!(server.ask(&late, GRANT).status, 401, "{suffix}: what was acknowledged last stands");
        assert!(server.home.run(&["store", "check"]).status.success(), "{suffix}");
    }
}

/// S-07: damage that is met at run time ends readiness, not the process; a store that is whole again is ready.
#[test]
fn s07_damage_at_run_time_is_a_503_and_heals_with_the_file() {
    let (server, client, strangers) = with_many_clients("");
    let whole = fs::read(&server.home.database).unwrap();
    let mut damaged = whole.clone();
    // All but the pages that every process has read already.
    damaged[4 * 4096..].fill(0xA5);
    overwrite(&server, &damaged);
    wait_for("damage is met", || strangers.iter().any(|client| server.ask(client, GRANT).status == 503).then_some(()));
    server.wait_until_ready(false);
    assert_eq!(server.ask(&client, GRANT).status, 200, "a known client");
    let stranger = strangers.iter().find(|client| server.ask(client, GRANT).status == 503).unwrap();
    expect_unavailable(&server.ask(stranger, GRANT), "damaged");
    assert!(server.metric("jeton_store_errors_total{backend=\"sqlite\",kind=\"corrupt\"}") >= 1.0);
    overwrite(&server, &whole);
    wait_until_recovered(&server, stranger, "whole again");
}

/// In place, as a bad disk or a bad copy does it.
fn overwrite(server: &Server, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(&server.home.database).unwrap().write_all(bytes).unwrap();
}

/// S-16: the file is cut under a running server: no signal ends it, and it recovers with the file.
#[test]
fn s16_a_truncated_database_is_an_error_and_not_a_signal() {
    let (mut server, client, strangers) = with_many_clients("");
    let whole = fs::read(&server.home.database).unwrap();
    let load = Load::start(&server.address, &client, 2);
    fs::OpenOptions::new().write(true).open(&server.home.database).unwrap().set_len(4096).unwrap();
    wait_for("it is met", || strangers.iter().any(|client| server.ask(client, GRANT).status == 503).then_some(()));
    server.wait_until_ready(false);
    assert!(server.process.try_wait().unwrap().is_none(), "it lives");
    overwrite(&server, &whole);
    let stranger = &strangers[299];
    wait_until_recovered(&server, stranger, "whole again");
    load.wait_for(50);
    load.stop().expect_served("a known client");
}

/// H-01: once the store was gone for longer than the grace, nobody gets a token; then everybody does again.
#[test]
fn h01_beyond_the_outage_grace_nobody_is_served_and_then_everybody_again() {
    let (server, client, _) = with_many_clients("[store]\noutage_grace = \"1s\"\n");
    let away = server.home.beside(".away");
    fs::rename(&server.home.database, &away).unwrap();
    let gone = Instant::now();
    wait_for("the grace is over", || (server.ask(&client, GRANT).status == 503).then_some(()));
    assert!(gone.elapsed() > Duration::from_millis(700), "known clients were served for the grace");
    expect_unavailable(&server.ask(&client, GRANT), "beyond the grace");
    assert_eq!(server.ops("/readyz").status, 503);
    fs::rename(&away, &server.home.database).unwrap();
    wait_until_recovered(&server, &client, "back");
    let ready = server.ops("/readyz");
    assert_eq!((ready.header("cache-control"), ready.text().as_str()), (Some("no-store"), "ready\n"));
}

/// A grace of nothing is one of outages alone: while the store answers, every look at it finds all well.
#[test]
fn h01_without_any_grace_tokens_are_issued_for_as_long_as_the_store_answers() {
    let (server, client, _) = with_many_clients("[store]\noutage_grace = \"0s\"\n");
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert_eq!(server.ask(&client, GRANT).status, 200);
    }
    let away = server.home.beside(".away");
    fs::rename(&server.home.database, &away).unwrap();
    wait_for("there is no grace", || (server.ask(&client, GRANT).status == 503).then_some(()));
    fs::rename(&away, &server.home.database).unwrap();
    wait_until_recovered(&server, &client, "back");
}

/// S-05: a command whose sync takes seconds holds the file; tokens do not notice.
#[test]
fn s05_a_slow_disk_does_not_slow_tokens() {
    need("strace");
    let (server, client, strangers) = with_many_clients("");
    let mut slow = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"])
        .args(["-e", "inject=fsync,fdatasync:delay_enter=1500000:when=1"])
        .arg(jeton().get_program())
        .args(["--store", &server.home.url(), "client", "add", "x"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let load = Load::start(&server.address, &client, 2);
    let mut misses = strangers.iter().map(|stranger| {
        let asked = Instant::now();
        assert_eq!(server.ask(stranger, GRANT).status, 200);
        asked.elapsed()
    });
    let mut slowest_miss = Duration::ZERO;
    while slow.try_wait().unwrap().is_none() {
        slowest_miss = slowest_miss.max(misses.next().unwrap_or_default());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(end_of(&mut slow).success());
    let counts = load.stop();
    counts.expect_served("a known client");
    assert!(counts.slowest < Duration::from_secs(1) && slowest_miss < Duration::from_secs(1), "{counts:?}");
}

/// P-11: every read of the store takes its time, and many wait for one: they are answered by their deadline, with what
/// was found or an honest 503, by no more threads than before; everybody else does not notice.
#[test]
fn p11_when_all_who_read_the_store_are_busy_the_others_do_not_notice() {
    need("strace");
    let home = Home::new();
    let (client, strangers) = (home.usual_client(), home.add_clients(300));
    let database = home.database.clone();
    let server = Server::start(home, GENEROUS, |command| {
        let mut wrapped = Command::new("strace");
        // Stops the server at these calls and at no others; and it is the server that is our child, which ends with us.
        wrapped.args(["-D", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-P"]).arg(database);
        wrapped.args(["-e", "trace=pread64", "-e", "inject=pread64:delay_enter=60000"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        *command = wrapped;
    });
    assert_eq!(server.ask(&client, GRANT).status, 200);
    let threads = || fs::read_dir(format!("/proc/{}/task", server.process.id())).unwrap().count();
    let before = threads();
    // What the server has read of the file counts no more.
    server.home.usual_client();
    let load = Load::start(&server.address, &client, 1);
    let (asked, slowest) = std::thread::scope(|scope| {
        let one = |stranger| {
            let began = Instant::now();
            let answer = server.ask(stranger, GRANT);
            if answer.status != 200 {
                expect_unavailable(&answer, "a stranger");
            }
            began.elapsed()
        };
        let asking: Vec<_> = strangers.iter().take(40).map(|stranger| scope.spawn(move || one(stranger))).collect();
        let began = Instant::now();
        while asking.iter().any(|thread| !thread.is_finished()) {
            let probed = Instant::now();
            assert_eq!(server.ops("/livez").status, 200);
            assert!(probed.elapsed() < Duration::from_secs(1), "{:?}", probed.elapsed());
            assert!(threads() <= before + 2, "{} threads, {before} before", threads());
            std::thread::sleep(Duration::from_millis(20));
        }
        let slowest = asking.into_iter().map(|thread| thread.join().unwrap()).max().unwrap();
        (began.elapsed(), slowest)
    });
    assert!(slowest > Duration::from_millis(300), "nobody had to wait: {slowest:?}");
    assert!(asked < Duration::from_secs(10), "{asked:?}");
    let counts = load.stop();
    counts.expect_served("a known client");
    assert!(counts.slowest < Duration::from_secs(1), "{counts:?}");
    wait_until_recovered(&server, &strangers[100], "nobody waits any more");
}

/// S-15: a full disk beneath the log stops no request; once there is room, what was lost is said.
#[test]
fn s15_a_full_log_disk_stops_nothing_and_lost_lines_are_counted() {
    let disk = Tmpfs::mount("64k");
    let log = disk.path().join("log");
    let home = Home::new();
    let client = home.usual_client();
    let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
    let (address, ops) = (free_address(), free_address());
    let config = home.folder.path().join("jeton.toml");
    fs::write(&config, format!("{GENEROUS}[log]\nlevel = \"debug\"\n")).unwrap();
    let mut command = jeton();
    command.args(["serve", "--store", &home.url(), "--listen", &address, "--ops-listen", &ops]);
    let mut process = Killed(command.arg("--config").arg(&config).stderr(file).spawn().unwrap());
    wait_for("it is ready", || std::net::TcpStream::connect(&ops).is_ok().then_some(()));
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 128 * 1024]).unwrap_err();
    // Each leaves a line at the debug level.
    let break_off = || crate::support::Wire::connect(&address).send(b"POST /oauth2/token HT");
    let load = Load::start(&address, &client, 2);
    (0..200).for_each(|_| break_off());
    load.wait_for(50);
    load.stop().expect_served("while lines are lost");
    fs::remove_file(&filler).unwrap();
    wait_for("lost lines are said", || {
        break_off();
        fs::read_to_string(&log).unwrap().contains("log lines were dropped").then_some(())
    });
    assert!(process.0.try_wait().unwrap().is_none());
}
