//! `corrupt`: flips bits of the payload, an exact number of distinct ones or each with a
//! probability.

mod promise;
mod rule;
mod written;

use super::promise::{Decision, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::shorthand::Shorthand;
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use jostle_common::units::Probability;
use serde_json::Value;
use std::ops::Range;

/// The setting of a `corrupt` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrupt {
    /// The frequency of flips, and their number.
    pub flips: Flips,
    /// The bytes of the payload that may be hit; all of them when `None`.
    pub range: Option<Range<u64>>,
}

/// The choice of bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flips {
    /// With this probability exactly so many distinct bits.
    Bits {
        /// The probability that a packet is hit.
        chance: Probability,
        /// The number of distinct bits that are flipped then.
        bits: u32,
    },
    /// With this probability so many distinct bytes get another value, each of the 255 alike.
    Bytes {
        /// The probability that a packet is hit.
        chance: Probability,
        /// The number of distinct bytes that are replaced then.
        bytes: u32,
    },
    /// Each bit on its own, with this probability.
    Rate(Probability),
}

/// The number of bits that are flipped in a packet that is hit, unless stated.
const BITS_DEFAULT: u32 = 1;

impl Corrupt {
    /// Returns the bits that may be hit in a body of `bytes` bytes.
    fn bit_range(&self, bytes: u64) -> Range<u64> {
        match &self.range {
            Some(range) => range.start.min(bytes) * 8..range.end.min(bytes) * 8,
            None => 0..bytes * 8,
        }
    }
}

impl RuleSyntax for Corrupt {
    type Raw = written::RawCorrupt;

    const NAME: &'static str = "corrupt";
    const EXAMPLE: &'static str = r#""chance": "1%", "bits": 3"#;
    const ONE_OF: &'static [&'static str] = &["chance", "bit_error_rate"];
    const SHORTHANDS: &'static [&'static str] = &["corrupt"];

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        let flips = |chance| Flips::Bits { chance, bits: BITS_DEFAULT };
        Ok(shorthand.corrupt.map(|chance| Self { flips: flips(chance), range: None }))
    }
}

impl RuleSetting for Corrupt {
    fn timing(&self) -> Timing {
        Timing::Instant
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        Work::Instant(Box::new(rule::CorruptRule::new(self, setup.origin)))
    }

    fn promise(&self, _: &Traffic) -> Promise {
        Promise::default()
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
        vec![promise::warning(self, traffic)]
    }

    fn decision(&self) -> Option<Decision> {
        match self.flips {
            Flips::Bits { chance, .. } | Flips::Bytes { chance, .. } => {
                Some(Decision::Below(chance))
            }
            Flips::Rate(_) => None,
        }
    }
}
