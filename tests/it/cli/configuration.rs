//! Where settings come from, and what a wrong one is answered.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use jeton::config::SETTINGS;
use serde_json::Value;
use tempfile::TempDir;

use super::{objects, printed, refused};
use crate::support::{Home, Server, jeton};

struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jeton.toml");
        std::fs::write(&path, toml).unwrap();
        Self { _folder: folder, path }
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = jeton();
        command.arg("--config").arg(&self.path).args(arguments).envs(environment.iter().copied());
        command.output().unwrap()
    }
}

fn setting<'a>(shown: &'a [Value], key: &str) -> &'a Value {
    shown.iter().find(|setting| setting["key"] == key).unwrap()
}

#[test]
fn the_environment_stands_over_the_file_and_flags_over_both() {
    let file = File::new("listen = \"127.0.0.1:1\"\nops_listen = \"127.0.0.1:2\"\n[store]\nurl = \"sqlite:file.db\"\n");
    let environment =
        [("JETON_OPS_LISTEN", "127.0.0.1:3"), ("JETON_STORE", "sqlite:env.db"), ("JETON_SERVE__WORKERS", "3")];
    let show = |flags: &[&str]| objects(&file.run(&[&["config", "show", "-o", "json"], flags].concat(), &environment));
    let shown = show(&[]);
    let of = |key: &str| {
        (setting(&shown, key)["value"].clone(), setting(&shown, key)["origin"].as_str().unwrap().to_owned())
    };
    let line = |line: u32| format!("{}:{line}", file.path.display());
    assert_eq!(of("listen"), ("127.0.0.1:1".into(), line(1)));
    assert_eq!(of("ops_listen"), ("127.0.0.1:3".into(), "JETON_OPS_LISTEN".to_owned()));
    assert_eq!(of("store.url"), ("sqlite:env.db".into(), "JETON_STORE".to_owned()));
    assert_eq!(of("serve.workers"), ("3".into(), "JETON_SERVE__WORKERS".to_owned()));
    assert_eq!(of("token.lifetime"), ("1h".into(), "default".to_owned()));
    assert_eq!(of("issuer"), (Value::Null, "default".to_owned()));
    let shown = show(&["--store", "sqlite:flag.db"]);
    let by_name = jeton().env("JETON_CONFIG", &file.path).args(["config", "show", "-o", "json"]).output().unwrap();
    assert_eq!(setting(&objects(&by_name), "listen")["value"], "127.0.0.1:1");
    let store = setting(&shown, "store.url");
    assert_eq!((&store["value"], &store["origin"]), (&"sqlite:flag.db".into(), &"--store".into()));
}

#[test]
fn show_lists_every_setting_with_its_default_and_when_to_change_it() {
    let file = File::new("");
    let shown = objects(&file.run(&["config", "show", "-o", "json"], &[]));
    assert_eq!(shown.len(), SETTINGS.len());
    for (shown, setting) in shown.iter().zip(&SETTINGS) {
        assert_eq!((&shown["key"], &shown["why"]), (&setting.key.into(), &setting.why.into()));
        assert_eq!(shown["value"].as_str().unwrap_or_default(), setting.default);
    }
    let lines = printed(&file.run(&["config", "show"], &[]));
    assert!(lines.lines().all(|line| line.split('\t').count() == 4) && lines.lines().count() == SETTINGS.len());
    assert_eq!(printed(&file.run(&["config", "check"], &[])), "the configuration is sound\n");
    assert_eq!(objects(&file.run(&["config", "check", "-o", "json"], &[])), [serde_json::json!({"sound": true})]);
}

/// A file, and what is said of it behind its name.
const MISTAKES: &[(&str, &str)] = &[
    ("\n\n[serve]\nworker = 1", ":4: unknown key serve.worker, did you mean serve.workers?"),
    ("issue = \"x\"", ":1: unknown key issue, did you mean issuer?"),
    ("[nonsense]\nx = 1", ":2: unknown key nonsense.x ('jeton config show' lists all keys)"),
    ("issuer = \"http://auth.example.com\"", ":1: issuer is \"http://auth.example.com\": an issuer is https://host"),
    ("listen = 8080", ":1: listen is \"8080\": an address and a port, such as 127.0.0.1:8080"),
    ("listen = \"\"", ":1: listen is \"\": an address and a port"),
    ("[serve]\nworkers = -1", ":2: serve.workers is \"-1\": a whole number from 0 to 1024"),
    ("[serve]\nmax_body = 1", ":2: serve.max_body is \"1\": a whole number from 1024 to 16777216"),
    ("[serve]\ndrain = 10", ":2: serve.drain is \"10\": a whole number with a unit: ms, s, m, h or d"),
    ("[keys]\nclock_skew = \"213503982334601d\"", ":2: keys.clock_skew is \"213503982334601d\": at most 36500d"),
    ("[keys]\nvector_signing = \"on\"", ":2: keys.vector_signing is \"on\": auto or off"),
    ("[keys]\nverify_after_sign = \"some\"", ":2: keys.verify_after_sign is \"some\": off, sampled or all"),
    ("[token]\nlifetime = \"25h\"", ":2: token.lifetime is \"25h\": at least 1s and not above token.max_lifetime"),
    ("[token]\ndefault_audience = \"api\"", ":2: token.default_audience is \"api\": an audience is an absolute URI"),
    ("[log]\nformat = \"xml\"", ":2: log.format is \"xml\": auto, json or pretty"),
    ("[log]\nlevel = \"\"", ":2: log.level is \"\": a level"),
    ("[log]\nlevel = [\"info\"]", ":2: log.level must be a text or a whole number"),
    ("[serve]\nworkers = 1\nworkers = 2", ":3: duplicate key"),
    ("a = ", ":1: "),
    ("[store]\nurl = \"postgres://host\"", ":2: store.url is \"postgres://host\": sqlite:PATH"),
];

