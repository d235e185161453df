//! A scalar as signed odd digits of 5 bits.
//!
//! Every odd number x with |x| < 2^n, n = 5w, is a sum of w odd digits ±1, ±3, …, ±31 times 2^(5j): write
//! b = (x + 2^n - 1) / 2 in plain windows bⱼ of 5 bits, then the digits are 2 bⱼ - 31, since
//!
//! ```text
//! Σ (2 bⱼ - 31) 2^(5j) = 2b - 31 (2^n - 1) / 31 = 2b - 2^n + 1 = x
//! ```
//!
//! r mod l need not be odd, but of r and r - l one is, as l is odd; and both give the same multiple of B. With
//! |x| < l < 2^253 there is room in 51 windows for every scalar. (Hamburg, "Fast and compact elliptic-curve
//! cryptography", 2012, §3.3 has the recoding.)

use crate::lanes::{Lanes, each};
use crate::radix::{self, M52};
use crate::scalar::{self, Scalar};

/// Bits of a digit.
pub(crate) const BITS: i32 = 5;

/// The windows bⱼ, twelve to a word of 60 bits.
pub(crate) struct Digits<V>([V; 5]);

impl<V: Lanes> Digits<V> {
    pub(crate) const PER_WORD: usize = 12;

    /// 51 or 52 windows.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn of(scalar: Scalar<V>, windows: usize) -> Self {
        let [r0, r1, r2, r3, r4] = scalar.limbs();
        let odd = r0.has_any(1);
        let [l0, l1, l2, _, l4] = each(radix::all(r0, scalar::L), |limb| r0.splat(0).select(odd, limb));
        let top = r0.splat(1 << (5 * windows - 208));
        // Limbs may be below zero until their borrow is taken from the next one; the last one never is.
        let c0 = r0.sub_wrapping(l0).sub_wrapping(r0.splat(1));
        let (c1, c2) = (r1.sub_wrapping(l1), r2.sub_wrapping(l2));
        let [c0, c1, c2, c3, c4] = scalar::borrow([c0, c1, c2, r3, r4.sub_wrapping(l4).add_wrapping(top)]);
        let half = |low: V, high: V| low.shr::<1>().or(high.shl::<51>()).and(low.splat(M52));
        Self::regroup([half(c0, c1), half(c1, c2), half(c2, c3), half(c3, c4), c4.shr::<1>()])
    }

    /// From limbs of 52 bits to words of 60.
    #[cfg_attr(not(test), inline(always))]
    fn regroup([b0, b1, b2, b3, b4]: [V; 5]) -> Self {
        let mask = b0.splat((1 << 60) - 1);
        Self([
            b0.or(b1.shl::<52>()).and(mask),
            b1.shr::<8>().or(b2.shl::<44>()).and(mask),
            b2.shr::<16>().or(b3.shl::<36>()).and(mask),
            b3.shr::<24>().or(b4.shl::<28>()).and(mask),
            b4.shr::<32>(),
        ])
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn words(&self) -> [V; 5] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar as Dalek;
    use num_bigint::{BigInt, BigUint};
    use proptest::prelude::*;

    use super::*;
    use crate::emulated::Emulated;
    use crate::model::{digest, l, load};

    /// Σ (2 bⱼ - 31) 2^(5j) of each lane.
    fn sums(digits: &Digits<Emulated>, windows: usize) -> [BigInt; 4] {
        [0, 1, 2, 3].map(|lane| {
            let window = |j: usize| digits.words()[j / 12].to_row().0[lane] >> (5 * (j % 12)) & 31;
            (0..windows).map(|j| (BigInt::from(2 * window(j)) - 31) << (5 * j)).sum()
        })
    }

    fn check(scalars: [Dalek; 4]) {
        // Scalar::of_digest is the only way to make a scalar, and reduced ones stay as they are.
        let words = scalars.map(|scalar| {
            let [a, b, c, d] = crate::radix::words(scalar.as_bytes());
            [a, b, c, d, 0, 0, 0, 0]
        });
        let lanes = Scalar::of_digest(load::<Emulated, 8>((), words));
        for windows in [51, 52] {
            for (sum, scalar) in sums(&Digits::of(lanes, windows), windows).into_iter().zip(scalars) {
                let (l, r) = (BigInt::from(l()), BigInt::from(BigUint::from_bytes_le(scalar.as_bytes())));
                assert!(sum == r || sum == &r - &l, "{r} became {sum}");
                assert!(sum.bit(0), "the sum of odd digits is odd");
            }
        }
    }

    #[test]
    fn the_smallest_and_the_largest_scalars_are_their_digits() {
        for i in 0..40_u8 {
            let small = Dalek::from(i);
            check([small, -small, small + Dalek::from(1_u128 << 127), -small * Dalek::from(1_u128 << 127)]);
        }
    }

    proptest! {
        #[test]
        fn a_scalar_is_its_digits(digests in [digest(), digest(), digest(), digest()]) {
            check(digests.map(|digest| Dalek::from_bytes_mod_order_wide(&digest)));
        }
    }
}
