//! Scalars modulo l = 2^252 + 27742317777372353535851937790883648493, the order of the base point, four at a time.
//!
//! Products are Montgomery's ("Modular multiplication without trial division", 1985) with R = 2^260: to divide x by R
//! modulo l, multiples of l are added that clear its limbs from the lowest on. A digest of 512 bits is divided by R as
//! it is; the constant that it is multiplied with next makes up for both divisions.

use crate::lanes::{Lanes, are_below, each_of_four};
use crate::radix::{self, M52};

/// l. Limb 3 is zero, which saves two products a row.
pub(crate) const L: [u64; 5] = [0x2_631a_5cf5_d3ed, 0xd_ea2f_79cd_6581, 0x14_def9, 0, 1 << 44];
/// -1 / l modulo 2^52
const NEGATIVE_INVERSE: u64 = 0x5_1da3_1254_7e1b;
/// R² mod l
const R2: [u64; 5] = [0x9_d265_e952_d13b, 0xd_63c7_15be_a69f, 0x5_be65_cb68_7604, 0x3_dcee_c73d_217f, 0x0941_1b7c_309a];

/// A number below l, its limbs below 2^52.
#[derive(Clone, Copy)]
pub(crate) struct Scalar<V>([V; 5]);

/// A key's secret scalar a, as a R² mod l.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(crate) struct Secret([u64; 5]);

impl Secret {
    /// From a mod l, whatever computes modulo l: `ed25519-dalek` does.
    pub(crate) fn new(a: &curve25519_dalek::scalar::Scalar) -> Self {
        use curve25519_dalek::scalar::Scalar;
        let mut r = Scalar::ONE;
        for _ in 0..260 {
            r += r;
        }
        let a_r2 = zeroize::Zeroizing::new(a * r * r);
        Self(radix::limbs(radix::words(a_r2.as_bytes())))
    }
}

impl<V: Lanes> Scalar<V> {
    pub(crate) fn zero(cpu: V::Cpu) -> Self {
        Self([V::all(cpu, 0); 5])
    }

    /// A digest modulo l.
    ///
    /// digest / R < 2^252 + l, times R² < l, divided by R: below 2^246 + l.
    #[inline(always)]
    pub(crate) fn of_digest(digest: [V; 8]) -> Self {
        let [proof, ..] = digest;
        Self(subtract_l(multiply(divide(limbs(digest)), radix::all(proof, R2))))
    }

    /// self + k a mod l for a digest k: the second half of a signature.
    ///
    /// k a comes out below 2^246 + l as in `of_digest`, so the sum is below 2l + 2^246, and l comes off at most twice.
    #[inline(always)]
    pub(crate) fn plus_product(self, k: [V; 8], a: &Secret) -> Self {
        let [r0, r1, r2, r3, r4] = self.0;
        let [s0, s1, s2, s3, s4] = multiply(divide(limbs(k)), radix::all(r0, a.0));
        let sum = carry([r0.add(s0), r1.add(s1), r2.add(s2), r3.add(s3), r4.add(s4)]);
        Self(subtract_l(subtract_l(sum)))
    }

    #[inline(always)]
    pub(crate) fn limbs(self) -> [V; 5] {
        self.0
    }

    /// Little-endian, of each lane.
    #[inline(always)]
    pub(crate) fn to_bytes(self) -> [[u8; 32]; 4] {
        each_of_four(V::transpose(radix::pack(self.0)), V::to_bytes)
    }
}

/// A digest's little-endian words as ten limbs below 2^52.
#[inline(always)]
fn limbs<V: Lanes>(words: [V; 8]) -> [V; 10] {
    let [w0, w1, w2, w3, w4, w5, w6, w7] = words;
    let m = w0.splat(M52);
    [
        w0.and(m),
        w0.shr::<52>().or(w1.shl::<12>()).and(m),
        w1.shr::<40>().or(w2.shl::<24>()).and(m),
        w2.shr::<28>().or(w3.shl::<36>()).and(m),
        w3.shr::<16>().or(w4.shl::<48>()).and(m),
        w4.shr::<4>().and(m),
        w4.shr::<56>().or(w5.shl::<8>()).and(m),
        w5.shr::<44>().or(w6.shl::<20>()).and(m),
        w6.shr::<32>().or(w7.shl::<32>()).and(m),
        w7.shr::<20>(),
    ]
}

