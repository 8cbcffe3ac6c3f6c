//! How late a relay is that holds datagrams for a delay: `jostle-load lateness`.
//!
//! Arrivals are Poisson's, for a fixed interval would wake a relay whenever the delay is a multiple
//! of it. A datagram's time begins just before it is sent, and ends when the kernel takes it in at
//! the sink, by its own stamp. So lateness includes two sends (some 3 µs each): it is never less
//! than the relay's own, and one that is negative was early.
//!
//! Whenever the load itself did not run, what would have been sent meanwhile is left out: sent all at
//! once it would be no Poisson stream, and a queue before the relay. A datagram during whose sending
//! the load was stopped is not judged, as nobody knows when the relay had it.

use super::sockets::{Sender, Shape, Sink, calendar_offset};
use crate::arrivals::Arrivals;
use crate::measure::{MeasureArgs, Meter, rounded};
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

/// An arrival that is noticed so late was slept through: a turn of the load takes a tenth of it.
const AWAY: Duration = Duration::from_micros(300);

/// A send takes some 3 µs, with what the kernel delivers on the way a few times that.
const SENDING_MAX: Duration = Duration::from_micros(50);

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
    /// Calendar nanoseconds, by number; `None` if it is not known well enough.
    sent: Vec<Option<i64>>,
    /// Those before it belong to the warm-up.
    first: usize,
    late: Vec<i64>,
}

impl Times {
    fn arrived(&mut self, number: u64, stamp: Option<Duration>, delay: Duration) {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let sent = self.sent.get(number).copied().flatten();
        let (Some(sent), Some(stamp)) = (sent, stamp) else { return };
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
        let mut away = Duration::ZERO;
        let measured = loop {
            let now = clock.now();
            if !measuring && now >= begin {
                (times.first, measuring) = (times.sent.len(), true);
            }
            sink.read(|number, stamp| times.arrived(number, stamp, delay))?;
            if let Some(measured) = meter.turn(now, sink.arrived)? {
                break measured;
            }
            if arrivals.next() + AWAY <= now {
                if measuring {
                    away += now.since(arrivals.next());
                }
                arrivals.resume(now);
            } else if arrivals.next() <= now {
                if times.sent.len() == KEPT_MAX {
                    bail!("no more than {KEPT_MAX} datagrams");
                }
                let number = times.sent.len() as u64;
                // Read again: what was read above is older than the work between.
                let begun = clock.now();
                sender.send(number)?;
                let is_known = clock.now().since(begun) <= SENDING_MAX;
                let sent = is_known.then(|| nanos(offset + begun.since(Instant::START)));
                times.sent.push(sent);
                arrivals.advance();
            }
        };
        sink.drain(delay + Duration::from_millis(300), |number, stamp| {
            times.arrived(number, stamp, delay);
        })?;
        let mut fields = measured.fields("packet");
        fields["away_share"] = rounded(away.as_secs_f64() / measured.time.as_secs_f64()).into();
        fields["not_judged"] =
            times.sent.iter().skip(times.first).filter(|sent| sent.is_none()).count().into();
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
        let mut times =
            Times { sent: [1_000, 2_000, 3_000].map(Some).to_vec(), ..Times::default() };
        times.first = 1;
        let delay = Duration::from_nanos(500);
        for (number, stamp) in [(0, 1_900), (1, 2_507), (2, 3_499), (7, 9_000)] {
            times.arrived(number, Some(Duration::from_nanos(stamp)), delay);
        }
        // The warm-up's first and one that was never sent do not count; the last was early.
        assert_eq!(times.late, [7, -1]);
        times.arrived(1, None, delay);
        times.sent[1] = None;
        times.arrived(1, Some(Duration::from_nanos(2_507)), delay);
        assert_eq!(times.late.len(), 2, "without both times there is no lateness");
    }
}
