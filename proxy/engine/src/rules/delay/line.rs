//! The packets inside a delay, and the order in which they leave.

use super::calendar::{Calendar, Due};
use crate::packet::Packet;
use crate::stage::Output;
use jostle_common::time::Instant;
use std::cmp::{Ordering, Reverse};
use std::collections::VecDeque;

/// From so many packets on sorting keys pays for its allocation.
const KEYED_MIN: usize = 16;

/// The packets inside.
#[derive(Debug)]
pub(super) enum Line {
    /// Every delay is the same: first in, first out; a packet's `at` is its due time.
    Constant(VecDeque<Packet>),
    /// Jitter with order kept: packets in order of arrival, and the due times they will take in
    /// turn.
    Ordered(VecDeque<Packet>, Calendar<Instant>),
    /// Jitter that may reorder: a packet's `at` is its due time.
    Free(Calendar<Timed>, u64),
}

/// A packet that leaves at its own due time; ties leave in order of arrival.
#[derive(Debug)]
pub(super) struct Timed {
    packet: Packet,
    arrival: u64,
}

impl Due for Timed {
    fn due(&self) -> Instant {
        self.packet.at
    }

    fn sort_backwards(entries: &mut [Self]) {
        // Packets are large: of many, keys are sorted, and each packet is moved once.
        if entries.len() > KEYED_MIN {
            entries.sort_by_cached_key(|timed| Reverse((timed.packet.at, timed.arrival)));
        } else {
            entries.sort_unstable_by(|a, b| b.cmp(a));
        }
    }
}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.packet.at, self.arrival).cmp(&(other.packet.at, other.arrival))
    }
}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timed {}

impl Line {
    /// Creates a line for packets whose delays are all the same if `is_constant`, and which may
    /// overtake each other if `reorder`.
    pub(super) fn new(is_constant: bool, reorder: bool) -> Self {
        if is_constant {
            Self::Constant(VecDeque::new())
        } else if reorder {
            Self::Free(Calendar::new(), 0)
        } else {
            Self::Ordered(VecDeque::new(), Calendar::new())
        }
    }

    /// Returns true if every delay is the same.
    pub(super) const fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// Returns true if a packet may leave before one that came earlier.
    pub(super) const fn may_overtake(&self) -> bool {
        matches!(self, Self::Free(..))
    }

    /// Takes in a packet that is due to leave at `due`.
    #[inline]
    pub(super) fn push(&mut self, packet: Packet, due: Instant) {
        match self {
            Self::Constant(packets) => {
                // Written where it stands: a packet that is changed and then moved stalls the
                // processor.
                packets.push_back(packet);
                packets.back_mut().expect("it was just pushed").at = due;
            }
            Self::Ordered(packets, dues) => {
                dues.push(due);
                packets.push_back(packet);
            }
            Self::Free(packets, arrivals) => {
                *arrivals += 1;
                packets.push(Timed { packet: packet.moved_to(due), arrival: *arrivals });
            }
        }
    }

    /// Takes out the next packet, if it is due at or before `now`; its `at` says when.
    #[inline]
    pub(super) fn pop(&mut self, now: Instant) -> Option<Output> {
        match self {
            Self::Constant(packets) => {
                packets.pop_front_if(|packet| packet.at <= now).map(Output::Deliver)
            }
            Self::Ordered(packets, dues) => {
                let at = dues.pop(now)?;
                // Written where it comes to stand, as above.
                let mut output = packets.pop_front().map(Output::Deliver);
                output.as_mut().expect("there is a due time for each packet").packet_mut().at = at;
                output
            }
            Self::Free(packets, _) => packets.pop(now).map(|timed| Output::Deliver(timed.packet)),
        }
    }

    /// Returns the time at which the next packet is due.
    #[inline]
    pub(super) fn first_due(&self) -> Option<Instant> {
        match self {
            Self::Constant(packets) => packets.front().map(|packet| packet.at),
            Self::Ordered(_, dues) => dues.first_due(),
            Self::Free(packets, _) => packets.first_due(),
        }
    }

    /// Takes out everything in the order in which it would leave, each packet's `at` its due time.
    pub(super) fn take(&mut self) -> Vec<Packet> {
        let all = std::iter::from_fn(|| self.pop(Instant::from_nanos(u64::MAX)));
        all.map(Output::into_packet).collect()
    }
}
