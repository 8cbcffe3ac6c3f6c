//! `duplicate` with `gap`: copies of a packet come some time behind it, and behind each other.

use crate::packet::Packet;
use crate::rules::copy_number;
use crate::source::{Origin, Source};
use crate::stage::{Output, Stage};
use jostle_common::profile::Duplicate;
use jostle_common::time::{Instant, nanos};
use std::collections::{BTreeMap, VecDeque};

/// Copies packets, later.
#[derive(Debug)]
pub(crate) struct Copies {
    source: Source,
    /// Which duplicate rule of its direction it is, from 0: the digit of its copies' numbers.
    ordinal: u32,
    /// `None` once the rule was removed: no more copies are made.
    setting: Option<Duplicate>,
    /// Packets that pass; they never wait.
    passing: VecDeque<Packet>,
    /// Copies by the time at which they are due, equal times in the order in which they were made.
    later: BTreeMap<(Instant, u64), Packet>,
    made: u64,
}

impl Copies {
    pub(crate) const fn new(setting: Duplicate, ordinal: u32, origin: Origin) -> Self {
        Self {
            source: origin.source,
            ordinal,
            setting: Some(setting),
            passing: VecDeque::new(),
            later: BTreeMap::new(),
            made: 0,
        }
    }

    /// Changes the setting for packets to come; copies made keep their times.
    pub(crate) const fn retune(&mut self, setting: Option<Duplicate>) {
        self.setting = setting;
    }

    /// Takes in a packet. How many copies it made of it.
    pub(crate) fn take(&mut self, mut packet: Packet) -> u32 {
        if packet.is_mark() {
            self.flush(&packet);
            self.passing.push_back(packet);
            return 0;
        }
        let chosen = self.setting.filter(|setting| self.source.draw(&packet).hits(setting.chance));
        let Some(setting) = chosen else {
            self.passing.push_back(packet);
            return 0;
        };
        packet.trace.choose();
        for index in 1..=setting.copies {
            let at = packet.at.plus_nanos(nanos(setting.gap).saturating_mul(u64::from(index)));
            let copy = Packet { at, copy: copy_number(packet.copy, self.ordinal, index), ..packet.clone() };
            self.made += 1;
            self.later.insert((at, self.made), copy);
        }
        self.passing.push_back(packet);
        setting.copies
    }

    /// Lets the copies of a mark's flow go in front of it: nothing comes behind the end of a stream.
    fn flush(&mut self, mark: &Packet) {
        for (_, copy) in self.later.extract_if(.., |_, copy| copy.flow == mark.flow) {
            self.passing.push_back(copy.moved_to(mark.at));
        }
    }
}

impl Stage for Copies {
    fn handle(&mut self, packet: Packet) {
        self.take(packet);
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
