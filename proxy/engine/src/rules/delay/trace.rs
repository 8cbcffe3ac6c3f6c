//! A trace of delays: how long a link took over time, recorded and replayed.

use crate::rules::written::{lines, shortened};
use jostle_common::units::parse_duration;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// A delay that changes at given times; behind the last line the trace begins again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayTrace {
    /// From when on, and how long. The first begins at 0; times ascend strictly.
    steps: Vec<(Duration, Duration)>,
    /// The time at which it begins again; later than the last step.
    period: Duration,
    /// The file that it was read from.
    file: Option<Arc<str>>,
}

impl DelayTrace {
    /// Creates a trace of these steps, each the time from which it holds and the delay.
    ///
    /// # Errors
    /// Returns what is wrong with them, and where.
    pub fn new(mut steps: Vec<(Duration, Duration)>) -> Result<Self, String> {
        if let Some(line) = steps.windows(2).position(|pair| pair[0].0 >= pair[1].0) {
            return Err(format!(
                "line {}: its time is not later than that of the line before; let times ascend",
                line + 2
            ));
        }
        if steps.len() < 2 {
            return Err("it needs two lines or more: the last says when it begins again".into());
        }
        if steps[0].0 != Duration::ZERO {
            return Err("line 1: the trace begins at 0; write \"0 20\", say".into());
        }
        let (period, _) = steps.pop().expect("there are two or more");
        Ok(Self { steps, period, file: None })
    }

    /// Reads lines of two numbers: the millisecond from which on a delay holds, and the delay in
    /// milliseconds. The last line ends the round.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let step = |(index, line): (usize, &str)| {
            // Numbers alone: with the unit behind it "1s5" would be a time too.
            let millis = |word: &str| {
                let is_number = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                is_number.then(|| parse_duration(&format!("{word}ms")).ok()).flatten()
            };
            let mut numbers = line.split_whitespace().map(millis);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Some(from)), Some(Some(delay)), None) => Ok((from, delay)),
                _ => Err(format!(
                    "line {}: \"{}\" is not two numbers of milliseconds, a time and the delay from \
                     then on",
                    index + 1,
                    shortened(line)
                )),
            }
        };
        Self::new(lines(text)?.map(step).collect::<Result<_, _>>()?)
    }

    /// Returns the same trace as that of a file.
    #[must_use]
    pub fn of_file(self, name: &str) -> Self {
        Self { file: Some(name.into()), ..self }
    }

    /// Returns the name of the file that it was read from, if it was.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns it as the text of a file.
    pub(super) fn text(&self) -> String {
        let millis = |time: Duration| {
            let nanos = time.as_nanos();
            format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000)
        };
        let last = self.steps.last().map_or(Duration::ZERO, |(_, delay)| *delay);
        let steps = self.steps.iter().copied().chain([(self.period, last)]);
        steps.fold(String::new(), |mut text, (from, delay)| {
            let _ = writeln!(text, "{} {}", millis(from), millis(delay));
            text
        })
    }

    /// Returns the delay `elapsed` after the start.
    pub fn delay(&self, elapsed: Duration) -> Duration {
        let within = Duration::from_nanos_u128(elapsed.as_nanos() % self.period.as_nanos());
        let index = self.steps.partition_point(|(from, _)| *from <= within);
        self.steps[index - 1].1
    }

    /// Returns the steps of one round.
    pub fn steps(&self) -> &[(Duration, Duration)] {
        &self.steps
    }

    /// Returns the length of a round.
    pub const fn period(&self) -> Duration {
        self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_hold_until_the_next_step_and_begin_again() {
        let trace = DelayTrace::parse("0 20\n100 35.5\n150 20\n").unwrap();
        let at = |millis| trace.delay(Duration::from_millis(millis)).as_micros();
        assert_eq!(
            (at(0), at(99), at(100), at(149), at(150), at(250)),
            (20_000, 20_000, 35_500, 35_500, 20_000, 35_500)
        );
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        for (text, problem) in [
            ("0 20\n", "it needs two lines or more: the last says when it begins again"),
            ("5 20\n9 20\n", "line 1: the trace begins at 0; write \"0 20\", say"),
            (
                "0 20\n0 30\n",
                "line 2: its time is not later than that of the line before; let times ascend",
            ),
            (
                "0 20\n1s5 20\n",
                "line 2: \"1s5 20\" is not two numbers of milliseconds, a time and the delay from \
                 then on",
            ),
            (
                "0 20\n9\n",
                "line 2: \"9\" is not two numbers of milliseconds, a time and the delay from then \
                 on",
            ),
        ] {
            assert_eq!(DelayTrace::parse(text).unwrap_err(), problem);
        }
    }
}
