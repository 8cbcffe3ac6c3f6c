//! `close_after`: closes a connection after so many bytes of a delivered stream, or so long after
//! it opened.

mod promise;
mod rule;
mod written;

use super::promise::{Loss, Promise};
use super::setting::RuleSyntax;
use super::stream::{StreamRule, StreamSetting, StreamSetup};
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use serde_json::Value;
use std::time::Duration;

/// The setting of a `close_after` rule: one bound at least, and the first that is reached counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseAfter {
    /// The bytes after which the connection is closed.
    pub bytes: Option<u64>,
    /// The time after which it is closed.
    pub time: Option<Duration>,
}

impl RuleSyntax for CloseAfter {
    type Raw = written::RawCloseAfter;

    const NAME: &'static str = "close_after";
    const EXAMPLE: &'static str = r#""bytes": "64KiB", "time": "30s""#;

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl StreamSetting for CloseAfter {
    fn build_stream(&self, setup: StreamSetup) -> Box<dyn StreamRule> {
        Box::new(rule::Closing::new(*self, setup.since))
    }

    fn promise(&self) -> Promise {
        Promise { loss: Loss::Unknown, ..Promise::default() }
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
