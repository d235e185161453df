//! Between a file and Redis, alone and as a Cluster, both ways; and from there to a backup.

use std::process::Stdio;

use jeton::keys::RecordSeal;
use jeton::store::{OpenMode, RedisOptions, StoreOptions, StoreUrl};

use super::commands::{command, json_of, refused};
use super::engine::everything;
use super::*;
use crate::support::cluster::Cluster;
use crate::support::redis::Redis;
use crate::support::{GENEROUS, GRANT, Home, wait_for};

fn options(master: &MasterKey) -> StoreOptions {
    // Nobody is served here, and the machine may be busy.
    let redis = RedisOptions { deadline: std::time::Duration::from_secs(10), ..RedisOptions::default() };
    StoreOptions { redis, seal: Some(RecordSeal::new(master)) }
}

/// What is copied from a file there and from there to another file is what was in the first.
fn there_and_back(url: &str, count: u32) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| StoreUrl::Sqlite(folder.path().join(name)).open(OpenMode::CreateIfMissing).unwrap();
    run(async {
        let (first, second) = (file("first.db"), file("second.db"));
        let options = options(&MasterKey::from_random([1; 32]));
        let redis = StoreUrl::parse(url).unwrap().open_with(OpenMode::CreateIfMissing, &options).unwrap();
        fill(&*first, count).await;
        let there = copy(&*first, &*redis, terms()).await.unwrap();
        let back = copy(&*redis, &*second, terms()).await.unwrap();
        for (there, back) in there.pass.parts().iter().zip(back.pass.parts()) {
            assert_eq!((there.0, there.1.source.digest()), (back.0, back.1.target.digest()));
            assert!(there.1.is_same() && back.1.is_same() && there.1.source.count() >= 2, "{there:?}");
        }
        assert_eq!((there.passes, back.passes), (2, 2), "a first one that writes, and one that finds nothing to do");
        assert_eq!(everything(&*second, count).await, everything(&*first, count).await);
        // And once more the other way round, over what is there.
        let revision = second.find_client("c_1").await.unwrap().unwrap().revision;
        second.put_client(Client { revision, enabled: false, ..client(1) }).await.unwrap();
        second.remove_client(&id(2), 2).await.unwrap();
        let refusal = copy(&*second, &*redis, terms()).await;
        assert!(matches!(refusal, Err(TransferError::NotEmpty)), "{refusal:?}");
        let replacing = Terms { replaces: true, ..terms() };
        let outcome = copy(&*second, &*redis, replacing).await.unwrap();
        assert_eq!((outcome.pass.clients.written, outcome.pass.clients.removed), (1, 1));
        assert_eq!(everything(&*redis, count).await, everything(&*second, count).await);
    });
}

#[test]
fn everything_goes_to_redis_and_back() {
    // More than one page.
    there_and_back(&Redis::start().url(), 520);
}

#[test]
fn everything_goes_to_a_cluster_and_back() {
    there_and_back(&Cluster::shared().url(), 60);
}

/// D-07: no server uses a Redis that may evict, but what it has can be taken away from it, and it is said what is missing.
#[test]
fn d07_a_redis_that_evicts_can_be_left() {
    let (redis, target) = (Redis::start(), Home::new());
    let source = Home::on(&redis.url());
    let (kept, evicted) = (source.usual_client(), source.usual_client());
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let copying = || {
        let mut copying = command(&source, &target, &["-o", "json"]);
        copying.env("JETON_MASTER_KEY_FILE", source.folder.path().join("master-key"));
        copying.output().unwrap()
    };
    refused(&source.run(&["client", "list"]), 78, "maxmemory-policy allkeys-lru");
    redis.cli(&["DEL", &format!("{{jeton}}:client:{}", evicted.id)]);
    refused(&copying(), 1, &format!("client {} is listed but gone", evicted.id));
    redis.cli(&["ZREM", "{jeton}:clients", &evicted.id]);
    let output = copying();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("the source: Redis has maxmemory-policy allkeys-lru: what it evicted is gone"), "{told}");
    let value = json_of(&output);
    assert_eq!((&value["state"], &value["clients"]["target"]["count"]), (&"done".into(), &1.into()));
    std::fs::copy(source.folder.path().join("master-key"), target.master_key()).unwrap();
    let server = target.serve(GENEROUS);
    assert_eq!(server.ask_patiently(&kept, GRANT).status, 200);
}

#[test]
fn a_copy_to_redis_that_is_killed_is_completed_and_its_backup_serves() {
    let (redis, source, count) = (Redis::start(), Home::new(), 4_000);
    let known = source.usual_client();
    source.fill_with_clients(count);
    let target = Home::on(&redis.url());
    // The servers of both need the same key.
    let key = target.folder.path().join("master-key");
    let copying = || {
        let mut copying = command(&source, &target, &["-o", "json"]);
        copying.env("JETON_MASTER_KEY_FILE", &key);
        copying
    };
    refused(&copying().output().unwrap(), 78, "is not the one that the source was made with");
    std::fs::copy(source.master_key(), &key).unwrap();
    let mut killed = copying().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("some clients were copied", || {
        assert!(killed.try_wait().unwrap().is_none(), "the copy was done before it could be killed");
        (redis.cli(&["ZCARD", "{jeton}:clients"]).parse::<u32>().unwrap() > 700).then_some(())
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    refused(&target.run(&["serve"]), 78, "this store holds a part of sqlite:");
    let value = json_of(&copying().output().unwrap());
    assert_eq!(value["clients"]["target"], value["clients"]["source"]);
    assert_eq!((&value["clients"]["target"]["count"], &value["master_key"]), (&(count + 1).into(), &"matches".into()));
    assert!(value["clients"]["written"].as_u64().unwrap() < u64::from(count) - 600, "{value}: not all again");
    let server = target.serve(GENEROUS);
    assert_eq!(server.ask_patiently(&known, GRANT).status, 200);
    let report = server.home.json(&["store", "check"]);
    assert_eq!((&report["backend"], &report["clients"]), (&"redis".into(), &(count + 1).into()));
    assert_eq!(report["problems"], serde_json::json!([]));
    // While it runs.
    let restored = Home::new();
    let file = restored.database.to_str().unwrap();
    assert_eq!(server.home.json(&["store", "backup", file])["backup"], file);
    refused(&server.home.run(&["store", "backup", file]), 1, "exists already: name a file that does not");
    std::fs::copy(&key, restored.master_key()).unwrap();
    let report = restored.json(&["store", "check"]);
    assert_eq!((&report["clients"], &report["problems"]), (&(count + 1).into(), &serde_json::json!([])));
    let restored = restored.serve(GENEROUS);
    assert_eq!(restored.ask_patiently(&known, GRANT).status, 200);
}
