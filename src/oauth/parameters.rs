//! The parameters that every endpoint with client authentication reads: each may stand once (RFC 6749 §3.2).

use std::borrow::Cow;

use super::client_auth::{BasicText, ClientAuth};
use super::error::OAuthError;
use super::form::{self, FormError};

/// A parameter that may stand once. One with an empty value counts as left out, but not as free to be repeated.
#[derive(Default)]
pub(super) struct Parameter<'a> {
    seen: bool,
    value: Option<Cow<'a, str>>,
}

impl<'a> Parameter<'a> {
    /// # Errors
    /// `invalid_request` when it was set before.
    pub(super) fn set(&mut self, value: Cow<'a, str>) -> Result<(), OAuthError> {
        if std::mem::replace(&mut self.seen, true) {
            return Err(OAuthError::invalid_request("a parameter is repeated"));
        }
        self.value = Some(value).filter(|value| !value.is_empty());
        Ok(())
    }

    /// As `set`, for a parameter without a grammar of its own.
    ///
    /// # Errors
    /// `invalid_request` also for control characters.
    pub(super) fn set_text(&mut self, value: Cow<'a, str>) -> Result<(), OAuthError> {
        check_text(&value)?;
        self.set(value)
    }

    /// True also for one that was set to nothing.
    pub(super) const fn is_seen(&self) -> bool {
        self.seen
    }

    /// Its value, if there is one.
    pub(super) const fn take(&mut self) -> Option<Cow<'a, str>> {
        self.value.take()
    }
}

/// What stands in the body of a client's authentication.
#[derive(Default)]
pub(super) struct AuthParameters<'a> {
    id: Parameter<'a>,
    secret: Parameter<'a>,
    assertion: Parameter<'a>,
    assertion_type: Parameter<'a>,
}

impl<'a> AuthParameters<'a> {
    /// Takes a parameter of client authentication, and ignores any other (RFC 6749 §3.2).
    ///
    /// # Errors
    /// `invalid_request` for a repeated one, and for control characters in any name or value.
    pub(super) fn set_or_ignore(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), OAuthError> {
        match name {
            "client_id" => self.id.set_text(value),
            "client_secret" => self.secret.set_text(value),
            "client_assertion" => self.assertion.set_text(value),
            "client_assertion_type" => self.assertion_type.set_text(value),
            _ => check_text(name).and_then(|()| check_text(&value)),
        }
    }

    /// Two mechanisms are refused before either is looked at (RFC 6749 §2.3).
    ///
    /// # Errors
    /// `invalid_request` for two mechanisms or half of one, `invalid_client` for what no client can have.
    pub(super) fn client_auth(mut self, basic: Option<&'a BasicText>) -> Result<ClientAuth<'a>, OAuthError> {
        let assertion = self.assertion.value.is_some();
        if assertion != self.assertion_type.value.is_some() {
            return Err(OAuthError::invalid_request("client_assertion and client_assertion_type go together"));
        }
        let mechanisms = [basic.is_some(), self.secret.value.is_some(), assertion];
        if mechanisms.into_iter().filter(|used| *used).count() > 1 {
            return Err(OAuthError::invalid_request("more than one mechanism of client authentication"));
        }
        if let (Some(assertion), Some(kind)) = (self.assertion.take(), self.assertion_type.take()) {
            return ClientAuth::from_assertion(assertion, &kind, self.id.take().as_deref());
        }
        match (basic, self.id.take(), self.secret.take()) {
            (Some(basic), id, _) => {
                let auth = ClientAuth::from_basic(basic)?;
                if id.is_some_and(|id| auth.readings().all(|reading| reading.id != id)) {
                    return Err(OAuthError::invalid_request("client_id differs from the Authorization header"));
                }
                Ok(auth)
            }
            (None, Some(id), Some(secret)) => ClientAuth::from_post(id, secret),
            _ => Ok(ClientAuth::Missing),
        }
    }
}

fn check_text(value: &str) -> Result<(), OAuthError> {
    let is_unusual = form::has_any(value.as_bytes(), |byte| !matches!(byte, b' '..=b'~'));
    if is_unusual && value.chars().any(char::is_control) {
        return Err(OAuthError::invalid_request("a parameter has control characters"));
    }
    Ok(())
}

/// What a client is told of a body that is no form.
pub(super) fn malformed(error: FormError) -> OAuthError {
    OAuthError::invalid_request(match error {
        FormError::BadEscape => "the body has a broken percent escape",
        FormError::NotUtf8 => "the body is not UTF-8",
        FormError::TooMany => "the body has too many parameters",
    })
}
