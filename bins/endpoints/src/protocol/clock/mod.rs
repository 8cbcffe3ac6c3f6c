//! The clock service: a line asks `what time is it?`, a line answers; and what a client learns from
//! it about the server's clock.

mod client;
mod estimate;
mod format;
mod service;
mod zoneless;

pub use client::{ClockAnswer, ClockClient, ClockClientSettings, ClockFailure, ClockReport};
pub use estimate::{ClockEstimate, ClockSample};
pub use format::{Reading, TimeFormat, parse_time};
pub use service::ClockService;

use super::lines::Line;
use std::time::Duration;

/// The port unless told otherwise.
pub const PORT: u16 = 1236;
/// The question.
pub const QUESTION: &str = "what time is it?";
/// The answer to anything else.
pub const ERROR: &str = "error: ask \"what time is it?\"";
/// The longest line in bytes, newline included: any time in any format fits.
pub const LINE_BYTES_MAX: usize = 1024;

/// Answers a line at the calendar time `wall` (since 1970-01-01 UTC); `None` when it does not ask
/// for the time.
pub fn answer(line: Line<'_>, wall: Duration, format: TimeFormat) -> Option<String> {
    (line.text() == Some(QUESTION.as_bytes())).then(|| format.print(wall))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_answered_and_nothing_else() {
        let wall = Duration::new(1_000_000_000, 7);
        for asked in ["what time is it?\n", "what time is it?\r\n", "what time is it?"] {
            let answer = answer(Line::Whole(asked.as_bytes()), wall, TimeFormat::Rfc3339);
            assert_eq!(answer.as_deref(), Some("2001-09-09T01:46:40.000000007Z"), "{asked:?}");
        }
        for other in [
            "",
            "\n",
            "What time is it?\n",
            "what time is it\n",
            " what time is it?\n",
            "what time is it? \n",
        ] {
            assert_eq!(
                answer(Line::Whole(other.as_bytes()), wall, TimeFormat::Rfc3339),
                None,
                "{other:?}"
            );
        }
        assert_eq!(answer(Line::TooLong, wall, TimeFormat::Rfc3339), None);
    }
}
