//! `slice`: lets a delivered stream out in small pieces, each followed by a gap.

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

/// The setting of a `slice` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The mean size of a piece in bytes, at least 1.
    pub size: u64,
    /// A piece is smaller or larger by so many bytes at most; a piece has at least one.
    pub spread: u64,
    /// The time that follows each piece.
    pub gap: Duration,
}

impl RuleSyntax for Slice {
    type Raw = written::RawSlice;

    const NAME: &'static str = "slice";
    const EXAMPLE: &'static str = r#""size": "100B", "spread": "20B", "gap": "5ms""#;

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl StreamSetting for Slice {
    fn build_stream(&self, setup: StreamSetup) -> Box<dyn StreamRule> {
        Box::new(rule::Slicer::new(*self, setup.source))
    }

    fn promise(&self) -> Promise {
        Promise::default()
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
