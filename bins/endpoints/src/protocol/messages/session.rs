//! The server's side of one connection: takes the line it waits for, and answers every line.

use super::wire::{GOODBYE, LINE_BYTES_MAX, Reply, ReplyVerdict, decode};
use crate::protocol::lines::{Line, Lines, Overlong};
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
    /// Its number, from 0 in every session.
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
    /// The number that is waited for.
    expected: u64,
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
            expected: 0,
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

    const fn said_goodbye(&self) -> bool {
        self.report.goodbyes > 0
    }

    fn handle_line(&mut self, line: Line<'_>) {
        let message = match line {
            // A carriage return may be the message's own.
            Line::Whole(line) => decode(line.strip_suffix(b"\n").unwrap_or(line)),
            Line::TooLong => None,
        };
        let reply = match message {
            None => {
                self.report.damaged += 1;
                // A damaged line cannot be trusted to say which message it was.
                Reply::new(ReplyVerdict::Nack, self.expected)
            }
            // Delivered before: the `ACK` was lost or late, so the client is told again.
            Some((sequence, _)) if sequence < self.expected => {
                self.report.doubled += 1;
                Reply::new(ReplyVerdict::Ack, sequence)
            }
            Some((sequence, message)) if sequence == self.expected && !self.said_goodbye() => {
                self.accept(sequence, message);
                Reply::new(ReplyVerdict::Ack, sequence)
            }
            Some(_) => {
                self.report.early += 1;
                Reply::new(ReplyVerdict::Nack, self.expected)
            }
        };
        match reply.verdict {
            ReplyVerdict::Ack => self.report.acks += 1,
            ReplyVerdict::Nack => self.report.nacks += 1,
        }
        self.replies.extend_from_slice(&reply.encode());
    }

    fn accept(&mut self, sequence: u64, message: &[u8]) {
        // A million messages a second reach the last number after 584,000 years.
        self.expected += 1;
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
        // The lines call back into the session, so they are taken out of it meanwhile.
        let mut lines = self.lines.take();
        lines.push(bytes, |line| self.handle_line(line));
        self.lines = lines;
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
        if self.replies.is_empty() && self.deadline().is_some_and(|at| at <= now) {
            self.ended =
                Some(if self.said_goodbye() { SessionEnd::Goodbye } else { SessionEnd::Silent });
        }
        (!self.replies.is_empty()).then(|| self.replies.split().freeze())
    }

    fn deadline(&self) -> Option<Instant> {
        let wait = if self.said_goodbye() { Some(LINGER) } else { self.idle };
        wait.filter(|_| self.ended.is_none()).map(|wait| self.heard + wait)
    }

    fn is_finished(&self) -> bool {
        self.ended.is_some() && self.replies.is_empty()
    }
}
