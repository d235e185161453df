//! Whoever can write to Redis can take away, but not make or alter.

use jeton::oauth::Client;
use jeton::store::{KeyRecords, StoreError, TokenRecord};

use super::{client, is_corrupt, master, open};
use crate::support::faults::block_on;
use crate::support::redis::Redis;

#[test]
fn d24_a_record_that_was_altered_or_moved_is_damage() {
    let redis = Redis::start();
    let store = open(&redis.url());
    block_on(async {
        store.put_client(client("c_a")).await.unwrap();
        store.put_client(client("c_b")).await.unwrap();
        let held = redis.cli(&["GET", "{jeton}:client:c_a"]);
        assert!(held.starts_with("1 1 ") && held.contains("\"scope\":\"read\""), "{held}");
        redis.cli(&["SET", "{jeton}:client:c_a", &held.replace("\"read\"", "\"read admin\"")]);
        assert!(is_corrupt(&store.find_client("c_a").await));
        let changed = Client { revision: 1, ..client("c_a") };
        assert!(is_corrupt(&store.put_client(changed).await), "nor does a write take it for good");
        assert!(is_corrupt(&store.list_clients(None, 10).await));
        redis.cli(&["SET", "{jeton}:client:c_a", &held.replace("1 1 ", "1 2 ")]);
        assert!(is_corrupt(&store.find_client("c_a").await), "another revision");
        redis.cli(&["SET", "{jeton}:client:c_b", &held]);
        assert!(is_corrupt(&store.find_client("c_b").await), "another client's");
        redis.cli(&["SET", "{jeton}:client:c_c", &held.replace("c_a", "c_c")]);
        assert!(is_corrupt(&store.find_client("c_c").await), "a new one");
        redis.cli(&["SET", "{jeton}:client:c_a", &held]);
        assert_eq!(store.find_client("c_a").await.unwrap(), Some(Client { revision: 1, ..client("c_a") }));
    });
}

#[test]
fn d24_neither_keys_nor_tokens_are_made_by_others() {
    let redis = Redis::start();
    let store = open(&redis.url());
    block_on(async {
        store.put_keys(KeyRecords { check: master().check(), keys: Vec::new(), revision: 0 }).await.unwrap();
        let held = redis.cli(&["GET", "{jeton}:keys"]);
        redis.cli(&["SET", "{jeton}:keys", &held.replace("1 1 ", "1 9 ")]);
        assert!(is_corrupt(&store.find_keys().await));
        let digest = master().token_hasher().hash("t");
        let token = TokenRecord {
            digest,
            id: jeton::jwt::TokenId([1; 16]),
            client: client("c_a").id,
            scope: client("c_a").scope,
            audience: Vec::new(),
            issued_at: client("c_a").created_at,
            expires_at: client("c_a").created_at,
        };
        store.put_token(token.clone()).await.unwrap();
        let name = redis.cli(&["--no-raw", "KEYS", "{jeton.*}:token:*"]);
        let eval = "local k = redis.call('KEYS', '{jeton.*}:token:*')[1]; local v = redis.call('GET', k); \
                    return redis.call('SET', k, (string.gsub(v, '\"read\"', '\"write\"')))";
        redis.cli(&["EVAL", eval, "0"]);
        let found = store.find_token(digest).await;
        assert!(is_corrupt(&found), "{name}: {found:?}");
    });
}

#[test]
fn another_master_key_is_told_from_damage() {
    let redis = Redis::start();
    let store = open(&redis.url());
    let other = jeton::keys::MasterKey::from_random([8; 32]);
    block_on(async {
        store.put_keys(KeyRecords { check: master().check(), keys: Vec::new(), revision: 0 }).await.unwrap();
        let options = jeton::store::StoreOptions {
            seal: Some(jeton::keys::RecordSeal::new(&other)),
            ..jeton::store::StoreOptions::default()
        };
        let url = jeton::store::StoreUrl::parse(&redis.url()).unwrap();
        let foreign = url.open_with(jeton::store::OpenMode::MustExist, &options).unwrap();
        let keys = foreign.find_keys().await.unwrap().unwrap();
        assert_ne!(keys.check, other.check(), "by which everybody sees that it is the wrong one");
        assert!(matches!(url.open(jeton::store::OpenMode::MustExist), Err(StoreError::Unusable(_))), "none is no way");
    });
}
