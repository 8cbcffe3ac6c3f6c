//! What a profile will do, in numbers, before anything is sent: by formulas, where there are some,
//! and by short runs in virtual time.
//!
//! ```
//! use jostle_engine::profile::Profile;
//! use jostle_study::forecast::{Forecast, Load};
//!
//! let profile = Profile::from_json(r#"{ "both": [ { "rule": "drop", "burst": { "mean": "2%", "length": 3 } } ] }"#)?;
//! let forecast = Forecast::of(&profile, &Load::size(1200));
//! let up = &forecast.phases[0].directions[0];
//! assert!((up.loss.as_ref().unwrap().share - 0.02).abs() < 1e-12);
//! assert!(forecast.warnings.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod effects;
mod losses;
mod trial;
mod warnings;

pub use effects::{DelayForecast, Effect, RateForecast, RuleForecast};
pub use losses::{LossModel, Losses};
pub use trial::Trial;
pub use warnings::Warning;

use crate::probe::Stream;
use jostle_common::chance::Direction;
use jostle_common::units::Probability;
use jostle_engine::profile::{
    Batch, BatchThen, BurstLength, Drop, Outage, Per, Profile, Rule, RuleKind,
};
use std::time::Duration;

/// Phases beyond these are counted, not looked at.
pub const PHASES_MAX: usize = 24;
/// Packets of all runs together, and the least of each.
const TRIAL_PACKETS: usize = 400_000;
const TRIAL_PACKETS_MIN: usize = 20_000;

/// The packets for which a forecast is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Their payload in bytes.
    pub size: u32,
    /// How they come, if that is known.
    pub stream: Option<Stream>,
}

impl Load {
    /// Packets of a size, at no known rate.
    pub const fn size(size: u32) -> Self {
        Self { size, stream: None }
    }
}

/// What a profile will do.
#[derive(Debug)]
pub struct Forecast {
    /// Phase by phase.
    pub phases: Vec<PhaseForecast>,
    /// How many phases more there are.
    pub phases_left_out: usize,
    /// What is probably not meant.
    pub warnings: Vec<Warning>,
}

/// What a phase will do.
#[derive(Debug)]
pub struct PhaseForecast {
    /// How long it lasts; `None`: for ever.
    pub length: Option<Duration>,
    /// Up and down.
    pub directions: [DirectionForecast; 2],
}

/// What one direction of a phase will do.
#[derive(Debug)]
pub struct DirectionForecast {
    /// Rule by rule, in order.
    pub rules: Vec<RuleForecast>,
    /// What its drop, outage and size rules lose together by formula, full queues aside; `None`
    /// where there is no formula.
    pub loss: Option<Losses>,
    /// The sum of the mean delays in seconds, without queues.
    pub delay: f64,
    /// What happened to a stream, if one was given.
    pub trial: Option<Trial>,
}

impl Forecast {
    /// The forecast of a profile for packets such as `load`.
    pub fn of(profile: &Profile, load: &Load) -> Self {
        let (up, down) = (&profile.up.phases, &profile.down.phases);
        let count = up.len().min(PHASES_MAX);
        let packets = (TRIAL_PACKETS / (2 * count.max(1))).max(TRIAL_PACKETS_MIN);
        let phases: Vec<PhaseForecast> = up
            .iter()
            .zip(down)
            .take(count)
            .map(|(up, down)| PhaseForecast {
                length: up.length,
                directions: [
                    direction(&up.rules, Direction::Up, load, packets),
                    direction(&down.rules, Direction::Down, load, packets),
                ],
            })
            .collect();
        let warnings = warnings::of(profile, &phases, load);
        Self { phases_left_out: up.len() - count, phases, warnings }
    }
}

fn direction(
    rules: &[Rule],
    direction: Direction,
    load: &Load,
    packets: usize,
) -> DirectionForecast {
    let stream = load.stream.as_ref();
    let forecasts: Vec<RuleForecast> =
        rules.iter().map(|rule| effects::forecast(rule, load.size, stream)).collect();
    let means = forecasts.iter().filter_map(|rule| match &rule.effect {
        Effect::Delays(delay) => Some(delay.mean),
        _ => None,
    });
    DirectionForecast {
        // Not the sum, which is −0 of nothing.
        delay: means.fold(0.0, |sum, mean| sum + mean),
        rules: forecasts,
        loss: loss_model(rules, load).map(|model| model.losses()),
        trial: stream
            .filter(|_| !rules.is_empty())
            .map(|stream| trial::phase(rules, direction, stream, packets)),
    }
}

/// What the rules of a direction lose together, as one chain, full queues aside; `None` where
/// something is lost that no chain describes. With a stream it is what a run of it should come to,
/// without one what is lost in the long run over many flows.
pub fn loss_model(rules: &[Rule], load: &Load) -> Option<LossModel> {
    let stream = load.stream.as_ref();
    let gap = stream.map(|stream| 1.0 / stream.pace.packets_per_second(load.size));
    let one_flow = stream.is_none_or(|stream| stream.flows == 1);
    let mut whole = LossModel::independent(0.0);
    let mut copies = false;
    for rule in rules {
        let looks_at = effects::share_of(rule, load.size);
        let model = match &rule.kind {
            RuleKind::Drop(drop) if rule.selection.per == Per::Link || one_flow => {
                LossModel::of(drop, gap)
            }
            RuleKind::Size(size) => {
                Some(LossModel::independent(f64::from(u8::from(load.size > size.max))))
            }
            RuleKind::Outage(outage) if !outage.hold => cut(outage, gap),
            RuleKind::Batch(Batch { then: BatchThen::Drop, .. }) | RuleKind::Drop(_) => None,
            RuleKind::Duplicate(_) => {
                copies = true;
                continue;
            }
            _ => continue,
        };
        // A copy replaces what is lost behind it.
        if copies {
            return None;
        }
        let whole_stream = rule.selection.flows == Probability::ALWAYS
            && rule
                .selection
                .matching
                .as_ref()
                .is_none_or(|matching| matching.number == (1..=u64::MAX));
        if stream.is_some() && !whole_stream {
            return None;
        }
        match looks_at? {
            0.0 => {}
            share => whole = whole.with(&model?.thinned(share))?,
        }
    }
    Some(whole)
}

