//! `reorder`: lets later packets overtake a chosen one, or a chosen one overtake earlier ones.

mod ahead;
mod behind;
mod promise;
mod written;

use super::promise::{Decision, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::shorthand::Shorthand;
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use jostle_common::units::Probability;
use serde_json::Value;
use std::time::Duration;

/// The setting of a `reorder` rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reorder {
    /// A chosen packet is held back until later ones have passed it.
    Behind {
        /// The probability that a packet is held back.
        chance: Probability,
        /// The number of later packets that pass it.
        behind: u32,
        /// The longest it waits for them.
        at_most: Duration,
    },
    /// A chosen packet skips every later wait of the link.
    Ahead {
        /// The probability that a packet skips them.
        chance: Probability,
    },
}

/// The number of packets that pass one that is held back, unless stated.
const BEHIND_DEFAULT: u32 = 1;

/// The longest hold-back, unless stated.
const AT_MOST_DEFAULT: Duration = Duration::from_millis(50);

impl Reorder {
    /// Returns the share of packets that is chosen.
    const fn chance(self) -> Probability {
        match self {
            Self::Behind { chance, .. } | Self::Ahead { chance } => chance,
        }
    }
}

impl RuleSyntax for Reorder {
    type Raw = written::RawReorder;

    const NAME: &'static str = "reorder";
    const EXAMPLE: &'static str = r#""chance": "1%", "behind": 3"#;
    const SHORTHANDS: &'static [&'static str] = &["reorder"];

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        let behind =
            |chance| Self::Behind { chance, behind: BEHIND_DEFAULT, at_most: AT_MOST_DEFAULT };
        Ok(shorthand.reorder.map(behind))
    }
}

impl RuleSetting for Reorder {
    fn timing(&self) -> Timing {
        match self {
            Self::Ahead { .. } => Timing::Instant,
            Self::Behind { .. } => Timing::Waiting,
        }
    }

    fn skips_waits(&self) -> bool {
        matches!(self, Self::Ahead { .. })
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        match self {
            Self::Ahead { chance } => {
                Work::Instant(Box::new(ahead::Ahead::new(*chance, setup.origin)))
            }
            Self::Behind { .. } => Work::Holding(Box::new(behind::Behind::new(self, setup.origin))),
        }
    }

    fn promise(&self, _: &Traffic) -> Promise {
        Promise { is_idle: self.chance().is_never(), ..Promise::default() }
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

    fn warnings(&self, traffic: &Traffic) -> Vec<String> {
        promise::warning(self, traffic).into_iter().collect()
    }

    fn decision(&self) -> Option<Decision> {
        Some(Decision::Below(self.chance()))
    }
}
