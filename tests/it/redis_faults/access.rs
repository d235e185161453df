//! Redis does not let us in: passwords, access lists, certificates.

use std::fs;
use std::time::Instant;

use crate::support::certificates::Certificates;
use crate::support::drill::Drill;
use crate::support::redis::Redis;
use crate::support::sentinel::Sentinels;
use crate::support::{GENEROUS, GRANT, Home, wait_for};

/// D-13: the password changes under a running server: said clearly, once, without it; the new one is taken from its file
/// without a restart.
#[test]
fn d13_a_password_that_changes_is_an_outage_until_its_file_has_the_new_one() {
    let (redis, folder) = (Redis::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("password");
    fs::write(&file, "sesame-first\n").unwrap();
    redis.cli(&["CONFIG", "SET", "requirepass", "sesame-first"]);
    let redis = redis.with_password("sesame-first");
    let drill = Drill::with(&redis.url(), &[("JETON_STORE__REDIS_PASSWORD_FILE", file.to_str().unwrap())]);
    redis.cli(&["CONFIG", "SET", "requirepass", "sesame-second"]);
    let redis = redis.with_password("sesame-second");
    let began = Instant::now();
    // Connections that are there already may stay; a new one shows it.
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    drill.expect_outage();
    let said = drill.node.log_text();
    assert!(said.contains("WRONGPASS") || said.contains("password") || said.contains("denied"), "{said}");
    fs::write(&file, "sesame-second\n").unwrap();
    drill.expect_recovery();
    let stopped = drill.finish();
    let said = stopped.node.log_text();
    assert!(!said.contains("sesame"), "{said}");
    // Two sentences, each at most once a second and worker; what asks meanwhile does so hundreds of times a second.
    let most = 40 + 4 * began.elapsed().as_secs();
    assert!((said.lines().count() as u64) < most, "said once in a while, not for every try: {said}");
}

/// D-13: the access list lacks a command that is needed: writes are refused, and the log says which one.
#[test]
fn d13_an_access_list_that_lacks_a_command_is_said_and_over_when_it_is_given() {
    let redis = Redis::start();
    redis.cli(&["ACL", "SETUSER", "mint", "on", ">sesame", "~*", "&*", "+@all"]);
    let drill = Drill::over(&redis.url_as("mint", "sesame"), &redis.url());
    let token = drill.node.ask(&drill.known, GRANT).access_token();
    redis.cli(&["ACL", "SETUSER", "mint", "-evalsha", "-eval", "-fcall"]);
    wait_for("a revocation is refused", || (drill.node.revoke(&drill.known, &token).status == 503).then_some(()));
    drill.wait_for_tokens(50);
    redis.cli(&["ACL", "SETUSER", "mint", "+@all"]);
    drill.expect_recovery();
    assert_eq!(drill.node.revoke(&drill.known, &token).status, 200);
    redis.cli(&["ACL", "SETUSER", "mint", "off"]);
    redis.cli(&["CLIENT", "KILL", "USER", "mint"]);
    drill.expect_outage();
    redis.cli(&["ACL", "SETUSER", "mint", "on"]);
    drill.expect_recovery();
    let stopped = drill.finish();
    assert!(!stopped.node.log_text().contains("sesame"));
    stopped.pulse.expect_unbroken();
}

/// D-13: the sentinels have a password of their own, which is not that of Redis.
#[test]
fn d13_sentinels_with_a_password_answer_who_has_it_in_a_file() {
    let sentinels = Sentinels::with_password("sesame-sentinel");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "sesame-sentinel\n").unwrap();
    let refused = Home::on(&sentinels.url()).run(&["client", "list"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.lines().count() == 1 && said.contains("NOAUTH"), "{said}");
    let setting = [("JETON_STORE__REDIS_SENTINEL_PASSWORD_FILE", file.to_str().unwrap())];
    let home = Home::on_with(&sentinels.url(), &setting);
    let client = home.usual_client();
    let node = home.serve(GENEROUS);
    assert_eq!((node.ops("/readyz").status, node.ask(&client, GRANT).status), (200, 200));
    fs::write(&file, "sesame-wrong\n").unwrap();
    let refused = node.home.run(&["client", "list"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1) && said.contains("authentication failed") && !said.contains("sesame"),
        "{said}"
    );
    assert!(!node.log_text().contains("sesame"));
}

/// D-14: a certificate by another authority, an expired one, one for another name, no TLS at all: refused, all of them.
#[test]
fn d14_a_redis_that_cannot_prove_who_it_is_gets_nothing() {
    let (good, other, stale) = (Certificates::new(), Certificates::new(), Certificates::as_of("-3d"));
    let trusting = |url: &str, certificates: &Certificates| {
        let ca = certificates.path("ca.pem").display().to_string();
        Home::on_with(url, &[("JETON_STORE__REDIS_CA_FILE", &ca)])
    };
    let redis = Redis::with_tls(&good);
    let home = trusting(&redis.url(), &good);
    let client = home.usual_client();
    let node = home.serve(GENEROUS);
    assert_eq!((node.ops("/readyz").status, node.ask(&client, GRANT).status), (200, 200));
    let (plain, expired) = (Redis::start(), Redis::with_tls(&stale));
    let spoken_to = plain.url().replace("redis://", "rediss://");
    for (what, url, trusted) in [
        ("another authority", redis.url(), &other),
        ("expired", expired.url(), &stale),
        ("another name", redis.url().replace("127.0.0.1", "localhost"), &good),
        ("no TLS", spoken_to, &good),
    ] {
        let output = trusting(&url, trusted).run(&["client", "list"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.lines().count() == 1, "{what}: {said}");
    }
}
