//! A trace of delivery opportunities: how a link's speed was over time, recorded and replayed.

use crate::rules::written::{lines, shortened};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The bytes that one delivery opportunity carries: a full Ethernet packet and the four bytes that
/// mahimahi's TUN device puts in front.
pub const OPPORTUNITY_BYTES: u32 = 1504;

/// Delivery opportunities in time, in mahimahi's format: a line holds the millisecond of an
/// opportunity to send [`OPPORTUNITY_BYTES`]; behind the last line the trace begins again, that
/// much later (Netravali et al., "Mahimahi", USENIX ATC 2015).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTrace {
    /// Milliseconds since the start, ascending; the last is not 0.
    millis: Vec<u64>,
    /// The file that it was read from.
    file: Option<Arc<str>>,
}

impl RateTrace {
    /// Creates a trace of these opportunities.
    ///
    /// # Errors
    /// Returns what is wrong with them, and where.
    pub fn new(millis: Vec<u64>) -> Result<Self, String> {
        if let Some(line) = millis.windows(2).position(|pair| pair[0] > pair[1]) {
            let (from, to) = (millis[line], millis[line + 1]);
            return Err(format!(
                "line {}: {to} comes after {from}; opportunities ascend in time",
                line + 2
            ));
        }
        match millis.last() {
            None => Err("it holds no opportunity; write a millisecond per line".into()),
            Some(0) => Err("it ends at 0, where it began; let the last line be 1 or more".into()),
            Some(last) if *last > u64::from(u32::MAX) => {
                Err(format!("{last} ms are over 49 days; write a shorter trace"))
            }
            Some(_) => Ok(Self { millis, file: None }),
        }
    }

    /// Reads mahimahi's format: one whole number of milliseconds per line.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |(index, line): (usize, &str)| {
            line.trim().parse().map_err(|_| {
                format!(
                    "line {}: \"{}\" is not a whole number of milliseconds",
                    index + 1,
                    shortened(line)
                )
            })
        };
        Self::new(lines(text)?.map(number).collect::<Result<_, _>>()?)
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
        self.millis.iter().fold(String::new(), |mut text, millis| {
            let _ = writeln!(text, "{millis}");
            text
        })
    }

    /// Returns the milliseconds of one round.
    pub fn millis(&self) -> &[u64] {
        &self.millis
    }

    /// Returns the length of a round in milliseconds, at least 1.
    pub fn period(&self) -> u64 {
        self.millis.last().copied().unwrap_or(1)
    }

    /// Returns the time from the start to opportunity `index` (from 0, over all rounds).
    pub fn opportunity(&self, index: u64) -> Duration {
        let count = self.millis.len() as u64;
        let millis = (index / count)
            .saturating_mul(self.period())
            .saturating_add(self.millis[(index % count) as usize]);
        Duration::from_millis(millis)
    }

    /// Returns the first opportunity at or after `elapsed` since the start.
    pub fn first_from(&self, elapsed: Duration) -> u64 {
        let millis = u64::try_from(elapsed.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        // What stands at the end of a round is in that round: a round covers its own (0, period].
        let round = millis.saturating_sub(1) / self.period();
        let within = millis - round * self.period();
        let first = self.millis.partition_point(|at| *at < within) as u64;
        round * self.millis.len() as u64 + first
    }

    /// Returns the mean speed in bits per second.
    pub fn mean_bits_per_second(&self) -> f64 {
        self.millis.len() as f64 * f64::from(OPPORTUNITY_BYTES) * 8.0 * 1000.0
            / self.period() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opportunities_wrap_as_mahimahi_wraps() {
        let trace = RateTrace::parse("0\n3\n3\n7\n").unwrap();
        let times: Vec<u128> = (0..9).map(|index| trace.opportunity(index).as_millis()).collect();
        assert_eq!(times, [0, 3, 3, 7, 7, 10, 10, 14, 14]);
        let first = |micros| trace.first_from(Duration::from_micros(micros));
        assert_eq!(
            (first(0), first(1), first(3000), first(3001), first(7000), first(7001)),
            (0, 1, 1, 3, 3, 5)
        );
        assert_eq!((first(10_000), first(14_000)), (5, 7));
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        for (text, problem) in [
            ("", "it holds no opportunity; write a millisecond per line"),
            ("0\n0\n", "it ends at 0, where it began; let the last line be 1 or more"),
            ("5\n3\n", "line 2: 3 comes after 5; opportunities ascend in time"),
            ("1\n\n3\n", "line 2: \"\" is not a whole number of milliseconds"),
            ("1\n2.5\n", "line 2: \"2.5\" is not a whole number of milliseconds"),
        ] {
            assert_eq!(RateTrace::parse(text).unwrap_err(), problem);
        }
    }
}
