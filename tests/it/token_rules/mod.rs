//! The token endpoint over a real socket: parameters, client authentication, grant, scope, target, the answer.

mod abuse;
mod authentication;
mod parameters;
mod tokens;

use crate::support::Answer;

/// What a refusal must look like, whatever it is (T-022, T-089, T-202, T-203, T-204).
fn check_shape(answer: &Answer, what: &str) {
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert!(answer.header("set-cookie").is_none() && answer.header("access-control-allow-origin").is_none(), "{what}");
    assert_eq!(answer.status == 401, answer.header("www-authenticate").is_some(), "{what}");
    let body = answer.json();
    let description = body["error_description"].as_str().unwrap_or_default();
    assert!(description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{what}: {description}");
    for marker in ["<script>", "marker", "SELECT", "/src/"] {
        assert!(!answer.text().contains(marker) && !answer.head.contains(marker), "{what} reflects {marker}");
    }
}

fn expect(answer: &Answer, status: u16, error: &str, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error), "{what}: {}", answer.text());
    check_shape(answer, what);
}
