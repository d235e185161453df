//! Multiples of the base point, and how they are looked up and added without telling which.
//!
//! A scalar is a sum of odd digits of 5 bits (see `digits`): ±1, ±3, …, ±31 times 2^(5j). For each of the 52 windows j
//! the table has the 16 points 1, 3, …, 31 times 2^(5j) B; a digit's sign is applied to what was looked up. So a product
//! is one addition per window, no doubling, and the neutral point is never an entry.
//!
//! 100 KB in all, the same for every key: built once per process, in less than a millisecond. Windows of 6 bits need
//! 160 KB and are no faster where it counts (they are slower when something else wants the cache), windows of 4 bits
//! have 12 more additions.
//!
//! A lookup reads the whole window, and takes the entry from registers by permutations: which memory is touched, and
//! when, is the same for all digits.

use crate::digits::{BITS, Digits};
use crate::encode::invert;
use crate::field::{Fe, Product};
use crate::lanes::{Lanes, Mask, Row, Work};
use crate::point::{Entry, Point, Projective};

/// Windows of a product by [`Table::multiply`]: 255 bits.
pub(crate) const WINDOWS: usize = 51;
/// Windows of a product by [`Table::multiply_split`]: 260 bits, a multiple of four windows.
pub(crate) const SPLIT_WINDOWS: usize = 52;

/// The base point, x and y.
pub(crate) const BASE: [[u64; 4]; 2] = [
    [0xc956_2d60_8f25_d51a, 0x692c_c760_9525_a7b2, 0xc0a4_e231_fdd6_dc5c, 0x2169_36d3_cd6e_53fe],
    [0x6666_6666_6666_6658, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666, 0x6666_6666_6666_6666],
];
/// 1 / 2
const HALF: [u64; 4] = [0xffff_ffff_ffff_fff7, u64::MAX, u64::MAX, 0x3fff_ffff_ffff_ffff];
/// d = -121665 / 121666
const D: [u64; 4] = [0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73];

/// One coordinate of the 16 entries of a window, in four groups of four entries: a row has the same limb of each.
///
/// The rows of a limb are not neighbours. If they were, the compiler would load two as one register of 512 bits.
#[derive(Clone)]
struct Coordinate([[Row; 5]; 4]);

#[derive(Clone)]
struct Window {
    half_sum: Coordinate,
    half_difference: Coordinate,
    dxy: Coordinate,
}

/// All windows.
pub(crate) struct Table(Box<[Window]>);

impl Table {
    /// What a fault may do, for tests: the middle of an entry changes.
    #[cfg(test)]
    pub(crate) fn flip_a_bit(&mut self) {
        self.0[20].half_sum.0[1][2].0[3] ^= 1 << 17;
    }

    /// The sum of a scalar's digits times their windows, for four scalars.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn multiply<V: Lanes>(&self, cpu: V::Cpu, digits: &Digits<V>) -> Point<V> {
        let mut sum = Point::neutral(cpu);
        let windows = self.0.get(..WINDOWS).unwrap_or_default();
        for (word, windows) in digits.words().into_iter().zip(windows.chunks(Digits::<V>::PER_WORD)) {
            let mut rest = word;
            for window in windows {
                let (index, positive) = index(rest);
                sum = sum.add_entry(window.entry(cpu, index), positive);
                rest = rest.shr::<BITS>();
            }
        }
        sum
    }

    /// The same for one scalar, whose digits stand in every lane: lane l adds the windows 4i + l, then the four sums are
    /// added up. Each lane ends with the whole.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn multiply_split<V: Lanes>(&self, cpu: V::Cpu, digits: &Digits<V>) -> Point<V> {
        let mut sum = Point::neutral(cpu);
        let lanes = V::load(cpu, &Row([0, 5, 10, 15]));
        for (word, windows) in digits.words().into_iter().zip(self.0.chunks(Digits::<V>::PER_WORD)) {
            let mut rest = word.shr_each(lanes);
            for windows in windows.as_chunks().0 {
                let (index, positive) = index(rest);
                sum = sum.add_entry(diagonal(cpu, windows, index), positive);
                rest = rest.shr::<{ 4 * BITS }>();
            }
        }
        let sum = sum.add(cpu, sum.lanes(V::swap_neighbours));
        sum.add(cpu, sum.lanes(V::swap_halves))
    }
}

/// The index of a digit's entry, and whether the digit is positive. A digit is 2b - 31 for the 5 bits b: with the upper
/// one it is 2 (b - 16) + 1, without it -(2 (15 - b) + 1), and 15 - b is the complement. Bits above are ignored.
#[cfg_attr(not(test), inline(always))]
fn index<V: Lanes>(digit: V) -> (V, Mask) {
    let positive = digit.has_any(16);
    (digit.select(positive, digit.splat(u64::MAX).sub(digit)), positive)
}

