//! The parameters that every endpoint with client authentication reads: each may stand once (RFC 6749 §3.2).

use std::borrow::Cow;

use super::client_auth::{BasicText, ClientAuth};
use super::error::OAuthError;
use super::form::{self, FormError};

/// A parameter that may stand once. One with an empty value counts as left out, but not as free to be repeated.
#[derive(Default)]
pub(super) enum Parameter<'a> {
    /// Not set so far.
    #[default]
    Unseen,
    /// Set to nothing, or its value was taken.
    Empty,
    /// Its value.
    Set(Cow<'a, str>),
}

impl<'a> Parameter<'a> {
    /// # Errors
    /// `invalid_request` when it was set before.
    pub(super) fn set(&mut self, value: Cow<'a, str>) -> Result<(), OAuthError> {
        if self.is_seen() {
            return Err(OAuthError::invalid_request("a parameter is repeated"));
        }
        *self = if value.is_empty() { Self::Empty } else { Self::Set(value) };
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
        !matches!(self, Self::Unseen)
    }

    /// True when it has a value.
    const fn is_set(&self) -> bool {
        matches!(self, Self::Set(_))
    }

    /// Its value, if there is one.
    pub(super) fn take(&mut self) -> Option<Cow<'a, str>> {
        match std::mem::replace(self, Self::Empty) {
            Self::Set(value) => Some(value),
            Self::Unseen | Self::Empty => None,
        }
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
    pub(super) fn client_auth(&mut self, basic: Option<&'a BasicText>) -> Result<ClientAuth<'a>, OAuthError> {
        let assertion = self.assertion.is_set();
        if assertion != self.assertion_type.is_set() {
            return Err(OAuthError::invalid_request("client_assertion and client_assertion_type go together"));
        }
        let mechanisms = [basic.is_some(), self.secret.is_set(), assertion].map(u8::from);
        if mechanisms.iter().sum::<u8>() > 1 {
            return Err(OAuthError::invalid_request("more than one mechanism of client authentication"));
        }
        if let Some(basic) = basic {
            let auth = ClientAuth::from_basic(basic)?;
            if self.id.take().is_some_and(|id| auth.readings().all(|reading| reading.id != id)) {
                return Err(OAuthError::invalid_request("client_id differs from the Authorization header"));
            }
            return Ok(auth);
        }
        if let (Some(assertion), Some(kind)) = (self.assertion.take(), self.assertion_type.take()) {
            return ClientAuth::from_assertion(assertion, &kind, self.id.take().as_deref());
        }
        match (self.id.take(), self.secret.take()) {
            (Some(id), Some(secret)) => ClientAuth::from_post(id, secret),
            _ => Ok(ClientAuth::Missing),
        }
    }
}

fn check_text(value: &str) -> Result<(), OAuthError> {
    if !form::is_visible(value.as_bytes()) && value.chars().any(char::is_control) {
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
