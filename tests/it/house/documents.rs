//! What the documents say is so: every setting with its default, examples that parse, and nothing of the machine
//! that they were written on.

use std::path::Path;

use jeton::config::{Config, Origin, RawConfig, SETTINGS};

use super::{files, has_extension, name, read};
use crate::support::documents::blocks;
use crate::support::{jeton, project};

const SETTINGS_FILE: &str = "docs/jeton.toml";
/// The most lines of a source file.
const MAX_LINES: usize = 400;
/// Endings of the files that are read as text.
const TEXT: [&str; 20] = [
    "rs", "toml", "md", "json", "yml", "yaml", "sh", "py", "js", "mjs", "ts", "go", "java", "cs", "lua", "lock",
    "conf", "cfg", "txt", "service",
];

fn read_config(toml: &str, name: &str) -> Result<RawConfig, String> {
    let mut raw = RawConfig::default();
    raw.read_toml(toml, name).map_err(|error| error.to_string())?;
    Config::from_raw(&raw).map_err(|error| error.to_string())?;
    Ok(raw)
}

/// Where the settings file differs from the table of settings.
fn differences(toml: &str) -> Vec<String> {
    let raw = match read_config(toml, SETTINGS_FILE) {
        Ok(raw) => raw,
        Err(error) => return vec![error],
    };
    let lines: Vec<&str> = toml.lines().collect();
    let mut wrong = Vec::new();
    for setting in &SETTINGS {
        let Origin::File(_, line) = raw.origin(setting.key) else {
            wrong.push(format!("{} is missing", setting.key));
            continue;
        };
        let text = raw.text(setting.key).unwrap_or_default();
        if text != setting.default {
            wrong.push(format!("{} is {text:?}, its default is {:?}", setting.key, setting.default));
        }
        // Above the key stands its sentence, one and whole.
        let comment: Vec<&str> = lines[..line - 1].iter().rev().map_while(|line| line.strip_prefix("# ")).collect();
        let sentence = comment.into_iter().rev().collect::<Vec<_>>().join(" ");
        if sentence.len() < 30 || !sentence.ends_with('.') || sentence.contains(". ") {
            wrong.push(format!("{} has no sentence of its own: {sentence:?}", setting.key));
        }
    }
    wrong
}

#[test]
fn the_settings_file_names_every_setting_with_its_default_and_a_sentence() {
    let file = project().join(SETTINGS_FILE);
    let wrong = differences(&read(&file));
    assert!(wrong.is_empty(), "{SETTINGS_FILE}: {}", wrong.join("\n"));
    let output = jeton().args(["config", "check", "--config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_judge_of_the_settings_file_sees_what_is_missing_stale_or_unexplained() {
    let sound = read(&project().join(SETTINGS_FILE));
    for (from, to, complaint) in [
        ("drain = \"10s\"\n", "", "serve.drain is missing"),
        ("workers = 0", "workers = 4", "serve.workers is \"4\", its default is \"0\""),
        ("workers = 0", "workerz = 0", "unknown key serve.workerz"),
        ("lifetime = \"1h\"", "lifetime = \"25h\"", "token.lifetime is"),
        ("# How lines look: ", "", "log.format has no sentence"),
        ("# How lines look: ", "# How. They look: ", "log.format has no sentence"),
    ] {
        assert!(sound.contains(from), "{from}");
        let from = if to.is_empty() && from.starts_with('#') {
            sound.lines().find(|line| line.starts_with(from)).unwrap()
        } else {
            from
        };
        let wrong = differences(&sound.replacen(from, to, 1));
        assert!(wrong.iter().any(|wrong| wrong.contains(complaint)), "{complaint}: {wrong:?}");
    }
}

#[test]
fn every_toml_block_of_the_documents_is_a_sound_configuration() {
    let top = std::fs::read_dir(project()).unwrap().map(|entry| entry.unwrap().path());
    let documents = top.chain(files("docs")).filter(|path| has_extension(path, "md"));
    for document in documents {
        let blocks = blocks(&read(&document), "toml");
        // The README is where people look for one.
        assert!(name(&document) != "README.md" || !blocks.is_empty(), "README.md shows no configuration");
        for (line, block) in blocks {
            let at = format!("{}:{line}", name(&document));
            assert_eq!(read_config(&block, &at).map(drop), Ok(()), "{at}");
        }
    }
    let blocks = blocks("a\n```toml\nx = 1\n```\n```sh\ntoml\n```\n  ```toml\n  ```\n", "toml");
    assert_eq!(blocks, [(3, "x = 1\n".to_owned()), (9, String::new())]);
    assert!(read_config("workers = 1\n", "x").is_err());
}

/// What a file says of the machine that it was written on.
fn of_the_machine(file: &str, text: &str) -> Option<String> {
    let homes = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/Us", "ers/"].concat(), ["/wo", "rk/"].concat()];
    if let Some(line) = text.lines().find(|line| homes.iter().any(|home| line.contains(home))) {
        return Some(format!("{file} names somebody's folder: {}", line.trim()));
    }
    let locks = [".lock", "-lock.json", "-lock.yaml"].iter().any(|end| file.ends_with(end));
    if !locks || file.ends_with("Cargo.lock") {
        return None;
    }
    // A lock file pins what is fetched by its digest; from where is the business of whoever fetches.
    let fetched =
        |line: &&str| line.contains("://") && ["resolved", "registry", "index"].iter().any(|word| line.contains(word));
    text.lines().find(fetched).map(|line| format!("{file} names a registry: {}", line.trim()))
}

fn is_text(path: &Path) -> bool {
    path.extension().is_none_or(|found| TEXT.iter().any(|text| found == *text))
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let mut looked_at = 0;
    for path in files("").into_iter().filter(|path| is_text(path)) {
        // A file without an ending may be a picture or a key.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        looked_at += 1;
        assert_eq!(of_the_machine(&name(&path), &text), None);
    }
    assert!(looked_at > 80, "only {looked_at} files were found");
    let home = ["/ho", "me/me/jeton"].concat();
    assert!(of_the_machine("a.sh", &format!("cd {home}")).is_some());
    assert!(of_the_machine("a/package-lock.json", "\"resolved\": \"https://registry.example/a.tgz\"").is_some());
    assert!(of_the_machine("a/uv.lock", "source = { registry = \"https://index.example/simple\" }").is_some());
    assert!(of_the_machine("a/package-lock.json", "\"integrity\": \"sha512-x\"").is_none());
    assert!(of_the_machine("a.md", "see https://registry.example").is_none());
}

#[test]
fn no_source_file_is_longer_than_400_lines() {
    let mut looked_at = 0;
    for folder in ["src", "crates", "tests", "benches", "loadtest", "fuzz"] {
        for path in
            files(folder).into_iter().filter(|path| ["rs", "py", "sh", "js"].iter().any(|end| has_extension(path, end)))
        {
            let lines = read(&path).lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines: split it by topic", name(&path));
            looked_at += 1;
        }
    }
    assert!(looked_at > 60);
}
