//! `duplicate`: sends copies of a packet right behind it.

use crate::packet::Packet;
use crate::profile;
use crate::source::{Origin, Source};
use crate::stage::{Rule, Verdict};

/// Copies packets.
#[derive(Debug)]
pub(crate) struct Duplicate {
    source: Source,
    setting: profile::Duplicate,
}

impl Duplicate {
    pub(crate) const fn new(setting: profile::Duplicate, origin: Origin) -> Self {
        Self { source: origin.source, setting }
    }
}

impl Rule for Duplicate {
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if self.source.draw(packet).hits(self.setting.chance) {
            packet.trace.choose();
            Verdict::Copies(self.setting.copies)
        } else {
            Verdict::Pass
        }
    }
}

/// The number of the `index`-th copy (from 1) that the `ordinal`-th duplicate rule makes of copy
/// `parent`.
///
/// Each rule counts in a digit of its own in base 64, so copies of copies never share a number and
/// no rule's copies change theirs when another rule comes or goes. A profile holds at most five
/// duplicate rules per direction with at most 63 copies each: 30 bits.
pub(crate) const fn copy_number(parent: u32, ordinal: u32, index: u32) -> u32 {
    parent + (index << (6 * ordinal))
}
