//! A server that is started while its store is gone goes on with what it knew, for what remains of the outage grace.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jeton::config::master_key;
use jeton::store::snapshot::{self, Snapshot};

use crate::support::faults::{end_of, faketime_library};
use crate::support::redis::Redis;
use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, claims, jeton, need, segment, wait_for};

/// A store, the snapshot of a server that knew one client of it, and another client that it did not know.
struct Scene {
    home: Home,
    master_key: PathBuf,
    known: Client,
    unknown: Client,
    kid: String,
    grace: u64,
}

impl Scene {
    /// A server that was killed after it had written down what it knew.
    fn after_a_crash(grace: u64) -> Self {
        let home = Home::new();
        let master_key = home.master_key();
        Self::of(home, master_key, grace)
    }

    fn of(home: Home, master_key: PathBuf, grace: u64) -> Self {
        let (known, unknown) = (home.usual_client(), home.usual_client());
        let scene = Self { home, master_key, known, unknown, kid: String::new(), grace };
        let server = scene.start();
        let token = server.ask_patiently(&scene.known, GRANT).access_token();
        wait_for("the client stands in the snapshot", || {
            let found = scene.snapshot()?;
            found.clients.iter().any(|client| client.id.as_str() == scene.known.id).then_some(())
        });
        drop(server);
        Self { kid: segment(&token, 0)["kid"].as_str().unwrap().to_owned(), ..scene }
    }

    fn path(&self) -> PathBuf {
        self.home.folder.path().join("snapshot")
    }

    fn config(&self) -> String {
        let (path, grace) = (self.path(), self.grace);
        format!(
            "issuer = \"https://a.example\"\n{GENEROUS}[store]\noutage_grace = \"{grace}s\"\nsnapshot_file = \"{}\"\n",
            path.display()
        )
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let master = master_key::read(&self.master_key).unwrap();
        snapshot::read(&self.path(), &master).ok()
    }

    /// Moves the database away, or back.
    fn carry(&self, from: &str, to: &str) {
        let name = |suffix: &str| PathBuf::from(format!("{}{suffix}", self.home.database.display()));
        for file in ["", "-wal", "-shm"] {
            if name(&format!("{from}{file}")).exists() {
                fs::rename(name(&format!("{from}{file}")), name(&format!("{to}{file}"))).unwrap();
            }
        }
    }

    /// A server in a folder of its own.
    fn start(&self) -> Server {
        let url = self.home.url();
        let home = if url.starts_with("sqlite:") { Home::at(self.home.database.clone()) } else { Home::on(&url) };
        home.serve(&self.config())
    }

    /// A start that fails: what it said.
    fn refused(&self, alter: impl FnOnce(&mut Command) -> &mut Command) -> String {
        let file = self.home.folder.path().join("jeton.toml");
        fs::write(&file, self.config()).unwrap();
        let refusal = self.home.refused_start(|command| alter(command.arg("--config").arg(&file)));
        assert!(matches!(refusal.status.code(), Some(1 | 78)), "{}", refusal.said);
        refusal.said
    }

    fn post(&self, server: &Server, path: &str, token: &str) -> Answer {
        let mut wire = server.wire();
        wire.post(path, &[("Authorization", &self.known.basic())], &format!("token={token}"));
        wire.answer()
    }

    /// What holds while there is no store: known clients get tokens, everything else is an honest 503.
    fn expect_outage(&self, server: &Server) {
        let token = server.ask_patiently(&self.known, GRANT).access_token();
        assert_eq!(segment(&token, 0)["kid"], *self.kid, "the same key signs");
        assert_eq!(claims(&token)["client_id"], *self.known.id);
        for answer in [
            server.ask(&self.unknown, GRANT),
            self.post(server, "/oauth2/introspect", &token),
            self.post(server, "/oauth2/revoke", &token),
        ] {
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.header("retry-after").is_some());
        }
        assert!(server.get("/.well-known/jwks.json").text().contains(&self.kid));
        assert_eq!(server.ops("/livez").status, 200);
    }
}

#[test]
fn a_server_whose_database_is_gone_serves_whom_it_knew_until_it_is_back() {
    let scene = Scene::after_a_crash(600);
    scene.carry("", ".away");
    let server = scene.start();
    scene.expect_outage(&server);
    assert_eq!(server.ops("/readyz").status, 200, "within the grace");
    assert!(
        server.log_text().contains("started without it") && server.log_text().contains("going on with the snapshot")
    );
    assert!(!scene.home.database.exists(), "no new one was made in its place");
    scene.carry(".away", "");
    wait_for("the store answers again", || (server.ask(&scene.unknown, GRANT).status == 200).then_some(()));
    wait_for("and is up to date", || (scene.post(&server, "/oauth2/introspect", "x").status == 200).then_some(()));
    assert_eq!(server.ask_patiently(&scene.known, GRANT).status, 200);
    let late = server.home.usual_client();
    assert_eq!(server.ask_patiently(&late, GRANT).status, 200);
    wait_for("the next snapshot is written", || {
        scene.snapshot().filter(|found| found.clients.iter().any(|client| client.id.as_str() == late.id))
    });
}

