//! `rate`: lets packets through one after the other, at a constant rate or at the opportunities of
//! a trace, with a bounded queue in front.

mod discipline;
mod opportunities;
mod promise;
pub(super) mod queue;
mod serial;
mod stage;
mod trace;
mod waiting;
mod written;

pub use discipline::{
    CodelSetting, Discipline, DualPi2Setting, DualScheduler, FqCodelSetting, PieSetting,
};
pub use queue::Queue;
pub use trace::{OPPORTUNITY_BYTES, RateTrace};

use super::paths::{OnPaths, PathName, PathSetting};
use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::shorthand::Shorthand;
use super::written::{Fields, NamedFile, ReadFile};
use jostle_common::setting::SettingError;
use jostle_common::units::{BitRate, ByteSize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The time that may wait in front of a rate that names no queue, if that is more than
/// [`QUEUE_PACKETS_DEFAULT`].
const QUEUE_TIME_DEFAULT: Duration = Duration::from_millis(100);

/// The packets that may wait in front of a rate that names no queue, if they are more than
/// [`QUEUE_TIME_DEFAULT`].
const QUEUE_PACKETS_DEFAULT: u64 = 10;

/// The setting of a `rate` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The speed.
    pub source: RateSource,
    /// The bound on the packets that wait in front; `None` is 100 ms or 10 packets, whichever is
    /// more: at 56 kbit/s 100 ms would not hold one full packet.
    pub queue: Option<Queue>,
    /// The discipline by which a packet is discarded when the queue is full, or before it is.
    pub discipline: Discipline,
    /// Bytes counted per packet on top of its size.
    pub overhead: u32,
    /// Bytes that pass at once after a pause: the depth of a token bucket.
    pub burst: ByteSize,
    /// The path that it stands on.
    pub path: Option<PathName>,
}

impl Rate {
    /// Creates a rule of a constant rate with the default queue.
    pub const fn constant(limit: BitRate) -> Self {
        Self {
            source: RateSource::Limit(limit),
            queue: None,
            discipline: Discipline::Tail,
            overhead: 0,
            burst: ByteSize::new(0),
            path: None,
        }
    }
}

/// The source of the speed.
#[derive(Clone, Debug, PartialEq)]
pub enum RateSource {
    /// A constant.
    Limit(BitRate),
    /// Delivery opportunities in time.
    Trace(Arc<RateTrace>),
}

impl Rate {
    /// Lets senders wait for a queue that nobody asked to discard anything.
    pub(crate) fn let_senders_wait(&mut self) {
        if self.queue.is_none() && self.discipline == Discipline::Tail {
            self.discipline = Discipline::Wait;
        }
    }
}

impl RuleSyntax for Rate {
    type Raw = written::RawRate;

    const NAME: &'static str = "rate";
    const EXAMPLE: &'static str = r#""limit": "10Mbit/s", "queue": "50 packets""#;
    const ONE_OF: &'static [&'static str] = &["limit", "trace"];
    const SHORTHANDS: &'static [&'static str] = &["rate", "queue"];

    fn read(place: &str, raw: Self::Raw, read: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, raw, read)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }

    fn file(&self) -> Option<NamedFile> {
        let RateSource::Trace(trace) = &self.source else { return None };
        Some(NamedFile { name: trace.file()?.to_owned(), text: trace.text() })
    }

    fn rename_file(&mut self, rename: &dyn Fn(&str) -> String) {
        if let RateSource::Trace(trace) = &mut self.source
            && let Some(name) = trace.file().map(rename)
        {
            *trace = Arc::new(RateTrace::clone(trace).of_file(&name));
        }
    }

    fn from_shorthand(shorthand: &Shorthand) -> Result<Option<Self>, SettingError> {
        let Shorthand { rate, queue, .. } = *shorthand;
        if rate.is_none() && queue.is_some() {
            let problem = "there is no rate to queue at; add --rate 10Mbit/s, say";
            return Err(SettingError::new("--queue", problem));
        }
        Ok(rate.map(|limit| Self { queue, ..Self::constant(limit) }))
    }
}

impl PathSetting for Rate {
    type Stage = stage::RateStage;

    fn path(&self) -> Option<&PathName> {
        self.path.as_ref()
    }

    fn stage(&self, setup: Setup<'_>) -> Self::Stage {
        stage::RateStage::new(self, setup.origin)
    }
}

impl RuleSetting for Rate {
    fn timing(&self) -> Timing {
        Timing::Waiting
    }

    fn lets_senders_wait(&self) -> bool {
        self.discipline == Discipline::Wait
    }

    fn build(&self, setup: Setup<'_>) -> Work {
        Work::Holding(Box::new(OnPaths::new(self, setup)))
    }

    fn promise(&self, traffic: &Traffic) -> Promise {
        Promise { limit: Some(promise::limit(self, traffic)), ..Promise::default() }
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
}
