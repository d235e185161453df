//! `jeton quickstart`: the whole flow, as it is printed and as it can be repeated by hand.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::printed;
use crate::support::{claims, jeton, need, wait_for};

/// What follows `name` on its line.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).trim()
}

#[test]
fn once_prints_the_flow_with_its_refusals_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(&jeton().arg("quickstart").arg("--once").arg("--dir").arg(folder.path()).output().unwrap());
    let mut rest = text.as_str();
    for expected in [
        "1. The authorization server runs",
        "2. A backend is registered",
        "3. The backend trades its secret for a token",
        "grant_type=client_credentials",
        "200 OK",
        "4. A resource server checks tokens",
        "GET /orders without a token",
        "401 Unauthorized a token is needed",
        "GET /orders with the token",
        "200 OK hello c_",
        "GET /orders with a forged token",
        "401 Unauthorized the token is refused: the signature does not match",
        "GET /orders with a token for another audience",
        "401 Unauthorized the token is refused: meant for another audience",
        "5. Your turn",
    ] {
        let at = rest.find(expected).unwrap_or_else(|| panic!("{expected} is not in {rest}"));
        rest = &rest[at + expected.len()..];
    }
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))) {
        let whole = (word.starts_with("jtn_") && word.len() > 12) || (word.starts_with("eyJ") && word.len() > 12);
        assert!(!whole, "a whole secret or token: {word}");
    }
    assert!(text.contains("jtn_") && text.contains("\"access_token\":\"eyJ"), "shortened, but there");
    assert!(folder.path().join("jeton.db").exists() && folder.path().join("jeton.db.master-key").exists());
}

#[test]
fn the_curl_line_works_until_the_server_is_told_to_stop() {
    need("curl");
    let folder = tempfile::tempdir().unwrap();
    let mut process = jeton();
    process.arg("quickstart").arg("--dir").arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = process.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut text = String::new();
    let curl = lines.by_ref().find(|line| {
        text.push_str(line);
        text.push('\n');
        line.starts_with("curl ")
    });
    let curl = curl.unwrap_or_else(|| panic!("no curl line in {text}"));
    let output = Command::new("sh").args(["-c", &format!("{curl} --silent --show-error")]).output().unwrap();
    let answer: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert_eq!(answer["scope"], "orders:read orders:write");
    let said = claims(answer["access_token"].as_str().unwrap());
    assert_eq!((&said["iss"], &said["sub"]), (&value(&text, "issuer").into(), &value(&text, "client id").into()));
    let stopped = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let status = wait_for("it ends", || process.try_wait().unwrap());
    let mut complaints = String::new();
    process.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    assert_eq!((status.code(), complaints.as_str()), (Some(0), ""));
}

#[test]
fn a_second_run_in_the_same_folder_works_and_a_folder_that_cannot_be_is_78() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        printed(&jeton().arg("quickstart").arg("--once").arg("--dir").arg(folder.path()).output().unwrap());
    }
    std::fs::write(folder.path().join("file"), "").unwrap();
    let output =
        jeton().arg("quickstart").arg("--once").arg("--dir").arg(folder.path().join("file/x")).output().unwrap();
    super::refused(&output, 78, "cannot be made: ");
}
