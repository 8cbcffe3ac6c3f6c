//! Counters of what a link has done so far, kept where packets enter and leave it and nowhere else.

use crate::stage::{Output, Reason};

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
    /// Packets and copies still inside.
    pub held: u64,
    discarded: [u64; Reason::ALL.len()],
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

    pub(crate) const fn enter(&mut self) {
        self.entered += 1;
        self.held += 1;
    }

    pub(crate) const fn copies_made(&mut self, count: u32) {
        self.copies += count as u64;
        self.held += count as u64;
    }

    pub(crate) const fn leave(&mut self, output: &Output) {
        if output.packet().is_mark() {
            return;
        }
        self.held -= 1;
        match output {
            Output::Deliver(packet) => {
                self.delivered += 1;
                self.corrupted += packet.is_damaged() as u64;
            }
            Output::Discard(_, reason) => self.discarded[*reason as usize] += 1,
        }
    }
}
