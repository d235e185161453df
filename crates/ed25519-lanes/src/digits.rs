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
    #[inline(always)]
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
    #[inline(always)]
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

    #[inline(always)]
    pub(crate) fn words(&self) -> [V; 5] {
        self.0
    }
}
