//! The field held against whole numbers, with limbs at their bounds.

use num_bigint::BigUint;
use proptest::prelude::*;

use super::*;
use crate::emulated::Emulated;
use crate::model::{self, corners, limbs, load, number, numbers, p};

type Limbs = [[u64; 5]; 4];

/// Of factors the low 52 bits count, of the last limb all.
const FE: [u64; 5] = [u64::MAX, u64::MAX, u64::MAX, u64::MAX, CARRIED];
const BIASED: [u64; 5] =
    [BIAS[0] + PRODUCT, BIAS[1] + PRODUCT, BIAS[2] + PRODUCT, BIAS[3] + PRODUCT, BIAS[4] + PRODUCT];

fn fe(limbs: Limbs) -> Fe<Emulated> {
    Fe::of(load((), limbs))
}

/// The numbers that elements stand for, modulo p.
fn values(element: Fe<Emulated>) -> [BigUint; 4] {
    numbers(element.masked()).map(|number| number % p())
}

fn value([a, b, c, d, e]: [u64; 5]) -> BigUint {
    number([a & M52, b & M52, c & M52, d & M52, e]) % p()
}

#[test]
fn products_of_extreme_limbs_stay_within_their_bounds_and_are_right() {
    for a in corners(FE) {
        for b in corners(FE) {
            let (x, y) = (fe([a; 4]), fe([b; 4]));
            let expected = value(a) * value(b) % p();
            for product in [x.times(y).carry(), x.times_biased(y).carry()] {
                assert_eq!(values(product)[0], expected, "{a:?} times {b:?}");
            }
        }
    }
}

#[test]
fn columns_as_full_as_they_can_be_are_folded_within_the_bound() {
    // Terms below 2^52 of each column; no two factors make all of them large, so the columns are made by hand.
    let columns = [1_u64, 3, 5, 7, 9, 9, 7, 5, 3].map(|terms| terms * M52 + 1);
    let [z0, z1, z2, z3, z4, z5, z6, z7, z8] = columns;
    let mut largest = 0;
    for z in corners([z0, z1, z2, z3, z4, z5, z6, z7, z8, COLUMN_9]) {
        let [low, high] = [[z[0], z[1], z[2], z[3], z[4]], [z[5], z[6], z[7], z[8], z[9]]];
        let folded = fold::<Emulated>(load((), [low; 4]), load((), [high; 4]));
        assert!(are_below(&folded, [PRODUCT; 5]), "{z:?}");
        assert_eq!(values(Product(folded).carry())[0], (number(low) + number(high) * 608_u16) % p(), "{z:?}");
        largest = folded.iter().map(|limb| limb.to_row().0[0]).max().unwrap().max(largest);
    }
    assert!(largest > PRODUCT - (1 << 52), "{largest}: the bound has room for more than a limb");
}

#[test]
fn carries_of_extreme_limbs_stay_within_their_bounds_and_are_right() {
    for limbs in corners([LOOSE; 5]) {
        let carried = Loose(load::<Emulated, 5>((), [limbs; 4])).carry();
        assert_eq!(values(carried)[0], number(limbs) % p(), "{limbs:?}");
    }
}

#[test]
fn sums_and_differences_of_extreme_limbs_stay_within_their_bounds_and_are_right() {
    for a in corners([PRODUCT; 5]) {
        let a = a.into_iter().zip(BIAS).map(|(limb, bias)| limb + bias).collect::<Vec<_>>().try_into().unwrap();
        for b in corners([PRODUCT; 5]) {
            let (x, y) = (Biased(load::<Emulated, 5>((), [a; 4])), Product(load((), [b; 4])));
            let (sum, difference) = ((number(a) + number(b)) % p(), (number(a) + p() * 512_u16 - number(b)) % p());
            assert_eq!(values(x.plus(y).carry())[0], sum);
            assert_eq!(values(x.minus(y).carry())[0], difference);
            let (minus, plus) = x.minus_and_plus(y, Mask(0b0101));
            let (minus, plus) = (values(minus.carry()), values(plus.carry()));
            assert_eq!((&minus[0], &plus[0], &minus[1], &plus[1]), (&difference, &sum, &sum, &difference));
        }
        let x = Biased(load::<Emulated, 5>((), [a; 4]));
        assert_eq!(values(x.doubled().carry())[0], number(a) * 2_u8 % p());
    }
}

#[test]
fn numbers_around_p_have_the_canonical_form() {
    let top = (BigUint::from(1_u8) << 255) + (BigUint::from(1_u8) << 220);
    let near = |middle: BigUint| (0..40_u8).map(move |i| middle.clone() + i - 20_u8);
    for number in near(p()).chain(near(BigUint::from(1_u8) << 255)).chain(near(top)).chain((0..40_u8).map(Into::into)) {
        let limbs = std::array::from_fn(|i| {
            let limb = &number >> (52 * i);
            if i == 4 { limb } else { limb % (M52 + 1) }.to_u64_digits().first().copied().unwrap_or(0)
        });
        let canonical = fe([limbs; 4]).canonical();
        assert_eq!(numbers(canonical)[3], &number % p(), "{number}");
        assert!(canonical.iter().all(|limb| limb.to_row().0[0] <= M52));
    }
}

#[test]
fn five_twelve_p_is_the_bias_and_a_half_is_half() {
    assert_eq!(number(BIAS), p() * 512_u16);
    let half = (p() + 1_u8) >> 1;
    assert_eq!(values(Fe::all((), model::words(&half)).plus(Fe::all((), model::words(&half))).carry())[2], 1_u8.into());
}

proptest! {
    #[test]
    fn it_is_a_ring(a in limbs(FE), b in limbs(FE), c in limbs(FE)) {
        let same = |x: Fe<Emulated>, y: Fe<Emulated>| values(x) == values(y);
        let (a, b, c) = (fe(a), fe(b), fe(c));
        let zero = Fe::all((), [0; 4]);
        prop_assert!(same(a.times(b).carry(), b.times(a).carry()));
        prop_assert!(same(a.times(b).carry().times(c).carry(), a.times(b.times(c).carry()).carry()));
        prop_assert!(same(a.plus(b).carry().times(c).carry(), a.times_biased(c).plus(b.times(c)).carry()));
        prop_assert!(same(a.minus(b).carry().times(c).carry(), a.times_biased(c).minus(b.times(c)).carry()));
        prop_assert!(same(a.times(Fe::all((), [1, 0, 0, 0])).carry(), a));
        prop_assert!(same(a.minus(a).carry(), zero) && same(a.minus(b).carry().plus(b).carry(), a));
    }

    #[test]
    fn it_is_the_numbers_modulo_p(a in limbs(FE), b in limbs(FE), biased in limbs(BIASED)) {
        let (x, y) = (fe(a), fe(b));
        for lane in 0..4 {
            let (a, b) = (value(a[lane]), value(b[lane]));
            prop_assert_eq!(&values(x.times(y).carry())[lane], &(&a * &b % p()));
            prop_assert_eq!(&values(x.plus(y).carry())[lane], &((&a + &b) % p()));
            prop_assert_eq!(&values(x.minus(y).carry())[lane], &((&a + p() - &b) % p()));
            prop_assert_eq!(&numbers(x.canonical())[lane], &a);
            prop_assert_eq!(&values(Biased(load((), biased)).carry())[lane], &(number(biased[lane]) % p()));
        }
    }
}