/// For lane l the entry of window l.
#[cfg_attr(not(test), inline(always))]
fn diagonal<V: Lanes>(cpu: V::Cpu, windows: &[Window; 4], index: V) -> Entry<V> {
    let [a, b, c, d] = windows;
    let (a, b, c, d) = (a.entry(cpu, index), b.entry(cpu, index), c.entry(cpu, index), d.entry(cpu, index));
    Entry {
        half_sum: Fe::diagonal([a.half_sum, b.half_sum, c.half_sum, d.half_sum]),
        half_difference: Fe::diagonal([a.half_difference, b.half_difference, c.half_difference, d.half_difference]),
        dxy: Fe::diagonal([a.dxy, b.dxy, c.dxy, d.dxy]),
    }
}

impl Window {
    const EMPTY: Self =
        Self { half_sum: Coordinate::EMPTY, half_difference: Coordinate::EMPTY, dxy: Coordinate::EMPTY };

    #[cfg_attr(not(test), inline(always))]
    fn entry<V: Lanes>(&self, cpu: V::Cpu, index: V) -> Entry<V> {
        Entry {
            half_sum: self.half_sum.entry(cpu, index),
            half_difference: self.half_difference.entry(cpu, index),
            dxy: self.dxy.entry(cpu, index),
        }
    }
}

impl Coordinate {
    const EMPTY: Self = Self([[Row([0; 4]); 5]; 4]);

    #[cfg_attr(not(test), inline(always))]
    fn entry<V: Lanes>(&self, cpu: V::Cpu, index: V) -> Fe<V> {
        let upper = index.has_any(8);
        let limb = |rows: [&Row; 4]| {
            let [a, b, c, d] = rows;
            let (a, b, c, d) = (V::load(cpu, a), V::load(cpu, b), V::load(cpu, c), V::load(cpu, d));
            index.pick(c, d).select(upper, index.pick(a, b))
        };
        let [[a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4], [c0, c1, c2, c3, c4], [d0, d1, d2, d3, d4]] = &self.0;
        Fe::of([
            limb([a0, b0, c0, d0]),
            limb([a1, b1, c1, d1]),
            limb([a2, b2, c2, d2]),
            limb([a3, b3, c3, d3]),
            limb([a4, b4, c4, d4]),
        ])
    }
}

/// Computes the table.
pub(crate) struct Build;

impl<V: Lanes> Work<V> for Build {
    type Output = Table;

    #[cfg_attr(not(test), inline(always))]
    fn run(self, cpu: V::Cpu) -> Table {
        let mut windows = vec![Window::EMPTY; SPLIT_WINDOWS];
        let mut start = lane_starts::<V>(cpu);
        for four in windows.as_chunks_mut().0 {
            let twice = start.add(cpu, start);
            let mut multiple = start;
            for entry in 0..16 {
                put(four, entry, &coordinates(cpu, multiple.projective()));
                multiple = multiple.add(cpu, twice);
            }
            start = times_power_of_two(cpu, start, 4 * BITS);
        }
        Table(windows.into())
    }
}

/// B, 2^5 B, 2^10 B and 2^15 B: the first points of four windows.
#[cfg_attr(not(test), inline(always))]
fn lane_starts<V: Lanes>(cpu: V::Cpu) -> Point<V> {
    let mut point = Point::affine(cpu, BASE);
    let mut starts = point;
    for lane in 1..4 {
        point = times_power_of_two(cpu, point, BITS);
        starts = point.select(Mask(1 << lane), starts);
    }
    starts
}

#[cfg_attr(not(test), inline(always))]
fn times_power_of_two<V: Lanes>(cpu: V::Cpu, point: Point<V>, power: i32) -> Point<V> {
    let mut point = point;
    for _ in 0..power {
        point = point.add(cpu, point);
    }
    point
}

/// What stands in the table for a point of each lane, each limb as a row of the lanes: sum, difference, d x y.
#[cfg_attr(not(test), inline(always))]
fn coordinates<V: Lanes>(cpu: V::Cpu, point: Projective<V>) -> [[Row; 5]; 3] {
    let inverse = invert(point.z);
    let (x, y) = (point.x.times(inverse).carry(), point.y.times(inverse).carry());
    let half = Fe::all(cpu, HALF);
    let sum = y.plus(x).carry().times(half);
    let difference = y.minus(x).carry().times(half);
    let product = x.times(y).carry().times(Fe::all(cpu, D));
    [rows(sum), rows(difference), rows(product)]
}

#[cfg_attr(not(test), inline(always))]
fn rows<V: Lanes>(coordinate: Product<V>) -> [Row; 5] {
    let [c0, c1, c2, c3, c4] = coordinate.carry().canonical();
    [c0.to_row(), c1.to_row(), c2.to_row(), c3.to_row(), c4.to_row()]
}

