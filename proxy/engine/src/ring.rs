//! Packets in the order in which they came, in a ring of places.
//!
//! A packet is moved into its place and out of it and nowhere else, and the number of places is a
//! power of two: where a place is takes no comparison.

use crate::packet::Packet;

/// The fewest places of a ring that has any.
const PLACES_MIN: usize = 4;

/// A queue of packets, first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// In those that are free lie marks that nobody sends.
    places: Vec<Packet>,
    /// Counts on with each packet that leaves: the place of the first one, all rounds included.
    first: usize,
    len: usize,
}

impl Ring {
    #[inline(always)]
    const fn place(&self, nth: usize) -> usize {
        self.first.wrapping_add(nth) & self.places.len().wrapping_sub(1)
    }

    /// Returns the packet at the front.
    #[inline(always)]
    pub(crate) fn front(&self) -> Option<&Packet> {
        self.nth(0)
    }

    /// Returns the packet behind so many others.
    #[inline(always)]
    pub(crate) fn nth(&self, nth: usize) -> Option<&Packet> {
        if nth < self.len { self.places.get(self.place(nth)) } else { None }
    }

    /// Takes a packet out of where it is and puts it in behind all others; returns it, to change it
    /// where it then lies.
    #[inline(always)]
    pub(crate) fn push(&mut self, packet: &mut Packet) -> &mut Packet {
        if self.len == self.places.len() {
            self.grow();
        }
        let place = self.place(self.len);
        self.len += 1;
        let place = &mut self.places[place];
        std::mem::swap(place, packet);
        place
    }

    /// Takes the packet at the front out.
    ///
    /// # Panics
    /// When there is none.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Packet {
        assert!(self.len > 0, "who asks for a packet has seen one");
        let place = self.place(0);
        self.first = self.first.wrapping_add(1);
        self.len -= 1;
        self.places[place].take()
    }

    /// Makes twice as many places of a ring that is full.
    #[cold]
    fn grow(&mut self) {
        if self.len > 0 {
            let first = self.place(0);
            self.places.rotate_left(first);
        }
        self.first = 0;
        self.places.resize_with((2 * self.len).max(PLACES_MIN), Packet::vacant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use jostle_common::time::Instant;
    use std::collections::VecDeque;

    fn numbered(number: u64) -> Packet {
        Packet { number, ..Packet::new(1, Instant::START, Body::data("x")) }
    }

    /// Whatever it is asked for in which order: it does as the queue of the standard library.
    #[test]
    fn packets_leave_in_the_order_in_which_they_came() {
        let (mut ring, mut queue) = (Ring::default(), VecDeque::new());
        let mut seen = 0;
        for step in 0..10_000_u64 {
            // Fuller and emptier in turns, by more than any power of two on the way.
            let fills = step / 300 % 2 == 0;
            if step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62 != u64::from(fills) * 3 {
                let was_empty = queue.is_empty();
                if fills {
                    let mut packet = numbered(step);
                    ring.push(&mut packet).at = Instant::from_nanos(step);
                    queue.push_back(Packet { at: Instant::from_nanos(step), ..numbered(step) });
                    assert!(packet.is_mark(), "it was taken out of its place");
                } else if !was_empty {
                    assert_eq!(Some(ring.pop()), queue.pop_front());
                    seen += 1;
                }
            }
            assert_eq!((ring.front(), ring.nth(1)), (queue.front(), queue.get(1)));
            assert_eq!(ring.nth(queue.len()), None);
        }
        assert!(seen > 1000, "{seen}");
    }
}
