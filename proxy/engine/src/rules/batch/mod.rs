//! `batch`: gathers packets and lets them go, or loses them, together.

mod promise;
mod stage;
mod written;

use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use jostle_common::units::{ByteSize, Probability};
use serde_json::Value;
use std::time::Duration;

/// The setting of a `batch` rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch {
    /// The longest that a packet is held.
    pub window: Duration,
    /// The trigger that opens a window, and what closes it early.
    pub trigger: BatchTrigger,
    /// The fate of the packets in it.
    pub then: BatchThen,
}

/// The trigger that opens a window and closes it.
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

/// The fate of gathered packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchThen {
    /// They go on together.
    #[default]
    Release,
    /// They are lost together.
    Drop,
}

impl RuleSyntax for Batch {
    type Raw = written::RawBatch;

    const NAME: &'static str = "batch";
    const EXAMPLE: &'static str = r#""window": "5ms", "packets": 42"#;

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl RuleSetting for Batch {
    fn timing(&self) -> Timing {
        Timing::Waiting
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        Work::Holding(Box::new(stage::BatchStage::new(*self, setup.origin)))
    }

    fn promise(&self, _: &Traffic) -> Promise {
        promise::promise(self)
    }

    fn numbers(&self, traffic: &Traffic) -> Value {
        promise::numbers(self, traffic)
    }

    fn brief(&self) -> String {
        promise::brief(self)
    }

    fn words(&self, traffic: &Traffic) -> String {
        promise::words(self, traffic)
    }
}
