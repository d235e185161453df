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
#[inline(always)]
pub(crate) fn encode<V: Lanes>(points: &[Projective<V>], encoded: &mut [Encoded; MAX]) {
    let Some(first) = points.first() else { return };
    // before[i]: the product of Z of all points before point i.
    let mut before = [first.z; MAX];
    let mut product = first.z;
    for (point, before) in points.iter().zip(&mut before).skip(1) {
        *before = product;
        product = product.times(point.z).carry();
    }
    let mut inverse = invert(product);
    for ((point, before), encoded) in points.iter().zip(&before).zip(encoded.iter_mut()).skip(1).rev() {
        *encoded = pack(point, inverse.times(*before).carry());
        inverse = inverse.times(point.z).carry();
    }
    let [encoded, ..] = encoded;
    *encoded = pack(first, inverse);
}

/// Encodes a point that is the same in every lane.
#[inline(always)]
pub(crate) fn encode_same<V: Lanes>(point: Projective<V>) -> Encoded {
    pack(&point, invert_first(point.z))
}

/// 1 / z in each lane; no lane is zero.
#[inline(always)]
pub(crate) fn invert<V: Lanes>(z: Fe<V>) -> Fe<V> {
    // The other lane of a pair, the product of the pair, the product of the other pair.
    let neighbour = z.lanes(V::swap_neighbours);
    let pair = z.times(neighbour).carry();
    let others = pair.lanes(V::swap_halves);
    invert_first(pair.times(others).carry()).times(neighbour.times(others).carry()).carry()
}

/// 1 / z of the first lane, in every lane.
#[inline(always)]
fn invert_first<V: Lanes>(z: Fe<V>) -> Fe<V> {
    let [proof, ..] = z.limbs();
    let first = each_of_four(radix::pack(z.canonical()), V::first);
    Fe::of(radix::all(proof, radix::limbs(inversion::invert(first))))
}

#[inline(always)]
fn pack<V: Lanes>(point: &Projective<V>, inverse: Fe<V>) -> Encoded {
    let [x0, ..] = point.x.times(inverse).carry().canonical();
    let [w0, w1, w2, w3] = radix::pack(point.y.times(inverse).carry().canonical());
    each_of_four(V::transpose([w0, w1, w2, w3.or(x0.shl::<63>())]), V::to_bytes)
}
