//! `jeton store copy`, as a person and a script meet it: from file to file, beside running servers, killed and repeated.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use jeton::store::{OpenMode, StoreUrl};
use serde_json::Value;

use super::*;
use crate::support::{Answer, GENEROUS, GRANT, Home, Server, claims, jeton, need, wait_for};

/// `store copy` between two homes.
pub fn command(from: &Home, to: &Home, flags: &[&str]) -> Command {
    let mut command = jeton();
    command.args(["store", "copy", "--from", &from.url(), "--to", &to.url()]).args(flags);
    command
}

pub fn json_of(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn refused(output: &Output, code: i32, sentence: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(sentence) && output.stdout.is_empty(), "{text}");
}

fn post(server: &Server, path: &str, by: &crate::support::Client, form: &str) -> Answer {
    let mut wire = server.wire();
    wire.post(path, &[("Authorization", &by.basic())], form);
    wire.answer()
}

/// What the introspection endpoint says of a token, asked by `by`.
fn is_active(server: &Server, by: &crate::support::Client, token: &str) -> bool {
    let answer = post(server, "/oauth2/introspect", by, &format!("token={token}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["active"].as_bool().unwrap()
}

#[test]
fn a_copy_serves_what_its_source_served() {
    let (server, client) = Server::usual();
    let opaque = server.home.add_client(&["--scope", "read", "--format", "opaque"]);
    let token = |of| server.ask_patiently(of, GRANT).access_token();
    let (kept, revoked, kept_opaque, revoked_opaque) = (token(&client), token(&client), token(&opaque), token(&opaque));
    for (by, gone) in [(&client, &revoked), (&opaque, &revoked_opaque)] {
        assert_eq!(post(&server, "/oauth2/revoke", by, &format!("token={gone}")).status, 200);
    }
    let target = Home::new();
    let output = command(&server.home, &target, &["-o", "json"]).output().unwrap();
    let value = json_of(&output);
    let counts =
        ["clients", "tokens", "revocations", "keys"].map(|part| value[part]["target"]["count"].as_u64().unwrap());
    assert_eq!(
        (counts, value["state"].as_str(), value["master_key"].as_str()),
        ([2, 2, 2, 2], Some("done"), Some("missing"))
    );
    for part in ["clients", "secret_uses", "tokens", "revocations", "assertions", "keys"] {
        assert_eq!(value[part]["source"], value[part]["target"], "{part}");
    }
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("put it there (mode 0600) before a server starts"), "{told}");
    refused(&target.run(&["serve"]), 78, "master-key is missing");
    std::fs::copy(server.home.master_key(), target.master_key()).unwrap();
    let issuer = server.url();
    let copy = target.serve(&format!("issuer = \"{issuer}\"\n{GENEROUS}"));
    let header = |token: &str| crate::support::segment(token, 0);
    let fresh = copy.ask_patiently(&client, GRANT).access_token();
    assert_eq!(header(&fresh)["kid"], header(&kept)["kid"], "the same key signs");
    assert_eq!(claims(&fresh)["client_id"], client.id.as_str());
    for (by, token, active) in [
        (&client, &kept, true),
        (&client, &revoked, false),
        (&opaque, &kept_opaque, true),
        (&opaque, &revoked_opaque, false),
    ] {
        assert_eq!(is_active(&copy, by, token), active, "{token}");
    }
}

#[test]
fn a_copy_that_is_killed_is_completed_by_the_same_command() {
    let (source, target, count) = (Home::new(), Home::new(), 12_000);
    let known = source.usual_client();
    source.fill_with_clients(count);
    let mut copying = command(&source, &target, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let half = StoreUrl::Sqlite(target.database.clone());
    wait_for("some clients were copied", || {
        assert!(copying.try_wait().unwrap().is_none(), "the copy was done before it could be killed");
        let store = half.open(OpenMode::MustExist).ok()?;
        run(store.list_clients(None, 1500)).ok().filter(|clients| clients.len() == 1500)
    });
    copying.kill().unwrap();
    copying.wait().unwrap();
    std::fs::copy(source.master_key(), target.master_key()).unwrap();
    refused(&target.run(&["serve"]), 78, "this store holds a part of sqlite:");
    refused(&target.run(&["client", "add", "x"]), 78, "run 'jeton store copy' again, which completes it");
    need("script");
    // On a terminal, which 'script' is, the progress is one line that is written over.
    let again = command(&source, &target, &["-o", "json"]);
    let line = std::iter::once(again.get_program()).chain(again.get_args()).map(|word| word.to_str().unwrap());
    let line = line.collect::<Vec<_>>().join(" ");
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("\r\x1b[Kpass 1: clients, "), "{text:?}");
    let value: Value = serde_json::from_str(text.rsplit("\x1b[K").next().unwrap().trim()).unwrap();
    let clients = &value["clients"];
    assert_eq!((&clients["source"]["count"], &clients["target"]), (&(count + 1).into(), &clients["source"]));
    assert!(
        (1..=u64::from(count) + 1 - 1500).contains(&clients["written"].as_u64().unwrap()),
        "{clients}: not all again"
    );
    refused(&command(&source, &target, &[]).output().unwrap(), 1, "the target is not empty and no copy of this source");
    assert_eq!(target.json(&["store", "check"])["problems"], serde_json::json!([]));
    let server = target.serve(GENEROUS);
    assert_eq!(server.ask_patiently(&known, GRANT).status, 200);
}

#[test]
fn a_target_with_another_master_key_is_refused_before_anything_is_written() {
    let (source, target, other) = (Home::new(), Home::new(), Home::new());
    source.add_client(&[]);
    other.add_client(&[]);
    std::fs::copy(other.master_key(), target.master_key()).unwrap();
    let refusal = command(&source, &target, &[]).output().unwrap();
    refused(&refusal, 78, "is not the one that the source was made with: put that one there");
    assert!(!target.database.exists());
    std::fs::copy(source.master_key(), target.master_key()).unwrap();
    let value = json_of(&command(&source, &target, &["-o", "json"]).output().unwrap());
    assert_eq!(value["master_key"], "matches");
    for (from, to, code, sentence) in [
        ("memory:", target.url(), 2, "nothing can be copied"),
        ("sqlite:", target.url(), 78, "--from must be"),
        ("sqlite:/nowhere/a.db", target.url(), 78, "does not exist"),
        (source.url().as_str(), source.url(), 1, "the target is not empty"),
    ] {
        let output = jeton().args(["store", "copy", "--from", from, "--to", &to]).output().unwrap();
        refused(&output, code, sentence);
    }
    refused(&command(&source, &source, &["--replace-target"]).output().unwrap(), 1, "are the same store");
    source.add_client(&[]);
}

/// A copy that follows, once it has caught up.
pub struct Following {
    process: Child,
}

impl Following {
    /// `copy` is the command without its flags.
    pub fn begin(copy: &mut Command) -> Self {
        let copy = copy.args(["--follow", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = copy.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it did not catch up: {line:?}"));
        assert_eq!(value["state"], "following");
        Self { process }
    }

    pub fn stop(mut self) {
        assert!(Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap().success());
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn while_a_copy_follows_a_change_on_either_side_acts_on_both() {
    let (old, client) = Server::usual();
    let target = Home::new();
    std::fs::copy(old.home.master_key(), target.master_key()).unwrap();
    let following = Following::begin(&mut command(&old.home, &target, &[]));
    let new = target.serve(&format!("issuer = \"{}\"\n{GENEROUS}", old.url()));
    for (at, other) in [(&old, &new), (&new, &old)] {
        let token = at.ask_patiently(&client, GRANT).access_token();
        assert!(is_active(other, &client, &token));
        assert_eq!(post(at, "/oauth2/revoke", &client, &format!("token={token}")).status, 200);
        wait_for("the other side knows", || (!is_active(other, &client, &token)).then_some(()));
    }
    let late = old.home.add_client(&[]);
    wait_for("a new client is known there", || (new.ask(&late, GRANT).status == 200).then_some(()));
    refused(&new.home.run(&["client", "disable", &late.id]), 1, "change clients and keys there");
    refused(&new.home.run(&["key", "rotate"]), 1, "change clients and keys there");
    old.home.json(&["client", "disable", &late.id]);
    wait_for("it is disabled there, too", || (new.ask(&late, GRANT).status == 401).then_some(()));
    following.stop();
    // Killed instead of stopped, it would have been the same: it goes on where it was.
    let value = json_of(&command(&old.home, &new.home, &["--retire-source", "-o", "json"]).output().unwrap());
    assert_eq!((&value["state"], &value["clients"]["written"]), (&"done".into(), &0.into()));
    refused(&old.home.run(&["client", "enable", &late.id]), 78, "this store was moved to sqlite:");
    new.home.json(&["client", "enable", &late.id]);
    wait_for("the target stands for itself", || (new.ask(&late, GRANT).status == 200).then_some(()));
}
