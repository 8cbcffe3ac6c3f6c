//! The source of a rule's draws: its stream, and how it counts packets.

use crate::packet::Packet;
use jostle_common::chance::{Draw, DrawStream};
use jostle_common::time::Instant;
use jostle_common::units::Probability;

/// The draws of one rule, or of one flow's share in a rule that counts per flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    stream: DrawStream,
    /// The ordinal of the flow whose packets are counted; 0 for all packets of the link.
    flow: u32,
}

impl Source {
    /// Draws by a packet's number in the link.
    pub(crate) const fn of_link(stream: DrawStream) -> Self {
        Self { stream, flow: 0 }
    }

    /// Draws by a packet's number in this flow.
    pub(crate) const fn of_flow(self, flow: u32) -> Self {
        Self { flow, ..self }
    }

    /// Returns the number by which the rule counts this packet, from 1.
    #[inline]
    pub(crate) const fn number(self, packet: &Packet) -> u64 {
        if self.flow == 0 { packet.number } else { packet.flow_number }
    }

    /// Returns the draw for this packet, or for this copy of it.
    #[inline]
    pub(crate) fn draw(self, packet: &Packet) -> Draw {
        self.draw_for(packet.number, packet.flow_number, packet.copy())
    }

    /// Returns the draw for the packet of a run that has `index` in front of it.
    #[inline]
    pub(crate) fn draw_nth(self, run: &Packet, index: u32) -> Draw {
        self.stream.draw(self.number(run) + u64::from(index), self.flow, run.copy())
    }

    /// Returns the draw for the packet with these numbers in its link and in its flow.
    #[inline]
    pub(crate) const fn draw_for(self, number: u64, flow_number: u64, copy: u32) -> Draw {
        let number = if self.flow == 0 { number } else { flow_number };
        self.stream.draw(number, self.flow, copy)
    }

    /// Returns the number of packets at the front of a run whose draws do not hit.
    #[inline]
    pub(crate) fn misses(self, run: &Packet, chance: Probability) -> u32 {
        let (number, copy) = (self.number(run), run.copy());
        let hits = |index: &u32| {
            self.stream.draw(number + u64::from(*index), self.flow, copy).hits(chance)
        };
        (0..run.count()).find(hits).unwrap_or_else(|| run.count())
    }

    /// Returns the draw for something that is no packet, by a number of its own: the `index`-th
    /// span of time, say.
    #[inline]
    pub(crate) const fn draw_at(self, index: u64) -> Draw {
        self.stream.draw(index, self.flow, 0)
    }
}

/// The source of a rule's draws and the start of its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    /// The moment from which its time counts.
    pub(crate) epoch: Instant,
}

impl Origin {
    /// Creates the origin of a rule of the link whose time begins at the start of the run.
    #[cfg(test)]
    pub(crate) const fn of_link(stream: DrawStream) -> Self {
        Self { source: Source::of_link(stream), epoch: Instant::START }
    }
}
