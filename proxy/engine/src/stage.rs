//! The contract of everything that holds packets for a time, and how packets leave it.

use crate::packet::Packet;
use jostle_common::time::Instant;

/// The decision of a rule that decides at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet goes on.
    Pass,
    /// The packet ends here.
    Discard(Reason),
    /// The packet goes on, followed by so many copies of it.
    Copies(u32),
}

/// An impairment that holds packets for a time; a whole link is one too.
///
/// The caller's rule: arrivals never go back in time, and before `handle` is called with a packet
/// that arrives at *t*, `poll(t)` has returned `None`, so that work due at or before *t* is done
/// first. Then the outputs do not depend on when or how often `poll` was called: late is not
/// different.
pub trait Stage {
    /// Takes in a packet that arrives at `packet.at`.
    fn handle(&mut self, packet: Packet);

    /// Returns the next packet whose time here is over at or before `now`; its `at` says when it
    /// was due, in order of time.
    fn poll(&mut self, now: Instant) -> Option<Output>;

    /// Returns the time at which `poll` next has something; `None`: not before another packet
    /// comes.
    fn deadline(&self) -> Option<Instant>;

    /// Returns the number of packets inside.
    fn held(&self) -> usize;
}

/// The ways in which a packet leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// It goes on.
    Deliver(Packet),
    /// It ends here.
    Discard(Packet, Reason),
}

impl Output {
    /// Returns the packet, whatever became of it.
    pub const fn packet(&self) -> &Packet {
        match self {
            Self::Deliver(packet) | Self::Discard(packet, _) => packet,
        }
    }

    /// Returns it packet by packet: of a run each of them left so.
    pub fn singles(&self) -> impl Iterator<Item = Self> + use<> {
        let reason = match self {
            Self::Deliver(_) => None,
            Self::Discard(_, reason) => Some(*reason),
        };
        self.packet().singles().map(move |packet| match reason {
            None => Self::Deliver(packet),
            Some(reason) => Self::Discard(packet, reason),
        })
    }

    /// Returns the packet alone.
    pub(crate) fn into_packet(self) -> Packet {
        match self {
            Self::Deliver(packet) | Self::Discard(packet, _) => packet,
        }
    }

    /// Returns the packet, to note something about it.
    #[inline]
    pub(crate) const fn packet_mut(&mut self) -> &mut Packet {
        match self {
            Self::Deliver(packet) | Self::Discard(packet, _) => packet,
        }
    }
}

/// The reason for which a packet was discarded.
// A word wide, so that an `Output` has no padding: moving one piece by piece stalled the processor
// for 20 ns a packet.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A drop rule chose it.
    Drop,
    /// The queue in front of a rate was full.
    QueueFull,
    /// It waited too long in front of a rate (CoDel).
    QueueDelay,
    /// The link was cut.
    Outage,
    /// It was larger than the link lets through.
    TooLarge,
    /// It was in a batch that was dropped.
    Batch,
    /// A mark rule chose it, and its sender takes no marks.
    Mark,
}

impl Reason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Drop,
        Self::QueueFull,
        Self::QueueDelay,
        Self::Outage,
        Self::TooLarge,
        Self::Batch,
        Self::Mark,
    ];

    /// Returns the name in counters and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::QueueFull => "queue_full",
            Self::QueueDelay => "queue_delay",
            Self::Outage => "outage",
            Self::TooLarge => "too_large",
            Self::Batch => "batch",
            Self::Mark => "mark",
        }
    }
}
