//! Real clients get tokens, and real verifiers accept them.
//!
//! Each library has a small script in `tests/interop`, written as its documentation would have it. A client's script
//! prints the answer or the error as its library reports it; a verifier's reads tokens and says of each whether the
//! library accepts it, and why not. `tests/run` installs the libraries. `callers` introspect and revoke.

mod callers;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton::oauth::Algorithm;
use serde_json::{Value, json};

use crate::support::signer::Signer;
use crate::support::{API, Client, GENEROUS, GRANT, Home, OTHER_API, Server, claims, need, project, wait_for};

/// What a client's script is told.
#[derive(Clone, Copy)]
struct Ask<'a> {
    script: &'a str,
    method: &'a str,
    secret: &'a str,
    scope: &'a str,
    resource: &'a str,
    more: &'a [(&'a str, &'a str)],
}

impl Ask<'_> {
    /// Lets the script ask `server` as `client`; what it prints.
    fn send(self, server: &Server, client: &Client) -> Value {
        let mut command = script(self.script);
        command.env("ISSUER", server.url()).env("TOKEN_URL", format!("{}/oauth2/token", server.url()));
        command.env("CLIENT_ID", &client.id).env("CLIENT_SECRET", self.secret).env("METHOD", self.method);
        command.env("SCOPE", self.scope).env("RESOURCE", self.resource).envs(self.more.iter().copied());
        run(command, "")
    }
}

