//! The packets inside a delay, and the order in which they leave.

use super::calendar::Calendar;
use super::overtaking::Overtaking;
use crate::packet::Packet;
use crate::stage::Output;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// The packets inside.
#[derive(Debug)]
pub(super) enum Line {
    /// Every delay is the same: first in, first out; a packet's `at` is its due time.
    Constant(VecDeque<Packet>),
    /// Jitter with order kept: packets in order of arrival, and the due times they will take in
    /// turn.
    Ordered(VecDeque<Packet>, Calendar),
    /// Jitter that may reorder: a packet's `at` is its due time.
    Free(Overtaking),
}

impl Line {
    /// Creates a line for packets whose delays are all the same if `is_constant`, and which may
    /// overtake each other if `reorder`.
    pub(super) fn new(is_constant: bool, reorder: bool) -> Self {
        if is_constant {
            Self::Constant(VecDeque::new())
        } else if reorder {
            Self::Free(Overtaking::new())
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
        matches!(self, Self::Free(_))
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
                dues.push(due, 0);
                packets.push_back(packet);
            }
            Self::Free(packets) => packets.push(packet, due),
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
                let (at, _) = dues.pop(now)?;
                // Written where it comes to stand, as above.
                let mut output = packets.pop_front().map(Output::Deliver);
                output.as_mut().expect("there is a due time for each packet").packet_mut().at = at;
                output
            }
            Self::Free(packets) => packets.pop(now).map(Output::Deliver),
        }
    }

    /// Returns the time at which the next packet is due.
    #[inline]
    pub(super) fn first_due(&self) -> Option<Instant> {
        match self {
            Self::Constant(packets) => packets.front().map(|packet| packet.at),
            Self::Ordered(_, dues) => dues.first_due(),
            Self::Free(packets) => packets.first_due(),
        }
    }

    /// Takes out everything in the order in which it would leave, each packet's `at` its due time.
    pub(super) fn take(&mut self) -> Vec<Packet> {
        let all = std::iter::from_fn(|| self.pop(Instant::from_nanos(u64::MAX)));
        all.map(Output::into_packet).collect()
    }
}
