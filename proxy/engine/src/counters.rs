//! Counters of what a link has done so far, kept where packets enter and leave it and nowhere else.

use crate::packet::Packet;
use crate::stage::{Output, Reason};
use jostle_common::ecn::Ecn;
use serde::Serialize;
use std::ops::AddAssign;

/// Packets in and out of a link; marks are not counted. At any time
/// `entered + copies = delivered + discarded + held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came in.
    pub entered: u64,
    /// Copies that rules made.
    pub copies: u64,
    /// Packets and copies that went out.
    pub delivered: u64,
    /// The number of those that had bits flipped.
    pub corrupted: u64,
    /// What their IP headers said of congestion.
    pub ecn: EcnCounters,
    /// Packets and copies still inside.
    pub held: u64,
    discarded: [u64; Reason::ALL.len()],
    /// Packets of cross traffic, which count as nothing else.
    pub cross: CrossCounters,
}

/// Packets that the `cross` rules of a link sent. At any time
/// `sent + copies = delivered + discarded + held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CrossCounters {
    /// Packets that were sent.
    pub sent: u64,
    /// Copies that rules made of them.
    pub copies: u64,
    /// Packets and copies that crossed the link.
    pub delivered: u64,
    /// Packets and copies that rules discarded, full queues included.
    pub discarded: u64,
    /// Packets and copies still inside.
    pub held: u64,
    /// Packets that were not sent as too many were inside.
    pub refused: u64,
    /// The bytes of those that crossed the link.
    pub bytes: u64,
    /// The bytes of modelled streams that arrived in order, each once.
    pub goodput: u64,
}

impl CrossCounters {
    /// Returns true if there never was any.
    pub const fn is_none(&self) -> bool {
        self.sent == 0 && self.refused == 0
    }

    pub(crate) const fn send(&mut self) {
        self.sent += 1;
        self.held += 1;
    }

    pub(crate) fn leave(&mut self, output: &Output) {
        self.held -= 1;
        match output {
            Output::Deliver(packet) => {
                self.delivered += 1;
                self.bytes += packet.size() as u64;
            }
            Output::Discard(..) => self.discarded += 1,
        }
    }
}

impl AddAssign for CrossCounters {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.copies += other.copies;
        self.delivered += other.delivered;
        self.discarded += other.discarded;
        self.held += other.held;
        self.refused += other.refused;
        self.bytes += other.bytes;
        self.goodput += other.goodput;
    }
}

/// Packets by what their IP headers said of congestion when they were delivered; all others said
/// Not-ECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EcnCounters {
    /// Those that said ECT(0).
    pub ect0: u64,
    /// Those that said ECT(1).
    pub ect1: u64,
    /// Those that said CE.
    pub ce: u64,
    /// The number of these on which a rule set it.
    pub marked: u64,
}

impl EcnCounters {
    /// Counts a packet that is delivered, or each of a run.
    #[inline]
    pub fn count(&mut self, packet: &Packet) {
        self.add_all(packet.ecn, packet.is_marked(), u64::from(packet.count()));
    }

    /// Counts a packet that says this; `marked` is true if a rule set CE.
    #[inline]
    pub const fn add(&mut self, ecn: Ecn, marked: bool) {
        self.add_all(ecn, marked, 1);
    }

    #[inline]
    const fn add_all(&mut self, ecn: Ecn, marked: bool, count: u64) {
        match ecn {
            Ecn::NotEct => {}
            Ecn::Ect0 => self.ect0 += count,
            Ecn::Ect1 => self.ect1 += count,
            Ecn::Ce => {
                self.ce += count;
                self.marked += marked as u64 * count;
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub const fn absorb(&mut self, other: &Self) {
        self.ect0 += other.ect0;
        self.ect1 += other.ect1;
        self.ce += other.ce;
        self.marked += other.marked;
    }

    /// Returns true if all packets said Not-ECT.
    pub const fn are_none(&self) -> bool {
        self.ect0 + self.ect1 + self.ce == 0
    }
}

impl Counters {
    /// Returns the number of packets and copies that were discarded for `reason`.
    pub const fn discarded(&self, reason: Reason) -> u64 {
        self.discarded[reason as usize]
    }

    /// Returns the number of packets and copies that were discarded for any reason.
    pub fn discarded_total(&self) -> u64 {
        self.discarded.iter().sum()
    }

    pub(crate) const fn enter(&mut self, count: u32) {
        self.entered += count as u64;
        self.held += count as u64;
    }

    pub(crate) const fn copies_made(&mut self, count: u32, of_cross: bool) {
        let (copies, held) = match of_cross {
            true => (&mut self.cross.copies, &mut self.cross.held),
            false => (&mut self.copies, &mut self.held),
        };
        *copies += count as u64;
        *held += count as u64;
    }

    #[inline(always)]
    pub(crate) fn leave(&mut self, output: &Output) {
        if output.packet().is_mark() {
            return;
        }
        let count = u64::from(output.packet().count());
        self.held -= count;
        match output {
            Output::Deliver(packet) => {
                self.delivered += count;
                if packet.is_damaged() {
                    self.corrupted += count;
                }
                if packet.ecn != Ecn::NotEct {
                    self.ecn.add_all(packet.ecn, packet.is_marked(), count);
                }
            }
            Output::Discard(_, reason) => self.discarded[*reason as usize] += count,
        }
    }
}
