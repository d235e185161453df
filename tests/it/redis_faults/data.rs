//! What Redis holds is full, evicted, emptied, old, or something else than it was.

use jeton::keys::RecordSeal;
use serde_json::{Value, json};

use crate::support::drill::{Drill, expect_unavailable};
use crate::support::redis::Redis;
use crate::support::{API, Client, GENEROUS, GRANT, Home, shared_master_key, wait_for};

/// D-06: no memory left: writes are refused, reads and tokens go on.
#[test]
fn d06_a_full_redis_refuses_writes_and_nothing_else() {
    let redis = Redis::start();
    let drill = Drill::on(&redis.url());
    let (client, token) = drill.client_with_token();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    expect_unavailable(&drill.node.revoke(&client, &token), "a revocation");
    expect_unavailable(&drill.node.ask(&drill.opaque, GRANT), "an opaque token");
    assert_eq!(drill.node.ask(&drill.stranger(), GRANT).status, 200, "who was never heard of is read");
    assert_eq!(drill.node.introspect(&client, &token).json()["active"], true);
    drill.wait_for_tokens(50);
    assert_eq!(drill.node.ops("/readyz").status, 200);
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    drill.expect_recovery();
    assert_eq!(drill.node.revoke(&client, &token).status, 200);
    drill.finish().pulse.expect_unbroken();
}

/// D-07: a Redis that may forget what it was told is no store: refused at the start, and noticed later on.
#[test]
fn d07_a_redis_that_may_evict_is_refused_and_noticed() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let client = home.usual_client();
    let node = home.serve(GENEROUS);
    assert_eq!(node.ask(&client, GRANT).status, 200, "from now on it is known");
    for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
        redis.cli(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let output = node.home.run(&["store", "check"]);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success() && said.contains("maxmemory-policy"), "{policy}: {said}");
        node.wait_until_ready(false);
        wait_for("it is said", || node.log_text().contains("maxmemory-policy").then_some(()));
        assert_eq!(node.ask(&client, GRANT).status, 200, "known clients go on");
        redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        node.wait_until_ready(true);
    }
    assert!(node.home.run(&["store", "check"]).status.success());
}

/// D-08: everything is gone, under load: missed, not believed. Nobody is told that it does not exist, and no token that
/// was revoked is good again; when the data comes back, so does the service.
#[test]
fn d08_a_redis_that_was_emptied_is_missed_and_not_believed() {
    let mut redis = Redis::start();
    let drill = Drill::on(&redis.url());
    drill.wait_for_writes(40);
    redis.cli(&["FLUSHALL"]);
    drill.expect_outage();
    drill.node.wait_until_ready(false);
    // A command that may make a store is not asked: it cannot know that there was one.
    for command in [&["client", "list"][..], &["key", "rotate"]] {
        let said = drill.node.home.run(command);
        assert!(!said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stdout));
    }
    redis.undo_flush();
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

/// D-08, K-06: an old copy is put in place: the same store, but its feed no longer reaches to where it was read. Nodes
/// take over what is there, and what they know to be revoked stays so.
#[test]
fn d08_k06_a_redis_that_went_back_in_time_is_read_anew() {
    let mut redis = Redis::start();
    let home = Home::on(&redis.url());
    let (kept, late) = (home.usual_client(), home.usual_client());
    let node = home.serve(GENEROUS);
    let token = node.ask(&kept, GRANT).access_token();
    assert_eq!(node.ask(&late, GRANT).status, 200);
    redis.kill();
    let copy = redis.copy_of_data();
    redis.start_again();
    let lost = wait_for("it is written again", || {
        let added = node.home.run(&["client", "add", "lost", "-o", "json"]);
        added.status.success().then(|| serde_json::from_slice::<Value>(&added.stdout).unwrap())
    });
    let text = |name: &str| lost[name].as_str().unwrap().to_owned();
    let lost = Client { id: text("client_id"), secret: text("client_secret"), secret_id: text("secret_id") };
    node.home.json(&["client", "disable", &late.id]);
    assert_eq!(node.revoke(&kept, &token).status, 200);
    wait_for("both act", || {
        (node.ask(&late, GRANT).status == 401 && node.ask(&lost, GRANT).status == 200).then_some(())
    });
    redis.kill();
    redis.restore(&copy);
    redis.start_again();
    wait_for("what is there is taken over", || {
        (node.ask(&late, GRANT).status == 200 && node.ask(&lost, GRANT).status == 401).then_some(())
    });
    let looked = wait_for("tokens are looked into", || {
        Some(node.introspect(&kept, &token)).filter(|looked| looked.status == 200)
    });
    assert_eq!(looked.json()["active"], false, "a node that saw the revocation remembers it");
}