/// One of the scripts, with nothing of this process's environment but what finds programs.
fn script(name: &str) -> Command {
    let installed = project().join("target/interop");
    let interpreter = match name.rsplit_once('.') {
        Some((_, "py")) => installed.join("venv/bin/python"),
        Some((_, "mjs")) => installed.join("bin/node"),
        _ => "/bin/bash".into(),
    };
    assert!(interpreter.exists(), "{} is missing: run 'bash tests/run', which installs it", interpreter.display());
    // A library that waits for ever is a failure, not a test that never ends.
    let mut command = Command::new("timeout");
    command.arg("60").arg(interpreter).arg(project().join("tests/interop").join(name));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a script to its end; the JSON that it prints.
fn run(mut command: Command, input: &str) -> Value {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A script that fails at once does not read; its own message says more than the broken pipe.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    let output = process.wait_with_output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed; is it installed by 'bash tests/run'?\n{said}\n{errors}");
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{command:?} printed no JSON:\n{said}\n{errors}"))
}

/// A token as a resource server meets it: what it is, which issuer and audience are expected, and the verdict.
struct Case {
    what: &'static str,
    token: String,
    issuer: String,
    audience: &'static str,
    verdict: &'static str,
}

/// Lets a library judge all cases with the published keys; the claims of those that it accepts.
fn judge(verifier: &str, server: &Server, cases: &[Case]) -> Vec<Value> {
    judge_by("EdDSA", verifier, server, cases)
}

/// Lets a library that expects this algorithm judge all cases.
fn judge_by(algorithm: &str, verifier: &str, server: &Server, cases: &[Case]) -> Vec<Value> {
    let mut command = script(verifier);
    command.env("ALGORITHM", algorithm);
    command.env("JWKS_URL", format!("{}/.well-known/jwks.json", server.url()));
    let input: Vec<Value> = cases
        .iter()
        .map(|case| json!({"token": case.token, "issuer": case.issuer, "audience": case.audience}))
        .collect();
    let verdicts = run(command, &Value::Array(input).to_string());
    let verdicts = verdicts.as_array().unwrap();
    assert_eq!(verdicts.len(), cases.len());
    for (case, verdict) in cases.iter().zip(verdicts) {
        let said = verdict["refused"].as_str().unwrap_or("accepted");
        assert_eq!(said, case.verdict, "{verifier}: {}", case.what);
    }
    verdicts.iter().filter(|verdict| verdict["claims"].is_object()).map(|verdict| verdict["claims"].clone()).collect()
}

/// By each method: what is asked for, the defaults, and a wrong secret; then an independent library verifies all
/// tokens. Returns what was said of the wrong secrets.
fn check_client(script: &str, methods: &[&str], more: &[(&str, &str)]) -> Vec<Value> {
    let (server, client) = Server::usual();
    let stranger = server.home.usual_client();
    let (mut cases, mut refusals) = (Vec::new(), Vec::new());
    for method in methods {
        let what = format!("{script} by {method}");
        let ask = Ask { script, method, secret: &client.secret, scope: "", resource: "", more };
        for (scope, resource, granted) in [("read", API, "read"), ("", "", "read write")] {
            let answer = Ask { scope, resource, ..ask }.send(&server, &client);
            assert_eq!(answer["scope"], granted, "T-060 T-081 {what}: {answer}");
            assert_eq!(answer["expires_in"], 3600, "{what}: {answer}");
            assert!(answer["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"), "{what}: {answer}");
            let token = answer["access_token"].as_str().unwrap().to_owned();
            cases.push(Case { what: "a client's", token, issuer: server.url(), audience: API, verdict: "accepted" });
        }
        let refusal = Ask { secret: &stranger.secret, ..ask }.send(&server, &client);
        assert_eq!(refusal["error"], "invalid_client", "T-067 {what}: {refusal}");
        refusals.push(refusal);
    }
    let accepted = judge("pyjwt_verifier.py", &server, &cases);
    assert_eq!(accepted.len(), 2 * methods.len());
    for pair in accepted.chunks(2) {
        assert_eq!((&pair[0]["aud"], &pair[1]["aud"]), (&json!(API), &json!([API, OTHER_API])), "T-156 {script}");
    }
    assert!(accepted.iter().all(|claims| claims["sub"] == *client.id), "{script}");
    refusals
}

/// A client with a key of its own asks as the library has it, and whoever has another key is told what a wrong secret is.
fn check_signer(script: &str, config: &str) {
    let home = Home::new();
    let signer = Signer::register(&home, Algorithm::EdDsa);
    let server = home.serve(config);
    let client = Client { id: signer.id.clone(), secret: signer.private_jwk(), secret_id: String::new() };
    let ask = Ask { script, method: "jwt", secret: &client.secret, scope: "read", resource: API, more: &[] };
    let mut cases = Vec::new();
    for _ in 0..2 {
        let answer = ask.send(&server, &client);
        assert_eq!(answer["scope"], "read", "T-100 {script}: {answer}");
        let token = answer["access_token"].as_str().unwrap().to_owned();
        cases.push(Case { what: "a signer's", token, issuer: server.url(), audience: API, verdict: "accepted" });
    }
    assert_eq!(judge("pyjwt_verifier.py", &server, &cases)[0]["sub"], client.id, "T-100 {script}");
    let stranger = signer.with_another_key(Algorithm::EdDsa).private_jwk();
    let refusal = Ask { secret: &stranger, ..ask }.send(&server, &client);
    assert_eq!(refusal["error"], "invalid_client", "T-112 {script}: {refusal}");
}

#[test]
fn t100_t116_t120_openid_client_signs_for_the_issuer_that_it_discovered() {
    check_signer("openid_client.mjs", GENEROUS);
}

#[test]
fn t100_t120_t124_authlib_signs_for_an_hour_where_that_is_allowed() {
    let config = GENEROUS.replacen("[limits]\n", "[limits]\nassertion_lifetime = \"1h\"\n", 1);
    check_signer("authlib_client.py", &config);
}

#[test]
fn t060_t067_curl_gets_tokens_by_basic_and_post() {
    need("curl");
    check_client("curl.sh", &["basic", "post"], &[]);
}

#[test]
fn t060_t067_authlib_gets_tokens_by_basic_and_post() {
    check_client("authlib_client.py", &["basic", "post"], &[]);
}

#[test]
fn t060_t067_requests_oauthlib_gets_tokens_by_basic_and_post() {
    check_client("requests_oauthlib_client.py", &["basic", "post"], &[]);
}

#[test]
fn t060_t067_simple_oauth2_gets_tokens_by_basic_and_post() {
    check_client("simple_oauth2.mjs", &["basic", "post"], &[]);
}

#[test]
fn m01_m02_m09_t062_t089_openid_client_finds_the_server_and_gets_tokens_by_its_defaults() {
    // Its Basic is the strictest reading of RFC 6749 section 2.3.1: it escapes the hyphens and underscores, too.
    let refusals = check_client("openid_client.mjs", &["default", "basic", "post"], &[]);
    // The library shows a 401 by its challenge, which RFC 9110 section 15.5.2 wants in every one.
    assert!(refusals.iter().all(|refusal| refusal["challenge"] == "basic"), "{refusals:?}");
}

#[test]
fn m01_m02_openid_client_finds_the_server_by_the_document_of_rfc_8414() {
    check_client("openid_client.mjs", &["default"], &[("ALGORITHM", "oauth2")]);
}

#[test]
fn m01_m09_openid_client_finds_an_issuer_with_a_path_behind_a_proxy() {
    const ISSUER: &str = "https://tokens.example.com/tenant/1";
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("issuer = \"{ISSUER}\"\n{GENEROUS}"));
    let address = server.url();
    for algorithm in ["oidc", "oauth2"] {
        let ask = Ask {
            script: "openid_client.mjs",
            method: "default",
            secret: &client.secret,
            scope: "",
            resource: "",
            more: &[("ISSUER", ISSUER), ("ADDRESS", &address), ("ALGORITHM", algorithm)],
        };
        let answer = ask.send(&server, &client);
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{algorithm}: {answer}"));
        assert_eq!(claims(token)["iss"], ISSUER, "M-02 {algorithm}");
    }
}

