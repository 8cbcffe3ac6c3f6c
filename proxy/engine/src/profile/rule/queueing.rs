//! `duplicate`, `reorder` and `rate`: how packets are copied, overtaken and serialised.

use super::Queue;
use crate::profile::trace::RateTrace;
use jostle_common::units::{BitRate, ByteSize, Probability};
use std::sync::Arc;
use std::time::Duration;

/// How packets are copied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duplicate {
    /// The probability that a packet is copied.
    pub chance: Probability,
    /// How many copies are made beside the original.
    pub copies: u32,
    /// The time from the original to the first copy, and from copy to copy.
    pub gap: Duration,
}

/// How packets change places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reorder {
    /// A chosen packet is held back until later ones have passed it.
    Behind {
        /// The probability that a packet is held back.
        chance: Probability,
        /// How many later packets pass it.
        behind: u32,
        /// The longest it waits for them.
        at_most: Duration,
    },
    /// A chosen packet skips every later wait of the link.
    Ahead {
        /// The probability that a packet skips them.
        chance: Probability,
    },
}

impl Reorder {
    /// The longest hold-back unless told otherwise.
    pub const AT_MOST_DEFAULT: Duration = Duration::from_millis(50);
}

/// How fast packets are serialised.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The speed.
    pub source: RateSource,
    /// How much may wait in front; `None` is 100 ms or 10 packets, whichever is more: at 56 kbit/s
    /// 100 ms would not hold one full packet.
    pub queue: Option<Queue>,
    /// Which packet goes when the queue is full, or before it is.
    pub discipline: Discipline,
    /// Bytes counted per packet on top of its size.
    pub overhead: u32,
    /// Bytes that pass at once after a pause: the depth of a token bucket.
    pub burst: ByteSize,
}

impl Rate {
    /// A constant rate with the default queue.
    pub const fn constant(limit: BitRate) -> Self {
        Self {
            source: RateSource::Limit(limit),
            queue: None,
            discipline: Discipline::Tail,
            overhead: 0,
            burst: ByteSize::new(0),
        }
    }
}

/// Where the speed comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum RateSource {
    /// A constant.
    Limit(BitRate),
    /// Delivery opportunities in time.
    Trace(Arc<RateTrace>),
}

/// Which packet a queue discards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    /// The one that finds it full.
    #[default]
    Tail,
    /// The one that has waited longest, when another finds it full.
    Head,
    /// Those at its head, while the wait stays above a target (RFC 8289); the bound still holds.
    Codel {
        /// The wait that is acceptable for long.
        target: Duration,
        /// How long it may be exceeded, the order of a round trip.
        interval: Duration,
    },
}

impl Discipline {
    /// CoDel with the target of 5 ms and the interval of 100 ms of RFC 8289 §4.2 and §4.3.
    pub const CODEL_DEFAULT: Self =
        Self::Codel { target: Duration::from_millis(5), interval: Duration::from_millis(100) };
}
