//! Opaque tokens: made, looked into and cut off like signed ones, and known to the store alone.

use std::process::Command;

use jeton::clock::Clock;
use serde_json::{Value, json};

use super::{INTROSPECT, REVOKE, Scene, inactive};
use crate::support::{API, GENEROUS, GRANT, Home, OTHER_API, Server, claims, need, wait_for};

/// As [`Scene::new`], with a client whose tokens are opaque.
fn scene(more: &[&str]) -> Scene {
    scene_in(Home::new(), more)
}

fn scene_in(home: Home, more: &[&str]) -> Scene {
    let usual = ["--scope", "read write", "--audience", API, "--audience", OTHER_API, "--format", "opaque"];
    let client = home.add_client(&[&usual, more].concat());
    let api = home.add_client(&["--serves", API, "--tokens", "false"]);
    Scene { server: home.serve(GENEROUS), client, api }
}

/// How many opaque tokens the store holds.
fn rows(server: &Server) -> u64 {
    need("sqlite3");
    let output =
        Command::new("sqlite3").arg(&server.home.database).arg("SELECT count(*) FROM tokens").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn members(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

#[test]
fn i05_i11_t200_an_opaque_token_is_answered_and_described_like_a_signed_one() {
    let scene = scene(&[]);
    let signing = scene.server.home.usual_client();
    let (answer, usual) = (scene.server.ask(&scene.client, GRANT), scene.server.ask(&signing, GRANT));
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), (Some("no-store"), Some("no-cache")));
    let (answer, usual) = (answer.json(), usual.json());
    for member in ["token_type", "expires_in", "scope"] {
        assert_eq!(answer[member], usual[member]);
    }
    assert_eq!(members(&answer), members(&usual));
    let [token, signed] = [&answer, &usual].map(|answer| answer["access_token"].as_str().unwrap());
    assert!(token.starts_with("jto_") && token.len() == 53, "{token}");
    let (said, of_signed) = (scene.introspect(&scene.api, token), scene.introspect(&scene.api, signed));
    assert_eq!(members(&said), members(&of_signed));
    for member in ["active", "aud", "iss", "scope", "token_type"] {
        assert_eq!(said[member], of_signed[member], "{member}");
    }
    assert_eq!((&said["sub"], &said["client_id"]), (&json!(scene.client.id), &json!(scene.client.id)));
    assert_eq!(said["exp"].as_u64().unwrap() - said["iat"].as_u64().unwrap(), 3600);
    assert!(said["jti"].as_str().unwrap().len() == 22 && !token.contains(said["jti"].as_str().unwrap()));
    assert_ne!(scene.introspect(&scene.api, &scene.token())["jti"], said["jti"]);
    let narrow = scene.server.ask(&scene.client, &format!("{GRANT}&scope=read&resource={API}"));
    let narrow = scene.introspect(&scene.api, &narrow.access_token());
    assert_eq!((&narrow["scope"], &narrow["aud"]), (&"read".into(), &API.into()));
}

#[test]
fn i06_i07_i08_nobody_else_learns_of_an_opaque_token_and_nothing_near_it_is_one() {
    let scene = scene(&[]);
    let (token, stranger) = (scene.token(), scene.server.home.usual_client());
    assert_eq!(scene.introspect(&scene.client, &token)["active"], true, "its own");
    assert_eq!(scene.introspect(&stranger, &token), inactive(), "not for it");
    let unknown = jeton::oauth::OpaqueToken::from_random([7; 32]).expose().to_owned();
    let slip = if token.as_bytes()[10] == b'A' { "B" } else { "A" };
    let mut slipped = token.clone();
    slipped.replace_range(10..=10, slip);
    for near in
        [&unknown, &slipped, &token[..52], &format!("{token}A"), &token.to_lowercase(), "jto_", &scene.client.secret]
    {
        assert_eq!(scene.introspect(&scene.api, near), inactive(), "{near}");
        assert_eq!(scene.post(REVOKE, &scene.client, &format!("token={near}")).status, 200, "R-02: {near}");
    }
    assert!(scene.is_active(&token));
}

#[test]
fn r01_r02_r05_r10_i10_an_opaque_token_is_revoked_by_its_client_for_good_and_everywhere() {
    let mut scene = scene(&[]);
    let (token, other, stranger) = (scene.token(), scene.token(), scene.server.home.usual_client());
    let form = format!("token={token}&token_type_hint=refresh_token");
    let refused = scene.post(REVOKE, &stranger, &form);
    assert_eq!((refused.status, refused.error().as_str()), (400, "unauthorized_client"));
    let beside = scene.server.beside(&format!("issuer = \"{}\"\n{GENEROUS}", scene.server.url()));
    let there = |token: &str| {
        super::post(&beside, INTROSPECT, &[("Authorization", &scene.api.basic())], &format!("token={token}")).json()
    };
    assert!(there(&token)["active"] == true, "an opaque token needs no time to be known elsewhere");
    for _ in 0..2 {
        let answer = scene.post(REVOKE, &scene.client, &form);
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(scene.introspect(&scene.api, &token), inactive());
    }
    wait_for("the other server sees it", || (there(&token) == inactive()).then_some(()));
    scene.server.signal("-KILL");
    scene.server.wait_for_end();
    scene.server.restart(GENEROUS);
    assert_eq!(scene.introspect(&scene.api, &token), inactive());
    assert!(scene.is_active(&other), "what was issued survives, too");
}

