//! Signatures (RFC 8032 §5.1.6), of up to 32 messages together or of one alone.
//!
//! ```text
//! r = H(prefix ‖ M) mod l     R = r B     S = r + H(R ‖ A ‖ M) a mod l
//! ```
//!
//! In a batch four messages share the lanes of a register in each of these steps, and all of them share the inversion
//! that encodes the points R. A message alone has the lanes for itself: each takes a quarter of the product r B.
//!
//! What is left on the stack tells the key, so whoever runs this wipes it: see `engine`.

use ed25519_dalek::Signature;

use crate::digits::Digits;
use crate::encode;
use crate::key::Key;
use crate::lanes::{Lanes, Work, each_of_four};
use crate::message::Blocks;
use crate::point::Projective;
use crate::scalar::Scalar;
use crate::sha512::Hash;
use crate::table::{SPLIT_WINDOWS, Table, WINDOWS};

/// Messages to a register.
const LANES: usize = 4;

/// What signing takes beside messages.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) key: &'a Key,
    pub(crate) table: &'a Table,
}

/// Signs at most [`Batch::MAX`] messages; the slices are equally long.
pub(crate) struct Batch<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) messages: &'a [&'a [u8]],
    pub(crate) signatures: &'a mut [Signature],
}

impl Batch<'_> {
    /// More would gain little: the inversion is a twenty-fifth of the whole then. And their stack is to be wiped.
    pub(crate) const MAX: usize = LANES * encode::MAX;
}

impl<V: Lanes> Work<V> for Batch<'_> {
    type Output = ();

    #[cfg_attr(not(test), inline(always))]
    fn run(self, cpu: V::Cpu) {
        let Self { context, messages, signatures } = self;
        let mut nonces = [Scalar::<V>::zero(cpu); encode::MAX];
        let mut points = [Projective::<V>::neutral(cpu); encode::MAX];
        for ((messages, nonce), point) in messages.chunks(LANES).zip(&mut nonces).zip(&mut points) {
            let blocks = each_of_four(four(messages), |message| nonce_blocks(context.key, message));
            *nonce = Scalar::of_digest(V::run(cpu, Hash(blocks.each_ref())));
            *point = context.table.multiply(cpu, &Digits::of(*nonce, WINDOWS)).projective();
        }
        let mut encoded = [[[0; 32]; LANES]; encode::MAX];
        encode::encode(points.get(..messages.len().div_ceil(LANES)).unwrap_or(&points), &mut encoded);
        let fours = messages.chunks(LANES).zip(signatures.chunks_mut(LANES));
        for ((messages, signatures), (nonce, points)) in fours.zip(nonces.iter().zip(&encoded)) {
            let [a, b, c, d] = four(messages);
            let [r, s, t, u] = points;
            let blocks = [(r, a), (s, b), (t, c), (u, d)];
            let blocks = each_of_four(blocks, |(point, message)| answer_blocks(context.key, point, message));
            let scalars = nonce.plus_product(V::run(cpu, Hash(blocks.each_ref())), &context.key.secret).to_bytes();
            for ((signature, point), scalar) in signatures.iter_mut().zip(points).zip(scalars) {
                *signature = Signature::from_components(*point, scalar);
            }
        }
    }
}

/// Signs one message.
pub(crate) struct Alone<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) message: &'a [u8],
}

impl<V: Lanes> Work<V> for Alone<'_> {
    type Output = Signature;

    #[cfg_attr(not(test), inline(always))]
    fn run(self, cpu: V::Cpu) -> Signature {
        let Self { context, message } = self;
        let blocks = nonce_blocks(context.key, message);
        let nonce = Scalar::<V>::of_digest(V::run(cpu, Hash([&blocks; LANES])));
        let point = context.table.multiply_split(cpu, &Digits::of(nonce, SPLIT_WINDOWS)).projective();
        let [encoded, ..] = encode::encode_same(point);
        let blocks = answer_blocks(context.key, &encoded, message);
        let [scalar, ..] = nonce.plus_product(V::run(cpu, Hash([&blocks; LANES])), &context.key.secret).to_bytes();
        Signature::from_components(encoded, scalar)
    }
}

/// prefix ‖ M
fn nonce_blocks<'a>(key: &Key, message: &'a [u8]) -> Blocks<'a> {
    Blocks::new(&key.nonce_prefix, message)
}

/// R ‖ A ‖ M
fn answer_blocks<'a>(key: &Key, point: &[u8; 32], message: &'a [u8]) -> Blocks<'a> {
    let mut head = [0; 64];
    let (first, second) = head.split_at_mut(32);
    first.copy_from_slice(point);
    second.copy_from_slice(key.public.as_bytes());
    Blocks::new(&head, message)
}

/// Four messages: in place of those that are missing the first one again, whose results are thrown away.
#[cfg_attr(not(test), inline(always))]
fn four<'a>(messages: &[&'a [u8]]) -> [&'a [u8]; LANES] {
    let first = messages.first().copied().unwrap_or_default();
    let or_first = |at: usize| messages.get(at).copied().unwrap_or(first);
    [first, or_first(1), or_first(2), or_first(3)]
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::emulated::Emulated;
    use crate::table::Build;

    /// Without the processor's instructions, and with a stop at any overflow.
    #[test]
    fn batches_of_every_size_are_signed_as_by_dalek_in_emulated_lanes() {
        let table = Emulated::run((), Build);
        let bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
        // Miri takes minutes for the table alone.
        let sizes = if cfg!(miri) { 5..=5 } else { 0..=Batch::MAX };
        for n in sizes {
            let dalek = SigningKey::from_bytes(&[u8::try_from(n).unwrap(); 32]);
            let key = Key::from_seed(dalek.as_bytes());
            let context = Context { key: &key, table: &table };
            let messages: Vec<&[u8]> = (0..n).map(|i| &bytes[i..(17 * i * (n + 3)) % 601 + i]).collect();
            let mut signatures = vec![Signature::from_bytes(&[0; 64]); n];
            Emulated::run((), Batch { context, messages: &messages, signatures: &mut signatures });
            for (message, signature) in messages.iter().zip(&signatures) {
                let expected = dalek.sign(message);
                assert_eq!(*signature, expected, "one of {n}");
                assert_eq!(Emulated::run((), Alone { context, message }), expected, "alone");
            }
        }
    }
}
