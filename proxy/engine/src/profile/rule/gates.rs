//! `batch`, `outage` and `size`: gates that open and close.

use jostle_common::units::{ByteSize, Probability};
use std::time::Duration;

/// How packets are gathered and let go together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch {
    /// The longest that a packet is held.
    pub window: Duration,
    /// What opens a window, and what closes it early.
    pub trigger: BatchTrigger,
    /// What becomes of the packets in it.
    pub then: Then,
}

/// When a window opens and closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BatchTrigger {
    /// A packet that comes while no window is open opens one with this probability; it lasts its
    /// whole time (clumsy's throttle).
    Chance(Probability),
    /// Every packet that comes while no window is open opens one; it closes when so much is in it,
    /// or with its time (netem's slots).
    Slot {
        /// The most packets of a slot.
        packets: Option<u64>,
        /// A slot closes when it holds at least so many bytes.
        bytes: Option<ByteSize>,
    },
}

/// What becomes of gathered packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// They go on together.
    #[default]
    Release,
    /// They are lost together.
    Drop,
}

/// When the link is cut: up first, then down, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How long it works.
    pub up: Duration,
    /// How long it does not.
    pub down: Duration,
    /// Whether both times are drawn from an exponential distribution with these means.
    pub random: bool,
    /// Whether packets wait for the link instead of being lost.
    pub hold: bool,
}

/// Which packets are too large to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The largest that passes, in bytes.
    pub max: u32,
}
