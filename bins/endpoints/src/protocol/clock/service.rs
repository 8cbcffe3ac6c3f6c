//! The server: answers the question with the time, and every other line with an error.

use super::{ERROR, LINE_BYTES_MAX, TimeFormat, answer};
use crate::protocol::line_server::LineService;
use crate::protocol::lines::{Line, Overlong};
use bytes::BytesMut;
use std::time::Duration;

/// Tells one client the time.
#[derive(Clone, Copy, Debug)]
pub struct ClockService {
    format: TimeFormat,
    /// Reads the calendar clock; the caller brings it, so that the machine has none of its own.
    wall: fn() -> Duration,
    answered: u64,
    errors: u64,
}

impl ClockService {
    /// Creates a service that writes what `wall` reads (since 1970-01-01 UTC) in `format`.
    pub const fn new(format: TimeFormat, wall: fn() -> Duration) -> Self {
        Self { format, wall, answered: 0, errors: 0 }
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
        self.errors += u64::from(time.is_none());
        answers.extend_from_slice(time.as_deref().unwrap_or(ERROR).as_bytes());
        answers.extend_from_slice(b"\n");
    }
}
