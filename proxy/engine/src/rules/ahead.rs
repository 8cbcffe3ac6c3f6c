//! `reorder` with `ahead`: a chosen packet skips every wait that is still in front of it.

use crate::packet::Packet;
use crate::source::{Origin, Source};
use crate::stage::{Rule, Verdict};
use jostle_common::units::Probability;

/// Sends packets ahead.
#[derive(Debug)]
pub(crate) struct Ahead {
    source: Source,
    chance: Probability,
}

impl Ahead {
    pub(crate) const fn new(chance: Probability, origin: Origin) -> Self {
        Self { source: origin.source, chance }
    }
}

impl Rule for Ahead {
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if self.source.draw(packet).hits(self.chance) {
            packet.trace.choose();
            packet.ahead = true;
        }
        Verdict::Pass
    }
}
