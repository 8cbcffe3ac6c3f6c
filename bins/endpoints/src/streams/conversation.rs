//! A connected socket and what passes through it, one step at a time.

use crate::protocol::stream::StreamEndpoint;
use bytes::{Buf as _, Bytes};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::units::format_duration;
use mio::net::TcpStream;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

/// The result of a step of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something moved, and there may be more.
    Moved,
    /// Nothing moves before an event or the deadline.
    Waits,
    /// The endpoint has finished and all is sent, or the connection broke and the endpoint was
    /// told.
    Over,
}

/// A connected socket, and the part of an endpoint's words that it has not taken yet.
#[derive(Debug)]
pub(super) struct Conversation {
    stream: TcpStream,
    /// The bytes that the socket had no room for. Until it has, nothing is read: a peer that does
    /// not read is not listened to.
    unsent: Bytes,
    can_read: bool,
    can_write: bool,
    /// True if the peer has ended its stream; `has_ended` is true if we have ended ours.
    has_heard_all: bool,
    has_ended: bool,
    /// The time that the peer may leave what we write unread; for ever when `None`.
    patience: Option<Duration>,
    /// The time at which something was last written, or there was nothing to write.
    written: Instant,
    /// The time at which bytes last moved in either direction, or it began.
    moved: Instant,
    /// True if the peer has sent anything.
    has_heard: bool,
}

impl Conversation {
    /// Creates a conversation over a connected socket, which is registered for both interests.
    pub(super) fn new(now: Instant, stream: TcpStream, patience: Option<Duration>) -> Self {
        // Lines want to be there at once: each would wait for the acknowledgement of the last.
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!("cannot set TCP_NODELAY: {error}");
        }
        Self {
            stream,
            unsent: Bytes::new(),
            can_read: true,
            can_write: true,
            has_heard_all: false,
            has_ended: false,
            patience,
            written: now,
            moved: now,
            has_heard: false,
        }
    }

    /// Takes in that the socket may have more to give or to take.
    pub(super) const fn ready(&mut self) {
        (self.can_read, self.can_write) = (true, true);
    }

    /// Returns true if the peer ended its stream before it had taken everything that was said.
    pub(super) fn is_cut_short(&self) -> bool {
        self.has_heard_all && self.has_unsent()
    }

    /// Returns the time at which bytes last moved in either direction, or it began.
    pub(super) const fn moved(&self) -> Instant {
        self.moved
    }

    /// Returns true if the peer has sent anything.
    pub(super) const fn has_heard(&self) -> bool {
        self.has_heard
    }

    fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Returns the time at which there is something to do without an event.
    pub(super) fn deadline(&self, endpoint: &dyn StreamEndpoint) -> Option<Instant> {
        let can_read = self.can_read && !self.has_heard_all;
        let is_ready = match self.has_unsent() {
            true => self.can_write || can_read && endpoint.listens_while_sending(),
            false => can_read,
        };
        if is_ready {
            return Some(Instant::START);
        }
        if self.has_unsent() { self.gives_up_at() } else { endpoint.deadline() }
    }

    fn gives_up_at(&self) -> Option<Instant> {
        self.patience.map(|patience| self.written + patience)
    }

    /// Writes a piece, or reads one, or does both. The endpoint may have something to tell after
    /// each step.
    pub(super) fn step(
        &mut self,
        clock: Clock,
        endpoint: &mut dyn StreamEndpoint,
        buffer: &mut [u8],
    ) -> Step {
        if self.unsent.is_empty() {
            self.written = clock.now();
            self.unsent = endpoint.poll(self.written).unwrap_or_default();
        }
        let mut step = Step::Waits;
        if self.has_unsent() {
            step = match self.write(clock.now()) {
                Ok(step) => step,
                Err(reason) => return self.break_off(clock, endpoint, &reason),
            };
            // What is read may give rise to answers, which must not pile up unread.
            if !endpoint.listens_while_sending() {
                return step;
            }
        } else if endpoint.is_finished() {
            if endpoint.must_reset() {
                self.reset();
            }
            return Step::Over;
        } else if endpoint.has_said_all() && !self.has_ended {
            self.has_ended = true;
            if let Err(error) = self.stream.shutdown(Shutdown::Write) {
                return self.break_off(clock, endpoint, &error.to_string());
            }
        }
        match self.read(clock, endpoint, buffer) {
            Ok(true) => Step::Moved,
            Ok(false) => step,
            Err(error) => self.break_off(clock, endpoint, &error.to_string()),
        }
    }

    fn write(&mut self, now: Instant) -> Result<Step, String> {
        if self.can_write {
            match self.stream.write(&self.unsent) {
                Ok(length) => {
                    self.unsent.advance(length);
                    (self.written, self.moved) = (now, now);
                    return Ok(Step::Moved);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.can_write = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Step::Moved),
                Err(error) => return Err(error.to_string()),
            }
        }
        match self.patience {
            Some(patience) if self.written + patience <= now => Err(silence(patience)),
            _ => Ok(Step::Waits),
        }
    }

    /// Reads a piece. Returns true if something came.
    fn read(
        &mut self,
        clock: Clock,
        endpoint: &mut dyn StreamEndpoint,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        if !self.can_read || self.has_heard_all {
            return Ok(false);
        }
        let most = endpoint.piece_bytes_max().min(buffer.len());
        // The time is taken after the bytes, so that a round trip is never told too short.
        match self.stream.read(&mut buffer[..most]) {
            Ok(0) => {
                self.has_heard_all = true;
                endpoint.handle_end(clock.now());
                Ok(true)
            }
            Ok(length) => {
                let now = clock.now();
                (self.moved, self.has_heard) = (now, true);
                endpoint.handle(now, &buffer[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.can_read = false;
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn break_off(&mut self, clock: Clock, endpoint: &mut dyn StreamEndpoint, reason: &str) -> Step {
        log::debug!("the connection broke: {reason}");
        endpoint.handle_break(clock.now(), reason);
        if endpoint.must_reset() {
            self.reset();
        }
        Step::Over
    }

    /// Ends it in favour of another: its peer has been silent too long.
    pub(super) fn yield_place(&self, now: Instant, endpoint: &mut dyn StreamEndpoint) {
        endpoint.handle_yield(now);
        if endpoint.must_reset() {
            self.reset();
        }
    }

    /// Lets the end of the socket be a reset.
    fn reset(&self) {
        if let Err(error) = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            log::debug!("cannot reset the connection: {error}");
        }
    }
}

/// Returns the text about a peer that does not move for too long.
pub(super) fn silence(patience: Duration) -> String {
    format!("nothing moved for {}", format_duration(patience))
}
