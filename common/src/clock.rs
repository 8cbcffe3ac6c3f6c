//! The one clock: where real time becomes an [`Instant`].
//!
//! Only the proxy and the programs call it. Everything below them is told the time.

use crate::time::Instant;
use std::time::{Duration, SystemTime};

/// A monotonic clock that reads zero when it is started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
impl Clock {
    /// Starts the clock: the run begins now.
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// Returns the time since the clock was started.
    pub fn now(&self) -> Instant {
        Instant::START + self.origin.elapsed()
    }

    /// Returns the calendar time, as the time since 1970-01-01 UTC, for people and for other
    /// machines; never for decisions.
    pub fn wall() -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}
