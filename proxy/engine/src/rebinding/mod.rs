//! The moments at which the UDP flows of a route leave from fresh sockets, by its `rebind` rules.
//!
//! The shell tells of flows that open and end, asks what is due, and does it. As in a link what is
//! due depends on the rules and on when flows began, and never on who asks when.

mod moments;

use crate::flow::FlowFacts;
use crate::link::{LinkKey, Schedule};
use crate::profile::{Start, Timeline};
use crate::rules::{REBIND_GAP_MIN, Rule, RuleKind};
use jostle_common::time::{Instant, nanos};
use moments::Moments;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A flow is to leave from a fresh socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebound {
    /// The flow.
    pub flow: u32,
    /// The time from which it does so.
    pub at: Instant,
    /// The key of the rule that says so.
    pub rule: String,
    /// The address that it takes; `None`: the one that it has.
    pub address: Option<IpAddr>,
    /// True if what still comes to the old socket is delivered.
    pub delivers_old: bool,
}

/// When the flows of a route leave from fresh sockets.
#[derive(Debug)]
pub struct Rebinding {
    key: LinkKey,
    schedule: Schedule,
    /// The time at which the timeline began to count; `None` before the first packet.
    epoch: Option<Instant>,
    /// The time of the next change of the rules.
    change: Option<Instant>,
    in_force: Vec<Rule>,
    flows: BTreeMap<u32, FlowClock>,
    /// When each flow is due, the earliest first.
    due: BTreeSet<(Instant, u32)>,
}

/// What is known of a flow.
#[derive(Debug)]
struct FlowClock {
    began: Instant,
    facts: Arc<FlowFacts>,
    /// The last time at which it got a fresh socket.
    last: Option<Instant>,
    /// How often it did.
    count: u64,
    /// The rules that act on it, by their place among those in force.
    rules: Vec<(usize, Moments)>,
    /// When it is due next, and by which rule.
    next: Option<(Instant, usize)>,
}

impl Rebinding {
    /// Creates the moments of a route whose link upwards has this key, by the rules of `timeline`
    /// that act on sockets.
    pub fn new(key: LinkKey, timeline: &Timeline) -> Self {
        let mut rebinding = Self {
            key,
            schedule: Schedule::new(timeline.for_sockets()),
            epoch: None,
            change: None,
            in_force: Vec::new(),
            flows: BTreeMap::new(),
            due: BTreeSet::new(),
        };
        rebinding.follow_schedule(Instant::START);
        rebinding
    }

    /// Lets the timeline begin to count at `at`, unless it already does.
    pub fn begin(&mut self, at: Instant) {
        if self.epoch.is_none() {
            self.epoch = Some(at);
            self.apply(at);
        }
    }

    /// Replaces the rules at `now`, whose time goes on from when the old ones began.
    pub fn set_timeline(&mut self, now: Instant, timeline: &Timeline) {
        self.schedule = Schedule::new(timeline.for_sockets());
        self.follow_schedule(now);
    }

    fn follow_schedule(&mut self, now: Instant) {
        match (self.epoch, self.schedule.start()) {
            (Some(_), _) => self.apply(now),
            (None, Start::Run) => self.begin(Instant::START),
            (None, Start::Packet) => {}
        }
    }

    /// Takes in a flow whose first packet came at `at`, and what is known of it.
    pub fn open(&mut self, flow: u32, at: Instant, facts: Arc<FlowFacts>) {
        if self.flows.is_empty() && self.change.is_some_and(|change| change <= at) {
            // Without flows there was nobody to follow the phases for.
            self.apply(at);
        }
        let rules = self.rules_of(flow, at, &facts);
        let clock = FlowClock { began: at, facts, last: None, count: 0, rules, next: None };
        self.flows.insert(flow, clock);
        self.schedule_flow(flow, at);
    }

    /// Takes in a flow whose first packet came at `began`, and what is known of it, of which it was
    /// not told while it had no rules. Whoever calls it sets rules then.
    pub fn recall(&mut self, flow: u32, began: Instant, facts: Arc<FlowFacts>) {
        let (last, count, rules, next) = (None, 0, Vec::new(), None);
        let clock = FlowClock { began, facts, last, count, rules, next };
        self.flows.entry(flow).or_insert(clock);
    }

    /// Learns at `now` what else is known of a flow.
    pub fn tell(&mut self, now: Instant, flow: u32, facts: &Arc<FlowFacts>) {
        let Some(clock) = self.flows.get(&flow).filter(|clock| clock.facts != *facts) else {
            return;
        };
        let rules = self.rules_of(flow, clock.began, facts);
        if let Some(clock) = self.flows.get_mut(&flow) {
            (clock.rules, clock.facts) = (rules, Arc::clone(facts));
        }
        self.schedule_flow(flow, now);
    }

