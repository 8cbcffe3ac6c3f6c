//! The rules that the timeline has for a time, put in force in the place of those before.

use super::Link;
use super::element::Element;
use super::schedule::Schedule;
use crate::packet::Trace;
use crate::profile::{Start, Timeline};
use crate::rules::{Rule, Setup, Work};
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

impl Link {
    /// Lets the timeline begin to count at `at`, unless it already does. The first packet does so
    /// too; the caller that drives both links of a route tells the other one, so that both keep the
    /// same time.
    pub fn begin(&mut self, at: Instant) {
        if self.epoch.is_none() {
            self.epoch = Some(at);
            self.busy = self.busy.max(at);
            self.apply(at, at);
        }
    }

    /// Replaces the rules at `now`, whose time goes on from when the old ones began. Rules of the
    /// same key and kind live on with new parameters; a removed stage lets pass what still comes,
    /// behind what it holds, until it is empty.
    pub fn set_timeline(&mut self, now: Instant, timeline: &Timeline) {
        self.catch_up(now);
        self.schedule = Arc::new(Schedule::new(timeline.for_packets()));
        self.follow_schedule(now);
    }

    /// Follows a new schedule from `now` on.
    pub(super) fn follow_schedule(&mut self, now: Instant) {
        self.notes_flows = self.schedule.asks_for_age() || self.flows.assumes();
        if self.flow_numbers.is_none() && self.schedule.counts_flows() {
            self.flow_numbers = Some(BTreeMap::new());
        }
        // What is still inside has to be known from what came from outside.
        self.sends = self.schedule.sends() || self.counters.cross.held > 0;
        self.paused &= self.sends;
        match (self.epoch, self.schedule.start()) {
            (Some(epoch), _) => self.apply(now, epoch),
            (None, Start::Run) => self.begin(Instant::START),
            (None, Start::Packet) => {}
        }
    }

    /// Follows the timeline up to `now`, which an empty link has not done, before a packet enters.
    /// Each phase has its turn, so that a rule which one of them lacks begins anew behind it, as it
    /// does when somebody takes it away; over several rounds of a timeline one is as good as all.
    pub(super) fn follow_up(&mut self, now: Instant, epoch: Instant) {
        for _ in 0..self.schedule.len() {
            let Some(change) = self.change.filter(|change| *change <= now) else { return };
            self.apply(change, epoch);
        }
        if self.change.is_some_and(|change| change <= now) {
            self.apply(now, epoch);
        }
    }

    /// Puts the rules in force that the timeline has for `now`.
    pub(super) fn apply(&mut self, now: Instant, epoch: Instant) {
        let schedule = Arc::clone(&self.schedule);
        let (rules, next) = schedule.at(now.as_nanos().saturating_sub(epoch.as_nanos()));
        self.change = next.map(|elapsed| epoch.plus_nanos(elapsed));
        self.replace(now, rules, epoch);
    }

    fn replace(&mut self, now: Instant, rules: &[Rule], epoch: Instant) {
        let mut old: VecDeque<Element> = std::mem::take(&mut self.elements).into();
        for rule in rules {
            // Rules keep their order, so what matches is looked for behind the last match only.
            let Some(found) = old.iter().position(|element| element.serves(rule)) else {
                let mut element = Element::new(rule, self.place_of(&rule.key), &self.key, epoch);
                element.begin(now);
                self.elements.push(element);
                continue;
            };
            // What stood in front of it was removed, or moved down and is set anew there; what it
            // holds drains where it stood.
            for element in old.drain(..found) {
                self.retire(now, element, epoch);
            }
            let mut element = old.pop_front().expect("its position was just found");
            element.retune(now, rule, &self.key, epoch);
            self.elements.push(element);
        }
        for element in old {
            self.retire(now, element, epoch);
        }
        if self.paused {
            self.pause();
        }
        self.find_next_work();
    }

    /// Lets a removed stage stay until it is empty. An instant rule holds nothing.
    fn retire(&mut self, now: Instant, mut element: Element, epoch: Instant) {
        let Work::Holding(stage) = &mut element.work else { return };
        let origin = self.key.origin(&element.rule, epoch);
        stage.retune(now, None, Setup { ordinal: element.rule.ordinal, origin, tables: &None });
        element.due = stage.deadline();
        element.retire();
        if element.held() > 0 {
            self.elements.push(element);
        }
    }

    /// Returns the time at which the timeline changes the rules under what is inside. An empty link
    /// has no need to follow every change, unless it has traffic of its own: the next packet finds
    /// the rules of its time.
    pub(super) fn next_change(&self) -> Option<Instant> {
        self.change.filter(|_| self.is_sending() || self.waiting() > 0)
    }

    /// Returns the place in a packet's trace of the rule called `key`, which it may have for itself
    /// from now on.
    pub(crate) fn place_of(&mut self, key: &str) -> u8 {
        let place = self.places.iter().position(|known| known == key).unwrap_or_else(|| {
            if self.places.len() < Trace::PLACES_MAX {
                self.places.push(key.to_owned());
            }
            // Rules beyond the last place share it.
            self.places.len() - 1
        });
        place as u8
    }

    /// Returns the key of the rule at `place` of a packet's trace.
    pub fn rule_key(&self, place: u8) -> &str {
        self.places.get(usize::from(place)).map_or("", String::as_str)
    }

    /// Returns the time at which its timeline began to count, if it has.
    pub const fn epoch(&self) -> Option<Instant> {
        self.epoch
    }

    /// Returns true if an `outage` rule that looks at every packet cuts the link at `now`, which
    /// never goes back, and the time at which that may change; before its timeline counts nothing
    /// is cut.
    pub fn is_cut_at(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let Self { outages, epoch, key, schedule, .. } = self;
        epoch.map_or((false, None), |epoch| outages.at(now, epoch, key, schedule))
    }
}
