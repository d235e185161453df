//! Keys that were made elsewhere, and keys that are given to verifiers by hand: `key import` and `key export`.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jeton::keys::import;
use jeton::oauth::Algorithm;
use serde_json::Value;

use super::{JWKS, fresh, vectors, verifies};
use crate::support::{GENEROUS, GRANT, Home, segment, wait_for};

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

#[test]
fn pkcs8_and_private_jwks_are_read_and_nothing_else() {
    for (algorithm, example) in
        [(Algorithm::EdDsa, "rfc8037"), (Algorithm::Es256, "rfc7515_A3"), (Algorithm::Ps256, "rfc7515_A2")]
    {
        let jwk = vectors()[example]["jwk"].clone();
        let secret = import::read(algorithm, &jwk.to_string()).unwrap();
        let key = jeton::keys::SigningKey::read(algorithm, &secret).unwrap();
        let public: Value = serde_json::from_str(key.jwk()).unwrap();
        assert!(["x", "y", "n"].iter().all(|name| public[name] == jwk[name]), "{algorithm}");
        for name in jwk.as_object().unwrap().keys() {
            let mut without = jwk.clone();
            without[name] = Value::Null;
            assert!(import::read(algorithm, &without.to_string()).is_err(), "{algorithm} without {name}");
        }
        let mut other = jwk.clone();
        other["alg"] = "RS512".into();
        assert!(import::read(algorithm, &other.to_string()).is_err(), "for another algorithm");
        let mut stranger = jwk;
        stranger[if algorithm == Algorithm::Ps256 { "n" } else { "x" }] = vectors()["rfc7638"]["jwk"]["n"].clone();
        assert!(import::read(algorithm, &stranger.to_string()).is_err(), "the public part of another key");
    }
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    let seed = import::read(Algorithm::EdDsa, &pem(der.as_ref())).unwrap();
    assert_eq!(seed.len(), 32);
    assert!(import::read(Algorithm::EdDsa, &pem(&fresh(Algorithm::Es256).0)).is_err());
    for text in
        ["", "{}", "[]", "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----"]
    {
        assert!(Algorithm::ALL.iter().all(|algorithm| {
            import::read(*algorithm, text)
                .and_then(|secret| jeton::keys::SigningKey::read(*algorithm, &secret))
                .is_err()
        }));
    }
}

#[test]
fn t111_an_imported_key_keeps_its_name_waits_like_any_successor_and_is_strong() {
    let home = Home::new();
    let client = home.add_client(&["--scope", "read", "--alg", "RS256"]);
    let file = home.folder.path().join("key");
    let import = |text: &str, alg: &str| {
        std::fs::write(&file, text).unwrap();
        let output = home.run(&["key", "import", file.to_str().unwrap(), "--alg", alg]);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let large = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
    let large = pem(large.as_der().unwrap().as_ref());
    assert_eq!(import(&large, "RS256"), (0, String::new()));
    let (code, said) = import(&large, "RS256");
    assert!(code == 1 && said.contains("already"), "{said}");
    let (code, said) = import(&large, "PS256");
    assert!(code == 1 && said.contains("already"), "one key has one algorithm: {said}");
    assert_eq!(import(&vectors()["rfc7515_A3"]["jwk"].to_string(), "ES256").0, 0);
    let huge = RsaKeyPair::generate(KeySize::Rsa4096).unwrap();
    assert_eq!(import(&pem(huge.as_der().unwrap().as_ref()), "PS256").0, 0);
    let mut weak = vectors()["rfc7515_A2"]["jwk"].clone();
    weak["e"] = "Aw".into();
    for (text, alg) in [(weak.to_string(), "RS256"), ("nonsense".to_owned(), "ES256"), (large, "EdDSA")] {
        let (code, said) = import(&text, alg);
        assert!(code == 1 && said.contains("not a usable private key"), "{said}");
        assert!(!said.contains("nonsense"), "{said}");
    }
    let listed = String::from_utf8(home.run(&["key", "list"]).stdout).unwrap();
    assert_eq!(listed.matches("\tRS256\tactive\t").count(), 1, "{listed}");
    assert_eq!(listed.matches("\tpublished\t").count(), 3, "{listed}");
    assert!(listed.contains("\tES256\tpublished\t"), "{listed}");
    let exported = home.run(&["key", "export"]);
    let exported: Value = serde_json::from_slice(&exported.stdout).unwrap();
    let server = home.serve(GENEROUS);
    assert_eq!(server.get(JWKS).json(), exported);
    assert!(verifies(&server.ask_patiently(&client, GRANT).access_token(), &exported));
}

#[test]
fn an_imported_key_takes_over_and_its_longer_signatures_fit() {
    let home = Home::new();
    let client = home.add_client(&["--scope", "read", "--alg", "RS256"]);
    let keys = "[keys]\njwks_max_age = \"1s\"\nclock_skew = \"1s\"\n[store]\noutage_grace = \"2s\"\n";
    let server = home.serve(&format!("{keys}{GENEROUS}"));
    let (file, config) = (server.home.folder.path().join("key.pem"), server.home.folder.path().join("jeton.toml"));
    let large = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
    std::fs::write(&file, pem(large.as_der().unwrap().as_ref())).unwrap();
    let [file, config] = [&file, &config].map(|path| path.to_str().unwrap());
    server.home.json(&["--config", config, "key", "import", file, "--alg", "RS256"]);
    let token = wait_for("it signs", || {
        let token = server.ask_patiently(&client, GRANT).access_token();
        (token.rsplit('.').next().unwrap().len() == 512).then_some(token)
    });
    assert!(verifies(&token, &server.get(JWKS).json()) && segment(&token, 0)["alg"] == "RS256");
}
