//! Files that are damaged, foreign, missing or cut.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use jeton::oauth::{Client, ClientId};
use jeton::store::{KeyRecords, OpenMode, Store, StoreUrl};

use super::writer::new;
use crate::support::faults::block_on;
use crate::support::{GENEROUS, GRANT, Home, count, need, wait_for};

/// What makes a file that is no store.
type Make<'a> = Box<dyn Fn(&Path) + 'a>;

/// Everything that the store says.
#[derive(Debug, PartialEq)]
struct Contents(Vec<Client>, Option<KeyRecords>, usize);

async fn read(store: &dyn Store) -> Result<Contents, jeton::store::StoreError> {
    let changes = store.changes_since(Some(jeton::store::Cursor(0))).await?;
    Ok(Contents(store.list_clients(None, 10_000).await?, store.find_keys().await?, changes.entries.len()))
}

fn sqlite(path: &Path) -> StoreUrl {
    StoreUrl::Sqlite(path.to_owned())
}

/// S-07: wherever 100 bytes are damaged, the store is refused and left as it is, or what is read is what was
/// written.
#[test]
fn s07_damage_anywhere_is_found_or_harmless_and_a_refused_file_is_untouched() {
    let home = Home::new();
    home.usual_client();
    home.add_clients(60);
    let whole = fs::read(&home.database).unwrap();
    let before = block_on(async { read(&*home.store()).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for n in 0..count("JETON_TEST_CORRUPTIONS", 150) {
        let mut bytes = whole.clone();
        // The header and the first page are a small part of the file, and the more interesting one.
        let range = if n % 4 == 0 { 4096 } else { bytes.len() - 100 };
        let at = rand::random_range(0..range);
        bytes[at..at + 100].fill_with(rand::random);
        let path = folder.path().join(format!("{n}.db"));
        fs::write(&path, &bytes).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let store = sqlite(&path).open(OpenMode::MustExist)?;
            block_on(async {
                let problems = store.check().await?.problems;
                Ok((problems, read(&*store).await))
            })
        }));
        let outcome: Result<_, jeton::store::StoreError> = outcome.unwrap_or_else(|_| panic!("offset {at} of {n}.db"));
        match outcome {
            Err(_) => {
                refused += 1;
                assert!(fs::read(&path).unwrap() == bytes, "refused for damage at {at}, but written to");
            }
            Ok((problems, _)) if !problems.is_empty() => found += 1,
            Ok((_, contents)) => {
                harmless += 1;
                match contents {
                    Ok(contents) => assert!(contents == before, "silently another content: damage at {at}"),
                    Err(error) => assert_eq!(error.kind(), "corrupt", "damage at {at}"),
                }
            }
        }
    }
    assert!(refused > 0 && found > 0, "{refused} refused, {found} found, {harmless} harmless");
}

/// S-07: the same at the level of the program: it does not start on a damaged store, and says so in one line.
#[test]
fn s07_a_server_does_not_start_on_a_damaged_store() {
    let home = Home::new();
    home.usual_client();
    home.add_clients(60);
    let whole = fs::read(&home.database).unwrap();
    let documents = whole.windows(9).rposition(|window| window == b"\"enabled\"").unwrap();
    for (what, at, part) in [
        ("the magic", 0, "not a jeton store"),
        ("the page size", 16, "damaged"),
        ("a page in the middle", whole.len() / 2 / 4096 * 4096, "damaged"),
        ("a client's record", documents - 20, "damaged"),
    ] {
        let mut bytes = whole.clone();
        bytes[at..at + 40].fill(0xA5);
        fs::write(&home.database, &bytes).unwrap();
        let refusal = home.refused_start(|command| command);
        assert!(matches!(refusal.status.code(), Some(1 | 78)), "{what}: {refusal:?}");
        let code = refusal.status.code().unwrap();
        refusal.expect(code, part, what);
        assert!(fs::read(&home.database).unwrap() == bytes, "{what}: it was written to");
        assert!(!home.run(&["store", "check"]).status.success(), "{what}");
    }
    fs::write(&home.database, &whole).unwrap();
    assert_eq!(home.run(&["store", "check"]).status.code(), Some(0));
}

