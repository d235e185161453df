//! Two versions on one store: what the newer one wrote is there after the older one has written, too.

use std::process::Command;

use crate::support::{Home, need};

fn sql(home: &Home, statement: &str) -> String {
    need("sqlite3");
    let output = Command::new("sqlite3").arg(&home.database).arg(statement).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// P-17: members that only a newer version knows, of a client, of its secret and of a signing key.
#[test]
fn p17_an_older_version_keeps_what_only_a_newer_one_knows() {
    let home = Home::new();
    let client = home.usual_client();
    sql(
        &home,
        "UPDATE clients SET document = json_set(document, '$.future', json('{\"a\":[1]}'), '$.secrets[0].future', 2)",
    );
    sql(&home, "UPDATE signing_keys SET document = json_set(document, '$[0].future', 'x')");
    let id = &client.id;
    for change in [
        ["client", "set", id, "--scope", "read"].as_slice(),
        &["client", "secret", "add", id],
        &["client", "disable", id],
        &["client", "enable", id],
        &["client", "revoke-tokens", id],
    ] {
        home.json(change);
        let kept = sql(&home, "SELECT document ->> '$.future', document ->> '$.secrets[0].future' FROM clients");
        assert_eq!(kept, "{\"a\":[1]}|2", "{change:?}");
    }
    assert_eq!(home.json(&["client", "show", id])["scope"], "read", "what it knows is as it wrote it");
    home.json(&["client", "secret", "remove", id, &client.secret_id]);
    assert_eq!(
        sql(&home, "SELECT document ->> '$.future', document ->> '$.secrets[0].future' FROM clients"),
        "{\"a\":[1]}|"
    );
    home.json(&["key", "rotate", "--now"]);
    let keys = sql(&home, "SELECT document ->> '$[0].future', document ->> '$[1].future' FROM signing_keys");
    assert_eq!(keys, "x|");
}
