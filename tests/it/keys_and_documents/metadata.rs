//! The metadata document: where it stands, what it says, and that what it says is so.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton::oauth::Algorithm;
use serde_json::Value;

use super::{JWKS, METADATA};
use crate::support::signer::{Signer, form};
use crate::support::{API, Answer, Client, GENEROUS, GRANT, Home, Server, claims, get, wait_for};

const ISSUER: &str = "https://auth.example.com:8443/tenant/one";

fn with_issuer(issuer: &str) -> (Server, Client) {
    let home = Home::new();
    let client = home.usual_client();
    let server = Server::start(home, GENEROUS, |command| {
        command.args(["--issuer", issuer]);
    });
    (server, client)
}

/// The path of an absolute URL.
fn path_of(url: &Value) -> &str {
    let rest = url.as_str().unwrap().split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

#[test]
fn m01_an_issuers_path_is_inserted_after_the_well_known_name_and_nowhere_else() {
    let (server, _client) = with_issuer(ISSUER);
    let answer = server.get(&format!("{METADATA}/tenant/one"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["issuer"], ISSUER);
    for path in [
        METADATA.to_owned(),
        format!("{METADATA}/"),
        format!("{METADATA}/tenant"),
        format!("{METADATA}/tenant/one/"),
        format!("{METADATA}/tenant/two"),
        format!("{METADATA}/Tenant/one"),
        format!("/tenant/one{METADATA}"),
        "/.well-known/oauth-protected-resource".to_owned(),
        JWKS.to_owned(),
    ] {
        assert_eq!(server.get(&path).status, 404, "{path}");
    }
    let (server, _client) = Server::usual();
    assert_eq!(server.get(METADATA).status, 200);
    assert_eq!(server.get(&format!("{METADATA}/tenant/one")).status, 404);
}

#[test]
fn m02_m03_the_issuer_is_byte_equal_everywhere_and_its_endpoints_are_below_it() {
    for issuer in [ISSUER, "https://auth.example.com", "http://localhost:9/x"] {
        let (server, client) = with_issuer(issuer);
        let path =
            issuer.split_once("://").unwrap().1.find('/').map_or("", |at| &issuer.split_once("://").unwrap().1[at..]);
        let said = server.get(&format!("{METADATA}{path}")).json();
        assert_eq!(said["issuer"], issuer);
        let issuer_url = said["issuer"].as_str().unwrap();
        assert!(!issuer_url.contains(['?', '#']) && !issuer_url.ends_with('/'));
        for endpoint in ["token_endpoint", "jwks_uri"] {
            assert!(said[endpoint].as_str().unwrap().starts_with(&format!("{issuer}/")), "{endpoint}");
        }
        assert_eq!(said["grant_types_supported"], serde_json::json!(["client_credentials"]));
        // Required by RFC 8414 §2; empty, since there is no authorization endpoint.
        assert_eq!(said["response_types_supported"], serde_json::json!([]));
        let ask = || {
            let mut wire = server.wire();
            wire.post(path_of(&said["token_endpoint"]), &[("Authorization", &client.basic())], GRANT);
            Some(wire.answer()).filter(|answer| answer.status != 503)
        };
        assert_eq!(claims(&wait_for("it is admitted", ask).access_token())["iss"], issuer);
        assert!(server.get(path_of(&said["jwks_uri"])).json()["keys"].is_array());
    }
}

#[test]
fn m02_an_issuer_that_is_none_is_refused_at_start() {
    for issuer in ["http://auth.example.com", "https://a.example/", "https://a.example?x", "https://a.example#x", "a"] {
        let output =
            Home::new().run(&["serve", "--issuer", issuer, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(78), "{issuer}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("issuer is"), "{issuer}");
    }
}

#[test]
fn m03_m04_m05_m06_nothing_is_null_or_empty_or_named_without_being_there() {
    let (server, _client) = Server::usual();
    let said = server.get(METADATA).json();
    for (name, value) in said.as_object().unwrap() {
        let empty = value.as_array().is_some_and(Vec::is_empty) && name != "response_types_supported";
        assert!(!value.is_null() && !empty && value != "", "{name} is {value}");
        if name.ends_with("_signing_alg_values_supported") {
            assert!(!value.to_string().contains("\"none\""), "{name} is {value}");
        }
        if let Some(endpoint) = name.strip_suffix("_auth_methods_supported") {
            let with_assertions = value.to_string().contains("_jwt\"");
            assert_eq!(
                said.get(format!("{endpoint}_auth_signing_alg_values_supported")).is_some(),
                with_assertions,
                "{name}"
            );
        }
    }
    let scopes = said["scopes_supported"].as_array().cloned().unwrap_or_default();
    assert!(scopes.iter().all(|scope| scope.as_str().is_some_and(|text| !text.is_empty() && !text.contains(' '))));
    for absent in [
        "authorization_endpoint",
        "dpop_signing_alg_values_supported",
        "tls_client_certificate_bound_access_tokens",
        "mtls_endpoint_aliases",
        "registration_endpoint",
        "authorization_details_types_supported",
        "authorization_response_iss_parameter_supported",
        "code_challenge_methods_supported",
        "protected_resources",
    ] {
        assert!(said.get(absent).is_none(), "{absent} is not on");
    }
}

/// Header lines and a form.
type Request = (Vec<(String, String)>, String);

/// Everything by which a client of this server could try to authenticate, under its registered name.
fn attempts(client: &Client, signed: &str) -> BTreeMap<&'static str, Request> {
    let (id, secret) = (&client.id, &client.secret);
    let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
    let claims = encode(format!(r#"{{"iss":"{id}","sub":"{id}","aud":"x","exp":4102444800,"jti":"j"}}"#));
    let assertion = |alg: &str| {
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let jwt = format!("{}.{claims}.c2ln", encode(format!(r#"{{"alg":"{alg}"}}"#)));
        format!("{GRANT}&client_assertion_type={kind}&client_assertion={jwt}")
    };
    let id_only = format!("{GRANT}&client_id={id}");
    let certificate = vec![("X-SSL-Client-Cert".to_owned(), "x".to_owned())];
    BTreeMap::from([
        ("client_secret_basic", (vec![("Authorization".to_owned(), client.basic())], GRANT.to_owned())),
        ("client_secret_post", (vec![], format!("{id_only}&client_secret={secret}"))),
        ("client_secret_jwt", (vec![], assertion("HS256"))),
        ("private_key_jwt", (vec![], format!("{GRANT}&{}", form(signed)))),
        ("none", (vec![], id_only.clone())),
        ("tls_client_auth", (certificate.clone(), id_only.clone())),
        ("self_signed_tls_client_auth", (certificate, id_only)),
    ])
}

/// The grant types of the registry, and what a request of each looks like.
const GRANTS: [(&str, &str); 6] = [
    ("client_credentials", ""),
    ("authorization_code", "&code=x&redirect_uri=https%3A%2F%2Fa.example"),
    ("refresh_token", "&refresh_token=x"),
    ("password", "&username=a&password=b"),
    ("urn:ietf:params:oauth:grant-type:token-exchange", "&subject_token=x&subject_token_type=x"),
    ("urn:ietf:params:oauth:grant-type:jwt-bearer", "&assertion=x"),
];

fn has_token(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["access_token"].is_string()
}

fn named(said: &Value, member: &str) -> BTreeSet<String> {
    let values = said[member].as_array().cloned().unwrap_or_default();
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn m04_m07_each_advertised_method_works_and_each_other_one_fails() {
    let (server, client) = Server::usual();
    let said = server.get(METADATA).json();
    let signer = Signer::of(&client, Algorithm::EdDsa);
    signer.add_key(&server.home, &[]);
    let attempts = attempts(&client, &signer.assertion(&server.url()));
    let advertised = named(&said, "token_endpoint_auth_methods_supported");
    assert!(advertised.iter().all(|method| attempts.contains_key(method.as_str())), "untested: {advertised:?}");
    for (method, (headers, form)) in &attempts {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let ask = || Some(server.token(&headers, form)).filter(|answer| answer.status != 503);
        let answer = wait_for("it is admitted", ask);
        assert_eq!(has_token(&answer), advertised.contains(*method), "{method}: {} {}", answer.status, answer.text());
    }
    let advertised = named(&said, "grant_types_supported");
    assert!(advertised.iter().all(|grant| GRANTS.iter().any(|(name, _)| name == grant)), "untested: {advertised:?}");
    for (grant, rest) in GRANTS {
        let answer = server.ask_patiently(&client, &format!("grant_type={}{rest}", grant.replace(':', "%3A")));
        assert_eq!(has_token(&answer), advertised.contains(grant), "{grant}: {}", answer.text());
    }
    let scope = server.ask_patiently(&client, &format!("{GRANT}&scope=read&resource={API}"));
    assert_eq!(scope.json()["scope"], "read");
}

#[test]
fn m07_an_endpoint_is_advertised_exactly_when_it_answers() {
    let (server, _client) = Server::usual();
    let said = server.get(METADATA).json();
    for (member, path) in [
        ("token_endpoint", "/oauth2/token"),
        ("introspection_endpoint", "/oauth2/introspect"),
        ("revocation_endpoint", "/oauth2/revoke"),
        ("registration_endpoint", "/oauth2/register"),
        ("pushed_authorization_request_endpoint", "/oauth2/par"),
        ("authorization_endpoint", "/oauth2/authorize"),
        ("jwks_uri", JWKS),
    ] {
        let answers = server.get(path).status != 404;
        assert_eq!(said.get(member).is_some(), answers, "{member} and {path}");
        if answers {
            assert_eq!(path_of(&said[member]), path);
        }
    }
}

#[test]
fn m08_no_header_changes_the_document_and_only_reading_is_allowed() {
    let (server, _client) = Server::usual();
    let known = server.get(METADATA);
    for header in [
        "Host: evil.example",
        "Host: x\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https",
        "Host: x\r\nForwarded: host=evil.example;proto=https",
        "Host: x\r\nX-Original-URL: /evil\r\nX-Forwarded-Prefix: /evil",
    ] {
        let mut wire = server.wire();
        wire.send(format!("GET {METADATA} HTTP/1.1\r\n{header}\r\n\r\n").as_bytes());
        let answer = wire.answer();
        assert_eq!((answer.status, &answer.body), (200, &known.body), "{header}");
        assert!(!answer.head.contains("evil"), "{header}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let mut wire = server.wire();
        wire.send(format!("{method} {METADATA} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes());
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn m09_the_openid_name_gives_the_same_document() {
    let (server, _client) = with_issuer(ISSUER);
    let known = server.get(&format!("{METADATA}/tenant/one"));
    // RFC 8414 §5 inserts, OpenID Connect Discovery §4 appends: libraries ask for either.
    for path in ["/.well-known/openid-configuration/tenant/one", "/tenant/one/.well-known/openid-configuration"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.body), (200, known.body.clone()), "{path}");
    }
    assert_eq!(get(&server.ops_address, METADATA).status, 404, "not on the operator's listener");
}

/// M-10: that document is about a resource server, which we are none of; and we name none.
#[test]
fn m10_the_metadata_of_resource_servers_is_theirs() {
    let (server, _client) = with_issuer(ISSUER);
    for path in ["", "/tenant/one", "/oauth2/token"] {
        assert_eq!(server.get(&format!("/.well-known/oauth-protected-resource{path}")).status, 404, "{path}");
    }
    let document = server.get(&format!("{METADATA}/tenant/one")).json();
    assert!(document["issuer"].is_string() && document.get("protected_resources").is_none(), "{document}");
}
