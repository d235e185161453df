//! One token after the other: what each gateway lets through, and what reaches the API.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Api, Gateway, Kind, write_exported_keys};
use crate::clients_and_verifiers::{alter, flip};
use crate::support::{API, Client, GENEROUS, GRANT, Home, OTHER_API, Server, claims, wait_for};

/// How long after its end a gateway may still take a token: what `envoy.yaml` says, and a second.
const SKEW_SECONDS: u64 = 6;

/// Clients of both kinds and their server; one of the same name with keys of its own, and one of another name with the
/// same keys.
struct Scene {
    server: Server,
    impostor: Server,
    namesake: Server,
    clients: [(&'static str, Client, Client); 2],
    victim: Client,
    api: Api,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let clients = ["ES256", "EdDSA"].map(|algorithm| {
            let brief = ["--scope", "read", "--audience", API, "--lifetime", "1s", "--alg", algorithm];
            (algorithm, home.usual_client_of(algorithm), home.add_client(&brief))
        });
        let server = home.serve(GENEROUS);
        let namesake = server.beside(&format!("issuer = \"https://other.example.com\"\n{GENEROUS}"));
        let home = Home::new();
        let victim = home.usual_client_of("ES256");
        let impostor = home.serve(&format!("issuer = \"{}\"\n{GENEROUS}", server.url()));
        Self { server, impostor, namesake, clients, victim, api: Api::start() }
    }

    /// An answer of the introspection endpoint, signed by the same keys (RFC 9701).
    fn evidence(&self, client: &Client, token: &str) -> String {
        let mut wire = self.server.wire();
        let accept = ("Accept", "application/token-introspection+jwt");
        wire.post("/oauth2/introspect", &[("Authorization", &client.basic()), accept], &format!("token={token}"));
        let answer = wire.answer();
        assert_eq!(answer.header("content-type"), Some(accept.1));
        answer.text()
    }

    fn check(&self, gateway: &Gateway, algorithm: &str) {
        let (_, client, brief) = self.clients.iter().find(|(known, ..)| *known == algorithm).unwrap();
        let ask = |server: &Server, client: &Client, more: &str| {
            server.ask_patiently(client, &format!("{GRANT}&scope=read{more}")).access_token()
        };
        let expires = ask(&self.server, brief, "");
        let here = ask(&self.server, client, &format!("&resource={API}"));
        let at_both = ask(&self.server, client, "");
        let elsewhere = ask(&self.server, client, &format!("&resource={OTHER_API}"));
        let what = |case: &str| format!("{:?} {algorithm}: {case}: {}", gateway.kind, gateway.log());
        for (case, token) in [("a good token", &here), ("one for two", &at_both), ("a brief one", &expires)] {
            let served = self.api.served();
            let answer = gateway.send(Some(token));
            assert_eq!((answer.status, self.api.served()), (200, served + 1), "T-214 {}", what(case));
            check_caller(gateway.kind, &answer.text(), client, brief);
        }
        let served = self.api.served();
        let unsigned = here.rsplit_once('.').unwrap().0;
        for (case, token) in [
            ("T-156 for another audience", elsewhere),
            ("a bit of the signature", flip(&here, 200)),
            ("another scope under the same signature", alter(&here)),
            ("no signature", format!("{unsigned}.")),
            ("by no algorithm", format!("{}.{}.", encode(r#"{"alg":"none","typ":"at+jwt"}"#), middle(&here))),
            ("an impostor's key", ask(&self.impostor, &self.victim, "")),
            ("another issuer with the same keys", ask(&self.namesake, client, "")),
            ("I-06 an answer of introspection", self.evidence(client, &here)),
            ("garbage", "garbage".to_owned()),
        ] {
            let status = gateway.send(Some(&token)).status;
            assert!(matches!(status, 401 | 403), "{status} {}", what(case));
        }
        assert_eq!(gateway.send(None).status, 401, "{}", what("no token"));
        assert_eq!(self.api.served(), served, "nothing refused reaches the API");
        let end = claims(&expires)["exp"].as_u64().unwrap() + SKEW_SECONDS;
        wait_for("the token has expired for everybody", || {
            (SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() > end).then_some(())
        });
        assert_eq!(gateway.send(Some(&expires)).status, 401, "T-212 {}", what("an expired token"));
        assert_eq!(gateway.send(Some(&here)).status, 200, "{}", what("its key is as good as before"));
    }
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn middle(token: &str) -> &str {
    token.split('.').nth(1).unwrap()
}

/// The API is told who the client is, by the gateway alone.
fn check_caller(kind: Kind, head: &str, client: &Client, brief: &Client) {
    let prefix = format!("{}: ", kind.header());
    let lines: Vec<&str> = head
        .lines()
        .filter_map(|line| line.split_at_checked(prefix.len()).filter(|(name, _)| name.eq_ignore_ascii_case(&prefix)))
        .map(|(_, value)| value)
        .collect();
    let [said] = lines[..] else { panic!("{kind:?} says not once who it is: {head}") };
    let said = if kind == Kind::Envoy {
        let claims = URL_SAFE_NO_PAD.decode(said.trim_end_matches('=')).unwrap();
        serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["client_id"].as_str().unwrap().to_owned()
    } else {
        said.to_owned()
    };
    assert!(said == client.id || said == brief.id, "{kind:?}: {head}");
}

fn check(kind: Kind) {
    let scene = Scene::new();
    let gateway = Gateway::start(kind, &scene.server, &scene.api, 5);
    for algorithm in kind.algorithms() {
        scene.check(&gateway, algorithm);
    }
    if kind == Kind::HaProxy {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write_exported_keys(&scene.server, &folder), super::keys_in(&gateway.folder), "the same keys");
    }
}

#[test]
fn t156_t212_t214_envoy_lets_eddsa_and_es256_through_and_refuses_the_rest() {
    check(Kind::Envoy);
}

#[test]
fn t156_t212_t214_haproxy_lets_es256_through_and_refuses_the_rest() {
    check(Kind::HaProxy);
}

#[test]
fn t156_t212_t214_apache_lets_es256_through_and_refuses_the_rest() {
    check(Kind::Apache);
}
