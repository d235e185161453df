//! Points of edwards25519, -x² + y² = 1 + d x² y², four at a time.
//!
//! A sum of points is by Hisil, Wong, Carter and Dawson, "Twisted Edwards Curves Revisited" (2008), §3.1, in extended
//! coordinates x = X / Z, y = Y / Z, T = XY / Z:
//!
//! ```text
//! A = (Y₁ - X₁)(Y₂ - X₂)    E = B - A    X₃ = E F
//! B = (Y₁ + X₁)(Y₂ + X₂)    F = D - C    Y₃ = G H
//! C = 2 d T₁ T₂             G = D + C    T₃ = E H
//! D = 2 Z₁ Z₂               H = B + A    Z₃ = F G
//! ```
//!
//! It is complete: since -1 is a square mod p and d is none, it holds for any two points, equal ones, inverse ones and
//! the neutral one included. So there is no case to tell from another, and Z is never zero.
//!
//! A point waits for its next sum as Y - X, Y + X, T and Z. Its Z stays an uncarried product, since D needs no more.

use crate::field::{Biased, Fe, Product};
use crate::lanes::{Lanes, Mask};

/// 2 d, where d = -121665 / 121666.
const TWICE_D: [u64; 4] = [0xebd6_9b94_26b2_f159, 0x00e0_149a_8283_b156, 0x198e_80f2_eef3_d130, 0x2406_d9dc_56df_fce7];

/// A point in the form that the next sum wants.
#[derive(Clone, Copy)]
pub(crate) struct Point<V> {
    y_minus_x: Fe<V>,
    y_plus_x: Fe<V>,
    t: Fe<V>,
    z: Biased<V>,
}

/// A point with Z = 1 as it stands in a table. The halves save a doubling: with half of A, B and C, D is Z₁.
#[derive(Clone, Copy)]
pub(crate) struct Entry<V> {
    /// (y + x) / 2
    pub(crate) half_sum: Fe<V>,
    /// (y - x) / 2
    pub(crate) half_difference: Fe<V>,
    /// d x y
    pub(crate) dxy: Fe<V>,
}

/// A point to be encoded: x = X / Z, y = Y / Z.
#[derive(Clone, Copy)]
pub(crate) struct Projective<V> {
    pub(crate) x: Fe<V>,
    pub(crate) y: Fe<V>,
    pub(crate) z: Fe<V>,
}

impl<V: Lanes> Point<V> {
    /// (0, 1) in every lane.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn neutral(cpu: V::Cpu) -> Self {
        let one = Fe::all(cpu, [1, 0, 0, 0]);
        Self { y_minus_x: one, y_plus_x: one, t: Fe::all(cpu, [0; 4]), z: one.biased() }
    }

    /// The point (x, y) in every lane.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn affine(cpu: V::Cpu, [x, y]: [[u64; 4]; 2]) -> Self {
        let (x, y) = (Fe::all(cpu, x), Fe::all(cpu, y));
        let (y_minus_x, y_plus_x) = (y.minus(x).carry(), y.plus(x).carry());
        Self { y_minus_x, y_plus_x, t: x.times(y).carry(), z: Fe::all(cpu, [1, 0, 0, 0]).biased() }
    }

    /// The sum with an entry, or in the lanes that are not `positive` with its inverse: -(x, y) = (-x, y) has sum and
    /// difference the other way round, and the opposite C.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn add_entry(self, entry: Entry<V>, positive: Mask) -> Self {
        let sum = entry.half_sum.select(positive, entry.half_difference);
        let difference = entry.half_difference.select(positive, entry.half_sum);
        let (a, b) = (self.y_minus_x.times(difference), self.y_plus_x.times_biased(sum));
        Self::complete((a, b), self.t.times(entry.dxy), (self.z, positive))
    }

    /// The sum of any two points.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn add(self, cpu: V::Cpu, other: Self) -> Self {
        let (a, b) = (self.y_minus_x.times(other.y_minus_x), self.y_plus_x.times_biased(other.y_plus_x));
        let c = self.t.times(other.t).carry().times(Fe::all(cpu, TWICE_D));
        let d = self.z.doubled().carry().times_biased(other.z.carry());
        Self::complete((a, b), c, (d, Mask::ALL))
    }

    /// From A to D on; C counts negatively in the lanes that are not `positive`.
    #[cfg_attr(not(test), inline(always))]
    fn complete((a, b): (Product<V>, Biased<V>), c: Product<V>, (d, positive): (Biased<V>, Mask)) -> Self {
        let (e, h) = (b.minus(a).carry(), b.plus(a).carry());
        let (f, g) = d.minus_and_plus(c, positive);
        let (f, g) = (f.carry(), g.carry());
        let (x, y) = (e.times(f), g.times_biased(h));
        let (y_minus_x, y_plus_x) = (y.minus(x).carry(), y.plus(x).carry());
        Self { y_minus_x, y_plus_x, t: e.times(h).carry(), z: f.times_biased(g) }
    }

    /// The same points with their lanes moved about.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn lanes(self, order: impl Fn(V) -> V + Copy) -> Self {
        let (y_minus_x, y_plus_x) = (self.y_minus_x.lanes(order), self.y_plus_x.lanes(order));
        Self { y_minus_x, y_plus_x, t: self.t.lanes(order), z: self.z.lanes(order) }
    }

    /// This point where the mask has ones, `other` elsewhere.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn select(self, mask: Mask, other: Self) -> Self {
        Self {
            y_minus_x: self.y_minus_x.select(mask, other.y_minus_x),
            y_plus_x: self.y_plus_x.select(mask, other.y_plus_x),
            t: self.t.select(mask, other.t),
            z: self.z.select(mask, other.z),
        }
    }

    /// From the sum and the difference come 2X and 2Y; so Z is doubled as well.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn projective(self) -> Projective<V> {
        Projective {
            x: self.y_plus_x.minus(self.y_minus_x).carry(),
            y: self.y_plus_x.plus(self.y_minus_x).carry(),
            z: self.z.doubled().carry(),
        }
    }
}

