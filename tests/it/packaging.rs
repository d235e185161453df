//! What jeton is run with: the systemd unit, the image, the manifests for Kubernetes. Judged by the programs that know
//! them; where those need what a test cannot have (a booted systemd, an engine, a cluster), by what they read.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::support::{jeton, need, project};

const PYTHON: &str = "target/interop/venv/bin/python";
const HADOLINT: &str = "target/interop/venv/bin/hadolint";
const UNIT: &str = "packaging/systemd/jeton.service";

fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn expect_success(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// Runs a program that reads `text`.
fn run_on(program: &str, arguments: &[&str], text: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(project());
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("{program}: {error}: run 'bash tests/run', which installs it");
        });
    process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

fn analyze(arguments: &[&str]) -> Output {
    need("systemd-analyze");
    Command::new("systemd-analyze").args(arguments).output().unwrap()
}

/// The values of a setting of the unit, in order.
fn settings<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn systemd_takes_the_unit_and_finds_it_well_confined() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jeton.service");
    let installed = env!("CARGO_BIN_EXE_jeton");
    fs::write(&file, read(UNIT).replace("/usr/local/bin/jeton serve", &format!("{installed} serve"))).unwrap();
    let file = file.display().to_string();
    let verified = analyze(&["verify", "--man=no", "--recursive-errors=no", &file]);
    assert_eq!((verified.status.code(), said(&verified).as_str()), (Some(0), ""));
    // Of ten, the less the better: 2.0.
    expect_success(&analyze(&["security", "--offline=true", "--no-pager", "--threshold=20", &file]));
}

/// The system calls of a set, other sets in it included.
fn calls_of(set: &str) -> BTreeSet<String> {
    let output = analyze(&["syscall-filter", "--no-pager", set]);
    expect_success(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let members = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    members.flat_map(|name| if name.starts_with('@') { calls_of(name) } else { [name.to_owned()].into() }).collect()
}

/// What the unit lets through.
fn permitted(unit: &str) -> BTreeSet<String> {
    let mut permitted = calls_of("@default");
    for line in settings(unit, "SystemCallFilter") {
        let denies = line.starts_with('~');
        for name in line.trim_start_matches('~').split_whitespace() {
            let calls = if name.starts_with('@') { calls_of(name) } else { [name.to_owned()].into() };
            if denies {
                permitted.retain(|call| !calls.contains(call));
            } else {
                permitted.extend(calls);
            }
        }
    }
    permitted
}

#[test]
fn the_unit_lets_through_every_system_call_that_jeton_makes() {
    need("strace");
    let folder = tempfile::tempdir().unwrap();
    let (trace, data) = (folder.path().join("trace"), folder.path().join("data"));
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(jeton().get_program())
        .args(["quickstart", "--once", "--dir"])
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    expect_success(&output);
    let trace = fs::read_to_string(trace).unwrap();
    let call_of = |line: &str| {
        let rest = line.split_once(' ')?.1.trim_start();
        Some(rest.split_once('(')?.0.to_owned())
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
    };
    let made: BTreeSet<String> = trace.lines().filter_map(call_of).collect();
    assert!(made.contains("accept4") && made.contains("fsync") && made.contains("prctl"), "{made:?}");
    let permitted = permitted(&read(UNIT));
    // SQLite gives files that it makes to the database's owner when it is root, and only then.
    let refused: Vec<_> = made.iter().filter(|call| !permitted.contains(*call) && *call != "fchown").collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(!permitted.contains("mount") && !permitted.contains("ptrace") && !permitted.contains("setuid"));
}

fn kustomize() -> String {
    need("kubectl");
    let output = Command::new("kubectl").args(["kustomize", "packaging/kubernetes"]).current_dir(project()).output();
    let output = output.unwrap();
    expect_success(&output);
    String::from_utf8(output.stdout).unwrap()
}

fn check(manifests: &str) -> Output {
    run_on(PYTHON, &["-B", "packaging/check_kubernetes.py"], manifests)
}

#[test]
fn the_manifests_are_sound_and_jeton_takes_their_settings() {
    let output = check(&kustomize());
    expect_success(&output);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jeton.toml");
    fs::write(&file, &output.stdout).unwrap();
    expect_success(&jeton().args(["config", "check", "--config"]).arg(file).output().unwrap());
}

#[test]
fn the_judge_of_manifests_sees_what_would_not_work() {
    let sound = kustomize();
    for (from, to, complaint) in [
        ("replicas: 3", "replica: 3", "replica"),
        ("maxUnavailable: 1", "maxUnavailable: [1]", "maxUnavailable"),
        ("targetPort: ops", "targetPort: opps", "opps is no port of the container"),
        ("terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 20", "killed before it has drained"),
        ("\"15s\"", "\"2s\"", "stops before the probes have said so"),
        ("/secret/redis-password", "/secret/password", "nobody brings /run/jeton/redis-password"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may write or become more"),
        ("jobLabel: app.kubernetes.io/name", "jobLabel: jeton/listener", "the job is not called jeton"),
        ("image: jeton:0.1.0", "image: jeton", "whatever version comes"),
    ] {
        assert!(sound.contains(from), "{from}");
        let output = check(&sound.replace(from, to));
        assert!(!output.status.success() && said(&output).contains(complaint), "{from}: {}", said(&output));
    }
}

#[test]
fn the_image_is_built_by_the_rules_runs_as_nobody_and_jeton_takes_its_settings() {
    let dockerfile = read("packaging/Dockerfile");
    let linted = run_on(HADOLINT, &["-"], &dockerfile);
    assert_eq!((linted.status.code(), said(&linted).as_str()), (Some(0), ""));
    let seen = run_on(HADOLINT, &["-"], &dockerfile.replace("rust:1.95-bookworm", "rust"));
    assert!(said(&seen).contains("DL3006"), "the judge sees a version that is left open: {}", said(&seen));
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert_eq!(settings_of_image(last, "USER"), ["10001:10001"]);
    let environment = last.split("\nENV ").nth(1).unwrap().split("\nEXPOSE").next().unwrap();
    let pairs = environment.split_whitespace().filter_map(|pair| pair.split_once('='));
    // An image is listened to from outside, so it is told its name.
    let issuer = [("JETON_ISSUER", "https://tokens.example.com")];
    expect_success(&jeton().args(["config", "check"]).envs(pairs.chain(issuer)).output().unwrap());
    // The compose file builds the same.
    assert!(read("grafana/docker-compose.yml").contains("dockerfile: packaging/Dockerfile"));
}

fn settings_of_image<'a>(dockerfile: &'a str, name: &str) -> Vec<&'a str> {
    dockerfile.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).collect()
}
