//! A server of lines over a byte stream: each line is answered in its turn.
//!
//! A client that does not read its answers is not read either: at most an unfinished line and the
//! answers to one piece of 4 KiB are held for it.
//!
//! A client that sends no newline falls silent and waits. What it said is then offered to the
//! service as it stands, first after [`SILENCE`] and once more after [`LONG_SILENCE`].

use super::hint::Hint;
use super::lines::{LONG_SILENCE, Line, Lines, Overlong, SILENCE, Silence, late_newline};
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

    /// Appends the answer to a text without a newline, behind which the client is silent. Returns
    /// false if its rest is waited for.
    fn answer_unfinished(&mut self, text: &[u8], silence: Silence, answers: &mut BytesMut) -> bool {
        let _ = (text, silence, answers);
        false
    }

    /// Appends the answer to the newline of a text that was answered before it came.
    fn answer_late_newline(&mut self, newline: &[u8], answers: &mut BytesMut) {
        let _ = (newline, answers);
    }

    /// Returns a remark for people about the client, once.
    fn take_hint(&mut self) -> Option<Hint> {
        None
    }
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
    /// The time at which the client has been silent behind a text without a newline, and the
    /// length of that silence.
    silent_at: Option<(Instant, Silence)>,
    /// True if the last text was answered before its newline came.
    is_ahead: bool,
    has_ended: bool,
}

impl<S: LineService> LineServer<S> {
    /// Creates the server's end of a connection that begins at `now`, and is ended after a silence
    /// of `idle`.
    pub fn new(service: S, now: Instant, idle: Duration) -> Self {
        let lines = Lines::new(S::LINE_BYTES_MAX, S::OVERLONG);
        Self {
            service,
            lines,
            answers: BytesMut::new(),
            idle,
            heard: now,
            silent_at: None,
            is_ahead: false,
            has_ended: false,
        }
    }

    /// Returns the service.
    pub const fn service(&mut self) -> &mut S {
        &mut self.service
    }

    /// Offers the service what came without a newline.
    fn offer_unfinished(&mut self, silence: Silence) {
        let Self { service, lines, answers, .. } = self;
        self.silent_at = None;
        if service.answer_unfinished(lines.unfinished(), silence, answers) {
            lines.finish();
            self.is_ahead = true;
        } else if silence == Silence::Short {
            self.silent_at = Some((self.heard + LONG_SILENCE, Silence::Long));
        }
    }
}

impl<S: LineService> StreamEndpoint for LineServer<S> {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        self.heard = now;
        let Self { service, lines, answers, .. } = self;
        let newline = if std::mem::take(&mut self.is_ahead) { late_newline(bytes) } else { &[] };
        if !newline.is_empty() {
            service.answer_late_newline(newline, answers);
        }
        lines.push(&bytes[newline.len()..], |line| service.answer(line, answers));
        let is_unfinished = !lines.unfinished().is_empty();
        self.silent_at = is_unfinished.then(|| (now + SILENCE, Silence::Short));
    }

    fn handle_end(&mut self, _now: Instant) {
        // `printf question | nc -N` may send no newline behind its last line.
        if let Some(rest) = self.lines.finish().filter(|_| !self.has_ended) {
            self.service.answer(Line::Whole(&rest), &mut self.answers);
        }
        (self.has_ended, self.silent_at) = (true, None);
    }

    fn handle_break(&mut self, _now: Instant, _reason: &str) {
        self.answers.clear();
        (self.has_ended, self.silent_at) = (true, None);
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        if let Some((at, silence)) = self.silent_at
            && at <= now
        {
            self.offer_unfinished(silence);
        }
        if self.answers.is_empty() {
            self.has_ended |= self.heard + self.idle <= now;
            return None;
        }
        self.heard = now;
        Some(self.answers.split().freeze())
    }

    fn deadline(&self) -> Option<Instant> {
        let idle = (!self.has_ended).then(|| self.heard + self.idle)?;
        Some(self.silent_at.map_or(idle, |(at, _)| at.min(idle)))
    }

    fn is_finished(&self) -> bool {
        self.has_ended && self.answers.is_empty()
    }

    fn piece_bytes_max(&self) -> usize {
        PIECE
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.service.take_hint()
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

    /// Takes a text that ends with a dot for whole.
    #[derive(Default)]
    struct Dots;

    impl LineService for Dots {
        const LINE_BYTES_MAX: usize = 50;
        const OVERLONG: Overlong = Overlong::Skip;

        fn answer(&mut self, line: Line<'_>, answers: &mut BytesMut) {
            answers.extend_from_slice(b"=");
            answers.extend_from_slice(line.text().unwrap_or(b"?"));
        }

        fn answer_unfinished(&mut self, text: &[u8], silence: Silence, to: &mut BytesMut) -> bool {
            let is_taken = text.ends_with(b".") || silence == Silence::Long;
            if is_taken {
                self.answer(Line::Whole(text), to);
            }
            is_taken
        }
    }

    #[test]
    fn a_text_without_a_newline_is_offered_after_a_silence_and_its_newline_is_no_line() {
        let ms = Instant::from_millis;
        let mut server = LineServer::new(Dots, ms(0), Duration::from_secs(10));
        server.handle(ms(0), b"a\none");
        assert_eq!(server.poll(ms(0)).unwrap(), "=a");
        server.handle(ms(150), b" two.");
        assert_eq!((server.poll(ms(349)), server.deadline()), (None, Some(ms(350))));
        assert_eq!(server.poll(ms(350)).unwrap(), "=one two.");
        assert_eq!(server.deadline(), Some(ms(10_350)));
        // The newline was under way; a line follows.
        server.handle(ms(400), b"\r\nb\n");
        assert_eq!(server.poll(ms(400)).unwrap(), "=b");
        // A part waits for its rest, which makes the line, but not for ever.
        server.handle(ms(500), b"par");
        assert_eq!((server.poll(ms(700)), server.deadline()), (None, Some(ms(2500))));
        server.handle(ms(800), b"t\n\n");
        assert_eq!(server.poll(ms(800)).unwrap(), "=part=");
        server.handle(ms(1000), b"par");
        assert_eq!((server.poll(ms(1200)), server.poll(ms(2999))), (None, None));
        assert_eq!(server.poll(ms(3000)).unwrap(), "=par");
        // Only what comes next may be its newline.
        server.handle(ms(3100), b"t\n\n");
        assert_eq!(server.poll(ms(3100)).unwrap(), "=t=");
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
