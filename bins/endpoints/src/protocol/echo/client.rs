//! The client: sends messages as they are given, a few at a time, and says what came back.

use super::ledger::{EchoLedger, Recognised};
use crate::protocol::hint::Hint;
use crate::protocol::timer::{RetransmissionTimer, Timing};
use crate::protocol::{Endpoint, Redirect, Transmit};
use bytes::Bytes;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The most messages that may wait for their answers; further ones wait for them, so that a file
/// does not flood the network.
const WINDOW: usize = 16;
/// The most events that may wait to be taken; on a socket they are taken after each turn, which
/// makes fewer.
const EVENTS_MAX: usize = 4096;
/// The number of refusals in a row that end a conversation in which something came back.
const REFUSALS_MAX: u32 = 8;

/// The settings of an [`EchoClient`].
#[derive(Clone, Copy, Debug)]
pub struct EchoClientSettings {
    /// The server's address.
    pub server: SocketAddr,
    /// The time for which missing answers are waited for behind the last message.
    pub linger: Duration,
}

impl EchoClientSettings {
    /// The time that a datagram may be under way, unless told otherwise.
    pub const LINGER: Duration = Duration::from_secs(2);

    /// Returns the defaults for a server.
    pub const fn new(server: SocketAddr) -> Self {
        Self { server, linger: Self::LINGER }
    }
}

/// An answer that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoEvent {
    /// The bytes that it carried; not to be printed without escaping.
    pub content: Bytes,
    /// Its kind, and the message that it answers.
    pub recognised: Recognised,
    /// The time from the message to it, when it is the first intact one.
    pub round_trip: Option<Duration>,
}

/// The counts of a client so far. Sent = intact + damaged + missing.
#[derive(Clone, Debug, Default)]
pub struct EchoReport {
    /// Messages sent.
    pub sent: u64,
    /// Messages that came back as they were.
    pub intact: u64,
    /// Messages that came back damaged only.
    pub damaged: u64,
    /// Further answers to a message.
    pub doubled: u64,
    /// Answers to no message that is remembered: damaged beyond recognition, or from a stranger.
    pub unknown: u64,
    /// The round trips of the intact.
    pub round_trips: RoundTrips,
}

impl EchoReport {
    /// Returns the number of messages that never came back.
    pub const fn missing(&self) -> u64 {
        self.sent - self.intact - self.damaged
    }
}

/// The reason why a client failed. What is lost is a result, not a failure, as long as
/// anything comes back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EchoFailure {
    /// Nothing listens where the server should be.
    #[error("connection refused: no server listens at {0}")]
    Refused(SocketAddr),
    /// Nothing came back.
    #[error("no answer from {server} to {sent} messages")]
    Silence {
        /// The server that was asked.
        server: SocketAddr,
        /// The number of messages that were sent.
        sent: u64,
    },
}

/// Talks to an echo server.
#[derive(Debug)]
pub struct EchoClient {
    settings: EchoClientSettings,
    timer: RetransmissionTimer,
    ledger: EchoLedger,
    /// Messages that are still to be sent.
    queue: VecDeque<Bytes>,
    /// True if no more will be given.
    is_closed: bool,
    /// The times until which the sent messages are waited for, by number.
    waiting: BTreeMap<u64, Instant>,
    last_sent: Instant,
    refusals: u32,
    outcome: Option<Result<(), EchoFailure>>,
    events: VecDeque<EchoEvent>,
    /// A remark that was not taken yet, and true if one was made.
    hint: (Option<Hint>, bool),
    report: EchoReport,
}

impl EchoClient {
    /// Creates a client that has nothing to say yet.
    pub fn new(settings: EchoClientSettings) -> Self {
        Self {
            settings,
            timer: RetransmissionTimer::new(Timing::Adaptive),
            ledger: EchoLedger::default(),
            queue: VecDeque::new(),
            is_closed: false,
            waiting: BTreeMap::new(),
            last_sent: Instant::START,
            refusals: 0,
            outcome: None,
            events: VecDeque::new(),
            hint: (None, false),
            report: EchoReport::default(),
        }
    }

    /// Returns the message that must be answered next by a server that answers in order, if the
    /// answers to all others came or none of them did.
    pub(super) fn next_answer(&self) -> Option<&Bytes> {
        let is_clear = self.report.missing() == 1 || self.report.intact == 0;
        self.ledger.first_missing().filter(|_| is_clear)
    }

