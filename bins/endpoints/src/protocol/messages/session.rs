//! The server's side of one connection: takes the line it waits for, and answers every line.

use super::dialect::{Dialect, Reader, ValidLine, is_beginning, resembles_ours};
use super::wire::{GOODBYE, LINE_BYTES_MAX, Reply, ReplyVerdict};
use crate::protocol::hint::Hint;
use crate::protocol::lines::{
    LONG_SILENCE, Line, Lines, Overlong, SILENCE, Silence, TOO_LONG, UNFINISHED_BYTES_MAX,
    late_newline,
};
use crate::protocol::stream::StreamEndpoint;
use bytes::{Bytes, BytesMut};
use jostle_common::time::Instant;
use std::time::Duration;

/// The time for which a session that said goodbye stays in case its `ACK` was lost, from the last
/// line on. A client repeats its goodbye after at most a second, so several in a row must be lost
/// before the server is gone; the client is done then all the same, since every message was
/// acknowledged before.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// A message that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, from 0 in every session; from 1 if its sender began so.
    pub sequence: u64,
    /// The bytes of the message: any but a newline.
    pub bytes: Bytes,
}

/// The ending of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The client said goodbye.
    Goodbye,
    /// The stream ended without a goodbye.
    Left,
    /// Nothing came for too long.
    Silent,
}

/// The counts of a session so far. Every line is in one of the first five counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionReport {
    /// Messages delivered, the goodbye not counted.
    pub delivered: u64,
    /// 1 when the client said goodbye.
    pub goodbyes: u64,
    /// Whole lines of a message that had been delivered before.
    pub doubled: u64,
    /// Lines with a wrong checksum, or that are no line of a message.
    pub damaged: u64,
    /// Whole lines with a number that is not its turn yet, or behind the goodbye.
    pub early: u64,
    /// `ACK`s sent.
    pub acks: u64,
    /// `NACK`s sent.
    pub nacks: u64,
}

impl SessionReport {
    /// Returns the lines that came.
    pub const fn lines(&self) -> u64 {
        self.delivered + self.goodbyes + self.doubled + self.damaged + self.early
    }

    /// Adds the counts of another session.
    pub const fn add(&mut self, other: &Self) {
        let Self { delivered, goodbyes, doubled, damaged, early, acks, nacks } = *other;
        self.delivered += delivered;
        self.goodbyes += goodbyes;
        self.doubled += doubled;
        self.damaged += damaged;
        self.early += early;
        self.acks += acks;
        self.nacks += nacks;
    }
}

/// The server's side of one connection. Take the messages out after every
/// [`StreamEndpoint::handle`].
#[derive(Debug)]
pub struct Session {
    idle: Option<Duration>,
    lines: Lines,
    reader: Reader,
    /// The number of the first message, when it has come.
    first: Option<u64>,
    /// The number that is waited for.
    expected: u64,
    /// True if the last line was not valid.
    is_last_damaged: bool,
    /// True if a newline came.
    has_newline: bool,
    /// The time at which the client has been silent behind a text without a newline, and the
    /// length of that silence.
    silent_at: Option<(Instant, Silence)>,
    /// True if the last line was taken before its newline came.
    is_ahead: bool,
    /// True if replies are the bare words: the client did not understand the documented ones.
    is_bare: bool,
    hint: Option<Hint>,
    messages: Vec<Message>,
    replies: BytesMut,
    /// The time at which something last came, or the session began.
    heard: Instant,
    ended: Option<SessionEnd>,
    report: SessionReport,
}

