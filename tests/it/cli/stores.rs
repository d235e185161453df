//! `jeton store …`: the look over a store, and a copy of it while it is in use.

use std::os::unix::fs::MetadataExt as _;

use super::{objects, printed, refused};
use crate::support::{GENEROUS, GRANT, Home, Server};

#[test]
fn check_counts_what_is_there() {
    let home = Home::new();
    home.add_client(&[]);
    home.add_client(&[]);
    let report = home.json(&["store", "check"]);
    assert_eq!((&report["backend"], &report["clients"], &report["keys"]), (&"sqlite".into(), &2.into(), &1.into()));
    assert_eq!(report["problems"], serde_json::json!([]));
    let text = printed(&home.run(&["store", "check"]));
    let names: Vec<&str> = text.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(
        names,
        ["backend", "version", "schema", "clients", "keys", "revocations", "tokens", "assertions", "durability"]
    );
}

#[test]
fn a_backup_while_the_server_runs_opens_and_serves() {
    let (server, client) = Server::usual();
    let copy = server.home.folder.path().join("copy.db");
    let copy_text = copy.to_str().unwrap();
    server.ask_patiently(&client, GRANT).access_token();
    std::thread::scope(|scope| {
        let writes = scope.spawn(|| (0..10).map(|_| server.home.add_client(&[]).id).collect::<Vec<_>>().len());
        assert_eq!(server.home.json(&["store", "backup", copy_text])["backup"], copy_text);
        assert_eq!(writes.join().unwrap(), 10);
    });
    assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    refused(&server.home.run(&["store", "backup", copy_text]), 1, "exists already: name a file that does not");
    let nowhere = server.home.folder.path().join("missing").join("copy.db");
    refused(&server.home.run(&["store", "backup", nowhere.to_str().unwrap()]), 1, "cannot be written");
    assert_eq!(server.ask_patiently(&client, GRANT).status, 200, "the server goes on");

    let elsewhere = Home::at(copy.clone());
    let report = elsewhere.json(&["store", "check"]);
    assert_eq!(report["problems"], serde_json::json!([]));
    assert!((1..=11).contains(&report["clients"].as_u64().unwrap()), "{report}");
    let listed = objects(&elsewhere.run(&["client", "list", "-o", "json"]));
    assert!(listed.iter().any(|listed| listed["client_id"] == client.id.as_str()));
    // Without its master key the copy is of no use to whoever finds it.
    refused(&elsewhere.run(&["client", "add", "x"]), 78, "copy.db.master-key is missing");
    let master = |database: &std::path::Path| std::path::PathBuf::from(format!("{}.master-key", database.display()));
    std::fs::copy(master(&server.home.database), master(&copy)).unwrap();
    let restored = elsewhere.serve(GENEROUS);
    assert_eq!(restored.ask_patiently(&client, GRANT).status, 200);
}

#[test]
fn a_foreign_master_key_is_told_from_a_damaged_store() {
    let (home, other) = (Home::new(), Home::new());
    home.add_client(&[]);
    other.add_client(&[]);
    let key = |home: &Home| home.folder.path().join("jeton.db.master-key");
    std::fs::copy(key(&other), key(&home)).unwrap();
    refused(&home.run(&["client", "add", "x"]), 78, "the master key is not the one that this store was made with");
    refused(&home.run(&["serve"]), 78, "the master key is not the one that this store was made with");
}

#[test]
fn a_file_that_is_no_store_is_left_as_it_is() {
    let home = Home::new();
    std::fs::write(&home.database, "what someone wrote").unwrap();
    for arguments in [&["client", "add", "x"][..], &["client", "list"], &["serve"], &["store", "check"]] {
        refused(&home.run(arguments), 78, "is not a jeton store");
    }
    assert_eq!(std::fs::read_to_string(&home.database).unwrap(), "what someone wrote");
}