    /// Makes a remark, unless there was one.
    pub(super) fn remark(&mut self, hint: impl FnOnce() -> Hint) {
        if !std::mem::replace(&mut self.hint.1, true) {
            self.hint.0 = Some(hint());
        }
    }

    /// Returns the address of its server.
    pub const fn server(&self) -> SocketAddr {
        self.settings.server
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &EchoReport {
        &self.report
    }

    /// Returns true if it wants a message more. Give none otherwise: that bounds what it holds.
    pub fn wants_message(&self) -> bool {
        !self.is_closed && self.queue.is_empty() && self.waiting.len() < WINDOW
    }

    /// Takes a message to send.
    pub fn push(&mut self, message: Bytes) {
        self.queue.push_back(message);
    }

    /// Takes in that no more messages will be given.
    pub const fn close(&mut self) {
        self.is_closed = true;
    }

    /// Returns true if everything that was given is sent, and no more will be.
    pub fn has_said_all(&self) -> bool {
        self.is_closed && self.queue.is_empty()
    }

    /// Returns the next answer, in order.
    pub fn next_event(&mut self) -> Option<EchoEvent> {
        self.events.pop_front()
    }

    /// Returns the report, and the outcome if it has ended.
    pub fn into_parts(self) -> (EchoReport, Option<Result<(), EchoFailure>>) {
        (self.report, self.outcome)
    }

    /// Takes in that nothing more can come, as when a stream has ended.
    pub fn end(&mut self) {
        if self.outcome.is_none() {
            let (server, sent) = (self.settings.server, self.report.sent);
            let came = self.report.intact + self.report.damaged + self.report.unknown;
            let is_silent = sent > 0 && came == 0;
            self.outcome =
                Some(if is_silent { Err(EchoFailure::Silence { server, sent }) } else { Ok(()) });
        }
    }

    /// Stops waiting for what is overdue, so that others may be sent.
    fn expire(&mut self, now: Instant) {
        let before = self.waiting.len();
        self.waiting.retain(|_, until| *until > now);
        if self.waiting.len() < before {
            self.timer.back_off();
        }
    }

    /// Returns the time at which it ends by itself; `None` while there is more to say.
    fn ends_at(&self) -> Option<Instant> {
        if !self.has_said_all() {
            return None;
        }
        let is_complete = self.report.missing() == 0;
        Some(if is_complete { Instant::START } else { self.last_sent + self.settings.linger })
    }
}

impl Redirect for EchoClient {
    fn is_refused(&self) -> bool {
        matches!(self.outcome, Some(Err(EchoFailure::Refused(_))))
            && self.report.intact + self.report.damaged == 0
    }

    /// Says everything again that was said so far.
    fn redirected(self, server: SocketAddr) -> Self {
        let mut again = Self::new(EchoClientSettings { server, ..self.settings });
        again.is_closed = self.is_closed;
        again.queue.extend(self.ledger.into_messages().chain(self.queue));
        again
    }
}

impl Endpoint for EchoClient {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.outcome.is_some() || from != self.settings.server {
            return;
        }
        self.refusals = 0;
        self.timer.reset();
        let recognised = self.ledger.recognise(datagram);
        // A server that ever answered with the message alone does not add to others.
        if recognised == Recognised::Unknown
            && self.report.intact == 0
            && self.ledger.is_wrapped(datagram)
        {
            self.remark(|| {
                let size = datagram.len();
                Hint::new(format!(
                    "answered {size} bytes that hold a message and more, which count as unknown: \
                     an echo is the message alone"
                ))
            });
        }
        let mut round_trip = None;
        match recognised {
            Recognised::Intact { number, sent, again } => {
                let trip = now.since(sent);
                round_trip = Some(trip);
                self.report.intact += 1;
                // A message counts once, as the best of its answers: the damaged one becomes a
                // further one.
                self.report.damaged -= u64::from(again);
                self.report.doubled += u64::from(again);
                self.report.round_trips.record(trip);
                self.timer.sample(trip);
                self.waiting.remove(&number);
            }
            Recognised::Damaged { number, .. } => {
                self.report.damaged += 1;
                self.waiting.remove(&number);
            }
            Recognised::Doubled { .. } => self.report.doubled += 1,
            Recognised::Unknown => self.report.unknown += 1,
        }
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(EchoEvent {
                content: Bytes::copy_from_slice(datagram),
                recognised,
                round_trip,
            });
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        if self.outcome.is_some() {
            return None;
        }
        self.expire(now);
        if self.ends_at().is_some_and(|at| at <= now) {
            self.end();
            return None;
        }
        if self.waiting.len() >= WINDOW {
            return None;
        }
        let payload = self.queue.pop_front()?;
        let number = self.ledger.sent(now, payload.clone());
        self.waiting.insert(number, now + self.timer.timeout());
        self.last_sent = now;
        self.report.sent += 1;
        Some(Transmit::new(self.settings.server, payload))
    }

