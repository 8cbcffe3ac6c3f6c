//! Lets a chosen packet skip every wait that is still in front of it.

use crate::packet::Packet;
use crate::rules::setting::InstantRule;
use crate::rules::source::{Origin, Source};
use crate::stage::Verdict;
use jostle_common::units::Probability;

/// A `reorder` rule with `ahead` at work.
#[derive(Debug)]
pub(super) struct Ahead {
    source: Source,
    chance: Probability,
}

impl Ahead {
    pub(super) const fn new(chance: Probability, origin: Origin) -> Self {
        Self { source: origin.source, chance }
    }
}

impl InstantRule for Ahead {
    fn untouched(&mut self, run: &Packet) -> u32 {
        self.source.misses(run, self.chance.threshold())
    }

    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if self.source.draw(packet).hits(self.chance) {
            packet.trace.choose();
            packet.send_ahead();
        }
        Verdict::Pass
    }
}
