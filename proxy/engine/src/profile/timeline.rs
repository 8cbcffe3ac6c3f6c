//! The rules of a direction over time.

use crate::rules::{Rule, RuleKind};
use std::time::Duration;

/// The rules of one direction over time: phases, of which a profile without any has one that never
/// ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The moment from which time counts.
    pub start: Start,
    /// The rules that follow the last phase.
    pub then: Then,
    /// At least one.
    pub phases: Vec<Phase>,
}

/// The rules of a span of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// The time for which they hold; `None`: for ever. Never zero.
    pub length: Option<Duration>,
    /// The rules, in the order in which they apply.
    pub rules: Vec<Rule>,
}

/// The moment from which phases, outages, traces and bursts in time count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the first packet that reaches the route, in either direction.
    #[default]
    Packet,
    /// With the process.
    Run,
}

/// The rules that follow the last phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// It stays.
    #[default]
    Stay,
    /// The first phase again, and so on.
    Repeat,
    /// No rules at all.
    Clear,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::constant(Vec::new())
    }
}

impl Timeline {
    /// Creates a timeline of these rules, for ever.
    pub fn constant(rules: Vec<Rule>) -> Self {
        let phase = Phase { length: None, rules };
        Self { start: Start::default(), then: Then::default(), phases: vec![phase] }
    }

    /// Returns true if no rule does anything at any time.
    pub fn is_empty(&self) -> bool {
        self.enabled_rules().next().is_none()
    }

    /// Returns the rules of all phases, one after the other, those that are disabled too.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.phases.iter().flat_map(|phase| &phase.rules)
    }

    /// Returns the rules of all phases that are enabled.
    pub fn enabled_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules().filter(|rule| rule.enabled)
    }

    /// Returns the same timeline without the rules that are disabled, which does the same.
    #[must_use]
    pub fn in_force(&self) -> Self {
        self.filtered(|rule| rule.enabled)
    }

    /// Returns true if a rule that is enabled acts on delivered streams.
    pub fn has_stream_rules(&self) -> bool {
        self.enabled_rules().any(|rule| rule.kind.is_for_streams())
    }

    /// Returns the same timeline with those rules alone that act on packets, and are enabled.
    pub(crate) fn for_packets(&self) -> Self {
        self.filtered(|rule| rule.enabled && rule.kind.is_for_packets())
    }

    /// Returns the same timeline with those rules alone that act on delivered streams, and are
    /// enabled.
    pub(crate) fn for_streams(&self) -> Self {
        self.filtered(|rule| rule.enabled && rule.kind.is_for_streams()).without_idle_phases()
    }

    /// Returns the same timeline with those rules alone that act on the sockets of UDP flows, and
    /// are enabled.
    pub(crate) fn for_sockets(&self) -> Self {
        self.filtered(|rule| rule.enabled && rule.kind.is_for_sockets()).without_idle_phases()
    }

    /// Returns one phase for all if they are the same: those that differ in other rules alone.
    fn without_idle_phases(self) -> Self {
        let first = &self.phases[0].rules;
        let is_constant =
            self.then != Then::Clear && self.phases.iter().all(|phase| phase.rules == *first);
        if !is_constant {
            return self;
        }
        Self { start: self.start, ..Self::constant(first.clone()) }
    }

    fn filtered(&self, keep: impl Fn(&Rule) -> bool) -> Self {
        let mut timeline = self.clone();
        timeline.phases.iter_mut().for_each(|phase| phase.rules.retain(&keep));
        timeline
    }

    /// Lets senders wait for the queues in front of its rates that nobody asked to discard
    /// anything.
    pub(crate) fn let_senders_wait(mut self) -> Self {
        for rule in self.phases.iter_mut().flat_map(|phase| &mut phase.rules) {
            if let RuleKind::Rate(rate) = &mut rule.kind {
                rate.let_senders_wait();
            }
        }
        self
    }

    /// Returns true if a rule that is enabled makes copies of packets.
    pub fn makes_copies(&self) -> bool {
        self.enabled_rules().any(|rule| rule.kind.copies_max() > 0)
    }
}
