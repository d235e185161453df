//! Faults of the process and its host.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::faults::{Counts, Killed, Load, end_of, free_address};
use crate::support::{Client, GENEROUS, GRANT, Home, Server, Wire, claims, count, get, jeton, need, wait_for};

/// P-01 and H-03: under load, SIGTERM first ends readiness; every request that was sent is answered, the answers
/// say that the connection ends, and the process ends well.
#[test]
fn p01_h03_sigterm_under_load_answers_every_request() {
    let (mut server, client) = Server::usual();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..count("JETON_TEST_DRAIN_CLIENTS", 24))
        .map(|n| {
            let (address, basic, stop) = (server.address.clone(), client.basic(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut wire = Wire::connect(&address);
                let mut counts = Counts::default();
                while !stop.load(Ordering::Relaxed) {
                    wire.post("/oauth2/token", &[("Authorization", &basic)], GRANT);
                    let answer = wire.try_answer(true);
                    counts.note(answer.as_ref(), Duration::ZERO);
                    match answer {
                        Some(answer) if answer.header("connection") == Some("close") => return (counts, true),
                        None => return (counts, false),
                        Some(_) => {}
                    }
                    std::thread::sleep(Duration::from_millis(n as u64 % 7));
                }
                (counts, false)
            })
        })
        .collect();
    let mut ops = Wire::connect(&server.ops_address);
    let mut readyz = || {
        ops.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
        ops.answer().status
    };
    assert_eq!(readyz(), 200);
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-TERM");
    wait_for("readyz says no", || (readyz() == 503).then_some(()));
    assert!(std::net::TcpStream::connect(&server.address).is_ok(), "not ready first, closed later");
    let status = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{}", server.log_text());
    stop.store(true, Ordering::Relaxed);
    let ended: Vec<_> = clients.into_iter().map(|thread| thread.join().unwrap()).collect();
    let unanswered: usize = ended.iter().map(|(counts, _)| counts.unanswered).sum();
    let issued: usize = ended.iter().map(|(counts, _)| counts.issued).sum();
    assert_eq!(unanswered, 0, "of {issued}");
    assert!(ended.iter().all(|(_, told)| *told), "each was told that its connection ends: {ended:?}");
    assert!(std::net::TcpStream::connect(&server.address).is_err());
}

/// P-01: a request whose body is still under way when the signal comes is answered; an idle connection ends.
#[test]
fn p01_a_request_under_way_is_answered_and_an_idle_connection_ends() {
    let (mut server, client) = Server::usual();
    let mut under_way = server.wire();
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: {}\r\nContent-Length: {}\r\n\r\n",
        client.basic(),
        GRANT.len()
    );
    under_way.send(head.as_bytes());
    let mut idle = server.wire();
    idle.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
    assert_eq!(idle.answer().status, 200);
    server.signal("-TERM");
    assert!(idle.is_closed(), "an idle connection is closed, and nothing more is sent on it");
    under_way.send(GRANT.as_bytes());
    let answer = under_way.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(under_way.is_closed());
    assert_eq!(server.wait_for_end().code(), Some(0));
}

/// P-02: a second signal, of either kind, ends the process at once; so does the end of the drain.
#[test]
fn p02_a_second_signal_or_the_deadline_cuts_what_is_left() {
    for second in ["-TERM", "-INT"] {
        let (mut server, client) = Server::usual();
        let mut stuck = hold(&server, &client);
        server.signal("-TERM");
        wait_for("it drains", || server.log_text().contains("stopping").then_some(()));
        let began = Instant::now();
        server.signal(second);
        assert_eq!(server.wait_for_end().code(), Some(1));
        assert!(began.elapsed() < Duration::from_secs(3), "{second}: {:?}", began.elapsed());
        assert!(stuck.is_closed());
        assert!(server.log_text().contains("second signal"), "{}", server.log_text());
    }
    let home = Home::new();
    let client = home.usual_client();
    let mut server = home.serve(&format!("{GENEROUS}drain = \"300ms\"\n"));
    let _stuck = hold(&server, &client);
    let began = Instant::now();
    server.signal("-INT");
    assert_eq!(server.wait_for_end().code(), Some(1));
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(5));
    assert!(server.log_text().contains("1 connections were cut"), "{}", server.log_text());
}

/// A request whose body never comes.
fn hold(server: &Server, client: &Client) -> Wire {
    let mut wire = server.wire();
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: {}\r\nContent-Length: 100\r\n\r\ngrant",
        client.basic()
    );
    wire.send(head.as_bytes());
    wait_for("the connection is open", || (server.metric("jeton_connections") >= 1.0).then_some(()));
    wire
}

