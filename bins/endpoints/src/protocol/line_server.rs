//! A server of lines over a byte stream: each line is answered in its turn.
//!
//! A client that does not read its answers is not read either: at most an unfinished line and the
//! answers to one piece of 4 KiB are held for it.

use super::lines::{Line, Lines, Overlong};
use super::stream::StreamEndpoint;
use bytes::{Bytes, BytesMut};
use jostle_common::time::Instant;
use std::time::Duration;

/// The bytes that are taken in at once: in the worst case as many empty lines.
const PIECE: usize = 4 << 10;

/// A service that answers lines.
pub trait LineService {
    /// The longest line in bytes, newline included.
    const LINE_BYTES_MAX: usize;
    /// The treatment of a longer one.
    const OVERLONG: Overlong;

    /// Appends the answer to a line.
    fn answer(&mut self, line: Line<'_>, answers: &mut BytesMut);
}

/// One connection to a [`LineService`].
#[derive(Debug)]
pub struct LineServer<S> {
    service: S,
    lines: Lines,
    answers: BytesMut,
    idle: Duration,
    /// The last time at which something moved.
    heard: Instant,
    has_ended: bool,
}

impl<S: LineService> LineServer<S> {
    /// Creates the server's end of a connection that begins at `now`, and is ended after a silence
    /// of `idle`.
    pub fn new(service: S, now: Instant, idle: Duration) -> Self {
        let lines = Lines::new(S::LINE_BYTES_MAX, S::OVERLONG);
        Self { service, lines, answers: BytesMut::new(), idle, heard: now, has_ended: false }
    }

    /// Returns the service.
    pub const fn service(&mut self) -> &mut S {
        &mut self.service
    }
}

impl<S: LineService> StreamEndpoint for LineServer<S> {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        self.heard = now;
        let Self { service, lines, answers, .. } = self;
        lines.push(bytes, |line| service.answer(line, answers));
    }

    fn handle_end(&mut self, _now: Instant) {
        // `printf question | nc -N` may send no newline behind its last line.
        if let Some(rest) = self.lines.finish().filter(|_| !self.has_ended) {
            self.service.answer(Line::Whole(&rest), &mut self.answers);
        }
        self.has_ended = true;
    }

    fn handle_break(&mut self, _now: Instant, _reason: &str) {
        self.answers.clear();
        self.has_ended = true;
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        if self.answers.is_empty() {
            self.has_ended |= self.heard + self.idle <= now;
            return None;
        }
        self.heard = now;
        Some(self.answers.split().freeze())
    }

    fn deadline(&self) -> Option<Instant> {
        (!self.has_ended).then(|| self.heard + self.idle)
    }

    fn is_finished(&self) -> bool {
        self.has_ended && self.answers.is_empty()
    }

    fn piece_bytes_max(&self) -> usize {
        PIECE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Doubling;

    impl LineService for Doubling {
        const LINE_BYTES_MAX: usize = 5;
        const OVERLONG: Overlong = Overlong::Skip;

        fn answer(&mut self, line: Line<'_>, answers: &mut BytesMut) {
            answers.extend_from_slice(&line.text().unwrap_or(b"?").repeat(2));
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_secs(seconds)
    }

    #[test]
    fn lines_are_answered_and_the_last_needs_no_newline() {
        let mut server = LineServer::new(Doubling, at(0), Duration::from_secs(10));
        server.handle(at(1), b"ab\ncd\n12345\ne");
        assert_eq!(server.poll(at(1)).unwrap(), "ababcdcd??");
        assert_eq!((server.poll(at(2)), server.is_finished()), (None, false));
        server.handle_end(at(2));
        assert!(!server.is_finished());
        assert_eq!((server.poll(at(2)).unwrap(), server.is_finished()), ("ee".into(), true));
    }

    #[test]
    fn silence_ends_it_and_a_break_forgets_the_answers() {
        let mut server = LineServer::new(Doubling, at(0), Duration::from_secs(10));
        server.handle(at(5), b"a\n");
        assert!(server.poll(at(5)).is_some());
        assert_eq!(server.deadline(), Some(at(15)));
        assert_eq!((server.poll(at(14)), server.is_finished()), (None, false));
        assert_eq!((server.poll(at(15)), server.is_finished()), (None, true));
        let mut broken = LineServer::new(Doubling, at(0), Duration::from_secs(10));
        broken.handle(at(5), b"a\n");
        broken.handle_break(at(5), "reset");
        assert_eq!((broken.is_finished(), broken.deadline()), (true, None));
    }
}