#[test]
fn a_server_whose_redis_is_down_at_its_start_serves_whom_it_knew_until_it_is_back() {
    let mut redis = Redis::start();
    let home = Home::on(&redis.url());
    let master_key = home.folder.path().join("master-key");
    let scene = Scene::of(home, master_key, 600);
    redis.kill();
    let server = scene.start();
    scene.expect_outage(&server);
    assert_eq!(server.ops("/readyz").status, 200, "within the grace");
    redis.start_again();
    wait_for("the store answers again", || (server.ask(&scene.unknown, GRANT).status == 200).then_some(()));
    wait_for("and is up to date", || (scene.post(&server, "/oauth2/introspect", "x").status == 200).then_some(()));
    let token = server.ask_patiently(&scene.known, GRANT).access_token();
    assert_eq!(segment(&token, 0)["kid"], *scene.kid);
}

#[test]
fn a_server_whose_database_is_locked_at_its_start_serves_whom_it_knew() {
    need("sqlite3");
    let scene = Scene::after_a_crash(600);
    let mut holder = Command::new("sqlite3")
        .arg(&scene.home.database)
        .args(["-cmd", "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM notes; SELECT 'held';"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(holder.stdout.take().unwrap());
    while !line.contains("held") {
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "{line}");
    }
    let server = scene.start();
    scene.expect_outage(&server);
    writeln!(holder.stdin.take().unwrap(), "ROLLBACK;\n.quit").unwrap();
    holder.wait().unwrap();
    wait_for("the store answers again", || (server.ask(&scene.unknown, GRANT).status == 200).then_some(()));
}

#[test]
fn what_remains_of_the_grace_is_counted_from_the_last_answer_of_the_store() {
    let scene = Scene::after_a_crash(8);
    scene.carry("", ".away");
    let taken = scene.snapshot().unwrap().taken;
    let age = || taken.age(jeton::clock::Clock::System.now()).unwrap();
    let (server, mut last_served) = (scene.start(), Duration::ZERO);
    // A second start has no more than the first.
    let second = scene.start();
    wait_for("the grace is over", || {
        let asked_at = age();
        let statuses = [&server, &second].map(|server| server.ask(&scene.known, GRANT).status);
        if statuses.contains(&200) {
            last_served = asked_at;
        }
        // A busy machine may put requests off before that.
        (statuses == [503, 503] && asked_at > Duration::from_secs(8)).then_some(())
    });
    assert!(last_served <= Duration::from_secs(9), "served {last_served:?} after the store had answered last");
    assert_eq!(server.ops("/readyz").status, 503);
    drop((server, second));
    let said = scene.refused(|command| command);
    assert!(said.contains("the snapshot is of no use") && said.contains("store.outage_grace is 8 s"), "{said}");
    assert!(said.contains("restore it, or remove both to begin anew"), "{said}");
    assert!(!scene.home.database.exists(), "no new store in place of the lost one");
}

#[test]
fn p08_a_clock_that_was_set_back_makes_no_snapshot_younger() {
    need("faketime");
    let scene = Scene::after_a_crash(4);
    scene.carry("", ".away");
    let taken = scene.snapshot().unwrap().taken;
    wait_for("the grace is over", || {
        (taken.age(jeton::clock::Clock::System.now())? > Duration::from_secs(5)).then_some(())
    });
    let library = faketime_library();
    // Back to when the snapshot was young, or was not there yet.
    for offset in ["-4", "-1h"] {
        let said = scene.refused(|command| {
            command.env("LD_PRELOAD", &library).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        });
        assert!(said.contains("the snapshot is of no use"), "{offset}: {said}");
    }
}

#[test]
fn a_snapshot_that_is_spoilt_or_foreign_is_passed_over_and_said_so() {
    let (scene, other) = (Scene::after_a_crash(600), Scene::after_a_crash(600));
    scene.carry("", ".away");
    let whole = fs::read(scene.path()).unwrap();
    let mut altered = whole.clone();
    altered[100] ^= 1;
    for (what, bytes) in [
        ("cut", &whole[..whole.len() - 3]),
        ("altered", &altered),
        ("empty", &[]),
        ("of another master key", &fs::read(other.path()).unwrap()),
    ] {
        fs::write(scene.path(), bytes).unwrap();
        let said = scene.refused(|command| command);
        assert!(said.contains("the snapshot is of no use") && said.contains("it is not whole"), "{what}: {said}");
    }
    // With the store there, nobody asks for it, and the next one takes its place.
    scene.carry(".away", "");
    let server = scene.start();
    assert_eq!(server.ask_patiently(&scene.known, GRANT).status, 200);
    wait_for("a new one is written", || scene.snapshot());
}

#[test]
fn a_kill_while_a_snapshot_is_written_leaves_the_last_one() {
    need("strace");
    let scene = Scene::after_a_crash(600);
    let whole = fs::read(scene.path()).unwrap();
    let fresh = scene.home.folder.path().join("snapshot.new");
    for call in ["write", "fsync", "rename"] {
        let mut server = killed_at(&scene, call, &fresh);
        let status = end_of(&mut server);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{call}");
        assert_eq!(fs::read(scene.path()).unwrap(), whole, "killed at its {call}");
        assert!(fresh.exists(), "{call}: it was under way");
    }
    scene.carry("", ".away");
    scene.expect_outage(&scene.start());
    scene.carry(".away", "");
    let server = scene.start();
    wait_for("what was left is cleared away", || (!fresh.exists()).then_some(()));
    drop(server);
}

/// A server that is killed at its first system call of this name on a file.
fn killed_at(scene: &Scene, call: &str, file: &Path) -> Child {
    let config = scene.home.folder.path().join("killed.toml");
    fs::write(&config, scene.config()).unwrap();
    Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-P"])
        .arg(file)
        .args(["-e", &format!("inject={call}:signal=KILL:when=1")])
        .arg(jeton().get_program())
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
            "--store",
            &scene.home.url(),
            "--config",
        ])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
