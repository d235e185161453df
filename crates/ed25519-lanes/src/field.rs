//! The field of p = 2^255 - 19, four elements at a time, in radix 2^52.
//!
//! # Why this radix
//!
//! `madd` multiplies 52 by 52 bits and adds the low or the high half of the product to 64 bits. In radix 2^52 the high
//! half weighs exactly one limb more, so a product is 25 low halves and 25 high ones, nothing shifted or doubled. And
//! `madd` looks only at the low 52 bits of its factors: whatever stands above them need not be masked away.
//!
//! Five limbs are 260 bits, and 2^260 = 2^5 * 2^255 ≡ 32 * 19 = 608 (mod p): the upper half of a product comes back
//! into the lower one by a multiplication with 608.
//!
//! # Lazy reduction, by types
//!
//! Carries cost a sixth of a product, so sums and differences are taken before them. What may be done with a number is
//! its type, and a number of each type has its bound:
//!
//! | type | limbs 0 to 3 | limb 4 | comes from | goes to |
//! |---|---|---|---|---|
//! | [`Fe`] | any; the low 52 bits count | ≤ 2^47 + 2^12 | a carry | products |
//! | [`Product`] | < 10 * 2^52 + 2^14 | the same | a product | a carry, sums |
//! | [`Biased`] | the same, and 2^61 - 2^14 ≤ | and 2^56 - 2^9 ≤ | a product on top of 512 p | a carry, sums, differences |
//! | [`Loose`] | < 2^63 | < 2^63 | sums and differences | a carry |
//!
//! 512 p has limbs above any of a `Product`, so subtracting one from a `Biased` leaves no limb negative, and adds only
//! a multiple of p. It costs nothing: it is what the accumulators start with in place of zero.
//!
//! The same radix and bias are in "Bernstein et al., Curve25519" implementations for 51 bits; IFMA with 52 bits is
//! described by Gueron and Krasnov, "Accelerating Big Integer Arithmetic Using Intel IFMA Extensions" (2016).

use crate::lanes::{Lanes, Mask, are_below, each, pairwise};
use crate::radix::{self, M52};

const M47: u64 = (1 << 47) - 1;
/// Above every limb of a product: [`fold`] shows why.
const PRODUCT: u64 = 10 * (1 << 52) + (1 << 14);
/// Above the last column of a product.
const COLUMN_9: u64 = (1 << 42) + (1 << 8) + 1;
/// Above every limb of what a carry takes.
const LOOSE: u64 = 1 << 63;
/// Above limb 4 of what a carry leaves.
const CARRIED: u64 = (1 << 47) + (1 << 12) + 1;
/// 512 p = 512 (2^255 - 19), limb by limb.
const BIAS: [u64; 5] = [512 * (M52 - 18), 512 * M52, 512 * M52, 512 * M52, 512 * M47];

// A difference of a biased and a plain product leaves no limb below zero; and two biased products are loose.
const _: () = assert!(BIAS[0] > PRODUCT && BIAS[4] > PRODUCT && 2 * (BIAS[1] + PRODUCT) < LOOSE);
// The last column's 608-fold has no high half.
const _: () = assert!(608 * (COLUMN_9 - 1) <= M52 && ((CARRIED - 1) as u128).pow(2) >> 52 < COLUMN_9 as u128);

/// An element that can be multiplied.
#[derive(Clone, Copy)]
pub(crate) struct Fe<V>([V; 5]);

/// An uncarried product.
#[derive(Clone, Copy)]
pub(crate) struct Product<V>([V; 5]);

/// An uncarried product on top of 512 p.
#[derive(Clone, Copy)]
pub(crate) struct Biased<V>([V; 5]);

/// A sum or difference to be carried.
#[derive(Clone, Copy)]
pub(crate) struct Loose<V>([V; 5]);

