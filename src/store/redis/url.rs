//! Which Redis: the store URL's forms for one server, for Sentinel and for a Cluster.
//!
//! Invariant: user and password are in no `Debug` and no `Display`.

use std::fmt;

/// What a URL may look like; the sentence of its error.
pub const FORMS: &str = "redis://[user:pass@]host[:6379][/db], redis+sentinel://h1:p1,h2:p2/MASTER or \
                         redis+cluster://h1:p1,h2:p2, with rediss for TLS, and ?prefix=NAME for another name of all keys";

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// What the names of all keys begin with.
const PREFIX: &str = "jeton";
const LONGEST_PREFIX: usize = 64;

/// A Redis that can be connected to.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// One server, or several that stand for each other.
    pub topology: Topology,
    /// Whom to ask first: the server, the sentinels, or some nodes of the cluster.
    pub nodes: Vec<Node>,
    /// Whether to speak TLS.
    pub is_tls: bool,
    /// The user of the access list; `default` when there is none.
    pub user: Option<String>,
    /// Its password.
    pub(super) password: Option<String>,
    /// The number of the database.
    pub db: i64,
    /// What the names of all keys begin with.
    pub prefix: String,
}

/// How the servers belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server, whatever stands behind its address.
    Single,
    /// The master of this name, as the sentinels know it.
    Sentinel(String),
    /// A Redis Cluster.
    Cluster,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl RedisUrl {
    /// # Errors
    /// What is allowed, when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
        let (is_tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis").ok_or(FORMS)?),
        };
        // A password that was not encoded may hold any sign, so the last one of these counts.
        let (credentials, rest) =
            rest.rsplit_once('@').map_or((None, rest), |(credentials, rest)| (Some(credentials), rest));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (topology, db) = topology(kind, path)?;
        let port = if matches!(topology, Topology::Sentinel(_)) { SENTINEL_PORT } else { PORT };
        let nodes = hosts.split(',').map(|host| node(host, port)).collect::<Option<Vec<_>>>().ok_or(FORMS)?;
        if topology == Topology::Single && nodes.len() != 1 {
            return Err(FORMS);
        }
        let (user, password) = credentials.map_or(Ok((None, None)), parse_credentials)?;
        Ok(Self { topology, nodes, is_tls, user, password, db, prefix: prefix(query)? })
    }
}

fn topology(kind: &str, path: &str) -> Result<(Topology, i64), &'static str> {
    let db = |text: &str| match text {
        "" => Ok(0),
        text => text.parse::<u16>().map(i64::from).map_err(|_| FORMS),
    };
    match kind {
        "" => Ok((Topology::Single, db(path)?)),
        "+sentinel" => {
            let (name, rest) = path.split_once('/').unwrap_or((path, ""));
            if name.is_empty() { Err(FORMS) } else { Ok((Topology::Sentinel(name.to_owned()), db(rest)?)) }
        }
        "+cluster" if path.is_empty() => Ok((Topology::Cluster, 0)),
        _ => Err(FORMS),
    }
}

/// A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port.
fn node(text: &str, default_port: u16) -> Option<Node> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(default_port), |port| port.parse().ok())?;
    let is_sound = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:%".contains(c));
    is_sound.then(|| Node { host: host.to_owned(), port })
}

fn parse_credentials(text: &str) -> Result<(Option<String>, Option<String>), &'static str> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
    let user = Some(decode(user)?).filter(|user| !user.is_empty());
    Ok((user, password.map(decode).transpose()?))
}

/// Percent-decoding (RFC 3986 §2.1); a sign that stands alone stands for itself.
fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.split_at_checked(2).filter(|_| *first == b'%').and_then(|(digits, behind)| {
            let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
            Some((u8::from_str_radix(digits, 16).ok()?, behind))
        });
        let (byte, behind) = escaped.unwrap_or((*first, behind));
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| FORMS)
}

fn prefix(query: &str) -> Result<String, &'static str> {
    let prefix = match query.split_once('=') {
        None if query.is_empty() => PREFIX,
        Some(("prefix", prefix)) => prefix,
        _ => return Err(FORMS),
    };
    let is_sound = (1..=LONGEST_PREFIX).contains(&prefix.len())
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_sound { Ok(prefix.to_owned()) } else { Err(FORMS) }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        let kind = match self.topology {
            Topology::Single => "",
            Topology::Sentinel(_) => "+sentinel",
            Topology::Cluster => "+cluster",
        };
        let credentials = if self.user.is_some() || self.password.is_some() { "***@" } else { "" };
        write!(f, "{scheme}{kind}://{credentials}")?;
        for (index, Node { host, port }) in self.nodes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if host.contains(':') { write!(f, "{comma}[{host}]:{port}") } else { write!(f, "{comma}{host}:{port}") }?;
        }
        if let Topology::Sentinel(name) = &self.topology {
            write!(f, "/{name}")?;
        }
        if self.db != 0 {
            write!(f, "/{}", self.db)?;
        }
        if self.prefix == PREFIX { Ok(()) } else { write!(f, "?prefix={}", self.prefix) }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read_and_shown_without_its_password() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("rediss://user:pass@r.example:6380/3", "rediss://***@r.example:6380/3"),
            ("redis://:p%40ss/w@rd@[::1]:7000", "redis://***@[::1]:7000"),
            ("redis+sentinel://a,b:1,[::2]/main/2", "redis+sentinel://a:26379,b:1,[::2]:26379/main/2"),
            ("rediss+cluster://a:1,b:2?prefix=other", "rediss+cluster://a:1,b:2?prefix=other"),
        ] {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("RedisUrl({shown})"));
        }
    }

    #[test]
    fn credentials_are_taken_as_written_or_percent_encoded() {
        for (text, user, password) in [
            ("redis://h", None, None),
            ("redis://u@h", Some("u"), None),
            ("redis://:p@h", None, Some("p")),
            ("redis://u:a%3Ab%2f%25@h", Some("u"), Some("a:b/%")),
            ("redis://u:100%@h", Some("u"), Some("100%")),
            ("redis://u:a:b@c?/@h", Some("u"), Some("a:b@c?/")),
        ] {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!((url.user.as_deref(), url.password.as_deref()), (user, password), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "redis:",
            "redis://",
            "redis://a,b",
            "redis://a:99999",
            "redis://a:b",
            "redis://a/x",
            "redis://a/-1",
            "redis://[::1",
            "redis://a b",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+cluster://a/1",
            "redis+other://a",
            "redisx://a",
            "redis://a?prefix=",
            "redis://a?prefix=a{b}",
            "redis://a?db=1",
        ] {
            assert_eq!(RedisUrl::parse(text), Err(FORMS), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics_and_no_password_is_shown(text in ".*", password in "[a-z0-9]{6,20}") {
            drop(RedisUrl::parse(&text));
            drop(RedisUrl::parse(&format!("redis://{text}")));
            let url = RedisUrl::parse(&format!("redis://u:~{password}@host")).unwrap();
            let shown = format!("{url} {url:?}");
            prop_assert!(!shown.contains(&password));
        }
    }
}
