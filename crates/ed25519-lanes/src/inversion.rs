//! One inversion modulo p = 2^255 - 19, in constant time: safegcd.
//!
//! Bernstein and Yang, "Fast constant-time gcd computation and modular inversion" (2019), in the shape that
//! libsecp256k1 gave it (`doc/safegcd_implementation.md` there, by Wuille): a division step takes (δ, f, g), f odd, to
//!
//! ```text
//! (1 - δ, g, (g - f) / 2)                  when δ > 0 and g is odd
//! (1 + δ, f, (g + (g mod 2) f) / 2)        otherwise
//! ```
//!
//! Started from δ = 1/2, f = p and any g below p, 590 steps end with g = 0 and f = ±1 (proved there for 256 bits), while
//! d and e keep d x ≡ f and e x ≡ g; so d is the inverse but for the sign. The steps depend only on the low bits of f
//! and g: 59 of them are gathered into a matrix t / 2^62, which is then applied to the full numbers, ten times over.
//!
//! Numbers are in radix 2^62, signed: five limbs of which only the last one is negative.
//!
//! A squaring in lanes takes longer than all this: x^(p-2) has 254 of them.

const M62: u64 = (1 << 62) - 1;
/// p, with the lowest limb negative: only the low bits and products of it matter.
const P: [i64; 5] = [-19, 0, 0, 0, 128];
/// 1 / p modulo 2^62
const P_INVERSE: u64 = inverse_of_odd(19_u64.wrapping_neg());

/// Steps to a matrix, and matrices to an inversion.
const HALVES: [u32; 2] = [30, 29];
const ROUNDS: usize = 10;

/// The inverse modulo 2^62: each Newton step doubles the bits that are right, and x is its own inverse modulo 8.
const fn inverse_of_odd(x: u64) -> u64 {
    let mut inverse = x;
    let mut bits = 3;
    while bits < 62 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(x.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse & M62
}

/// (u, v; q, r)
type Matrix = [i64; 4];

/// 1 / x mod p as little-endian words, for x < p; zero for zero.
#[inline(never)]
pub(crate) fn invert(x: [u64; 4]) -> [u64; 4] {
    let (mut f, mut g) = (P, limbs(x));
    let (mut d, mut e) = ([0; 5], [1, 0, 0, 0, 0]);
    // ζ = -(δ + 1/2)
    let mut zeta = -1;
    for _ in 0..ROUNDS {
        let t;
        (zeta, t) = fifty_nine_steps(zeta, low(f), low(g));
        (d, e) = apply_modulo_p(d, e, t);
        (f, g) = apply(f, g, t);
    }
    words(normalize(d, f))
}

fn low([lowest, ..]: [i64; 5]) -> u64 {
    lowest.cast_unsigned()
}

/// 59 steps on the low bits of f and g. The product of two matrices has entries up to 2^59, and 2^62 below the line.
fn fifty_nine_steps(zeta: i64, f: u64, g: u64) -> (i64, Matrix) {
    let [first, second] = HALVES;
    let (zeta, f, g, [u, v, q, r]) = steps(zeta, f, g, first);
    let (zeta, _, _, [s, t, w, x]) = steps(zeta, f, g, second);
    (zeta, [s * u + t * q, s * v + t * r, w * u + x * q, w * v + x * r].map(|entry| entry << 3))
}

/// At most 30 steps. A row (u, v) of the matrix is one number u + 2^32 v: what is done to the rows is linear, and no
/// entry leaves 31 bits.
fn steps(mut zeta: i64, mut f: u64, mut g: u64, count: u32) -> (i64, u64, u64, Matrix) {
    let (mut uv, mut qr) = (1_u64, 1_u64 << 32);
    for _ in 0..count {
        // All ones when δ > 0, and when g is odd.
        let swaps = (zeta >> 63).cast_unsigned();
        let odd = (g & 1).wrapping_neg();
        // g -= f or += f when it is odd, and f += g, which makes it the old g, when both.
        g = g.wrapping_add((f ^ swaps).wrapping_sub(swaps) & odd);
        qr = qr.wrapping_add((uv ^ swaps).wrapping_sub(swaps) & odd);
        let swaps = swaps & odd;
        zeta = (zeta ^ swaps.cast_signed()) - 1;
        f = f.wrapping_add(g & swaps);
        uv = uv.wrapping_add(qr & swaps);
        g >>= 1;
        uv <<= 1;
    }
    let ([u, v], [q, r]) = (unpack(uv), unpack(qr));
    (zeta, f, g, [u, v, q, r])
}

/// u and v of u + 2^32 v.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn unpack(uv: u64) -> [i64; 2] {
    let u = i64::from((uv as u32).cast_signed());
    [u, uv.wrapping_sub(u.cast_unsigned()).cast_signed() >> 32]
}

