//! Where an issuer's endpoints are, by its own metadata (RFC 8414 §3).
//!
//! The metadata must name the issuer that it was asked for (§3.3). One exception: on the server's own machine the
//! listener may be asked by its loopback address, whatever the issuer is called outside; its endpoints are then
//! looked for below that address, so that a secret goes nowhere else.

use serde_json::Value;

use super::CliError;
use super::output::printable;
use crate::http::client as http_client;
use crate::oauth::IssuerUrl;

const METADATA: &str = "/.well-known/oauth-authorization-server";

/// An issuer that was found.
#[derive(Debug)]
pub struct Issuer {
    /// What was asked, without a slash at its end.
    address: String,
    /// What it calls itself.
    name: String,
    metadata: Value,
}

impl Issuer {
    /// Fetches the metadata of the issuer at `address`.
    pub async fn find(address: &str) -> Result<Self, CliError> {
        // A terminating slash is not part of the path that is inserted (RFC 8414 §3.1).
        let address = address.trim_end_matches('/');
        check_private(address)?;
        let path_at = address.find("://").and_then(|at| Some(at + 3 + address.get(at + 3..)?.find('/')?));
        let (origin, path) = address.split_at_checked(path_at.unwrap_or(address.len())).unwrap_or((address, ""));
        Self::new(address, fetch_json(&format!("{origin}{METADATA}{path}")).await?)
    }

    fn new(address: &str, metadata: Value) -> Result<Self, CliError> {
        let name = member(&metadata, "issuer")?;
        let is_loopback = address.starts_with("http://") && IssuerUrl::parse(address).is_ok();
        if name != address && !is_loopback {
            let sentence = format!("{address} calls itself {name}: name the issuer exactly as it does");
            return Err(CliError::Failed(printable(&sentence)));
        }
        Ok(Self { address: address.to_owned(), name, metadata })
    }

    /// What it calls itself: the `iss` of its tokens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where an endpoint can be reached.
    pub fn endpoint(&self, member_name: &str) -> Result<String, CliError> {
        let url = member(&self.metadata, member_name)?;
        if self.name == self.address {
            check_private(&url)?;
            return Ok(url);
        }
        let below = url.strip_prefix(&self.name).filter(|path| path.starts_with('/'));
        let elsewhere = || CliError::Failed(printable(&format!("{member_name} is not below {}", self.name)));
        Ok(format!("{}{}", self.address, below.ok_or_else(elsewhere)?))
    }
}

/// Secrets and keys go through nothing that others can read or change: https, or this machine.
fn check_private(url: &str) -> Result<(), CliError> {
    if IssuerUrl::parse(url).is_ok() {
        return Ok(());
    }
    let sentence =
        format!("{url} is neither https nor on this machine: a secret or a key would cross the network open to all");
    Err(CliError::Failed(printable(&sentence)))
}

/// Fetches a JSON document.
pub async fn fetch_json(url: &str) -> Result<Value, CliError> {
    let answer = http_client::get(url, None).await?;
    let body = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status.is_success());
    body.ok_or_else(|| CliError::Failed(format!("{url} answered {} instead of a JSON document", answer.status)))
}

/// A text member of a document.
pub fn member(document: &Value, name: &str) -> Result<String, CliError> {
    let text = document.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    text.ok_or_else(|| CliError::Failed(format!("the answer has no {name}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(address: &str, name: &str, endpoint: &str) -> Result<String, String> {
        let metadata = json!({"issuer": name, "token_endpoint": endpoint});
        let issuer = Issuer::new(address, metadata).map_err(|error| error.to_string())?;
        issuer.endpoint("token_endpoint").map_err(|error| error.to_string())
    }

    #[test]
    fn an_issuer_is_taken_at_its_own_name_only_but_for_the_loopback_address() {
        let (name, endpoint) = ("https://tokens.example.com", "https://tokens.example.com/oauth2/token");
        assert_eq!(found(name, name, endpoint).unwrap(), endpoint);
        assert_eq!(found("http://127.0.0.1:8080", name, endpoint).unwrap(), "http://127.0.0.1:8080/oauth2/token");
        assert_eq!(found("http://localhost", name, endpoint).unwrap(), "http://localhost/oauth2/token");
        for address in ["http://10.0.0.1", "https://127.0.0.1", "https://evil.example", "http://127.0.0.1.evil.example"]
        {
            let error = found(address, name, endpoint).unwrap_err();
            assert!(error.contains("calls itself https://tokens.example.com"), "{error}");
        }
    }

    #[test]
    fn a_secret_sent_by_loopback_goes_nowhere_else() {
        for endpoint in ["https://evil.example/token", "https://tokens.example.com.evil.example/x", "/oauth2/token"] {
            let error = found("http://127.0.0.1:1", "https://tokens.example.com", endpoint).unwrap_err();
            assert!(error.contains("token_endpoint is not below"), "{error}");
        }
    }
}
