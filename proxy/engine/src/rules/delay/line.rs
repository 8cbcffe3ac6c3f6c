//! The packets inside a delay, and the order in which they leave.

use super::calendar::Calendar;
use super::overtaking::Overtaking;
use crate::packet::Packet;
use crate::ring::Ring;
use crate::stage::Output;
use jostle_common::time::Instant;

/// The packets inside.
#[derive(Debug)]
pub(super) struct Line {
    waiting: Waiting,
    /// The number of packets in it: a run is several.
    inside: usize,
}

/// Those packets, in the order in which they leave.
// With a tag of its own: told by what a capacity never is, it takes several steps to tell which.
#[repr(u8)]
#[derive(Debug)]
enum Waiting {
    /// Every delay is the same: first in, first out; a packet's `at` is its due time.
    Constant(Ring),
    /// Jitter with order kept: packets in order of arrival, and the due times they will take in
    /// turn.
    Ordered(Ring, Calendar),
    /// Jitter that may reorder: a packet's `at` is its due time.
    Free(Overtaking),
}

impl Line {
    /// Creates a line for packets whose delays are all the same if `is_constant`, and which may
    /// overtake each other if `reorder`.
    pub(super) fn new(is_constant: bool, reorder: bool) -> Self {
        let waiting = if is_constant {
            Waiting::Constant(Ring::default())
        } else if reorder {
            Waiting::Free(Overtaking::new())
        } else {
            Waiting::Ordered(Ring::default(), Calendar::new())
        };
        Self { waiting, inside: 0 }
    }

    /// Returns true if every delay is the same.
    pub(super) const fn is_constant(&self) -> bool {
        matches!(self.waiting, Waiting::Constant(_))
    }

    /// Returns true if a packet may leave before one that came earlier.
    pub(super) const fn may_overtake(&self) -> bool {
        matches!(self.waiting, Waiting::Free(_))
    }

    /// Returns the number of packets in it.
    pub(super) const fn packets(&self) -> usize {
        self.inside
    }

    /// Takes a packet out of its place that is due to leave at `due`.
    #[inline(always)]
    pub(super) fn push(&mut self, packet: &mut Packet, due: Instant) {
        self.inside += packet.count() as usize;
        match &mut self.waiting {
            // Written where it stands: a packet that is changed and then moved stalls the
            // processor.
            Waiting::Constant(packets) => packets.push(packet).at = due,
            Waiting::Ordered(packets, dues) => {
                dues.push(due, 0);
                packets.push(packet);
            }
            Waiting::Free(packets) => packets.push(packet.take(), due),
        }
    }

    /// Takes out the next packet, if it is due at or before `now`; its `at` says when. Says when
    /// the one behind it is due.
    // All is asked before it is taken out: what is done is the last move.
    #[inline(always)]
    pub(super) fn pop(&mut self, now: Instant, next: &mut Option<Instant>) -> Option<Output> {
        match &mut self.waiting {
            Waiting::Constant(packets) => {
                let first = packets.front().filter(|first| first.at <= now);
                let Some(first) = first else {
                    *next = self.first_due();
                    return None;
                };
                self.inside -= first.count() as usize;
                *next = packets.nth(1).map(|second| second.at);
                Some(Output::Deliver(packets.pop()))
            }
            Waiting::Ordered(packets, dues) => {
                let due = dues.pop(now);
                *next = dues.first_due();
                let (at, _) = due?;
                self.inside -= packets.front().map_or(0, |first| first.count() as usize);
                // Written where it comes to stand, as above.
                let mut output = Output::Deliver(packets.pop());
                output.packet_mut().at = at;
                Some(output)
            }
            Waiting::Free(packets) => {
                let first = packets.pop(now);
                *next = packets.first_due();
                self.inside -= first.as_ref().map_or(0, |first| first.count() as usize);
                first.map(Output::Deliver)
            }
        }
    }

    /// Returns the time at which the next packet is due.
    #[inline]
    pub(super) fn first_due(&self) -> Option<Instant> {
        match &self.waiting {
            Waiting::Constant(packets) => packets.front().map(|packet| packet.at),
            Waiting::Ordered(_, dues) => dues.first_due(),
            Waiting::Free(packets) => packets.first_due(),
        }
    }

    /// Takes out everything in the order in which it would leave, each packet's `at` its due time.
    pub(super) fn take(&mut self) -> Vec<Packet> {
        let end = Instant::from_nanos(u64::MAX);
        let all = std::iter::from_fn(|| self.pop(end, &mut None));
        all.map(Output::into_packet).collect()
    }
}