fn product(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// The low 62 bits, as a limb.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low bits are meant")]
const fn limb(sum: i128) -> i64 {
    (sum as u64 & M62).cast_signed()
}

/// t (f, g) / 2^62; the division leaves no rest.
fn apply(f: [i64; 5], g: [i64; 5], [u, v, q, r]: Matrix) -> ([i64; 5], [i64; 5]) {
    (row(f, g, (u, v), 0), row(f, g, (q, r), 0))
}

/// The same modulo p, for d and e between -2p and p: a multiple of p is added that clears the lowest limb, and p once
/// more for each that is negative, so that the results are between -2p and p again.
fn apply_modulo_p(d: [i64; 5], e: [i64; 5], [u, v, q, r]: Matrix) -> ([i64; 5], [i64; 5]) {
    let ([d0, .., d4], [e0, .., e4]) = (d, e);
    let (d_negative, e_negative) = (d4 >> 63, e4 >> 63);
    let multiple = |(a, b): (i64, i64)| {
        let multiple = (a & d_negative) + (b & e_negative);
        let lowest = limb(product(a, d0) + product(b, e0)).cast_unsigned();
        multiple - (P_INVERSE.wrapping_mul(lowest).wrapping_add(multiple.cast_unsigned()) & M62).cast_signed()
    };
    (row(d, e, (u, v), multiple((u, v))), row(d, e, (q, r), multiple((q, r))))
}

/// (a x + b y + m p) / 2^62, where p has but two limbs.
fn row(x: [i64; 5], y: [i64; 5], (a, b): (i64, i64), m: i64) -> [i64; 5] {
    let ([x0, x1, x2, x3, x4], [y0, y1, y2, y3, y4]) = (x, y);
    let [p0, _, _, _, p4] = P;
    let sum = (product(a, x0) + product(b, y0) + product(m, p0)) >> 62;
    let z0 = sum + product(a, x1) + product(b, y1);
    let z1 = (z0 >> 62) + product(a, x2) + product(b, y2);
    let z2 = (z1 >> 62) + product(a, x3) + product(b, y3);
    let z3 = (z2 >> 62) + product(a, x4) + product(b, y4) + product(m, p4);
    [limb(z0), limb(z1), limb(z2), limb(z3), last(z3 >> 62)]
}

#[expect(clippy::cast_possible_truncation, reason = "the numbers are within ±2^256, and this limb begins at 2^248")]
const fn last(sum: i128) -> i64 {
    sum as i64
}

/// d, with the sign of f taken off, between 0 and p.
fn normalize(d: [i64; 5], [.., f4]: [i64; 5]) -> [i64; 5] {
    let d = add_p_if_negative(d);
    let sign = f4 >> 63;
    add_p_if_negative(carry(d.map(|limb| (limb ^ sign) - sign)))
}

fn add_p_if_negative(d: [i64; 5]) -> [i64; 5] {
    let ([d0, d1, d2, d3, d4], [p0, _, _, _, p4]) = (d, P);
    let negative = d4 >> 63;
    carry([d0 + (p0 & negative), d1, d2, d3, d4 + (p4 & negative)])
}

fn carry(d: [i64; 5]) -> [i64; 5] {
    const M: i64 = M62.cast_signed();
    let [d0, d1, d2, d3, d4] = d;
    let d1 = d1 + (d0 >> 62);
    let d2 = d2 + (d1 >> 62);
    let d3 = d3 + (d2 >> 62);
    let d4 = d4 + (d3 >> 62);
    [d0 & M, d1 & M, d2 & M, d3 & M, d4]
}

fn limbs([w0, w1, w2, w3]: [u64; 4]) -> [i64; 5] {
    let limbs = [w0, w0 >> 62 | w1 << 2, w1 >> 60 | w2 << 4, w2 >> 58 | w3 << 6, w3 >> 56];
    limbs.map(|limb| (limb & M62).cast_signed())
}

fn words(d: [i64; 5]) -> [u64; 4] {
    let [d0, d1, d2, d3, d4] = d.map(i64::cast_unsigned);
    [d0 | d1 << 62, d1 >> 2 | d2 << 60, d2 >> 4 | d3 << 58, d3 >> 6 | d4 << 56]
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{self, p};

    fn check(number: &BigUint) {
        let inverse = BigUint::from_bytes_le(&invert(model::words(number)).map(u64::to_le_bytes).concat());
        let one = BigUint::from(u8::from(*number != BigUint::ZERO));
        assert!(inverse < p(), "{number}");
        assert_eq!(number * inverse % p(), one, "{number}");
    }

    #[test]
    fn small_and_large_numbers_and_powers_of_two_have_their_inverse() {
        for small in 0..50_u8 {
            check(&small.into());
            check(&(p() - 1_u8 - small));
        }
        for bit in 0..255 {
            check(&(BigUint::from(1_u8) << bit));
            check(&(((BigUint::from(1_u8) << bit) - 1_u8) % p()));
        }
    }

    /// They take 539 steps until f is ±1. Of a million random numbers none takes more than 531, which are nine rounds.
    #[test]
    fn numbers_that_take_more_steps_than_nine_rounds_have_their_inverse() {
        for digits in [
            b"77a58715eaf392cdb668931e93aecfede7de07144a64439c2441334161d0e0ca",
            b"61662353927792cdb668931e93aecfede7de07144a64439c2441334161d0e0ca",
        ] {
            check(&BigUint::parse_bytes(digits, 16).unwrap());
        }
    }

    proptest! {
        #[test]
        fn a_number_times_its_inverse_is_one(words in any::<[u32; 8]>()) {
            check(&(BigUint::new(words.to_vec()) % p()));
        }

        /// With limbs of all zeros or ones there are long runs of equal steps.
        #[test]
        fn numbers_with_long_runs_have_their_inverse(words in prop::array::uniform8(prop_oneof![Just(0), Just(u32::MAX)])) {
            check(&(BigUint::new(words.to_vec()) % p()));
        }
    }
}