#[test]
fn t060_t067_t081_the_oauth2_crate_gets_tokens_by_basic_and_post() {
    use oauth2::basic::{BasicClient, BasicErrorResponseType};
    use oauth2::{AuthType, ClientId, ClientSecret, RequestTokenError, Scope, TokenResponse as _, TokenUrl};

    let (server, client) = Server::usual();
    let send = |request: oauth2::HttpRequest| -> Result<oauth2::HttpResponse, std::convert::Infallible> {
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let mut wire = server.wire();
        wire.post(request.uri().path(), &headers.collect::<Vec<_>>(), str::from_utf8(request.body()).unwrap());
        let answer = wire.answer();
        let response = oauth2::http::Response::builder().status(answer.status);
        let response = response.header("content-type", answer.header("content-type").unwrap());
        Ok(response.body(answer.body).unwrap())
    };
    for method in [AuthType::BasicAuth, AuthType::RequestBody] {
        let ask = |secret: &str| {
            BasicClient::new(ClientId::new(client.id.clone()))
                .set_client_secret(ClientSecret::new(secret.to_owned()))
                .set_token_uri(TokenUrl::new(format!("{}/oauth2/token", server.url())).unwrap())
                .set_auth_type(method.clone())
                .exchange_client_credentials()
                .add_scope(Scope::new("read".to_owned()))
                .add_extra_param("resource", API)
                .request(&send)
        };
        let answer = ask(&client.secret).unwrap();
        assert_eq!(answer.expires_in().unwrap().as_secs(), 3600);
        assert_eq!(answer.scopes().unwrap().iter().map(|scope| scope.as_str()).collect::<Vec<_>>(), ["read"]);
        let token = answer.access_token().secret().clone();
        let case = Case { what: "the crate's", token, issuer: server.url(), audience: API, verdict: "accepted" };
        assert_eq!(judge("pyjwt_verifier.py", &server, &[case])[0]["aud"], API);
        let Err(RequestTokenError::ServerResponse(refusal)) = ask("wrong") else { panic!("a wrong secret") };
        assert_eq!(*refusal.error(), BasicErrorResponseType::InvalidClient);
    }
}

/// The token with one bit of its signature, counted from the left, the other way round.
pub(crate) fn flip(token: &str, bit: usize) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[bit / 8] ^= 0x80 >> (bit % 8);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The token with another claim under the same signature.
pub(crate) fn alter(token: &str) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let altered = payload.replace("\"read\"", "\"root\"");
    assert_ne!(altered, payload);
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(altered))
}

/// Two servers call themselves by one name; the library has the keys of the first.
fn check_verifier(verifier: &str) {
    check_verifier_by("EdDSA", verifier);
}

