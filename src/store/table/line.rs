//! A line of the processor's cache with seven places, and a word that says what stands in them.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwapAny, Guard, RefCnt};

/// What is left of 64 bytes beside the tags.
const PLACES: usize = 7;
/// One in every byte.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
/// The highest bit of the byte of every place.
const HIGHEST: u64 = 0x0080_8080_8080_8080;
/// One passing, in the byte behind those of the places.
const PASSING: u64 = 1 << (8 * PLACES);

/// What stood at a place when it was looked at.
pub type Seen<T> = Guard<Option<T>>;

/// Entries and their tags.
#[repr(align(64))]
pub struct Line<T: RefCnt> {
    tags: AtomicU64,
    places: [ArcSwapAny<Option<T>>; PLACES],
}

const _: () = assert!(size_of::<Line<std::sync::Arc<()>>>() == 64 || size_of::<usize>() != 8, "a line is one line");

impl<T: RefCnt> Default for Line<T> {
    fn default() -> Self {
        Self { tags: AtomicU64::default(), places: array::from_fn(|_| ArcSwapAny::new(None)) }
    }
}

impl<T: RefCnt> Line<T> {
    /// What it says of its places.
    pub fn tags(&self) -> Tags {
        Tags(self.tags.load(Ordering::Acquire))
    }

    /// What stands at a place.
    pub fn see(&self, place: usize) -> Option<Seen<T>> {
        self.places.get(place).map(ArcSwapAny::load)
    }

    /// All that stands here.
    pub fn entries(&self) -> impl Iterator<Item = T> {
        self.places.iter().filter_map(ArcSwapAny::load_full)
    }

    /// An empty place.
    pub fn vacancy(&self) -> Option<usize> {
        self.tags().places(0).next()
    }

    /// Puts an entry at an empty place.
    pub fn fill(&self, place: usize, tag: u8, entry: T) {
        self.replace(place, Some(entry));
        self.set(self.tags().with(place, tag));
    }

    /// Puts another entry of the same key, or nothing, in the place of one.
    pub fn replace(&self, place: usize, entry: Option<T>) {
        if let Some(place) = self.places.get(place) {
            place.store(entry);
        }
    }

    /// Empties a place.
    pub fn clear(&self, place: usize) {
        self.set(self.tags().with(place, 0));
        self.replace(place, None);
    }

    /// Notes that an entry had to go on to a later line.
    pub fn note_passing(&self) {
        self.set(self.tags().after_passing());
    }

    /// Notes that such an entry is gone.
    pub fn note_return(&self) {
        self.set(self.tags().after_return());
    }

    /// There is one writer at a time.
    fn set(&self, tags: Tags) {
        self.tags.store(tags.0, Ordering::Release);
    }
}

/// From the lowest byte: the tag of each place, then how many entries had to go on to a later line.
#[derive(Clone, Copy, Default)]
pub struct Tags(u64);

impl Tags {
    /// The places of this tag, and seldom another besides.
    pub const fn places(self, tag: u8) -> Places {
        let differing = self.0 ^ (tag as u64 * ONES);
        // The highest bit of every byte that is zero; and of one that is one, where the byte below is zero.
        Places(differing.wrapping_sub(ONES) & !differing & HIGHEST)
    }

    /// Whether entries had to go on.
    pub const fn is_passed(self) -> bool {
        self.0 >= PASSING
    }

    const fn with(self, place: usize, tag: u8) -> Self {
        let at = 8 * place;
        Self(self.0 & !(0xFF << at) | (tag as u64) << at)
    }

    /// A line that 255 have passed counts no more, and stays passed.
    const fn is_uncounted(self) -> bool {
        self.0 >= PASSING * 0xFF
    }

    const fn after_passing(self) -> Self {
        if self.is_uncounted() { self } else { Self(self.0 + PASSING) }
    }

    const fn after_return(self) -> Self {
        if self.is_passed() && !self.is_uncounted() { Self(self.0 - PASSING) } else { self }
    }
}

/// Some places of a line.
pub struct Places(u64);

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = (self.0 != 0).then(|| self.0.trailing_zeros() as usize / 8);
        self.0 &= self.0.wrapping_sub(1);
        place
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_places_of_a_tag_are_found_and_an_empty_one_first_of_all(tags in any::<[u8; 8]>(), tag in any::<u8>()) {
            let word = Tags(u64::from_le_bytes(tags));
            let of_tag = |tag: u8| (0..PLACES).filter(move |place| tags[*place] == tag);
            let found: Vec<usize> = word.places(tag).collect();
            prop_assert!(of_tag(tag).all(|place| found.contains(&place)));
            prop_assert_eq!(found.first().copied(), of_tag(tag).next());
            prop_assert!(found.iter().all(|place| *place < PLACES));
        }

        #[test]
        fn counting_those_who_pass_leaves_the_tags_alone(tags in any::<[u8; 7]>(), passing in 0..300_u32) {
            let mut word = tags.into_iter().enumerate().fold(Tags::default(), |word, (place, tag)| word.with(place, tag));
            prop_assert!(!word.is_passed() && !word.after_return().is_passed());
            for _ in 0..passing {
                word = word.after_passing();
            }
            prop_assert_eq!(word.is_passed(), passing > 0);
            for _ in 0..passing {
                word = word.after_return();
            }
            prop_assert_eq!(word.is_passed(), passing >= 0xFF, "more than can be counted");
            prop_assert_eq!(word.0.to_le_bytes()[..PLACES].to_vec(), tags.to_vec());
        }
    }
}
