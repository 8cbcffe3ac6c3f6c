//! Holds a packet back until a number of later ones have passed it.

use super::Reorder;
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::source::{Origin, Source};
use crate::stage::{Output, Stage};
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// A `reorder` rule without `ahead` at work.
#[derive(Debug)]
pub(super) struct Behind {
    source: Source,
    /// `None` once the rule was removed: nothing is held back any more.
    setting: Option<Reorder>,
    /// Packets held back, in order of arrival. Both bounds grow with arrival, so the first one
    /// always leaves first.
    held: VecDeque<Held>,
    /// Packets on their way out; their `at` says since when.
    ready: VecDeque<Packet>,
    /// The number of packets that have passed so far.
    passed: u64,
}

#[derive(Debug)]
struct Held {
    packet: Packet,
    /// It goes when so many packets have passed in all,
    passed: u64,
    /// or at this time.
    latest: Instant,
}

impl Behind {
    pub(super) fn new(setting: &Reorder, origin: Origin) -> Self {
        Self {
            source: origin.source,
            setting: Some(*setting),
            held: VecDeque::new(),
            ready: VecDeque::new(),
            passed: 0,
        }
    }

    fn pass(&mut self, packet: Packet) {
        let now = packet.at;
        self.ready.push_back(packet);
        self.passed += 1;
        while let Some(held) = self.held.pop_front_if(|held| held.passed <= self.passed) {
            self.ready.push_back(held.packet.moved_to(now));
        }
    }

    /// Lets a mark pass behind everything of its flow.
    fn pass_mark(&mut self, mark: Packet) {
        let (before, others) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|held| held.packet.flow == mark.flow);
        self.held = others;
        let before: VecDeque<Held> = before;
        self.ready.extend(before.into_iter().map(|held| held.packet.moved_to(mark.at)));
        self.ready.push_back(mark);
    }
}

impl HoldingRule for Behind {
    /// Changes the setting for packets to come; without one none is held back any more.
    fn retune(&mut self, _: Instant, setting: Option<&dyn RuleSetting>, _: Setup<'_>) {
        self.setting = of_kind(setting).copied();
    }
}

impl Stage for Behind {
    #[inline]
    fn handle(&mut self, mut packet: Packet) {
        if packet.is_mark() {
            return self.pass_mark(packet);
        }
        match self.setting {
            Some(Reorder::Behind { chance, behind, at_most })
                if self.source.draw(&packet).hits(chance) =>
            {
                packet.trace.choose();
                // A live change may shorten either bound; the order of leaving stays that of
                // arrival.
                let last = self.held.back();
                let passed =
                    (self.passed + u64::from(behind)).max(last.map_or(0, |held| held.passed));
                let latest =
                    (packet.at + at_most).max(last.map_or(Instant::START, |held| held.latest));
                self.held.push_back(Held { packet, passed, latest });
            }
            _ => self.pass(packet),
        }
    }

    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Output> {
        if let Some(packet) = self.ready.pop_front_if(|packet| packet.at <= now) {
            return Some(Output::Deliver(packet));
        }
        let held = self.held.pop_front_if(|held| held.latest <= now)?;
        Some(Output::Deliver(held.packet.moved_to(held.latest)))
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        let ready = self.ready.front().map(|packet| packet.at);
        ready.or_else(|| self.held.front().map(|held| held.latest))
    }

    fn held(&self) -> usize {
        self.held.len() + self.ready.len()
    }
}
