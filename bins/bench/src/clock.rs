//! How late a thread is that does nothing but look at the clock: `jostle-load clock`. That much of a
//! relay's lateness is the machine's own.

use crate::arrivals::Arrivals;
use crate::percentiles;
use anyhow::{Context, bail};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::units::{Span, parse_seconds};
use jostle_console::terminal;
use jostle_sys::take_precedence;
use rustix::event::{Timespec, poll};
use serde_json::json;
use std::time::Duration;

/// The time between two rests.
const STRETCH: Duration = Duration::from_millis(9);

/// A rest. Without any the system would stop a thread that runs before others for a twentieth of
/// each second (sched(7)).
const REST: Duration = Duration::from_millis(1);

/// How late a thread is that only looks at the clock, under Poisson arrivals
#[derive(Debug, clap::Args)]
pub(crate) struct ClockArgs {
    /// Arrivals a second, in the mean
    #[arg(long, value_name = "COUNT", default_value_t = 50_000.0,
        value_parser = parse_rate)]
    rate: f64,

    /// Look for so long
    #[arg(long = "for", value_name = "TIME", value_parser = parse_seconds, default_value = "2s")]
    duration: Span,

    /// The seed of the arrivals
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Run before ordinary programs
    #[arg(long)]
    realtime: bool,
}

/// A rate that a thread can keep up with, and of which the times find room.
fn parse_rate(text: &str) -> Result<f64, String> {
    const MOST: f64 = 1e6;
    let rate = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if rate > 0.0 && rate <= MOST { Ok(rate) } else { Err(format!("from 0 to {MOST}")) }
}

impl ClockArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When precedence is refused, or nothing came.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        if self.realtime
            && let Err(error) = take_precedence().scheduled
        {
            bail!("running before ordinary programs: {error}");
        }
        let clock = Clock::start();
        let end = clock.now() + self.duration.0;
        let mut late = Vec::new();
        while clock.now() < end {
            let begun = clock.now();
            let mut arrivals = Arrivals::new(self.seed + late.len() as u64, self.rate, begun);
            note_arrivals(&clock, &mut arrivals, (begun + STRETCH).min(end), &mut late);
            poll(&mut [], Some(&Timespec::try_from(REST)?)).context("resting")?;
        }
        let lateness = percentiles::fields(&mut late).context("nothing came in so short a time")?;
        terminal::line(&json!({ "lateness": lateness }).to_string());
        Ok(())
    }
}

/// Notes how late each arrival before `until` is noticed.
fn note_arrivals(clock: &Clock, arrivals: &mut Arrivals, until: Instant, late: &mut Vec<i64>) {
    while arrivals.next() < until {
        let now = clock.now();
        while arrivals.next() <= now.min(until) {
            late.push(i64::try_from(now.since(arrivals.next()).as_nanos()).unwrap_or(i64::MAX));
            arrivals.advance();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arrival_is_noted_and_none_before_it_came() {
        let clock = Clock::start();
        let now = clock.now();
        let (mut arrivals, mut late) = (Arrivals::new(3, 100_000.0, now), Vec::new());
        note_arrivals(&clock, &mut arrivals, now + Duration::from_millis(20), &mut late);
        // 2,000 in the mean, with a standard deviation of 45.
        assert!((1_700..=2_300).contains(&late.len()), "{}", late.len());
        assert!(late.iter().all(|late| *late >= 0));
        assert!(clock.now() >= now + Duration::from_millis(19));
    }

    #[test]
    fn rates_are_those_that_a_thread_keeps_up_with() {
        assert_eq!(parse_rate("1000"), Ok(1000.0));
        for text in ["0", "-1", "1e7", "NaN", "many"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
