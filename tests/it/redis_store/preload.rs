//! What a server reads before anybody asks, and what it does in turn with the others.

use std::time::Duration;

use jeton::clock::UnixDay;
use jeton::oauth::Client;
use jeton::store::SecretUse;

use super::{client, open};
use crate::support::faults::block_on;
use crate::support::redis::Redis;
use crate::support::{GENEROUS, GRANT, Home, Server, wait_for};

fn used(client: &Client, day: u32) -> SecretUse {
    SecretUse { client: client.id.clone(), secret: client.secrets[0].id.clone(), day: UnixDay(day) }
}

/// How often Redis was asked something since its counts began.
fn calls(redis: &Redis, command: &str) -> u32 {
    let counts = redis.cli(&["INFO", "commandstats"]);
    let line = counts.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// How often a server asked its store for one client.
fn lookups(node: &Server) -> u64 {
    let series = "jeton_store_operation_duration_seconds_count{backend=\"redis\",operation=\"find_client\"} ";
    let text = node.ops("/metrics").text();
    text.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn clients_are_listed_by_their_last_use() {
    let redis = Redis::start();
    let store = open(&redis.url());
    let [a, b, c, d] = ["c_a", "c_b", "c_c", "c_d"].map(client);
    block_on(async {
        for client in [&a, &b, &c, &d] {
            store.put_client(client.clone()).await.unwrap();
        }
        store.put_secret_uses(vec![used(&a, 7), used(&b, 9), used(&c, 8)]).await.unwrap();
        let list = async |skip, limit| -> Vec<String> {
            let found = store.list_recent_clients(skip, limit).await.unwrap();
            found.iter().map(|client| client.id.to_string()).collect()
        };
        assert_eq!(list(0, 10).await, ["c_b", "c_c", "c_a"], "one that was never used is not in it");
        assert_eq!((list(0, 2).await, list(2, 2).await), (vec!["c_b".into(), "c_c".into()], vec!["c_a".into()]));
        assert_eq!((list(3, 2).await.len(), list(0, 0).await.len()), (0, 0));
        store.put_secret_uses(vec![used(&a, 9), used(&a, 10), used(&b, 1)]).await.unwrap();
        store.remove_client(&c.id, 1).await.unwrap();
        assert_eq!(list(0, 10).await, ["c_a", "c_b"]);
        redis.cli(&["SET", "{jeton}:client:c_b", "1 1 forged {}"]);
        assert_eq!(list(0, 10).await, ["c_a"], "what cannot be read keeps nobody from the others");
    });
}

#[test]
fn a_use_that_another_server_noted_costs_one_look() {
    let redis = Redis::start();
    let (one, other) = (open(&redis.url()), open(&redis.url()));
    block_on(async {
        let clients: Vec<Client> = (0..20).map(|number| client(&format!("c_{number}"))).collect();
        for client in &clients {
            one.put_client(client.clone()).await.unwrap();
        }
        let uses: Vec<SecretUse> = clients.iter().map(|client| used(client, 7)).collect();
        one.put_secret_uses(uses.clone()).await.unwrap();
        other.put_secret_uses(uses.clone()).await.unwrap();
        redis.cli(&["CONFIG", "RESETSTAT"]);
        other.put_secret_uses(uses).await.unwrap();
        let asked = ["evalsha", "hget", "hset", "zadd", "publish", "xadd"].map(|command| calls(&redis, command));
        assert_eq!(asked, [1, 20, 0, 0, 0, 0], "and nobody is called");
        assert_eq!(other.list_secret_uses(&clients[3].id).await.unwrap().last, [used(&clients[3], 7)]);
    });
}

#[test]
fn one_of_all_servers_has_the_turn_in_each_period() {
    let redis = Redis::start();
    let stores = [open(&redis.url()), open(&redis.url()), open(&redis.url())];
    let period = Duration::from_secs(2);
    let turns = || {
        let taken = stores.iter().map(|store| block_on(async { store.take_turn("sweep", period).await.unwrap() }));
        taken.filter(|taken| *taken).count()
    };
    for _ in 0..2 {
        assert_eq!(turns(), 1);
        assert!(block_on(async { stores[0].take_turn("other", Duration::from_millis(1)).await.unwrap() }));
        wait_for("the period ends", || (redis.cli(&["EXISTS", "{jeton}:turn:sweep"]) == "0").then_some(()));
        wait_for("the other one too", || (redis.cli(&["EXISTS", "{jeton}:turn:other"]) == "0").then_some(()));
    }
}

/// A fleet that is restarted does not ask Redis for each client anew.
#[test]
fn a_fresh_server_answers_its_first_tokens_without_asking_the_store() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    home.usual_client();
    let (clients, stranger) = (home.add_clients(30), home.add_clients(1).remove(0));
    let first = home.serve(GENEROUS);
    for client in &clients {
        assert_eq!(first.ask_patiently(client, GRANT).status, 200);
    }
    wait_for("their uses are noted", || (redis.cli(&["ZCARD", "{jeton}:recent"]) == "30").then_some(()));
    let answers = |node: &Server| clients.iter().all(|client| node.ask(client, GRANT).status == 200);
    let fresh = Home::on(&redis.url()).serve(GENEROUS);
    assert!(answers(&fresh));
    assert_eq!(lookups(&fresh), 0);
    assert_eq!((fresh.ask_patiently(&stranger, GRANT).status, lookups(&fresh)), (200, 1), "others are looked up");
    // What was brought into memory is followed like all that is in it.
    let id = &clients[7].id;
    assert!(fresh.home.run(&["client", "disable", id]).status.success());
    wait_for("it is refused", || (fresh.ask(&clients[7], GRANT).status == 401).then_some(()));
    assert!(fresh.home.run(&["client", "enable", id]).status.success());
    wait_for("it is served", || (fresh.ask(&clients[7], GRANT).status == 200).then_some(()));
    let few = Home::on(&redis.url()).serve(&format!("{GENEROUS}[store]\npreload_clients = 3\n"));
    // Whichever three of them were used last, as the servers have noted it by then.
    assert!(answers(&few) && few.ask(&stranger, GRANT).status == 200);
    assert_eq!(lookups(&few), 31 - 3);
}

/// It is a guess: a server without it is ready all the same.
#[test]
fn a_server_that_cannot_read_beforehand_serves() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let client = home.usual_client();
    redis.cli(&["ACL", "SETUSER", "mint", "on", ">sesame", "~*", "&*", "+@all", "-zrange"]);
    let node = Home::on(&redis.url_as("mint", "sesame")).serve(GENEROUS);
    assert_eq!((node.ops("/readyz").status, node.ask_patiently(&client, GRANT).status), (200, 200));
    wait_for("it is said", || node.log_text().contains("could not be read beforehand").then_some(()));
}
