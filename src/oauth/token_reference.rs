//! A request about a token that somebody holds: introspection (RFC 7662 §2.1) and revocation (RFC 7009 §2.1).
//!
//! Both read the same parameters. `token_type_hint` is read, since it may not be repeated, and then ignored: there is
//! one kind of token, so a wrong hint changes nothing (RFC 7009 §2.1).

use std::borrow::Cow;

use super::client_auth::{BasicText, ClientAuth};
use super::error::OAuthError;
use super::form;
use super::parameters::{AuthParameters, Parameter, malformed};

/// A parsed request; borrows from the body.
pub struct TokenReference<'a> {
    auth: ClientAuth<'a>,
    token: Option<Cow<'a, str>>,
}

impl<'a> TokenReference<'a> {
    /// Reads a form body and the decoded `Authorization` header.
    ///
    /// # Errors
    /// As [`super::TokenRequest::parse`].
    pub fn parse(body: &'a [u8], basic: Option<&'a BasicText>) -> Result<Self, OAuthError> {
        let (mut auth, mut token, mut hint) = (AuthParameters::default(), Parameter::default(), Parameter::default());
        for pair in form::pairs(body) {
            let (name, value) = pair.map_err(malformed)?;
            match &*name {
                // No grammar: whatever it is, it is a token of ours or none.
                "token" => token.set(value)?,
                "token_type_hint" => hint.set_text(value)?,
                name => auth.set_or_ignore(name, value)?,
            }
        }
        Ok(Self { auth: auth.client_auth(basic)?, token: token.take() })
    }

    /// How the caller authenticates.
    #[must_use]
    pub const fn auth(&self) -> &ClientAuth<'a> {
        &self.auth
    }

    /// The token, as it was presented. Judged once the caller is known.
    ///
    /// # Errors
    /// `invalid_request` when it is missing.
    pub fn token(&self) -> Result<&str, OAuthError> {
        self.token.as_deref().ok_or(OAuthError::invalid_request("token is missing"))
    }
}

impl std::fmt::Debug for TokenReference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenReference").field("auth", &self.auth).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i03_r04_the_token_stands_once_and_is_not_empty() {
        for body in ["token=a&token=a", "token=a&token=", "token=a&token_type_hint=x&token_type_hint=x"] {
            assert!(TokenReference::parse(body.as_bytes(), None).is_err(), "{body}");
        }
        for body in ["", "token=", "token_type_hint=access_token", "Token=a"] {
            assert!(TokenReference::parse(body.as_bytes(), None).unwrap().token().is_err(), "{body}");
        }
        let request = TokenReference::parse(b"token=a.b.c&token_type_hint=nonsense&x=y", None).unwrap();
        assert_eq!(request.token(), Ok("a.b.c"));
        assert!(!format!("{request:?}").contains("a.b.c"));
    }
}
