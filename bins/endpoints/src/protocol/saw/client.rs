//! The client of stop-and-wait: one packet in flight, asked for until it arrives.

use super::wire::{Answer, Request, Thanks, TooShort, checked};
use crate::protocol::hint::Hint;
use crate::protocol::storage::Sink;
use crate::protocol::timer::{RetransmissionTimer, Timing};
use crate::protocol::{Endpoint, Redirect, Transmit, chunks_in, is_loopback};
use jostle_common::digest::{Digest, Hasher};
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The number of a packet's last attempts that are remembered for measuring the round trip. With a
/// timeout of at least 5 ms that is a third of a second at the least; an older attempt's answer is
/// as good, but is no sample.
const ATTEMPTS_REMEMBERED: usize = 64;
/// The number of times that a finished client says thanks: each alone may be lost, and nothing
/// depends on them.
const THANKS: u32 = 3;
/// The word that every answer begins with, but for its last letter.
const WORD: &[u8] = b"SAW";
/// The time without a first answer after which people are told.
const REMARK: Duration = Duration::from_secs(3);
/// The number of refusals in a row that end a transfer that has begun: by then the server was gone
/// at each of as many attempts.
pub(super) const REFUSALS_MAX: u32 = 8;

/// The settings of a [`SawClient`].
#[derive(Clone, Debug)]
pub struct SawClientSettings {
    /// The server's address.
    pub server: SocketAddr,
    /// The rule by which timeouts are found.
    pub timing: Timing,
    /// The time without any valid answer after which the client gives up; never when `None`.
    pub patience: Option<Duration>,
    /// The number of times that it has to have asked in vain for a packet before it gives up,
    /// however long that takes.
    pub attempts_min: u32,
    /// The largest file it accepts, in bytes.
    pub size_max: u64,
}

impl SawClientSettings {
    /// The time that a client waits for any valid answer unless told otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(60);
    /// The least number of times that it asks unless told otherwise. At 90 % loss each way one
    /// attempt in a hundred succeeds, and five hundred fail together less than once in 150 packets.
    pub const ATTEMPTS_MIN: u32 = 500;
    /// The largest file unless told otherwise.
    pub const SIZE_MAX: u64 = 4 << 30;

    /// Returns the defaults for a server.
    pub const fn new(server: SocketAddr) -> Self {
        Self {
            server,
            timing: Timing::Adaptive,
            patience: Some(Self::PATIENCE),
            attempts_min: Self::ATTEMPTS_MIN,
            size_max: Self::SIZE_MAX,
        }
    }
}

/// The reason why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum SawFailure {
    /// Nothing listens where the server should be.
    #[error("connection refused: no server listens at {0}")]
    Refused(SocketAddr),
    /// Nothing valid arrived for too long.
    #[error("no valid answer from {server} for {} s, to {attempts} requests", .silence.as_secs())]
    Silence {
        /// The server that was asked.
        server: SocketAddr,
        /// The length of the silence.
        silence: Duration,
        /// The number of times that the packet in flight was asked for.
        attempts: u32,
    },
    /// The server began to answer with another file.
    #[error("the file changed on the server while it was fetched; fetch it again")]
    Changed,
    /// The file is larger than the client accepts.
    #[error("the file has {size} bytes, more than the limit of {limit}; raise it with --max-size")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// Every packet arrived with a correct CRC, and yet it is not the file.
    #[error("what arrived has the digest {found}, the server's file {expected}")]
    Digest {
        /// The digest of the bytes that arrived.
        found: Digest,
        /// The digest that the server said.
        expected: Digest,
    },
    /// The bytes that arrived cannot be written.
    #[error("cannot write what arrived: {0}")]
    Storage(io::Error),
}

/// The counts of a client so far.
#[derive(Clone, Debug, Default)]
pub struct SawReport {
    /// The size of the file in bytes and its digest, as the server says; `None` before the first
    /// answer.
    pub file: Option<(u64, Digest)>,
    /// Bytes received in order.
    pub bytes: u64,
    /// Packets received in order.
    pub packets: u64,
    /// Requests sent.
    pub requests: u64,
    /// Of those, requests that asked again for a packet.
    pub retransmissions: u64,
    /// Valid answers with a packet that had arrived before.
    pub duplicates: u64,
    /// Datagrams with a wrong CRC.
    pub damaged: u64,
    /// Datagrams that were whole and made no sense.
    pub ignored: u64,
    /// The round trips of all answers to the packet in flight.
    pub round_trips: RoundTrips,
    /// The time at which the first request was sent.
    pub started: Option<Instant>,
    /// The time at which the last packet arrived, or the client gave up.
    pub ended: Option<Instant>,
}

