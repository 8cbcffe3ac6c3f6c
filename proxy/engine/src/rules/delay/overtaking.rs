//! The packets inside a delay that may overtake each other.

use super::calendar::Calendar;
use crate::packet::Packet;
use jostle_common::time::Instant;
use std::hint::black_box;

/// So many packets are more than the caches near a processor hold.
const COLD_MIN: usize = 8192;

/// A place for a packet: one line of the cache, not parts of two.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place(Option<Packet>);

const _: () = assert!(size_of::<Place>() == 64);

/// Packets that leave at due times of their own; those of one time leave in order of arrival.
///
/// A packet stays where it was written until it leaves: the calendar orders indices, which are an
/// eighth as large.
#[derive(Debug)]
pub(super) struct Overtaking {
    /// Each packet's `at` is its due time.
    places: Vec<Place>,
    /// The places that are free. The last one was left last, so it is still in the cache.
    free: Vec<u32>,
    order: Calendar,
}

impl Overtaking {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), order: Calendar::new() }
    }

    /// Takes in a packet that is due to leave at `due`.
    #[inline]
    pub(super) fn push(&mut self, packet: Packet, due: Instant) {
        let index = self.free.pop().unwrap_or_else(|| self.more_places());
        // Written where it stands: a packet that is changed and then moved stalls the processor.
        self.places[index as usize].0.insert(packet).at = due;
        self.order.push(due, index);
    }

    /// Takes out the next packet, if it is due at or before `now`.
    #[inline]
    pub(super) fn pop(&mut self, now: Instant) -> Option<Packet> {
        let (slot, _) = self.order.current();
        let (_, index) = self.order.pop(now)?;
        self.free.push(index);
        if self.places.len() >= COLD_MIN {
            self.warm(slot);
        }
        self.places[index as usize].0.take()
    }

    /// Returns the time at which the next packet is due.
    #[inline]
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.order.first_due()
    }

    /// Makes more places, as many as there are, and returns one.
    fn more_places(&mut self) -> u32 {
        let first = self.places.len();
        let count = (2 * first).max(4);
        self.places.resize_with(count, Place::default);
        self.free.reserve(count);
        self.free.extend((first as u32 + 1..count as u32).rev());
        first as u32
    }

    /// Reads the packets whose turn comes with a slot that is not `before` any more. One by one
    /// each of them would be waited for; read together they come at the same time.
    #[inline]
    fn warm(&self, before: u64) {
        let (slot, entries) = self.order.current();
        if slot != before {
            let packet = |index: u32| self.places[index as usize].0.as_ref();
            let times = entries.iter().filter_map(|entry| packet(entry.token));
            black_box(times.fold(0, |sum, packet| sum ^ packet.at.as_nanos()));
        }
    }
}
