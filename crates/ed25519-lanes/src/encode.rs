//! Points as 32 bytes (RFC 8032 §5.1.2): y, and the lowest bit of x above it.
//!
//! x = X / Z and y = Y / Z need 1 / Z. However many points there are, one inversion does for all (Montgomery's trick):
//! first across the registers, of which products are kept on the way, then across the four lanes of the last product,
//! and what is left is a single number.

use crate::field::Fe;
use crate::inversion;
use crate::lanes::{Lanes, each_of_four};
use crate::point::Projective;
use crate::radix;

/// The most points, in fours, that share an inversion.
pub(crate) const MAX: usize = 8;

/// Four encoded points.
pub(crate) type Encoded = [[u8; 32]; 4];

/// Encodes up to [`MAX`] fours of points; a result beyond the number of points is left as it is.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn encode<V: Lanes>(points: &[Projective<V>], encoded: &mut [Encoded; MAX]) {
    let (Some((first, rest)), [encoded, others @ ..]) = (points.split_first(), encoded) else { return };
    // before[i]: the product of Z of all points before the i-th of the rest.
    let mut before = [first.z; MAX];
    let mut product = first.z;
    for (point, before) in rest.iter().zip(&mut before) {
        *before = product;
        product = product.times(point.z).carry();
    }
    let mut inverse = invert(product);
    for ((point, before), encoded) in rest.iter().zip(&before).zip(others).rev() {
        *encoded = pack(point, inverse.times(*before).carry());
        inverse = inverse.times(point.z).carry();
    }
    *encoded = pack(first, inverse);
}

/// Encodes a point that is the same in every lane.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn encode_same<V: Lanes>(point: Projective<V>) -> Encoded {
    pack(&point, invert_first(point.z))
}

/// 1 / z in each lane; no lane is zero.
#[cfg_attr(not(test), inline(always))]
pub(crate) fn invert<V: Lanes>(z: Fe<V>) -> Fe<V> {
    // The other lane of a pair, the product of the pair, the product of the other pair.
    let neighbour = z.lanes(V::swap_neighbours);
    let pair = z.times(neighbour).carry();
    let others = pair.lanes(V::swap_halves);
    invert_first(pair.times(others).carry()).times(neighbour.times(others).carry()).carry()
}

/// 1 / z of the first lane, in every lane.
#[cfg_attr(not(test), inline(always))]
fn invert_first<V: Lanes>(z: Fe<V>) -> Fe<V> {
    let [proof, ..] = z.limbs();
    let first = each_of_four(radix::pack(z.canonical()), V::first);
    Fe::of(radix::all(proof, radix::limbs(inversion::invert(first))))
}

#[cfg_attr(not(test), inline(always))]
fn pack<V: Lanes>(point: &Projective<V>, inverse: Fe<V>) -> Encoded {
    let [x0, ..] = point.x.times(inverse).carry().canonical();
    let [w0, w1, w2, w3] = radix::pack(point.y.times(inverse).carry().canonical());
    each_of_four(V::transpose([w0, w1, w2, w3.or(x0.shl::<63>())]), V::to_bytes)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    use curve25519_dalek::scalar::Scalar;

    use super::*;
    use crate::emulated::Emulated;
    use crate::lanes::{Mask, Row};
    use crate::point::Point;

    /// The multiples 1 to 4 of the base point in the lanes.
    fn points() -> Point<Emulated> {
        let base = Point::affine((), crate::table::BASE);
        let (twice, mut points) = (base.add((), base), base);
        points = twice.select(Mask(0b1010), points);
        let upper = points.add((), twice);
        upper.select(Mask(0b1100), points)
    }

    fn multiple(of: usize) -> [u8; 32] {
        (ED25519_BASEPOINT_POINT * Scalar::from(of as u64)).compress().0
    }

    #[test]
    fn points_that_share_an_inversion_are_encoded_like_any_others() {
        let (mut fours, mut sum) = (Vec::new(), points());
        for count in 1..=MAX {
            fours.push(sum.projective());
            let mut encoded = [[[0; 32]; 4]; MAX];
            encode(&fours, &mut encoded);
            for (i, four) in encoded.iter().enumerate() {
                for (lane, bytes) in four.iter().enumerate() {
                    let expected = if i < count { multiple((i + 1) * (lane + 1)) } else { [0; 32] };
                    assert_eq!(*bytes, expected, "point {lane} of register {i} of {count}");
                }
            }
            sum = sum.add((), points());
        }
    }

    #[test]
    fn each_lane_has_its_own_inverse() {
        let load =
            |lanes: [u64; 4]| Fe::of([lanes, [0; 4], [0; 4], [0; 4], [0; 4]].map(|row| Emulated::load((), &Row(row))));
        let z = load([2, 3, 5, 7]);
        let product = z.times(invert(z)).carry().canonical();
        assert_eq!(product.map(Emulated::to_row), [Row([1; 4]), Row([0; 4]), Row([0; 4]), Row([0; 4]), Row([0; 4])]);
    }
}
