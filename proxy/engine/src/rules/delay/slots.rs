//! The slots of a calendar: a ring of lists, whose entries lie in chunks of one pool.
//!
//! A chunk that a list has left is the next one that is taken, while it is still in the cache. And
//! no list keeps room for as many entries as there were once.

/// An entry: where in its slot it is due, and whose it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// Nanoseconds behind the beginning of the slot.
    pub(super) offset: u32,
    pub(super) token: u32,
}

/// The entries of a chunk: with what it knows of itself four lines of the cache.
const CHUNK_ENTRIES: usize = 30;

/// Several entries of a list, in the order in which they came. Only the last chunk of a list may have
/// room.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Chunk {
    /// The chunk before it in its list, or the next one that is free.
    previous: u32,
    /// The number of entries in the chunks before it.
    before: u32,
    count: u32,
    entries: [Entry; CHUNK_ENTRIES],
}

const _: () = assert!(size_of::<Chunk>() == 256);

/// The number that no chunk has.
const NONE: u32 = u32::MAX;

/// A ring of lists. Slots have numbers that count on; each is in the list of its number modulo the
/// count, which is a power of two.
#[derive(Debug)]
pub(super) struct Slots {
    /// The last chunk of each list.
    last: Vec<u32>,
    /// One bit per list that holds anything: finding the next one reads a word or two.
    occupied: Vec<u64>,
    chunks: Vec<Chunk>,
    free: u32,
}

impl Slots {
    /// Creates so many empty ones: none, or a power of two from 64 on.
    pub(super) fn new(count: usize) -> Self {
        Self {
            last: vec![NONE; count],
            occupied: vec![0; count / 64],
            chunks: Vec::new(),
            free: NONE,
        }
    }

    /// Returns how many there are.
    #[inline]
    pub(super) const fn count(&self) -> usize {
        self.last.len()
    }

    #[inline]
    const fn index(&self, slot: u64) -> usize {
        slot as usize & (self.last.len() - 1)
    }

    /// Puts an entry behind the others of a slot.
    #[inline]
    pub(super) fn push(&mut self, slot: u64, entry: Entry) {
        let index = self.index(slot);
        if let Some(chunk) = self.chunks.get_mut(self.last[index] as usize)
            && let Some(place) = chunk.entries.get_mut(chunk.count as usize)
        {
            *place = entry;
            chunk.count += 1;
        } else {
            self.push_chunk(index, entry);
        }
    }

    /// Begins another chunk of a list with an entry.
    fn push_chunk(&mut self, index: usize, entry: Entry) {
        let previous = self.last[index];
        let before = self.chunks.get(previous as usize).map_or(0, |last| last.before + last.count);
        if self.free == NONE {
            self.free = self.chunks.len() as u32;
            let entries = [Entry::default(); CHUNK_ENTRIES];
            self.chunks.push(Chunk { previous: NONE, before: 0, count: 0, entries });
        }
        let chunk = &mut self.chunks[self.free as usize];
        self.last[index] = std::mem::replace(&mut self.free, chunk.previous);
        (chunk.previous, chunk.before, chunk.count) = (previous, before, 1);
        chunk.entries[0] = entry;
        self.occupied[index / 64] |= 1 << (index % 64);
    }

    /// Takes all entries out of a slot, in the order in which they came, and puts them into
    /// `entries`, which is empty.
    #[inline]
    pub(super) fn take(&mut self, slot: u64, entries: &mut Vec<Entry>) {
        let index = self.index(slot);
        let mut next = std::mem::replace(&mut self.last[index], NONE);
        self.occupied[index / 64] &= !(1 << (index % 64));
        while let Some(chunk) = self.chunks.get_mut(next as usize) {
            let (before, count) = (chunk.before as usize, chunk.count as usize);
            // The last chunk comes first, and knows how many there are in all.
            if entries.is_empty() {
                entries.resize(before + count, Entry::default());
            }
            let places = entries.iter_mut().skip(before);
            places.zip(&chunk.entries[..count]).for_each(|(place, entry)| *place = *entry);
            let previous = std::mem::replace(&mut chunk.previous, self.free);
            self.free = std::mem::replace(&mut next, previous);
        }
    }

    /// Returns the number of the first slot behind `slot` that holds anything.
    pub(super) fn next_occupied(&self, slot: u64) -> Option<u64> {
        if self.last.is_empty() {
            return None;
        }
        let first = slot + 1;
        let start = self.index(first);
        let bits = self.occupied[start / 64] >> (start % 64);
        if bits != 0 {
            return Some(first + u64::from(bits.trailing_zeros()));
        }
        // The slots behind `start`'s word, around the ring and into the front of that word again.
        let words = self.occupied.len();
        (1..=words).find_map(|step| {
            let bits = self.occupied[(start / 64 + step) & (words - 1)];
            let distance = step * 64 - start % 64 + bits.trailing_zeros() as usize;
            (bits != 0 && distance < self.last.len()).then(|| first + distance as u64)
        })
    }
}
