//! What an event says, and its line.

use std::cell::Cell;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::clock::UnixTime;
use crate::oauth::ClientId;

/// What happened. The names are part of the contract: what reads the log filters by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// A token was issued.
    #[serde(rename = "token.issued")]
    TokenIssued,
    /// A token was asked for and refused.
    #[serde(rename = "token.refused")]
    TokenRefused,
    /// A token was revoked.
    #[serde(rename = "token.revoked")]
    TokenRevoked,
    /// A caller of introspection or revocation was refused.
    #[serde(rename = "caller.refused")]
    CallerRefused,
    /// A client was registered.
    #[serde(rename = "client.added")]
    ClientAdded,
    /// A client was changed.
    #[serde(rename = "client.changed")]
    ClientChanged,
    /// A client may authenticate again.
    #[serde(rename = "client.enabled")]
    ClientEnabled,
    /// A client may no longer authenticate.
    #[serde(rename = "client.disabled")]
    ClientDisabled,
    /// A client was removed.
    #[serde(rename = "client.removed")]
    ClientRemoved,
    /// Everything that a client holds was revoked.
    #[serde(rename = "client.tokens_revoked")]
    ClientTokensRevoked,
    /// A client got a secret.
    #[serde(rename = "secret.added")]
    SecretAdded,
    /// A client lost a secret.
    #[serde(rename = "secret.removed")]
    SecretRemoved,
    /// A client got a public key.
    #[serde(rename = "client_key.added")]
    ClientKeyAdded,
    /// A client lost a public key.
    #[serde(rename = "client_key.removed")]
    ClientKeyRemoved,
    /// A signing key was published.
    #[serde(rename = "key.published")]
    KeyPublished,
    /// A signing key was removed.
    #[serde(rename = "key.removed")]
    KeyRemoved,
}

/// One event; what does not apply is left out of its line.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    /// What happened.
    #[serde(rename = "event")]
    pub kind: Kind,
    /// `ok`, or the error code that was answered.
    pub outcome: &'static str,
    /// Who did it: `client:ID`, `cli:UID` or `server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<&'a str>,
    /// Whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// The name of the secret, never itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<&'a str>,
    /// The granted scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a str>,
    /// The token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<&'a str>,
    /// The signing key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<&'a str>,
    /// The name of the client's own key, by which it came in or which it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_kid: Option<&'a str>,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

impl Event<'_> {
    /// An event that says nothing more than this yet.
    #[must_use]
    pub const fn new(kind: Kind, outcome: &'static str) -> Self {
        Self {
            kind,
            outcome,
            actor: None,
            client: None,
            secret_id: None,
            scope: None,
            jti: None,
            kid: None,
            client_kid: None,
            source: None,
        }
    }

    /// Appends the event as one line, its strings escaped by JSON's rules.
    pub(super) fn push_line(&self, at: SystemTime, lines: &mut Vec<u8>) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = lines.len();
        lines.extend_from_slice(br#"{"time":""#);
        lines.extend_from_slice(&second(since.as_secs()));
        let written = write!(lines, ".{:03}Z\",", since.subsec_millis()).and_then(|()| {
            let body = lines.len();
            serde_json::to_writer(&mut *lines, self)?;
            // The object's own brace gives way to the one that is open already.
            lines.remove(body);
            lines.push(b'\n');
            Ok(())
        });
        if written.is_err() {
            // Writing into memory does not fail; a half line must not stay in any case.
            lines.truncate(start);
        }
    }
}

thread_local! {
    /// The last second that this thread wrote down, and its text: there are thousands of lines in one.
    static SECOND: Cell<(u64, [u8; 19])> = const { Cell::new((u64::MAX, [b' '; 19])) };
}

/// `2023-11-14T22:13:20` of this second.
fn second(seconds: u64) -> [u8; 19] {
    let (held, text) = SECOND.get();
    if held == seconds {
        return text;
    }
    let mut text = [b' '; 19];
    // What follows the seconds has no place here, and a year of five digits has none at all.
    drop(write!(text.as_mut_slice(), "{}", UnixTime::from_seconds(seconds)));
    SECOND.set((seconds, text));
    text
}

/// The id that a caller claims, if it may be written down: only what an id of ours can look like, since people put
/// secrets into the wrong field.
#[must_use]
pub fn claimed_id(text: &str) -> Option<&str> {
    (ClientId::is_generated(text)).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_line_is_one_object_with_its_time() {
        let at = UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_042);
        let mut lines = Vec::new();
        let event = Event {
            client: Some("c_1"),
            scope: Some("a b"),
            jti: Some("j"),
            kid: Some("k"),
            source: Some([127, 0, 0, 1].into()),
            ..Event::new(Kind::TokenIssued, "ok")
        };
        event.push_line(at, &mut lines);
        let said: Value = serde_json::from_slice(&lines).unwrap();
        assert_eq!(
            said,
            json!({"time": "2023-11-14T22:13:20.042Z", "event": "token.issued", "outcome": "ok", "client": "c_1",
                   "scope": "a b", "jti": "j", "kid": "k", "source": "127.0.0.1"})
        );
        assert_eq!(lines.split(|&byte| byte == b'\n').count(), 2, "one line and its end");
        for (millis, time) in [(1_700_000_000_999, "22:13:20.999"), (1_700_000_001_000, "22:13:21.000")] {
            lines.clear();
            event.push_line(UNIX_EPOCH + std::time::Duration::from_millis(millis), &mut lines);
            let said: Value = serde_json::from_slice(&lines).unwrap();
            assert_eq!(said["time"], format!("2023-11-14T{time}Z"));
        }
    }

    #[test]
    fn t222_no_text_ends_a_line_or_its_string() {
        let hostile = "a\r\n\u{1b}[31m\"}\u{2028}\0{\"event\":\"token.issued\"}";
        let mut lines = Vec::new();
        Event { client: Some(hostile), ..Event::new(Kind::ClientChanged, "ok") }.push_line(UNIX_EPOCH, &mut lines);
        let text = String::from_utf8(lines).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.trim_end().chars().any(char::is_control), "{text}");
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&said["client"], &said["event"]), (&hostile.into(), &"client.changed".into()));
    }

    #[test]
    fn t223_a_secret_in_the_place_of_an_id_is_not_written_down() {
        let id = ClientId::from_random([7; 16]);
        assert_eq!(claimed_id(id.as_str()), Some(id.as_str()));
        for text in ["jtn_secret", "", "admin", "c_short", "c_AAAAAAAAAAAAAAAAAAAAA\n"] {
            assert_eq!(claimed_id(text), None, "{text}");
        }
    }
}
