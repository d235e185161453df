//! Known answers.

use ed25519_lanes::{Acceleration, ExpandedSecretKey, KeyMismatch, Policy, SignError, Signature, Signer, VerifyingKey};

use crate::random::{every_signer, sign_all};

/// RFC 8032 §7.1: seed, public key, message, signature; all but the one whose message has 1,023 bytes.
const RFC_8032: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

/// TEST 1024, the same by lines.
const TEST_1024: &str = include_str!("rfc8032-test-1024.txt");

fn vectors() -> impl Iterator<Item = [&'static str; 4]> {
    let lines: Vec<&str> = TEST_1024.lines().collect();
    RFC_8032.into_iter().chain([lines.try_into().unwrap()])
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn seed(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

#[test]
fn the_vectors_of_rfc_8032_come_out_alone_and_in_batches() {
    for [secret, public, message, signature] in vectors() {
        for signer in every_signer(&seed(secret)) {
            assert_eq!(signer.verifying_key().as_bytes().as_slice(), bytes(public));
            let message = bytes(message);
            assert_eq!(signer.sign(&message).unwrap().to_bytes().as_slice(), bytes(signature));
            for n in [1, 2, 3, 4, 5, 8, 9] {
                for made in sign_all(&signer, &vec![message.clone(); n]) {
                    assert_eq!(made.to_bytes().as_slice(), bytes(signature), "one of {n}");
                }
            }
        }
    }
}

#[test]
fn a_verifying_key_of_another_secret_is_refused() {
    let [one, other] = [[1; 32], [2; 32]].map(|seed| ExpandedSecretKey::from(&seed));
    let public = VerifyingKey::from(&other);
    assert_eq!(Signer::new(&one, &public).map(|_| ()), Err(KeyMismatch));
    assert!(Signer::new(&other, &public).is_ok());
}

#[test]
fn as_many_places_are_wanted_as_there_are_messages() {
    let signer = Signer::from_seed(&[1; 32]);
    let mut signatures = [Signature::from_bytes(&[0; 64]); 2];
    assert_eq!(signer.sign_batch(&[b"a"], &mut signatures), Err(SignError::Lengths));
    assert_eq!(signer.sign_batch(&[b"a", b"b", b"c"], &mut signatures), Err(SignError::Lengths));
    assert_eq!(signer.sign_batch(&[], &mut []), Ok(()));
}

#[test]
fn what_is_printed_of_a_signer_tells_nothing_of_its_secret() {
    let secret = ExpandedSecretKey::from(&[9; 32]);
    let signer = Signer::from_seed_with(&[9; 32], Policy { acceleration: Acceleration::Off, ..Policy::default() });
    let printed = format!("{signer:?}");
    for half in [secret.scalar.as_bytes(), &secret.hash_prefix] {
        for part in half.windows(4) {
            assert!(!printed.contains(&hex::encode(part)) && !printed.contains(&format!("{part:?}")), "{printed}");
        }
    }
}
