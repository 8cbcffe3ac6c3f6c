//! The server: answers the question with the time, and every other line with an error.

use super::{ERROR, LINE_BYTES_MAX, QUESTION, TimeFormat, answer};
use crate::protocol::hint::Hint;
use crate::protocol::line_server::LineService;
use crate::protocol::lines::{Line, Overlong, Silence, TOO_LONG};
use bytes::BytesMut;
use std::time::Duration;

const REMEDY: &str = "ask \"what time is it?\"";

/// Tells one client the time.
#[derive(Clone, Debug)]
pub struct ClockService {
    format: TimeFormat,
    /// Reads the calendar clock; the caller brings it, so that the machine has none of its own.
    wall: fn() -> Duration,
    answered: u64,
    errors: u64,
    /// The remark about the first line that asked something else.
    hint: Option<Hint>,
}

impl ClockService {
    /// Creates a service that writes what `wall` reads (since 1970-01-01 UTC) in `format`.
    pub const fn new(format: TimeFormat, wall: fn() -> Duration) -> Self {
        Self { format, wall, answered: 0, errors: 0, hint: None }
    }

    /// Returns the number of questions that were answered with the time.
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// Returns the number of lines that asked something else.
    pub const fn errors(&self) -> u64 {
        self.errors
    }
}

impl LineService for ClockService {
    const LINE_BYTES_MAX: usize = LINE_BYTES_MAX;
    const OVERLONG: Overlong = Overlong::Skip;

    fn answer(&mut self, line: Line<'_>, answers: &mut BytesMut) {
        let time = answer(line, (self.wall)(), self.format);
        self.answered += u64::from(time.is_some());
        if time.is_none() {
            self.errors += 1;
            let said = line.text().unwrap_or(TOO_LONG);
            if self.errors == 1 {
                self.hint = Some(Hint::not_understood(said, REMEDY));
            }
        }
        answers.extend_from_slice(time.as_deref().unwrap_or(ERROR).as_bytes());
        answers.extend_from_slice(b"\n");
    }
    /// Takes the question for whole without its newline, also if it was asked more than once. The
    /// rest of what may become the question is waited for.
    fn answer_unfinished(&mut self, text: &[u8], silence: Silence, answers: &mut BytesMut) -> bool {
        let question = QUESTION.as_bytes();
        let (questions, rest) = text.as_chunks::<{ QUESTION.len() }>();
        let is_asked = questions.iter().all(|asked| asked == question);
        if is_asked && !rest.is_empty() && question.starts_with(rest) && silence == Silence::Short {
            return false;
        }
        if is_asked {
            questions.iter().for_each(|asked| self.answer(Line::Whole(asked), answers));
        }
        let other = if is_asked { rest } else { text };
        if !other.is_empty() {
            self.answer(Line::Whole(other), answers);
        }
        true
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::line_server::LineServer;
    use crate::protocol::stream::StreamEndpoint;
    use jostle_common::time::Instant;

    /// Returns what is answered to `text` at once, at the end of a short silence, and of a long
    /// one.
    fn answers(text: &[u8]) -> [String; 3] {
        let service = ClockService::new(TimeFormat::Unix, || Duration::from_secs(7));
        let mut server = LineServer::new(service, Instant::START, Duration::from_secs(60));
        server.handle(Instant::START, text);
        [0, 200, 2000].map(|millis| {
            let answer = server.poll(Instant::from_millis(millis)).unwrap_or_default();
            String::from_utf8(answer.to_vec()).unwrap()
        })
    }

    #[test]
    fn a_question_without_a_newline_is_answered_when_it_is_whole() {
        let (time, error) = ("7.000000000\n", format!("{ERROR}\n"));
        for (asked, expected) in [
            ("what time is it?\n", [time, "", ""]),
            ("what time is it?", ["", time, ""]),
            ("what time is it?what time is it?", ["", &time.repeat(2), ""]),
            ("what time is it?what ti", ["", "", &format!("{time}{error}")]),
            ("what time", ["", "", &error]),
            ("what time is it", ["", "", &error]),
            ("hello", ["", &error, ""]),
            ("what time is it?!", ["", &format!("{time}{error}"), ""]),
            ("", ["", "", ""]),
        ] {
            assert_eq!(answers(asked.as_bytes()), expected, "{asked}");
        }
    }

    #[test]
    fn the_first_line_that_asks_something_else_is_told_of() {
        let mut service = ClockService::new(TimeFormat::Unix, Duration::default);
        service.answer(Line::Whole(b"what time is it?\n"), &mut BytesMut::new());
        assert_eq!(service.take_hint(), None);
        service.answer(Line::Whole(b"time?\n"), &mut BytesMut::new());
        service.answer(Line::Whole(b"noon?\n"), &mut BytesMut::new());
        let hint = service.take_hint().unwrap().to_string();
        assert!(hint.contains("\"time?\"; ask \"what time is it?\""), "{hint}");
        service.answer(Line::TooLong, &mut BytesMut::new());
        assert_eq!((service.take_hint(), service.errors()), (None, 3));
    }
}
