//! The sinks of fates: all that is told of a packet besides the counters.

mod set;

use crate::event_log::{EventLog, LogEnd};
use crate::fate::Settled;
use crate::observed::Observed;
use crate::shared::{Shared, Waits};
use crate::snapshot::EventLines;
use jostle_common::time::Instant;
use set::SinkSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Is told of each packet's fate, once, on the event loop; of several loops by one after the other.
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
    /// no others. Of several workers each reads its own, one after the other: fates of the moment
    /// in between may be in the one and not yet in the other.
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

/// All sinks of a proxy, as one of its loops tells them.
pub(crate) struct Sinks {
    set: Shared<SinkSet>,
    /// What is asked for each packet; `None` if no other loop may change it.
    notes: Option<Arc<Notes>>,
}

/// What is asked for each packet, so that nobody waits for the sinks to learn that there are none.
#[derive(Debug, Default)]
struct Notes {
    are_some: AtomicBool,
    are_observers: AtomicBool,
}

impl Sinks {
    /// Makes the sinks of a proxy with one loop.
    #[cfg(test)]
    pub(crate) fn new(log: Option<EventLog>, others: Vec<Box<dyn Sink>>) -> Self {
        Self { set: Shared::Own(SinkSet::new(log, others)), notes: None }
    }

    /// Makes the handles of so many loops.
    pub(crate) fn of_loops(
        log: Option<EventLog>,
        others: Vec<Box<dyn Sink>>,
        loops: usize,
        waits: &Waits,
    ) -> Vec<Self> {
        let notes = (loops > 1).then(Arc::<Notes>::default);
        let sets = Shared::among(SinkSet::new(log, others), loops, waits);
        let mut all: Vec<Self> =
            sets.into_iter().map(|set| Self { set, notes: notes.clone() }).collect();
        all.iter_mut().for_each(|sinks| sinks.change(|_| ()));
        all
    }

    /// Changes which sinks there are, and notes what all ask.
    fn change<R>(&mut self, act: impl FnOnce(&mut SinkSet) -> R) -> R {
        let notes = self.notes.as_deref();
        self.set.with(|set| {
            let result = act(set);
            if let Some(notes) = notes {
                notes.are_some.store(!set.are_none(), Ordering::Relaxed);
                notes.are_observers.store(set.are_observers(), Ordering::Relaxed);
            }
            result
        })
    }

    /// Adds one.
    pub(crate) fn add(&mut self, sink: Box<dyn Sink>) {
        self.change(|set| set.add(sink));
    }

    /// Returns true if one of them observes flows: nobody else is to be told of them.
    pub(crate) fn are_observers(&self) -> bool {
        match &self.notes {
            Some(notes) => notes.are_observers.load(Ordering::Relaxed),
            None => self.set.look(SinkSet::are_observers),
        }
    }

    /// Tells those that observe flows.
    pub(crate) fn observe(&mut self, observed: &Observed<'_>) {
        self.set.with(|set| set.observe(observed));
    }

    /// Returns true if there is none, and nothing needs to be told.
    pub(crate) fn are_none(&self) -> bool {
        match &self.notes {
            Some(notes) => !notes.are_some.load(Ordering::Relaxed),
            None => self.set.look(SinkSet::are_none),
        }
    }

    pub(crate) fn record(&mut self, settled: &Settled<'_>) {
        self.set.with(|set| set.record(settled));
    }

    /// Writes into the event log that a flow leaves from another address.
    pub(crate) fn change_socket(&mut self, change: &SocketChange<'_>) {
        self.set.with(|set| set.change_socket(change));
    }

    /// Tells them that the counters have been read.
    pub(crate) fn counters_read(&mut self) {
        self.set.with(SinkSet::counters_read);
    }

    /// Returns when [`flush`](Self::flush) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.are_none() { None } else { self.set.look(SinkSet::deadline) }
    }

    /// Hands on what has waited long enough, and drops the sinks that are over.
    pub(crate) fn flush(&mut self, now: Instant) {
        if !self.are_none() {
            self.change(|set| set.flush(now));
        }
    }

    /// Lets the event log end, and returns what became of it.
    pub(crate) fn finish(&mut self) -> LogEnd {
        let log = self.set.with(SinkSet::take_log);
        log.map(EventLog::finish).unwrap_or_default()
    }

    /// Returns where the lines of the event log are, if there is one.
    pub(crate) fn lines(&self) -> Option<EventLines> {
        self.set.look(SinkSet::lines)
    }
}
