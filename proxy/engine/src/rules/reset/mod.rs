//! `reset`: tears a connection down towards both sides, some time after the first that comes out of
//! a delivered stream.

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
    const SHORTHANDS: &'static [&'static str] = &["reset"];

    fn read(_: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        Ok(written::read(&raw))
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        Ok(shorthand.reset.map(|after| Self { after: after.0 }))
    }
}

impl StreamSetting for Reset {
    fn build_stream(&self, _: StreamSetup) -> Box<dyn StreamRule> {
        Box::new(rule::Resetting::new(*self))
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
