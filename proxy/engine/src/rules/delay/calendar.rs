//! A priority queue of things due in the near future: a flat calendar queue (Brown, CACM 1988).
//!
//! The next second is divided into slots of 16.4 µs, each an unsorted list; a list is sorted when
//! its turn comes. So the cost per entry does not grow with the number of entries, where a binary
//! heap's cache misses make it ten times slower at a million. Entries due later than the last slot
//! wait in a heap. A small queue has few slots, and more as the heap fills.

use jostle_common::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An entry that a calendar can hold: ordered by its due time first.
pub(super) trait Due: Ord + Sized {
    fn due(&self) -> Instant;

    /// Sorts entries, the last one first.
    fn sort_backwards(entries: &mut [Self]) {
        entries.sort_unstable_by(|a, b| b.cmp(a));
    }
}

impl Due for Instant {
    fn due(&self) -> Instant {
        *self
    }
}

/// log2 of a slot's width in nanoseconds.
const SLOT_BITS: u32 = 14;
/// The room of a new list: where few entries come together it never grows.
const LIST_MIN: usize = 8;
const SLOTS_MIN: usize = 64;
const SLOTS_MAX: usize = 1 << 16;
/// The number of slots that an entry in the heap is worth: the heap costs several times what a slot
/// does.
const SLOTS_PER_LATE: usize = 8;

/// A priority queue by due time; equal times leave in the order of `Ord`.
#[derive(Debug)]
pub(super) struct Calendar<T> {
    /// The earliest slot that holds anything, sorted so that the next entry is last.
    current: Vec<T>,
    /// The number of the slot of time that `current` is.
    current_slot: u64,
    /// Slots `current_slot + 1 ..`, at their number modulo the count.
    slots: Vec<Vec<T>>,
    /// One bit per slot that holds anything, and one per word of such bits: finding the next slot
    /// reads two words.
    occupied: Vec<u64>,
    /// Empty lists for slots to come: there are as many as slots that held something at once.
    spare: Vec<Vec<T>>,
    /// The number of lists that were made.
    lists: usize,
    /// Entries behind the last slot.
    later: BinaryHeap<Reverse<T>>,
    len: usize,
}

impl<T: Due> Calendar<T> {
    pub(super) fn new() -> Self {
        Self {
            current: Vec::new(),
            current_slot: 0,
            slots: Vec::new(),
            occupied: Vec::new(),
            spare: Vec::new(),
            lists: 0,
            later: BinaryHeap::new(),
            len: 0,
        }
    }

    #[cfg(test)]
    const fn len(&self) -> usize {
        self.len
    }

