//! The sinks of fates: all that is told of a packet besides the counters.

use crate::event_log::{EventLog, LogEnd};
use crate::fate::Settled;
use crate::snapshot::EventLines;
use jostle_common::time::Instant;

/// Is told of each packet's fate, once, on the event loop.
///
/// It must not block, or traffic waits for it: what takes time belongs on a thread of its own,
/// behind a bounded queue that counts what it skips.
pub trait Sink: Send {
    /// Takes note of a packet. Its bytes are lent for the call.
    fn record(&mut self, settled: &Settled<'_>);

    /// Is told that the counters have just been read: they have all fates that it was told of, and
    /// no others.
    fn counters_read(&mut self) {}

    /// Returns when [`flush`](Self::flush) has something to do; `None`: nothing.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Hands on what has waited long enough.
    fn flush(&mut self, _now: Instant) {}

    /// Returns true if it wants to be told nothing any more. It is dropped then.
    fn is_over(&self) -> bool {
        false
    }
}

/// All sinks of a proxy.
pub(crate) struct Sinks {
    pub(crate) log: Option<EventLog>,
    others: Vec<Box<dyn Sink>>,
}

impl Sinks {
    pub(crate) fn new(log: Option<EventLog>, others: Vec<Box<dyn Sink>>) -> Self {
        Self { log, others }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, sink: Box<dyn Sink>) {
        self.others.push(sink);
    }

    /// Returns true if there is none, and nothing needs to be told.
    pub(crate) const fn are_none(&self) -> bool {
        self.log.is_none() && self.others.is_empty()
    }

    pub(crate) fn record(&mut self, settled: &Settled<'_>) {
        if let Some(log) = &mut self.log {
            log.record(settled);
        }
        for sink in &mut self.others {
            sink.record(settled);
        }
    }

    /// Tells them that the counters have been read.
    pub(crate) fn counters_read(&mut self) {
        for sink in &mut self.others {
            sink.counters_read();
        }
    }

    /// Returns when [`flush`](Self::flush) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let log = self.log.as_ref().and_then(EventLog::deadline);
        let others = self.others.iter().filter_map(|sink| sink.deadline());
        others.chain(log).min()
    }

    /// Hands on what has waited long enough, and drops the sinks that are over.
    pub(crate) fn flush(&mut self, now: Instant) {
        if let Some(log) = &mut self.log {
            log.flush(now);
        }
        for sink in &mut self.others {
            sink.flush(now);
        }
        self.others.retain(|sink| !sink.is_over());
    }

    /// Lets the event log end, and returns what became of it.
    pub(crate) fn finish(self) -> LogEnd {
        self.log.map(EventLog::finish).unwrap_or_default()
    }

    /// Returns where the lines of the event log are, if there is one.
    pub(crate) fn lines(&self) -> Option<EventLines> {
        self.log.as_ref().map(EventLog::lines)
    }
}
