//! The working part of a rule: an instant rule or a stage, or one of them for each flow.

use super::LinkKey;
use super::per_flow::PerFlow;
use crate::packet::Packet;
use crate::profile::{Per, Reorder, Rule, RuleKind};
use crate::rules;
use crate::source::{Origin, Source};
use crate::stage::{Output, Rule as _, Stage as _, Verdict};
use crate::stages;
use jostle_common::time::Instant;

/// The working part of a rule.
#[derive(Debug)]
pub(super) enum Part {
    Drop(rules::Drop),
    Corrupt(rules::Corrupt),
    Duplicate(rules::Duplicate),
    Ahead(rules::Ahead),
    Size(rules::Size),
    Cut(Box<rules::Cut>),
    Delay(Box<stages::Delay>),
    Rate(Box<stages::Rate>),
    Reorder(Box<stages::Reorder>),
    Copies(Box<stages::Copies>),
    Batch(Box<stages::Batch>),
    Hold(Box<stages::Hold>),
    PerFlow(Box<PerFlow>),
}

/// Which part serves a rule. A part lives on under a new setting of the same role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Drop,
    Corrupt,
    Duplicate,
    Ahead,
    Size,
    Cut,
    Delay,
    Rate,
    Reorder,
    Copies,
    Batch,
    Hold,
}

impl Role {
    pub(super) const fn of(kind: &RuleKind) -> Self {
        match kind {
            RuleKind::Drop(_) => Self::Drop,
            RuleKind::Corrupt(_) => Self::Corrupt,
            RuleKind::Duplicate(setting) if setting.gap.is_zero() => Self::Duplicate,
            RuleKind::Duplicate(_) => Self::Copies,
            RuleKind::Reorder(Reorder::Ahead { .. }) => Self::Ahead,
            RuleKind::Reorder(Reorder::Behind { .. }) => Self::Reorder,
            RuleKind::Size(_) => Self::Size,
            RuleKind::Outage(setting) if setting.hold => Self::Hold,
            RuleKind::Outage(_) => Self::Cut,
            RuleKind::Delay(_) => Self::Delay,
            RuleKind::Rate(_) => Self::Rate,
            RuleKind::Batch(_) => Self::Batch,
        }
    }

    /// Whether it decides at once and holds nothing.
    pub(super) const fn is_instant(self) -> bool {
        matches!(
            self,
            Self::Drop | Self::Corrupt | Self::Duplicate | Self::Ahead | Self::Size | Self::Cut
        )
    }
}

/// Does `$work` with the stage inside a part, or gives `$else` for an instant rule.
macro_rules! with_stage {
    ($part:expr, $stage:ident => $work:expr, else $else:expr) => {
        match $part {
            Part::Delay($stage) => $work,
            Part::Rate($stage) => $work,
            Part::Reorder($stage) => $work,
            Part::Copies($stage) => $work,
            Part::Batch($stage) => $work,
            Part::Hold($stage) => $work,
            Part::PerFlow($stage) => $work,
            Part::Drop(_)
            | Part::Corrupt(_)
            | Part::Duplicate(_)
            | Part::Ahead(_)
            | Part::Size(_)
            | Part::Cut(_) => $else,
        }
    };
}

impl Part {
    /// The part that serves `rule` in `link`, whose time began to count at `epoch`.
    pub(super) fn new(rule: &Rule, link: &LinkKey, epoch: Instant) -> Self {
        let origin = Origin { source: Source::of_link(link.stream(&rule.key)), epoch };
        match rule.selection.per {
            Per::Link => Self::of_kind(&rule.kind, rule.ordinal, origin),
            Per::Flow => Self::PerFlow(Box::new(PerFlow::new(rule, origin))),
        }
    }

    /// The part for a kind of rule, the `ordinal`-th of its kind.
    pub(super) fn of_kind(kind: &RuleKind, ordinal: u32, origin: Origin) -> Self {
        match kind {
            RuleKind::Drop(setting) => Self::Drop(rules::Drop::new(setting, origin)),
            RuleKind::Corrupt(setting) => Self::Corrupt(rules::Corrupt::new(setting, origin)),
            RuleKind::Duplicate(setting) if setting.gap.is_zero() => {
                Self::Duplicate(rules::Duplicate::new(*setting, origin))
            }
            RuleKind::Duplicate(setting) => {
                Self::Copies(Box::new(stages::Copies::new(*setting, ordinal, origin)))
            }
            RuleKind::Reorder(Reorder::Ahead { chance }) => {
                Self::Ahead(rules::Ahead::new(*chance, origin))
            }
            RuleKind::Reorder(Reorder::Behind { .. }) => {
                Self::Reorder(Box::new(stages::Reorder::new(held_back(kind), origin)))
            }
            RuleKind::Size(setting) => Self::Size(rules::Size::new(*setting)),
            RuleKind::Outage(setting) if setting.hold => {
                Self::Hold(Box::new(stages::Hold::new(setting, origin)))
            }
            RuleKind::Outage(setting) => Self::Cut(Box::new(rules::Cut::new(setting, origin))),
            RuleKind::Delay(setting) => Self::Delay(Box::new(stages::Delay::new(setting, origin))),
            RuleKind::Rate(setting) => Self::Rate(Box::new(stages::Rate::new(setting, origin))),
            RuleKind::Batch(setting) => Self::Batch(Box::new(stages::Batch::new(*setting, origin))),
        }
    }

