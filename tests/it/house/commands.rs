//! Every command line of the documents is one that the program takes.

use clap::Parser as _;
use clap::error::ErrorKind;
use jeton::cli::Cli;

use super::{files, has_extension, name, read};
use crate::support::project;

/// A command line in a document.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    words: Vec<String>,
    /// In a block, to be typed as it stands; otherwise it is only named, and its arguments may be left out.
    is_whole: bool,
}

/// The words of a shell's line, up to what is the shell's own.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut is_word) = (Vec::new(), String::new(), None, false);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => (quote, is_word) = (Some(character), true),
            (None, '|' | '>' | '<' | '&' | ';' | '#' | '…') => break,
            (None, ' ') => {
                if std::mem::take(&mut is_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => {
                word.push(character);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

/// What stands for a value of a kind that the program checks.
fn filled_in(word: &str) -> String {
    match word {
        "OLD" | "NEW" => "sqlite:jeton.db".to_owned(),
        "…" | "TOKEN" => "eyJ.eyJ.AA".to_owned(),
        "ALG" => "EdDSA".to_owned(),
        _ => word.to_owned(),
    }
}

fn line(text: &str, is_whole: bool) -> Option<Line> {
    let text = text.strip_prefix("$ ").unwrap_or(text);
    let words: Vec<String> = words(text).iter().map(|word| filled_in(word)).collect();
    let skipped = words.iter().take_while(|word| word.contains('=') && !word.contains("://")).count();
    let words = words.get(skipped..)?.to_vec();
    (words.first()? == "jeton" && words.len() > 1).then_some(Line { words, is_whole })
}

/// Those of blocks, and those between backticks in the text, whose lines may break anywhere.
fn lines(document: &str) -> Vec<Line> {
    let (mut found, mut in_block, mut paragraph) = (Vec::new(), None, String::new());
    for text in document.replace("\\\n", " ").lines().chain([""]) {
        let fence = text.trim_start().strip_prefix("```");
        if in_block.is_none() && (fence.is_some() || text.trim().is_empty()) {
            let named = paragraph.split('`').skip(1).step_by(2).filter_map(|code| line(code, false));
            found.extend(named);
            paragraph.clear();
        }
        match (fence, &in_block) {
            (Some(_), Some(_)) => in_block = None,
            (Some(language), None) => in_block = Some(language.to_owned()),
            (None, Some(language)) if ["console", "sh", "bash", ""].contains(&language.as_str()) => {
                found.extend(line(text.trim(), true));
            }
            (None, Some(_)) => {}
            (None, None) => {
                paragraph.push_str(text.trim());
                paragraph.push(' ');
            }
        }
    }
    found
}

/// What the program says of lines that it does not take.
fn wrong(document: &str) -> Vec<String> {
    let judge = |line: Line| {
        let error = Cli::try_parse_from(&line.words).err()?;
        let is_taken = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !line.is_whole,
            _ => false,
        };
        (!is_taken).then(|| format!("{}\n{error}", line.words.join(" ")))
    };
    lines(document).into_iter().filter_map(judge).collect()
}

#[test]
fn the_program_takes_every_command_line_of_the_documents() {
    let mut seen = 0;
    for file in files("").into_iter().filter(|file| has_extension(file, "md") && !name(file).starts_with("CHANGELOG")) {
        let document = read(&file);
        seen += lines(&document).len();
        let wrong = wrong(&document);
        assert!(wrong.is_empty(), "{}: {}", name(&file), wrong.join("\n"));
    }
    assert!(seen > 30, "only {seen} command lines in {}", project().display());
}

#[test]
fn the_judge_of_command_lines_sees_what_the_program_does_not_take() {
    let block = |text: &str| format!("```console\n{text}\n```\n");
    for sound in [
        block("$ jeton client add billing --scope \"a b\"   # a comment"),
        block("$ A=b jeton serve --issuer https://a.example \\\n    --listen 127.0.0.1:0"),
        block("$ jeton token inspect eyJ… --issuer http://127.0.0.1:8080"),
        "`jeton client secret add ID`, `jeton client show` and `serve`".to_owned(),
    ] {
        assert_eq!((wrong(&sound), lines(&sound).is_empty()), (vec![], false), "{sound}");
    }
    for stale in [
        block("$ jeton client ad billing"),
        block("$ jeton client show"),
        block("jeton serve --listen-to 127.0.0.1:0"),
        "`jeton client add X --algo EdDSA`".to_owned(),
        "`jeton keys list`".to_owned(),
    ] {
        assert_eq!(wrong(&stale).len(), 1, "{stale}");
    }
}
