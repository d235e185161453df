//! [`Lanes`] in plain Rust, for tests, also on machines without AVX-512 IFMA.
//!
//! As much a check as an implementation: a sum or difference that does not fit panics in debug builds, so tests that
//! drive limbs to their bounds see every overflow. No operation is inlined, or the compiler would work for minutes on
//! what takes milliseconds. Nothing signs by it outside tests.

use crate::lanes::{Lanes, Mask, Row, Work};

const LOW: u64 = (1 << 52) - 1;

/// Four numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Emulated([u64; 4]);

impl Emulated {
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, other.0);
        Self([f(a0, b0), f(a1, b1), f(a2, b2), f(a3, b3)])
    }

    fn map(self, f: impl Fn(u64) -> u64) -> Self {
        Self(self.0.map(f))
    }

    /// Ones in the lanes of the mask.
    fn spread(mask: Mask) -> Self {
        let flag = |bit: u8| u64::from(mask.0 >> bit & 1).wrapping_neg();
        Self([flag(0), flag(1), flag(2), flag(3)])
    }
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a & LOW) * u128::from(b & LOW)
}

impl Lanes for Emulated {
    type Cpu = ();

    #[inline(never)]
    fn detect() -> Option<()> {
        Some(())
    }

    #[inline(never)]
    fn run<W: Work<Self>>(cpu: (), work: W) -> W::Output {
        work.run(cpu)
    }

    #[inline(never)]
    fn load((): (), row: &Row) -> Self {
        Self(row.0)
    }

    #[inline(never)]
    fn from_bytes((): (), bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks();
        let word = |i: usize| words.get(i).map_or(0, |word| u64::from_le_bytes(*word));
        Self([word(0), word(1), word(2), word(3)])
    }

    #[inline(never)]
    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, lane) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = lane.to_le_bytes();
        }
        bytes
    }

    #[inline(never)]
    fn to_row(self) -> Row {
        Row(self.0)
    }

    #[inline(never)]
    fn all((): (), x: u64) -> Self {
        Self([x; 4])
    }

    #[inline(never)]
    fn splat(self, x: u64) -> Self {
        Self([x; 4])
    }

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(never)]
    fn add_wrapping(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(never)]
    fn sub_wrapping(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_sub)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low 52 bits are meant")]
    #[inline(never)]
    fn madd_low(self, a: Self, b: Self) -> Self {
        self.add(a.zip(b, |a, b| product(a, b) as u64 & LOW))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a product has 104 bits")]
    #[inline(never)]
    fn madd_high(self, a: Self, b: Self) -> Self {
        self.add(a.zip(b, |a, b| (product(a, b) >> 52) as u64))
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    #[inline(never)]
    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    #[inline(never)]
    fn shl<const N: i32>(self) -> Self {
        self.map(|a| a << N)
    }

    #[inline(never)]
    fn shr<const N: i32>(self) -> Self {
        self.map(|a| a >> N)
    }

    #[inline(never)]
    fn shr_signed<const N: u32>(self) -> Self {
        self.map(|a| (a.cast_signed() >> N).cast_unsigned())
    }

    #[inline(never)]
    fn rotate_right<const N: i32>(self) -> Self {
        self.map(|a| a.rotate_right(N.unsigned_abs()))
    }

    #[inline(never)]
    fn shr_each(self, counts: Self) -> Self {
        self.zip(counts, |a, count| a >> count)
    }

    #[inline(never)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self.zip(b, |a, b| a ^ b).zip(c, |ab, c| ab ^ c)
    }

    #[inline(never)]
    fn choose(self, b: Self, c: Self) -> Self {
        self.and(b).or(self.zip(c, |a, c| !a & c))
    }

    #[inline(never)]
    fn majority(self, b: Self, c: Self) -> Self {
        self.and(b).or(self.and(c)).or(b.and(c))
    }

    #[inline(never)]
    fn swap_bytes(self) -> Self {
        self.map(u64::swap_bytes)
    }

    #[inline(never)]
    fn has_any(self, bits: u64) -> Mask {
        let [a, b, c, d] = self.0.map(|lane| u8::from(lane & bits != 0));
        Mask(a | b << 1 | c << 2 | d << 3)
    }

    #[inline(never)]
    fn select(self, mask: Mask, other: Self) -> Self {
        Self::spread(mask).choose(self, other)
    }

    #[inline(never)]
    fn pick(self, low: Self, high: Self) -> Self {
        let entries = low.0.into_iter().chain(high.0);
        let entry =
            |index: u64| (0..).zip(entries.clone()).filter(|(i, _)| index & 7 == *i).map(|(_, entry)| entry).sum();
        self.map(entry)
    }

    #[inline(never)]
    fn swap_neighbours(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([b, a, d, c])
    }

    #[inline(never)]
    fn swap_halves(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([c, d, a, b])
    }

    #[inline(never)]
    fn diagonal(rows: [Self; 4]) -> Self {
        let [Self([a, ..]), Self([_, b, ..]), Self([.., c, _]), Self([.., d])] = rows;
        Self([a, b, c, d])
    }

    #[inline(never)]
    fn transpose(rows: [Self; 4]) -> [Self; 4] {
        let [Self([a0, a1, a2, a3]), Self([b0, b1, b2, b3]), Self([c0, c1, c2, c3]), Self([d0, d1, d2, d3])] = rows;
        [Self([a0, b0, c0, d0]), Self([a1, b1, c1, d1]), Self([a2, b2, c2, d2]), Self([a3, b3, c3, d3])]
    }

    #[inline(never)]
    fn first(self) -> u64 {
        let [first, ..] = self.0;
        first
    }
}