    /// Takes on a new setting of the same role at `now`; without one a stage lets packets pass. An
    /// instant rule has nothing to keep: its draws depend on packet numbers and on time alone.
    pub(super) fn retune(
        &mut self,
        now: Instant,
        kind: Option<&RuleKind>,
        ordinal: u32,
        origin: Origin,
    ) {
        match (self, kind) {
            (Self::Delay(stage), Some(RuleKind::Delay(setting))) => stage.retune(Some(setting)),
            (Self::Delay(stage), None) => stage.retune(None),
            (Self::Rate(stage), Some(RuleKind::Rate(setting))) => {
                stage.retune(now, Some(setting), origin)
            }
            (Self::Rate(stage), None) => stage.retune(now, None, origin),
            (Self::Reorder(stage), Some(kind)) => stage.retune(held_back(kind)),
            (Self::Reorder(stage), None) => stage.retune(None),
            (Self::Copies(stage), Some(RuleKind::Duplicate(setting))) => {
                stage.retune(Some(*setting))
            }
            (Self::Copies(stage), None) => stage.retune(None),
            (Self::Batch(stage), Some(RuleKind::Batch(setting))) => {
                stage.retune(now, Some(*setting))
            }
            (Self::Batch(stage), None) => stage.retune(now, None),
            (Self::Hold(stage), Some(RuleKind::Outage(setting))) => {
                stage.retune(now, Some(setting), origin)
            }
            (Self::Hold(stage), None) => stage.retune(now, None, origin),
            (Self::PerFlow(flows), kind) => flows.retune(now, kind),
            (part, Some(kind)) => *part = Self::of_kind(kind, ordinal, origin),
            (_, None) => {}
        }
    }

    /// Judges a packet by an instant rule.
    #[inline]
    pub(super) fn judge(&mut self, packet: &mut Packet) -> Verdict {
        match self {
            Self::Drop(rule) => rule.judge(packet),
            Self::Corrupt(rule) => rule.judge(packet),
            Self::Duplicate(rule) => rule.judge(packet),
            Self::Ahead(rule) => rule.judge(packet),
            Self::Size(rule) => rule.judge(packet),
            Self::Cut(rule) => rule.judge(packet),
            Self::PerFlow(flows) => flows.judge(packet),
            Self::Delay(_)
            | Self::Rate(_)
            | Self::Reorder(_)
            | Self::Copies(_)
            | Self::Batch(_)
            | Self::Hold(_) => {
                unreachable!("a stage judges nothing")
            }
        }
    }

    /// Gives a packet to a stage. How many copies it made of it.
    #[inline]
    pub(super) fn handle(&mut self, packet: Packet) -> u32 {
        match self {
            Self::Delay(stage) => stage.handle(packet),
            Self::Rate(stage) => stage.handle(packet),
            Self::Reorder(stage) => stage.handle(packet),
            Self::Batch(stage) => stage.handle(packet),
            Self::Hold(stage) => stage.handle(packet),
            Self::Copies(stage) => return stage.take(packet),
            Self::PerFlow(flows) => return flows.take(packet),
            Self::Drop(_)
            | Self::Corrupt(_)
            | Self::Duplicate(_)
            | Self::Ahead(_)
            | Self::Size(_)
            | Self::Cut(_) => {
                unreachable!("an instant rule holds nothing")
            }
        }
        0
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        with_stage!(self, stage => stage.deadline(), else None)
    }

    pub(super) fn held(&self) -> usize {
        with_stage!(self, stage => stage.held(), else 0)
    }

    #[inline]
    pub(super) fn poll(&mut self, now: Instant) -> Option<Output> {
        with_stage!(self, stage => stage.poll(now), else None)
    }

    /// Forgets a flow that is over.
    pub(super) fn forget(&mut self, flow: u32) {
        if let Self::PerFlow(flows) = self {
            flows.forget(flow);
        }
    }
}

/// What a `reorder` rule asks of the stage; a rule that sends packets ahead asks nothing.
const fn held_back(kind: &RuleKind) -> Option<stages::ReorderSetting> {
    match kind {
        RuleKind::Reorder(Reorder::Behind { chance, behind, at_most }) => {
            Some(stages::ReorderSetting { chance: *chance, behind: *behind, at_most: *at_most })
        }
        _ => None,
    }
}
