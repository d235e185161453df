//! A message as the blocks that SHA-512 takes, without copying it.
//!
//! What is hashed begins with a few bytes that are not the message's: the nonce prefix, or R ‖ A. So the first block is
//! put together, and so are the last ones, with the padding; those between are where they are in the message.

/// What SHA-512 takes at a time.
pub(crate) type Block = [u8; 128];

/// The longest rest that leaves room in its block for the padding: one byte and the length in 16.
const MAX_REST: usize = 128 - 17;

/// head ‖ message ‖ padding. As secret as the head: it stays on the stack, which is wiped.
pub(crate) struct Blocks<'a> {
    /// There is none if the message ends in it.
    first: Option<Block>,
    middle: &'a [Block],
    last: [Block; 2],
    has_two_last: bool,
}

impl<'a> Blocks<'a> {
    /// The blocks of head ‖ message, where the head is shorter than a block.
    #[expect(clippy::indexing_slicing, reason = "what the last blocks begin with is shorter than one of them")]
    pub(crate) fn new<const HEAD: usize>(head: &[u8; HEAD], message: &'a [u8]) -> Self {
        let mut blocks = Self { first: None, middle: &[], last: [[0; 128]; 2], has_two_last: false };
        let last = blocks.last.as_flattened_mut();
        let end = if let Some((start, after)) = message.split_at_checked(128 - HEAD) {
            let first = blocks.first.insert([0; 128]);
            first[..HEAD].copy_from_slice(head);
            first[HEAD..].copy_from_slice(start);
            let (middle, rest) = after.as_chunks();
            blocks.middle = middle;
            last[..rest.len()].copy_from_slice(rest);
            rest.len()
        } else {
            last[..HEAD].copy_from_slice(head);
            last[HEAD..HEAD + message.len()].copy_from_slice(message);
            HEAD + message.len()
        };
        last[end] = 0x80;
        blocks.has_two_last = end > MAX_REST;
        let length = if blocks.has_two_last { &mut last[248..] } else { &mut last[120..128] };
        length.copy_from_slice(&(8 * (HEAD + message.len()) as u64).to_be_bytes());
        blocks
    }

    pub(crate) fn count(&self) -> usize {
        usize::from(self.first.is_some()) + self.middle.len() + 1 + usize::from(self.has_two_last)
    }

    /// Block `at`. Beyond the end there is some block, which nobody may make anything of.
    #[cfg_attr(not(test), inline(always))]
    pub(crate) fn block(&self, at: usize) -> &Block {
        let at = match (&self.first, at) {
            (Some(first), 0) => return first,
            (Some(_), at) => at - 1,
            (None, at) => at,
        };
        let [last, very_last] = &self.last;
        match self.middle.get(at) {
            Some(block) => block,
            None if at == self.middle.len() => last,
            None => very_last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 §5.1.2, by copying.
    fn padded(head: &[u8], message: &[u8]) -> Vec<u8> {
        let mut bytes = [head, message, &[0x80]].concat();
        let length = 8 * (head.len() + message.len()) as u128;
        bytes.resize((bytes.len() + 16).next_multiple_of(128) - 16, 0);
        bytes.extend(length.to_be_bytes());
        bytes
    }

    fn check<const HEAD: usize>(message: &[u8]) {
        let head = [7; HEAD];
        let blocks = Blocks::new(&head, message);
        let expected = padded(&head, message);
        assert_eq!(blocks.count() * 128, expected.len(), "{} bytes", message.len());
        for (at, block) in expected.as_chunks::<128>().0.iter().enumerate() {
            assert_eq!(blocks.block(at), block, "block {at} of {} bytes", message.len());
        }
    }

    #[test]
    fn messages_of_every_length_are_padded_as_the_standard_says() {
        let bytes: Vec<u8> = (1..=255).cycle().take(600).collect();
        for length in 0..600 {
            check::<32>(&bytes[..length]);
            check::<64>(&bytes[..length]);
        }
    }
}
