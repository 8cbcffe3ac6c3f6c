//! A rule of the link at work, and which packets come to it.

use super::flows::KnownFlows;
use super::gate::Gate;
use super::key::LinkKey;
use super::per_flow;
use crate::packet::Packet;
use crate::rules::{InstantRule, Origin, Per, Rule, Setup, Timing, Work};
use jostle_common::time::Instant;

/// A rule in the link.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) rule: Rule,
    pub(super) place: u8,
    pub(super) timing: Timing,
    /// True if the rule was removed, and stays only until its stage is empty.
    pub(super) retired: bool,
    pub(super) gate: Option<Gate>,
    /// Set if it looks at every packet, marks and those sent ahead aside.
    looks_at_all: bool,
    /// Set if it then holds each packet and makes none of its own.
    pub(super) holds_all: bool,
    pub(super) work: Work,
    /// The same for cross traffic if it decides at once: what goes by numbers then finds each
    /// kind of traffic's without a gap. Made when its first packet comes.
    pub(super) for_cross: Option<Box<dyn InstantRule>>,
    /// The time of the stage's next work: asked for once after each change of it, since the link
    /// looks at every element before each step.
    pub(super) due: Option<Instant>,
}

impl Element {
    /// Creates the rule at its `place`, which it has in traces.
    pub(super) fn new(rule: &Rule, place: u8, link: &LinkKey, epoch: Instant) -> Self {
        let mut element = Self {
            rule: rule.clone(),
            place,
            timing: rule.kind.timing(),
            retired: false,
            gate: Gate::new(rule, link),
            looks_at_all: false,
            holds_all: false,
            work: work(rule, link.origin(rule, epoch)),
            for_cross: None,
            due: None,
        };
        element.settle_looks();
        element
    }

    /// Notes whether it looks at every packet, after what that depends on has changed.
    fn settle_looks(&mut self) {
        self.looks_at_all = self.gate.is_none() && !self.retired && self.timing != Timing::Sending;
        self.holds_all = self.looks_at_all && self.timing == Timing::Waiting;
    }

    /// Stays for what it holds only: its rule was removed.
    pub(super) fn retire(&mut self) {
        self.retired = true;
        self.settle_looks();
    }

    /// Returns true if it can live on under this rule. What holds packets of flows that the rule
    /// does not look at has to drain instead, or later packets of these flows would overtake them.
    pub(super) fn serves(&self, rule: &Rule) -> bool {
        let (own, other) = (&self.rule.selection, &rule.selection);
        self.rule.key == rule.key
            && own.per == other.per
            && own.chooses_flows_like(other)
            && self.rule.kind.works_like(&rule.kind)
    }

    pub(super) fn retune(&mut self, now: Instant, rule: &Rule, link: &LinkKey, epoch: Instant) {
        let was_retired = std::mem::take(&mut self.retired);
        if self.rule == *rule && !was_retired {
            return;
        }
        let origin = link.origin(rule, epoch);
        match &mut self.work {
            // What it draws depends on packet numbers and on time alone: it has nothing to keep.
            instant @ Work::Instant(_) => {
                *instant = work(rule, origin);
                self.for_cross = None;
            }
            Work::Holding(stage) => {
                let tables = rule.kind.tables();
                let setup = Setup { ordinal: rule.ordinal, origin, tables: &tables };
                stage.retune(now, Some(rule.kind.setting()), setup);
                self.due = stage.deadline();
            }
        }
        self.gate = Gate::new(rule, link);
        self.settle_looks();
        self.rule = rule.clone();
    }

    pub(super) fn held(&self) -> usize {
        match &self.work {
            Work::Instant(_) => 0,
            Work::Holding(stage) => stage.held(),
        }
    }

    /// Returns the rule that decides at once about cross traffic.
    pub(super) fn rule_for_cross(
        &mut self,
        key: &LinkKey,
        epoch: Instant,
    ) -> Option<&mut dyn InstantRule> {
        if self.for_cross.is_none()
            && let Work::Instant(rule) = work(&self.rule, key.origin(&self.rule, epoch))
        {
            self.for_cross = Some(rule);
        }
        self.for_cross.as_deref_mut().map(|rule| rule as _)
    }

    /// Returns true if the rule may look at packets of this flow that come now.
    pub(super) fn looks_at_flow(&self, flow: u32, flows: &KnownFlows, now: Instant) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.admits_flow(flow, flows, now))
    }

    /// Returns true if the rule does not look at this packet.
    #[inline(always)]
    pub(super) fn is_passed_by(&mut self, packet: &Packet, flows: &KnownFlows) -> bool {
        if self.looks_at_all {
            return match &self.work {
                Work::Instant(_) => packet.is_mark(),
                Work::Holding(_) => packet.is_ahead() && self.timing == Timing::Waiting,
            };
        }
        self.is_passed_by_some(packet, flows)
    }

    #[inline(never)]
    fn is_passed_by_some(&mut self, packet: &Packet, flows: &KnownFlows) -> bool {
        let skips = match &self.work {
            Work::Instant(_) => packet.is_mark(),
            Work::Holding(_) => self.holds_nothing_of(packet),
        };
        skips || self.gate.as_mut().is_some_and(|gate| !gate.admits(packet, flows))
    }

    /// Returns true if a rule that holds packets lets this one, or all of a run, skip it.
    fn holds_nothing_of(&self, packet: &Packet) -> bool {
        let Work::Holding(stage) = &self.work else { return false };
        // A packet sent ahead skips waits. A removed rule still takes flows of which it holds
        // packets, so that these keep their order.
        self.timing == Timing::Sending
            || packet.is_ahead() && self.timing == Timing::Waiting
            || self.retired && (stage.held() == 0 || !stage.serves(packet.flow))
    }

    /// Returns true if the rule looks at no packet of this run, false if it looks at all of them;
    /// `None` if it tells them apart.
    pub(super) fn passes_run_by(&mut self, run: &Packet, flows: &KnownFlows) -> Option<bool> {
        let skips = match &self.work {
            Work::Instant(_) => false,
            Work::Holding(_) => self.holds_nothing_of(run),
        };
        match &mut self.gate {
            _ if skips => Some(true),
            None => Some(false),
            Some(gate) => gate.admits_run(run, flows).map(|admits| !admits),
        }
    }
}

/// Builds a rule, for all packets of the link or for those of each flow.
pub(super) fn work(rule: &Rule, origin: Origin) -> Work {
    match rule.selection.per {
        Per::Link => {
            let tables = rule.kind.tables();
            rule.kind.build(Setup { ordinal: rule.ordinal, origin, tables: &tables })
        }
        Per::Flow => per_flow::build(rule, origin),
    }
}