impl SawReport {
    /// Returns the time from the first request to the last packet.
    pub fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_default().since(self.started.unwrap_or_default())
    }
}

/// Fetches a file into a [`Sink`].
#[derive(Debug)]
pub struct SawClient<S> {
    settings: SawClientSettings,
    sink: S,
    hasher: Hasher,
    timer: RetransmissionTimer,
    padded: bool,
    /// The packet in flight.
    number: u32,
    /// Its attempts so far.
    attempt: u32,
    /// The times of its last attempts.
    sent: VecDeque<(u32, Instant)>,
    /// The time at which the next request goes; `None` before the first.
    next: Option<Instant>,
    /// True if the next request goes because the last one was not answered in time.
    timed_out: bool,
    /// The time at which something valid last arrived, or the first request went.
    heard: Instant,
    refusals: u32,
    thanks: u32,
    outcome: Option<Result<(), SawFailure>>,
    /// A remark that was not taken yet, and true if one was made.
    hint: (Option<Hint>, bool),
    report: SawReport,
}

impl<S: Sink> SawClient<S> {
    /// Creates a client that will fetch the server's file into `sink`.
    pub fn new(settings: SawClientSettings, sink: S) -> Self {
        Self {
            padded: !is_loopback(settings.server),
            timer: RetransmissionTimer::new(settings.timing),
            settings,
            hasher: sink.hasher(),
            sink,
            number: 0,
            attempt: 0,
            sent: VecDeque::new(),
            next: None,
            timed_out: false,
            heard: Instant::START,
            refusals: 0,
            thanks: 0,
            outcome: None,
            hint: (None, false),
            report: SawReport::default(),
        }
    }

    /// Makes a remark before the first answer, unless there was one.
    fn remark(&mut self, words: impl FnOnce(&Self) -> String) {
        if self.report.file.is_none() && !std::mem::replace(&mut self.hint.1, true) {
            self.hint.0 = Some(Hint::new(words(self)));
        }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &SawReport {
        &self.report
    }

    /// Returns the outcome, if it has ended.
    pub const fn outcome(&self) -> Option<&Result<(), SawFailure>> {
        self.outcome.as_ref()
    }

    /// Returns the report, the sink, and the outcome if it has ended.
    pub fn into_parts(self) -> (SawReport, S, Option<Result<(), SawFailure>>) {
        (self.report, self.sink, self.outcome)
    }

    fn end(&mut self, now: Instant, outcome: Result<(), SawFailure>) {
        self.report.ended = Some(now);
        self.thanks = if outcome.is_ok() { THANKS } else { 0 };
        self.outcome = Some(outcome);
    }

    fn handle_answer(&mut self, now: Instant, answer: &Answer<'_>) {
        self.heard = now;
        self.refusals = 0;
        let file = *self.report.file.get_or_insert((answer.size, answer.digest));
        if file != (answer.size, answer.digest) {
            return self.end(now, Err(SawFailure::Changed));
        }
        if answer.size > self.settings.size_max || chunks_in(answer.size).is_none() {
            let limit = self.settings.size_max;
            return self.end(now, Err(SawFailure::TooLarge { size: answer.size, limit }));
        }
        if answer.number != self.number {
            self.report.duplicates += u64::from(answer.number < self.number);
            self.report.ignored += u64::from(answer.number > self.number);
            // A copy says nothing about the packet in flight, but the way is open.
            return self.timer.reset();
        }
        self.timer.reset();
        if let Some((_, sent)) = self.sent.iter().find(|(attempt, _)| *attempt == answer.attempt) {
            let round_trip = now.since(*sent);
            self.report.round_trips.record(round_trip);
            self.timer.sample(round_trip);
        }
        self.accept(now, answer, file.1);
    }

    /// Takes the packet in flight, and goes on to the next one.
    fn accept(&mut self, now: Instant, answer: &Answer<'_>, expected: Digest) {
        if let Err(error) = self.sink.append(answer.data) {
            return self.end(now, Err(SawFailure::Storage(error)));
        }
        self.hasher.update(answer.data);
        self.report.bytes += answer.data.len() as u64;
        self.report.packets += u64::from(!answer.data.is_empty());
        // An empty file is complete with its first answer, which has no data.
        if self.report.bytes == answer.size {
            let found = std::mem::take(&mut self.hasher).finish();
            let whole = found == expected;
            return self.end(
                now,
                if whole { Ok(()) } else { Err(SawFailure::Digest { found, expected }) },
            );
        }
        self.number += 1;
        self.attempt = 0;
        // Attempts count from 1 again for the next packet.
        self.sent.clear();
        self.ask_again(now);
    }

    fn ask_again(&mut self, now: Instant) {
        self.next = Some(now);
        self.timed_out = false;
    }

    fn request(&mut self, now: Instant) -> Transmit {
        if self.timed_out {
            self.timer.back_off();
        }
        // A late answer to an attempt 2^32 attempts ago is no worse a sample than none.
        self.attempt = self.attempt.wrapping_add(1);
        self.report.requests += 1;
        self.report.retransmissions += u64::from(self.attempt > 1);
        if self.sent.len() == ATTEMPTS_REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((self.attempt, now));
        self.next = Some(now + self.timer.timeout());
        // Unless an answer asks for the next request first.
        self.timed_out = true;
        let request = Request { number: self.number, attempt: self.attempt };
        Transmit::new(self.settings.server, request.encode(self.padded))
    }

    fn gives_up_at(&self) -> Option<Instant> {
        let by_time = self.heard + self.settings.patience?;
        match self.settings.attempts_min {
            0 => Some(by_time),
            // The last attempt is waited for like every other.
            least => (self.attempt >= least).then(|| by_time.max(self.next.unwrap_or_default())),
        }
    }
}

impl<S: Sink> Redirect for SawClient<S> {
    fn is_refused(&self) -> bool {
        matches!(self.outcome, Some(Err(SawFailure::Refused(_)))) && self.report.file.is_none()
    }

