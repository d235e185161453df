//! Room that a worker reads requests into and writes replies in, used again and again: what was used last is still in
//! the processor's cache, and taking it costs no allocation.

use std::cell::RefCell;
use std::fmt;

/// Room for a usual request, and for a usual reply.
pub const ROOM: usize = 4096;
/// More than are needed at a time lie nowhere: a worker reads from so many sockets in a turn, and writes to them.
const MOST: usize = 128;

/// The buffers of one worker that nobody uses now. They do not print: what lies in them may have been a token.
#[derive(Default)]
pub struct Buffers {
    spare: RefCell<Vec<Vec<u8>>>,
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("spare", &self.spare.borrow().len()).finish()
    }
}

impl Buffers {
    /// An empty buffer with room for [`ROOM`] bytes: the one that was given back last.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(ROOM))
    }

    /// Keeps a buffer for the next who asks; one that has grown is not kept.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if buffer.capacity() == ROOM && spare.len() < MOST {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_last_is_taken_first_and_is_empty() {
        let buffers = Buffers::default();
        let (one, mut other) = (buffers.take(), buffers.take());
        other.extend_from_slice(b"a token");
        let address = other.as_ptr();
        buffers.give_back(one);
        buffers.give_back(other);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (address, 0, ROOM));
    }

    #[test]
    fn neither_grown_buffers_nor_too_many_are_kept() {
        let buffers = Buffers::default();
        buffers.give_back(Vec::with_capacity(ROOM + 1));
        buffers.give_back(Vec::new());
        assert_eq!(buffers.spare.borrow().len(), 0);
        let taken: Vec<_> = (0..=MOST).map(|_| buffers.take()).collect();
        for buffer in taken {
            buffers.give_back(buffer);
        }
        assert_eq!(buffers.spare.borrow().len(), MOST);
    }

    #[test]
    fn t223_what_lies_in_them_does_not_print() {
        let buffers = Buffers::default();
        buffers.give_back(Vec::with_capacity(ROOM));
        assert_eq!(format!("{buffers:?}"), "Buffers { spare: 1 }");
    }
}