impl Session {
    /// Creates a session that begins at `now`, and is given up after a silence of `idle`.
    pub fn new(now: Instant, idle: Option<Duration>) -> Self {
        Self {
            idle,
            lines: Lines::new(LINE_BYTES_MAX, Overlong::Skip),
            reader: Reader::default(),
            first: None,
            expected: 0,
            is_last_damaged: false,
            has_newline: false,
            silent_at: None,
            is_ahead: false,
            is_bare: false,
            hint: None,
            messages: Vec::new(),
            replies: BytesMut::new(),
            heard: now,
            ended: None,
            report: SessionReport::default(),
        }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &SessionReport {
        &self.report
    }

    /// Returns the ending, if it has ended.
    pub const fn ended(&self) -> Option<SessionEnd> {
        self.ended
    }

    /// Returns the messages delivered since the last call, in order.
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Returns the time at which silence ends it.
    fn ends_at(&self) -> Option<Instant> {
        let wait = if self.said_goodbye() { Some(LINGER) } else { self.idle };
        wait.filter(|_| self.ended.is_none()).map(|wait| self.heard + wait)
    }

    const fn said_goodbye(&self) -> bool {
        self.report.goodbyes > 0
    }

    /// Returns how its lines are written, and the number of the first, once a valid one has come.
    pub const fn dialect(&self) -> Option<(Dialect, u64)> {
        match (self.reader.settled(), self.first) {
            (Some(dialect), Some(first)) => Some((dialect, first)),
            _ => None,
        }
    }

    fn handle_line(&mut self, line: Line<'_>) {
        // A carriage return may be the message's own.
        let Line::Whole(line) = line else { return self.refuse(TOO_LONG) };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some(valid) = self.reader.read(line) {
            return self.handle_valid(&valid);
        }
        let parts = self.reader.parts(line);
        if parts.is_empty() {
            return self.handle_rest(line);
        }
        for part in parts {
            // Blanks around the separator are nobody's, unless a checksum says so.
            let trimmed = part.trim_ascii_end();
            match self.reader.read(part).or_else(|| self.reader.read(trimmed)) {
                Some(valid) => self.handle_valid(&valid),
                None => self.handle_rest(part),
            }
        }
    }

    /// Takes in a line that carries no valid checksum: the bare goodbye of another program, or a
    /// damaged line. The goodbye of a line that damage cut in two comes behind a damaged line.
    fn handle_rest(&mut self, line: &[u8]) {
        if line.trim_ascii() != GOODBYE || self.is_last_damaged {
            return self.refuse(line);
        }
        if self.said_goodbye() {
            self.report.doubled += 1;
            return self.reply(ReplyVerdict::Ack, self.expected - 1);
        }
        let sequence = self.expected;
        self.accept(sequence, GOODBYE);
        self.reply(ReplyVerdict::Ack, sequence);
    }

    fn handle_valid(&mut self, line: &ValidLine<'_>) {
        self.is_last_damaged = false;
        let ValidLine { sequence, message, .. } = *line;
        // Programs of others may count from 1.
        let is_next = match self.first {
            None => sequence <= 1,
            Some(_) => sequence == self.expected,
        };
        if self.first.is_some_and(|first| first <= sequence && sequence < self.expected) {
            // Delivered before: the `ACK` was lost or late, so the client is told again.
            self.report.doubled += 1;
            // Or it was not understood.
            self.is_bare ^= matches!(self.reader.settled(), Some(Dialect::Other(_)));
            return self.reply(ReplyVerdict::Ack, sequence);
        }
        if !is_next || self.said_goodbye() {
            if self.first.is_none() && self.report.early == 0 {
                let words = format!("got message {sequence} first, and waits for 0 or 1");
                self.hint = Some(Hint::new(words));
            }
            self.report.early += 1;
            return self.reply(ReplyVerdict::Nack, self.expected);
        }
        self.reader.settle(line);
        self.first.get_or_insert(sequence);
        self.accept(sequence, message);
        self.reply(ReplyVerdict::Ack, sequence);
    }

    /// Takes in a damaged line, which cannot be trusted to say which message it was.
    fn refuse(&mut self, line: &[u8]) {
        self.is_last_damaged = true;
        self.report.damaged += 1;
        self.hint = self.reader.refuse(line).or_else(|| self.hint.take());
        self.reply(ReplyVerdict::Nack, self.expected);
    }

    fn reply(&mut self, verdict: ReplyVerdict, sequence: u64) {
        match verdict {
            ReplyVerdict::Ack => self.report.acks += 1,
            ReplyVerdict::Nack => self.report.nacks += 1,
        }
        if self.is_bare {
            self.replies.extend_from_slice(verdict.word().as_bytes());
            self.replies.extend_from_slice(if self.has_newline { b"\n" } else { b"" });
        } else {
            self.replies.extend_from_slice(&Reply::new(verdict, sequence).encode());
        }
    }

    /// Takes the text without a newline, behind which the client is silent, for a line if it is
    /// valid so, or if it comes from a program that sends no newlines: at once if it cannot be a
    /// part of a line of ours.
    fn take_unfinished(&mut self, silence: Silence) {
        self.silent_at = None;
        let text = self.lines.unfinished();
        let is_valid = self.reader.read(text).is_some() || !self.reader.parts(text).is_empty();
        let is_others =
            self.reader.may_be_other() && !self.has_newline && text.len() <= UNFINISHED_BYTES_MAX;
        let is_goodbye = text == GOODBYE && !self.is_last_damaged;
        let is_whole = is_valid
            || is_goodbye
            || is_others && (!resembles_ours(text) || silence == Silence::Long);
        if !is_whole {
            let is_first = is_others && silence == Silence::Short;
            self.silent_at = is_first.then(|| (self.heard + LONG_SILENCE, Silence::Long));
        } else if let Some(line) = self.lines.finish() {
            self.handle_line(Line::Whole(&line));
            self.is_ahead = true;
        }
    }

    fn accept(&mut self, sequence: u64, message: &[u8]) {
        // A million messages a second reach the last number after 584,000 years.
        self.expected = sequence + 1;
        if message == GOODBYE {
            self.report.goodbyes = 1;
        } else {
            self.report.delivered += 1;
            // A copy: a slice would keep the whole of what was read with it.
            self.messages.push(Message { sequence, bytes: Bytes::copy_from_slice(message) });
        }
    }
}

impl StreamEndpoint for Session {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        if self.ended.is_some() {
            return;
        }
        self.heard = now;
        let ahead = std::mem::take(&mut self.is_ahead);
        let bytes = if ahead { &bytes[late_newline(bytes).len()..] } else { bytes };
        self.has_newline |= bytes.contains(&b'\n');
        // The lines call back into the session, so they are taken out of it meanwhile.
        let mut lines = self.lines.take();
        lines.push(bytes, |line| self.handle_line(line));
        self.lines = lines;
        self.silent_at = match self.lines.unfinished() {
            [] => None,
            text if is_beginning(text) => Some((now + LONG_SILENCE, Silence::Long)),
            _ => Some((now + SILENCE, Silence::Short)),
        };
    }

