//! Where a rule's draws come from: its stream, and how it counts packets.

use crate::packet::Packet;
use jostle_common::chance::{Draw, Stream};
use jostle_common::time::Instant;

/// The draws of one rule, or of one flow's share in a rule that counts per flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    stream: Stream,
    /// The ordinal of the flow whose packets are counted; 0 for all packets of the link.
    flow: u32,
}

impl Source {
    /// Draws by a packet's number in the link.
    pub(crate) const fn of_link(stream: Stream) -> Self {
        Self { stream, flow: 0 }
    }

    /// Draws by a packet's number in this flow.
    pub(crate) const fn of_flow(self, flow: u32) -> Self {
        Self { flow, ..self }
    }

    /// The number by which the rule counts this packet, from 1.
    #[inline]
    pub(crate) const fn number(self, packet: &Packet) -> u64 {
        if self.flow == 0 { packet.number } else { packet.flow_number }
    }

    /// The draw for this packet, or for this copy of it.
    #[inline]
    pub(crate) const fn draw(self, packet: &Packet) -> Draw {
        self.stream.draw(self.number(packet), self.flow, packet.copy)
    }

    /// The draw for something that is no packet, by a number of its own: the `index`-th span of
    /// time, say.
    #[inline]
    pub(crate) const fn draw_at(self, index: u64) -> Draw {
        self.stream.draw(index, self.flow, 0)
    }
}

/// What a rule is made from beside its setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    /// When its time began to count.
    pub(crate) epoch: Instant,
}

impl Origin {
    /// A rule of the link whose time begins at the start of the run.
    #[cfg(test)]
    pub(crate) const fn of_link(stream: Stream) -> Self {
        Self { source: Source::of_link(stream), epoch: Instant::START }
    }
}
