//! Four 64-bit numbers side by side, and what can be done to all of them at once.
//!
//! All arithmetic of this crate is written once, over [`Lanes`]. It has two implementations: [`Ifma`](crate::ifma),
//! the 256-bit registers of a processor with AVX-512 IFMA, and `Emulated` (in tests), plain Rust that runs
//! anywhere, Miri included, and that in debug builds stops at any sum that leaves 64 bits.
//!
//! A value of a kind of lanes exists only where the processor can compute with it: the first ones are made from
//! [`Lanes::Cpu`], the proof of that, all others from those. This is what makes the operations safe to call.
//!
//! No operation branches or chooses an address by a value in a lane.

/// One flag for each lane, lane 0 the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(pub(crate) u8);

impl Mask {
    /// Every lane.
    pub(crate) const ALL: Self = Self(0b1111);
}

/// Four numbers in memory, aligned as registers like them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(32))]
pub(crate) struct Row(pub(crate) [u64; 4]);

/// What runs in lanes, as one function.
///
/// A function has the instructions of the processor at its disposal if it says so, and what is inlined into it has them
/// too; anything else does the same slowly. So `run` is to be `#[inline(always)]`, and so is all that it calls: closures
/// and iterators only where they are small enough to be inlined anyway. What was not shows in the disassembly, as calls
/// into `core_arch`. Unit tests are without (`cfg_attr(not(test), …)`), or the compiler would work on them for minutes.
pub(crate) trait Work<V: Lanes> {
    type Output;

    fn run(self, cpu: V::Cpu) -> Self::Output;
}

/// Four unsigned 64-bit lanes.
///
/// `add` and `sub` are for results that fit; where wrapping around 2^64 is meant, the name says so.
pub(crate) trait Lanes: Copy + 'static {
    /// Proof that this processor has the instructions.
    type Cpu: Copy + Send + Sync + 'static;

    fn detect() -> Option<Self::Cpu>;

    /// Runs `work` with the instructions switched on. Not itself inlined, so that its stack can be wiped after it returns.
    fn run<W: Work<Self>>(cpu: Self::Cpu, work: W) -> W::Output;

    fn load(cpu: Self::Cpu, row: &Row) -> Self;
    /// Four numbers as they stand in memory, little-endian.
    fn from_bytes(cpu: Self::Cpu, bytes: &[u8; 32]) -> Self;
    fn to_bytes(self) -> [u8; 32];
    fn to_row(self) -> Row;
    /// `x` in every lane.
    fn all(cpu: Self::Cpu, x: u64) -> Self;
    /// `x` in every lane. What is in `self` does not matter: it is the proof.
    fn splat(self, x: u64) -> Self;

    fn add(self, other: Self) -> Self;
    fn add_wrapping(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn sub_wrapping(self, other: Self) -> Self;

    /// self + the low 52 bits of the product of the low 52 bits of a and b.
    fn madd_low(self, a: Self, b: Self) -> Self;
    /// self + the high 52 bits of the product of the low 52 bits of a and b.
    fn madd_high(self, a: Self, b: Self) -> Self;

    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn shl<const N: i32>(self) -> Self;
    fn shr<const N: i32>(self) -> Self;
    /// Shifts the sign in.
    fn shr_signed<const N: u32>(self) -> Self;
    fn rotate_right<const N: i32>(self) -> Self;
    /// Each lane by its own count below 64.
    fn shr_each(self, counts: Self) -> Self;
    fn xor3(self, b: Self, c: Self) -> Self;
    /// Bits of b where self has ones, of c where it has zeros.
    fn choose(self, b: Self, c: Self) -> Self;
    /// The bits that at least two of the three have.
    fn majority(self, b: Self, c: Self) -> Self;
    /// Each lane's bytes in the opposite order.
    fn swap_bytes(self) -> Self;

    /// Lanes with any bit in common with `bits`.
    fn has_any(self, bits: u64) -> Mask;
    /// self where the mask has ones, `other` elsewhere.
    fn select(self, mask: Mask, other: Self) -> Self;
    /// In each lane the entry of `low` ‖ `high` that the lane's three lowest bits name.
    fn pick(self, low: Self, high: Self) -> Self;

    /// Lanes 1, 0, 3, 2.
    fn swap_neighbours(self) -> Self;
    /// Lanes 2, 3, 0, 1.
    fn swap_halves(self) -> Self;
    /// Lane i of the result is lane i of `rows[i]`.
    fn diagonal(rows: [Self; 4]) -> Self;
    /// Lane j of result i is lane i of `rows[j]`.
    fn transpose(rows: [Self; 4]) -> [Self; 4];
    fn first(self) -> u64;
}

/// The same operation on each of five limbs.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn each<V: Lanes>(a: [V; 5], f: impl Fn(V) -> V) -> [V; 5] {
    let [a0, a1, a2, a3, a4] = a;
    [f(a0), f(a1), f(a2), f(a3), f(a4)]
}

/// Calls `f` on each of four.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn each_of_four<T, U>(a: [T; 4], f: impl Fn(T) -> U) -> [U; 4] {
    let [a0, a1, a2, a3] = a;
    [f(a0), f(a1), f(a2), f(a3)]
}

/// The same operation on each pair of limbs.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn pairwise<V: Lanes>(a: [V; 5], b: [V; 5], f: impl Fn(V, V) -> V) -> [V; 5] {
    let [a0, a1, a2, a3, a4] = a;
    let [b0, b1, b2, b3, b4] = b;
    [f(a0, b0), f(a1, b1), f(a2, b2), f(a3, b3), f(a4, b4)]
}

/// Whether every lane of every number is below its bound. Only assertions of debug builds ask.
#[inline(never)]
pub(crate) fn are_below<V: Lanes, const N: usize>(numbers: &[V; N], bounds: [u64; N]) -> bool {
    numbers.iter().zip(bounds).all(|(lanes, bound)| lanes.to_row().0.iter().all(|lane| *lane < bound))
}
