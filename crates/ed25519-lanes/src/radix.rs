//! Radix 2^52: five limbs hold 260 bits, and what `madd_high` returns has exactly the weight of the next limb.

use crate::lanes::Lanes;

/// The low 52 bits.
pub(crate) const M52: u64 = (1 << 52) - 1;

/// The limbs of 256 bits, given as little-endian words.
pub(crate) const fn limbs(words: [u64; 4]) -> [u64; 5] {
    let [w0, w1, w2, w3] = words;
    [w0 & M52, (w0 >> 52 | w1 << 12) & M52, (w1 >> 40 | w2 << 24) & M52, (w2 >> 28 | w3 << 36) & M52, w3 >> 16]
}

/// The little-endian words of 32 bytes.
pub(crate) fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// The same limbs in every lane.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn all<V: Lanes>(proof: V, limbs: [u64; 5]) -> [V; 5] {
    let [a, b, c, d, e] = limbs;
    [proof.splat(a), proof.splat(b), proof.splat(c), proof.splat(d), proof.splat(e)]
}

/// From limbs below 2^52 to words of 64 bits, in each lane; what is above 2^256 is lost.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn pack<V: Lanes>(limbs: [V; 5]) -> [V; 4] {
    let [c0, c1, c2, c3, c4] = limbs;
    [
        c0.or(c1.shl::<52>()),
        c1.shr::<12>().or(c2.shl::<40>()),
        c2.shr::<24>().or(c3.shl::<28>()),
        c3.shr::<36>().or(c4.shl::<16>()),
    ]
}

/// start + a b in ten columns, of which the low 52 bits of a and b count. Row by row as at school: row i adds aᵢ b to
/// the columns from i on, so that columns 0 to 9 get 1, 3, 5, 7, 9, 9, 7, 5, 3 and 1 terms below 2^52.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn multiply<V: Lanes>(a: [V; 5], b: [V; 5], start: [V; 5]) -> [V; 10] {
    let [a0, a1, a2, a3, a4] = a;
    let [z0, z1, z2, z3, z4] = start;
    let zero = a0.splat(0);
    let [z0, z1, z2, z3, z4, z5] = row(a0, b, [z0, z1, z2, z3, z4, zero]);
    let [z1, z2, z3, z4, z5, z6] = row(a1, b, [z1, z2, z3, z4, z5, zero]);
    let [z2, z3, z4, z5, z6, z7] = row(a2, b, [z2, z3, z4, z5, z6, zero]);
    let [z3, z4, z5, z6, z7, z8] = row(a3, b, [z3, z4, z5, z6, z7, zero]);
    let [z4, z5, z6, z7, z8, z9] = row(a4, b, [z4, z5, z6, z7, z8, zero]);
    [z0, z1, z2, z3, z4, z5, z6, z7, z8, z9]
}

/// z + a b: column j gets the low half of a bⱼ and the high half of a bⱼ₋₁.
#[cfg_attr(not(test), inline(always))]
fn row<V: Lanes>(a: V, b: [V; 5], z: [V; 6]) -> [V; 6] {
    let [b0, b1, b2, b3, b4] = b;
    let [z0, z1, z2, z3, z4, z5] = z;
    let (z0, z1, z2) = (z0.madd_low(a, b0), z1.madd_low(a, b1), z2.madd_low(a, b2));
    let (z3, z4) = (z3.madd_low(a, b3), z4.madd_low(a, b4));
    let (z1, z2, z3) = (z1.madd_high(a, b0), z2.madd_high(a, b1), z3.madd_high(a, b2));
    [z0, z1, z2, z3, z4.madd_high(a, b3), z5.madd_high(a, b4)]
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;
    use crate::emulated::Emulated;
    use crate::model::{self, corners, load, number, numbers};

    #[test]
    fn columns_of_extreme_limbs_are_the_product_and_have_as_many_terms_as_said() {
        let terms = [1, 3, 5, 7, 9, 9, 7, 5, 3, 1];
        for a in corners([M52 + 1; 5]) {
            for b in corners([u64::MAX; 5]) {
                let product = multiply::<Emulated>(load((), [a; 4]), load((), [b; 4]), load((), [[0; 5]; 4]));
                assert_eq!(numbers(product)[1], number(a) * number(b.map(|limb| limb & M52)));
                let rows = product.map(Emulated::to_row);
                assert!(rows.iter().zip(terms).all(|(row, terms)| row.0[0] <= terms * M52), "{a:?} times {b:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn words_become_limbs_and_limbs_words(bytes in any::<[u8; 32]>()) {
            let words = words(&bytes);
            let limbs = limbs(words);
            prop_assert_eq!(number(limbs), BigUint::from_bytes_le(&bytes));
            prop_assert_eq!(model::words(&number(limbs)), words);
            let packed = pack::<Emulated>(load((), [limbs; 4]));
            prop_assert_eq!(packed.map(|word| word.to_row().0), words.map(|word| [word; 4]));
        }
    }
}
