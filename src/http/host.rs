//! The `Host` rule of RFC 9112 §3.2, which hyper leaves to its user.
//!
//! The value itself is used for nothing: `iss`, `aud` and every URL come from the configuration.

use http::header::HOST;
use http::{HeaderMap, Version};

/// True when the request says where it wants to go as its version demands: exactly one well-formed host in
/// HTTP/1.1, at most one in the others.
#[must_use]
pub fn is_acceptable(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(host), None) => is_authority(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// `uri-host [":" port]` of RFC 3986, without user information. The empty host is allowed by RFC 9112 for targets
/// without an authority, which a token service does not have.
#[must_use]
pub fn is_authority(host: &[u8]) -> bool {
    let name = if host.first() == Some(&b'[') { literal_chars(host) } else { name_chars(host) };
    name > 0 && host.get(name..).is_some_and(is_port)
}

/// How many characters at the start are an address in brackets; 0 when none are.
fn literal_chars(host: &[u8]) -> usize {
    let end = host.iter().position(|&byte| byte == b']').map_or(0, |at| at + 1);
    let literal = host.get(..end).unwrap_or_default();
    let sound = literal.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b'[' | b']' | b':' | b'.'));
    if sound && end >= 4 { end } else { 0 }
}

/// Which bytes a name and an IPv4 address are of (RFC 3986 §3.2.2).
#[expect(clippy::indexing_slicing, reason = "no byte is beyond a table of 256")]
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()*+,;=";
    while let [byte, others @ ..] = rest {
        table[*byte as usize] = true;
        rest = others;
    }
    table
};

/// How many characters at the start are those of a name or an IPv4 address.
fn name_chars(host: &[u8]) -> usize {
    let ends = |byte: &u8| IN_NAME.get(usize::from(*byte)) != Some(&true);
    host.iter().position(ends).unwrap_or(host.len())
}

/// Nothing, or a colon and up to five digits.
fn is_port(rest: &[u8]) -> bool {
    match rest.split_first() {
        None => true,
        Some((b':', port)) => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn t007_a_host_is_a_name_or_address_and_perhaps_a_port() {
        for host in ["a", "a.example:8080", "127.0.0.1:1", "[::1]", "[2001:db8::1]:443", "a:"] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
        for host in
            ["", ":80", "a b", "a/b", "u@a", "a:b", "a:123456", "[::1", "[x]", "[::1]x", "a:1:2", "a,b:c", "\"", "<"]
        {
            assert!(!is_authority(host.as_bytes()), "{host}");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(host in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = is_authority(&host);
            let _ = is_authority(&[b"[", host.as_slice()].concat());
        }

        #[test]
        fn t007_names_and_addresses_with_ports_are_hosts(name in "[a-z0-9.-]{1,40}", v6: std::net::Ipv6Addr, port: u16) {
            for host in [name.clone(), format!("{name}:{port}"), format!("[{v6}]"), format!("[{v6}]:{port}")] {
                prop_assert!(is_authority(host.as_bytes()), "{}", host);
            }
        }

        #[test]
        fn t007_no_host_has_what_would_end_it(before in "[a-z]{0,9}", end in "[ \\t\\r\\n/?#@\"<>\\\\]", after in "[a-z]{0,9}") {
            let host = format!("{before}{end}{after}");
            prop_assert!(!is_authority(host.as_bytes()), "{host:?}");
        }
    }
}