    fn deadline(&self) -> Option<Instant> {
        if self.outcome.is_some() {
            return None;
        }
        let has_room = self.waiting.len() < WINDOW;
        let next = (!self.queue.is_empty() && has_room).then_some(Instant::START);
        let overdue = self.waiting.values().min().copied();
        [next, overdue, self.ends_at()].into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.0.take()
    }

    fn handle_refusal(&mut self, _now: Instant, to: SocketAddr) {
        self.refusals += 1;
        // Before the first answer one refusal is enough; later it takes several in a row.
        let begun = self.report.intact + self.report.damaged > 0;
        let is_server = self.outcome.is_none() && to == self.settings.server;
        if is_server && (!begun || self.refusals >= REFUSALS_MAX) {
            self.outcome = Some(Err(EchoFailure::Refused(to)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> SocketAddr {
        "127.0.0.1:9002".parse().unwrap()
    }

    fn client() -> EchoClient {
        EchoClient::new(EchoClientSettings::new(server()))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn what_never_came_back_is_waited_for_and_named() {
        let mut client = client();
        for message in ["one", "two", "three"] {
            assert!(client.wants_message());
            client.push(Bytes::from_static(message.as_bytes()));
            assert_eq!(client.poll(at(0)).unwrap().payload, message);
        }
        client.handle(at(5), server(), b"three");
        client.handle(at(6), server(), b"three");
        client.handle(at(7), server(), b"ond");
        client.close();
        while let Some(now) = client.deadline() {
            assert_eq!(client.poll(now), None);
        }
        let events: Vec<_> = std::iter::from_fn(|| client.next_event()).collect();
        assert_eq!(events[0].round_trip, Some(Duration::from_millis(5)));
        assert_eq!(events[1].recognised, Recognised::Doubled { number: 3 });
        assert_eq!(events[2].recognised, Recognised::Damaged { number: 1, bits: 1 });
        let (report, outcome) = client.into_parts();
        assert_eq!(outcome, Some(Ok(())));
        assert_eq!((report.sent, report.intact, report.damaged, report.doubled), (3, 1, 1, 1));
        assert_eq!(report.missing(), 1);
    }

    #[test]
    fn it_ends_at_once_when_all_came_back_and_when_nothing_was_said() {
        let mut silent = client();
        assert_eq!(silent.deadline(), None, "it waits for input");
        silent.close();
        assert_eq!((silent.poll(at(1)), silent.is_finished()), (None, true));
        let mut done = client();
        done.push(Bytes::from_static(b"x"));
        done.poll(at(0));
        done.handle(at(1), server(), b"x");
        done.close();
        assert_eq!((done.poll(at(1)), done.into_parts().1), (None, Some(Ok(()))));
    }

    #[test]
    fn silence_is_a_failure_and_frees_the_window() {
        let mut client = client();
        let mut sent = 0;
        for millis in 0..40 {
            while client.wants_message() {
                client.push(Bytes::from_static(b"again"));
            }
            sent += u64::from(client.poll(at(millis)).is_some());
        }
        assert_eq!((sent, client.wants_message()), (16, false), "50 ms have not passed");
        client.poll(at(51));
        assert!(client.wants_message());
        client.close();
        while let Some(now) = client.deadline() {
            client.poll(now);
        }
        assert_eq!(
            client.into_parts().1,
            Some(Err(EchoFailure::Silence { server: server(), sent: 16 }))
        );
    }

    #[test]
    fn a_refusal_ends_it_before_anything_came_back() {
        let mut client = client();
        client.push(Bytes::from_static(b"x"));
        client.poll(at(0));
        client.push(Bytes::from_static(b"y"));
        client.handle_refusal(at(1), server());
        assert!(client.is_finished() && client.is_refused());
        let other = "127.0.0.1:9102".parse().unwrap();
        let mut again = client.redirected(other);
        for message in ["x", "y"] {
            let transmit = again.poll(at(2)).unwrap();
            assert_eq!((transmit.to, &transmit.payload[..]), (other, message.as_bytes()));
        }
        again.handle_refusal(at(3), other);
        assert_eq!(again.into_parts().1, Some(Err(EchoFailure::Refused(other))));
    }
}
