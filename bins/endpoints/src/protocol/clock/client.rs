//! The client: asks on one connection, one question at a time, and keeps what the fastest answer
//! says.

use super::zoneless::parse_zoneless;
use super::{ClockEstimate, ClockSample, LINE_BYTES_MAX, QUESTION, parse_time};
use crate::protocol::hint::Hint;
use crate::protocol::lines::{SILENCE, late_newline};
use crate::protocol::stream::StreamEndpoint;
use bytes::Bytes;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use jostle_common::units::format_duration;
use std::collections::VecDeque;
use std::time::Duration;

/// The settings of a [`ClockClient`].
#[derive(Clone, Copy, Debug)]
pub struct ClockClientSettings {
    /// The number of questions.
    pub count: u64,
    /// The least time from one question to the next.
    pub interval: Duration,
    /// The time without an answer after which it gives up.
    pub patience: Duration,
    /// Reads the calendar clock (since 1970-01-01 UTC).
    pub wall: fn() -> Duration,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct ClockAnswer {
    /// The number of the question, from 1.
    pub number: u64,
    /// The time as the server wrote it; not to be printed without escaping.
    pub text: String,
    /// The exchange.
    pub sample: ClockSample,
    /// The estimate of the server's clock from it.
    pub estimate: ClockEstimate,
}

/// The answers that a client has got so far.
#[derive(Clone, Debug, Default)]
pub struct ClockReport {
    /// Questions answered.
    pub answered: u64,
    /// Their round trips.
    pub round_trips: RoundTrips,
    /// The answer with the shortest round trip: it says most.
    pub best: Option<ClockAnswer>,
}

/// The reason why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer to question {number}: {reason}")]
pub struct ClockFailure {
    /// The number of the question, from 1.
    pub number: u64,
    /// The reason; not to be printed without escaping.
    pub reason: String,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Question {
    /// The time at which it was asked, and what the calendar clock showed then.
    begun: Instant,
    asked: Duration,
    /// The time at which something of the answer last came.
    heard: Instant,
    line: Vec<u8>,
}

/// Asks a clock.
#[derive(Debug)]
pub struct ClockClient {
    settings: ClockClientSettings,
    /// The number of the last question.
    number: u64,
    /// The time at which the next one may go.
    next: Instant,
    question: Option<Question>,
    answers: VecDeque<ClockAnswer>,
    outcome: Option<Result<(), ClockFailure>>,
    /// True if the server ends its answers with newlines.
    speaks_lines: bool,
    /// A remark that was not taken yet, and true if one was made.
    hint: (Option<Hint>, bool),
    report: ClockReport,
}

impl ClockClient {
    /// Creates a client that has asked nothing.
    pub fn new(settings: ClockClientSettings) -> Self {
        Self {
            settings,
            number: 0,
            next: Instant::START,
            question: None,
            answers: VecDeque::new(),
            outcome: None,
            speaks_lines: false,
            hint: (None, false),
            report: ClockReport::default(),
        }
    }

    /// Makes a remark, unless there was one.
    fn remark(&mut self, hint: impl FnOnce() -> Hint) {
        if !std::mem::replace(&mut self.hint.1, true) {
            self.hint.0 = Some(hint());
        }
    }

    /// Returns the time at which the server has been silent for long behind a text without a
    /// newline. One that ever sent a newline will send this one too.
    fn silent_at(&self) -> Option<Instant> {
        let question = self.question.as_ref().filter(|question| !question.line.is_empty())?;
        (!self.speaks_lines).then(|| question.heard + SILENCE)
    }

    /// Takes the text without a newline for the answer, if it is one. It was there when its last
    /// byte was.
    fn take_unfinished(&mut self) {
        let Some(Question { begun, asked, heard, line }) = &mut self.question else { return };
        let (begun, asked, heard, line) = (*begun, *asked, *heard, std::mem::take(line));
        self.remark(|| Hint::new(format!("answered {} bytes without a newline", line.len())));
        self.answer(heard, &line, begun, asked);
    }

    /// Returns the next answer, in order.
    pub fn next_answer(&mut self) -> Option<ClockAnswer> {
        self.answers.pop_front()
    }

    /// Returns the report, and the outcome if it has ended.
    pub fn into_parts(self) -> (ClockReport, Option<Result<(), ClockFailure>>) {
        (self.report, self.outcome)
    }

