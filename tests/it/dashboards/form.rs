//! The dashboards are what their source says, and what Grafana's own types allow; the rest parses.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use crate::support::{jeton, project};

const PYTHON: &str = "target/interop/venv/bin/python";
const NODE: &str = "target/interop/bin/node";

fn run(program: &str, arguments: &[&str]) -> Output {
    let path = project().join(program);
    assert!(path.exists(), "{program} is missing: run 'bash tests/run', which makes it");
    Command::new(path).args(arguments).current_dir(project()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn the_committed_dashboards_are_what_their_source_makes() {
    let output = run(PYTHON, &["-B", "grafana/generate.py", "--check"]);
    assert!(output.status.success(), "{}", said(&output));
}

fn check_types(files: &[String]) -> Output {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    run(NODE, &[&["grafana/types.mjs", "tests/interop/node_modules"][..], &files].concat())
}

#[test]
fn the_dashboards_are_of_grafanas_types_and_the_compiler_sees_what_is_not() {
    let names = ["overview", "internals", "keys", "load"];
    let output = check_types(&names.map(|name| format!("grafana/dashboards/jeton-{name}.json")));
    assert!(output.status.success(), "{}", said(&output));
    let sound = std::fs::read_to_string(project().join("grafana/dashboards/jeton-load.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (number, (from, to)) in
        [("\"gridPos\"", "\"gridPoz\""), ("\"graphMode\"", "\"graphmode\""), ("\"lineWidth\"", "\"lineWith\"")]
            .into_iter()
            .enumerate()
    {
        assert!(sound.contains(from), "{from}");
        let file = folder.path().join(format!("bad{number}.json"));
        std::fs::write(&file, sound.replacen(from, to, 1)).unwrap();
    }
    let bad: Vec<String> =
        (0..3).map(|number| folder.path().join(format!("bad{number}.json")).display().to_string()).collect();
    let output = check_types(&bad);
    assert_eq!(output.status.code(), Some(1));
    for word in ["gridPoz", "graphmode", "lineWith"] {
        assert!(said(&output).contains(&format!("'\"{word}\"' does not exist")), "{word}: {}", said(&output));
    }
}

#[test]
fn provisioning_and_compose_name_what_is_there_and_jeton_takes_its_settings() {
    let output = run(PYTHON, &["-B", "grafana/check_files.py"]);
    assert!(output.status.success(), "{}", said(&output));
    let settings: BTreeMap<String, String> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(settings.contains_key("JETON_STORE__URL"));
    let checked = jeton().args(["config", "check"]).envs(settings).output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
}
