//! The authorization server metadata document (RFC 8414 §2; RFC 9701 §7), rendered once.
//!
//! Truthful: it names what this server does and nothing else. `response_types_supported` is required and empty,
//! since there is no authorization endpoint.

use std::sync::Arc;

use crate::oauth::IssuerUrl;

/// How clients may authenticate, at every endpoint.
const AUTH_METHODS: &str = r#"["client_secret_basic","client_secret_post","private_key_jwt"]"#;
/// What they may sign their assertions with; Ed25519 has two names (RFC 9864).
const AUTH_ALGORITHMS: &str = r#"["EdDSA","Ed25519","ES256","RS256","PS256"]"#;

/// Renders the document. The issuer's grammar leaves out all that JSON would have to escape.
#[must_use]
pub fn render(issuer: &IssuerUrl) -> Arc<[u8]> {
    let base = issuer.as_str();
    let document = format!(
        concat!(
            r#"{{"issuer":"{base}","token_endpoint":"{base}/oauth2/token","#,
            r#""jwks_uri":"{base}/.well-known/jwks.json","#,
            r#""grant_types_supported":["client_credentials"],"response_types_supported":[],"#,
            r#""token_endpoint_auth_methods_supported":{methods},"token_endpoint_auth_signing_alg_values_supported":{algs},"#,
            r#""introspection_endpoint":"{base}/oauth2/introspect","#,
            r#""introspection_endpoint_auth_methods_supported":{methods},"introspection_endpoint_auth_signing_alg_values_supported":{algs},"#,
            r#""introspection_signing_alg_values_supported":["EdDSA"],"#,
            r#""revocation_endpoint":"{base}/oauth2/revoke","#,
            r#""revocation_endpoint_auth_methods_supported":{methods},"revocation_endpoint_auth_signing_alg_values_supported":{algs}}}"#,
        ),
        base = base,
        methods = AUTH_METHODS,
        algs = AUTH_ALGORITHMS,
    );
    document.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m03_m04_m06_names_what_there_is_and_nothing_else() {
        let (methods, algorithms) = (
            serde_json::json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]),
            serde_json::json!(["EdDSA", "Ed25519", "ES256", "RS256", "PS256"]),
        );
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
                "token_endpoint_auth_methods_supported": methods,
                "token_endpoint_auth_signing_alg_values_supported": algorithms,
                "introspection_endpoint": "https://a.example/tenant/oauth2/introspect",
                "introspection_endpoint_auth_methods_supported": methods,
                "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
                "introspection_signing_alg_values_supported": ["EdDSA"],
                "revocation_endpoint": "https://a.example/tenant/oauth2/revoke",
                "revocation_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            })
        );
    }
}
