//! A start that cannot be.

use std::fs;
use std::process::Command;

use crate::support::{GRANT, Home, Server, get, jeton};

/// What is wrong with a start.
type Alter<'a> = Box<dyn Fn(&mut Command) -> &mut Command + 'a>;

/// P-13: whatever is wrong at the start is one clear line and exit code 78, soon, and nothing secret in it.
#[test]
fn p13_a_start_that_cannot_be_is_refused_in_one_line() {
    let home = Home::new();
    home.usual_client();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let config = home.folder.path().join("jeton.toml");
    let key = fs::read_to_string(home.master_key()).unwrap();
    let with = |text: &str| -> Alter<'_> {
        let text = text.to_owned();
        let config = config.clone();
        Box::new(move |command| {
            fs::write(&config, &text).unwrap();
            command.arg("--config").arg(&config)
        })
    };
    let cases: Vec<(&str, Alter<'_>, &str)> = vec![
        ("an unknown key", with("[serve]\nworker = 1\n"), "did you mean serve.workers"),
        ("no TOML", with("serve = [\n"), "jeton.toml:"),
        ("a wrong unit", with("[serve]\ndrain = \"10\"\n"), "serve.drain"),
        ("an issuer that is none", with("issuer = \"ftp://x\"\n"), "issuer"),
        ("a lost file", Box::new(|command| command.args(["--config", "/nowhere.toml"])), "cannot be read"),
        ("an unknown variable", Box::new(|command| command.env("JETON_SERVE__WORKER", "1")), "JETON_SERVE__WORKER"),
        (
            "a store of another kind",
            Box::new(|command| command.env("JETON_LOG__FORMAT", "xml")),
            "auto, json or pretty",
        ),
        ("a bad filter", Box::new(|command| command.env("JETON_LOG__LEVEL", "a=b=c")), "log.level"),
        ("a lost key", Box::new(|command| command.env("JETON_MASTER_KEY_FILE", "/nowhere")), "is missing"),
        ("a key itself", Box::new(|command| command.env("JETON_MASTER_KEY", key.trim())), "JETON_MASTER_KEY"),
    ];
    for (what, alter, part) in cases {
        let refusal = home.refused_start(&*alter);
        refusal.expect(78, part, what);
        assert!(!refusal.said.contains(key.trim()), "{what}: {}", refusal.said);
    }
    let mut command = jeton();
    command.args(["serve", "--store", &home.url(), "--listen", &port, "--ops-listen", "127.0.0.1:0"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains(&port) && said.contains("listen") && said.lines().count() == 1, "{said}");
    let mut command = jeton();
    command.args(["serve", "--store", &home.url(), "--listen", "0.0.0.0:0", "--ops-listen", "127.0.0.1:0"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("issuer is not set"));
}

/// P-13: a port that a server of ours has is taken, too, although its listeners share it among themselves.
#[test]
fn p13_two_servers_do_not_share_a_port_by_accident() {
    let (server, client) = Server::usual();
    let mut command = jeton();
    let url = server.home.url();
    command.args(["serve", "--store", &url, "--listen", &server.address, "--ops-listen", "127.0.0.1:0"]);
    assert_eq!(command.output().unwrap().status.code(), Some(78));
    assert_eq!(server.ask(&client, GRANT).status, 200);
    assert_eq!(get(&server.ops_address, "/readyz").status, 200);
}
