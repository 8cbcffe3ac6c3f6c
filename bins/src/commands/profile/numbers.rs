//! A profile in a few numbers: speed, delay, jitter and loss each way.

use jostle_common::chance::Direction;
use jostle_common::words::{fine_percent, short_rate, time};
use jostle_engine::profile::Profile;
use jostle_study::forecast::{DirectionForecast, Forecast, Load, PhaseForecast};
use serde_json::{Value, json};

/// The payload for which the numbers hold, as `profile check` has it.
const SIZE: u32 = 1200;

/// The numbers of a profile.
pub(in crate::commands) struct Numbers {
    /// Up and down.
    pub(in crate::commands) directions: [Direct; 2],
    pub(super) phases: usize,
    /// True if the phases differ.
    pub(in crate::commands) changes: bool,
}

/// The numbers of one direction, in the long run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::commands) struct Direct {
    /// Bits per second; `None` without a limit.
    rate: Option<f64>,
    /// The mean delay in seconds, queues aside.
    pub(in crate::commands) delay: f64,
    /// Its standard deviation in seconds.
    pub(in crate::commands) jitter: f64,
    /// The share of packets lost, full queues aside; `None` where no formula tells.
    pub(in crate::commands) loss: Option<f64>,
}

impl Numbers {
    /// The columns.
    pub(super) const HEADS: [&'static str; 5] = ["down", "up", "delay", "jitter", "loss"];

    pub(in crate::commands) fn of(profile: &Profile) -> Self {
        let forecast = Forecast::of(profile, &Load::size(SIZE));
        let phases = &forecast.phases;
        let of = |direction| {
            phases.iter().map(move |phase: &PhaseForecast| Direct::of(phase, direction))
        };
        let changes = Direction::BOTH
            .into_iter()
            .any(|direction| of(direction).any(|one| Some(one) != of(direction).next()));
        let directions = Direction::BOTH.map(|direction| {
            Direct::mean(phases.iter().map(|phase| weight(phases, phase)).zip(of(direction)))
        });
        Self { directions, phases: phases.len() + forecast.phases_left_out, changes }
    }

    /// Returns what stands in a column, or nothing.
    pub(super) fn cell(&self, place: usize) -> String {
        let [up, down] = &self.directions;
        let rate = |one: &Direct| one.rate.map(short_rate).unwrap_or_default();
        let both = |of: fn(&Direct) -> String| match (of(down), of(up)) {
            (down, up) if down == up => down,
            (down, up) => {
                let or_nothing = |text: String| if text.is_empty() { "0".into() } else { text };
                let (down, up) = (or_nothing(down), or_nothing(up));
                // A unit that both have is said once.
                match (down.split_once(' '), up.split_once(' ')) {
                    (Some((value, unit)), Some((_, other))) if unit == other => {
                        format!("{value}/{up}")
                    }
                    _ => format!("{down}/{up}"),
                }
            }
        };
        let text = match place {
            0 => rate(down),
            1 => rate(up),
            2 => both(|one| some_time(one.delay)),
            3 => both(|one| some_time(one.jitter)),
            _ => both(|one| match one.loss {
                Some(0.0) => String::new(),
                Some(share) => fine_percent(share),
                None => "?".to_owned(),
            }),
        };
        if self.changes && !text.is_empty() { format!("~{text}") } else { text }
    }
}

fn some_time(seconds: f64) -> String {
    // Less than a microsecond is what a formula leaves, not what a profile asks for.
    if seconds < 1e-6 { String::new() } else { time(seconds) }
}

/// Returns the share of the time that a phase has in the long run: all of it if it never ends.
fn weight(phases: &[PhaseForecast], phase: &PhaseForecast) -> f64 {
    let ends = phases.iter().all(|phase| phase.length.is_some());
    match phase.length {
        None => 1.0,
        Some(_) if !ends => 0.0,
        Some(length) => length.as_secs_f64(),
    }
}

impl Direct {
    fn of(phase: &PhaseForecast, direction: Direction) -> Self {
        let DirectionForecast { rules, loss, delay, .. } = &phase.directions[direction.index()];
        let limits = rules.iter().filter_map(|rule| rule.promise.limit.as_ref());
        let variance = rules.iter().map(|rule| rule.promise.jitter.powi(2)).fold(0.0, |a, b| a + b);
        Self {
            rate: limits.map(|limit| limit.bits_per_second).reduce(f64::min),
            delay: *delay,
            jitter: variance.sqrt(),
            loss: loss.as_ref().map(|losses| losses.share),
        }
    }

    /// Returns the mean of phases by their weights; of rates, where there is one.
    fn mean(phases: impl Iterator<Item = (f64, Self)> + Clone) -> Self {
        let mean = |of: fn(&Self) -> Option<f64>| {
            let values = phases.clone().filter_map(|(weight, one)| Some((weight, of(&one)?)));
            let (sum, total) = values.fold((0.0, 0.0), |(sum, total), (weight, value)| {
                (sum + weight * value, total + weight)
            });
            (total > 0.0).then(|| sum / total)
        };
        let is_known = phases.clone().all(|(_, one)| one.loss.is_some());
        Self {
            rate: mean(|one| one.rate),
            delay: mean(|one| Some(one.delay)).unwrap_or(0.0),
            jitter: mean(|one| Some(one.jitter)).unwrap_or(0.0),
            loss: mean(|one| one.loss).filter(|_| is_known),
        }
    }

    /// Returns true if no packet is lost or held, queues aside.
    pub(in crate::commands) fn is_nothing(&self) -> bool {
        // Less than a microsecond is what a formula leaves.
        self.loss == Some(0.0) && self.delay < 1e-6
    }

    /// Bits per second, seconds, and a fraction.
    pub(super) fn json(&self) -> Value {
        let Self { rate, delay, jitter, loss } = self;
        json!({ "rate_bps": rate, "delay": delay, "jitter": jitter, "loss": loss })
    }
}