/// P-03: two servers on one store are restarted in turn; clients that go to the other one when a connection ends
/// never see a failure.
#[test]
fn p03_a_rolling_restart_fails_no_request() {
    let first = Home::new();
    let client = first.usual_client();
    let second = Home::within(first.database.parent().unwrap());
    let addresses = [free_address(), free_address()];
    let config = |n: usize| format!("listen = \"{}\"\nops_listen = \"127.0.0.1:0\"\n{GENEROUS}", addresses[n]);
    let mut servers = vec![first.serve(&config(0)), second.serve(&config(1))];
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (addresses, basic, stop) = (addresses.clone(), client.basic(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut counts = Counts::default();
                let mut at = n % 2;
                while !stop.load(Ordering::Relaxed) {
                    let Some(mut wire) = Wire::try_connect(&addresses[at]) else {
                        at = 1 - at;
                        continue;
                    };
                    while !stop.load(Ordering::Relaxed) {
                        wire.post("/oauth2/token", &[("Authorization", &basic)], GRANT);
                        let answer = wire.try_answer(true);
                        counts.note(answer.as_ref(), Duration::ZERO);
                        if answer.is_none_or(|answer| answer.header("connection") == Some("close")) {
                            // As a load balancer does, which has seen that it is not ready.
                            at = 1 - at;
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                counts
            })
        })
        .collect();
    for n in [0, 1, 0, 1] {
        std::thread::sleep(Duration::from_millis(100));
        let old = servers.remove(0);
        let (home, status) = old.end_by("-TERM");
        assert_eq!(status.code(), Some(0));
        servers.push(home.serve(&config(n)));
    }
    stop.store(true, Ordering::Relaxed);
    for thread in clients {
        let counts = thread.join().unwrap();
        counts.expect_served("a client of both");
    }
}

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
    let server = Server::start(home, &format!("{GENEROUS}head_deadline = \"1s\"\n"), |command| {
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

fn faketime_library() -> String {
    // The wrapper knows where its library lies; ask it rather than guess.
    let output = Command::new("faketime").args(["-f", "+1s", "sh", "-c", "echo $LD_PRELOAD"]).output().unwrap();
    let path = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(path.contains("libfaketime"), "the library of faketime is not found: {path}");
    path
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

/// P-13: whatever is wrong at the start is one clear line and exit code 78, soon, and nothing secret in it.
#[test]
fn p13_a_start_that_cannot_be_is_refused_in_one_line() {
    let home = Home::new();
    home.usual_client();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let config = home.folder.path().join("jeton.toml");
    let key = fs::read_to_string(home.master_key()).unwrap();
    type Alter<'a> = Box<dyn Fn(&mut Command) + 'a>;
    let with = |text: &str| -> Alter<'_> {
        let text = text.to_owned();
        let config = config.clone();
        Box::new(move |command| {
            fs::write(&config, &text).unwrap();
            command.arg("--config").arg(&config);
        })
    };
    let cases: Vec<(&str, Alter<'_>, &str)> = vec![
        ("an unknown key", with("[serve]\nworker = 1\n"), "did you mean serve.workers"),
        ("no TOML", with("serve = [\n"), "jeton.toml:"),
        ("a wrong unit", with("[serve]\ndrain = \"10\"\n"), "serve.drain"),
        ("an issuer that is none", with("issuer = \"ftp://x\"\n"), "issuer"),
        ("a lost file", Box::new(|command| drop(command.args(["--config", "/nowhere.toml"]))), "cannot be read"),
        (
            "an unknown variable",
            Box::new(|command| drop(command.env("JETON_SERVE__WORKER", "1"))),
            "JETON_SERVE__WORKER",
        ),
        (
            "a store of another kind",
            Box::new(|command| drop(command.env("JETON_LOG__FORMAT", "xml"))),
            "auto, json or pretty",
        ),
        ("a bad filter", Box::new(|command| drop(command.env("JETON_LOG__LEVEL", "a=b=c"))), "log.level"),
        ("a lost key", Box::new(|command| drop(command.env("JETON_MASTER_KEY_FILE", "/nowhere"))), "is missing"),
        ("a key itself", Box::new(|command| drop(command.env("JETON_MASTER_KEY", key.trim()))), "JETON_MASTER_KEY"),
    ];
    for (what, alter, part) in cases {
        let refusal = home.refused_start(|command| alter(command));
        refusal.expect(78, part, what);
        assert!(!refusal.said.contains(key.trim()), "{what}: {}", refusal.said);
    }
    let mut command = jeton();
    command.args(["serve", "--store", &home.url(), "--listen", &port, "--ops-listen", "127.0.0.1:0"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains(&port) && said.contains("listen") && said.lines().count() == 1, "{said}");
    let mut command = jeton();
    command.args(["serve", "--store", &home.url(), "--listen", "0.0.0.0:0", "--ops-listen", "127.0.0.1:0"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("issuer is not set"));
}

/// P-13: a port that a server of ours has is taken, too, although its listeners share it among themselves.
#[test]
fn p13_two_servers_do_not_share_a_port_by_accident() {
    let (server, client) = Server::usual();
    let mut command = jeton();
    let url = server.home.url();
    command.args(["serve", "--store", &url, "--listen", &server.address, "--ops-listen", "127.0.0.1:0"]);
    assert_eq!(command.output().unwrap().status.code(), Some(78));
    assert_eq!(server.ask(&client, GRANT).status, 200);
    assert_eq!(get(&server.ops_address, "/readyz").status, 200);
}
