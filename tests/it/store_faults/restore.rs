//! A restore drill: a backup takes the place of the store that it was made of, after keys and tokens have changed.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{API, Client, GENEROUS, GRANT, Home, Server, segment, wait_for};

struct Drill {
    home: Home,
    client: Client,
    api: Client,
    /// By the key of the backup: one that was revoked after it, one that was not.
    revoked: String,
    kept: String,
    /// By the key that took its place.
    later: String,
}

fn kid(token: &str) -> String {
    segment(token, 0)["kid"].as_str().unwrap().to_owned()
}

fn post(server: &Server, path: &str, caller: &Client, token: &str) -> crate::support::Answer {
    let mut wire = server.wire();
    wire.post(path, &[("Authorization", &caller.basic())], &format!("token={token}"));
    wire.answer()
}

fn is_active(server: &Server, caller: &Client, token: &str) -> bool {
    post(server, "/oauth2/introspect", caller, token).json()["active"] == true
}

fn states(home: &Home) -> HashMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    String::from_utf8(home.run(&["key", "list", "-o", "json"]).stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|key| (text(&key["kid"]), text(&key["state"])))
        .collect()
}

impl Drill {
    /// A backup, and a revocation and a rotation after it; then the backup is put back.
    fn new() -> Self {
        let home = Home::new();
        let client = home.usual_client();
        let api = home.add_client(&["--serves", API, "--tokens", "false"]);
        let server = home.serve(GENEROUS);
        let token = || server.ask(&client, GRANT).access_token();
        let (revoked, kept) = (token(), token());
        let backup = server.home.folder.path().join("backup");
        server.home.json(&["store", "backup", backup.to_str().unwrap()]);
        assert_eq!(post(&server, "/oauth2/revoke", &client, &revoked).status, 200);
        server.home.json(&["key", "rotate", "--now"]);
        let later = wait_for("the next key signs", || Some(token()).filter(|later| kid(later) != kid(&kept)));
        assert!(is_active(&server, &api, &kept) && is_active(&server, &api, &later));
        let (home, _) = server.end_by("-TERM");
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(home.beside(suffix));
        }
        std::fs::copy(backup, &home.database).unwrap();
        Self { home, client, api, revoked, kept, later }
    }

    fn check(&self, server: &Server) {
        let old = kid(&self.kept);
        let fresh = wait_for("new tokens are good", || {
            let fresh = server.ask(&self.client, GRANT).access_token();
            assert_ne!(kid(&fresh), old, "K-06: a key that may have retired since does not sign");
            is_active(server, &self.api, &fresh).then_some(fresh)
        });
        for (what, token) in [("revoked", &self.revoked), ("kept", &self.kept), ("of a key since lost", &self.later)] {
            assert!(!is_active(server, &self.api, token), "K-06: {what}");
        }
        let states = states(&server.home);
        assert_eq!((states[&old].as_str(), states[&kid(&fresh)].as_str()), ("retired", "active"), "{states:?}");
        let published = server.get("/.well-known/jwks.json").text();
        assert!(published.contains(&old), "for verifiers that ask nobody, until its last token has expired");
        assert_eq!(states.len(), 2, "once, not at every start: {states:?}");
    }
}

#[test]
fn k06_a_server_on_a_restored_backup_signs_with_new_keys_and_takes_no_token_from_before_for_good() {
    let mut drill = Drill::new();
    let home = std::mem::replace(&mut drill.home, Home::new());
    let mut server = home.serve(GENEROUS);
    assert!(server.log_text().contains("put back from a backup of 20"), "{}", server.log_text());
    drill.check(&server);
    server.signal("-TERM");
    server.wait_for_end();
    let port = server.address.clone();
    server.restart(&format!("issuer = \"http://{port}\"\n{GENEROUS}"));
    assert!(!server.log_text().contains("put back"), "it is no backup any more");
    drill.check(&server);
}

#[test]
fn k06_a_command_that_comes_first_does_the_same() {
    let mut drill = Drill::new();
    let home = std::mem::replace(&mut drill.home, Home::new());
    let output = home.run(&["client", "set", &drill.client.id, "--scope", "read"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("put back from a backup of 20"), "{said}");
    let output = home.run(&["client", "set", &drill.client.id, "--scope", "read write"]);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("put back"));
    drill.check(&home.serve(GENEROUS));
}

#[test]
fn k06_a_copy_of_a_backup_is_one_too() {
    let mut drill = Drill::new();
    let home = std::mem::replace(&mut drill.home, Home::new());
    let elsewhere = Home::new();
    home.json(&["store", "copy", "--from", &home.url(), "--to", &elsewhere.url()]);
    std::fs::copy(home.master_key(), elsewhere.master_key()).unwrap();
    let server =
        elsewhere.serve(&format!("issuer = \"{}\"\n{GENEROUS}", segment(&drill.kept, 1)["iss"].as_str().unwrap()));
    assert!(server.log_text().contains("put back from a backup of 20"), "{}", server.log_text());
    drill.check(&server);
}
