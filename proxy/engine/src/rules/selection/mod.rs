//! Which packets a rule looks at: what every rule may say beside its own settings.

mod written;

pub(crate) use written::RawSelection;

use bytes::Bytes;
use jostle_common::units::Probability;
use std::ops::RangeInclusive;

/// Which packets a rule looks at, and how it counts them. The others pass it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Whether it counts, and holds, all packets of the link together or those of each flow.
    pub per: Per,
    /// The chance that a flow is affected at all.
    pub flows: Probability,
    /// What a packet must be like; `None`: any.
    pub matching: Option<Match>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { per: Per::Link, flows: Probability::ALWAYS, matching: None }
    }
}

/// Whose packets a rule counts, and whose queue it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// All packets of the link share one rule.
    #[default]
    Link,
    /// Each flow has a rule of its own: its own counts, queue and state.
    Flow,
}

/// What a packet must be like; all that is given must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its size in bytes, overhead included.
    pub size: RangeInclusive<u32>,
    /// Its number, in the link or in its flow (`per`), from 1.
    pub number: RangeInclusive<u64>,
    /// What stands in its payload.
    pub bytes: Option<MatchBytes>,
}

/// Bytes that must stand at an offset of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchBytes {
    /// Where, in bytes from the start of the payload.
    pub offset: usize,
    /// What.
    pub value: Bytes,
}