#[test]
fn p13_a_mistake_is_78_and_one_sentence_with_its_line_its_key_and_what_is_allowed() {
    for (toml, sentence) in MISTAKES {
        let file = File::new(toml);
        let sentence = format!("jeton: {}{sentence}", file.path.display());
        for command in [&["config", "check"][..], &["config", "show"], &["client", "list"], &["serve"]] {
            let started = Instant::now();
            refused(&file.run(command, &[]), 78, &sentence);
            assert!(started.elapsed() < Duration::from_secs(5), "{toml}");
        }
    }
    let missing = jeton().args(["config", "check", "--config", "/nonexistent/jeton.toml"]).output().unwrap();
    refused(&missing, 78, "/nonexistent/jeton.toml cannot be read: ");
}

#[test]
fn p13_a_mistake_in_the_environment_names_the_variable() {
    let file = File::new("");
    for (name, value, sentence) in [
        (
            "JETON_SERVE__WORKERS",
            "many",
            "JETON_SERVE__WORKERS: serve.workers is \"many\": a whole number from 0 to 1024",
        ),
        ("JETON_SERVE__WORKER", "1", "JETON_SERVE__WORKER: unknown key serve.worker, did you mean serve.workers?"),
        ("JETON_LOG__LEVEL", "", "JETON_LOG__LEVEL: log.level is \"\": a level"),
        ("JETON_LISTEN", "x", "JETON_LISTEN: listen is \"x\": an address and a port"),
    ] {
        refused(&file.run(&["config", "check"], &[(name, value)]), 78, sentence);
    }
}

#[test]
fn what_only_serve_needs_is_part_of_check() {
    for (toml, sentence) in [
        ("[log]\nlevel = \"a=b=c\"", "log.level is \"a=b=c\": a level (error, warn, info, debug, trace) or a filter"),
        ("listen = \"0.0.0.0:8080\"", "issuer is not set: it is needed when listen is not a loopback address"),
    ] {
        let file = File::new(toml);
        refused(&file.run(&["config", "check"], &[]), 78, sentence);
        refused(&file.run(&["serve", "--store", "memory:"], &[]), 78, sentence);
    }
}

#[test]
fn the_password_of_a_store_is_never_printed() {
    let home = Home::new();
    home.add_client(&[]);
    let key = home.folder.path().join("jeton.db.master-key");
    // No port has the number 0, so nobody is asked for the password.
    for (command, said) in [
        (&["config", "show"][..], "redis://***@127.0.0.1:0/7"),
        (&["config", "check"], ""),
        (&["client", "list"], "cannot be reached: redis://***@127.0.0.1:0/7: "),
        (&["store", "check"], "cannot be reached: redis://***@127.0.0.1:0/7: "),
    ] {
        let mut command = jeton_with(command);
        let output =
            command.env("JETON_STORE", "redis://jeton:sesame@127.0.0.1:0/7").env("JETON_MASTER_KEY_FILE", &key);
        let output = output.output().unwrap();
        let text = format!("{}{}", super::stdout(&output), super::stderr(&output));
        assert!(!text.contains("sesame") && !text.contains("panicked") && text.contains(said), "{command:?}: {text}");
    }
}

fn jeton_with(arguments: &[&str]) -> std::process::Command {
    let mut command = jeton();
    command.args(arguments);
    command
}

#[test]
fn a_store_in_redis_needs_a_master_key_that_is_there() {
    let refused_with = |key: &str, sentence| {
        let mut command = jeton_with(&["serve", "--store", "redis://127.0.0.1:0"]);
        refused(&command.env("JETON_MASTER_KEY_FILE", key).output().unwrap(), 78, sentence);
    };
    refused_with("", "master_key_file is not set");
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("key");
    refused_with(missing.to_str().unwrap(), "is missing");
    assert!(!missing.exists(), "every server needs the same one, so none makes its own");
}

#[test]
fn p13_a_port_that_is_taken_and_a_lost_or_open_master_key_are_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new();
    home.add_client(&[]);
    let serve = |listen: &str| home.run(&["serve", "--listen", listen, "--ops-listen", "127.0.0.1:0"]);
    refused(&serve(&address), 78, &format!("listen = \"{address}\" cannot be bound: "));
    let key = home.folder.path().join("jeton.db.master-key");
    let text = std::fs::read_to_string(&key).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    refused(&serve("127.0.0.1:0"), 78, "can be read by others: chmod 600 it");
    std::fs::remove_file(&key).unwrap();
    for output in [serve("127.0.0.1:0"), home.run(&["client", "add", "x"]), home.run(&["key", "rotate"])] {
        refused(&output, 78, "is missing: restore it from its backup");
        assert!(!super::stderr(&output).contains(text.trim()));
    }
    assert!(!key.exists(), "never made anew for a store that has keys");
}

#[test]
fn flags_of_serve_stand_over_its_file() {
    let home = Home::new();
    let client = home.usual_client();
    let server = Server::start(home, "issuer = \"https://file.example\"\n[log]\nlevel = \"info\"\n", |command| {
        command.args(["--issuer", "https://flag.example"]).env("JETON_ISSUER", "https://environment.example");
    });
    let said = server.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(said["issuer"], "https://flag.example");
    assert!(!server.log_text().contains(&client.secret));
}
