//! `outage`: cuts the link from time to time.

mod cut;
mod hold;
mod promise;
mod written;

use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::sojourns::Sojourns;
use super::source::Origin;
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use serde_json::Value;
use std::time::Duration;

/// The setting of an `outage` rule: up first, then down, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The time for which it works; zero, which goes with `hold` alone, if it never does.
    pub up: Duration,
    /// The time for which it does not.
    pub down: Duration,
    /// True if both times are drawn from an exponential distribution with these means.
    pub random: bool,
    /// True if packets wait for the link instead of being lost.
    pub hold: bool,
}

impl Outage {
    /// Makes the spans of time in which the link works or is cut.
    pub(crate) fn spans(&self, origin: Origin) -> Sojourns {
        Sojourns::starting_up(self.up, self.down, self.random, origin)
    }
}

impl RuleSyntax for Outage {
    type Raw = written::RawOutage;

    const NAME: &'static str = "outage";
    const EXAMPLE: &'static str = r#""up": "10s", "down": "300ms", "random": true"#;

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl RuleSetting for Outage {
    fn timing(&self) -> Timing {
        if self.hold { Timing::Waiting } else { Timing::Instant }
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        if self.hold {
            Work::Holding(Box::new(hold::Hold::new(self, setup.origin)))
        } else {
            Work::Instant(Box::new(cut::Cut::new(self, setup.origin)))
        }
    }

    fn promise(&self, traffic: &Traffic) -> Promise {
        promise::promise(self, traffic)
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

    fn warnings(&self, _: &Traffic) -> Vec<String> {
        promise::warning(self).into_iter().collect()
    }
}
