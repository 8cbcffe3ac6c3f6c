//! `cross`: traffic of others, modelled, which shares what stands behind the rule and ends where
//! the link does.

mod constant;
mod promise;
mod stage;
mod streams;
#[cfg(test)]
mod tests;
mod written;

use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::written::{Fields, ReadFile};
use crate::route::CongestionControl;
use jostle_common::setting::SettingError;
use jostle_common::units::BitRate;
use serde_json::Value;
use std::time::Duration;

/// The setting of a `cross` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cross {
    /// What is sent.
    pub traffic: CrossTraffic,
    /// The time after the start of the rules' time at which it begins; at once if the rule comes
    /// later.
    pub start: Duration,
}

/// The traffic of a `cross` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossTraffic {
    /// Streams of a modelled TCP that always have more to send.
    Tcp {
        /// How many.
        flows: u32,
        /// Their congestion control.
        model: CongestionControl,
        /// The time that an acknowledgement takes back.
        back: Duration,
        /// The speed of the line on which they all come.
        access: BitRate,
    },
    /// Packets at a constant rate, whatever becomes of them.
    Constant {
        /// The rate, in bits of whole packets.
        rate: BitRate,
        /// The size of a packet in bytes.
        size: u32,
    },
}

impl CrossTraffic {
    /// Returns the congestion control of its streams, if it has any.
    const fn model(&self) -> Option<CongestionControl> {
        match self {
            Self::Tcp { model, .. } => Some(*model),
            Self::Constant { .. } => None,
        }
    }
}

/// The most streams of one rule.
pub(super) const FLOWS_MAX: u32 = 64;

/// The time that an acknowledgement takes back, unless stated.
const RETURN_DEFAULT: Duration = Duration::from_millis(10);

/// The speed of the line on which streams come, unless stated: 1 Gbit/s.
const ACCESS_DEFAULT: u64 = 1_000_000_000;

/// The size of a packet at a constant rate, unless stated.
const SIZE_DEFAULT: u32 = 1500;

impl RuleSyntax for Cross {
    type Raw = written::RawCross;

    const NAME: &'static str = "cross";
    const EXAMPLE: &'static str = r#""tcp": 1, "return": "20ms""#;
    const ONE_OF: &'static [&'static str] = &["tcp", "rate"];

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl RuleSetting for Cross {
    fn timing(&self) -> Timing {
        Timing::Sending
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        Work::Holding(Box::new(stage::CrossStage::new(*self, setup)))
    }

    fn promise(&self, _: &Traffic) -> Promise {
        Promise::default()
    }

    fn numbers(&self, _: &Traffic) -> Value {
        promise::numbers(self)
    }

    fn brief(&self) -> String {
        promise::brief(self)
    }

    fn words(&self, _: &Traffic) -> String {
        promise::words(self)
    }
}
