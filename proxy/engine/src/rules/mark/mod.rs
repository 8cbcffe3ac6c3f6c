//! `mark`: tells of congestion, as a router does that marks packets instead of dropping them (RFC
//! 3168).

mod promise;
mod rule;
mod written;

use super::drop::Drop;
use super::promise::{Decision, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::shorthand::Shorthand;
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use serde_json::Value;

/// The setting of a `mark` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The packets that it marks: those that such a `drop` rule would lose.
    pub chosen: Drop,
}

impl RuleSyntax for Mark {
    type Raw = written::RawMark;

    const NAME: &'static str = "mark";
    const EXAMPLE: &'static str = r#""chance": "2%""#;
    const ONE_OF: &'static [&'static str] = Drop::ONE_OF;
    const SHORTHANDS: &'static [&'static str] = &["mark"];

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, raw)
    }

    fn write(&self) -> Fields {
        self.chosen.write()
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        Ok(shorthand.mark.map(|chance| Self { chosen: Drop::Chance(chance) }))
    }
}

impl RuleSetting for Mark {
    fn timing(&self) -> Timing {
        Timing::Instant
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        Work::Instant(Box::new(rule::MarkRule::new(self, setup.origin)))
    }

    fn promise(&self, traffic: &Traffic) -> Promise {
        promise::promise(self, traffic)
    }

    fn numbers(&self, traffic: &Traffic) -> Value {
        promise::numbers(self, traffic)
    }

    fn brief(&self) -> String {
        self.chosen.brief()
    }

    fn words(&self, traffic: &Traffic) -> String {
        promise::words(self, traffic)
    }

    fn warnings(&self, traffic: &Traffic) -> Vec<String> {
        promise::warning(self, traffic).into_iter().collect()
    }

    fn decision(&self) -> Option<Decision> {
        self.chosen.decision()
    }
}
