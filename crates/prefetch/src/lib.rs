//! Asks for memory before it is needed: what is waited for later is on its way meanwhile.
//!
//! The standard library has the hint behind an unstable name only (`hint_prefetch`), and the intrinsic beneath it takes a
//! bare address. This is the safe half of it: a reference is a sound address, and to ask for it, or for what lies behind
//! it, changes nothing that a program could see but time.

/// What the memory of a processor is moved in, in bytes.
const LINE: usize = 64;

/// Asks for every line that `place` and so many bytes `behind` it lie on, and waits for none. Nothing of `place` is read, so
/// its size is one that the compiler knows; nothing happens where there is no such instruction.
#[inline]
pub fn read<T>(place: &T, behind: usize) {
    let start = std::ptr::from_ref(place).cast::<u8>();
    // The place may begin in the middle of a line.
    let lines = (start.addr() % LINE + size_of::<T>() + behind).div_ceil(LINE);
    for line in 0..lines {
        ask(start.wrapping_byte_add(line * LINE));
    }
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
    fn any_place_may_be_asked_for_with_what_lies_behind_it_and_is_as_it_was() {
        let bytes: Vec<u8> = (0..=255).collect();
        for byte in &bytes {
            for behind in [0, 1, 63, 64, 1 << 20] {
                read(byte, behind);
            }
        }
        read(&(), 0);
        read(&[0_u64; 100], 0);
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }
}
