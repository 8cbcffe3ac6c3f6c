//! The packets that a rule looks at: the fields that every rule may have besides its own.

mod written;

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
}

/// Bytes that must stand at an offset of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchBytes {
    /// The offset, in bytes from the start of the payload.
    pub offset: usize,
    /// The bytes.
    pub value: Bytes,
}
