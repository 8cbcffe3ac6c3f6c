//! A packet on its way through a link.

use crate::segment::{Data, Segment};
use bytes::Bytes;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;

/// The first ordinal of the flows of cross traffic: no flow from outside has one of these.
pub(crate) const CROSS_FLOWS: u32 = u32::MAX - 4095;

/// One thing that travels: a UDP datagram, a piece of a TCP stream, a modelled TCP segment, or a
/// mark in a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Its place among the packets that entered the link: 1, 2, 3 …; copies share it. The link sets
    /// it.
    pub number: u64,
    /// 0 for the original, a number of its own for each copy.
    pub copy: u32,
    /// The ordinal of its flow or connection, from 1. No rule looks at it unless it counts per
    /// flow.
    pub flow: u32,
    /// Its place among the packets of its flow: 1, 2, 3 …; 0 unless a rule of the link counts per
    /// flow. The link sets it.
    pub flow_number: u64,
    /// The time at which it entered the link.
    pub entered: Instant,
    /// Its place in time: the arrival at this stage, or the time at which it was due to leave the
    /// last one.
    pub at: Instant,
    /// The bytes that rules count: the payload and what the route counts as overhead.
    pub size: u32,
    /// True if it skips every wait that is still in front of it.
    pub ahead: bool,
    /// What its IP header says of congestion: as it came, and from then on as rules marked it.
    pub ecn: Ecn,
    /// True if a rule set CE.
    pub marked: bool,
    /// The trace of what was done to it so far.
    pub trace: Trace,
    /// Its content.
    pub body: Body,
}

// Packets are moved several times on their way, and a million may be in flight.
const _: () = assert!(size_of::<Packet>() <= 104);

impl Packet {
    /// Creates a packet of `flow` that arrives at `at`. Its size is that of its body.
    pub fn new(flow: u32, at: Instant, body: Body) -> Self {
        let size = body.size();
        Self {
            number: 0,
            copy: 0,
            flow,
            flow_number: 0,
            entered: at,
            at,
            size,
            ahead: false,
            ecn: Ecn::NotEct,
            marked: false,
            trace: Trace::default(),
            body,
        }
    }

    /// Returns the packet, at another time.
    #[inline]
    #[must_use]
    pub(crate) const fn moved_to(mut self, at: Instant) -> Self {
        // Written in place: rebuilding the packet field by field costs more than the rule that
        // asked for it.
        self.at = at;
        self
    }

    /// Returns true if it is a mark, which no rule drops, damages, copies or moves.
    pub const fn is_mark(&self) -> bool {
        matches!(self.body, Body::End | Body::Reset)
    }

    /// Returns true if a `cross` rule sent it.
    #[inline]
    pub const fn is_cross(&self) -> bool {
        matches!(self.body, Body::Cross(_))
    }

    /// Tells its receiver of congestion, as RFC 3168, section 5, has it, and returns true: it says CE
    /// from now on, or did so before. Returns false if its sender takes no marks; then it has to be
    /// dropped instead.
    pub const fn mark_congestion(&mut self) -> bool {
        if matches!(self.ecn, Ecn::Ect0 | Ecn::Ect1) {
            self.ecn = Ecn::Ce;
            self.marked = true;
        }
        self.ecn.takes_marks()
    }

    /// Returns true if a rule flipped bits in it.
    pub const fn is_damaged(&self) -> bool {
        self.trace.flipped_bits > 0
    }
}

/// The content of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The payload of a datagram or of a piece of a stream.
    Data(Bytes),
    /// A segment of the TCP model; its payload stays at the sender until it has arrived.
    Segment(Box<Segment>),
    /// A packet of cross traffic, which never leaves the link.
    Cross(Box<CrossPacket>),
    /// The stream ends here (FIN).
    End,
    /// The stream is torn down here (RST).
    Reset,
}

impl Body {
    /// Returns the bytes it counts on the wire, without the route's overhead.
    pub fn size(&self) -> u32 {
        match self {
            Self::Data(bytes) => bytes.len() as u32,
            Self::Segment(segment) => segment.wire_size(),
            Self::Cross(packet) => packet.size,
            Self::End | Self::Reset => 0,
        }
    }
}

/// A packet that a `cross` rule sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossPacket {
    /// The rule that sent it, by its place in the link.
    pub place: u8,
    /// Its bytes on the wire.
    pub size: u32,
    /// The sender of the rule that it comes from: its index, and how many were at that index
    /// before.
    pub(crate) sender: (u32, u32),
    /// What its header says, if it belongs to a modelled stream.
    pub(crate) data: Option<Data>,
}

/// A record of what rules did to a packet, for counters and events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// One bit per rule that chose this packet (dropped, damaged, copied or held it back), by
    /// [`crate::link::Link::rule_key`]'s place.
    pub rules: u64,
    /// The number of bits that were flipped.
    pub flipped_bits: u32,
    /// The path on which it left a rule that has changed its path since; 0: it takes whichever is
    /// taken when it comes to a rule.
    pub(crate) path: u32,
}

impl Trace {
    /// The number of rules that have a bit of their own; the last bit is the link's.
    pub const PLACES_MAX: usize = 63;

    /// Set by the rule that just chose the packet, which does not know its place.
    const CHOSEN: u64 = 1 << 63;

    /// Notes that the rule now looking at the packet chose it.
    pub(crate) const fn choose(&mut self) {
        self.rules |= Self::CHOSEN;
    }

    /// Returns true if the rule now looking at the packet chose it.
    pub(crate) const fn is_chosen(&self) -> bool {
        self.rules & Self::CHOSEN != 0
    }

    /// Returns true if the rule at `place` chose the packet.
    pub(crate) const fn is_signed(&self, place: u8) -> bool {
        self.rules & 1 << place != 0
    }

    /// Turns a choice just made into the bit of the rule at `place`.
    pub(crate) const fn sign(&mut self, place: u8) {
        if self.rules & Self::CHOSEN != 0 {
            self.rules = self.rules & !Self::CHOSEN | 1 << place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_once_and_only_where_it_is_taken() {
        for (ecn, after, told, marked) in [
            (Ecn::NotEct, Ecn::NotEct, false, false),
            (Ecn::Ect0, Ecn::Ce, true, true),
            (Ecn::Ect1, Ecn::Ce, true, true),
            (Ecn::Ce, Ecn::Ce, true, false),
        ] {
            let packet = Packet::new(1, Instant::START, Body::Data(Bytes::new()));
            assert_eq!(packet.ecn, Ecn::NotEct);
            let mut packet = Packet { ecn, ..packet };
            assert_eq!(packet.mark_congestion(), told, "{ecn}");
            assert_eq!((packet.ecn, packet.marked), (after, marked), "{ecn}");
        }
    }
}
