//! Help, usage, completions, and output that nobody reads.

use std::process::{Command, Stdio};

use super::{printed, refused, stderr, stdout};
use crate::support::{Home, jeton, need};

/// Every command and subcommand.
const COMMANDS: [&str; 25] = [
    "quickstart",
    "serve",
    "client add",
    "client list",
    "client show",
    "client set",
    "client disable",
    "client enable",
    "client remove",
    "client export",
    "client import",
    "client apply",
    "client secret add",
    "client secret list",
    "client secret remove",
    "client secret check",
    "key list",
    "key rotate",
    "token issue",
    "token inspect",
    "store check",
    "store backup",
    "config check",
    "config show",
    "bench",
];

#[test]
fn every_command_has_help_and_no_flag_takes_a_secret() {
    for command in COMMANDS.iter().chain(&["", "client", "client secret", "key", "token", "store", "config"]) {
        let text = printed(&jeton().args(command.split_whitespace()).arg("--help").output().unwrap());
        assert!(text.contains("Usage: jeton"), "{command}: {text}");
        assert!(text.lines().next().unwrap().len() > 10, "{command} says what it does");
        for word in text.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = word.trim_end_matches([',', '.']);
            let takes_secret = ["secret", "password", "private"].iter().any(|part| flag.contains(part));
            assert!(!takes_secret || flag.ends_with("-file"), "{command}: {flag}");
        }
    }
}

#[test]
fn a_usage_error_is_2_and_names_the_argument() {
    let home = Home::new();
    for (arguments, sentence) in [
        (&["nonsense"][..], "unrecognized subcommand 'nonsense'"),
        (&["client"], "Usage: jeton client"),
        (&["client", "add"], "<NAME>"),
        (&["client", "add", "x", "--scope", "a\"b"], "--scope"),
        (&["client", "add", "x", "--scope", "a  b"], "single spaces"),
        (&["client", "add", "x", "--audience", "api"], "such as https://"),
        (&["client", "add", "x", "--lifetime", "1"], "a whole number with a unit"),
        (&["client", "add", "x", "--lifetime", "999999d"], "at most 36500d"),
        (&["client", "add", "x", "--client-secret", "y"], "unexpected argument '--client-secret'"),
        (&["client", "show", "a b"], "an id has 1 to 128 characters"),
        (&["client", "list", "-o", "xml"], "possible values: auto, table, plain, json"),
        (&["client", "set", "c_1"], "nothing to change"),
        (&["token", "issue", "--client-id", "x"], "--issuer"),
        (&["completions", "tcsh"], "possible values"),
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
    assert!(!home.database.exists(), "a usage error makes no store");
    assert!(printed(&jeton().arg("--help").output().unwrap()).contains("2 usage, 78 bad configuration"));
    assert!(printed(&jeton().arg("--version").output().unwrap()).starts_with("jeton "));
}

#[test]
fn completions_are_scripts_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&jeton().args(["completions", shell]).output().unwrap());
        for word in ["quickstart", "rotate", "backup", "inspect", "client-secret-file"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    need("bash");
    let script = "source /dev/stdin <<< \"$1\"; COMP_WORDS=(jeton key ro); COMP_CWORD=2; _jeton jeton ro key; \
                  echo \"${COMPREPLY[@]}\"";
    let completions = printed(&jeton().args(["completions", "bash"]).output().unwrap());
    let output = Command::new("bash").args(["-c", script, "bash", &completions]).output().unwrap();
    assert_eq!(printed(&output).trim(), "rotate", "{}", stderr(&output));
}

#[test]
fn a_reader_that_has_gone_ends_a_command_without_a_panic() {
    let home = Home::new();
    for _ in 0..3 {
        home.add_client(&[]);
    }
    for arguments in [&["client", "list"][..], &["config", "show"], &["config", "check"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = jeton().args(["--store", &home.url()]).args(arguments).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""), "{arguments:?}");
    }
    // And whoever closed standard error is still told by the exit code.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = jeton().args(["--store", &home.url(), "client", "show", "c_none"]).stderr(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_terminal_gets_a_table_and_a_pipe_gets_plain_lines() {
    need("script");
    let home = Home::new();
    let client = home.add_client(&["--scope", "read"]);
    let line = format!("{}\ttest\tenabled\tread\t1\n", client.id);
    assert_eq!(printed(&home.run(&["client", "list"])), line);
    let command = format!("{} --store {} client list", env!("CARGO_BIN_EXE_jeton"), home.url());
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let shown = printed(&output).replace('\r', "");
    let table = printed(&home.run(&["client", "list", "-o", "table"]));
    assert_eq!(shown, table);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("CLIENT ID"));
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        [&client.id, "test", "enabled", "read", "1"]
    );
    assert_eq!(printed(&home.run(&["client", "list", "-o", "plain"])), line);
}

#[test]
fn a_command_without_a_store_says_how_to_make_one() {
    let home = Home::new();
    for arguments in [&["client", "list"][..], &["key", "list"], &["key", "rotate"], &["store", "check"]] {
        refused(&home.run(arguments), 78, "does not exist: 'jeton serve' or 'jeton client add' makes it");
        assert!(!home.database.exists(), "{arguments:?}");
    }
}