    fn redirected(self, server: SocketAddr) -> Self {
        Self::new(SawClientSettings { server, ..self.settings }, self.sink)
    }
}

impl<S: Sink> Endpoint for SawClient<S> {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.outcome.is_some() || from != self.settings.server {
            self.report.ignored += 1;
            return;
        }
        let Some(body) = checked(datagram) else {
            self.report.damaged += 1;
            if !datagram.starts_with(WORD) {
                let size = datagram.len();
                self.remark(|_| {
                    format!(
                        "answered {size} bytes that are no answer of jostle-server saw, unless \
                         they were damaged on their way"
                    )
                });
            }
            return;
        };
        if let Some(answer) = Answer::decode(body) {
            return self.handle_answer(now, &answer);
        }
        match TooShort::decode(body) {
            // The server sees a stranger, as behind a relay: from now on requests are long enough.
            Some(refused) if !self.padded && refused.number == self.number => {
                self.padded = true;
                self.heard = now;
                self.ask_again(now);
            }
            _ => self.report.ignored += 1,
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        if self.outcome.is_some() {
            self.thanks = self.thanks.checked_sub(1)?;
            return Some(Transmit::new(self.settings.server, Thanks.encode()));
        }
        let Some(next) = self.next else {
            self.report.started = Some(now);
            self.heard = now;
            return Some(self.request(now));
        };
        if self.report.started.is_some_and(|started| started + REMARK <= now) {
            self.remark(|client| {
                format!(
                    "has not answered {} requests yet: does jostle-server saw run there?",
                    client.report.requests
                )
            });
        }
        if self.gives_up_at().is_some_and(|at| at <= now) {
            let (server, attempts) = (self.settings.server, self.attempt);
            self.end(
                now,
                Err(SawFailure::Silence { server, silence: now.since(self.heard), attempts }),
            );
            return None;
        }
        (next <= now).then(|| self.request(now))
    }

    fn deadline(&self) -> Option<Instant> {
        if self.outcome.is_some() {
            return (self.thanks > 0).then_some(Instant::START);
        }
        let Some(next) = self.next else { return Some(Instant::START) };
        Some(self.gives_up_at().map_or(next, |at| next.min(at)))
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some() && self.thanks == 0
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.0.take()
    }

    fn handle_refusal(&mut self, now: Instant, to: SocketAddr) {
        self.refusals += 1;
        // Before the first answer one refusal is enough; later it takes several in a row.
        let begun = self.report.file.is_some();
        if self.outcome.is_none()
            && to == self.settings.server
            && (!begun || self.refusals >= REFUSALS_MAX)
        {
            self.end(now, Err(SawFailure::Refused(to)));
        }
    }
}
