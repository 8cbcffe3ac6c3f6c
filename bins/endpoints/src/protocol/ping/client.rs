//! The client: requests at an interval or as fast as answers come, each tried again on silence.

use super::report::{PingEvent, PingFailure, PingReport};
use super::wire::Ping;
use crate::protocol::hint::Hint;
use crate::protocol::pacer::CATCH_UP;
use crate::protocol::timer::{RetransmissionTimer, Timing};
use crate::protocol::wire::Unreadable;
use crate::protocol::{Endpoint, Redirect, Transmit};
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The number of last requests that are remembered: an answer to an older one is ignored. At 1,000
/// a second they are a minute.
pub(super) const REQUESTS_MAX: usize = 1 << 16;
/// The most events that may wait to be taken; on a socket they are taken after each turn, which
/// makes fewer.
const EVENTS_MAX: usize = 1 << 13;
/// The least time that a client waits for stragglers behind its last datagram, when something is
/// missing: as long as a packet that was held back for reordering, and a burst of jitter, may take.
const LINGER_MIN: Duration = Duration::from_millis(200);
/// The same when nothing ever came back, so that no round trip is known: longer than any that
/// `ping` meets on this planet.
const LINGER_SILENT: Duration = Duration::from_secs(3);
/// The bytes of an answer that are shown.
const SHOWN: usize = 40;
/// The number of refusals in a row that end a run in which something was answered: the server was
/// gone at each of as many datagrams.
const REFUSALS_MAX: u32 = 8;

/// The rule by which the next request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingPace {
    /// So long after the one before, whatever is answered.
    Interval(Duration),
    /// As soon as fewer than so many are neither answered nor given up.
    Answers {
        /// The number that may be open; at least 1.
        window: u32,
    },
}

/// The settings of a [`PingClient`].
#[derive(Clone, Copy, Debug)]
pub struct PingClientSettings {
    /// The server's address.
    pub server: SocketAddr,
    /// A number that an earlier client at the same port did not have.
    pub run: u32,
    /// The number of requests; without end when `None`.
    pub count: Option<u64>,
    /// The length of a datagram in bytes, at least [`super::SIZE_MIN`].
    pub size: usize,
    /// The rule by which the next request goes.
    pub pace: PingPace,
    /// The number of times that an unanswered request is tried again.
    pub retries: u32,
    /// The rule by which timeouts are found.
    pub timing: Timing,
    /// The time after which the run ends, whatever is still open.
    pub deadline: Option<Duration>,
    /// What IP headers are to say of congestion: ECT, to learn what is marked on the way.
    pub ecn: Ecn,
    /// True if [`PingClient::next_event`] tells what happened to each datagram.
    pub tell: bool,
}

impl PingClientSettings {
    /// Returns the defaults: ten requests of 56 bytes (as many as `ping` sends), each as soon as
    /// the one before is answered or was tried four times.
    pub const fn new(server: SocketAddr, run: u32) -> Self {
        Self {
            server,
            run,
            count: Some(10),
            size: 56,
            pace: PingPace::Answers { window: 1 },
            retries: 3,
            timing: Timing::Adaptive,
            deadline: None,
            ecn: Ecn::NotEct,
            tell: true,
        }
    }
}

/// A datagram that was sent.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Instant,
    state: AttemptState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttemptState {
    /// Its answer is in time until then.
    Waiting(Instant),
    Silent,
    Answered,
}