/// An outage at random times is a burst in time; one at fixed times is no chain.
fn cut(outage: &Outage, gap: Option<f64>) -> Option<LossModel> {
    let (up, down) = (outage.up.as_secs_f64(), outage.down.as_secs_f64());
    let mean = Probability::new(down / (up + down))?;
    if !outage.random {
        return Some(LossModel::share(mean.as_f64()));
    }
    LossModel::of(&Drop::Burst { mean, length: BurstLength::Time(outage.down) }, gap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Pace, Spread};
    use jostle_common::statistics::{Z_999, proportion_interval};
    use jostle_engine::stage::Reason;

    fn forecast(rules: &str, rate: Option<&str>) -> Forecast {
        let profile = Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#)).unwrap();
        let stream = rate.map(|rate| Stream {
            pace: Pace::Packets(rate.parse().unwrap()),
            size: 1200,
            spread: Spread::Constant,
            flows: 1,
        });
        Forecast::of(&profile, &Load { size: 1200, stream })
    }

    #[test]
    fn a_trial_agrees_with_the_formula_of_several_rules() {
        let forecast = forecast(
            r#"{ "rule": "drop", "burst": { "mean": "5%", "length": 4 } }, { "rule": "drop", "chance": "2%" },
               { "rule": "drop", "gilbert_elliott": { "p": "1%", "r": "10%", "loss_bad": "60%" } },
               { "rule": "delay", "time": "20ms" }"#,
            Some("1000/s"),
        );
        let up = &forecast.phases[0].directions[0];
        let losses = up.loss.as_ref().unwrap();
        let expected = 1.0 - 0.95 * 0.98 * (1.0 - 0.6 / 11.0);
        assert!((losses.share - expected).abs() < 1e-12, "{losses:?}");
        let runs = up.trial.as_ref().unwrap().tally.runs();
        let (low, high) = proportion_interval(runs.lost(), 200_000, losses.inflation, Z_999);
        assert!(low < expected && expected < high && high - low < 0.02, "{low} {high} {expected}");
        assert!((runs.mean() - losses.burst.unwrap()).abs() < 0.05, "{} {losses:?}", runs.mean());
        assert!(up.trial.as_ref().unwrap().counters.discarded(Reason::Drop) == runs.lost());
    }

    #[test]
    fn effects_have_the_numbers_of_their_formulas() {
        let forecast = forecast(
            r#"{ "rule": "corrupt", "bit_error_rate": 1e-5 }, { "rule": "rate", "limit": "9.6Mbit/s", "queue": "60kB" },
               { "rule": "delay", "time": "20ms", "jitter": "5ms" }, { "rule": "drop", "chance": "10%", "flows": "50%" },
               { "rule": "outage", "up": "9s", "down": "1s" }"#,
            None,
        );
        let rules = &forecast.phases[0].directions[0].rules;
        // 1 − (1 − 10^-5)^9600.
        assert!(
            matches!(rules[0].effect, Effect::Corrupts { share, .. } if (share - 0.091_536).abs() < 1e-5),
            "{rules:?}"
        );
        let Effect::Limits(rate) = &rules[1].effect else { panic!() };
        assert_eq!((rate.packet, rate.queue_bytes, rate.queue), (0.001, 60_000.0, 0.05));
        let Effect::Delays(delay) = &rules[2].effect else { panic!() };
        assert!(
            (delay.mean - 0.02).abs() < 1e-4 && (delay.sd - 0.005 / 3f64.sqrt()).abs() < 5e-5,
            "{delay:?}"
        );
        assert!(
            (delay.percentiles[0] - 0.0151).abs() < 1e-4
                && (delay.percentiles[2] - 0.0249).abs() < 1e-4
        );
        assert_eq!(rules[3].looks_at, Some(0.5));
        let loss = forecast.phases[0].directions[0].loss.as_ref().unwrap().share;
        assert!((loss - (1.0 - 0.95 * 0.9)).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn of_a_cut_at_fixed_times_only_the_share_is_foretold() {
        let forecast =
            forecast(r#"{ "rule": "outage", "up": "300ms", "down": "100ms" }"#, Some("1000/s"));
        let up = &forecast.phases[0].directions[0];
        let losses = up.loss.as_ref().unwrap();
        assert_eq!((losses.share, losses.burst, losses.lengths.len()), (0.25, None, 0));
        let mean = up.trial.as_ref().unwrap().tally.runs().mean();
        assert!((mean - 100.0).abs() < 1.0, "a packet per ms: {mean} in a row");
    }

    #[test]
    fn kept_order_narrows_jitter_with_the_rate() {
        let narrowed = |rate| {
            let forecast =
                forecast(r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms" }"#, Some(rate));
            let Effect::Delays(delay) = &forecast.phases[0].directions[0].rules[0].effect else {
                panic!()
            };
            delay.sd_in_order.unwrap() / delay.sd
        };
        let (slow, fast) = (narrowed("10/s"), narrowed("100000/s"));
        assert!((slow - 1.0).abs() < 0.02 && fast < 0.2, "{slow} {fast}");
    }
}
