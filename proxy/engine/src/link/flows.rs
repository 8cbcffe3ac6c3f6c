//! The flows that a link knows, and what it was told of each.
//!
//! The driver of the link says when a flow is over, which bounds them.

use super::Link;
use super::element::work;
use crate::flow::FlowFacts;
use crate::rules::{Rule, Work};
use jostle_common::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of flows, by their numbers.
#[derive(Debug, Default)]
pub(super) struct KnownFlows {
    flows: BTreeMap<u32, Arc<FlowFacts>>,
    /// What is assumed of those that nobody tells of, their beginning aside.
    assumed: Option<FlowFacts>,
}

impl KnownFlows {
    /// Returns what is known of a flow.
    pub(super) fn of(&self, flow: u32) -> Option<&Arc<FlowFacts>> {
        self.flows.get(&flow)
    }

    /// Takes the facts of a flow over. Returns false if they were known.
    pub(super) fn learn(&mut self, flow: u32, facts: Arc<FlowFacts>) -> bool {
        if self.of(flow) == Some(&facts) {
            return false;
        }
        self.flows.insert(flow, facts);
        true
    }

    /// Assumes this of each flow that nobody tells of.
    pub(super) fn assume(&mut self, facts: FlowFacts) {
        self.assumed = Some(facts);
    }

    /// Returns true if anything is assumed.
    pub(super) const fn assumes(&self) -> bool {
        self.assumed.is_some()
    }

    /// Notes a flow of which nothing was told: it begins at `now`.
    pub(super) fn note(&mut self, flow: u32, now: Instant) {
        let Self { flows, assumed } = self;
        flows.entry(flow).or_insert_with(|| {
            let assumed = assumed.clone().map(|facts| FlowFacts { since: now, ..facts });
            Arc::new(assumed.unwrap_or_else(|| FlowFacts::since(now)))
        });
    }

    pub(super) fn forget(&mut self, flow: u32) {
        self.flows.remove(&flow);
    }
}

impl Link {
    /// Learns what is known of a flow at `now`: before its first packet, and again when another
    /// fact becomes known. Of a flow that nobody tells of only the age is known, from its first
    /// packet on if a rule asks for it then. The driver tells both links of a route, and has to
    /// [forget](Self::forget) the flow when it is over.
    pub fn tell(&mut self, now: Instant, flow: u32, facts: &Arc<FlowFacts>) {
        self.clock = self.clock.max(now);
        if self.flows.learn(flow, Arc::clone(facts)) {
            self.elements.iter_mut().filter_map(|one| one.gate.as_mut()).for_each(|gate| {
                gate.forget(flow);
            });
        }
    }

    /// Assumes this of each flow that nobody tells of, and that it begins with its first packet.
    pub fn assume(&mut self, facts: FlowFacts) {
        self.flows.assume(facts);
        self.notes_flows = true;
    }

    /// Returns what is known of a flow.
    pub fn facts(&self, flow: u32) -> Option<&Arc<FlowFacts>> {
        self.flows.of(flow)
    }

    /// Forgets a flow of which no packet will come any more.
    pub fn forget(&mut self, flow: u32) {
        self.flows.forget(flow);
        self.elements.iter_mut().filter_map(|one| one.gate.as_mut()).for_each(|gate| {
            gate.forget(flow);
        });
        if let Some(numbers) = &mut self.flow_numbers {
            numbers.remove(&flow);
            for element in &mut self.elements {
                match &mut element.work {
                    Work::Instant(rule) => rule.forget(flow),
                    Work::Holding(stage) => {
                        stage.forget(flow);
                        element.due = stage.deadline();
                    }
                }
            }
            self.find_next_work();
        }
    }

    /// Returns the number of bytes of a flow that may come now if what feeds the link is to wait
    /// for it; `None` if the link bounds what it holds itself.
    pub fn room(&self, flow: u32) -> Option<usize> {
        if self.epoch.is_none() {
            // The first packet puts the rules in force, and already finds a line that is idle.
            let (rules, _) = self.schedule.at(0);
            let facts = self.flows.of(flow).map(Arc::as_ref);
            let asked = rules.iter().filter(|rule| {
                rule.kind.setting().lets_senders_wait()
                    && self.key.chooses_flow(rule, flow, facts)
                    && rule.selection.age().is_none_or(|age| age.from.is_zero())
            });
            return asked.filter_map(|rule| self.idle_room(rule, flow)).min();
        }
        let asked = self.elements.iter().filter_map(|element| match &element.work {
            Work::Holding(stage) if element.looks_at_flow(flow, &self.flows, self.clock) => {
                stage.room(flow)
            }
            Work::Holding(_) | Work::Instant(_) => None,
        });
        asked.min()
    }

    /// Returns the number of bytes that a rule which holds nothing lets come.
    fn idle_room(&self, rule: &Rule, flow: u32) -> Option<usize> {
        match work(rule, self.key.origin(rule, Instant::START)) {
            Work::Holding(stage) => stage.room(flow),
            Work::Instant(_) => None,
        }
    }
}
