//! How Ed25519 keys sign is the operator's choice, and changes nothing of what is signed.

use std::num::NonZeroU32;

use jeton::clock::UnixTime;
use jeton::keys::{Acceleration, KeySet, MasterKey, Path, SigningKey, SigningPolicy, VerifyAfterSign, Why};
use jeton::oauth::Algorithm;

use super::{JWKS, record, verifies};
use crate::support::{GRANT, Home, wait_for};

/// Every policy.
fn policies() -> impl Iterator<Item = SigningPolicy> {
    let sampled = VerifyAfterSign::Sampled(NonZeroU32::new(2).unwrap());
    let verifying = [VerifyAfterSign::Off, sampled, VerifyAfterSign::All];
    [Acceleration::Detect, Acceleration::Off]
        .into_iter()
        .flat_map(move |acceleration| verifying.map(|verify| SigningPolicy { acceleration, verify }))
}

#[test]
fn signatures_are_the_same_by_every_policy_alone_and_together() {
    let (record, master) = (record(Algorithm::EdDsa, &[9; 32]), MasterKey::from_random([1; 32]));
    let expected = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let texts: Vec<String> = (0..70).map(|number| "x".repeat(11 * number)).collect();
    for policy in policies() {
        let key = SigningKey::open_with(&record, &master, policy).unwrap();
        for count in [1, 2, 7, 16, 17, 70] {
            let messages: Vec<&[u8]> = texts[..count].iter().map(String::as_bytes).collect();
            let mut signatures = vec![[0; 64]; count];
            key.sign_batch(&messages, &mut signatures).unwrap();
            for (message, signature) in messages.iter().zip(&signatures) {
                assert_eq!(ed25519_dalek::Signer::sign(&expected, message).to_bytes(), *signature, "{policy:?}");
                assert_eq!(key.sign(message).unwrap().as_ref(), signature, "{policy:?}, alone");
            }
        }
    }
}

#[test]
fn a_key_set_says_how_its_keys_sign() {
    let (record, master) = (record(Algorithm::EdDsa, &[9; 32]), MasterKey::from_random([1; 32]));
    for policy in policies() {
        let set = KeySet::open_with(std::slice::from_ref(&record), &master, UnixTime::from_seconds(1), policy).unwrap();
        let is_off = set.ed25519_path() == Some(Path::Portable(Why::SwitchedOff));
        assert_eq!(is_off, policy.acceleration == Acceleration::Off, "{policy:?}");
        assert_ne!(set.ed25519_path(), Some(Path::Portable(Why::SelfTestFailed)), "this machine computes wrongly");
    }
    let none = KeySet::open(&[], &master, UnixTime::from_seconds(1)).unwrap();
    assert_eq!(none.ed25519_path(), None);
}

#[test]
fn a_server_says_how_it_signs_and_its_tokens_verify_either_way() {
    for (setting, said) in [("auto", "EdDSA signatures "), ("off", "EdDSA signatures without vector lanes")] {
        for verify in ["off", "sampled", "all"] {
            let home = Home::new();
            let client = home.usual_client();
            let config = format!("[keys]\nvector_signing = \"{setting}\"\nverify_after_sign = \"{verify}\"\n");
            let server = home.serve(&config);
            let set = server.get(JWKS).json();
            for _ in 0..3 {
                let token = server.ask(&client, GRANT).json()["access_token"].as_str().unwrap().to_owned();
                assert!(verifies(&token, &set), "{config}");
            }
            wait_for("what it says", || server.log_text().contains(said).then_some(()));
            assert!(!server.log_text().contains("wrong signatures"), "this machine computes wrongly");
            let taken = |path: &str| server.metric(&format!("jeton_eddsa_path{{path=\"{path}\"}}"));
            let names = ["lanes", "switched_off", "unsupported", "self_test_failed", "fault_found"];
            assert_eq!(names.map(taken).iter().sum::<f64>().to_string(), "1");
            // The environment decides over the file.
            let told = std::env::var("JETON_TEST_VECTOR_SIGNING").unwrap_or_else(|_| setting.to_owned());
            assert_eq!(taken("switched_off").to_string(), if told == "off" { "1" } else { "0" });
            assert_eq!((taken("self_test_failed") + taken("fault_found")).to_string(), "0");
        }
    }
}
