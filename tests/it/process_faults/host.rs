//! No descriptors, another time of day, nobody who reads the log, no random numbers.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::faults::{Killed, Load, end_of, faketime_library, free_address};
use crate::support::{Client, GENEROUS, GRANT, Home, Server, Wire, claims, count, jeton, need, wait_for};

/// P-05 and S-16: without file descriptors the accept loop does not spin, open connections are served, and
/// everything is as before once there are some again.
#[test]
fn p05_s16_without_descriptors_it_waits_serves_what_is_open_and_recovers() {
    need("prlimit");
    let (server, client) = Server::usual();
    let mut open = server.wire();
    let mut ask = || {
        open.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
        open.answer().status
    };
    assert_eq!(ask(), 200);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.process.id())).unwrap().count();
    let limit = |soft: usize| {
        let arguments = [format!("--pid={}", server.process.id()), format!("--nofile={soft}:4096")];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    };
    limit(descriptors + 4);
    let crowd: Vec<Wire> = (0..40).map(|_| server.wire()).collect();
    wait_for("descriptors run out", || server.log_text().contains("cannot accept").then_some(()));
    let (began, cpu) = (Instant::now(), server.cpu_millis());
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(ask(), 200);
        std::thread::sleep(Duration::from_millis(20));
    }
    let (spent, elapsed) = (server.cpu_millis() - cpu, began.elapsed().as_millis());
    assert!(u128::from(spent) * 2 < elapsed, "{spent} ms of {elapsed} ms");
    let lines = server.log_text().matches("cannot accept").count();
    assert!(lines < 120, "{lines} lines");
    limit(1024);
    for mut wire in crowd {
        wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
        assert_eq!(wire.answer().status, 200, "who waited is served");
    }
    assert_eq!(server.ask(&server.home.usual_client(), GRANT).status, 200, "the store, too");
    assert_eq!(server.ops("/readyz").status, 200);
}

/// P-08: the wall clock jumps under a running server: `exp` follows it, durations do not.
#[test]
fn p08_a_jump_of_the_wall_clock_moves_tokens_and_nothing_else() {
    need("faketime");
    let home = Home::new();
    let client = home.usual_client();
    let stamp = home.folder.path().join("faketime");
    // Keys that are in the future sign nothing, so the store must be older than the largest step back.
    assert!(
        Command::new("sqlite3")
            .arg(&home.database)
            .arg(
                "UPDATE signing_keys SET document = json_set(document, '$[0].published_at', 1, '$[0].activated_at', 1)"
            )
            .status()
            .unwrap()
            .success()
    );
    let set = |offset: &str| {
        // At once whole: the library reads it at every look at the clock.
        let fresh = stamp.with_extension("new");
        fs::write(&fresh, format!("{offset}\n")).unwrap();
        fs::rename(&fresh, &stamp).unwrap();
    };
    set("+0");
    let library = faketime_library();
    // Nor may a key that ten years are too much for give way to one that is in the future afterwards.
    let config = format!("{GENEROUS}head_deadline = \"1s\"\n[keys]\nrotate_every = \"0s\"\n");
    let server = Server::start(home, &config, |command| {
        command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &stamp);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    });
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let mut kept = server.wire();
    for (offset, seconds) in [("+0", 0), ("+1h", 3600), ("-1h", -3600), ("+10y", 315_360_000), ("-10y", -315_360_000)] {
        set(offset);
        for _ in 0..20 {
            kept.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
            let answer = kept.answer();
            assert_eq!(answer.json()["expires_in"], 3600, "{offset}: {}", answer.text());
            let said = claims(&answer.access_token());
            let (issued, expires) = (said["iat"].as_i64().unwrap(), said["exp"].as_i64().unwrap());
            assert_eq!(expires - issued, 3600);
            assert!((issued - seconds - now()).abs() < 60, "{offset}: iat {issued} at {}", now());
        }
        assert_eq!(server.ops("/readyz").status, 200, "{offset}");
        let wrong = Client { secret: "wrong".to_owned(), ..client.clone() };
        assert_eq!(server.ask(&wrong, GRANT).status, 401, "{offset}");
        // A deadline is a duration: it passes neither at once nor never.
        let mut slow = server.wire();
        let began = Instant::now();
        slow.send(b"POST /oau");
        slow.rest();
        let waited = began.elapsed();
        assert!(waited > Duration::from_millis(500) && waited < Duration::from_secs(8), "{offset}: {waited:?}");
    }
    assert!(!server.log_text().contains("panick"), "{}", server.log_text());
}

/// P-08 and H-01: a clock that is set back to before the first key was made cannot sign honestly; it says so, and
/// is well again with the clock.
#[test]
fn p08_h01_before_the_first_key_there_is_no_token_and_no_readiness() {
    need("faketime");
    let home = Home::new();
    let client = home.usual_client();
    let stamp = home.folder.path().join("faketime");
    fs::write(&stamp, "+0\n").unwrap();
    let library = faketime_library();
    let server = Server::start(home, GENEROUS, |command| {
        command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &stamp);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    });
    assert_eq!(server.ask(&client, GRANT).status, 200);
    fs::write(&stamp, "-1h\n").unwrap();
    server.wait_until_ready(false);
    let answer = server.ask(&client, GRANT);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    fs::write(&stamp, "+0\n").unwrap();
    server.wait_until_ready(true);
    assert_eq!(server.ask(&client, GRANT).status, 200);
}