    /// Forgets a flow.
    pub fn forget(&mut self, flow: u32) {
        if let Some((at, _)) = self.flows.remove(&flow).and_then(|clock| clock.next) {
            self.due.remove(&(at, flow));
        }
    }

    /// Returns when [`poll`](Self::poll) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let change = self.change.filter(|_| !self.flows.is_empty());
        self.due.first().map(|(at, _)| *at).into_iter().chain(change).min()
    }

    /// Returns the next flow that is to leave from a fresh socket at or before `now`. Of several
    /// moments that have passed meanwhile it is told once: nothing was sent between.
    pub fn poll(&mut self, now: Instant) -> Option<Rebound> {
        let mut changes = 0;
        loop {
            let due = self.due.first().copied();
            let change = self.change.filter(|_| !self.flows.is_empty());
            if let Some(at) = change.filter(|at| due.is_none_or(|(due, _)| *at <= due)) {
                if at > now {
                    return None;
                }
                // One round of phases is as good as all.
                changes += 1;
                self.apply(if changes > self.schedule.len() { now } else { at });
                continue;
            }
            let (at, flow) = due.filter(|(at, _)| *at <= now)?;
            return Some(self.rebind(flow, at, change.map_or(now, |change| change.min(now))));
        }
    }

    /// Says what a flow does at `at`, and schedules what it does from `until` on.
    fn rebind(&mut self, flow: u32, at: Instant, until: Instant) -> Rebound {
        let clock = self.flows.get_mut(&flow).expect("what is due is there");
        let (_, index) = clock.next.expect("it is due");
        clock.last = Some(at);
        clock.count += 1;
        let (rule, nth) = (&self.in_force[index], clock.count);
        let RuleKind::Rebind(setting) = &rule.kind else {
            unreachable!("no other kind acts on sockets")
        };
        let source = self.key.source(rule).of_flow(flow);
        // Under copy 1, as the times between are drawn under copy 0.
        let draw = source.draw_for(nth, nth, 1);
        let rebound = Rebound {
            flow,
            at,
            rule: rule.key.clone(),
            address: setting.addresses.choose(nth, draw.first()),
            delivers_old: setting.delivers_old,
        };
        self.schedule_flow(flow, until);
        rebound
    }

    /// Puts the rules in force that the timeline has for `now`.
    fn apply(&mut self, now: Instant) {
        let epoch = self.epoch.unwrap_or(now);
        let (rules, next) = self.schedule.at(nanos(now.since(epoch)));
        self.change = next.map(|elapsed| epoch.plus_nanos(elapsed));
        if rules == self.in_force.as_slice() {
            return;
        }
        let before = std::mem::replace(&mut self.in_force, rules.to_vec());
        let has_come = |index: usize| {
            let rule: &Rule = &self.in_force[index];
            before.iter().all(|other| other.key != rule.key)
        };
        let come: Vec<usize> = (0..self.in_force.len()).filter(|index| has_come(*index)).collect();
        let flows: Vec<u32> = self.flows.keys().copied().collect();
        for flow in flows {
            let clock = &self.flows[&flow];
            let mut rules = self.rules_of(flow, clock.began, &clock.facts);
            for (index, moments) in &mut rules {
                if come.contains(index) {
                    moments.come_into_force(now);
                }
            }
            if let Some(clock) = self.flows.get_mut(&flow) {
                clock.rules = rules;
            }
            self.schedule_flow(flow, now);
        }
    }

    /// Returns the rules in force that act on a flow that began then.
    fn rules_of(&self, flow: u32, began: Instant, facts: &FlowFacts) -> Vec<(usize, Moments)> {
        let chosen = |(index, rule): (usize, &Rule)| {
            let RuleKind::Rebind(setting) = &rule.kind else { return None };
            let source = self.key.source(rule).of_flow(flow);
            let chosen = self.key.chooses_flow(rule, flow, Some(facts));
            chosen.then(|| (index, Moments::new(setting, source, began)))
        };
        self.in_force.iter().enumerate().filter_map(chosen).collect()
    }

    /// Notes when a flow is due next, at `from` or later.
    fn schedule_flow(&mut self, flow: u32, from: Instant) {
        let Some(clock) = self.flows.get_mut(&flow) else { return };
        if let Some((at, _)) = clock.next.take() {
            self.due.remove(&(at, flow));
        }
        let from = clock.last.map_or(from, |last| from.max(last + REBIND_GAP_MIN));
        let (rules, since) = (&self.in_force, clock.facts.since);
        let next = clock.rules.iter_mut().filter_map(|(index, moments)| {
            let age = rules[*index].selection.age();
            let at = moments.from(age.map_or(from, |age| from.max(since + age.from)))?;
            age.is_none_or(|age| age.admits(at.since(since))).then_some((at, *index))
        });
        clock.next = next.min();
        self.due.extend(clock.next.map(|(at, _)| (at, flow)));
    }
}

#[cfg(test)]
mod tests;
