//! The master key file, and what the store says of its signing keys.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use crate::support::{Client, GENEROUS, GRANT, Home, need};

/// What makes a document of signing keys wrong.
type Spoil = Box<dyn Fn(&mut serde_json::Value)>;

/// A store whose key file is about to be spoilt.
struct Locked {
    home: Home,
    client: Client,
    key: PathBuf,
    right: Vec<u8>,
}

impl Locked {
    fn new() -> Self {
        let home = Home::new();
        let client = home.usual_client();
        let key = home.master_key();
        Self { right: fs::read(&key).unwrap(), client, key, home }
    }

    fn write(&self, bytes: &[u8], mode: u32) {
        let _ = fs::remove_file(&self.key);
        fs::write(&self.key, bytes).unwrap();
        fs::set_permissions(&self.key, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// No start and no command, the store as it was, and nothing of the right key in what is said.
    fn expect_refused(&self, part: &str, what: &str) {
        let database = fs::read(&self.home.database).unwrap();
        let refusal = self.home.refused_start(|command| command);
        refusal.expect(78, part, what);
        let secret = String::from_utf8_lossy(&self.right[..20]).into_owned();
        assert!(!refusal.said.contains(&secret), "{what}: {}", refusal.said);
        for command in [["client", "add", "x"].as_slice(), &["key", "rotate"]] {
            assert_eq!(self.home.run(command).status.code(), Some(78), "{what}: {command:?}");
        }
        assert!(fs::read(&self.home.database).unwrap() == database, "{what}");
    }

    fn expect_well_again(self) {
        self.write(&self.right, 0o600);
        assert_eq!(self.home.serve(GENEROUS).ask(&self.client, GRANT).status, 200);
    }
}

/// K-05, K-08 and P-13: a key file that holds something else, or that others can read.
#[test]
fn k05_k08_p13_a_damaged_open_or_other_master_key_is_refused() {
    let locked = Locked::new();
    let other = Locked::new();
    let right = &locked.right;
    for (what, part, bytes, mode) in [
        ("empty", "is damaged", b"".as_slice(), 0o600),
        ("truncated", "is damaged", &right[..20], 0o600),
        ("another kind of file", "is damaged", b"-----BEGIN PRIVATE KEY-----\n", 0o600),
        ("very long", "is not a key file", &[b'A'; 10_000], 0o600),
        ("open to the group", "can be read by others", right, 0o640),
        ("open to the world", "can be read by others", right, 0o604),
        ("another store's", "not the one that this store was made with", &other.right, 0o600),
    ] {
        locked.write(bytes, mode);
        locked.expect_refused(part, what);
        assert_eq!(fs::read(&locked.key).unwrap(), bytes, "{what}: no new key in its place");
    }
    locked.expect_well_again();
}

/// K-05: a key file that is lost, no file, a link or somebody else's.
#[test]
fn k05_a_lost_linked_or_foreign_master_key_file_is_refused() {
    let locked = Locked::new();
    let Locked { home, key, right, .. } = &locked;
    fs::remove_file(key).unwrap();
    locked.expect_refused("is missing", "lost");
    assert!(!key.exists(), "no silent new key");
    fs::create_dir(key).unwrap();
    locked.expect_refused("is not a key file", "a folder");
    fs::remove_dir(key).unwrap();
    let nowhere = home.beside(".nowhere");
    symlink(&nowhere, key).unwrap();
    locked.expect_refused("is a symbolic link", "a dangling link");
    assert!(!nowhere.exists(), "no key is made through a link");
    fs::write(&nowhere, right).unwrap();
    fs::set_permissions(&nowhere, fs::Permissions::from_mode(0o600)).unwrap();
    locked.expect_refused("is a symbolic link", "a link to the right key");
    locked.write(right, 0o600);
    chown(key, Some(12_345), None).expect("changing a file's owner needs root");
    locked.expect_refused("belongs to another user", "somebody else's");
    locked.expect_well_again();
}

/// K-05: a key file by name is never made for a store that has keys, and a running server keeps its key.
#[test]
fn k05_a_running_server_outlives_its_master_key_file() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(GENEROUS);
    let away = server.home.beside(".away");
    fs::rename(server.home.master_key(), &away).unwrap();
    assert_eq!(server.ask(&client, GRANT).status, 200);
    assert_eq!(server.ops("/readyz").status, 200);
    let named = server.home.folder.path().join("named");
    let refusal = server.home.refused_start(|command| command.env("JETON_MASTER_KEY_FILE", &named));
    refusal.expect(78, "is missing", "a named key file that is not there");
    assert!(!named.exists());
}

/// K-09: a kid is the thumbprint of its key, so no record can bear another's; a store that says so is refused.
#[test]
fn k09_a_key_under_another_keys_kid_is_refused() {
    need("sqlite3");
    let home = Home::new();
    home.usual_client();
    home.json(&["key", "rotate"]);
    let other = Home::new();
    other.usual_client();
    let document = |home: &Home| {
        let output =
            std::process::Command::new("sqlite3").arg(&home.database).arg("SELECT document FROM signing_keys").output();
        serde_json::from_slice::<serde_json::Value>(&output.unwrap().stdout).unwrap()
    };
    let keys = document(&home);
    let kids: Vec<&str> = keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert!(kids.len() == 2 && kids[0] != kids[1]);
    let foreign = document(&other)[0].clone();
    let spoilt: Vec<(&str, Spoil)> = vec![
        ("one kid for two keys", Box::new(|keys| keys[1]["kid"] = keys[0]["kid"].clone())),
        ("another public part", Box::new(move |keys| keys[0]["public"] = foreign["public"].clone())),
        ("another private part", Box::new(|keys| keys[0]["sealed"] = keys[1]["sealed"].clone())),
    ];
    for (what, spoil) in spoilt {
        let mut changed = keys.clone();
        spoil(&mut changed);
        let statement = format!("UPDATE signing_keys SET document = '{changed}'");
        assert!(std::process::Command::new("sqlite3").arg(&home.database).arg(statement).status().unwrap().success());
        let refusal = home.refused_start(|command| command);
        assert_eq!(refusal.status.code(), Some(78), "{what}: {refusal:?}");
        assert!(refusal.said.contains("signing key") && refusal.said.lines().count() == 1, "{what}: {}", refusal.said);
    }
}
