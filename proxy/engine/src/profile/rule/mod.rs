//! The rules of a profile, as valid values. Each kind has a file of its own.

mod corrupt;
mod delay;
mod drop;
mod gates;
mod queue;
mod queueing;
mod select;

pub use corrupt::{Corrupt, Flips};
pub use delay::{Delay, DelaySource, Shape};
pub use drop::{BurstLength, Drop, FourState};
pub use gates::{Batch, BatchTrigger, Outage, Size, Then as BatchThen};
pub use queue::Queue;
pub use queueing::{Discipline, Duplicate, Rate, RateSource, Reorder};
pub use select::{Match, MatchBytes, Per, Selection};

/// One rule of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Who the rule is, in its draws, in counters and in events: its `name`, or its kind and
    /// ordinal among its kind (`drop`, `drop#2`).
    pub key: String,
    /// How many rules of the same kind stand before it in this direction.
    pub ordinal: u32,
    /// Which packets it looks at.
    pub selection: Selection,
    /// What it does.
    pub kind: RuleKind,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// Loses packets.
    Drop(Drop),
    /// Flips bits.
    Corrupt(Corrupt),
    /// Holds packets for a time.
    Delay(Delay),
    /// Makes copies.
    Duplicate(Duplicate),
    /// Lets later packets overtake, or a packet overtake earlier ones.
    Reorder(Reorder),
    /// Serialises packets at a rate, with a queue in front.
    Rate(Rate),
    /// Gathers packets and lets them go together.
    Batch(Batch),
    /// Cuts the link from time to time.
    Outage(Outage),
    /// Loses what is too large.
    Size(Size),
}

impl Rule {
    /// The only rule of its kind, for every packet.
    pub fn only(kind: RuleKind) -> Self {
        Self { key: kind.name().to_owned(), ordinal: 0, selection: Selection::default(), kind }
    }
}

impl RuleKind {
    /// The name of the kind, as written in a profile.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drop(_) => "drop",
            Self::Corrupt(_) => "corrupt",
            Self::Delay(_) => "delay",
            Self::Duplicate(_) => "duplicate",
            Self::Reorder(_) => "reorder",
            Self::Rate(_) => "rate",
            Self::Batch(_) => "batch",
            Self::Outage(_) => "outage",
            Self::Size(_) => "size",
        }
    }
}
