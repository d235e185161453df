//! Asks for memory before it is needed: what is waited for later is on its way meanwhile.
//!
//! The standard library has the hint behind an unstable name only (`hint_prefetch`), and the intrinsic beneath it takes a
//! bare address. This is the safe half of it: a reference is a sound address, and to ask for it, or for what lies behind
//! it, changes nothing that a program could see but time.

/// What the memory of a processor is moved in, in bytes.
const LINE: usize = 64;
/// So many lines are asked for at the most: a cache of the first level has hardly ten times as many.
const MOST: usize = 64;

/// Asks for every line that `place` and so many bytes `behind` it lie on, and waits for none. Nothing of `place` is read, so
/// its size is one that the compiler knows; nothing happens where there is no such instruction.
#[inline]
pub fn read<T>(place: &T, behind: usize) {
    let start = std::ptr::from_ref(place).cast::<u8>();
    for line in 0..lines(start.addr(), size_of::<T>().saturating_add(behind)) {
        ask(start.wrapping_byte_add(line * LINE));
    }
}

/// How many lines so many bytes lie on, which may begin in the middle of one.
const fn lines(address: usize, bytes: usize) -> usize {
    let lines = (address % LINE).saturating_add(bytes).div_ceil(LINE);
    if lines < MOST { lines } else { MOST }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn ask(address: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is part of every x86-64 processor, reads nothing and faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn ask(_: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_asked_for_that_a_byte_lies_on() {
        for (address, bytes, expected) in [
            (0, 0, 0),
            (0, 1, 1),
            (0, 64, 1),
            (0, 65, 2),
            (63, 1, 1),
            (63, 2, 2),
            (1, 64, 2),
            (128, 640, 10),
            (0, 1 << 60, MOST),
            (63, usize::MAX, MOST),
        ] {
            assert_eq!(lines(address, bytes), expected, "{bytes} at {address}");
        }
    }

    #[test]
    fn no_place_faults_nor_does_what_lies_behind_it() {
        let bytes: Vec<u8> = (0..=255).collect();
        for byte in &bytes {
            for behind in [0, 1, 63, 64, 1 << 20, usize::MAX] {
                read(byte, behind);
            }
        }
        read(&(), 0);
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }
}
