//! The packets that a rule looks at: the fields that every rule may have besides its own.

mod flow;
mod written;

pub use flow::FlowMatch;
pub(crate) use written::{RawSelection, write};

use bytes::Bytes;
use jostle_common::units::Probability;
use std::ops::RangeInclusive;

/// The packets that a rule looks at, and how it counts them. The others pass it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The packets that it counts, and holds, as one: all those of the link, or those of each flow.
    pub per: Per,
    /// The chance that a flow is affected at all.
    pub flows: Probability,
    /// The conditions that a packet must meet; `None`: any packet.
    pub matching: Option<Match>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { per: Per::Link, flows: Probability::ALWAYS, matching: None }
    }
}

/// The owner of the packets that a rule counts, and of its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// All packets of the link share one rule.
    #[default]
    Link,
    /// Each flow has a rule of its own: its own counts, queue and state.
    Flow,
}

/// The conditions that a packet must meet; all that are given must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its size in bytes, overhead included.
    pub size: RangeInclusive<u32>,
    /// Its number, in the link or in its flow (`per`), from 1.
    pub number: RangeInclusive<u64>,
    /// The bytes that stand in its payload.
    pub bytes: Option<MatchBytes>,
    /// The flows or connections of which it is; `None`: any.
    pub flow: Option<FlowMatch>,
}

impl Selection {
    /// Returns true if the rule looks at packets of a flow of this number, `flows` apart.
    pub(crate) fn matches_flow(&self, flow: u32) -> bool {
        let chosen = self.matching.as_ref().and_then(|matching| matching.flow);
        chosen.is_none_or(|chosen| chosen.admits(flow))
    }
}

impl Match {
    /// Returns true if it asks for nothing but flows, so that it can be heeded without packets.
    pub fn is_of_flows_alone(&self) -> bool {
        let Self { size, number, bytes, flow: _ } = self;
        *size == (0..=u32::MAX) && *number == (1..=u64::MAX) && bytes.is_none()
    }
}

/// Bytes that must stand at an offset of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchBytes {
    /// The offset, in bytes from the start of the payload.
    pub offset: usize,
    /// The bytes.
    pub value: Bytes,
}
