//! Who may import whom: a room names only rooms of the rows above it, and an outside crate lives where it is said
//! here. Reads the text of `src/`: `use` lines and paths written out alike, tests at the bottom of a file left out.

use std::collections::BTreeSet;

use super::{files, has_extension, name, read, toml};

/// The rooms of `src/`, the lowest row first.
const ROWS: &[&[&str]] = &[
    &["oauth", "clock", "buffers"],
    &["metrics", "audit", "limiter"],
    &["jwt", "keys"],
    &["store"],
    // Who a client is: asked by every use case of the next row.
    &["authenticator"],
    &["issuer", "introspection", "revocation", "admin"],
    &["config"],
    &["app"],
    &["http"],
    &["cli", "main"],
];

/// Arrows within a row, each with its reason; they must not run in a circle.
const WITHIN: &[(&str, &str, &str)] = &[
    ("oauth", "clock", "secrets expire: a client is authenticated at an instant, which is a plain number"),
    ("jwt", "keys", "a token is signed with a key, and no key knows what a token is"),
    ("main", "cli", "main is the exit code of cli"),
];

/// Where an outside crate may be named, as folders or files of `src/`; the reason stands where there are several.
const CRATES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store/sqlite"]),
    // The pool, its Redis, and the TLS that they speak.
    ("deadpool", &["store/redis"]),
    ("deadpool_redis", &["store/redis"]),
    ("redis", &["store/redis"]),
    ("futures_util", &["store/transfer", "store/redis"]),
    ("papaya", &["store/revoked"]),
    // What a request reads of a client lies side by side.
    ("compact_str", &["oauth/client"]),
    ("smallvec", &["oauth/client", "store/uses"]),
    ("triomphe", &["store/cached"]),
    ("prefetch", &["store/cached"]),
    ("bytes", &["http"]),
    ("http", &["http"]),
    ("http_body_util", &["http"]),
    ("memchr", &["oauth"]),
    ("httparse", &["http/express"]),
    ("httpdate", &["http/express"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("socket2", &["http"]),
    ("rustls", &["http", "store/redis"]),
    ("tokio_rustls", &["http"]),
    ("prometheus", &["metrics"]),
    ("toml", &["config"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("tracing_subscriber", &["cli"]),
    ("rustix", &["cli/memory", "cli/bench/cpu"]),
    ("chacha20poly1305", &["keys"]),
    // Signing and verifying are two rooms, and know each other only by public keys.
    ("ed25519_dalek", &["jwt", "keys"]),
    ("ed25519_lanes", &["keys"]),
    ("curve25519_dalek", &["jwt", "keys"]),
    ("aws_lc_rs", &["jwt", "keys"]),
    // Digests: of client secrets and in their checksums, of used assertions, for the master key and the thumbprint.
    ("hmac", &["oauth/secret", "keys/master"]),
    ("sha2", &["oauth/checked", "oauth/secret", "keys", "store/assertions", "store/transfer/tally"]),
    ("subtle", &["oauth/secret"]),
    // Whatever holds a secret wipes it.
    ("zeroize", &["oauth", "keys", "jwt", "config", "admin", "cli", "store/redis"]),
    ("base64", &["oauth", "keys", "jwt", "introspection", "cli"]),
    // What is stored, sent and printed.
    ("serde", &["clock", "oauth", "audit", "keys", "jwt", "store", "introspection", "revocation", "http", "cli"]),
    ("serde_json", &["audit", "keys/import", "jwt", "oauth/json", "store", "introspection", "http", "cli"]),
    // Randomness comes in at the edge, like time; `admin` makes ids, secrets and keys. In `store/redis` it names writes
    // and spreads the tries of many servers to connect; nobody outside sees any of it.
    ("rand", &["admin", "app/snapshots", "http", "cli", "store/redis"]),
    // Swapped while requests read it: the signing keys, and the clients in memory.
    ("arc_swap", &["jwt", "issuer", "app", "store/table"]),
    ("tracing", &["audit", "store", "issuer", "introspection", "revocation", "app", "http", "cli"]),
    // In `jwt`: slow signatures are made beside the workers. In `admin`: many clients are written at a time.
    ("tokio", &["admin/restore", "admin/roster", "audit", "jwt", "store", "app", "http", "cli"]),
];

/// What is wrong in a file of `src/`, by its path below it. `outside` are the crates that the package depends on.
fn judge(file: &str, text: &str, outside: &BTreeSet<String>) -> Vec<String> {
    let text = code(text);
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let room = path.split('/').next().unwrap_or_default();
    if room == "lib" {
        return Vec::new();
    }
    let Some(row) = row_of(room) else {
        return vec![format!("{file}: {room} has no row in tests/it/house/layering.rs")];
    };
    let mut wrong = Vec::new();
    let names = rooms_named(&text);
    for other in &names {
        let within = WITHIN.iter().any(|(from, to, _)| from == &room && to == other);
        match row_of(other) {
            _ if *other == room || within => {}
            Some(found) if found < row => {}
            Some(_) => wrong.push(format!("{file}: {room} may not name {other}")),
            None => wrong.push(format!("{file}: {other} has no row in tests/it/house/layering.rs")),
        }
    }
    for (krate, start) in paths(&text) {
        let ours = names.contains(krate.as_str()) && text.contains(&format!("crate::{krate}"));
        if !outside.contains(&krate) || ours {
            continue;
        }
        let allowed = CRATES.iter().find(|(name, _)| *name == krate).map(|(_, places)| *places);
        let Some(places) = allowed else {
            wrong.push(format!("{file}: {krate} has no room in tests/it/house/layering.rs"));
            continue;
        };
        if !places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/"))) {
            wrong.push(format!("{file}: {krate} lives in {places:?}: {}", line_at(&text, start)));
        }
    }
    let depth = path.split('/').count();
    if text.contains(&"super::".repeat(depth)) {
        wrong.push(format!("{file}: leaves its room by super, which hides the arrow: write crate::"));
    }
    wrong
}

fn row_of(room: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&room))
}

