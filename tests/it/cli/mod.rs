//! The commands, as a person and as a script meets them.

mod arguments;
mod bench;
mod clients;
mod configuration;
mod quickstart;
mod rosters;
mod secrets;
mod stores;
mod tokens;

use std::process::Output;

use serde_json::Value;

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a command that succeeds prints.
fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{} {}", stdout(output), stderr(output));
    stdout(output)
}

/// The JSON objects that a command that succeeds prints, one per line.
fn objects(output: &Output) -> Vec<Value> {
    printed(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// A command that fails prints nothing but one sentence, which begins with the program's name.
fn refused(output: &Output, code: i32, sentence: &str) {
    let text = stderr(output);
    assert_eq!((output.status.code(), stdout(output).as_str()), (Some(code), ""), "{text}");
    assert!(text.contains(sentence), "{text}");
    assert!(!text.contains("panicked") && !text.contains("Error {") && !text.contains("RUST_BACKTRACE"), "{text}");
    if code != 2 {
        assert!(text.starts_with("jeton: ") && text.lines().count() == 1, "{text}");
    }
}
