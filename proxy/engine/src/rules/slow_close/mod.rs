//! `slow_close`: holds the end of a delivered stream for a time; its bytes pass.

mod promise;
mod rule;
mod written;

use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::stream::{StreamRule, StreamSetup};
use super::written::ReadFile;
use jostle_common::setting::SettingError;
use serde_json::Value;
use std::time::Duration;

/// The setting of a `slow_close` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowClose {
    /// The time for which the end waits.
    pub delay: Duration,
}

impl RuleSyntax for SlowClose {
    type Raw = written::RawSlowClose;

    const NAME: &'static str = "slow_close";
    const EXAMPLE: &'static str = r#""delay": "2s""#;

    fn read(_: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        Ok(written::read(&raw))
    }
}

impl RuleSetting for SlowClose {
    fn timing(&self) -> Timing {
        Timing::Stream
    }

    fn build(&self, _: Setup<'_>) -> Work {
        Work::passing()
    }

    fn build_stream(&self, _: StreamSetup) -> Option<Box<dyn StreamRule>> {
        Some(Box::new(rule::SlowEnd::new(*self)))
    }

    fn promise(&self, _: &Traffic) -> Promise {
        Promise { is_idle: self.delay.is_zero(), ..Promise::default() }
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