/// D-20: what lies under a name is of another type, unreadable, huge, or somebody else's: a fault of the store, which is
/// not the same as "nothing there".
#[test]
fn d20_a_key_that_holds_something_else_is_a_fault_and_not_an_absence() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let known = home.usual_client();
    let node = home.serve(GENEROUS);
    assert_eq!(node.ask(&known, GRANT).status, 200);
    let huge = (64 << 20).to_string();
    for (what, command) in [
        ("a list", &["LPUSH", "KEY", "1"][..]),
        ("a hash", &["HSET", "KEY", "1", "1"]),
        ("no text", &["SET", "KEY", "\u{1}\u{2}"]),
        ("another text", &["SET", "KEY", "OK"]),
        ("empty", &["SET", "KEY", ""]),
        ("half a record", &["SET", "KEY", "1 1 {\"id\":"]),
        ("another record", &["SET", "KEY", "1 1 {}"]),
        ("a later layout", &["SET", "KEY", "9 1 {}"]),
        ("64 MB", &["SETRANGE", "KEY", &huge, "x"]),
    ] {
        let client = node.home.usual_client();
        let key = client_key(&client);
        redis.cli(&["DEL", &key]);
        redis.cli(&command.iter().map(|word| if *word == "KEY" { &key } else { *word }).collect::<Vec<_>>());
        expect_unavailable(&node.ask(&client, GRANT), what);
        let shown = node.home.run(&["client", "show", &client.id]);
        assert!(!shown.status.success(), "{what}: {}", String::from_utf8_lossy(&shown.stdout));
        assert!(!String::from_utf8_lossy(&shown.stderr).contains("no client has this id"), "{what}");
        redis.cli(&["DEL", &key]);
    }
    wait_for("it goes on", || (node.ask(&known, GRANT).status == 200).then_some(()));
    let fresh = node.home.usual_client();
    wait_for("others are read", || (node.ask(&fresh, GRANT).status == 200).then_some(()));
}

fn client_key(client: &Client) -> String {
    format!("{{jeton}}:client:{}", client.id)
}

/// D-24: whoever can write to Redis mints nothing with it: no private key is there in clear, and no record can be forged,
/// altered or put in another's place.
#[test]
fn d24_whoever_writes_to_redis_mints_nothing() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let (client, other) = (home.usual_client(), home.add_client(&["--scope", "admin", "--audience", API]));
    let node = home.serve(GENEROUS);
    let record = |client: &Client| redis.cli(&["GET", &client_key(client)]);
    let (own, others) = (record(&client), record(&other));
    let hash = |record: &str| document(record)["secrets"][0]["hash"].as_str().unwrap().to_owned();
    let forged = [
        ("another's place", others.replace(&hash(&others), &hash(&own)), other.id.clone()),
        ("more scope", own.replace("read write", "admin read write"), client.id.clone()),
        ("more audience", own.replace(API, "https://vault.example.com"), client.id.clone()),
    ];
    for (what, value, id) in forged {
        let before = if id == other.id { &others } else { &own };
        assert_ne!(&value, before, "{what}: nothing was altered");
        // It has not heard of the client, and has looked the store over already.
        let fresh = node.beside(GENEROUS);
        redis.cli(&["SET", &format!("{{jeton}}:client:{id}"), &value]);
        let asker = Client { id: id.clone(), ..client.clone() };
        expect_unavailable(&fresh.ask(&asker, GRANT), what);
        redis.cli(&["SET", &format!("{{jeton}}:client:{id}"), before]);
    }
    let keys = redis.cli(&["GET", "{jeton}:keys"]);
    assert!(!keys.contains("\"d\"") && keys.contains("sealed"), "{keys}");
}

/// The JSON of a record.
fn document(record: &str) -> Value {
    serde_json::from_str(&record[record.find('{').unwrap()..]).unwrap()
}

/// P-17: a later version has added members to what is stored; this one reads it, and keeps them when it writes.
#[test]
fn p17_what_a_later_version_has_added_is_kept() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let client = home.usual_client();
    let (key, name) = (client_key(&client), format!("client {}", client.id));
    write_as_later_version(&redis, (&key, &name), |client| {
        client["future"] = json!({"deep": [1]});
        client["secrets"][0]["origin"] = "later".into();
    });
    let node = home.serve(GENEROUS);
    assert_eq!(node.ask(&client, GRANT).status, 200);
    node.home.json(&["client", "set", &client.id, "--lifetime", "5m"]);
    node.home.json(&["client", "secret", "add", &client.id]);
    node.home.json(&["client", "disable", &client.id]);
    let kept = document(&redis.cli(&["GET", &key]));
    assert_eq!(kept["future"], json!({"deep": [1]}), "{kept}");
    assert_eq!((&kept["enabled"], &kept["lifetime_seconds"]), (&json!(false), &json!(300)));
    let secrets = kept["secrets"].as_array().unwrap();
    assert_eq!((secrets.len(), &secrets[0]["origin"]), (2, &json!("later")));
    let hardware = |keys: &mut Value| keys["keys"][0]["hardware"] = "later".into();
    write_as_later_version(&redis, ("{jeton}:keys", "the signing keys"), hardware);
    node.home.json(&["key", "rotate"]);
    let kept = document(&redis.cli(&["GET", "{jeton}:keys"]));
    assert_eq!((kept["keys"].as_array().unwrap().len(), &kept["keys"][0]["hardware"]), (2, &json!("later")));
    wait_for("the server follows", || {
        let keys = node.get("/.well-known/jwks.json").json();
        (keys["keys"].as_array().unwrap().len() == 2).then_some(())
    });
}

/// Alters a record as a later version does, which knows the master key.
fn write_as_later_version(redis: &Redis, (key, name): (&str, &str), alter: impl FnOnce(&mut Value)) {
    let record = redis.cli(&["GET", key]);
    let revision = record.split(' ').nth(1).unwrap();
    let mut altered = document(&record);
    alter(&mut altered);
    let marked = format!("{revision} {altered}");
    let mark = RecordSeal::new(&shared_master_key()).mark(name, &marked);
    redis.cli(&["SET", key, &format!("1 {revision} {mark} {altered}")]);
}
