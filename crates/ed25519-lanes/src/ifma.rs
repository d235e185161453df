//! [`Lanes`] in the 256-bit registers of a processor with AVX-512 IFMA.
//!
//! 256 bits and not 512, although the instructions exist at both widths: on Intel's server processors dense 512-bit
//! multiplication lowers the clock of the whole core by a fifth, for all other work on it as well, while at 256 bits
//! there are as many multipliers in use and the clock stays.
//!
//! Every `unsafe` block here holds one intrinsic, and may for the same reason: an [`Ifma`] or a [`Cpu`] is at hand, and
//! neither can come to be unless [`Lanes::detect`] found the instructions that [`switched_on`] lists.

use core::arch::x86_64::{
    __m256i, _mm_cvtsi128_si64, _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32, _mm256_castsi256_si128,
    _mm256_loadu_si256, _mm256_madd52hi_epu64, _mm256_madd52lo_epu64, _mm256_mask_blend_epi64, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_permute4x64_epi64, _mm256_permutex2var_epi64, _mm256_ror_epi64,
    _mm256_set_epi64x, _mm256_set1_epi64x, _mm256_shuffle_epi8, _mm256_slli_epi64, _mm256_srai_epi64,
    _mm256_srli_epi64, _mm256_srlv_epi64, _mm256_storeu_si256, _mm256_sub_epi64, _mm256_ternarylogic_epi64,
    _mm256_test_epi64_mask, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
};

use crate::lanes::{Lanes, Mask, Row, Work};

/// Proof that the processor has the instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu(());

#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512ifma,avx2,bmi2")]
fn switched_on<W: Work<Ifma>>(cpu: Cpu, work: W) -> W::Output {
    work.run(cpu)
}

/// A register of four numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma(__m256i);

/// `intrinsic!(name::<N>(a, b))`: the intrinsic's result as lanes.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: see the head of this file.
        Ifma(unsafe { $call })
    };
}

impl Lanes for Ifma {
    type Cpu = Cpu;