/// S-08: what is no store of ours is refused and left alone; nothing is made in its place.
#[test]
fn s08_whatever_is_no_store_of_ours_is_refused_and_left_alone() {
    need("sqlite3");
    let sql = |path: &Path, statement: &str| {
        assert!(std::process::Command::new("sqlite3").arg(path).arg(statement).status().unwrap().success());
    };
    let valid = |path: &Path| {
        let made = Home::new();
        made.usual_client();
        fs::copy(&made.database, path).unwrap();
    };
    let cases: Vec<(&str, Make<'_>, &str)> = vec![
        ("empty", Box::new(|path| fs::write(path, "").unwrap()), "is empty"),
        ("a text", Box::new(|path| fs::write(path, "hello, world, this is a text").unwrap()), "not a jeton store"),
        ("shorter than a header", Box::new(|path| fs::write(path, "SQL").unwrap()), "cannot be read"),
        ("encrypted", Box::new(|path| fs::write(path, [0x5A; 8192]).unwrap()), "not a jeton store"),
        ("a folder", Box::new(|path| fs::create_dir(path).unwrap()), "is not a file"),
        (
            "another program's",
            Box::new(|path| sql(path, "CREATE TABLE a (b); INSERT INTO a VALUES (1)")),
            "another program",
        ),
        (
            "a newer schema",
            Box::new(|path| {
                valid(path);
                sql(path, "PRAGMA user_version = 99");
            }),
            "schema 99",
        ),
        (
            "a lost table",
            Box::new(|path| {
                valid(path);
                sql(path, "DROP TABLE clients");
            }),
            "damaged",
        ),
    ];
    for (what, make, part) in cases {
        let home = Home::new();
        make(&home.database);
        let before = fs::read(&home.database).ok();
        let refusal = home.refused_start(|command| command);
        let code = if part == "damaged" { 1 } else { 78 };
        refusal.expect(code, part, what);
        assert_eq!(fs::read(&home.database).ok(), before, "{what}");
        assert_ne!(home.run(&["client", "add", "x"]).status.code(), Some(0), "{what}");
        assert_eq!(fs::read(&home.database).ok(), before, "{what}");
        assert!(!home.master_key().exists(), "{what}: a key for a store that is not ours");
    }
    let home = Home::within(Path::new("/proc/self/nowhere"));
    home.refused_start(|command| command).expect(78, "cannot be made", "a missing folder");
    assert!(home.run(&["client", "list"]).stdout.is_empty());
}

