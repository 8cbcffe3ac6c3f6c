//! The client: one message in flight, sent again on `NACK` or on silence, until its `ACK` comes.

use super::plain_replies::PlainReplies;
use super::report::{Acknowledged, MessagesFailure, MessagesReport};
use super::wire::{GOODBYE, Reply, ReplyVerdict, encode, fits};
use crate::protocol::hint::Hint;
use crate::protocol::lines::{Line, Lines, Overlong, SILENCE, late_newline};
use crate::protocol::stream::StreamEndpoint;
use crate::protocol::timer::{CAP, INITIAL, RetransmissionTimer, Timing};
use bytes::Bytes;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest line that is taken for a reply; the longest reply has 35 bytes, and several may be
/// joined by damage.
const REPLY_BYTES_MAX: usize = 1024;
/// The most messages that wait to be sent, and the most bytes that they have together.
const WAITING_MAX: usize = 1024;
const WAITING_BYTES_MAX: usize = 1 << 20;

/// The number of `NACK`s before any `ACK`, or of lines that are no reply before any, at which
/// people are told.
const REMARK_AT: u64 = 4;

/// The settings of a [`MessagesClient`].
#[derive(Clone, Copy, Debug)]
pub struct MessagesClientSettings {
    /// The rule by which timeouts are found.
    pub timing: Timing,
    /// The time that the client waits for the `ACK` of a message before it gives up; for ever when
    /// `None`.
    pub patience: Option<Duration>,
    /// The number of times that it has to have sent a message in vain before it gives up, however
    /// long that takes.
    pub attempts_min: u32,
}

impl Default for MessagesClientSettings {
    /// Returns 60 s and 500 attempts, as stop-and-wait over UDP. Before the first reply attempts
    /// come a second apart, so a client waits some eight minutes for a place at a full server.
    fn default() -> Self {
        Self {
            timing: Timing::Adaptive,
            patience: Some(Duration::from_secs(60)),
            attempts_min: 500,
        }
    }
}

/// The message that is waited for.
#[derive(Debug)]
struct Flight {
    message: Bytes,
    line: Bytes,
    is_goodbye: bool,
    sends: u32,
    first: Instant,
    last: Instant,
}

/// Sends messages in order, each until it is acknowledged.
#[derive(Debug)]
pub struct MessagesClient {
    settings: MessagesClientSettings,
    timer: RetransmissionTimer,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// True if no more messages will be pushed.
    is_closed: bool,
    /// The number of the message in flight, or of the next one.
    sequence: u64,
    flight: Option<Flight>,
    /// The time at which the message in flight is sent again.
    next: Instant,
    /// True if that will be because no reply came in time.
    timed_out: bool,
    lines: Lines,
    /// What a server may mean that answers with bare words.
    plain: PlainReplies,
    /// The time at which such a server has been silent behind a text without a newline.
    silent_at: Option<Instant>,
    /// True if the last reply was taken before its newline came.
    is_ahead: bool,
    /// A remark that was not taken yet.
    hint: Option<Hint>,
    /// True if one about newlines, and one about replies, was made.
    remarked: [bool; 2],
    /// True if any reply came.
    heard: bool,
    /// True if a reply with a checksum came: from then on one without is a damaged one.
    checked: bool,
    /// The last message if it was sent more than once, and the time from its first sending to its
    /// `ACK`.
    repeated: Option<(u64, Duration)>,
    acknowledged: Option<Acknowledged>,
    outcome: Option<Result<(), MessagesFailure>>,
    report: MessagesReport,
}

impl MessagesClient {
    /// Creates a client without messages.
    pub fn new(settings: MessagesClientSettings) -> Self {
        Self {
            timer: RetransmissionTimer::new(settings.timing),
            settings,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_closed: false,
            sequence: 0,
            flight: None,
            next: Instant::START,
            timed_out: false,
            lines: Lines::new(REPLY_BYTES_MAX, Overlong::Skip),
            plain: PlainReplies::default(),
            silent_at: None,
            is_ahead: false,
            hint: None,
            remarked: [false; 2],
            heard: false,
            checked: false,
            repeated: None,
            acknowledged: None,
            outcome: None,
            report: MessagesReport::default(),
        }
    }