    fn handle_end(&mut self, _now: Instant) {
        if self.ended.is_some() {
            return;
        }
        // `printf '0 …' | nc -N` may send no newline behind its last line.
        if let Some(line) = self.lines.finish() {
            self.handle_line(Line::Whole(&line));
        }
        self.ended = Some(if self.said_goodbye() { SessionEnd::Goodbye } else { SessionEnd::Left });
    }

    fn handle_yield(&mut self, _now: Instant) {
        self.ended.get_or_insert(SessionEnd::Silent);
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        if let Some((at, silence)) = self.silent_at
            && at <= now
            && self.ended.is_none()
        {
            self.take_unfinished(silence);
        }
        if self.replies.is_empty() && self.ends_at().is_some_and(|at| at <= now) {
            self.ended =
                Some(if self.said_goodbye() { SessionEnd::Goodbye } else { SessionEnd::Silent });
        }
        (!self.replies.is_empty()).then(|| self.replies.split().freeze())
    }

    fn deadline(&self) -> Option<Instant> {
        let silent_at = self.silent_at.filter(|_| self.ended.is_none());
        self.ends_at().into_iter().chain(silent_at.map(|(at, _)| at)).min()
    }

    fn is_finished(&self) -> bool {
        self.ended.is_some() && self.replies.is_empty()
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.take()
    }
}
