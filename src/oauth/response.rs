//! The answer to a token request (RFC 6749 §5.1), written once into the buffer that is sent.

use std::fmt;

use super::error::OAuthError;

/// The JSON body of a granted request. It is begun before the token is written and finished behind it, so that the
/// token is signed in place and never copied; and before it is room for a head, so that neither is the body.
pub struct TokenResponse {
    buffer: Vec<u8>,
}

/// The body holds a token, which never prints.
impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenResponse(***)")
    }
}

const OPEN: &[u8] = br#"{"access_token":""#;
/// Room for what follows the token but the scope: its names, and the largest number.
const CLOSING_BYTES: usize = 72;
/// Room before the body for the head that it is sent with.
pub const HEAD_ROOM: usize = 176;
/// Digits of the largest number.
pub const MAX_DIGITS: usize = 20;

impl TokenResponse {
    /// Begins a body in an empty buffer, which gets room for a token of this length and what follows it.
    #[must_use]
    pub fn begin(mut buffer: Vec<u8>, token_bytes: usize, closing: &Closing<'_>) -> Self {
        buffer.reserve(HEAD_ROOM + OPEN.len() + token_bytes + closing.max_bytes());
        buffer.resize(HEAD_ROOM, 0);
        buffer.extend_from_slice(OPEN);
        Self { buffer }
    }

    /// The buffer so far: where the token is appended, and later signed.
    pub const fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Finishes the body.
    pub fn finish(&mut self, closing: Closing<'_>) {
        closing.push(&mut self.buffer);
    }

    /// A response whose buffer was lent for its token to be signed, and came back.
    #[must_use]
    pub const fn signed(buffer: Vec<u8>) -> Self {
        Self { buffer }
    }

    /// The finished bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.buffer.get(HEAD_ROOM..).unwrap_or_default()
    }

    /// The body behind room of [`HEAD_ROOM`] bytes.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

/// What follows the token in a body.
#[derive(Clone, Copy, Debug)]
pub enum Closing<'a> {
    /// Of a token that lives for so many seconds, and of this scope.
    Of(u64, &'a str),
    /// Written beforehand, by [`Closing::push`].
    Ready(&'a [u8]),
}

impl Closing<'_> {
    /// Bytes of it, at the most.
    #[must_use]
    pub const fn max_bytes(&self) -> usize {
        match self {
            Self::Of(_, scope) => CLOSING_BYTES + scope.len(),
            Self::Ready(written) => written.len(),
        }
    }

    /// Appends it. A scope needs no escaping (see [`super::Scope`]); an empty one is left out.
    pub fn push(self, body: &mut Vec<u8>) {
        let (expires_in, scope) = match self {
            Self::Ready(written) => return body.extend_from_slice(written),
            Self::Of(expires_in, scope) => (expires_in, scope),
        };
        body.extend_from_slice(br#"","token_type":"Bearer","expires_in":"#);
        push_decimal(body, expires_in);
        if !scope.is_empty() {
            body.extend_from_slice(br#","scope":""#);
            body.extend_from_slice(scope.as_bytes());
            body.push(b'"');
        }
        body.push(b'}');
    }
}

/// The JSON body of a refusal (RFC 6749 §5.2). Codes and descriptions are constants that need no escaping.
#[must_use]
pub fn error_body(error: &OAuthError) -> String {
    format!(r#"{{"error":"{}","error_description":"{}"}}"#, error.code().as_str(), error.description())
}

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(decimal(number, &mut [0; MAX_DIGITS]));
}

/// `number` in decimal, written at the end of `digits`.
pub fn decimal(number: u64, digits: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let mut rest = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        used += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    digits.get(MAX_DIGITS - used..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t200_the_answer_has_its_four_members_once() {
        let closing = Closing::Of(3600, "read write");
        let mut response = TokenResponse::begin(Vec::new(), 3, &closing);
        response.buffer_mut().extend_from_slice(b"a.b");
        response.finish(closing);
        assert_eq!(
            String::from_utf8(response.body().to_vec()).unwrap(),
            r#"{"access_token":"a.b","token_type":"Bearer","expires_in":3600,"scope":"read write"}"#
        );
    }

    #[test]
    fn writes_decimals() {
        for number in [0, 9, 10, 3600, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn t223_a_response_does_not_print_its_token() {
        let mut response = TokenResponse::begin(Vec::new(), 5, &Closing::Of(1, ""));
        response.buffer_mut().extend_from_slice(b"token");
        response.finish(Closing::Of(1, ""));
        assert_eq!(format!("{response:?}"), "TokenResponse(***)");
    }
}
