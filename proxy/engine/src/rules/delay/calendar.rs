//! A priority queue of things due in the near future: a calendar queue (Brown, CACM 1988).
//!
//! The time ahead is divided into slots, each an unsorted list; a list is sorted when its turn
//! comes. So the cost per entry does not grow with the number of entries, where a binary heap's
//! cache misses make it ten times slower at a million. Entries due later than the last slot wait in
//! a heap. A small queue has no slots; a large one has so many that a few entries share one, and so
//! wide ones that most entries have a slot.

use super::slots::{Entry, Slots};
use jostle_common::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// log2 of a slot's width in nanoseconds: at first, at least and at most.
const WIDTH_BITS: u32 = 14;
const WIDTH_BITS_MIN: u32 = 4;
const WIDTH_BITS_MAX: u32 = 30;

/// The number of slots of the smallest queue that has any, and the most there are.
const SLOTS_MIN: usize = 64;
const SLOTS_MAX: usize = 1 << 14;

/// From so many entries per slot on there are more slots.
const ENTRIES_PER_SLOT: usize = 16;

/// A heap of so few costs no more than slots would.
const LATE_LEAST: usize = SLOTS_MIN / 2;

/// If more than `LATE_MAX` of the last `PUSHES` entries are due behind the last slot, slots become
/// wider. It is not the size of the heap that counts: what stays there for long does no harm.
const PUSHES: u32 = 256;
const LATE_MAX: u32 = 16;

/// A priority queue of tokens by due time; what is due at the same time leaves in the order in which
/// it came.
#[derive(Debug)]
pub(super) struct Calendar {
    /// The earliest slot that holds anything, sorted so that the next entry is last.
    current: Vec<Key>,
    /// All that were in the current slot when its turn came, and those that came since, in the
    /// order in which they came.
    entries: Vec<Entry>,
    /// The number of the slot of time that `current` is.
    current_slot: u64,
    /// log2 of a slot's width.
    width_bits: u32,
    /// Those behind the current one.
    slots: Slots,
    /// Entries behind the last slot.
    later: BinaryHeap<Reverse<Later>>,
    /// The number of entries that ever came there.
    later_ever: u64,
    len: usize,
    /// The number of entries that came since it was last looked at them, and of those among them
    /// that were due behind the last slot.
    pushes: u32,
    late: u32,
}

/// An entry of the current slot: its offset there in the upper half, its place among them in the
/// lower one.
type Key = u64;

/// An entry of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Later {
    due: Instant,
    /// Those that came before it.
    ordinal: u64,
    token: u32,
}

#[inline]
fn key(entry: Entry, place: usize) -> Key {
    u64::from(entry.offset) << 32 | place as u64
}

impl Calendar {
    pub(super) fn new() -> Self {
        Self {
            current: Vec::new(),
            entries: Vec::new(),
            current_slot: 0,
            width_bits: WIDTH_BITS,
            slots: Slots::new(0),
            later: BinaryHeap::new(),
            later_ever: 0,
            len: 0,
            pushes: 0,
            late: 0,
        }
    }

