//! What another process can see of this one's memory: nothing, and no core file either.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};

use crate::support::{GENEROUS, GRANT, Home, Server, need};

/// A process of the same user, without the powers of root.
const UNPRIVILEGED: [&str; 3] = ["setpriv", "--bounding-set", "-all"];

fn unprivileged(words: &[&str]) -> Command {
    need("setpriv");
    let mut command = Command::new(UNPRIVILEGED[0]);
    command.args(&UNPRIVILEGED[1..]).args(words);
    command
}

/// What `gcore` does first: it looks where the memory is, and reads it.
fn look_into(process: &Child) -> Output {
    unprivileged(&["cat", &format!("/proc/{}/maps", process.id())]).output().unwrap()
}

/// K-11: the limit is as generous as it gets, and another process of the same user comes to look.
#[test]
fn k11_keys_stand_in_no_core_file_and_in_no_memory_that_others_can_read() {
    need("prlimit");
    let home = Home::new();
    let client = home.usual_client();
    let mut server = Server::start(home, GENEROUS, |command| {
        let mut wrapped = unprivileged(&["prlimit", "--core=unlimited:unlimited"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        *command = wrapped;
    });
    assert_eq!(server.ask(&client, GRANT).status, 200);
    let refused = look_into(&server.process);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("Permission denied"), "{said}");
    let mut other = unprivileged(&["sleep", "60"]).stdin(Stdio::null()).spawn().unwrap();
    let seen = crate::support::wait_for("another process can be looked into", || {
        Some(look_into(&other)).filter(|output| output.status.success() && !output.stdout.is_empty())
    });
    assert!(String::from_utf8_lossy(&seen.stdout).contains("[stack]"), "so that the refusal says something");
    other.kill().unwrap();
    other.wait().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.process.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
    server.signal("-ABRT");
    let status = server.wait_for_end();
    assert!(status.signal().is_some() && !status.core_dumped(), "{status:?}");
}
