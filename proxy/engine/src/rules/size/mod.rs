//! `size`: loses what is too large, as a path does whose MTU no sender was told.

mod promise;
mod rule;
mod written;

use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use serde_json::Value;

/// The setting of a `size` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The largest packet that passes, in bytes.
    pub max: u32,
}

impl RuleSyntax for Size {
    type Raw = written::RawSize;

    const NAME: &'static str = "size";
    const EXAMPLE: &'static str = r#""max": "1280B""#;

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl RuleSetting for Size {
    fn timing(&self) -> Timing {
        Timing::Instant
    }

    fn build(&self, _: Setup<'_>) -> Work {
        Work::Instant(Box::new(rule::SizeRule::new(*self)))
    }

    fn promise(&self, traffic: &Traffic) -> Promise {
        promise::promise(self, traffic)
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

    fn warnings(&self, traffic: &Traffic) -> Vec<String> {
        promise::warning(self, traffic).into_iter().collect()
    }
}