impl<V: Lanes> Projective<V> {
    /// (0, 1) in every lane.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn neutral(cpu: V::Cpu) -> Self {
        let one = Fe::all(cpu, [1, 0, 0, 0]);
        Self { x: Fe::all(cpu, [0; 4]), y: one, z: one }
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;
    use crate::emulated::Emulated;
    use crate::model::{self, limbs, load, number, numbers, p};
    use crate::radix::M52;

    type Limbs = [[u64; 5]; 4];

    /// Limbs as a carry may leave them, junk above bit 52 included.
    const FE: [u64; 5] = [u64::MAX, u64::MAX, u64::MAX, u64::MAX, (1 << 47) + (1 << 12) + 1];

    fn fe(limbs: Limbs) -> Fe<Emulated> {
        Fe::of(load((), limbs))
    }

    /// The number of one lane, modulo p.
    fn value(limbs: &Limbs, lane: usize) -> BigUint {
        let [a, b, c, d, e] = limbs[lane];
        number([a & M52, b & M52, c & M52, d & M52, e]) % p()
    }

    /// Y - X, Y + X, T and Z as whole numbers.
    type Whole = [BigUint; 4];

    /// The formulas at the head of this file from A to D on, C negated where it says so. Z is what D was made of.
    fn completed([a, b, c, d]: Whole, positive: bool) -> Whole {
        let minus = |x: &BigUint, y: &BigUint| (x + p() - y) % p();
        let c = if positive { c } else { minus(&0_u8.into(), &c) };
        let (e, h, f, g) = (minus(&b, &a), &b + &a, minus(&d, &c), &d + &c);
        let (x, y) = (&e * &f % p(), &g * &h % p());
        [minus(&y, &x), (&y + &x) % p(), &e * &h % p(), &f * &g % p()]
    }

    fn wholes(point: &Point<Emulated>, lane: usize) -> Whole {
        let number = |x: Fe<Emulated>| numbers(x.canonical())[lane].clone();
        [number(point.y_minus_x), number(point.y_plus_x), number(point.t), number(point.z.carry())]
    }

    proptest! {
        /// The limbs are as extreme as their types allow, whether or not there is such a point.
        #[test]
        fn sums_are_their_formulas_for_any_limbs(point in prop::array::uniform4(limbs(FE)), other in prop::array::uniform4(limbs(FE))) {
            let [y_minus_x, y_plus_x, t, z] = point;
            let here = Point { y_minus_x: fe(y_minus_x), y_plus_x: fe(y_plus_x), t: fe(t), z: fe(z).biased() };
            let [sum, difference, dxy, other_z] = other;
            let entry = Entry { half_sum: fe(sum), half_difference: fe(difference), dxy: fe(dxy) };
            let there = Point { y_minus_x: fe(difference), y_plus_x: fe(sum), t: fe(dxy), z: fe(other_z).biased() };
            let (mixed, whole) = (here.add_entry(entry, Mask(0b0101)), here.add((), there));
            let twice_d = BigUint::from_bytes_le(&TWICE_D.map(u64::to_le_bytes).concat());
            for lane in 0..4 {
                let [y_minus_x, y_plus_x, t, z] = point.map(|limbs| value(&limbs, lane));
                let [sum, difference, dxy, other_z] = other.map(|limbs| value(&limbs, lane));
                let positive = lane % 2 == 0;
                let (for_a, for_b) = if positive { (&difference, &sum) } else { (&sum, &difference) };
                let expected = completed([&y_minus_x * for_a, &y_plus_x * for_b, &t * &dxy, z.clone()].map(|x| x % p()), positive);
                prop_assert_eq!(wholes(&mixed, lane), expected);
                let products = [&y_minus_x * &difference, &y_plus_x * &sum, &t * &dxy * &twice_d, &z * &other_z * 2_u8];
                prop_assert_eq!(wholes(&whole, lane), completed(products.map(|x| x % p()), true));
            }
        }
    }

    #[test]
    fn twice_d_is_the_constant_of_the_curve() {
        let d = BigUint::from(121_666_u32).modpow(&(p() - 2_u8), &p()) * (p() - 121_665_u32) % p();
        assert_eq!(model::words(&(d * 2_u8 % p())), TWICE_D);
    }
}