#[derive(Clone, Debug)]
struct PingRequest {
    attempts: Vec<Attempt>,
    state: RequestState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestState {
    Open,
    GivenUp,
    Answered,
}

/// Pings a server.
#[derive(Debug)]
pub struct PingClient {
    settings: PingClientSettings,
    timer: RetransmissionTimer,
    /// The last requests; the first of them has the number `first`.
    requests: VecDeque<PingRequest>,
    first: u64,
    /// The number of them that are open.
    open: u32,
    /// The times at which the timeouts of waiting attempts pass: (time, request, attempt).
    due: BTreeSet<(Instant, u64, u32)>,
    /// Requests to try again now.
    again: VecDeque<u64>,
    /// At an interval: the time at which the next request is due.
    next: Instant,
    last_sent: Instant,
    refusals: u32,
    outcome: Option<Result<(), PingFailure>>,
    events: VecDeque<PingEvent>,
    /// A remark that was not taken yet, and true if one was made.
    hint: (Option<Hint>, bool),
    report: PingReport,
}

impl PingClient {
    /// Creates a client that has sent nothing.
    pub fn new(settings: PingClientSettings) -> Self {
        Self {
            settings,
            timer: RetransmissionTimer::new(settings.timing),
            requests: VecDeque::new(),
            first: 1,
            open: 0,
            due: BTreeSet::new(),
            again: VecDeque::new(),
            next: Instant::START,
            last_sent: Instant::START,
            refusals: 0,
            outcome: None,
            events: VecDeque::new(),
            hint: (None, false),
            report: PingReport::default(),
        }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &PingReport {
        &self.report
    }

    /// Returns the next event of a datagram, in order, when it was set to tell.
    pub fn next_event(&mut self) -> Option<PingEvent> {
        self.events.pop_front()
    }

    /// Returns the report, and the outcome if it has ended.
    pub fn into_parts(self) -> (PingReport, Option<Result<(), PingFailure>>) {
        (self.report, self.outcome)
    }

    fn tell(&mut self, event: PingEvent) {
        if !self.settings.tell {
            return;
        }
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        } else {
            self.report.untold += 1;
        }
    }

    fn request_mut(&mut self, number: u64) -> Option<&mut PingRequest> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.requests.get_mut(place)
    }

    /// Makes a remark about an answer of another length than the request, unless there was one.
    fn remark(&mut self, answer: &[u8], is_answer: bool) {
        if std::mem::replace(&mut self.hint.1, true) {
            return;
        }
        let size = answer.len();
        self.hint.0 = Some(if is_answer {
            Hint::new(format!("answered {size} bytes that hold the request and more"))
        } else {
            let shown = String::from_utf8_lossy(&answer[..size.min(SHOWN)]);
            Hint::new(format!(
                "answered {size} bytes that do not hold the request, \"{shown}\": without it \
                 nobody knows which request is answered, so let the server send it back"
            ))
        });
    }

    /// Notes the timeouts that passed before `now`, or at it.
    fn expire(&mut self, now: Instant, at_now: bool) {
        while let Some((until, number, attempt)) = self.due.first().copied() {
            // An answer that arrives at the very moment of its timeout is in time.
            if until > now || until == now && !at_now {
                return;
            }
            self.due.pop_first();
            self.timer.back_off();
            let retries = self.settings.retries;
            let request = self.request_mut(number).expect("what is forgotten is not waited for");
            let place = attempt as usize - 1;
            request.attempts[place].state = AttemptState::Silent;
            let timeout = until.since(request.attempts[place].at);
            let is_open = request.state == RequestState::Open;
            let again = is_open && request.attempts.len() <= retries as usize;
            if again {
                self.again.push_back(number);
            } else if is_open {
                request.state = RequestState::GivenUp;
                self.open -= 1;
            }
            self.tell(PingEvent::Silence { number, attempt, timeout, again });
        }
    }

