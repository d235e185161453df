//! A token request as the body says it (RFC 6749 §4.4.2, RFC 8707 §2).
//!
//! Reads every parameter once and refuses what is repeated, malformed or not supported; ignores unknown names
//! (RFC 6749 §3.2). Grant type, scope and target are only judged once the client is known, by
//! [`super::Client::authorize`], so that an unauthenticated caller learns nothing of them.

use std::borrow::Cow;

use super::client_auth::{BasicText, ClientAuth};
use super::error::{ErrorCode, OAuthError};
use super::form;
use super::parameters::{AuthParameters, Parameter, malformed};

const GRANT_TYPE: &str = "client_credentials";
/// What nearly every request says in just these bytes.
const USUAL_PART: &[u8] = b"grant_type=client_credentials";

/// A parsed token request; borrows from the body.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    auth: ClientAuth<'a>,
    grant_type: GrantType,
    scope: Option<Cow<'a, str>>,
    resources: Vec<Cow<'a, str>>,
}

/// The grant type as it matters: there is one.
#[derive(Clone, Copy, Debug)]
enum GrantType {
    ClientCredentials,
    Other,
    Missing,
}

impl GrantType {
    fn of(asked: Option<&str>) -> Self {
        match asked {
            Some(GRANT_TYPE) => Self::ClientCredentials,
            Some(_) => Self::Other,
            None => Self::Missing,
        }
    }
}

/// The parameters that are read, before the client authentication is made of them.
#[derive(Default)]
struct Parameters<'a> {
    auth: AuthParameters<'a>,
    grant_type: Parameter<'a>,
    scope: Parameter<'a>,
    audience: Parameter<'a>,
    authorization_details: Parameter<'a>,
    resources: Vec<Cow<'a, str>>,
}

impl<'a> TokenRequest<'a> {
    /// Reads a form body and the decoded `Authorization` header.
    ///
    /// # Errors
    /// `invalid_request` for a body that is no form, repeated or unsupported parameters and two mechanisms of
    /// client authentication; `invalid_client` for an authentication that no client can have.
    pub fn parse(body: &'a [u8], basic: Option<&'a BasicText>) -> Result<Self, OAuthError> {
        let mut read = Parameters::default();
        for part in form::parts(body) {
            read.read(part.map_err(malformed)?)?;
        }
        if read.authorization_details.is_seen() {
            return Err(OAuthError::invalid_request("authorization_details is not supported"));
        }
        let auth = read.auth.client_auth(basic)?;
        read.resources.extend(read.audience.take());
        let grant_type = GrantType::of(read.grant_type.take().as_deref());
        Ok(Self { auth, grant_type, scope: read.scope.take(), resources: read.resources })
    }

    /// How the client authenticates.
    #[must_use]
    pub const fn auth(&self) -> &ClientAuth<'a> {
        &self.auth
    }

    /// The requested scope, not yet checked.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The requested resources (`resource`, and `audience` as other servers call it), not yet checked.
    #[must_use]
    pub fn resources(&self) -> &[Cow<'a, str>] {
        &self.resources
    }

    /// # Errors
    /// `invalid_request` without a grant type, `unsupported_grant_type` for any but client credentials.
    pub fn check_grant_type(&self) -> Result<(), OAuthError> {
        match self.grant_type {
            GrantType::ClientCredentials => Ok(()),
            GrantType::Other => {
                Err(OAuthError::new(ErrorCode::UnsupportedGrantType, "grant_type must be client_credentials"))
            }
            GrantType::Missing => Err(OAuthError::invalid_request("grant_type is missing")),
        }
    }
}

impl<'a> Parameters<'a> {
    fn read(&mut self, part: &'a [u8]) -> Result<(), OAuthError> {
        // Known whole, it need not be taken apart.
        if part == USUAL_PART {
            return self.grant_type.set(Cow::Borrowed(GRANT_TYPE));
        }
        let (name, value) = form::pair(part).map_err(malformed)?;
        self.set(&name, value)
    }

    fn set(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), OAuthError> {
        match name {
            // Their own grammars refuse control characters, with their own codes.
            "scope" => self.scope.set(value),
            "audience" => self.audience.set(value),
            "resource" => {
                self.resources.extend(Some(value).filter(|value| !value.is_empty()));
                Ok(())
            }
            "grant_type" => self.grant_type.set_text(value),
            "authorization_details" => self.authorization_details.set_text(value),
            _ => self.auth.set_or_ignore(name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(body: &str) -> &'static str {
        TokenRequest::parse(body.as_bytes(), None).err().map_or("accepted", |error| error.code().as_str())
    }

    #[test]
    fn t041_t042_t043_refuses_a_repeated_parameter_however_it_is_written() {
        for body in [
            "scope=a&scope=a",
            "scope=a&scope=b",
            "scope=&scope=a",
            "grant_type=client_credentials&grant%5Ftype=client_credentials",
            "client_id=a&client_id=a",
            "client_secret=a&client_secret=",
            "client_assertion=a&client_assertion=a",
            "client_assertion_type=a&client_assertion_type=a",
            "audience=a&audience=b",
        ] {
            assert_eq!(refusal(body), "invalid_request", "{body}");
        }
        assert_eq!(refusal("x=1&x=2&resource=a&resource=b"), "accepted", "unknown names and resource may repeat");
    }

    #[test]
    fn t038_refuses_control_characters() {
        for body in ["client_id=a%00", "client_secret=%0d%0a", "x=%1b", "%00=x", "grant_type=%c2%85"] {
            assert_eq!(refusal(body), "invalid_request", "{body}");
        }
    }

    #[test]
    fn t040_an_empty_value_counts_as_left_out() {
        let request = TokenRequest::parse(b"grant_type=&scope=&resource=&client_secret=", None).unwrap();
        assert!(request.scope().is_none() && request.resources().is_empty());
        assert_eq!(request.check_grant_type().unwrap_err().code(), ErrorCode::InvalidRequest);
    }

    #[test]
    fn t077_t078_t101_refuses_two_mechanisms_and_half_of_one() {
        let basic = BasicText::decode([b"Basic YTpi".as_slice()].into_iter()).unwrap();
        for body in ["client_secret=b", "client_assertion=x&client_assertion_type=y", "client_id=c"] {
            let refused = TokenRequest::parse(body.as_bytes(), basic.as_ref()).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::InvalidRequest, "{body}");
        }
        assert!(TokenRequest::parse(b"client_id=a", basic.as_ref()).is_ok());
        assert_eq!(refusal("client_assertion=x"), "invalid_request");
        assert_eq!(refusal("client_assertion_type=x"), "invalid_request");
        assert_eq!(refusal("client_secret=b&client_assertion=x&client_assertion_type=y"), "invalid_request");
    }

    proptest! {
        #[test]
        fn t043_the_usual_part_reads_as_it_does_when_taken_apart(
            parts in proptest::collection::vec("grant_type=client_credentials|grant_type=.?|scope=[a%]|x=y|[a-z=%]{0,3}", 0..70),
        ) {
            let usual = parts.join("&");
            let apart = usual.replace(&*String::from_utf8_lossy(USUAL_PART), "grant%5Ftype=client_credentials");
            let [usual, apart] = [&usual, &apart].map(|body| format!("{:?}", TokenRequest::parse(body.as_bytes(), None)));
            prop_assert_eq!(usual, apart);
        }

        #[test]
        fn parse_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = TokenRequest::parse(&body, None);
        }
    }
}
