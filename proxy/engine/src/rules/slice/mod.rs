//! `slice`: lets a delivered stream out in small pieces, each followed by a gap.

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
}

impl RuleSetting for Slice {
    fn timing(&self) -> Timing {
        Timing::Stream
    }

    fn build(&self, _: Setup<'_>) -> Work {
        Work::passing()
    }

    fn build_stream(&self, setup: StreamSetup) -> Option<Box<dyn StreamRule>> {
        Some(Box::new(rule::Slicer::new(*self, setup.source)))
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
