//! What tests hold the lanes against: whole numbers, and limbs chosen to be extreme. Random limbs never get near the
//! bounds; these stand on them, and the emulated lanes panic at any sum that does not fit.

use num_bigint::BigUint;
use proptest::prelude::*;

use crate::lanes::{Lanes, Row};
use crate::radix::M52;

/// 2^255 - 19
pub(crate) fn p() -> BigUint {
    (BigUint::from(1_u8) << 255) - 19_u8
}

/// The order of the base point.
pub(crate) fn l() -> BigUint {
    (BigUint::from(1_u8) << 252) + 27_742_317_777_372_353_535_851_937_790_883_648_493_u128
}

/// Σ limb 2^(52 i)
pub(crate) fn number(limbs: impl IntoIterator<Item = u64>) -> BigUint {
    limbs.into_iter().enumerate().map(|(i, limb)| BigUint::from(limb) << (52 * i)).sum()
}

/// The numbers of the four lanes.
pub(crate) fn numbers<V: Lanes, const N: usize>(limbs: [V; N]) -> [BigUint; 4] {
    let rows = limbs.map(V::to_row);
    [0, 1, 2, 3].map(|lane| number(rows.iter().map(|row| row.0[lane])))
}

/// Four little-endian words.
pub(crate) fn words(number: &BigUint) -> [u64; 4] {
    let digits = number.to_u64_digits();
    assert!(digits.len() <= 4, "{number}");
    [0, 1, 2, 3].map(|i| digits.get(i).copied().unwrap_or(0))
}

pub(crate) fn bytes(number: &BigUint) -> [u8; 32] {
    let mut bytes = number.to_bytes_le();
    bytes.resize(32, 0);
    bytes.try_into().unwrap()
}

/// Limbs of four lanes, from those of each.
pub(crate) fn load<V: Lanes, const N: usize>(cpu: V::Cpu, lanes: [[u64; N]; 4]) -> [V; N] {
    std::array::from_fn(|i| V::load(cpu, &Row(lanes.map(|limbs| limbs[i]))))
}

/// A number below a bound, often on it, or where all bits of a limb are alike.
pub(crate) fn below(bound: u64) -> impl Strategy<Value = u64> + Clone {
    (0..10_usize, any::<u64>()).prop_map(move |(choice, random)| {
        let limb = [0, 1, M52, M52 - 18, bound - 1, bound / 2].get(choice).copied().unwrap_or(random);
        if limb < bound { limb } else { limb % bound }
    })
}

/// Four lanes of limbs below their bounds.
pub(crate) fn limbs<const N: usize>(bounds: [u64; N]) -> impl Strategy<Value = [[u64; N]; 4]> {
    let lane = bounds.map(below);
    [lane.clone(), lane.clone(), lane.clone(), lane]
}

/// Every choice between zero and the largest limb; under Miri, which is slow, a few of them.
pub(crate) fn corners<const N: usize>(bounds: [u64; N]) -> impl Iterator<Item = [u64; N]> + Clone {
    let most = (1_u32 << N) - 1;
    let step = if cfg!(miri) { most as usize / 4 + 2 } else { 1 };
    let choices = (0..most).step_by(step).chain([most]);
    choices.map(move |choice| std::array::from_fn(|i| if choice >> i & 1 == 1 { bounds[i] - 1 } else { 0 }))
}

/// Bytes, often all alike.
pub(crate) fn digest() -> impl Strategy<Value = [u8; 64]> {
    prop_oneof![3 => any::<[u8; 64]>(), 1 => Just([0xff; 64]), 1 => any::<u8>().prop_map(|byte| [byte; 64])]
}
