//! The source of a rule's draws: its stream, and how it counts packets.

use crate::packet::Packet;
use jostle_common::chance::{Draw, DrawStream};
use jostle_common::philox::TOGETHER;
use jostle_common::time::Instant;
use jostle_common::units::Threshold;

/// So few draws cost less one by one.
const FEW: u32 = TOGETHER as u32 / 2 - 1;

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
    pub(crate) fn misses(self, run: &Packet, chance: Threshold) -> u32 {
        let (number, copy, count) = (self.number(run), run.copy(), run.count());
        let mut misses = 0;
        while misses + FEW < count {
            let firsts = self.stream.firsts(number + u64::from(misses), self.flow, copy);
            if let Some(hit) = firsts.into_iter().position(|bits| chance.covers(bits)) {
                return count.min(misses + hit as u32);
            }
            misses += firsts.len() as u32;
        }
        let hits = |index: &u32| chance.covers(self.draw_nth(run, *index).first());
        (misses..count).find(hits).unwrap_or(count)
    }

    /// Returns the draw for something that is no packet, by a number of its own: the `index`-th
    /// span of time, say.
    #[inline]
    pub(crate) const fn draw_at(self, index: u64) -> Draw {
        self.stream.draw(index, self.flow, 0)
    }
}

/// The first halves of the draws of a rule that looks at one packet after the other. They are made
/// for several packets at a time, which costs less than half as much.
#[derive(Clone, Debug)]
pub(crate) struct Firsts {
    source: Source,
    /// The number of the packet that the first of them is for.
    from: u64,
    bits: [u64; TOGETHER],
    /// The number that follows the last one that was asked for: if that is the next, others will
    /// be.
    next: u64,
}

impl Firsts {
    /// No packet has this number, or one of those behind it.
    const NONE: u64 = u64::MAX - TOGETHER as u64;

    pub(crate) const fn new(source: Source) -> Self {
        Self { source, from: Self::NONE, bits: [0; TOGETHER], next: Self::NONE }
    }

    /// Returns the first 64 bits of the draw for this packet, or for this copy of it.
    #[inline]
    pub(crate) fn of(&mut self, packet: &Packet) -> u64 {
        let place = self.source.number(packet).wrapping_sub(self.from);
        match self.bits.get(place as usize) {
            Some(bits) if packet.copy() == 0 => *bits,
            _ => self.make(packet),
        }
    }

    /// Makes that of a packet, and those of the packets behind it if it follows the last one.
    #[inline(never)]
    fn make(&mut self, packet: &Packet) -> u64 {
        let number = self.source.number(packet);
        if packet.copy() != 0 || number != self.next {
            self.next = number.wrapping_add(1);
            return self.source.draw(packet).first();
        }
        (self.from, self.next) = (number, number.wrapping_add(TOGETHER as u64));
        self.bits = self.source.stream.firsts(number, self.source.flow, 0);
        self.bits[0]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use jostle_common::chance::Direction;
    use jostle_common::units::Probability;

    fn packet(number: u64, copy: u32) -> Packet {
        let packet = Packet::new(1, Instant::START, Body::data(vec![1; 10]));
        Packet { number, ..packet }.into_copy(copy)
    }

    #[test]
    fn what_is_made_for_several_is_what_each_has() {
        let source = Source::of_link(DrawStream::new(1, "test", Direction::Up, "drop"));
        let mut firsts = Firsts::new(source);
        // One after the other, with gaps, with copies, back again and far away.
        let numbers = (1..30).chain([31, 32, 33, 60, 61, 70, 71, 72, 2, 3, 4, 71, u64::MAX / 4]);
        let mut asked = 0;
        for number in numbers {
            for copy in [0, 0, 5].into_iter().take(1 + number as usize % 3) {
                let packet = packet(number, copy);
                assert_eq!(firsts.of(&packet), source.draw(&packet).first(), "{number} {copy}");
                asked += 1;
            }
        }
        assert!(asked > 60);
    }

    #[test]
    fn misses_end_at_the_first_hit() {
        let source = Source::of_link(DrawStream::new(1, "test", Direction::Up, "drop"));
        let mut hits = 0;
        for (first, chance) in (1..400).flat_map(|first| [(first, 0.0), (first, 0.1), (first, 1.0)])
        {
            let chance = Probability::new(chance).unwrap();
            let run = Packet::run(1, Instant::START, vec![7; 54 * 10 - 3], 10);
            let run = Packet { number: first, ..run };
            let hit = run.singles().position(|packet| source.draw(&packet).hits(chance));
            assert_eq!(source.misses(&run, chance.threshold()), hit.map_or(54, |hit| hit as u32));
            hits += usize::from(hit.is_some_and(|hit| hit > 0));
        }
        assert!(hits > 300, "{hits}");
    }
}
