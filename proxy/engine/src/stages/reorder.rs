//! `reorder`: holds a packet back until a number of later ones have passed it.

use crate::packet::Packet;
use crate::source::{Origin, Source};
use crate::stage::{Output, Stage};
use jostle_common::time::Instant;
use jostle_common::units::Probability;
use std::collections::VecDeque;
use std::time::Duration;

/// How packets are held back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The probability that a packet is held back.
    pub(crate) chance: Probability,
    /// How many later packets pass it.
    pub(crate) behind: u32,
    /// The longest it waits for them.
    pub(crate) at_most: Duration,
}

/// Lets later packets overtake.
#[derive(Debug)]
pub(crate) struct Reorder {
    source: Source,
    /// `None` once the rule was removed: nothing is held back any more.
    setting: Option<Setting>,
    /// Packets held back, in order of arrival. Both bounds grow with arrival, so the first one
    /// always leaves first.
    held: VecDeque<Held>,
    /// Packets on their way out; their `at` says since when.
    ready: VecDeque<Packet>,
    /// How many packets have passed so far.
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

impl Reorder {
    pub(crate) const fn new(setting: Option<Setting>, origin: Origin) -> Self {
        Self {
            source: origin.source,
            setting,
            held: VecDeque::new(),
            ready: VecDeque::new(),
            passed: 0,
        }
    }

    /// Changes the setting for packets to come; `None` holds none back any more.
    pub(crate) const fn retune(&mut self, setting: Option<Setting>) {
        self.setting = setting;
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

impl Stage for Reorder {
    #[inline]
    fn handle(&mut self, mut packet: Packet) {
        if packet.is_mark() {
            return self.pass_mark(packet);
        }
        match self.setting {
            Some(setting) if self.source.draw(&packet).hits(setting.chance) => {
                packet.trace.choose();
                // A live change may shorten either bound; the order of leaving stays that of
                // arrival.
                let last = self.held.back();
                let passed = (self.passed + u64::from(setting.behind))
                    .max(last.map_or(0, |held| held.passed));
                let latest = (packet.at + setting.at_most)
                    .max(last.map_or(Instant::START, |held| held.latest));
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
