//! Sends copies of a packet some time behind it, and behind each other.

use super::{Duplicate, copy_number};
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::source::{Origin, Source};
use crate::stage::{Output, Stage};
use jostle_common::time::{Instant, nanos};
use std::collections::{BTreeMap, VecDeque};

/// A `duplicate` rule with `gap` at work.
#[derive(Debug)]
pub(super) struct Copies {
    source: Source,
    /// The ordinal of the rule among the duplicate rules of its direction, from 0: the digit of its
    /// copies' numbers.
    ordinal: u32,
    /// `None` once the rule was removed: no more copies are made.
    setting: Option<Duplicate>,
    /// Packets that pass; they never wait.
    passing: VecDeque<Packet>,
    /// Copies by the time at which they are due, equal times in the order in which they were made.
    later: BTreeMap<(Instant, u64), Packet>,
    made: u64,
    /// Copies made since the link last asked.
    unreported: u32,
}

impl Copies {
    pub(super) const fn new(setting: Duplicate, ordinal: u32, origin: Origin) -> Self {
        Self {
            source: origin.source,
            ordinal,
            setting: Some(setting),
            passing: VecDeque::new(),
            later: BTreeMap::new(),
            made: 0,
            unreported: 0,
        }
    }

    /// Lets the copies of a mark's flow go in front of it: nothing comes behind the end of a
    /// stream.
    fn flush(&mut self, mark: &Packet) {
        for (_, copy) in self.later.extract_if(.., |_, copy| copy.flow == mark.flow) {
            self.passing.push_back(copy.moved_to(mark.at));
        }
    }
}

impl HoldingRule for Copies {
    fn copies_made(&mut self) -> u32 {
        std::mem::take(&mut self.unreported)
    }

    /// Changes the setting for packets to come; copies made keep their times.
    fn retune(&mut self, _: Instant, setting: Option<&dyn RuleSetting>, _: Setup<'_>) {
        self.setting = of_kind(setting).copied();
    }
}

impl Stage for Copies {
    fn handle(&mut self, mut packet: Packet) {
        if packet.is_mark() {
            self.flush(&packet);
            return self.passing.push_back(packet);
        }
        let chosen = self.setting.filter(|setting| self.source.draw(&packet).hits(setting.chance));
        let Some(setting) = chosen else {
            return self.passing.push_back(packet);
        };
        packet.trace.choose();
        for index in 1..=setting.copies {
            let at = packet.at.plus_nanos(nanos(setting.gap).saturating_mul(u64::from(index)));
            let number = copy_number(packet.copy(), self.ordinal, index);
            let copy = packet.clone().into_copy(number).moved_to(at);
            self.made += 1;
            self.later.insert((at, self.made), copy);
        }
        self.passing.push_back(packet);
        self.unreported += setting.copies;
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        // What passes has come just now, and what was due before has left before it came.
        if let Some(packet) = self.passing.pop_front_if(|packet| packet.at <= now) {
            return Some(Output::Deliver(packet));
        }
        let first = self.later.first_entry().filter(|first| first.key().0 <= now)?;
        Some(Output::Deliver(first.remove()))
    }

    fn deadline(&self) -> Option<Instant> {
        let passing = self.passing.front().map(|packet| packet.at);
        passing.or_else(|| self.later.keys().next().map(|(at, _)| *at))
    }

    fn held(&self) -> usize {
        self.passing.len() + self.later.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use jostle_common::chance::{Direction, DrawStream};
    use jostle_common::units::Probability;
    use std::time::Duration;

    fn stage(chance: f64, copies: u32, gap: u64) -> Copies {
        let chance = Probability::new(chance).unwrap();
        let setting = Duplicate { chance, copies, gap: Duration::from_millis(gap) };
        Copies::new(
            setting,
            1,
            Origin::of_link(DrawStream::new(1, "test", Direction::Up, "duplicate")),
        )
    }

    fn packet(number: u64, flow: u32, millis: u64, body: Body) -> Packet {
        Packet { number, ..Packet::new(flow, Instant::from_millis(millis), body) }
    }

    fn data(number: u64, flow: u32, millis: u64) -> Packet {
        packet(number, flow, millis, Body::data(vec![]))
    }

    /// Returns the number, copy and time of everything that leaves.
    fn outputs(
        stage: &mut Copies,
        packets: impl IntoIterator<Item = Packet>,
    ) -> Vec<(u64, u32, u64)> {
        let mut outputs = Vec::new();
        for packet in packets {
            outputs.extend(std::iter::from_fn(|| stage.poll(packet.at)));
            stage.handle(packet);
        }
        outputs.extend(std::iter::from_fn(|| stage.poll(Instant::from_secs(3600))));
        assert_eq!(stage.held(), 0);
        let seen =
            |packet: &Packet| (packet.number, packet.copy(), packet.at.as_nanos() / 1_000_000);
        outputs.iter().map(|output| seen(output.packet())).collect()
    }

    #[test]
    fn copies_come_a_gap_behind_each_other() {
        let left = outputs(&mut stage(1.0, 2, 10), [data(1, 1, 0), data(2, 1, 5), data(3, 1, 10)]);
        // The second rule of its direction counts its copies in the second digit in base 64. A copy
        // due at 10 goes before what comes then.
        let expected = [
            (1, 0, 0),
            (2, 0, 5),
            (1, 64, 10),
            (3, 0, 10),
            (2, 64, 15),
            (1, 128, 20),
            (3, 64, 20),
            (2, 128, 25),
            (3, 128, 30),
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_share_of_packets_is_copied_and_says_so() {
        let mut stage = stage(0.25, 3, 1);
        let copies: u32 = (1..=40_000)
            .map(|number| {
                stage.handle(data(number, 1, number));
                stage.copies_made()
            })
            .sum();
        // 30,000 expected, sd 3·87.
        assert!((28_960..=31_040).contains(&copies), "{copies}");
        assert_eq!(stage.held(), 40_000 + copies as usize);
    }

    #[test]
    fn a_mark_comes_behind_the_copies_of_its_flow_only() {
        let mark = packet(0, 1, 2, Body::End);
        let left = outputs(&mut stage(1.0, 2, 10), [data(1, 1, 0), data(2, 2, 1), mark]);
        let expected =
            [(1, 0, 0), (2, 0, 1), (1, 64, 2), (1, 128, 2), (0, 0, 2), (2, 64, 11), (2, 128, 21)];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_removed_rule_makes_no_more_copies_and_keeps_the_times_of_those_it_made() {
        let mut stage = stage(1.0, 1, 10);
        stage.handle(data(1, 1, 0));
        let origin = Origin::of_link(DrawStream::new(1, "test", Direction::Up, "duplicate"));
        stage.retune(Instant::from_millis(1), None, Setup::of(origin));
        assert_eq!(outputs(&mut stage, [data(2, 1, 3)]), [(1, 0, 0), (2, 0, 3), (1, 64, 10)]);
    }
}
