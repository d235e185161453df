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
#[derive(Default, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(crate) struct Secret([u64; 5]);

impl Secret {
    /// From a mod l, whatever computes modulo l: `ed25519-dalek` does.
    pub(crate) fn new(a: &curve25519_dalek::scalar::Scalar) -> Self {
        use curve25519_dalek::scalar::Scalar;
        use zeroize::Zeroizing;
        let mut r = Scalar::ONE;
        for _ in 0..260 {
            r += r;
        }
        let a_r = Zeroizing::new(a * r);
        let a_r2 = Zeroizing::new(*a_r * r);
        let words = Zeroizing::new(radix::words(a_r2.as_bytes()));
        Self(radix::limbs(*words))
    }
}

impl<V: Lanes> Scalar<V> {
    pub(crate) fn zero(cpu: V::Cpu) -> Self {
        Self([V::all(cpu, 0); 5])
    }

    /// A digest modulo l.
    ///
    /// digest / R < 2^252 + l, times R² < l, divided by R: below 2^246 + l.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn of_digest(digest: [V; 8]) -> Self {
        let [proof, ..] = digest;
        Self(subtract_l(multiply(divide(limbs(digest)), radix::all(proof, R2))))
    }

    /// self + k a mod l for a digest k: the second half of a signature.
    ///
    /// k a comes out below 2^246 + l as in `of_digest`, so the sum is below 2l + 2^246, and l comes off at most twice.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn plus_product(self, k: [V; 8], a: &Secret) -> Self {
        let [r0, r1, r2, r3, r4] = self.0;
        let [s0, s1, s2, s3, s4] = multiply(divide(limbs(k)), radix::all(r0, a.0));
        let sum = carry([r0.add(s0), r1.add(s1), r2.add(s2), r3.add(s3), r4.add(s4)]);
        Self(subtract_l(subtract_l(sum)))
    }

    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn limbs(self) -> [V; 5] {
        self.0
    }

    /// Little-endian, of each lane.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn to_bytes(self) -> [[u8; 32]; 4] {
        each_of_four(V::transpose(radix::pack(self.0)), V::to_bytes)
    }
}

/// A digest's little-endian words as ten limbs below 2^52.
#[cfg_attr(not(test), inline(always))]
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
#[cfg_attr(not(test), inline(always))]
fn multiply<V: Lanes>(a: [V; 5], b: [V; 5]) -> [V; 5] {
    let [proof, ..] = a;
    divide(radix::multiply(a, b, [proof.splat(0); 5]))
}

/// x / R modulo l, below x / R + l, its limbs below 2^52; x has columns below 2^56 and is below 2^513.
#[cfg_attr(not(test), inline(always))]
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
#[cfg_attr(not(test), inline(always))]
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
#[cfg_attr(not(test), inline(always))]
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
#[cfg_attr(not(test), inline(always))]
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
#[cfg_attr(not(test), inline(always))]
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

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar as Dalek;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;
    use crate::emulated::Emulated;
    use crate::model::{self, corners, digest, l, limbs, load, number, numbers};

    /// A digest of each lane, as words.
    fn words(digests: [[u8; 64]; 4]) -> [Emulated; 8] {
        load(
            (),
            digests.map(|digest| {
                let words: Vec<u64> = digest.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
                words.try_into().unwrap()
            }),
        )
    }

    fn check(nonces: [[u8; 64]; 4], answers: [[u8; 64]; 4], a: &Dalek) {
        let r = Scalar::of_digest(words(nonces));
        let s = r.plus_product(words(answers), &Secret::new(a));
        for (lane, (nonce, answer)) in nonces.into_iter().zip(answers).enumerate() {
            let expected = Dalek::from_bytes_mod_order_wide(&nonce);
            assert_eq!(r.to_bytes()[lane], expected.to_bytes());
            assert_eq!(s.to_bytes()[lane], (Dalek::from_bytes_mod_order_wide(&answer) * a + expected).to_bytes());
        }
    }

    /// k l + small, as a digest.
    fn multiple_of_l(k: &BigUint, small: i8) -> [u8; 64] {
        let number = k * l() + 200_u8 - (200 - i16::from(small)).unsigned_abs();
        let mut bytes = number.to_bytes_le();
        bytes.resize(64, 0);
        bytes.try_into().unwrap()
    }

    #[test]
    fn multiples_of_l_and_their_neighbours_are_reduced() {
        let most: BigUint = ((BigUint::from(1_u8) << 512) - 1_u8) / l();
        for k in [1_u8.into(), 2_u8.into(), 3_u8.into(), most.clone() - 1_u8, most >> 1] {
            let digests = [-1, 0, 1, 2].map(|small| multiple_of_l(&k, small));
            for a in [Dalek::ZERO, Dalek::ONE, -Dalek::ONE, -Dalek::from(2_u8)] {
                check(digests, digests, &a);
                check([[0xff; 64]; 4], digests, &a);
                check(digests, [[0xff; 64]; 4], &a);
                check(digests, [[0; 64]; 4], &a);
            }
        }
    }

    #[test]
    fn the_constants_are_what_they_say() {
        let r = BigUint::from(1_u8) << 260;
        assert_eq!(number(L), l());
        assert_eq!(number(R2), &r * &r % l());
        assert_eq!(L[0].wrapping_mul(NEGATIVE_INVERSE) & M52, M52);
    }

    #[test]
    fn divisions_of_extreme_columns_stay_within_their_bounds_and_are_right() {
        // As a product of limbs below 2^52 and of l leaves them, but for the last ones.
        let terms = [1, 3, 5, 7, 9, 9, 7, 5, 3, 0];
        let bounds = terms.map(|terms| (terms << 52) + 1);
        let r = BigUint::from(1_u8) << 260;
        for columns in corners(bounds) {
            let quotient = numbers(divide(load::<Emulated, 10>((), [columns; 4])))[0].clone();
            assert_eq!(&quotient * &r % l(), number(columns) % l());
            assert!(quotient <= number(columns) / &r + l());
        }
    }

    #[test]
    fn l_comes_off_once_where_it_does() {
        for x in [BigUint::ZERO, l() - 1_u8, l(), l() + 1_u8, l() * 2_u8 - 1_u8] {
            let limbs = crate::radix::limbs(model::words(&x));
            assert_eq!(numbers(subtract_l(load::<Emulated, 5>((), [limbs; 4])))[0], &x % l(), "{x}");
        }
    }

    proptest! {
        #[test]
        fn they_are_the_scalars_of_dalek(r in [digest(), digest(), digest(), digest()], k in [digest(), digest(), digest(), digest()], a in digest()) {
            check(r, k, &Dalek::from_bytes_mod_order_wide(&a));
        }

        #[test]
        fn products_are_divided_by_2_260(a in limbs([M52 + 1; 5]), b in limbs([M52 + 1, M52 + 1, M52 + 1, M52 + 1, 1 << 44])) {
            let made = numbers(multiply(load::<Emulated, 5>((), a), load((), b)));
            for lane in 0..4 {
                let product = number(a[lane]) * number(b[lane]);
                prop_assert_eq!((&made[lane] << 260_u16) % l(), &product % l());
                prop_assert!(made[lane] <= (product >> 260_u16) + l());
            }
        }
    }
}