    fn handle_answer(&mut self, now: Instant, ecn: Ecn, ping: Ping) {
        let Ping { number, attempt, .. } = ping;
        // Attempts count from 1; a 0 becomes a place that no request has.
        let place = (attempt as usize).wrapping_sub(1);
        let Some(found) =
            self.request_mut(number).and_then(|request| request.attempts.get_mut(place))
        else {
            self.report.ignored += 1;
            return;
        };
        let round_trip = now.since(found.at);
        let before = std::mem::replace(&mut found.state, AttemptState::Answered);
        let (late, doubled) = (before == AttemptState::Silent, before == AttemptState::Answered);
        self.refusals = 0;
        self.timer.reset();
        self.tell(PingEvent::Answer { number, attempt, round_trip, ecn, late, doubled });
        if doubled {
            self.report.doubled += 1;
            return;
        }
        if let AttemptState::Waiting(until) = before {
            self.due.remove(&(until, number, attempt));
        }
        self.report.received += 1;
        self.report.said[usize::from(ecn.bits())] += 1;
        self.report.late += u64::from(late);
        self.report.ended = Some(now);
        self.report.round_trips.record(round_trip);
        self.report.jitter.record(round_trip);
        self.timer.sample(round_trip);
        let Some(request) = self.request_mut(number) else { return };
        // Each of its attempts may be answered, but the request counts once.
        let state = std::mem::replace(&mut request.state, RequestState::Answered);
        self.report.answered += u64::from(state != RequestState::Answered);
        self.open -= u32::from(state == RequestState::Open);
    }

    /// Sends an attempt at a remembered request.
    fn attempt(&mut self, now: Instant, number: u64) -> Transmit {
        let until = now + self.timer.timeout();
        let request = self.request_mut(number).expect("only remembered requests are tried");
        request.attempts.push(Attempt { at: now, state: AttemptState::Waiting(until) });
        let attempt = request.attempts.len() as u32;
        self.due.insert((until, number, attempt));
        self.last_sent = now;
        self.report.sent += 1;
        self.report.waiting = self.due.len() as u64;
        let PingClientSettings { server, run, size, ecn, .. } = self.settings;
        Transmit { to: server, payload: Ping { run, number, attempt }.encode(size), ecn }
    }

    /// Begins the next request.
    fn begin(&mut self, now: Instant) -> Transmit {
        if self.requests.len() == REQUESTS_MAX {
            self.forget();
        }
        self.report.requests += 1;
        self.open += 1;
        if let PingPace::Interval(interval) = self.settings.pace {
            // A client that woke late catches up a little, as a sender of data does.
            self.next = self.next.max(now - CATCH_UP) + interval;
        }
        self.requests
            .push_back(PingRequest { attempts: Vec::with_capacity(1), state: RequestState::Open });
        self.attempt(now, self.report.requests)
    }

    /// Forgets the oldest request: its answer, should it come, is ignored.
    fn forget(&mut self) {
        let Some(request) = self.requests.pop_front() else { return };
        for (attempt, sent) in (1..).zip(&request.attempts) {
            if let AttemptState::Waiting(until) = sent.state {
                self.due.remove(&(until, self.first, attempt));
            }
        }
        self.open -= u32::from(request.state == RequestState::Open);
        self.first += 1;
    }

    fn has_more(&self) -> bool {
        self.settings.count.is_none_or(|count| self.report.requests < count)
    }

    /// Returns the time at which the next request may begin; `None`: not before something else
    /// happens.
    fn begins_at(&self) -> Option<Instant> {
        if !self.has_more() {
            return None;
        }
        match self.settings.pace {
            PingPace::Interval(_) => Some(self.next),
            PingPace::Answers { window } => (self.open < window.max(1)).then_some(Instant::START),
        }
    }

    /// Returns the time at which the run ends: at once when all is answered, after a while when
    /// something is missing; `None` while there is more to do.
    fn ends_at(&self) -> Option<Instant> {
        let started = self.report.started?;
        let over = self.settings.deadline.map(|deadline| started + deadline);
        if self.has_more() || self.open > 0 {
            return over;
        }
        if self.report.received == self.report.sent {
            return Some(Instant::START);
        }
        let linger = match (self.settings.timing, self.report.round_trips.most()) {
            (Timing::Fixed(timeout), _) => timeout,
            (Timing::Adaptive, Some(longest)) => longest.saturating_mul(2).max(LINGER_MIN),
            (Timing::Adaptive, None) => LINGER_SILENT,
        };
        let stragglers = self.last_sent + linger;
        Some(over.map_or(stragglers, |over| over.min(stragglers)))
    }

