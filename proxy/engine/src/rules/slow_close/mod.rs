//! `slow_close`: holds the end of a delivered stream for a time; its bytes pass.

mod promise;
mod rule;
mod written;

use super::promise::Promise;
use super::setting::RuleSyntax;
use super::stream::{StreamRule, StreamSetting, StreamSetup};
use super::written::{Fields, ReadFile};
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

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl StreamSetting for SlowClose {
    fn build_stream(&self, _: StreamSetup) -> Box<dyn StreamRule> {
        Box::new(rule::SlowEnd::new(*self))
    }

    fn promise(&self) -> Promise {
        Promise { is_idle: self.delay.is_zero(), ..Promise::default() }
    }

    fn numbers(&self) -> Value {
        promise::numbers(self)
    }

    fn brief(&self) -> String {
        promise::brief(self)
    }

    fn words(&self) -> String {
        promise::words(self)
    }
}