#[test]
fn i09_r14_what_happens_to_the_client_happens_to_its_opaque_tokens() {
    let scene = scene(&[]);
    let (home, token) = (&scene.server.home, scene.token());
    let turns = |what: &str, active: bool| wait_for(what, || (scene.is_active(&token) == active).then_some(()));
    turns("the token is good", true);
    home.json(&["client", "disable", &scene.client.id]);
    turns("a disabled client's token", false);
    home.json(&["client", "enable", &scene.client.id]);
    turns("an enabled client's token", true);
    home.json(&["client", "revoke-tokens", &scene.client.id]);
    turns("all of its tokens are revoked", false);
}

#[test]
fn an_opaque_token_is_kept_as_a_digest_before_it_is_answered_and_a_signed_one_is_not_kept() {
    let mut scene = scene(&[]);
    let signing = scene.server.home.usual_client();
    assert_eq!((scene.server.ask(&signing, GRANT).status, rows(&scene.server)), (200, 0));
    let token = scene.token();
    scene.server.signal("-KILL");
    scene.server.wait_for_end();
    assert_eq!(rows(&scene.server), 1);
    for file in std::fs::read_dir(scene.server.home.folder.path()).unwrap().map(Result::unwrap) {
        let (bytes, random) = (std::fs::read(file.path()).unwrap(), &token.as_bytes()[4..]);
        assert!(!bytes.windows(random.len()).any(|window| window == random), "in clear in {:?}", file.path());
    }
    scene.server.restart(GENEROUS);
    assert!(scene.is_active(&token));
}

#[test]
fn i15_r09_without_the_store_no_opaque_token_is_issued_described_or_revoked() {
    // Registered before the server starts, so that no news of it makes the server ask the store again.
    let home = Home::new();
    let signing = home.usual_client();
    let scene = scene_in(home, &[]);
    let token = scene.token();
    assert_eq!(scene.server.ask(&signing, GRANT).status, 200);
    let database = &scene.server.home.database;
    std::fs::rename(database, database.with_extension("away")).unwrap();
    let refused = |answer: crate::support::Answer| {
        let honest = answer.status == 503 && answer.header("retry-after").is_some();
        assert!(honest && answer.json().get("access_token").is_none(), "{} {}", answer.status, answer.text());
    };
    refused(scene.server.ask(&scene.client, GRANT));
    refused(scene.post(REVOKE, &scene.client, &format!("token={token}")));
    let asked = || scene.post(INTROSPECT, &scene.api, &format!("token={token}"));
    wait_for("introspection has no answer", || Some(asked()).filter(|answer| answer.status == 503));
    assert_eq!(scene.server.ask(&signing, GRANT).status, 200, "signed tokens go on");
    std::fs::rename(database.with_extension("away"), database).unwrap();
    wait_for("the store is back", || Some(asked()).filter(|answer| answer.status == 200));
    wait_for("tokens are issued again", || Some(scene.server.ask(&scene.client, GRANT)).filter(|a| a.status == 200));
}

#[test]
fn i06_r11_an_expired_opaque_token_is_inactive_and_its_record_goes() {
    let mut scene = scene(&["--lifetime", "1s"]);
    let token = scene.token();
    let end = scene.introspect(&scene.client, &token)["exp"].as_u64();
    wait_for("the token expires", || (scene.introspect(&scene.client, &token) == inactive()).then_some(()));
    assert_eq!(scene.post(REVOKE, &scene.client, &format!("token={token}")).status, 200, "R-02");
    assert_eq!(rows(&scene.server), 1);
    scene.server.signal("-KILL");
    scene.server.wait_for_end();
    wait_for("the second of its end is over", || (Some(Clock::System.now().seconds()) > end).then_some(()));
    scene.server.restart(&format!(
        "{GENEROUS}[keys]\nclock_skew = \"0s\"\n[token]\nlifetime = \"1s\"\nmax_lifetime = \"1s\"\n"
    ));
    wait_for("the record is purged", || (rows(&scene.server) == 0).then_some(()));
}

#[test]
fn the_audit_log_names_an_opaque_token_and_does_not_show_it() {
    let home = Home::new();
    let client = home.add_client(&["--format", "opaque"]);
    let log = home.folder.path().join("audit.log");
    let server = home.serve(&format!("{GENEROUS}[audit]\noutput = \"{}\"\ntokens = \"all\"\n", log.display()));
    let token = server.ask(&client, GRANT).access_token();
    let scene = Scene { server, api: client.clone(), client };
    let jti = scene.introspect(&scene.client, &token)["jti"].clone();
    let text = wait_for("the token is written down", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("token.issued"))
    });
    let event: Value = serde_json::from_str(text.lines().find(|line| line.contains("token.issued")).unwrap()).unwrap();
    assert_eq!((&event["jti"], &event["client"]), (&jti, &scene.client.id.clone().into()));
    assert!(event.get("kid").is_none() && !text.contains(&token[4..]), "{text}");
}

#[test]
fn a_client_changes_its_format_on_a_running_server_and_its_older_tokens_stay_good() {
    let scene = Scene::new();
    let (id, signed) = (scene.client.id.as_str(), scene.token());
    let is_opaque = || scene.token().starts_with("jto_");
    assert!(!is_opaque());
    let shown = scene.server.home.json(&["client", "set", id, "--format", "opaque"]);
    assert_eq!(shown["format"], "opaque");
    wait_for("its tokens are opaque", || is_opaque().then_some(()));
    let opaque = scene.token();
    scene.server.home.json(&["client", "set", id, "--format", "jwt"]);
    wait_for("its tokens are signed again", || (!is_opaque()).then_some(()));
    assert!(scene.is_active(&signed) && scene.is_active(&opaque));
    assert_eq!(claims(&scene.token())["sub"], id);
    let wrong = scene.server.home.run(&["client", "set", id, "--format", "saml"]);
    assert_eq!(wrong.status.code(), Some(2));
}