    fn end(&mut self, now: Instant) {
        let is_over = |deadline| self.report.started.unwrap_or_default() + deadline <= now;
        if self.report.received < self.report.sent {
            self.report.ended = Some(now);
        }
        if !self.settings.deadline.is_some_and(is_over) {
            // Stragglers had their time, so what still waits is lost; a deadline leaves it open.
            self.due.clear();
        }
        let (server, sent) = (self.settings.server, self.report.sent);
        let heard = self.report.received > 0;
        self.outcome =
            Some(if heard { Ok(()) } else { Err(PingFailure::Silence { server, sent }) });
    }
}

impl Redirect for PingClient {
    fn is_refused(&self) -> bool {
        matches!(self.outcome, Some(Err(PingFailure::Refused(_)))) && self.report.received == 0
    }

    fn redirected(self, server: SocketAddr) -> Self {
        Self::new(PingClientSettings { server, ..self.settings })
    }
}

impl Endpoint for PingClient {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.handle_marked(now, from, Ecn::NotEct, datagram);
    }

    fn hears_marks(&self) -> bool {
        self.settings.ecn.takes_marks()
    }

    fn handle_marked(&mut self, now: Instant, from: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        if self.outcome.is_some() {
            // The accounts are closed.
            return;
        }
        if from != self.settings.server {
            self.report.ignored += 1;
            return;
        }
        // A late wake-up learns first what was due before.
        self.expire(now, false);
        let size = self.settings.size;
        // Damage changes no length: what has another one was made by another kind of server.
        let is_other = datagram.len() != size;
        let within = || Ping::within(datagram, size).filter(|_| is_other);
        let read = Ping::decode(datagram).or_else(|error| within().ok_or(error));
        if is_other {
            self.remark(datagram, read.is_ok());
        }
        match read {
            Ok(ping) if ping.run == self.settings.run => self.handle_answer(now, ecn, ping),
            Ok(_) | Err(Unreadable::Senseless) => self.report.ignored += 1,
            Err(Unreadable::Damaged) => {
                self.report.damaged += 1;
                self.tell(PingEvent::Damaged { size: datagram.len() });
            }
        }
        self.report.waiting = self.due.len() as u64;
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        if self.outcome.is_some() {
            return None;
        }
        if self.report.started.is_none() {
            (self.report.started, self.next) = (Some(now), now);
        }
        self.expire(now, true);
        let sent = if self.ends_at().is_some_and(|at| at <= now) {
            self.end(now);
            None
        } else {
            self.next_attempt(now)
        };
        self.report.waiting = self.due.len() as u64;
        sent
    }

    fn deadline(&self) -> Option<Instant> {
        if self.outcome.is_some() {
            return None;
        }
        if self.report.started.is_none() || !self.again.is_empty() {
            return Some(Instant::START);
        }
        let timeout = self.due.first().map(|(until, ..)| *until);
        [timeout, self.begins_at(), self.ends_at()].into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.0.take()
    }

    fn handle_refusal(&mut self, now: Instant, to: SocketAddr) {
        self.report.refused += 1;
        self.refusals += 1;
        // Before the first answer one refusal is enough; later it takes several in a row.
        let begun = self.report.received > 0;
        let is_server = self.outcome.is_none() && to == self.settings.server;
        if is_server && (!begun || self.refusals >= REFUSALS_MAX) {
            self.report.ended = Some(now);
            self.outcome = Some(Err(PingFailure::Refused(to)));
        }
    }
}

impl PingClient {
    /// Returns the next datagram that may go: a retry before a new request.
    fn next_attempt(&mut self, now: Instant) -> Option<Transmit> {
        while let Some(number) = self.again.pop_front() {
            // Its late answer may have come meanwhile, or it may be forgotten.
            if self.request_mut(number).is_some_and(|request| request.state == RequestState::Open) {
                return Some(self.attempt(now, number));
            }
        }
        self.begins_at().is_some_and(|at| at <= now).then(|| self.begin(now))
    }
}
