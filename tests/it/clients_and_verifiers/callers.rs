//! Real libraries introspect and revoke: a client that gives its own token back, the resource server that the token
//! is for, and whoever has no business with it.

use jeton::oauth::Algorithm;
use serde_json::{Value, json};

use super::{run, script};
use crate::support::signer::Signer;
use crate::support::{API, Client, GENEROUS, GRANT, Home, Server, claims};

const INTROSPECT: &str = "introspect";
const REVOKE: &str = "revoke";

/// What a script does for one caller, and what the library must say of it.
struct Step<'a> {
    what: &'static str,
    endpoint: &'static str,
    caller: &'a Client,
    token: &'a str,
    said: Value,
}

/// A server, a client, the resource server that its tokens are for, and a stranger. Those that sign have their private
/// keys for secrets.
struct Scene {
    server: Server,
    client: Client,
    api: Client,
    stranger: Client,
    signer: Option<Signer>,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let client = home.usual_client();
        let api = home.add_client(&["--serves", API, "--tokens", "false"]);
        let stranger = home.add_client(&["--scope", "read"]);
        Self { server: home.serve(GENEROUS), client, api, stranger, signer: None }
    }

    fn signing() -> Self {
        let home = Home::new();
        let signer = Signer::register(&home, Algorithm::EdDsa);
        let api = Signer::register_with(&home, Algorithm::EdDsa, &["--serves", API, "--tokens", "false"]);
        let stranger = Signer::register_with(&home, Algorithm::EdDsa, &["--scope", "read"]);
        let [client, api, stranger] = [&signer, &api, &stranger].map(|signer| Client {
            id: signer.id.clone(),
            secret: signer.private_jwk(),
            secret_id: String::new(),
        });
        Self { server: home.serve(GENEROUS), client, api, stranger, signer: Some(signer) }
    }

    fn token(&self) -> String {
        let by_secret = || self.server.ask(&self.client, GRANT);
        self.signer.as_ref().map_or_else(by_secret, |signer| signer.ask(&self.server)).access_token()
    }

    /// Takes all steps in one run of the script. Where the library shows the challenge of a refusal, it is Basic.
    fn take(&self, name: &str, (method, signed): (&str, bool), steps: &[Step<'_>]) {
        let input = steps.iter().map(|step| {
            json!({"endpoint": step.endpoint, "token": step.token, "id": step.caller.id,
                   "secret": step.caller.secret, "method": method, "signed": signed})
        });
        let mut command = script(name);
        command.env("ISSUER", self.server.url());
        let said = run(command, &Value::Array(input.collect()).to_string());
        let said = said.as_array().unwrap();
        assert_eq!(said.len(), steps.len());
        for (step, said) in steps.iter().zip(said) {
            let what = format!("{name} by {method}, signed {signed}: {}: {said}", step.what);
            let Some(code) = step.said["error"].as_str() else {
                assert_eq!(*said, step.said, "{what}");
                continue;
            };
            assert_eq!(said["error"], code, "{what}");
            assert!(said.get("active").is_none(), "I-02 {what}");
            assert!(said["challenge"].is_null() || said["challenge"] == "basic", "{what}");
        }
    }
}

/// What RFC 7662 §2.2 has of a good token.
fn active(token: &str) -> Value {
    let mut said = claims(token);
    said["active"] = true.into();
    said["token_type"] = "Bearer".into();
    said
}

fn refused(code: &str) -> Value {
    json!({"error": code})
}

/// By each method: a token is looked at by its own client, by its resource server and by a stranger, kept by whoever
/// may not revoke it, and inactive once its client has revoked it.
fn check(script: &str, methods: &[&str], signed: bool) {
    check_in(&Scene::new(), script, methods, signed);
}

fn check_in(scene: &Scene, script: &str, methods: &[&str], signed: bool) {
    let Scene { client, api, stranger, .. } = scene;
    let impostor = &Client { secret: stranger.secret.clone(), ..api.clone() };
    let thief = &Client { secret: stranger.secret.clone(), ..client.clone() };
    let (inactive, done) = (json!({"active": false}), json!({}));
    for method in methods {
        let (token, other) = (&*scene.token(), &*scene.token());
        let good = active(token);
        let step = |what, endpoint, caller, said: &Value| Step { what, endpoint, caller, token, said: said.clone() };
        let of = |token, step| Step { token, ..step };
        let steps = [
            step("I-05: to its resource server", INTROSPECT, api, &good),
            step("I-05: to its own client", INTROSPECT, client, &good),
            step("I-08: to a stranger", INTROSPECT, stranger, &inactive),
            of("garbage", step("I-06: garbage", INTROSPECT, api, &inactive)),
            step("I-02: a wrong secret looks", INTROSPECT, impostor, &refused("invalid_client")),
            step("R-07: a wrong secret revokes", REVOKE, thief, &refused("invalid_client")),
            step("R-05: a stranger revokes", REVOKE, stranger, &refused("unauthorized_client")),
            step("R-05: it stays active", INTROSPECT, api, &good),
            step("R-01: its client revokes", REVOKE, client, &done),
            step("I-06: it is revoked", INTROSPECT, api, &inactive),
            step("R-02: its client revokes it again", REVOKE, client, &done),
            of("garbage", step("R-02: garbage is revoked", REVOKE, client, &done)),
            of(other, step("R-01: no other is", INTROSPECT, api, &active(other))),
        ];
        scene.take(script, (method, signed), &steps);
    }
}

#[test]
fn i02_i05_i06_i08_r01_r02_r05_r07_openid_client_introspects_and_revokes() {
    check("openid_client_tokens.mjs", &["default", "basic", "post"], false);
}

#[test]
fn i18_r01_openid_client_introspects_and_revokes_by_what_it_signs() {
    check_in(&Scene::signing(), "openid_client_tokens.mjs", &["jwt"], false);
}

#[test]
fn i18_r01_oauth4webapi_introspects_and_revokes_by_what_it_signs() {
    check_in(&Scene::signing(), "oauth4webapi_tokens.mjs", &["jwt"], false);
}

#[test]
fn i12_openid_client_verifies_signed_answers() {
    check("openid_client_tokens.mjs", &["default"], true);
}

#[test]
fn i02_i05_i06_i08_r01_r02_r05_r07_oauth4webapi_introspects_and_revokes() {
    check("oauth4webapi_tokens.mjs", &["basic", "post"], false);
}

#[test]
fn i12_oauth4webapi_verifies_signed_answers() {
    check("oauth4webapi_tokens.mjs", &["basic"], true);
}

#[test]
fn i02_i05_i06_i08_r01_r02_r05_r07_authlib_introspects_and_revokes() {
    check("authlib_tokens.py", &["basic", "post"], false);
}