    /// Returns true if it takes another message now.
    pub fn has_room(&self) -> bool {
        !self.is_closed
            && self.waiting.len() < WAITING_MAX
            && self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Takes the next message to send. The goodbye closes the client, and nothing is sent behind
    /// it.
    ///
    /// # Panics
    /// When the message is longer than [`super::MESSAGE_BYTES_MAX`] or contains a newline: ask
    /// [`fits`] first.
    pub fn push(&mut self, message: Bytes) {
        assert!(fits(&message), "a message is one line of bounded length");
        if message == GOODBYE {
            self.close();
        } else if !self.is_closed {
            self.waiting_bytes += message.len();
            self.waiting.push_back(message);
        }
    }

    /// Says that no more messages will be pushed: behind the last one goes the goodbye.
    pub const fn close(&mut self) {
        self.is_closed = true;
    }

    /// Returns true if no more messages are taken.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Returns true if any reply came; before that the client may be waiting for a place at the
    /// server.
    pub const fn has_heard(&self) -> bool {
        self.heard
    }

    /// Returns the message whose `ACK` came last, once. There is at most one after each
    /// [`StreamEndpoint::handle`].
    pub const fn take_acknowledged(&mut self) -> Option<Acknowledged> {
        self.acknowledged.take()
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &MessagesReport {
        &self.report
    }

    /// Returns the outcome, if it has ended.
    pub const fn outcome(&self) -> Option<&Result<(), MessagesFailure>> {
        self.outcome.as_ref()
    }

    /// Returns the timeout of the next message.
    #[cfg(test)]
    pub(super) fn timer_timeout(&self) -> Duration {
        self.timer.timeout()
    }

    fn end(&mut self, now: Instant, outcome: Result<(), MessagesFailure>) {
        self.report.ended = Some(now);
        self.outcome = Some(outcome);
    }

    fn handle_line(&mut self, now: Instant, line: Line<'_>) {
        let text = line.text().unwrap_or_default();
        let numbered = Reply::decode(text);
        if numbered.is_some() {
            self.plain.end();
        }
        let reply = numbered.or_else(|| self.plain.read(text));
        // Damage could take the checksum off a reply and leave a wrong number.
        let Some(reply) = reply.filter(|reply| reply.is_checked || !self.checked) else {
            self.report.damaged += 1;
            if !self.heard && self.report.damaged == REMARK_AT {
                self.remark(true, Hint::not_understood(text, "a reply is \"ACK\" or \"NACK\""));
            }
            return;
        };
        (self.heard, self.checked) = (true, reply.is_checked);
        self.timer.reset();
        match reply.verdict {
            ReplyVerdict::Ack => self.report.acks += 1,
            ReplyVerdict::Nack => self.report.nacks += 1,
        }
        if self.report.acks == 0 && self.report.nacks == REMARK_AT {
            self.remark(
                true,
                Hint::new(
                    "refuses whatever it gets: it may expect another checksum than ours, which is \
                 CRC-32 over the number, a space and the message, in eight hex digits",
                ),
            );
        }
        if reply.sequence < self.sequence {
            return self.handle_stale(&reply);
        }
        match reply.verdict {
            ReplyVerdict::Nack => self.handle_nack(now),
            ReplyVerdict::Ack if reply.sequence > self.sequence => self.report.senseless += 1,
            ReplyVerdict::Ack => self.handle_ack(now),
        }
    }

    /// Makes a remark about newlines or about replies, unless there was one.
    fn remark(&mut self, is_about_replies: bool, hint: Hint) {
        if !std::mem::replace(&mut self.remarked[usize::from(is_about_replies)], true) {
            self.hint = Some(hint);
        }
    }

    /// Takes the text without a newline, behind which the server is silent, for a reply if it is
    /// one.
    fn take_unfinished(&mut self, now: Instant) {
        let text = self.lines.unfinished();
        if Reply::decode(text).is_none() && !self.plain.is_reply(text) {
            return;
        }
        let size = text.len();
        if let Some(line) = self.lines.finish() {
            self.remark(false, Hint::new(format!("answered {size} bytes without a newline")));
            self.handle_line(now, Line::Whole(&line));
            self.is_ahead = true;
        }
    }

    fn handle_ack(&mut self, now: Instant) {
        let Some(Flight { message, is_goodbye, sends, first, .. }) = self.flight.take() else {
            self.report.senseless += 1;
            return;
        };
        let elapsed = now.since(first);
        // Karn's rule: of a message that was sent again it is unknown which copy was answered.
        if sends == 1 {
            self.timer.sample(elapsed);
            self.report.round_trips.record(elapsed);
        }
        // Should a second `ACK` come, the first copy was answered, and this was its round trip.
        self.repeated = (sends > 1).then_some((self.sequence, elapsed));
        if is_goodbye {
            self.report.goodbye_acknowledged = true;
            return self.end(now, Ok(()));
        }
        self.report.acknowledged += 1;
        self.acknowledged = Some(Acknowledged { sequence: self.sequence, message, sends, elapsed });
        self.sequence += 1;
    }

    /// Takes in a reply to an earlier message. A second `ACK` of a message that was sent more than
    /// once shows that a copy was needless: the first one was answered, and the timeout is shorter
    /// than the round trip. Without this a round trip longer than every backoff would never be
    /// measured.
    fn handle_stale(&mut self, reply: &Reply) {
        self.report.stale += 1;
        if let (ReplyVerdict::Ack, Some((sequence, elapsed))) = (reply.verdict, self.repeated)
            && sequence == reply.sequence
        {
            self.timer.sample(elapsed);
            self.repeated = None;
        }
    }

    /// Takes in a `NACK`. The server cannot know which message a damaged line was, so a `NACK` of
    /// any number from ours on asks for ours.
    fn handle_nack(&mut self, now: Instant) {
        let Some(flight) = &self.flight else {
            self.report.senseless += 1;
            return;
        };
        // One that comes sooner than any answer can is about an earlier copy; answering each would
        // breed copies where lines are doubled.
        if now.since(flight.last) >= self.report.round_trips.least().unwrap_or_default() {
            (self.next, self.timed_out) = (now, false);
        }
    }

    fn send_again(&mut self, now: Instant) -> Option<Bytes> {
        let sequence = self.sequence;
        let flight = self.flight.as_ref()?;
        if self.gives_up_at(flight).is_some_and(|at| at <= now) {
            let (silence, sends) = (now.since(flight.first), flight.sends);
            self.end(now, Err(MessagesFailure::Silence { sequence, silence, sends }));
            return None;
        }
        // A reply has begun to come.
        if self.next.max(self.silent_at.unwrap_or_default()) > now {
            return None;
        }
        if self.timed_out {
            self.timer.back_off();
            self.report.timeouts += 1;
        }
        self.report.resends += 1;
        Some(self.send(now))
    }

    /// Puts the next message into flight, if there is one.
    fn launch(&mut self, now: Instant) -> Option<Bytes> {
        let message = self.waiting.pop_front();
        let is_goodbye = message.is_none();
        if is_goodbye && !self.is_closed {
            return None;
        }
        let message = message.unwrap_or(Bytes::from_static(GOODBYE));
        self.waiting_bytes -= if is_goodbye { 0 } else { message.len() };
        let line = encode(self.sequence, &message);
        self.flight = Some(Flight { message, line, is_goodbye, sends: 0, first: now, last: now });
        self.report.started.get_or_insert(now);
        Some(self.send(now))
    }

    fn send(&mut self, now: Instant) -> Bytes {
        self.report.sent += 1;
        let flight = self.flight.as_mut().expect("the callers have one in flight");
        flight.sends = flight.sends.saturating_add(1);
        flight.last = now;
        let line = flight.line.clone();
        self.plain.sent(self.sequence);
        let timeout = self.timeout();
        (self.next, self.timed_out) = (now + timeout, true);
        line
    }

    /// Returns the timeout. Before the first reply the server may be full and not have looked at us
    /// yet: copies are spread out to one a second.
    fn timeout(&self) -> Duration {
        let sends = self.flight.as_ref().map_or(1, |flight| flight.sends);
        match self.settings.timing {
            Timing::Adaptive if !self.heard => {
                INITIAL.saturating_mul(1 << (sends - 1).min(8)).min(CAP)
            }
            Timing::Adaptive | Timing::Fixed(_) => self.timer.timeout(),
        }
    }

    fn gives_up_at(&self, flight: &Flight) -> Option<Instant> {
        let by_time = flight.first + self.settings.patience?;
        match self.settings.attempts_min {
            0 => Some(by_time),
            // The last attempt is waited for like every other.
            least => (flight.sends >= least).then(|| by_time.max(self.next)),
        }
    }
}

impl StreamEndpoint for MessagesClient {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        let ahead = std::mem::take(&mut self.is_ahead);
        let bytes = if ahead { &bytes[late_newline(bytes).len()..] } else { bytes };
        let mut lines = self.lines.take();
        lines.push(bytes, |line| {
            if self.outcome.is_none() {
                self.handle_line(now, line);
            }
        });
        self.lines = lines;
        let is_unfinished = !self.lines.unfinished().is_empty() && self.plain.is_open();
        self.silent_at = is_unfinished.then(|| now + SILENCE);
    }

    fn handle_end(&mut self, now: Instant) {
        if self.outcome.is_some() {
            return;
        }
        if let Some(line) = self.lines.finish() {
            self.handle_line(now, Line::Whole(&line));
        }
        // A server that has gone behind our goodbye has everything: each message was acknowledged
        // before.
        let has_everything = match &self.flight {
            Some(flight) => flight.is_goodbye,
            None => self.is_closed && self.waiting.is_empty(),
        };
        if self.outcome.is_none() {
            let in_doubt = self.flight.is_some().then_some(self.sequence);
            self.end(
                now,
                if has_everything { Ok(()) } else { Err(MessagesFailure::Ended { in_doubt }) },
            );
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        if self.outcome.is_none() && self.silent_at.take_if(|at| *at <= now).is_some() {
            self.take_unfinished(now);
        }
        match (&self.outcome, &self.flight) {
            (Some(_), _) => None,
            (None, Some(_)) => self.send_again(now),
            (None, None) => self.launch(now),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match (&self.outcome, &self.flight) {
            (Some(_), _) => None,
            (None, Some(flight)) => {
                let next = self.silent_at.unwrap_or(self.next);
                Some(self.gives_up_at(flight).map_or(next, |at| at.min(next)))
            }
            (None, None) => (self.is_closed || !self.waiting.is_empty()).then_some(Instant::START),
        }
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.take()
    }
}