    fn fail(&mut self, reason: String) {
        // Between two questions it is the next one that cannot be asked.
        let number = self.number + u64::from(self.question.is_none());
        self.outcome.get_or_insert(Err(ClockFailure { number, reason }));
    }

    /// Judges a whole line, without its newline.
    fn answer(&mut self, now: Instant, line: &[u8], begun: Instant, asked: Duration) {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        let zoneless = || {
            let answer = parse_zoneless(&text, asked + now.since(begun) / 2)?;
            self.remark(|| {
                Hint::new(
                    "answered a time without a zone; the one is taken that makes it nearest to \
                     our clock, so its offset is known but for quarters of an hour",
                )
            });
            Some(answer)
        };
        let Some(answer) = parse_time(&text).or_else(zoneless) else {
            return self.fail(format!("the server said \"{text}\", which is no time"));
        };
        let sample = ClockSample { asked, round_trip: now.since(begun), answer };
        let estimate = sample.estimate();
        let answer = ClockAnswer { number: self.number, text, sample, estimate };
        self.report.answered += 1;
        self.report.round_trips.record(sample.round_trip);
        let is_faster = |best: &ClockAnswer| sample.round_trip < best.sample.round_trip;
        if self.report.best.as_ref().is_none_or(is_faster) {
            self.report.best = Some(answer.clone());
        }
        self.answers.push_back(answer);
        self.question = None;
        if self.number == self.settings.count {
            self.outcome = Some(Ok(()));
        }
    }
}

impl StreamEndpoint for ClockClient {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        if self.outcome.is_some() {
            return;
        }
        // Nothing that is there before a question can be its answer.
        let Some(question) = &mut self.question else { return };
        // The newline of the answer before, which was taken without.
        let is_late = self.number > 1 && !self.speaks_lines && question.line.is_empty();
        let bytes = if is_late { &bytes[late_newline(bytes).len()..] } else { bytes };
        question.heard = now;
        question.line.extend_from_slice(bytes);
        let (begun, asked) = (question.begun, question.asked);
        if let Some(end) = question.line.iter().position(|byte| *byte == b'\n') {
            self.speaks_lines = true;
            let line = std::mem::take(&mut question.line);
            self.answer(now, &line[..end], begun, asked);
        } else if question.line.len() >= LINE_BYTES_MAX {
            self.fail(format!("a line of more than {LINE_BYTES_MAX} bytes"));
        }
    }

    fn handle_end(&mut self, _now: Instant) {
        // What was said without a newline ends with the connection.
        if self.question.as_ref().is_some_and(|question| !question.line.is_empty()) {
            self.take_unfinished();
        }
        if self.outcome.is_none() {
            self.fail("the server closed the connection".to_owned());
        }
    }

    fn handle_break(&mut self, _now: Instant, reason: &str) {
        self.fail(reason.to_owned());
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        if self.outcome.is_some() || self.deadline().is_none_or(|at| at > now) {
            return None;
        }
        if self.silent_at().is_some() {
            self.take_unfinished();
            return self.poll(now);
        }
        if self.question.is_some() {
            let silence = format_duration(self.settings.patience);
            self.fail(format!("nothing moved for {silence}"));
            return None;
        }
        self.number += 1;
        self.next = now + self.settings.interval;
        // The calendar is read inside the time that is measured, so that the round trip covers
        // whatever happens in between.
        let asked = (self.settings.wall)();
        self.question = Some(Question { begun: now, asked, heard: now, line: Vec::new() });
        Some(Bytes::from(format!("{QUESTION}\n")))
    }

