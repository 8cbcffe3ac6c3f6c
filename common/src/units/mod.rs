//! Quantities with their units: what a profile says (`"2%"`, `"50ms"`, `"10Mbit/s"`, `"64KiB"`) and
//! what the engine computes with.
//!
//! Each parses what it prints. A missing or foreign unit is refused with what to write instead; `0`
//! needs none.

mod bit_rate;
mod byte_size;
mod duration;
mod frequency;
mod number;
mod packet_rate;
mod probability;
mod read;
mod schema;
mod spelling;

pub use bit_rate::BitRate;
pub use byte_size::ByteSize;
pub use duration::{format_duration, parse_duration};
pub use frequency::Frequency;
pub use packet_rate::PacketRate;
pub use probability::{Probability, Threshold};
pub use read::Span;
pub use spelling::{parse_seconds, parse_seed};

/// A quantity that was refused: what was found, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{finding}; {remedy}")]
pub struct UnitError {
    finding: String,
    remedy: String,
}

impl UnitError {
    /// Creates an error from what was found and what to write instead.
    pub fn new(finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { finding: finding.into(), remedy: remedy.into() }
    }
}
