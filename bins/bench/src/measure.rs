//! The phases of a measurement, and what the relay took in the one that counts.

use crate::processes::Processes;
use anyhow::bail;
use jostle_common::time::Instant;
use jostle_common::units::{Span, parse_seconds};
use serde_json::{Value, json};
use std::time::Duration;

/// How often a phase in which nothing arrived is measured again.
const AGAIN_MAX: u32 = 5;

/// Which processes are measured, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MeasureArgs {
    /// Measure these processes, with all that they have started
    #[arg(long = "of", value_name = "PID")]
    of: Vec<u32>,

    /// Begin to measure after so long
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "300ms")]
    warm_up: Span,

    /// Measure for so long
    #[arg(long = "for", value_name = "TIME", value_parser = parse_seconds, default_value = "1s")]
    duration: Span,
}

/// A phase of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// Where a measurement is.
#[derive(Debug)]
pub(crate) struct Meter {
    processes: Processes,
    begin: Instant,
    end: Instant,
    started: Option<Reading>,
    /// The phases in which nothing arrived.
    empty: u32,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    units: u64,
    processor: Duration,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measurement {
    /// What arrived.
    pub(crate) units: u64,
    /// The time that it took.
    pub(crate) time: Duration,
    /// The processor time of the relay.
    pub(crate) processor: Duration,
}

impl Measurement {
    /// Returns the figures as fields of a result, named by the unit: `datagrams`,
    /// `datagrams_per_second`, `ns_per_datagram`, and the share of a processor that the relay took.
    pub(crate) fn fields(&self, unit: &str) -> Value {
        let secs = self.time.as_secs_f64();
        let nanos = self.processor.as_nanos() as f64;
        let each = (self.units > 0).then(|| rounded(nanos / self.units as f64));
        json!({
            format!("{unit}s"): self.units,
            format!("{unit}s_per_second"): rounded(self.units as f64 / secs),
            format!("ns_per_{unit}"): each,
            "processor_share": rounded(self.processor.as_secs_f64() / secs),
            "seconds": rounded(secs),
        })
    }
}

/// Four significant places below one, three decimals above: more is noise.
pub(crate) fn rounded(value: f64) -> f64 {
    let scale = if value.abs() < 1.0 { 1e6 } else { 1e3 };
    libm::round(value * scale) / scale
}

impl Meter {
    /// Begins the warm-up.
    pub(crate) fn start(args: &MeasureArgs, now: Instant) -> Self {
        let begin = now + args.warm_up.0;
        let end = begin + args.duration.0;
        Self { processes: Processes::new(&args.of), begin, end, started: None, empty: 0 }
    }

    /// Begins the phase that counts at `now`.
    fn begin_at(&mut self, now: Instant, units: u64) -> anyhow::Result<Option<Measurement>> {
        let length = self.end.since(self.begin);
        (self.begin, self.end, self.started) = (now, now + length, None);
        self.turn(now, units)
    }

    const fn phase(&self, now: Instant) -> Phase {
        if now.as_nanos() < self.begin.as_nanos() {
            Phase::WarmUp
        } else if now.as_nanos() < self.end.as_nanos() {
            Phase::Measured
        } else {
            Phase::Over
        }
    }

    /// Returns the time at which the next phase begins.
    pub(crate) const fn deadline(&self) -> Instant {
        if self.started.is_none() { self.begin } else { self.end }
    }

    /// Takes the time and what has arrived so far; returns the measurement once it is over. If nothing
    /// arrived in all its time, it tells nothing of the relay and begins again: on a machine with other
    /// work a relay, or this loop, may be kept from its processor for that long.
    ///
    /// # Errors
    /// When the relay has ended, or lets nothing through.
    pub(crate) fn turn(&mut self, now: Instant, units: u64) -> anyhow::Result<Option<Measurement>> {
        match (self.phase(now), self.started) {
            (Phase::WarmUp, _) | (Phase::Measured, Some(_)) => Ok(None),
            (Phase::Measured, None) => {
                let processor = self.processes.processor_time()?;
                self.started = Some(Reading { at: now, units, processor });
                Ok(None)
            }
            // The loop was away for the whole phase: it begins now.
            (Phase::Over, None) => self.begin_at(now, units),
            (Phase::Over, Some(start)) if start.units == units => {
                self.empty += 1;
                if self.empty > AGAIN_MAX {
                    let time = self.end.since(self.begin) * self.empty;
                    bail!("the way worked, but then nothing arrived for {time:?}");
                }
                self.begin_at(now, units)
            }
            (Phase::Over, Some(start)) => Ok(Some(Measurement {
                units: units - start.units,
                time: now.since(start.at),
                processor: self.processes.processor_time()?.saturating_sub(start.processor),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        let args = MeasureArgs {
            of: Vec::new(),
            warm_up: Span(Duration::from_millis(100)),
            duration: Span(Duration::from_secs(1)),
        };
        Meter::start(&args, Instant::from_millis(50))
    }

    #[test]
    fn what_arrives_while_it_warms_up_is_not_counted() {
        let mut meter = meter();
        for (millis, units) in [(60, 10), (149, 20), (150, 21), (1149, 700)] {
            assert_eq!(meter.turn(Instant::from_millis(millis), units).unwrap(), None);
        }
        let measured = meter.turn(Instant::from_millis(1150), 1021).unwrap().unwrap();
        assert_eq!((measured.units, measured.time), (1000, Duration::from_secs(1)));
    }

    #[test]
    fn a_loop_that_was_away_measures_all_the_same() {
        let mut meter = meter();
        assert_eq!(meter.turn(Instant::from_secs(5), 7).unwrap(), None);
        assert_eq!(meter.deadline(), Instant::from_secs(6));
        let measured = meter.turn(Instant::from_secs(6), 9).unwrap().unwrap();
        assert_eq!((measured.units, measured.time), (2, Duration::from_secs(1)));
    }

    #[test]
    fn a_time_in_which_nothing_arrived_is_not_counted_until_that_is_all_there_is() {
        let mut meter = meter();
        for millis in [150, 1150, 2900] {
            assert_eq!(meter.turn(Instant::from_millis(millis), 7).unwrap(), None);
        }
        // It began for the third time when it was found that nothing had come.
        assert_eq!(meter.turn(Instant::from_millis(3899), 8).unwrap(), None);
        let measured = meter.turn(Instant::from_millis(3900), 9).unwrap().unwrap();
        assert_eq!((measured.units, measured.time), (2, Duration::from_secs(1)));

        let mut meter = self::meter();
        for millis in [150, 1150, 2150, 3150, 4150, 5150] {
            assert_eq!(meter.turn(Instant::from_millis(millis), 7).unwrap(), None);
        }
        let error = meter.turn(Instant::from_millis(6150), 7).unwrap_err().to_string();
        assert_eq!(error, "the way worked, but then nothing arrived for 6s");
    }

    #[test]
    fn figures_are_per_unit_and_per_second() {
        let measured = Measurement {
            units: 4_000,
            time: Duration::from_secs(2),
            processor: Duration::from_secs(1),
        };
        assert_eq!(
            measured.fields("packet"),
            json!({
                "packets": 4_000, "packets_per_second": 2_000.0, "ns_per_packet": 250_000.0,
                "processor_share": 0.5, "seconds": 2.0,
            })
        );
    }
}
