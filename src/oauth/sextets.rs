//! Base64 of few characters, read into room that is there (RFC 4648 §4): the standard alphabet, padded, and canonical.
//!
//! What a general decoder makes ready costs more than the hundred characters of a Basic header. Nor is a table looked up
//! here by the characters of a secret.

/// How many characters are read at a time.
const BLOCK_CHARS: usize = 16;
/// How many bytes those encode.
const BLOCK_BYTES: usize = 12;

/// The bits that no sextet has, in eight bytes.
const NO_SEXTET: u64 = u64::from_ne_bytes([0xC0; 8]);

/// Room for what so many characters encode, in whole blocks.
pub(super) const fn room_for(chars: usize) -> usize {
    chars.div_ceil(BLOCK_CHARS) * BLOCK_BYTES
}

/// Decodes `text` to the start of `room`, which is at least as `room_for` says: how many bytes it is.
pub(super) fn decode(text: &[u8], room: &mut [u8]) -> Option<usize> {
    if !text.len().is_multiple_of(4) || room.len() < room_for(text.len()) {
        return None;
    }
    let padding = match text {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    };
    let chars = text.get(..text.len() - padding)?;
    let mut all = 0;
    for (chars, place) in chars.chunks(BLOCK_CHARS).zip(room.as_chunks_mut().0) {
        all |= decode_block(&block(chars), place);
    }
    let length = text.len() / 4 * 3 - padding;
    // RFC 4648 §3.5: the bits that the last character has left over are zeros.
    let leftover = room.get(length).filter(|_| padding > 0).copied().unwrap_or_default();
    (all & NO_SEXTET == 0 && leftover == 0).then_some(length)
}

/// A block of these characters; those that are left out count as zeros.
fn block(chars: &[u8]) -> [u8; BLOCK_CHARS] {
    chars.as_array().copied().unwrap_or_else(|| {
        let mut block = [b'A'; BLOCK_CHARS];
        block.iter_mut().zip(chars).for_each(|(place, char)| *place = *char);
        block
    })
}

/// Decodes a block: the bits of all its sextets, in eight bytes.
fn decode_block(block: &[u8; BLOCK_CHARS], place: &mut [u8; BLOCK_BYTES]) -> u64 {
    let mut sextets = [0; BLOCK_CHARS];
    sextets.iter_mut().zip(block).for_each(|(sextet, char)| *sextet = value(*char));
    let mut all = 0;
    for (eight, six) in sextets.as_chunks().0.iter().zip(place.as_chunks_mut().0) {
        let eight = u64::from_be_bytes(*eight);
        let [_, _, bytes @ ..] = join(eight).to_be_bytes();
        *six = bytes;
        all |= eight;
    }
    all
}

/// What a character stands for; 255 for one that is none of the alphabet.
fn value(char: u8) -> u8 {
    // One more than its place in the alphabet, if it is of this part of it.
    let of = |first: u8, length: u8, place: u8| {
        let at = char.wrapping_sub(first);
        if at < length { at + place + 1 } else { 0 }
    };
    (of(b'A', 26, 0) | of(b'a', 26, 26) | of(b'0', 10, 52) | of(b'+', 1, 62) | of(b'/', 1, 63)).wrapping_sub(1)
}

/// Moves eight sextets, each in a byte, together: pairs, then fours, then all.
const fn join(sextets: u64) -> u64 {
    let twos = sextets >> 2 & 0x0FC0_0FC0_0FC0_0FC0 | sextets & 0x003F_003F_003F_003F;
    let fours = twos >> 4 & 0x00FF_F000_00FF_F000 | twos & 0x0000_0FFF_0000_0FFF;
    fours >> 8 & 0xFFFF_FF00_0000 | fours & 0x00FF_FFFF
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Option<Vec<u8>> {
        let mut room = vec![0xA5; room_for(text.len())];
        let length = decode(text, &mut room)?;
        Some(room[..length].to_vec())
    }

    #[test]
    fn reads_the_examples_of_section_10() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(read(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
    }

    #[test]
    fn every_character_stands_for_what_the_alphabet_says() {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for char in 0..=u8::MAX {
            let place = ALPHABET.iter().position(|other| *other == char);
            assert_eq!(usize::from(value(char)), place.unwrap_or(255), "{char}");
        }
    }

    #[test]
    fn t064_refuses_wrong_padding_and_bits_that_are_left_over() {
        for text in
            ["=", "==", "====", "A===", "AA=", "AA=A", "AAA==", "AB==", "AAB=", "AA==AAAA", "AAAA=", "A", "AAAAA"]
        {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_as_the_general_decoder_does(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, slip: u8, likely in "[A-Za-z0-9+/=]{0,40}",
        ) {
            let mut text = STANDARD.encode(&bytes).into_bytes();
            prop_assert_eq!(read(&text), Some(bytes.clone()));
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = slip;
            }
            prop_assert!(text.is_empty() || decode(&text, &mut vec![0; room_for(text.len()) - 1]).is_none());
            for text in [text.as_slice(), &bytes, likely.as_bytes()] {
                prop_assert_eq!(read(text), STANDARD.decode(text).ok());
            }
        }
    }
}