/// The code of a file: its comments, strings and the tests at its end blanked out.
fn code(text: &str) -> String {
    let text = text.find("\n#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end]);
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if first == '"' {
            end_of_string(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').map_or(1, |end| end + 2)
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.push(' ');
        rest = &rest[skipped..];
    }
    out
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The first names of all paths: an identifier before `::` or after `use`, that is not itself behind one.
fn paths(text: &str) -> Vec<(String, usize)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(is_part).map(|start| at + start) {
        let end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |end| start + end);
        let before = &text[..start];
        let imported = before.ends_with("use ") && text[end..].starts_with([';', ' ']);
        if (text[end..].starts_with("::") || imported) && !before.ends_with("::") {
            found.push((text[start..end].to_owned(), start));
        }
        at = end;
    }
    found
}

/// The rooms behind every `crate::`, also those in braces.
fn rooms_named(text: &str) -> BTreeSet<&str> {
    let mut rooms = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.insert(rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default());
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            if depth == 0 && matches!(c, ',' | '}') {
                let member = group[start..at].trim();
                rooms.insert(member.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default());
                start = at + 1;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    rooms.remove("");
    // A macro of ours or a type at the root is no room.
    rooms.retain(|room| room.starts_with(|c: char| c.is_ascii_lowercase()));
    rooms
}

fn line_at(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |start| start + 1);
    text[start..].lines().next().unwrap_or_default().trim()
}

/// The crates of `[dependencies]`, as code names them.
fn dependencies() -> BTreeSet<String> {
    let manifest = toml("Cargo.toml");
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

#[test]
fn every_arrow_of_the_source_points_to_a_row_above() {
    let outside = dependencies();
    let files: Vec<_> = files("src").into_iter().filter(|path| has_extension(path, "rs")).collect();
    assert!(files.len() > 40, "the source was found");
    let judged = files.iter().map(|path| judge(name(path).strip_prefix("src/").unwrap(), &read(path), &outside));
    let wrong: Vec<String> = judged.flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_has_its_room_and_arrows_within_a_row_run_in_no_circle() {
    for krate in dependencies() {
        assert!(CRATES.iter().any(|(name, _)| *name == krate), "{krate} has no room");
    }
    for (from, to, reason) in WITHIN {
        assert!(row_of(from).is_some() && row_of(from) == row_of(to) && !reason.is_empty(), "{from} to {to}");
        let mut reached = BTreeSet::from([*to]);
        for _ in WITHIN {
            reached.extend(
                WITHIN.iter().filter(|(from, ..)| reached.contains(from)).map(|(_, to, _)| *to).collect::<Vec<_>>(),
            );
        }
        assert!(!reached.contains(from), "{from} imports itself by way of {to}");
    }
}

/// A file, its text, and a part of the complaint; the empty text where there is none.
const CASES: &[(&str, &str, &str)] = &[
    ("oauth/scope.rs", "use crate::http::reply;\n", "oauth may not name http"),
    ("oauth/scope.rs", "use crate::{clock::UnixTime, store::{Store, cache}};\n", "oauth may not name store"),
    ("store/mod.rs", "fn f() { crate::config::duration::parse(); }\n", "store may not name config"),
    ("issuer.rs", "use crate::admin::Admin;\n", "issuer may not name admin"),
    ("keys/set.rs", "use crate::jwt::Stamp;\n", "keys may not name jwt"),
    ("issuer.rs", "use super::http::reply;\n", "leaves its room by super"),
    ("store/cache.rs", "use super::super::cli;\n", "leaves its room by super"),
    ("store/cache.rs", "use rusqlite::Connection;\n", "rusqlite lives in"),
    ("store/mod.rs", "pub use rusqlite;\n", "rusqlite lives in"),
    ("admin.rs", "fn f(request: hyper::Request<()>) {}\n", "hyper lives in"),
    ("app/mod.rs", "impl From<prometheus::Error> for E {}\n", "prometheus lives in"),
    ("oauth/form.rs", "#[derive(tokio::Magic)]\nstruct S;\n", "tokio lives in"),
    ("utils.rs", "", "utils has no row"),
    ("app/mod.rs", "use crate::helpers::f;\n", "helpers has no row"),
    ("http/reply.rs", "use brand_new::Thing;\n", "brand_new has no room"),
    ("jwt/sign.rs", "use crate::keys::SigningKey;\nuse crate::oauth::Scope;\n", ""),
    ("http/reply.rs", "use hyper::body::Incoming;\nuse super::routes::Routes;\n", ""),
    ("store/sqlite/rows.rs", "use super::super::Store;\nuse rusqlite::Row;\n", ""),
    ("cli/serve.rs", "use crate::http::{self, Bound};\nfn f() { http::serve(); }\n", ""),
    ("issuer.rs", "//! See crate::http and hyper::Body.\nconst A: &str = \"crate::cli \\\" hyper::x\";\n", ""),
    ("keys/set.rs", "const A: char = '\"';\n// x\n\n#[cfg(test)]\nmod tests {\n    use crate::http::x;\n}\n", ""),
    ("clock.rs", "use std::fmt;\nuse serde::Serialize;\n", ""),
];

#[test]
fn the_judge_sees_a_wrong_arrow_and_no_other() {
    let mut outside = dependencies();
    outside.insert("brand_new".to_owned());
    for (file, text, complaint) in CASES {
        let wrong = judge(file, text, &outside);
        if complaint.is_empty() {
            assert!(wrong.is_empty(), "{file} {text}: {wrong:?}");
        } else {
            assert_eq!(wrong.len(), 1, "{file} {text}: {wrong:?}");
            assert!(wrong[0].contains(complaint), "{file} {text}: {wrong:?}");
        }
    }
}
