//! Many clients from one file, each told by the number of its line.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::super::CliError;
use super::super::output::note;
use super::line::Line;
use crate::admin::roster::Declared;
use crate::clock::{Clock, UnixTime};
use crate::config::{Config, duration};
use crate::keys::MasterKeyCheck;

/// More than the longest that a client can be.
const MAX_LINE_BYTES: usize = 96 * 1024;
/// As many as a server keeps in memory.
const MAX_CLIENTS: usize = 1_000_000;

/// A client that a line declares.
#[derive(Debug)]
pub struct Entry {
    /// Which line, from one on.
    pub number: usize,
    /// The client.
    pub declared: Declared,
    /// The master key that the digests of its secrets were made under, where it has any.
    pub digests_under: Option<MasterKeyCheck>,
}

/// The clients of a file; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<Entry>, CliError> {
    let now = Clock::System.now();
    if path != Path::new("-") {
        let wrong = |error: io::Error| CliError::Failed(format!("{} cannot be read: {error}", path.display()));
        return read_lines(BufReader::new(File::open(path).map_err(wrong)?), now).map_err(CliError::Failed);
    }
    let input = io::stdin().lock();
    if input.is_terminal() {
        note("Reading clients from standard input: end them with Ctrl-D on a line of its own.");
    }
    read_lines(input, now).map_err(CliError::Failed)
}

fn read_lines(mut from: impl BufRead, now: UnixTime) -> Result<Vec<Entry>, String> {
    let (mut entries, mut ids, mut number) = (Vec::new(), HashMap::new(), 0);
    loop {
        number += 1;
        // Wiped, since it may hold by mistake what it should not.
        let mut text = Zeroizing::new(Vec::new());
        let most = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        from.by_ref().take(most + 1).read_until(b'\n', &mut text).map_err(|error| format!("line {number}: {error}"))?;
        if text.is_empty() {
            return Ok(entries);
        }
        let wrong = |complaint: String| format!("line {number}: {complaint}");
        if text.len() > MAX_LINE_BYTES {
            return Err(wrong(format!("it is longer than {MAX_LINE_BYTES} bytes")));
        }
        let line = text.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if entries.len() == MAX_CLIENTS {
            return Err(wrong(format!("a file has at most {MAX_CLIENTS} clients")));
        }
        let (declared, digests_under) = Line::parse(line).and_then(|line| line.declare(now)).map_err(wrong)?;
        if let Some(id) = declared.id.clone()
            && let Some(first) = ids.insert(id, number)
        {
            return Err(format!("line {number}: this client_id stands on line {first} already"));
        }
        entries.push(Entry { number, declared, digests_under });
    }
}

/// What can be found wrong without a store: by the rules of `client add` and `client set`.
pub fn check(entries: &[Entry], config: &Config) -> Result<(), CliError> {
    let (now, longest) = (Clock::System.now(), config.token.max_lifetime);
    entries.iter().try_for_each(|entry| {
        check_one(&entry.declared, (now, now.plus(config.keys.clock_skew)), longest)
            .map_err(|complaint| CliError::Failed(format!("line {}: {complaint}", entry.number)))
    })
}

fn check_one(
    declared: &Declared,
    (now, latest): (UnixTime, UnixTime),
    longest_lifetime: Duration,
) -> Result<(), String> {
    if declared.change.lifetime.is_some_and(|lifetime| lifetime > longest_lifetime) {
        return Err(format!("lifetime is longer than token.max_lifetime ({})", duration::encode(longest_lifetime)));
    }
    // Of tokens that are yet to come, too: that would be another thing than revoking.
    for (name, at) in [("created_at", declared.created_at), ("tokens_revoked_at", declared.tokens_revoked_at)] {
        if at.is_some_and(|at| at > latest) {
            return Err(format!("{name} is in the future"));
        }
    }
    declared.client(None, now).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_000);
    const ID: &str = "c_AAAAAAAAAAAAAAAAAAAAAA";

    fn refusal(text: &str) -> String {
        read_lines(text.as_bytes(), NOW).map(drop).unwrap_err()
    }

    #[test]
    fn lines_are_counted_and_empty_ones_passed_over() {
        let text = "\n{\"version\":1,\"name\":\"a\"}\n  \r\n{\"version\":1,\"name\":\"b\"}";
        let numbers: Vec<usize> = read_lines(text.as_bytes(), NOW).unwrap().iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [2, 4]);
        assert_eq!(refusal("\n\n{\"version\":1}\n"), "line 3: missing field `name`");
        assert_eq!(refusal("{\"version\":1\n"), "line 1: no JSON object, at column 12");
        assert!(refusal("{\"version\":1,\"name\":\"a\"}{}\n").starts_with("line 1: no JSON object"));
    }

    #[test]
    fn a_client_that_stands_twice_is_refused_by_both_lines() {
        let line = format!("{{\"version\":1,\"name\":\"a\",\"client_id\":\"{ID}\"}}\n");
        assert_eq!(refusal(&format!("{line}\n{line}")), "line 3: this client_id stands on line 1 already");
        let nameless = "{\"version\":1,\"name\":\"a\"}\n".repeat(2);
        assert_eq!(read_lines(nameless.as_bytes(), NOW).unwrap().len(), 2, "of those without an id each is another");
    }

    #[test]
    fn a_line_without_an_end_is_not_read_to_it() {
        let mut endless = BufReader::new(io::repeat(b' '));
        assert!(read_lines(&mut endless, NOW).unwrap_err().contains("longer than 98304 bytes"));
    }
}