    /// Asks the processor, and the operating system whether it saves the registers.
    fn detect() -> Option<Cpu> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2");
        found.then_some(Cpu(()))
    }

    #[cfg_attr(not(test), inline(always))]
    fn run<W: Work<Self>>(cpu: Cpu, work: W) -> W::Output {
        // SAFETY: see the head of this file.
        unsafe { switched_on(cpu, work) }
    }

    #[cfg_attr(not(test), inline(always))]
    fn load(_: Cpu, row: &Row) -> Self {
        // An aligned row in fact, but no instruction is slower for not being told.
        intrinsic!(_mm256_loadu_si256(std::ptr::from_ref(row).cast()))
    }

    #[cfg_attr(not(test), inline(always))]
    fn from_bytes(_: Cpu, bytes: &[u8; 32]) -> Self {
        intrinsic!(_mm256_loadu_si256(std::ptr::from_ref(bytes).cast()))
    }

    #[cfg_attr(not(test), inline(always))]
    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // SAFETY: see the head of this file; 32 bytes are written where 32 are.
        unsafe { _mm256_storeu_si256(std::ptr::from_mut(&mut bytes).cast(), self.0) };
        bytes
    }

    #[cfg_attr(not(test), inline(always))]
    fn to_row(self) -> Row {
        let mut row = Row([0; 4]);
        // SAFETY: see the head of this file; 32 bytes are written where 32 are.
        unsafe { _mm256_storeu_si256(std::ptr::from_mut(&mut row).cast(), self.0) };
        row
    }

    #[cfg_attr(not(test), inline(always))]
    fn all(_: Cpu, x: u64) -> Self {
        intrinsic!(_mm256_set1_epi64x(x.cast_signed()))
    }

    #[cfg_attr(not(test), inline(always))]
    fn splat(self, x: u64) -> Self {
        intrinsic!(_mm256_set1_epi64x(x.cast_signed()))
    }

    #[cfg_attr(not(test), inline(always))]
    fn add(self, other: Self) -> Self {
        intrinsic!(_mm256_add_epi64(self.0, other.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn add_wrapping(self, other: Self) -> Self {
        intrinsic!(_mm256_add_epi64(self.0, other.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn sub(self, other: Self) -> Self {
        intrinsic!(_mm256_sub_epi64(self.0, other.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn sub_wrapping(self, other: Self) -> Self {
        intrinsic!(_mm256_sub_epi64(self.0, other.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn madd_low(self, a: Self, b: Self) -> Self {
        intrinsic!(_mm256_madd52lo_epu64(self.0, a.0, b.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn madd_high(self, a: Self, b: Self) -> Self {
        intrinsic!(_mm256_madd52hi_epu64(self.0, a.0, b.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn and(self, other: Self) -> Self {
        intrinsic!(_mm256_and_si256(self.0, other.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn or(self, other: Self) -> Self {
        intrinsic!(_mm256_or_si256(self.0, other.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn shl<const N: i32>(self) -> Self {
        intrinsic!(_mm256_slli_epi64::<N>(self.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn shr<const N: i32>(self) -> Self {
        intrinsic!(_mm256_srli_epi64::<N>(self.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn shr_signed<const N: u32>(self) -> Self {
        intrinsic!(_mm256_srai_epi64::<N>(self.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn rotate_right<const N: i32>(self) -> Self {
        intrinsic!(_mm256_ror_epi64::<N>(self.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn shr_each(self, counts: Self) -> Self {
        intrinsic!(_mm256_srlv_epi64(self.0, counts.0))
    }

    // The constants of vpternlogq are truth tables: bit 4a + 2b + c is the result for those bits.

    #[cfg_attr(not(test), inline(always))]
    fn xor3(self, b: Self, c: Self) -> Self {
        intrinsic!(_mm256_ternarylogic_epi64::<0b1001_0110>(self.0, b.0, c.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn choose(self, b: Self, c: Self) -> Self {
        intrinsic!(_mm256_ternarylogic_epi64::<0b1100_1010>(self.0, b.0, c.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn majority(self, b: Self, c: Self) -> Self {
        intrinsic!(_mm256_ternarylogic_epi64::<0b1110_1000>(self.0, b.0, c.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn swap_bytes(self) -> Self {
        const HIGH: i64 = 0x0809_0a0b_0c0d_0e0f;
        const LOW: i64 = 0x0001_0203_0405_0607;
        let order = intrinsic!(_mm256_set_epi64x(HIGH, LOW, HIGH, LOW));
        intrinsic!(_mm256_shuffle_epi8(self.0, order.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn has_any(self, bits: u64) -> Mask {
        // SAFETY: see the head of this file.
        Mask(unsafe { _mm256_test_epi64_mask(self.0, self.splat(bits).0) })
    }

    #[cfg_attr(not(test), inline(always))]
    fn select(self, mask: Mask, other: Self) -> Self {
        intrinsic!(_mm256_mask_blend_epi64(mask.0, other.0, self.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn pick(self, low: Self, high: Self) -> Self {
        intrinsic!(_mm256_permutex2var_epi64(low.0, self.0, high.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn swap_neighbours(self) -> Self {
        intrinsic!(_mm256_permute4x64_epi64::<0b10_11_00_01>(self.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn swap_halves(self) -> Self {
        intrinsic!(_mm256_permute4x64_epi64::<0b01_00_11_10>(self.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn diagonal([a, b, c, d]: [Self; 4]) -> Self {
        let ab = intrinsic!(_mm256_blend_epi32::<0b0000_1100>(a.0, b.0));
        let cd = intrinsic!(_mm256_blend_epi32::<0b1100_0000>(c.0, d.0));
        intrinsic!(_mm256_blend_epi32::<0b1111_0000>(ab.0, cd.0))
    }

    #[cfg_attr(not(test), inline(always))]
    fn transpose([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        let even_ab = intrinsic!(_mm256_unpacklo_epi64(a.0, b.0));
        let odd_ab = intrinsic!(_mm256_unpackhi_epi64(a.0, b.0));
        let even_cd = intrinsic!(_mm256_unpacklo_epi64(c.0, d.0));
        let odd_cd = intrinsic!(_mm256_unpackhi_epi64(c.0, d.0));
        [
            intrinsic!(_mm256_permute2x128_si256::<0x20>(even_ab.0, even_cd.0)),
            intrinsic!(_mm256_permute2x128_si256::<0x20>(odd_ab.0, odd_cd.0)),
            intrinsic!(_mm256_permute2x128_si256::<0x31>(even_ab.0, even_cd.0)),
            intrinsic!(_mm256_permute2x128_si256::<0x31>(odd_ab.0, odd_cd.0)),
        ]
    }

    #[cfg_attr(not(test), inline(always))]
    fn first(self) -> u64 {
        // SAFETY: see the head of this file.
        let low = unsafe { _mm256_castsi256_si128(self.0) };
        // SAFETY: see the head of this file.
        unsafe { _mm_cvtsi128_si64(low) }.cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use sha2::{Digest as _, Sha512};

    use super::*;
    use crate::emulated::Emulated;
    use crate::model::below;

    /// The results of every operation.
    fn every_operation<V: Lanes>(cpu: V::Cpu, [a, b, c, d]: [Row; 4]) -> Vec<Row> {
        let [a, b, c, d] = [a, b, c, d].map(|row| V::load(cpu, &row));
        let small = c.and(c.splat((1 << 62) - 1)).shr::<1>();
        let mask = |Mask(mask): Mask| V::all(cpu, mask.into());
        let mut results = vec![
            V::from_bytes(cpu, &a.to_bytes()),
            a.splat(77),
            small.add(b.shr::<3>()),
            a.add_wrapping(b),
            a.or(b).sub(b),
            a.sub_wrapping(b),
            small.madd_low(a, b),
            small.madd_high(a, b),
            a.and(b),
            a.or(b),
            a.shl::<52>(),
            a.shr::<12>(),
            a.shr_signed::<52>(),
            a.rotate_right::<41>(),
            a.shr_each(b.and(b.splat(63))),
            a.xor3(b, c),
            a.choose(b, c),
            a.majority(b, c),
            a.swap_bytes(),
            mask(a.has_any(1 << 16)),
            mask(a.has_any(3)),
            a.select(b.has_any(1), c),
            a.select(Mask(0b0110), c),
            a.pick(b, c),
            a.swap_neighbours(),
            a.swap_halves(),
            V::diagonal([a, b, c, d]),
            V::all(cpu, a.first()),
        ];
        results.extend(V::transpose([a, b, c, d]));
        results.into_iter().map(V::to_row).collect()
    }

    /// The digest of the results of a hundred rows, as an AMD EPYC (Zen 4) computed them.
    const BY_A_PROCESSOR: &str = "6dde9b442c8b0ef45f0d0f35c0d2e8cc";

    fn digest_of_results<V: Lanes>(cpu: V::Cpu) -> String {
        let word = |numbers| u64::from_le_bytes(Sha512::digest(numbers).as_chunks().0[0]);
        let row = |number: u8, at: u8| Row([0, 1, 2, 3].map(|lane| word([number, at, lane])));
        let rows = |number| [0, 1, 2, 3].map(|at| row(number, at));
        let results = (0..100).flat_map(|number| every_operation::<V>(cpu, rows(number)));
        let bytes: Vec<u8> = results.flat_map(|row| row.0).flat_map(u64::to_le_bytes).collect();
        hex::encode(&Sha512::digest(bytes)[..16])
    }

    /// On every machine: what the instructions do is written down.
    #[test]
    fn the_emulation_computes_what_a_processor_did() {
        assert_eq!(digest_of_results::<Emulated>(()), BY_A_PROCESSOR);
    }

    #[test]
    fn every_operation_is_as_it_is_emulated() {
        let Some(cpu) = Ifma::detect() else {
            // Past the harness, which keeps to itself what a test that passes prints.
            let said = "no AVX-512 IFMA here: the emulation was compared with another processor's results only\n";
            return std::io::stderr().write_all(said.as_bytes()).unwrap();
        };
        assert_eq!(digest_of_results::<Ifma>(cpu), BY_A_PROCESSOR);
        let rows = prop::array::uniform4(prop::array::uniform4(below(u64::MAX)));
        let outcome = TestRunner::default().run(&rows, |rows| {
            let rows = rows.map(Row);
            let emulated = every_operation::<Emulated>((), rows);
            prop_assert_eq!(emulated.len(), 32);
            prop_assert_eq!(every_operation::<Ifma>(cpu, rows), emulated);
            Ok(())
        });
        outcome.unwrap();
    }
}