/// P-10: nobody reads standard error, and its pipe is full: requests go on, and so does the end.
#[test]
fn p10_a_full_pipe_behind_the_log_blocks_no_request_and_no_end() {
    let home = Home::new();
    let client = home.usual_client();
    let address = free_address();
    let config = home.folder.path().join("jeton.toml");
    fs::write(&config, format!("listen = \"{address}\"\nops_listen = \"127.0.0.1:0\"\n{GENEROUS}drain = \"300ms\"\n[log]\nlevel = \"debug\"\n")).unwrap();
    let mut command = jeton();
    command.args(["serve", "--store", &home.url(), "--config"]).arg(&config).stderr(Stdio::piped());
    let mut process = Killed(command.spawn().unwrap());
    wait_for("it listens", || std::net::TcpStream::connect(&address).is_ok().then_some(()));
    // Far more than a pipe and the queue before it hold: 64 KiB and 4096 lines of about 150 bytes.
    let load = Load::start(&address, &client, 2);
    for _ in 0..count("JETON_TEST_LOG_LINES", 6000) {
        Wire::connect(&address).send(b"POST /oauth2/token HT");
    }
    load.wait_for(50);
    load.stop().expect_served("while nobody reads the log");
    let mut stuck = Wire::connect(&address);
    stuck.send(b"POST /oauth2/token HTTP/1.1\r\n");
    std::thread::sleep(Duration::from_millis(50));
    assert!(Command::new("kill").arg(process.0.id().to_string()).status().unwrap().success());
    let began = Instant::now();
    let status = end_of(&mut process.0);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    let mut log = Vec::new();
    process.0.stderr.take().unwrap().read_to_end(&mut log).unwrap();
    assert!((32 * 1024..128 * 1024).contains(&log.len()), "the pipe was full, and no more came: {}", log.len());
}

/// P-10: the reader of standard error is gone: no signal, no error, no pause.
#[test]
fn p10_a_closed_pipe_behind_the_log_kills_nobody() {
    let home = Home::new();
    let client = home.usual_client();
    let address = free_address();
    let config = home.folder.path().join("jeton.toml");
    fs::write(
        &config,
        format!("listen = \"{address}\"\nops_listen = \"127.0.0.1:0\"\n{GENEROUS}[log]\nlevel = \"debug\"\n"),
    )
    .unwrap();
    let mut command = jeton();
    command
        .args(["serve", "--store", &home.url(), "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Killed(command.spawn().unwrap());
    drop((process.0.stdout.take(), process.0.stderr.take()));
    wait_for("it listens", || std::net::TcpStream::connect(&address).is_ok().then_some(()));
    let load = Load::start(&address, &client, 2);
    for _ in 0..200 {
        Wire::connect(&address).send(b"POST /oauth2/token HT");
    }
    load.wait_for(50);
    load.stop().expect_served("without a log");
    assert!(process.0.try_wait().unwrap().is_none());
    assert!(Command::new("kill").arg(process.0.id().to_string()).status().unwrap().success());
    assert_eq!(end_of(&mut process.0).code(), Some(0));
}

/// What makes the system refuse random numbers to whoever strace looks after.
const NO_RANDOM_NUMBERS: [&str; 6] = ["-qq", "-o", "/dev/null", "-f", "-e", "inject=getrandom:error=EAGAIN"];

/// P-19: without random numbers nothing starts, and nothing is issued: a token would have the name of another.
#[test]
fn p19_without_random_numbers_nothing_starts_and_nothing_is_issued() {
    need("strace");
    let (server, client) = Server::usual();
    let mut beside = Command::new("strace");
    beside
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(NO_RANDOM_NUMBERS)
        .args([jeton().get_program(), "serve".as_ref()]);
    let output = beside.args(["--listen", "127.0.0.1:0", "--store", &server.home.url()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("jeton: the system gives no random numbers: "), "{said}");

    // A worker asks the system at its first token.
    let starved = Killed::tracing(&server, &NO_RANDOM_NUMBERS);
    for _ in 0..8 {
        // By the panic of whoever wanted the number: a thread of the store, or the request itself.
        let answer = server.ask(&client, GRANT);
        assert!(matches!(answer.status, 500 | 503), "{} {}", answer.head, answer.text());
        assert!(!answer.json().as_object().unwrap().contains_key("access_token"));
    }
    assert_eq!(server.get("/.well-known/jwks.json").status, 200);
    drop(starved);
    let tokens: Vec<String> = (0..8).map(|_| server.ask_patiently(&client, GRANT).access_token()).collect();
    let names = tokens.iter().map(|token| claims(token)["jti"].to_string());
    assert_eq!(names.collect::<std::collections::HashSet<_>>().len(), 8);
}
