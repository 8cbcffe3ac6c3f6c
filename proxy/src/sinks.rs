//! The sinks of fates: all that is told of a packet besides the counters.

use crate::event_log::{EventLog, LogEnd};
use crate::fate::Settled;
use crate::observed::Observed;
use crate::snapshot::EventLines;
use jostle_common::time::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// Is told of each packet's fate, once, on the event loop.
///
/// It must not block, or traffic waits for it: what takes time belongs on a thread of its own,
/// behind a bounded queue that counts what it skips.
pub trait Sink: Send {
    /// Takes note of a packet. Its bytes are lent for the call.
    fn record(&mut self, settled: &Settled<'_>);

    /// Is told when the run began: the time since 1970 at [`Instant::START`].
    fn begin(&mut self, epoch: Duration) {
        let _ = epoch;
    }

    /// Returns true if it wants to [observe](Self::observe) flows, too. It is asked once.
    fn observes(&self) -> bool {
        false
    }

    /// Takes note of what happened to a flow. What is in it is lent for the call.
    fn observe(&mut self, observed: &Observed<'_>) {
        let _ = observed;
    }

    /// Returns when it wants to be [flushed](Self::flush).
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Hands on what has waited long enough.
    fn flush(&mut self, now: Instant) {
        let _ = now;
    }

    /// Is told that the counters have just been read: they have all fates that it was told of, and
    /// no others.
    fn counters_read(&mut self) {}

    /// Returns true if it wants to be told nothing any more. It is dropped then.
    fn is_over(&self) -> bool {
        false
    }
}

/// A UDP flow that leaves from a fresh socket from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketChange<'a> {
    /// The route's name.
    pub(crate) route: &'a str,
    /// The ordinal of the flow.
    pub(crate) flow: u32,
    /// The time.
    pub(crate) at: Instant,
    /// The key of the rule that says so.
    pub(crate) rule: &'a str,
    /// The address that it left from so far.
    pub(crate) from: SocketAddr,
    /// The address of the fresh socket.
    pub(crate) to: SocketAddr,
    /// True if what still comes to the old one is delivered.
    pub(crate) delivers_old: bool,
}

/// All sinks of a proxy.
pub(crate) struct Sinks {
    pub(crate) log: Option<EventLog>,
    others: Vec<Box<dyn Sink>>,
    /// Set when one of them observes flows.
    observed: bool,
}

impl Sinks {
    pub(crate) fn new(log: Option<EventLog>, others: Vec<Box<dyn Sink>>) -> Self {
        let observed = others.iter().any(|sink| sink.observes());
        Self { log, others, observed }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, sink: Box<dyn Sink>) {
        self.observed |= sink.observes();
        self.others.push(sink);
    }

    /// Returns true if one of them observes flows: nobody else is to be told of them.
    pub(crate) const fn are_observers(&self) -> bool {
        self.observed
    }

    /// Tells those that observe flows.
    pub(crate) fn observe(&mut self, observed: &Observed<'_>) {
        for sink in self.others.iter_mut().filter(|sink| sink.observes()) {
            sink.observe(observed);
        }
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

    /// Writes into the event log that a flow leaves from another address.
    pub(crate) fn change_socket(&mut self, change: &SocketChange<'_>) {
        if let Some(log) = &mut self.log {
            log.record_change(change);
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
        log.into_iter().chain(self.others.iter().filter_map(|sink| sink.deadline())).min()
    }

    /// Hands on what has waited long enough, and drops the sinks that are over.
    pub(crate) fn flush(&mut self, now: Instant) {
        if let Some(log) = &mut self.log {
            log.flush(now);
        }
        self.others.iter_mut().for_each(|sink| sink.flush(now));
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
