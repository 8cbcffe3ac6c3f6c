//! How late a relay is that holds datagrams for a delay: `jostle-load lateness`.
//!
//! Arrivals are Poisson's, for a fixed interval would wake a relay whenever the delay is a multiple
//! of it. A datagram's time begins just before it is sent, and ends when the kernel takes it in at
//! the sink, by its own stamp. So lateness includes two sends (some 3 µs each): it is never less
//! than the relay's own, and one that is negative was early.

use super::sockets::{Sender, Shape, Sink, calendar_offset};
use crate::arrivals::Arrivals;
use crate::measure::{MeasureArgs, Meter};
use crate::percentiles;
use anyhow::{Context, bail};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::units::{Span, parse_seconds};
use jostle_console::terminal;
use jostle_sys::LoadOptions;
use std::net::SocketAddr;
use std::time::Duration;

/// The most datagrams of which times are kept: 50,000 a second for three minutes.
const KEPT_MAX: usize = 10_000_000;

/// How late a relay is that holds each datagram for a delay, under Poisson arrivals
#[derive(Debug, clap::Args)]
pub(crate) struct LatenessArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,

    /// Where it leads: datagrams are taken in here
    #[arg(long, value_name = "ADDR")]
    sink: SocketAddr,

    /// Datagrams a second, in the mean
    #[arg(long, value_name = "COUNT", default_value_t = 1000.0)]
    rate: f64,

    /// What the relay holds each for
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "20ms")]
    delay: Span,

    /// The bytes of a datagram
    #[arg(long, value_name = "BYTES", default_value = "200",
        value_parser = clap::value_parser!(u16).range(16..=65_507))]
    size: u16,

    /// The seed of the arrivals
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    measure: MeasureArgs,
}

/// When each datagram was sent, and how late those of the measured phase were.
#[derive(Debug, Default)]
struct Times {
    /// Calendar nanoseconds, by number.
    sent: Vec<i64>,
    /// Those before it belong to the warm-up.
    first: usize,
    late: Vec<i64>,
}

impl Times {
    fn arrived(&mut self, number: u64, stamp: Option<Duration>, delay: Duration) {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let (Some(sent), Some(stamp)) = (self.sent.get(number), stamp) else { return };
        if number >= self.first {
            self.late.push(nanos(stamp) - sent - nanos(delay));
        }
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl LatenessArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a socket cannot be had, nothing arrives, or the relay ends.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut sink = Sink::new(self.sink, LoadOptions { runs: false, stamps: true })?;
        let shape = Shape { size: self.size.into(), batch: 1, runs: false };
        let mut sender = Sender::new(self.to, 1, shape)?;
        sender.reach(&mut sink)?;
        let clock = Clock::start();
        let mut meter = Meter::start(&self.measure, clock.now());
        let mut arrivals = Arrivals::new(self.seed, self.rate, clock.now());
        let mut times = Times { first: usize::MAX, ..Times::default() };
        let delay = self.delay.0;
        let offset = calendar_offset(&clock);
        let (begin, mut measuring) = (meter.deadline(), false);
        let measured = loop {
            let now = clock.now();
            if !measuring && now >= begin {
                (times.first, measuring) = (times.sent.len(), true);
            }
            sink.read(|number, stamp| times.arrived(number, stamp, delay))?;
            if let Some(measured) = meter.turn(now, sink.arrived)? {
                break measured;
            }
            if arrivals.next() <= now {
                if times.sent.len() == KEPT_MAX {
                    bail!("no more than {KEPT_MAX} datagrams");
                }
                let number = times.sent.len() as u64;
                // Read again: what was read above is older than the work between.
                times.sent.push(nanos(offset + clock.now().since(Instant::START)));
                sender.send(number)?;
                arrivals.advance();
            }
        };
        sink.drain(delay + Duration::from_millis(300), |number, stamp| {
            times.arrived(number, stamp, delay);
        })?;
        let mut fields = measured.fields("packet");
        let late = percentiles::fields(&mut times.late).context("nothing arrived with a stamp")?;
        fields["lateness"] = late;
        fields["early"] = times.late.iter().filter(|late| **late < 0).count().into();
        fields["sent"] = times.sent.len().into();
        fields["lost"] = (times.sent.len() as u64).saturating_sub(sink.arrived).into();
        terminal::line(&fields.to_string());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_what_goes_beyond_the_delay() {
        let mut times = Times { sent: vec![1_000, 2_000, 3_000], first: 1, late: Vec::new() };
        let delay = Duration::from_nanos(500);
        for (number, stamp) in [(0, 1_900), (1, 2_507), (2, 3_499), (7, 9_000)] {
            times.arrived(number, Some(Duration::from_nanos(stamp)), delay);
        }
        // The warm-up's first and one that was never sent do not count; the last was early.
        assert_eq!(times.late, [7, -1]);
        times.arrived(1, None, delay);
        assert_eq!(times.late.len(), 2);
    }
}