impl<V: Lanes> Fe<V> {
    /// The same element in every lane, from a number below 2^255 as little-endian words.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn all(cpu: V::Cpu, words: [u64; 4]) -> Self {
        Self::of(radix::all(V::all(cpu, 0), radix::limbs(words)))
    }

    /// Limbs of which the low 52 bits count, the last one at most 2^47 + 2^12.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn of(limbs: [V; 5]) -> Self {
        debug_assert!(are_below(&limbs, [u64::MAX, u64::MAX, u64::MAX, u64::MAX, CARRIED]));
        Self(limbs)
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn times(self, other: Self) -> Product<V> {
        let zero = self.0[0].splat(0);
        let product = multiply(self.0, other.0, [zero; 5]);
        debug_assert!(are_below(&product, [PRODUCT; 5]));
        Product(product)
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn times_biased(self, other: Self) -> Biased<V> {
        let product = multiply(self.0, other.0, radix::all(self.0[0], BIAS));
        // From below as well: what is less than the bias wraps around.
        debug_assert!(are_below(&pairwise(product, radix::all(product[0], BIAS), V::sub_wrapping), [PRODUCT; 5]));
        Biased(product)
    }

    /// Limbs all below 2^52, as they count.
    #[cfg_attr(not(test), inline(always))]
    fn masked(self) -> [V; 5] {
        let [c0, c1, c2, c3, c4] = self.0;
        let m = c0.splat(M52);
        [c0.and(m), c1.and(m), c2.and(m), c3.and(m), c4]
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn plus(self, other: Self) -> Loose<V> {
        Loose(pairwise(self.masked(), other.masked(), V::add))
    }

    /// Limbs of `other` are below 2^52, those of 512 p above 2^55.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn minus(self, other: Self) -> Loose<V> {
        let biased = pairwise(self.masked(), radix::all(self.0[0], BIAS), V::add);
        Loose(pairwise(biased, other.masked(), V::sub))
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn biased(self) -> Biased<V> {
        Biased(pairwise(self.masked(), radix::all(self.0[0], BIAS), V::add))
    }

    /// The one number below p: its limbs, all below 2^52 and the last one below 2^47.
    ///
    /// The number is below 2^255 + 2^221 < 2p, so at most one p comes off: q = 1 if number + 19 ≥ 2^255, else 0; then
    /// number + 19 q - 2^255 q.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn canonical(self) -> [V; 5] {
        let [c0, c1, c2, c3, c4] = self.masked();
        let (m, nineteen) = (c0.splat(M52), c0.splat(19));
        let q = c0.add(nineteen).shr::<52>();
        let q = c1.add(q).shr::<52>();
        let q = c2.add(q).shr::<52>();
        let q = c3.add(q).shr::<52>();
        let q = c4.add(q).shr::<47>();
        let c0 = c0.madd_low(q, nineteen);
        let c1 = c1.add(c0.shr::<52>());
        let c2 = c2.add(c1.shr::<52>());
        let c3 = c3.add(c2.shr::<52>());
        let c4 = c4.add(c3.shr::<52>());
        [c0.and(m), c1.and(m), c2.and(m), c3.and(m), c4.and(c0.splat(M47))]
    }

    /// The same element with its lanes moved about.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn lanes(self, order: impl Fn(V) -> V) -> Self {
        Self(each(self.0, order))
    }

    /// Lane i of element i.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn diagonal([a, b, c, d]: [Self; 4]) -> Self {
        let [a0, a1, a2, a3, a4] = a.0;
        let [b0, b1, b2, b3, b4] = b.0;
        let [c0, c1, c2, c3, c4] = c.0;
        let [d0, d1, d2, d3, d4] = d.0;
        Self::of([
            V::diagonal([a0, b0, c0, d0]),
            V::diagonal([a1, b1, c1, d1]),
            V::diagonal([a2, b2, c2, d2]),
            V::diagonal([a3, b3, c3, d3]),
            V::diagonal([a4, b4, c4, d4]),
        ])
    }

    /// This element where the mask has ones, `other` elsewhere.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn select(self, mask: Mask, other: Self) -> Self {
        Self(pairwise(self.0, other.0, |one, other| one.select(mask, other)))
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn limbs(self) -> [V; 5] {
        self.0
    }
}

impl<V: Lanes> Product<V> {
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn carry(self) -> Fe<V> {
        Loose(self.0).carry()
    }
}

