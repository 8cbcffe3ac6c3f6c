//! `delay`: holds each packet for a time, with jitter, in order unless overtaking is asked for.

mod calendar;
mod drawn;
mod line;
mod overtaking;
mod promise;
mod slots;
mod stage;
mod table;
mod trace;
mod written;

pub use drawn::DrawnDelay;
pub(crate) use drawn::gaussian_quantile;
pub use table::DelayTable;
pub use trace::DelayTrace;

use super::paths::{OnPaths, PathName, PathSetting};
use super::promise::{Decision, Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Tables, Timing, Work};
use super::shorthand::{JitterShape, Shorthand};
use super::written::{Fields, NamedFile, ReadFile};
use jostle_common::setting::SettingError;
use jostle_common::units::Span;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The longest time and jitter. Light takes five hours to Pluto.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// The setting of a `delay` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    /// The source of a packet's delay.
    pub source: DelaySource,
    /// True if jitter may let a packet overtake another.
    pub reorder: bool,
    /// True if the end of a stream on a raw route takes as long as a packet. Toxiproxy's latency lets
    /// ends pass at once, behind the data.
    pub holds_ends: bool,
    /// The path that it stands on.
    pub path: Option<PathName>,
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
            path: None,
        }
    }

    /// Checks that no packet would have to arrive before it was sent; the error is the problem with
    /// the jitter.
    fn check(&self) -> Result<(), String> {
        let DelaySource::Drawn { time, jitter, shape, .. } = &self.source else { return Ok(()) };
        let (time, jitter) = (*time, *jitter);
        match shape {
            Shape::Uniform if jitter > time && self.holds_ends => Err(format!(
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
    Table(DelayTable),
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
    const SHORTHANDS: &'static [&'static str] =
        &["delay", "jitter", "shape", "jitter-memory", "allow-reorder"];

    fn read(place: &str, raw: Self::Raw, read: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, &raw, read)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn file(&self) -> Option<NamedFile> {
        let (name, text) = match &self.source {
            DelaySource::Trace(trace) => (trace.file()?, trace.text()),
            DelaySource::Drawn { shape: Shape::Table(table), .. } => (table.file()?, table.text()),
            DelaySource::Drawn { .. } => return None,
        };
        Some(NamedFile { name: name.to_owned(), text })
    }

    fn rename_file(&mut self, rename: &dyn Fn(&str) -> String) {
        match &mut self.source {
            DelaySource::Trace(trace) => {
                if let Some(name) = trace.file().map(rename) {
                    *trace = Arc::new(DelayTrace::clone(trace).of_file(&name));
                }
            }
            DelaySource::Drawn { shape: Shape::Table(table), .. } => {
                if let Some(name) = table.file().map(rename) {
                    *table = table.clone().of_file(&name);
                }
            }
            DelaySource::Drawn { .. } => {}
        }
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        let refuse = |problem: String| SettingError::new("--jitter", problem);
        let Shorthand { delay, jitter, shape, jitter_memory, allow_reorder, .. } = *shorthand;
        if delay.is_none() && jitter.is_some() {
            return Err(refuse("there is no delay to spread; add --delay 20ms, say".into()));
        }
        let jitter = jitter.map_or(Duration::ZERO, |jitter| jitter.0);
        let of_jitter = [
            ("--shape", shape.is_some()),
            ("--jitter-memory", jitter_memory.is_some()),
            ("--allow-reorder", allow_reorder == Some(true)),
        ];
        if let Some((option, _)) =
            of_jitter.into_iter().find(|(_, given)| *given && jitter.is_zero())
        {
            let problem = "it is about jitter, and there is none; add --jitter 5ms, say";
            return Err(SettingError::new(option, problem));
        }
        let Some(Span(time)) = delay else { return Ok(None) };
        let shape = match shape.unwrap_or_default() {
            JitterShape::Uniform => Shape::Uniform,
            JitterShape::Normal => Shape::Normal,
            JitterShape::Pareto => Shape::Pareto,
            JitterShape::ParetoNormal => Shape::ParetoNormal,
        };
        let memory = jitter_memory.map_or(Duration::ZERO, |memory| memory.0);
        let delay = Self {
            source: DelaySource::Drawn { time, jitter, shape, memory },
            reorder: allow_reorder.unwrap_or(false),
            holds_ends: true,
            path: None,
        };
        delay.check().map_err(refuse)?;
        Ok(Some(delay))
    }
}

impl PathSetting for Delay {
    type Stage = stage::DelayStage;

    fn path(&self) -> Option<&PathName> {
        self.path.as_ref()
    }

    fn stage(&self, setup: Setup<'_>) -> Self::Stage {
        stage::DelayStage::new(self, setup)
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
        Work::Holding(Box::new(OnPaths::new(self, setup)))
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