/// a b / R, below a b / R + l, for limbs below 2^52.
#[inline(always)]
fn multiply<V: Lanes>(a: [V; 5], b: [V; 5]) -> [V; 5] {
    let [proof, ..] = a;
    divide(radix::multiply(a, b, [proof.splat(0); 5]))
}

/// x / R modulo l, below x / R + l, its limbs below 2^52; x has columns below 2^56 and is below 2^513.
#[inline(always)]
fn divide<V: Lanes>(x: [V; 10]) -> [V; 5] {
    let [x0, x1, x2, x3, x4, x5, x6, x7, x8, x9] = x;
    debug_assert!(are_below(&x, [1 << 56; 10]));
    let [x1, x2, x3, x4, x5] = clear_lowest([x0, x1, x2, x3, x4, x5]);
    let [x2, x3, x4, x5, x6] = clear_lowest([x1, x2, x3, x4, x5, x6]);
    let [x3, x4, x5, x6, x7] = clear_lowest([x2, x3, x4, x5, x6, x7]);
    let [x4, x5, x6, x7, x8] = clear_lowest([x3, x4, x5, x6, x7, x8]);
    carry(clear_lowest([x4, x5, x6, x7, x8, x9]))
}

/// (x + q l) / 2^52 for the q that makes this a division without rest. Every column gets at most two terms below 2^52
/// and a carry below 2^5, so five rounds leave columns below 2^57.
#[inline(always)]
fn clear_lowest<V: Lanes>(x: [V; 6]) -> [V; 5] {
    let [x0, x1, x2, x3, x4, x5] = x;
    let [l0, l1, l2, _, l4] = radix::all(x0, L);
    let q = x0.splat(0).madd_low(x0, x0.splat(NEGATIVE_INVERSE));
    let x0 = x0.madd_low(q, l0);
    debug_assert!(are_below(&[x0.and(x0.splat(M52))], [1]));
    let x1 = x1.madd_high(q, l0).madd_low(q, l1).add(x0.shr::<52>());
    let x2 = x2.madd_high(q, l1).madd_low(q, l2);
    [x1, x2, x3.madd_high(q, l2), x4.madd_low(q, l4), x5.madd_high(q, l4)]
}

/// Limbs below 2^52 from limbs below 2^63, but for the last one, which is as large as the number.
#[inline(always)]
fn carry<V: Lanes>(x: [V; 5]) -> [V; 5] {
    let [c0, c1, c2, c3, c4] = x;
    let m = c0.splat(M52);
    let c1 = c1.add(c0.shr::<52>());
    let c2 = c2.add(c1.shr::<52>());
    let c3 = c3.add(c2.shr::<52>());
    let c4 = c4.add(c3.shr::<52>());
    debug_assert!(are_below(&[c4], [1 << 52]));
    [c0.and(m), c1.and(m), c2.and(m), c3.and(m), c4]
}

/// The same for limbs that may be negative, as two's complement above -2^62. So may be the last one of the result.
#[inline(always)]
pub(crate) fn borrow<V: Lanes>(x: [V; 5]) -> [V; 5] {
    let [c0, c1, c2, c3, c4] = x;
    let m = c0.splat(M52);
    let c1 = c1.add_wrapping(c0.shr_signed::<52>());
    let c2 = c2.add_wrapping(c1.shr_signed::<52>());
    let c3 = c3.add_wrapping(c2.shr_signed::<52>());
    let c4 = c4.add_wrapping(c3.shr_signed::<52>());
    [c0.and(m), c1.and(m), c2.and(m), c3.and(m), c4]
}

/// x - l where that is not negative, x elsewhere.
#[inline(always)]
fn subtract_l<V: Lanes>(x: [V; 5]) -> [V; 5] {
    let [x0, x1, x2, x3, x4] = x;
    let [l0, l1, l2, _, l4] = radix::all(x0, L);
    let (d0, d1, d2) = (x0.sub_wrapping(l0), x1.sub_wrapping(l1), x2.sub_wrapping(l2));
    let [d0, d1, d2, d3, d4] = borrow([d0, d1, d2, x3, x4.sub_wrapping(l4)]);
    let negative = d4.has_any(1 << 63);
    [
        x0.select(negative, d0),
        x1.select(negative, d1),
        x2.select(negative, d2),
        x3.select(negative, d3),
        x4.select(negative, d4),
    ]
}
