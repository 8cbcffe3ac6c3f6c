//! `stall`: discards what comes out of a delivered stream, and may close the connection when it
//! falls silent.

mod promise;
mod rule;
mod written;

use super::promise::{Loss, Promise};
use super::setting::RuleSyntax;
use super::shorthand::Shorthand;
use super::stream::{StreamRule, StreamSetting, StreamSetup};
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use serde_json::Value;
use std::time::Duration;

/// The setting of a `stall` rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stall {
    /// The bytes that pass before it begins.
    pub after: u64,
    /// The silence after which it closes the connection; `None`: never.
    pub close: Option<Duration>,
}

impl RuleSyntax for Stall {
    type Raw = written::RawStall;

    const NAME: &'static str = "stall";
    const EXAMPLE: &'static str = r#""after": "10KiB", "close": "5s""#;
    const SHORTHANDS: &'static [&'static str] = &["stall"];

    fn read(_: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        Ok(written::read(&raw))
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        Ok(shorthand.stall.map(|after| Self { after: after.bytes(), close: None }))
    }
}

impl StreamSetting for Stall {
    fn build_stream(&self, setup: StreamSetup) -> Box<dyn StreamRule> {
        Box::new(rule::Stalled::new(*self, setup.since))
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