/// Writes entry `at` of four windows.
#[expect(clippy::indexing_slicing, reason = "at is below 16")]
fn put(windows: &mut [Window; 4], at: usize, coordinates: &[[Row; 5]; 3]) {
    for (lane, Window { half_sum, half_difference, dxy }) in windows.iter_mut().enumerate() {
        for (Coordinate(groups), limbs) in [half_sum, half_difference, dxy].into_iter().zip(coordinates) {
            for (row, limb) in groups[at / 4].iter_mut().zip(limbs) {
                row.0[at % 4] = limb.0[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
    use curve25519_dalek::scalar::Scalar as Dalek;
    use curve25519_dalek::traits::Identity as _;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;
    use crate::emulated::Emulated;
    use crate::encode::encode_same;
    use crate::model::{self, digest, number, p};
    use crate::radix;
    use crate::scalar::Scalar;

    fn table() -> Table {
        Emulated::run((), Build)
    }

    /// One limb of each row.
    fn coordinate(Coordinate(groups): &Coordinate, at: usize) -> BigUint {
        number(groups[at / 4].iter().map(|row| row.0[at % 4]))
    }

    #[test]
    fn every_entry_is_the_multiple_of_the_base_point_that_it_should_be() {
        let d = BigUint::from(121_666_u32).modpow(&(p() - 2_u8), &p()) * (p() - 121_665_u32) % p();
        let mut start = ED25519_BASEPOINT_POINT;
        for window in &table().0 {
            let mut multiple = start;
            for at in 0..16 {
                let sum = coordinate(&window.half_sum, at);
                let difference = coordinate(&window.half_difference, at);
                let (x, y) = ((&sum + p() - &difference) % p(), (&sum + &difference) % p());
                assert_eq!(coordinate(&window.dxy, at), &d * &x * &y % p());
                let mut bytes = model::bytes(&y);
                bytes[31] |= u8::from(x.bit(0)) << 7;
                assert_eq!(bytes, multiple.compress().0);
                multiple += start + start;
            }
            start *= Dalek::from(32_u8);
        }
    }

    /// r B in both ways, encoded.
    fn products(table: &Table, r: &Dalek) -> [[u8; 32]; 2] {
        let [a, b, c, d] = radix::words(r.as_bytes());
        let r = Scalar::<Emulated>::of_digest([a, b, c, d, 0, 0, 0, 0].map(|word| Emulated::all((), word)));
        let together = table.multiply((), &Digits::of(r, WINDOWS));
        let split = table.multiply_split((), &Digits::of(r, SPLIT_WINDOWS));
        [together, split].map(|point| {
            let [first, second, third, fourth] = encode_same(point.projective());
            assert!(first == second && second == third && third == fourth, "the lanes differ");
            first
        })
    }

    #[test]
    fn products_with_the_smallest_and_the_largest_scalars_are_right() {
        let table = table();
        for i in 0..20_u8 {
            for r in [Dalek::from(i), -Dalek::from(i), Dalek::from(u128::MAX - u128::from(i))] {
                assert_eq!(products(&table, &r), [EdwardsPoint::mul_base(&r).compress().0; 2], "{r:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn products_are_those_of_dalek(digest in digest()) {
            let r = Dalek::from_bytes_mod_order_wide(&digest);
            prop_assert_eq!(products(&table(), &r), [EdwardsPoint::mul_base(&r).compress().0; 2]);
        }
    }

    fn encoded(point: &Point<Emulated>) -> CompressedEdwardsY {
        CompressedEdwardsY(encode_same(point.projective())[0])
    }

    #[test]
    fn sums_have_no_exceptions() {
        let base = Point::<Emulated>::affine((), BASE);
        let neutral = Point::neutral(());
        let twice = base.add((), base);
        let minus_x = p() - BigUint::from_bytes_le(&BASE[0].map(u64::to_le_bytes).concat());
        let inverse = Point::affine((), [model::words(&minus_x), BASE[1]]);
        assert_eq!(encoded(&base), ED25519_BASEPOINT_POINT.compress());
        assert_eq!(encoded(&base.add((), neutral)), ED25519_BASEPOINT_POINT.compress());
        assert_eq!(encoded(&neutral.add((), neutral)), EdwardsPoint::identity().compress());
        assert_eq!(encoded(&twice), (ED25519_BASEPOINT_POINT + ED25519_BASEPOINT_POINT).compress());
        assert_eq!(encoded(&base.add((), inverse)), EdwardsPoint::identity().compress());
        assert_eq!(encoded(&twice.add((), inverse)), ED25519_BASEPOINT_POINT.compress());
    }

    #[test]
    fn an_entry_is_added_or_taken_off_whatever_the_sum_is() {
        let table = table();
        for at in [0_u64, 7, 8, 15] {
            let entry = table.0[0].entry((), Emulated::all((), at));
            let multiple = ED25519_BASEPOINT_POINT * Dalek::from(2 * at + 1);
            let sum = Point::<Emulated>::neutral(()).add_entry(entry, Mask::ALL);
            assert_eq!(encoded(&sum), multiple.compress());
            assert_eq!(encoded(&sum.add_entry(entry, Mask::ALL)), (multiple + multiple).compress());
            assert_eq!(encoded(&sum.add_entry(entry, Mask(0))), EdwardsPoint::identity().compress());
        }
    }
}
