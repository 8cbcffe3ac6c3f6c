//! The key of a link: all that its draws depend on.

use super::gate;
use crate::flow::FlowFacts;
use crate::rules::{Origin, Rule, Source};
use jostle_common::chance::{Direction, DrawStream};
use jostle_common::time::Instant;

/// Identifies a link: with the rules' keys, all that its draws depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKey {
    /// The seed of the run, or of the route.
    pub seed: u64,
    /// The route's name, or its ordinal.
    pub route: String,
    /// The direction, which tells the route's two links apart.
    pub direction: Direction,
}

impl LinkKey {
    /// Returns the draws of a rule of this link.
    pub(super) fn stream(&self, rule: &str) -> DrawStream {
        DrawStream::new(self.seed, &self.route, self.direction, rule)
    }

    /// Returns true if a rule of this link looks at a flow with these facts at all, at one age of
    /// it or another.
    pub(crate) fn chooses_flow(&self, rule: &Rule, flow: u32, facts: Option<&FlowFacts>) -> bool {
        rule.selection.matches_flow(flow, facts)
            && gate::chooses_flow(self.stream(&rule.key), rule.selection.flows, flow)
    }

    /// Returns the source of a rule's draws, whose time began to count at `epoch`.
    pub(super) fn origin(&self, rule: &Rule, epoch: Instant) -> Origin {
        Origin { source: self.source(rule), epoch }
    }

    /// Returns the source of a rule's draws, for all packets of the link.
    pub(crate) fn source(&self, rule: &Rule) -> Source {
        Source::of_link(self.stream(&rule.key))
    }
}
