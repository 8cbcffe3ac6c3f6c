//! The flows that a link knows, and what it was told of each.
//!
//! The driver of the link says when a flow is over, which bounds them.

use crate::flow::FlowFacts;
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