impl<V: Lanes> Biased<V> {
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn carry(self) -> Fe<V> {
        Loose(self.0).carry()
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn plus(self, other: Product<V>) -> Loose<V> {
        Loose(pairwise(self.0, other.0, V::add))
    }

    /// No limb of `other` is above the bias in `self`.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn minus(self, other: Product<V>) -> Loose<V> {
        Loose(pairwise(self.0, other.0, V::sub))
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn lanes(self, order: impl Fn(V) -> V) -> Self {
        Self(each(self.0, order))
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn select(self, mask: Mask, other: Self) -> Self {
        Self(pairwise(self.0, other.0, |one, other| one.select(mask, other)))
    }

    /// Limbs below 2 (2^61 + 2^56).
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn doubled(self) -> Loose<V> {
        Loose(pairwise(self.0, self.0, V::add))
    }

    /// self - c and self + c in the lanes of the mask, self + c and self - c in the others: there c is negated, limb by
    /// limb modulo 2^64. The next sum or difference undoes that, so what comes out is bound as in `plus` and `minus`.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn minus_and_plus(self, c: Product<V>, positive: Mask) -> (Loose<V>, Loose<V>) {
        let c = each(c.0, |limb| limb.select(positive, limb.splat(0).sub_wrapping(limb)));
        let difference = Loose(pairwise(self.0, c, V::sub_wrapping));
        (difference, Loose(pairwise(self.0, c, V::add_wrapping)))
    }
}

impl<V: Lanes> Loose<V> {
    /// The bits from 2^255 on come back as 19 times themselves; then each limb's bits from 2^52 on go to the next one.
    /// Only limb 4 is masked: the others are read by `madd`, which ignores what stands above.
    ///
    /// Limbs below 2^63: the top is below 2^16, so 19 times it fits 52 bits; limb 3 with its carry is below
    /// 2^63 + 2^12, so limb 4 becomes at most 2^47 - 1 + 2^11 + 1.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn carry(self) -> Fe<V> {
        debug_assert!(are_below(&self.0, [LOOSE; 5]));
        let [c0, c1, c2, c3, c4] = self.0;
        let top = c4.shr::<47>();
        let c0 = c0.madd_low(top, c0.splat(19));
        let c1 = c1.add(c0.shr::<52>());
        let c2 = c2.add(c1.shr::<52>());
        let c3 = c3.add(c2.shr::<52>());
        let c4 = c4.and(c4.splat(M47)).add(c3.shr::<52>());
        Fe::of([c0, c1, c2, c3, c4])
    }
}

#[cfg_attr(not(test), inline(always))]
fn multiply<V: Lanes>(a: [V; 5], b: [V; 5], start: [V; 5]) -> [V; 5] {
    let [z0, z1, z2, z3, z4, z5, z6, z7, z8, z9] = radix::multiply(a, b, start);
    fold([z0, z1, z2, z3, z4], [z5, z6, z7, z8, z9])
}

/// low + 608 high. A high column spills over 52 bits; both what it has below and what it has above go through `madd`,
/// so that no column waits for another.
///
/// The bound of a limb. Columns 0 to 8 of a product have 1, 3, 5, 7, 9, 9, 7, 5 and 3 terms below 2^52, so their
/// spill h is at most 8 and 608 h below 2^14. Column 9 is the high half of a₄ b₄ ≤ (2^47 + 2^12)^2, at most
/// 2^42 + 2^8, so its 608-fold is below 2^52 and has no high half. To columns 0 to 4 come
///
/// - 608 times the low 52 bits of column i + 5, its low half: below 2^52,
/// - the high half of that from column i + 4: below 608,
/// - 608 h of column i + 4,
///
/// together below 2^52 + 2^14. Column 4 is the fullest: 9 * 2^52 before, below 10 * 2^52 + 2^14 after.
#[cfg_attr(not(test), inline(always))]
fn fold<V: Lanes>(low: [V; 5], high: [V; 5]) -> [V; 5] {
    let [z0, z1, z2, z3, z4] = low;
    let [z5, z6, z7, z8, z9] = high;
    debug_assert!(are_below(&[z9], [COLUMN_9]));
    let c = z0.splat(608);
    let (h5, h6, h7, h8) = (z5.shr::<52>(), z6.shr::<52>(), z7.shr::<52>(), z8.shr::<52>());
    [
        z0.madd_low(z5, c),
        z1.madd_high(z5, c).madd_low(z6, c).madd_low(h5, c),
        z2.madd_high(z6, c).madd_low(z7, c).madd_low(h6, c),
        z3.madd_high(z7, c).madd_low(z8, c).madd_low(h7, c),
        z4.madd_low(z9, c).madd_high(z8, c).madd_low(h8, c),
    ]
}

#[cfg(test)]
mod tests;
