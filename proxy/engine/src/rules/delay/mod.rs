//! `delay`: holds each packet for a time, with jitter, in order unless overtaking is asked for.

mod calendar;
mod drawn;
mod line;
mod promise;
mod stage;
mod trace;
mod written;

pub use drawn::DrawnDelay;
pub(crate) use drawn::gaussian_quantile;
pub use trace::DelayTrace;

use super::promise::{Decision, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Tables, Timing, Work};
use super::shorthand::Shorthand;
use super::written::ReadFile;
use jostle_common::setting::SettingError;
use jostle_common::units::Span;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The setting of a `delay` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    /// The source of a packet's delay.
    pub source: DelaySource,
    /// True if jitter may let a packet overtake another.
    pub reorder: bool,
    /// True if the end of a stream on a raw route takes as long as a packet. It is, for whatever a
    /// profile says; Toxiproxy's latency lets ends pass at once, behind the data.
    pub holds_ends: bool,
}

/// The source of a packet's delay.
#[derive(Clone, Debug, PartialEq)]
pub enum DelaySource {
    /// It is drawn.
    Drawn {
        /// The mean of the drawn delay for symmetric shapes; for the others see [`Shape`].
        time: Duration,
        /// The spread, which each shape reads in its own way.
        jitter: Duration,
        /// The distribution of the spread.
        shape: Shape,
        /// The half-life of the correlation between the delays of successive packets; zero draws
        /// each on its own.
        memory: Duration,
    },
    /// It follows a trace.
    Trace(Arc<DelayTrace>),
}

impl Delay {
    /// Creates a rule with the same delay for every packet.
    pub const fn constant(time: Duration) -> Self {
        Self::drawn(time, Duration::ZERO, Shape::Uniform)
    }

    /// Creates a rule whose delay is drawn for each packet on its own, with order kept.
    pub const fn drawn(time: Duration, jitter: Duration, shape: Shape) -> Self {
        Self {
            source: DelaySource::Drawn { time, jitter, shape, memory: Duration::ZERO },
            reorder: false,
            holds_ends: true,
        }
    }

    /// Checks that no packet would have to arrive before it was sent; the error is the problem with
    /// the jitter.
    fn check(&self) -> Result<(), String> {
        let DelaySource::Drawn { time, jitter, shape, .. } = &self.source else { return Ok(()) };
        let (time, jitter) = (*time, *jitter);
        match shape {
            Shape::Uniform if jitter > time => Err(format!(
                "{} of jitter around {} would be before the packet came; write a jitter of at \
                 most the time",
                Span(jitter),
                Span(time)
            )),
            Shape::Normal if jitter > time.mul_f64(Shape::NORMAL_JITTER_MAX) => Err(format!(
                "a normal jitter of {} does not fit between 0 and twice {}; write at most {:.0}% \
                 of the time",
                Span(jitter),
                Span(time),
                Shape::NORMAL_JITTER_MAX * 100.0
            )),
            Shape::Pareto => check_tail("pareto", time, jitter, Shape::PARETO_JITTER_MAX),
            Shape::ParetoNormal => {
                check_tail("paretonormal", time, jitter, Shape::PARETO_NORMAL_JITTER_MAX)
            }
            _ => Ok(()),
        }
    }
}

/// Checks that a shape with a long tail above begins at 0 or later.
fn check_tail(shape: &str, time: Duration, jitter: Duration, most: f64) -> Result<(), String> {
    let largest = time.mul_f64(most);
    if jitter <= largest {
        return Ok(());
    }
    Err(format!(
        "a {shape} jitter of {} around {} would begin before the packet came; write at most {}% \
         of the time, {}",
        Span(jitter),
        Span(time),
        most * 100.0,
        Span(largest)
    ))
}

/// The distribution of a drawn delay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Even over time ± jitter.
    #[default]
    Uniform,
    /// Gaussian with mean time and sd jitter, cut symmetrically at 0 and 2·time.
    Normal,
    /// A Pareto tail behind a least delay, with mean time and sd jitter after the cut: see
    /// `docs/models.md`.
    Pareto,
    /// A quarter Gaussian and three quarters Pareto, the mixture of netem's `paretonormal`, with
    /// mean time and sd jitter.
    ParetoNormal,
    /// time + jitter · T/8192 for an entry T of the table, drawn evenly: tc's `.dist` format. At
    /// least 0.
    Table(Arc<[i16]>),
}

/// The widest spread of each shape, as a share of the time, before it would begin below 0.
impl Shape {
    /// The standard deviation of a Gaussian cut at ± time reaches time/√3 = 0.577·time only when it
    /// has become the even distribution.
    pub const NORMAL_JITTER_MAX: f64 = 0.57;
    /// The cut Pareto distribution begins 0.6928 standard deviations below its mean, and 1/0.6928 =
    /// 1.443.
    pub const PARETO_JITTER_MAX: f64 = 1.44;
    /// The cut mixture of Gaussian and Pareto begins 1.3869 standard deviations below its mean, and
    /// 1/1.3869 = 0.721.
    pub const PARETO_NORMAL_JITTER_MAX: f64 = 0.72;
}

impl RuleSyntax for Delay {
    type Raw = written::RawDelay;

    const NAME: &'static str = "delay";
    const EXAMPLE: &'static str = r#""time": "20ms", "jitter": "5ms", "shape": "normal""#;
    const ONE_OF: &'static [&'static str] = &["time", "trace"];
    const SHORTHANDS: &'static [&'static str] = &["delay", "jitter"];

    fn read(place: &str, raw: Self::Raw, read: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw, read)
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        let refuse = |problem: String| SettingError::new("--jitter", problem);
        let jitter = match (shorthand.delay, shorthand.jitter) {
            (None, None) => return Ok(None),
            (None, Some(_)) => {
                let problem = "there is no delay to spread; add --delay 20ms, say";
                return Err(refuse(problem.into()));
            }
            (Some(_), jitter) => jitter.map_or(Duration::ZERO, |jitter| jitter.0),
        };
        let delay = shorthand.delay.map(|time| Self::drawn(time.0, jitter, Shape::Uniform));
        delay.as_ref().map_or(Ok(()), Self::check).map_err(refuse)?;
        Ok(delay)
    }
}

impl RuleSetting for Delay {
    fn timing(&self) -> Timing {
        Timing::Waiting
    }

    fn tables(&self) -> Tables {
        match self.source {
            DelaySource::Drawn { .. } => Some(Arc::new(DrawnDelay::new(self))),
            DelaySource::Trace(_) => None,
        }
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        Work::Holding(Box::new(stage::DelayStage::new(self, setup)))
    }

    fn promise(&self, _: &Traffic) -> Promise {
        promise::promise(self)
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
        promise::warnings(self, traffic)
    }

    fn decision(&self) -> Option<Decision> {
        match self.source {
            DelaySource::Drawn { jitter, memory, .. } if !jitter.is_zero() && memory.is_zero() => {
                Some(Decision::Quantile)
            }
            _ => None,
        }
    }
}
