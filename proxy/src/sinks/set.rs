//! The sinks themselves, in the order in which they are told.

use super::{Sink, SocketChange};
use crate::event_log::EventLog;
use crate::fate::Settled;
use crate::observed::Observed;
use crate::snapshot::EventLines;
use jostle_common::time::Instant;

/// The event log, and all others.
pub(super) struct SinkSet {
    log: Option<EventLog>,
    others: Vec<Box<dyn Sink>>,
    /// Set when one of them observes flows.
    observed: bool,
}

impl SinkSet {
    pub(super) fn new(log: Option<EventLog>, others: Vec<Box<dyn Sink>>) -> Self {
        let observed = others.iter().any(|sink| sink.observes());
        Self { log, others, observed }
    }

    /// Adds one.
    pub(super) fn add(&mut self, sink: Box<dyn Sink>) {
        self.observed |= sink.observes();
        self.others.push(sink);
    }

    /// Returns true if one of them observes flows: nobody else is to be told of them.
    pub(super) const fn are_observers(&self) -> bool {
        self.observed
    }

    /// Tells those that observe flows.
    pub(super) fn observe(&mut self, observed: &Observed<'_>) {
        for sink in self.others.iter_mut().filter(|sink| sink.observes()) {
            sink.observe(observed);
        }
    }

    /// Returns true if there is none, and nothing needs to be told.
    pub(super) const fn are_none(&self) -> bool {
        self.log.is_none() && self.others.is_empty()
    }

    pub(super) fn record(&mut self, settled: &Settled<'_>) {
        if let Some(log) = &mut self.log {
            log.record(settled);
        }
        for sink in &mut self.others {
            sink.record(settled);
        }
    }

    /// Writes into the event log that a flow leaves from another address.
    pub(super) fn change_socket(&mut self, change: &SocketChange<'_>) {
        if let Some(log) = &mut self.log {
            log.record_change(change);
        }
    }

    /// Tells them that the counters have been read.
    pub(super) fn counters_read(&mut self) {
        for sink in &mut self.others {
            sink.counters_read();
        }
    }

    /// Returns when [`flush`](Self::flush) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let log = self.log.as_ref().and_then(EventLog::deadline);
        log.into_iter().chain(self.others.iter().filter_map(|sink| sink.deadline())).min()
    }

    /// Hands on what has waited long enough, and drops the sinks that are over.
    pub(super) fn flush(&mut self, now: Instant) {
        if let Some(log) = &mut self.log {
            log.flush(now);
        }
        self.others.iter_mut().for_each(|sink| sink.flush(now));
        self.others.retain(|sink| !sink.is_over());
    }

    /// Takes the event log out.
    pub(super) const fn take_log(&mut self) -> Option<EventLog> {
        self.log.take()
    }

    /// Returns where the lines of the event log are, if there is one.
    pub(super) fn lines(&self) -> Option<EventLines> {
        self.log.as_ref().map(EventLog::lines)
    }
}
