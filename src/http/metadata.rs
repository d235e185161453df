//! The authorization server metadata document (RFC 8414 §2; RFC 9701 §7), rendered once.
//!
//! Truthful: it names what this server does and nothing else. `response_types_supported` is required and empty,
//! since there is no authorization endpoint.

use std::sync::Arc;

use crate::oauth::IssuerUrl;

/// Renders the document. The issuer's grammar leaves out all that JSON would have to escape.
#[must_use]
pub fn render(issuer: &IssuerUrl) -> Arc<[u8]> {
    let base = issuer.as_str();
    let document = format!(
        concat!(
            r#"{{"issuer":"{base}","token_endpoint":"{base}/oauth2/token","#,
            r#""jwks_uri":"{base}/.well-known/jwks.json","#,
            r#""grant_types_supported":["client_credentials"],"response_types_supported":[],"#,
            r#""token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],"#,
            r#""introspection_endpoint":"{base}/oauth2/introspect","#,
            r#""introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],"#,
            r#""introspection_signing_alg_values_supported":["EdDSA"],"#,
            r#""revocation_endpoint":"{base}/oauth2/revoke","#,
            r#""revocation_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"]}}"#,
        ),
        base = base
    );
    document.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m03_m04_m06_names_what_there_is_and_nothing_else() {
        let document = render(&IssuerUrl::parse("https://a.example/tenant").unwrap());
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "issuer": "https://a.example/tenant",
                "token_endpoint": "https://a.example/tenant/oauth2/token",
                "jwks_uri": "https://a.example/tenant/.well-known/jwks.json",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "introspection_endpoint": "https://a.example/tenant/oauth2/introspect",
                "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "introspection_signing_alg_values_supported": ["EdDSA"],
                "revocation_endpoint": "https://a.example/tenant/oauth2/revoke",
                "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            })
        );
    }
}