fn check_verifier_by(algorithm: &str, verifier: &str) {
    const ISSUER: &str = "https://tokens.example.com";
    let start = || {
        let home = Home::new();
        let client = home.usual_client_of(algorithm);
        (home.serve(&format!("issuer = \"{ISSUER}\"\n{GENEROUS}")), client)
    };
    let ((server, client), (impostor, victim)) = (start(), start());
    let brief = server.home.add_client(&["--scope", "read", "--audience", API, "--lifetime", "1s", "--alg", algorithm]);
    let ask = |server: &Server, client: &Client, resource: &str| {
        server.ask(client, &format!("{GRANT}&scope=read{resource}")).access_token()
    };
    let expired = ask(&server, &brief, "");
    let here = ask(&server, &client, &format!("&resource={API}"));
    let elsewhere = ask(&server, &client, &format!("&resource={OTHER_API}"));
    let everywhere = ask(&server, &client, "");
    let foreign = ask(&impostor, &victim, "");
    let case = |what, token: String, verdict| Case { what, token, issuer: ISSUER.to_owned(), audience: API, verdict };
    let cases = [
        case("T-214 a good token", here.clone(), "accepted"),
        case("T-214 a good token for two", everywhere, "accepted"),
        case("the first bit of the signature", flip(&here, 0), "signature"),
        case("a bit of the signature", flip(&here, 200), "signature"),
        case("the last bit of the signature", flip(&here, 511), "signature"),
        case("another scope under the same signature", alter(&here), "signature"),
        case("T-156 a token for elsewhere", elsewhere, "audience"),
        case("an impostor's key", foreign, "key"),
        case("T-212 an expired token", expired.clone(), "expired"),
        Case { issuer: format!("{ISSUER}/"), ..case("another issuer", here.clone(), "issuer") },
    ];
    let end = claims(&expired)["exp"].as_u64().unwrap();
    wait_for("the token expires", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        (now > end).then_some(())
    });
    let accepted = judge_by(algorithm, verifier, &server, &cases);
    assert_eq!(accepted[0], claims(&here), "{verifier}");
    assert_eq!(accepted[0]["sub"], *client.id, "{verifier}");
}

#[test]
fn t156_t212_t214_pyjwt_accepts_what_is_good_and_refuses_the_rest() {
    check_verifier("pyjwt_verifier.py");
}

#[test]
fn t156_t212_t214_joserfc_accepts_what_is_good_and_refuses_the_rest() {
    check_verifier("joserfc_verifier.py");
}

#[test]
fn t156_t212_t214_jose_accepts_what_is_good_and_refuses_the_rest() {
    check_verifier("jose_verifier.mjs");
}

#[test]
fn t210_t211_t214_oauth4webapi_accepts_tokens_by_the_letter_of_rfc_9068_and_refuses_the_rest() {
    check_verifier("oauth4webapi_verifier.mjs");
}

#[test]
fn t156_t212_t214_jsonwebtoken_with_jwks_rsa_accepts_what_is_good_by_es256_and_refuses_the_rest() {
    check_verifier_by("ES256", "jsonwebtoken_verifier.mjs");
}

#[test]
fn t156_t212_t214_jsonwebtoken_with_jwks_rsa_accepts_what_is_good_by_rs256_and_refuses_the_rest() {
    check_verifier_by("RS256", "jsonwebtoken_verifier.mjs");
}

/// Tokens of all algorithms from one server, whose keys are all in one set.
fn check_algorithms(verifier: &str) {
    let home = Home::new();
    let clients = ["EdDSA", "ES256", "RS256", "PS256"].map(|algorithm| {
        if algorithm != "EdDSA" {
            home.json(&["key", "rotate", "--now", "--alg", algorithm]);
        }
        (algorithm, home.add_client(&["--scope", "read", "--audience", API, "--alg", algorithm]))
    });
    let server = home.serve(GENEROUS);
    for (algorithm, client) in &clients {
        let token = server.ask(client, GRANT).access_token();
        let case =
            |what, token: String, audience, verdict| Case { what, token, issuer: server.url(), audience, verdict };
        let cases = [
            case("T-214 a good token", token.clone(), API, "accepted"),
            case("a bit of the signature", flip(&token, 200), API, "signature"),
            case("another scope under the same signature", alter(&token), API, "signature"),
            case("T-156 a token for elsewhere", token.clone(), OTHER_API, "audience"),
        ];
        assert_eq!(judge_by(algorithm, verifier, &server, &cases), [claims(&token)], "{verifier}: {algorithm}");
    }
}

#[test]
fn t214_pyjwt_verifies_every_algorithm() {
    check_algorithms("pyjwt_verifier.py");
}

#[test]
fn t214_joserfc_verifies_every_algorithm() {
    check_algorithms("joserfc_verifier.py");
}

#[test]
fn t214_jose_verifies_every_algorithm() {
    check_algorithms("jose_verifier.mjs");
}

#[test]
fn t214_oauth4webapi_verifies_every_algorithm() {
    check_algorithms("oauth4webapi_verifier.mjs");
}