/// S-08, S-09 and K-05: a store that was there before is not made anew when its database is lost.
#[test]
fn s08_s09_a_lost_database_is_not_replaced_by_an_empty_one() {
    let home = Home::new();
    let client = home.usual_client();
    let away = home.beside(".away");
    fs::rename(&home.database, &away).unwrap();
    home.refused_start(|command| command).expect(78, "its master key is there", "a lost database");
    assert_eq!(home.run(&["client", "add", "x"]).status.code(), Some(78));
    assert_eq!(home.run(&["client", "list"]).status.code(), Some(78));
    // Without its key, too: a log that was not written back is half of what is missing.
    let key = fs::read(home.master_key()).unwrap();
    fs::remove_file(home.master_key()).unwrap();
    fs::write(home.beside("-wal"), [1; 64]).unwrap();
    home.refused_start(|command| command).expect(78, "-wal", "a log without its database");
    assert!(!home.database.exists());
    fs::remove_file(home.beside("-wal")).unwrap();
    fs::rename(&away, &home.database).unwrap();
    fs::write(home.master_key(), key).unwrap();
    fs::set_permissions(home.master_key(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(home.serve(GENEROUS).ask(&client, GRANT).status, 200);
}

/// A copy of a live store with its log, as a crash leaves it.
fn copy_live(home: &Home, to: &Home) {
    for suffix in ["", "-wal", ".master-key"] {
        fs::copy(home.beside(suffix), to.beside(suffix)).unwrap();
    }
}

/// S-09: the log of another store beside ours. SQLite cannot tell it from our own; but what it brings in belongs to
/// another master key, so it authenticates nobody.
#[test]
fn s09_the_log_of_another_store_authenticates_nobody() {
    let (other, ours) = (Home::new(), Home::new());
    other.usual_client();
    let keeper = other.store();
    let foreign = other.add_clients(5);
    ours.usual_client();
    assert!(fs::metadata(other.beside("-wal")).unwrap().len() > 0);
    fs::copy(other.beside("-wal"), ours.beside("-wal")).unwrap();
    drop(keeper);
    // A refused start would do as well.
    let Ok(server) = catch_unwind(AssertUnwindSafe(|| ours.serve(GENEROUS))) else { return };
    for client in &foreign {
        assert_ne!(server.ask(client, GRANT).status, 200);
    }
}

/// S-09 with S-01: a log that a crash left behind is replayed; one that is cut or damaged loses its end only.
#[test]
fn s09_a_log_that_is_cut_anywhere_loses_only_its_end() {
    let home = Home::new();
    home.usual_client();
    let store = home.store();
    let ids: Vec<ClientId> = (0..20).map(|n| ClientId::parse(&format!("c_{n}")).unwrap()).collect();
    block_on(async {
        for id in &ids {
            store.put_client(new(id)).await.unwrap();
        }
    });
    let length = fs::metadata(home.beside("-wal")).unwrap().len();
    for _ in 0..count("JETON_TEST_CUTS", 20) {
        let copy = Home::new();
        copy_live(&home, &copy);
        let file = fs::OpenOptions::new().write(true).open(copy.beside("-wal")).unwrap();
        let cut = rand::random_range(0..length);
        file.set_len(cut).unwrap();
        let found: Vec<bool> = block_on(async {
            let store = copy.store();
            assert!(store.check().await.unwrap().problems.is_empty(), "cut at {cut}");
            let mut found = Vec::new();
            for id in &ids {
                found.push(store.find_client(id.as_str()).await.unwrap().is_some());
            }
            found
        });
        assert!(found.is_sorted_by(|earlier, later| earlier >= later), "cut at {cut}: {found:?}");
    }
}

/// S-17: what is expired needs no purge, it just stops to count; and the feed is trimmed a few entries at a time.
#[test]
fn s17_the_feed_is_trimmed_in_small_steps_and_expired_secrets_cost_nothing() {
    need("sqlite3");
    let home = Home::new();
    let client = home.usual_client();
    let sql = |statement: &str| {
        let output = std::process::Command::new("sqlite3").arg(&home.database).arg(statement).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse::<i64>().unwrap_or(-1)
    };
    let rows = count("JETON_TEST_FEED", 130_000);
    sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO changes (client) SELECT '{}' FROM n",
        client.id
    ));
    let entries = || sql("SELECT count(*) FROM changes");
    let before = entries();
    let store = home.store();
    let slowest = block_on(async {
        let mut held = store.find_client(&client.id).await.unwrap().unwrap();
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            held.revision = store.put_client(held.clone()).await.unwrap();
            slowest = slowest.max(began.elapsed());
        }
        let gap = store.changes_since(Some(jeton::store::Cursor(1))).await.unwrap();
        assert!(gap.gap && gap.entries.is_empty(), "what was trimmed is a gap");
        slowest
    });
    assert_eq!(entries(), before - 20 * 3, "four old entries go with each new one");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let server = Home::within(home.database.parent().unwrap()).serve(GENEROUS);
    let added = server.home.json(&["client", "secret", "add", &client.id, "--expires", "1s"]);
    let secret = added["client_secret"].as_str().unwrap().to_owned();
    let brief = crate::support::Client { secret, ..client };
    wait_for("the secret expires", || (server.ask(&brief, GRANT).status == 401).then_some(()));
    let held = block_on(async { home.store().find_client(&brief.id).await.unwrap().unwrap() });
    assert_eq!(held.secrets.len(), 2, "it is still listed, and still no good");
}