    /// Returns the time at which the first entry is due.
    #[inline]
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.current.last().map(|key| self.due(*key))
    }

    /// Returns the slot whose turn it is, by its number, and the entries that are in it, or were.
    pub(super) fn current(&self) -> (u64, &[Entry]) {
        (self.current_slot, &self.entries)
    }

    #[inline]
    pub(super) fn push(&mut self, due: Instant, token: u32) {
        let slot = self.slot_of(due);
        let ahead = slot.wrapping_sub(self.current_slot);
        if self.len > 0 && (1..self.slots.count() as u64).contains(&ahead) {
            self.slots.push(slot, Entry { offset: self.offset_of(due), token });
        } else {
            self.push_apart(due, token);
        }
        self.len += 1;
        self.pushes += 1;
        if self.pushes == PUSHES {
            self.consider();
        }
    }

    /// Takes in an entry that is due in the current slot, in front of it or behind the last one.
    #[inline(never)]
    fn push_apart(&mut self, due: Instant, token: u32) {
        let slot = self.slot_of(due);
        if self.len == 0 {
            // The first entry says where the ring begins; the slots are all empty then.
            self.current_slot = slot;
        } else if slot > self.current_slot {
            return self.store_later(due, token);
        } else if slot < self.current_slot {
            self.step_back(slot);
        }
        // Only the slot whose turn it is has an order to keep.
        let key = self.note(due, token);
        let place = self.current.partition_point(|other| *other > key);
        self.current.insert(place, key);
    }

    /// Takes out the first entry, if it is due at or before `now`.
    #[inline]
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, u32)> {
        let due = self.first_due().filter(|due| *due <= now)?;
        let key = self.current.pop()?;
        let token = self.token(key);
        self.len -= 1;
        if self.current.is_empty() {
            self.entries.clear();
            if self.len > 0 {
                self.advance();
            }
        }
        Some((due, token))
    }

    #[inline]
    fn slot_of(&self, due: Instant) -> u64 {
        due.as_nanos() >> self.width_bits
    }

    #[inline]
    fn offset_of(&self, due: Instant) -> u32 {
        // A slot is less than 2^32 nanoseconds wide.
        due.as_nanos() as u32 & ((1 << self.width_bits) - 1)
    }

    /// Returns when an entry of the current slot is due.
    #[inline]
    fn due(&self, key: Key) -> Instant {
        Instant::from_nanos((self.current_slot << self.width_bits) + (key >> 32))
    }

    #[inline]
    fn token(&self, key: Key) -> u32 {
        self.entries[key as u32 as usize].token
    }

    /// Adds an entry to those of the current slot; its key is not there yet.
    #[inline]
    fn note(&mut self, due: Instant, token: u32) -> Key {
        let entry = Entry { offset: self.offset_of(due), token };
        self.entries.push(entry);
        key(entry, self.entries.len() - 1)
    }

    /// Puts an entry into a slot behind the current one.
    #[inline]
    fn store(&mut self, due: Instant, token: u32) {
        let slot = self.slot_of(due);
        if slot - self.current_slot < self.slots.count() as u64 {
            self.slots.push(slot, Entry { offset: self.offset_of(due), token });
        } else {
            self.store_later(due, token);
        }
    }

    fn store_later(&mut self, due: Instant, token: u32) {
        self.later.push(Reverse(Later { due, ordinal: self.later_ever, token }));
        self.later_ever += 1;
        self.late += 1;
    }

    /// Finds out whether other slots would serve better, after so many entries came.
    #[inline(never)]
    fn consider(&mut self) {
        let late = std::mem::take(&mut self.late);
        self.pushes = 0;
        let (count, width_bits) = (self.slots.count(), self.width_bits);
        if late > LATE_MAX && self.later.len() > LATE_LEAST {
            if count == 0 {
                self.rebuild(SLOTS_MIN, width_bits);
            } else if width_bits < WIDTH_BITS_MAX {
                self.rebuild(count, width_bits + 2);
            }
        } else if self.len > count * ENTRIES_PER_SLOT
            && (1..SLOTS_MAX).contains(&count)
            && width_bits > WIDTH_BITS_MIN
        {
            // They cover the same time.
            self.rebuild(count * 4, width_bits - 2);
        }
    }

    /// Makes the next slot that holds anything the current one, which is empty.
    fn advance(&mut self) {
        let next_slot = self.slots.next_occupied(self.current_slot);
        let next_later = self.later.peek().map(|Reverse(first)| self.slot_of(first.due));
        let next = match (next_slot, next_later) {
            (Some(slot), Some(later)) => slot.min(later),
            (slot, later) => slot.or(later).expect("entries are in the slots or in the heap"),
        };
        self.current_slot = next;
        if next_slot == Some(next) {
            self.open(next);
        }
        // The ring has turned, so the nearest entries of the heap fit into it now. What is within
        // its span is never in the heap, so they stay in front of those that are yet to come.
        let end = next + self.slots.count().max(1) as u64;
        while let Some(Reverse(first)) = self.later.peek().copied()
            && self.slot_of(first.due) < end
        {
            self.later.pop();
            self.place(first.due, first.token);
        }
        self.sort();
    }

    /// Takes the entries of a slot to be those of the current one, which has none.
    #[inline]
    fn open(&mut self, slot: u64) {
        self.slots.take(slot, &mut self.entries);
        let keys = self.entries.iter().enumerate().map(|(place, entry)| key(*entry, place));
        self.current.extend(keys);
    }

    /// Puts an entry where it belongs; the current slot is sorted later.
    fn place(&mut self, due: Instant, token: u32) {
        if self.slot_of(due) == self.current_slot {
            let key = self.note(due, token);
            self.current.push(key);
        } else {
            self.store(due, token);
        }
    }

    #[inline]
    fn sort(&mut self) {
        self.current.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Makes room for an entry in front of the current slot: what no longer fits into the slots'
    /// span goes to the heap.
    fn step_back(&mut self, slot: u64) {
        let span = self.slots.count() as u64;
        let old = self.current_slot;
        self.move_current(slot);
        // Slots whose distance from the new current one reaches the span are those that would alias
        // it or those in front of it. The old current one is in its place already.
        let mut before = old.max((slot + span).saturating_sub(1));
        while let Some(number) = self.slots.next_occupied(before)
            && number < old + span
        {
            self.current_slot = number;
            self.open(number);
            self.sort();
            self.move_current(slot);
            before = number;
        }
        self.current_slot = slot;
    }

    /// Puts the entries of the current slot where they belong when it is `slot`'s turn.
    fn move_current(&mut self, slot: u64) {
        let from = self.current_slot;
        // In the order in which they would leave: of the same time they stay in it.
        while let Some(key) = self.current.pop() {
            let (due, token) = (self.due(key), self.token(key));
            self.current_slot = slot;
            self.store(due, token);
            self.current_slot = from;
        }
        self.entries.clear();
    }

    /// Makes so many slots of this width.
    fn rebuild(&mut self, count: usize, width_bits: u32) {
        // In the order in which they would leave: of the same time they stay in it.
        let mut all = Vec::with_capacity(self.len);
        let mut slot = Some(self.current_slot);
        self.sort();
        while let Some(number) = slot {
            self.current_slot = number;
            while let Some(key) = self.current.pop() {
                all.push((self.due(key), self.token(key)));
            }
            self.entries.clear();
            slot = self.slots.next_occupied(number);
            if let Some(next) = slot {
                self.open(next);
                self.sort();
            }
        }
        let later = std::mem::take(&mut self.later).into_sorted_vec().into_iter().rev();
        all.extend(later.map(|Reverse(one)| (one.due, one.token)));
        (self.slots, self.width_bits) = (Slots::new(count), width_bits);
        self.current_slot = all.first().map_or(0, |(due, _)| self.slot_of(*due));
        all.into_iter().for_each(|(due, token)| self.place(due, token));
        self.sort();
        (self.pushes, self.late) = (0, 0);
    }
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
        PopMany(u16),
    }

    /// Calls that fill a calendar and empty it again, with times near and far and often the same: so
    /// slots, steps back, the heap and all sizes take part.
    fn calls() -> impl Strategy<Value = Vec<Call>> {
        let due = || {
            prop_oneof![
                4 => 0u64..100_000,
                4 => 0u64..3_000_000_000,
                2 => (0u64..40).prop_map(|step| step * 1_000_000),
                1 => (0u64..40).prop_map(|step| (step / 2) << (step % 40)),
                1 => Just(u64::MAX),
            ]
        };
        let push = || due().prop_map(Call::Push);
        let fill = proptest::collection::vec(push(), 0..1500);
        let call = prop_oneof![
            30 => push(),
            20 => due().prop_map(Call::Pop),
            1 => (0u16..700).prop_map(Call::PopMany),
        ];
        (fill, proptest::collection::vec(call, 0..1500))
            .prop_map(|(fill, calls)| fill.into_iter().chain(calls).collect())
    }

    /// A calendar beside a heap that does the same.
    #[derive(Default)]
    struct Both {
        calendar: Option<Calendar>,
        model: BinaryHeap<Reverse<(Instant, u32)>>,
        pushes: u32,
    }

    impl Both {
        fn push(&mut self, due: u64) {
            let due = Instant::from_nanos(due);
            self.calendar.get_or_insert_with(Calendar::new).push(due, self.pushes);
            self.model.push(Reverse((due, self.pushes)));
            self.pushes += 1;
        }

        /// Takes out what is due by `now`; returns true if there was something.
        fn pop(&mut self, now: u64) -> bool {
            let now = Instant::from_nanos(now);
            let expected = self.model.peek().filter(|first| first.0.0 <= now).copied();
            if expected.is_some() {
                self.model.pop();
            }
            let calendar = self.calendar.get_or_insert_with(Calendar::new);
            assert_eq!(calendar.pop(now), expected.map(|Reverse(first)| first));
            assert_eq!(calendar.first_due(), self.model.peek().map(|first| first.0.0));
            assert_eq!(calendar.len, self.model.len());
            expected.is_some()
        }
    }

    proptest! {
        #[test]
        fn it_is_a_priority_queue_that_keeps_the_order_of_arrival(calls in calls()) {
            let mut both = Both::default();
            for call in calls {
                match call {
                    Call::Push(due) => both.push(due),
                    Call::Pop(now) => {
                        both.pop(now);
                    }
                    Call::PopMany(count) => {
                        (0..count).for_each(|_| {
                            both.pop(u64::MAX);
                        });
                    }
                }
            }
            while both.pop(u64::MAX) {}
        }
    }

    /// Each packet is delayed by 50 ms ± so much: as many come as go, in all sizes.
    #[test]
    fn a_stream_of_packets_comes_out_in_order() {
        for (gap, spread, count) in [
            (5_000_000, 20_000_000, 2_000),
            (50_000, 10_000_000, 20_000),
            (500, 50_000_000, 400_000),
        ] {
            let mut both = Both::default();
            for number in 0..count {
                let now = u64::from(number) * gap;
                while both.pop(now) {}
                let random = philox4x32([number, 0, 0, 0], [1, 2]);
                let jitter = below(u64::from(random[0]) << 32, 2 * spread);
                both.push(now + 50_000_000 - spread + jitter);
            }
            let calendar = both.calendar.as_ref().expect("it was used");
            let is_large = calendar.len > 100 * LATE_LEAST;
            assert_eq!(calendar.slots.count() == SLOTS_MAX, is_large, "{calendar:?}");
            // Nearly all have a slot.
            assert!(calendar.later.len() <= LATE_LEAST.max(calendar.len / 8));
            while both.pop(u64::MAX) {}
        }
    }
}