    /// Returns the time at which the first entry is due.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.current.last().map(Due::due)
    }

    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        let slot = slot_of(&entry);
        self.len += 1;
        if self.len == 1 {
            // The first entry says where the ring begins; the slots are all empty then.
            self.current_slot = slot;
            if self.current.capacity() == 0 {
                self.current = self.empty_list();
            }
            self.current.push(entry);
        } else if slot == self.current_slot {
            // Only the slot whose turn it is has an order to keep.
            let place = self.current.partition_point(|other| *other > entry);
            self.current.insert(place, entry);
        } else if slot < self.current_slot {
            self.step_back(slot);
            self.current.push(entry);
        } else {
            self.store(slot, entry);
        }
    }

    /// Takes out the first entry, if it is due at or before `now`.
    #[inline]
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        if self.first_due()? > now {
            return None;
        }
        let entry = self.current.pop();
        self.len -= 1;
        if self.current.is_empty() && self.len > 0 {
            self.advance();
        }
        entry
    }

    /// Puts an entry into a slot behind the current one.
    #[inline]
    fn store(&mut self, slot: u64, entry: T) {
        if slot - self.current_slot < self.slots.len() as u64 {
            let index = self.index(slot);
            if self.slots[index].capacity() == 0 {
                self.slots[index] = self.empty_list();
            }
            self.slots[index].push(entry);
            self.occupied[index / 64] |= 1 << (index % 64);
        } else {
            self.later.push(Reverse(entry));
            // A heap this large costs more per entry than a longer ring would.
            if self.later.len() > (self.slots.len() / SLOTS_PER_LATE).max(SLOTS_MIN / 2)
                && self.slots.len() < SLOTS_MAX
            {
                self.grow();
            }
        }
    }

    /// Returns a list for a slot. They are made many at a time, so that a queue which has long been as
    /// full as it gets makes no more.
    fn empty_list(&mut self) -> Vec<T> {
        if self.spare.is_empty() {
            let more = self.lists.max(SLOTS_MIN / 4);
            self.lists += more;
            self.spare.reserve(self.lists);
            self.spare.extend((0..more).map(|_| Vec::with_capacity(LIST_MIN)));
        }
        self.spare.pop().unwrap_or_default()
    }

    fn index(&self, slot: u64) -> usize {
        // The number of slots is a power of two.
        slot as usize & (self.slots.len() - 1)
    }

    /// Makes room for an entry in front of the current slot: what no longer fits into the slots'
    /// span goes to the heap.
    fn step_back(&mut self, slot: u64) {
        let span = self.slots.len() as u64;
        let old = std::mem::replace(&mut self.current_slot, slot);
        // Slots whose distance from the new current one reaches the span are those that would alias
        // it or those in front of it.
        let mut displaced = std::mem::take(&mut self.current);
        if span > 0 {
            for number in old.max(slot.saturating_add(span))..old.saturating_add(span) {
                let index = self.index(number);
                if self.occupied[index / 64] & (1 << (index % 64)) != 0 {
                    displaced.append(&mut self.slots[index]);
                    self.occupied[index / 64] &= !(1 << (index % 64));
                }
            }
        }
        for entry in displaced {
            self.store(slot_of(&entry), entry);
        }
    }

    /// Makes the next slot that holds anything the current one.
    fn advance(&mut self) {
        let next_slot = self.next_occupied();
        let next_later = self.later.peek().map(|Reverse(entry)| slot_of(entry));
        let next = match (next_slot, next_later) {
            (Some(slot), Some(later)) => slot.min(later),
            (slot, later) => slot.or(later).expect("entries are in the slots or in the heap"),
        };
        self.current_slot = next;
        // The empty list of the old current slot serves another one later: no allocation.
        if next_slot == Some(next) {
            let index = self.index(next);
            let entries = std::mem::take(&mut self.slots[index]);
            let emptied = std::mem::replace(&mut self.current, entries);
            if emptied.capacity() > 0 {
                self.spare.push(emptied);
            }
            self.occupied[index / 64] &= !(1 << (index % 64));
        }
        // The ring has turned, so the nearest entries of the heap fit into it now. Entries of the
        // new current slot itself join it before it is sorted, once.
        let end = next + self.slots.len().max(1) as u64;
        while self.later.peek().is_some_and(|Reverse(entry)| slot_of(entry) < end) {
            let Reverse(entry) = self.later.pop().expect("it was just looked at");
            let slot = slot_of(&entry);
            if slot == next {
                self.current.push(entry);
            } else {
                self.store(slot, entry);
            }
        }
        T::sort_backwards(&mut self.current);
    }

    /// Returns the number of the first slot behind the current one that holds anything.
    fn next_occupied(&self) -> Option<u64> {
        if self.slots.is_empty() {
            return None;
        }
        let start = self.index(self.current_slot + 1);
        let words = self.occupied.len();
        let first = self.occupied[start / 64] >> (start % 64);
        if first != 0 {
            return Some(self.current_slot + 1 + u64::from(first.trailing_zeros()));
        }
        // The slots behind `start`'s word, around the ring and into the front of that word again.
        (1..=words).find_map(|step| {
            let word = (start / 64 + step) % words;
            let bits = self.occupied[word];
            let distance = step * 64 - start % 64 + bits.trailing_zeros() as usize;
            (bits != 0 && distance < self.slots.len())
                .then(|| self.current_slot + 1 + distance as u64)
        })
    }

    /// Quadruples the slots and takes from the heap what fits.
    fn grow(&mut self) {
        // An entry's place is its number modulo the count, so all places change.
        let entries: Vec<T> = self.slots.iter_mut().flat_map(std::mem::take).collect();
        let later = std::mem::take(&mut self.later);
        let count = (self.slots.len() * 4).clamp(SLOTS_MIN, SLOTS_MAX);
        self.slots.resize_with(count, Vec::new);
        self.occupied = vec![0; count / 64];
        for entry in entries.into_iter().chain(later.into_iter().map(|Reverse(entry)| entry)) {
            let slot = slot_of(&entry);
            if slot - self.current_slot < count as u64 {
                let index = self.index(slot);
                self.slots[index].push(entry);
                self.occupied[index / 64] |= 1 << (index % 64);
            } else {
                self.later.push(Reverse(entry));
            }
        }
    }
}

fn slot_of<T: Due>(entry: &T) -> u64 {
    entry.due().as_nanos() >> SLOT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::below;
    use jostle_common::philox::philox4x32;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Call {
        Push(u64),
        Pop(u64),
    }

    fn call() -> impl Strategy<Value = Call> {
        // Near and far in time, so that slots, steps back and the heap all take part.
        let due = prop_oneof![0u64..100_000, 0u64..3_000_000_000, Just(u64::MAX)];
        prop_oneof![3 => due.clone().prop_map(Call::Push), 2 => due.prop_map(Call::Pop)]
    }

    proptest! {
        #[test]
        fn it_is_a_priority_queue(calls in proptest::collection::vec(call(), 0..800)) {
            let mut calendar = Calendar::new();
            let mut model = BinaryHeap::new();
            for call in calls {
                match call {
                    Call::Push(due) => {
                        calendar.push(Instant::from_nanos(due));
                        model.push(Reverse(Instant::from_nanos(due)));
                    }
                    Call::Pop(now) => {
                        let now = Instant::from_nanos(now);
                        let expected = model.peek().filter(|first| first.0 <= now).copied();
                        if expected.is_some() {
                            model.pop();
                        }
                        prop_assert_eq!(calendar.pop(now), expected.map(|Reverse(due)| due));
                    }
                }
                prop_assert_eq!(calendar.first_due(), model.peek().map(|first| first.0));
                prop_assert_eq!(calendar.len(), model.len());
            }
        }
    }

    #[test]
    fn a_hundred_thousand_entries_come_out_sorted() {
        let mut calendar = Calendar::new();
        let dues = (0..100_000u32)
            .map(|n| below(u64::from(philox4x32([n, 0, 0, 0], [1, 2])[0]) << 32, 1_500_000_000));
        let mut expected: Vec<Instant> = dues.map(Instant::from_nanos).collect();
        expected.iter().for_each(|due| calendar.push(*due));
        expected.sort_unstable();
        assert_eq!(
            std::iter::from_fn(|| calendar.pop(Instant::from_nanos(u64::MAX))).collect::<Vec<_>>(),
            expected
        );
    }
}
