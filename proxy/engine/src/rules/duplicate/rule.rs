//! Sends copies of a packet right behind it.

use super::Duplicate;
use crate::packet::Packet;
use crate::rules::setting::InstantRule;
use crate::rules::source::{Origin, Source};
use crate::stage::Verdict;

/// A `duplicate` rule without `gap` at work.
#[derive(Debug)]
pub(super) struct DuplicateRule {
    source: Source,
    setting: Duplicate,
}

impl DuplicateRule {
    pub(super) const fn new(setting: Duplicate, origin: Origin) -> Self {
        Self { source: origin.source, setting }
    }
}

impl InstantRule for DuplicateRule {
    fn untouched(&mut self, run: &Packet) -> u32 {
        self.source.misses(run, self.setting.chance.threshold())
    }

    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if self.source.draw(packet).hits(self.setting.chance) {
            packet.trace.choose();
            Verdict::Copies(self.setting.copies)
        } else {
            Verdict::Pass
        }
    }
}
