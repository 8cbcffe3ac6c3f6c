//! `drop`: loses packets, one by one, in bursts of packets or of time, by a Markov chain, or by
//! their numbers.

mod chain;
mod promise;
mod rule;
mod states;
mod written;

pub(super) use promise::amount;
pub(super) use rule::DropRule;
pub(super) use written::{RawDrop, read_as as read_choice};

use super::promise::{Decision, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::shorthand::Shorthand;
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use jostle_common::units::{Probability, Span, parse_duration};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Shorter bursts than this are over before the next packet comes.
const BURST_TIME_MIN: Duration = Duration::from_millis(1);

/// The setting of a `drop` rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Drop {
    /// Each packet on its own, with this probability.
    Chance(Probability),
    /// Bursts of geometrically distributed length.
    Burst {
        /// The share of all packets that is lost, or the share of time.
        mean: Probability,
        /// The mean length of a burst.
        length: BurstLength,
    },
    /// The Gilbert–Elliott model: a good and a bad state with a loss probability each (Elliott
    /// 1963).
    GilbertElliott {
        /// The probability, per packet, to go from good to bad.
        p: Probability,
        /// The probability, per packet, to go from bad to good.
        r: Probability,
        /// The probability of loss in the bad state.
        loss_bad: Probability,
        /// The probability of loss in the good state.
        loss_good: Probability,
    },
    /// The four-state model of netem (`loss state`; Salsano et al. 2012).
    FourState(FourState),
    /// Each n-th packet: the n-th, the 2n-th …
    Every(u64),
    /// The packets of these numbers, ascending. Shared, for a rule per flow has it many times.
    Packets(Arc<[u64]>),
    /// After *k* losses in a row the next packet is lost with the *k*-th probability; after more
    /// than the list has, with its last.
    Pattern(Vec<Probability>),
}

/// The mean length of a burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BurstLength {
    /// In packets, at least 1; lengths are geometric.
    Packets(f64),
    /// In time; lengths are exponential, and so are the gaps between.
    Time(Duration),
}

impl FromStr for BurstLength {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().parse().ok().filter(|number| f64::is_finite(*number));
        let time = || parse_duration(text).map(Self::Time);
        number.map(Self::Packets).map_or_else(time, Ok).map_err(|_| {
            format!(
                "\"{text}\" is no length; write a number of packets such as 3, or a time such as \
                 \"200ms\""
            )
        })
    }
}

impl fmt::Display for BurstLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packets(packets) => packets.fmt(f),
            Self::Time(time) => Span(*time).fmt(f),
        }
    }
}

/// Transitions of the four-state model, per packet; a packet's fate is the state that it enters.
/// State 1 is the gap between bursts, 3 a loss within a burst, 2 an arrival within a burst, 4 a
/// loss on its own, which always returns to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FourState {
    /// From the gap into a burst.
    pub p13: Probability,
    /// Out of a burst.
    pub p31: Probability,
    /// From a loss to an arrival within a burst.
    pub p32: Probability,
    /// From an arrival to a loss within a burst.
    pub p23: Probability,
    /// From the gap to a loss on its own.
    pub p14: Probability,
}

impl Drop {
    /// Creates a rule of bursts of `length` packets on average that lose a share `mean` of all.
    ///
    /// # Errors
    /// When no such bursts exist: the field that is wrong (`length` or `mean`), and the problem.
    pub fn burst(mean: Probability, length: f64) -> Result<Self, (&'static str, String)> {
        if !(1.0..=1e6).contains(&length) {
            return Err((
                "length",
                format!(
                    "a burst of {length} packets is none; write a mean length from 1 to 1000000"
                ),
            ));
        }
        // Between two bursts at least one packet arrives.
        let most = length / (length + 1.0);
        if mean.as_f64() > most {
            let most = (most * 1000.0).floor() / 10.0;
            let problem = format!(
                "bursts of {length} packets cannot lose more than {most}%; write a longer burst or \
                 a lower mean"
            );
            return Err(("mean", problem));
        }
        Ok(Self::Burst { mean, length: BurstLength::Packets(length) })
    }

    /// Creates a rule of bursts of a mean length, in packets or in time.
    ///
    /// # Errors
    /// When no such bursts exist: the field that is wrong (`length` or `mean`), and the problem.
    pub fn burst_of(
        mean: Probability,
        length: BurstLength,
    ) -> Result<Self, (&'static str, String)> {
        let time = match length {
            BurstLength::Packets(length) => return Self::burst(mean, length),
            BurstLength::Time(time) => time,
        };
        if time < BURST_TIME_MIN {
            let problem =
                format!("{} is too short; write at least {}", Span(time), Span(BURST_TIME_MIN));
            return Err(("length", problem));
        }
        if mean == Probability::ALWAYS {
            let problem = "bursts that last all the time never end; write \"chance\": \"100%\" \
                           instead";
            return Err(("mean", problem.to_owned()));
        }
        Ok(Self::Burst { mean, length })
    }
}

impl RuleSyntax for Drop {
    type Raw = RawDrop;

    const NAME: &'static str = "drop";
    const EXAMPLE: &'static str = r#""burst": { "mean": "2%", "length": 3 }"#;
    const ONE_OF: &'static [&'static str] =
        &["chance", "burst", "gilbert_elliott", "four_state", "every", "packets", "pattern"];
    const SHORTHANDS: &'static [&'static str] = &["drop", "burst"];

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        let refuse = |problem: String| SettingError::new("--burst", problem);
        match (shorthand.drop, shorthand.burst) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(refuse("there is no loss to shape; add --drop 5%, say".into())),
            (Some(chance), None) => Ok(Some(Self::Chance(chance))),
            (Some(mean), Some(length)) => {
                Self::burst_of(mean, length).map(Some).map_err(|(_, problem)| refuse(problem))
            }
        }
    }
}

impl RuleSetting for Drop {
    fn timing(&self) -> Timing {
        Timing::Instant
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        Work::Instant(Box::new(DropRule::new(self, setup.origin)))
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

    fn decision(&self) -> Option<Decision> {
        match self {
            Self::Chance(chance) => Some(Decision::Below(*chance)),
            Self::Burst { length: BurstLength::Packets(_), .. } | Self::GilbertElliott { .. } => {
                Some(Decision::Quantile)
            }
            _ => None,
        }
    }
}
