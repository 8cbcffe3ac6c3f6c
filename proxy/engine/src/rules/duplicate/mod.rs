//! `duplicate`: sends copies of a packet behind it.

mod promise;
mod rule;
mod stage;
mod written;

use super::promise::{Decision, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::shorthand::Shorthand;
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use jostle_common::units::Probability;
use serde_json::Value;
use std::time::Duration;

/// The setting of a `duplicate` rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duplicate {
    /// The probability that a packet is copied.
    pub chance: Probability,
    /// The number of copies that are made besides the original.
    pub copies: u32,
    /// The time from the original to the first copy, and from copy to copy.
    pub gap: Duration,
}

/// The number of copies that are made, unless stated.
const COPIES_DEFAULT: u32 = 1;

/// A copy's number has so many bits for each rule that copies.
const COPY_BITS: u32 = 6;

/// The most copies that one rule makes of a packet.
const COPIES_MAX: u32 = (1 << COPY_BITS) - 1;

/// The most rules per direction that copy: a copy's number has room for 30 bits.
pub(crate) const RULES_MAX: u32 = 5;

/// Returns the number of the `index`-th copy (from 1) that the `ordinal`-th duplicate rule makes of
/// copy `parent`.
///
/// Each rule counts in a digit of its own in base 64, so copies of copies never share a number and
/// no rule's copies change theirs when another rule comes or goes.
pub(crate) const fn copy_number(parent: u32, ordinal: u32, index: u32) -> u32 {
    parent + (index << (COPY_BITS * ordinal))
}

impl RuleSyntax for Duplicate {
    type Raw = written::RawDuplicate;

    const NAME: &'static str = "duplicate";
    const EXAMPLE: &'static str = r#""chance": "1%", "copies": 2, "gap": "3ms""#;
    const SHORTHANDS: &'static [&'static str] = &["duplicate"];

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        let made = |chance| Self { chance, copies: COPIES_DEFAULT, gap: Duration::ZERO };
        Ok(shorthand.duplicate.map(made))
    }
}

impl RuleSetting for Duplicate {
    fn timing(&self) -> Timing {
        if self.gap.is_zero() { Timing::Instant } else { Timing::Trailing }
    }

    fn copies_max(&self) -> u32 {
        self.copies
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        if self.gap.is_zero() {
            Work::Instant(Box::new(rule::DuplicateRule::new(*self, setup.origin)))
        } else {
            Work::Holding(Box::new(stage::Copies::new(*self, setup.ordinal, setup.origin)))
        }
    }

    fn promise(&self, _: &Traffic) -> Promise {
        Promise { is_idle: self.chance.is_never(), ..Promise::default() }
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

    fn decision(&self) -> Option<Decision> {
        Some(Decision::Below(self.chance))
    }
}