    fn deadline(&self) -> Option<Instant> {
        if self.outcome.is_some() {
            return None;
        }
        let due = match &self.question {
            Some(question) => question.heard + self.settings.patience,
            None => self.next,
        };
        Some(self.silent_at().map_or(due, |at| at.min(due)))
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn client(count: u64) -> ClockClient {
        ClockClient::new(ClockClientSettings {
            count,
            interval: Duration::from_millis(100),
            patience: Duration::from_secs(1),
            wall: || Duration::from_secs(1_000_000_000),
        })
    }

    #[test]
    fn the_fastest_answer_is_kept_and_questions_keep_their_interval() {
        let mut client = client(2);
        assert_eq!(client.poll(at(0)).unwrap(), "what time is it?\n");
        client.handle(at(5), b"10000");
        client.handle(at(8), b"00000.007\n");
        assert_eq!((client.poll(at(99)), client.deadline()), (None, Some(at(100))));
        assert!(client.poll(at(100)).is_some());
        client.handle(at(102), b"1000000000.001\n");
        assert!(client.is_finished());
        let numbers: Vec<_> = std::iter::from_fn(|| client.next_answer()).collect();
        assert_eq!(numbers.iter().map(|answer| answer.number).collect::<Vec<_>>(), [1, 2]);
        let (report, outcome) = client.into_parts();
        let best = report.best.unwrap();
        assert_eq!((outcome, report.answered, best.number), (Some(Ok(())), 2, 2));
        assert_eq!(best.sample.round_trip, Duration::from_millis(2));
    }

    #[test]
    fn an_answer_without_a_newline_was_there_when_its_last_byte_was() {
        let mut client = client(2);
        client.poll(at(0));
        client.handle(at(5), b"10000");
        client.handle(at(8), b"00000.007");
        assert_eq!((client.deadline(), client.poll(at(207))), (Some(at(208)), None));
        assert!(client.poll(at(208)).is_some(), "the next question goes");
        let answer = client.next_answer().unwrap();
        assert_eq!(answer.sample.round_trip, Duration::from_millis(8));
        let hint = client.take_hint().unwrap().to_string();
        assert_eq!(hint, "answered 14 bytes without a newline");
        // Its newline was late, and is no answer.
        client.handle(at(210), b"\n1000000000.1\n");
        assert_eq!(client.into_parts().1, Some(Ok(())));
        // A server that sends newlines is waited for.
        let mut lines = self::client(2);
        lines.poll(at(0));
        lines.handle(at(5), b"1000000000.007\n");
        lines.poll(at(100));
        lines.handle(at(105), b"1000000000");
        assert_eq!((lines.poll(at(400)), lines.deadline()), (None, Some(at(1105))));
    }

    #[test]
    fn a_time_without_a_zone_is_taken_and_what_is_no_time_fails_at_once() {
        let mut client = client(1);
        client.poll(at(0));
        client.handle(at(10), b"2001-09-09 03:46:40.5\n");
        let wall = client.next_answer().unwrap().sample.answer.wall;
        assert_eq!(wall, Duration::from_millis(1_000_000_000_500));
        assert!(client.take_hint().unwrap().to_string().contains("without a zone"));
        let mut other = self::client(1);
        other.poll(at(0));
        other.handle(at(10), b"it is late");
        assert_eq!(other.poll(at(210)), None);
        let failure = other.into_parts().1.unwrap().unwrap_err().to_string();
        assert!(failure.contains("\"it is late\", which is no time"), "{failure}");
    }

    #[test]
    fn silence_and_nonsense_name_the_question() {
        let ended = |act: &dyn Fn(&mut ClockClient)| {
            let mut client = client(2);
            client.poll(at(0));
            act(&mut client);
            client.into_parts().1.unwrap().unwrap_err().to_string()
        };
        assert_eq!(
            ended(&|client| drop(client.poll(at(1000)))),
            "no answer to question 1: nothing moved for 1s"
        );
        assert!(ended(&|client| client.handle(at(1), b"noon\n")).contains("\"noon\", which is no"));
        assert!(ended(&|client| client.handle(at(1), &[b'1'; 1024])).contains("more than 1024"));
        assert!(ended(&|client| client.handle_end(at(1))).ends_with("closed the connection"));
    }

    #[test]
    fn an_answer_without_newline_ends_with_the_connection() {
        for (count, failed) in [(1, None), (2, Some("no answer to question 2"))] {
            let mut client = client(count);
            client.poll(at(0));
            client.handle(at(1), b"2026-03-01T12:00:00Z");
            client.handle_end(at(2));
            let (report, outcome) = client.into_parts();
            assert_eq!(report.answered, 1);
            let error = outcome.unwrap().err().map(|error| error.to_string());
            assert_eq!(error.is_some(), failed.is_some(), "{error:?}");
            assert!(error.unwrap_or_default().starts_with(failed.unwrap_or_default()));
        }
    }
}
