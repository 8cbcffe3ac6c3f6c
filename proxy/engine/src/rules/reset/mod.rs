//! `reset`: tears a connection down towards both sides, some time after the first that comes out of
//! a delivered stream.

mod promise;
mod rule;
mod written;

use super::promise::{Loss, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::stream::{StreamRule, StreamSetup};
use super::written::ReadFile;
use jostle_common::setting::SettingError;
use serde_json::Value;
use std::time::Duration;

/// The setting of a `reset` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The time from the first data, or the end, to the reset.
    pub after: Duration,
}

impl RuleSyntax for Reset {
    type Raw = written::RawReset;

    const NAME: &'static str = "reset";
    const EXAMPLE: &'static str = r#""after": "100ms""#;

    fn read(_: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        Ok(written::read(&raw))
    }
}

impl RuleSetting for Reset {
    fn timing(&self) -> Timing {
        Timing::Stream
    }

    fn build(&self, _: Setup<'_>) -> Work {
        Work::passing()
    }

    fn build_stream(&self, _: StreamSetup) -> Option<Box<dyn StreamRule>> {
        Some(Box::new(rule::Resetting::new(*self)))
    }

    fn promise(&self, _: &Traffic) -> Promise {
        Promise { loss: Loss::Unknown, ..Promise::default() }
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
