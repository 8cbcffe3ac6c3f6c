//! The effects of a profile, in numbers, before anything is sent: by formulas, where there are
//! some, and by short runs in virtual time.
//!
//! ```
//! use jostle_engine::profile::Profile;
//! use jostle_study::forecast::{Forecast, Load};
//!
//! let profile = Profile::from_json(
//!     r#"{ "both": [ { "rule": "drop", "burst": { "mean": "2%", "length": 3 } } ] }"#,
//! )?;
//! let forecast = Forecast::of(&profile, &Load::size(1200));
//! let up = &forecast.phases[0].directions[0];
//! assert!((up.loss.as_ref().unwrap().share - 0.02).abs() < 1e-12);
//! assert!(forecast.warnings.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod narrowing;
mod rule;
mod run;
mod warnings;

pub use jostle_engine::rules::{LossModel, Losses};
pub use narrowing::{SeenDelays, narrowed};
pub use rule::RuleForecast;
pub use run::StreamRun;
pub use warnings::Warning;

use crate::probe::PacketStream;
use jostle_common::chance::Direction;
use jostle_common::units::Probability;
use jostle_engine::profile::Profile;
use jostle_engine::rules::{Loss, Per, Rule};
use std::time::Duration;

/// Phases beyond these are counted, not looked at.
pub const PHASES_MAX: usize = 24;
/// Packets of all runs together, and the least of each.
const RUN_PACKETS: usize = 400_000;
const RUN_PACKETS_MIN: usize = 20_000;

/// The packets for which a forecast is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Their payload in bytes.
    pub size: u32,
    /// The stream in which they come, if that is known.
    pub stream: Option<PacketStream>,
}

impl Load {
    /// Creates a load of packets of a size, at no known rate.
    pub const fn size(size: u32) -> Self {
        Self { size, stream: None }
    }
}

/// The predicted effects of a profile.
#[derive(Debug)]
pub struct Forecast {
    /// Phase by phase.
    pub phases: Vec<PhaseForecast>,
    /// The number of further phases.
    pub phases_left_out: usize,
    /// The settings that are probably not meant.
    pub warnings: Vec<Warning>,
}

/// The predicted effects of a phase.
#[derive(Debug)]
pub struct PhaseForecast {
    /// The time that it lasts; `None`: for ever.
    pub length: Option<Duration>,
    /// Up and down.
    pub directions: [DirectionForecast; 2],
}

/// The predicted effects of one direction of a phase.
#[derive(Debug)]
pub struct DirectionForecast {
    /// Rule by rule, in order.
    pub rules: Vec<RuleForecast>,
    /// The loss of its drop, outage and size rules together by formula, full queues aside; `None`
    /// where there is no formula.
    pub loss: Option<Losses>,
    /// The sum of the mean delays in seconds, without queues.
    pub delay: f64,
    /// The result of a stream's run, if a stream was given.
    pub run: Option<StreamRun>,
}

impl Forecast {
    /// Forecasts the effects of a profile on packets such as `load`.
    pub fn of(profile: &Profile, load: &Load) -> Self {
        let profile = &profile.in_force();
        let (up, down) = (&profile.up.phases, &profile.down.phases);
        let count = up.len().min(PHASES_MAX);
        // Phases and directions share the packets, so that many phases take little longer than one.
        let packets = (RUN_PACKETS / (2 * count.max(1))).max(RUN_PACKETS_MIN);
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
    let run = stream
        .filter(|_| !rules.is_empty())
        .map(|stream| run::phase(rules, direction, stream, packets));
    let reordered = run.as_ref().map(|run| run.tally.reordering().ratio());
    let rules_forecast: Vec<RuleForecast> =
        rules.iter().map(|rule| rule::forecast(rule, load.size, stream, reordered)).collect();
    DirectionForecast {
        delay: rules_forecast
            .iter()
            .map(|rule| rule.promise.delay)
            .fold(0.0, |sum, mean| sum + mean),
        rules: rules_forecast,
        loss: loss_model(rules, load).map(|model| model.losses()),
        run,
    }
}

/// Returns the loss of a direction's rules together, as one chain, full queues aside; `None` where
/// something is lost that no chain describes. With a stream it is the loss that a run of it should
/// come to, without one the loss in the long run over many flows.
pub fn loss_model(rules: &[Rule], load: &Load) -> Option<LossModel> {
    let stream = load.stream.as_ref();
    let one_flow = stream.is_none_or(|stream| stream.flows == 1);
    let traffic = rule::traffic(load.size, stream);
    let mut whole = LossModel::independent(0.0);
    let mut copies = false;
    for rule in rules {
        copies |= rule.kind.copies_max() > 0;
        let model = match rule.kind.promise(&traffic).loss {
            Loss::Nothing => continue,
            // The chains of several flows take their steps each on its own.
            Loss::Counted(_) if rule.selection.per == Per::Flow && !one_flow => None,
            Loss::Counted(model) | Loss::Uncounted(model) => Some(model),
            Loss::Unknown => None,
        };
        // A copy replaces what is lost behind it.
        if copies {
            return None;
        }
        let whole_stream = rule.selection.flows == Probability::ALWAYS
            && rule.selection.matching.as_ref().is_none_or(|matching| {
                matching.number == (1..=u64::MAX) && matching.is_of_all_flows()
            });
        // The share that such a rule meets is a mean over many flows; one stream may differ from
        // it.
        if stream.is_some() && !whole_stream {
            return None;
        }
        match rule::share_of(rule, load.size)? {
            0.0 => {}
            share => whole = whole.with(&model?.thinned(share))?,
        }
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Pace, Spread};
    use jostle_common::ecn::Ecn;
    use jostle_common::statistics::{Z_999, proportion_interval};
    use jostle_engine::stage::Reason;

    fn forecast(rules: &str, rate: Option<&str>) -> Forecast {
        let profile = Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#)).unwrap();
        let stream = rate.map(|rate| PacketStream {
            pace: Pace::Packets(rate.parse().unwrap()),
            size: 1200,
            spread: Spread::Constant,
            flows: 1,
            ecn: Ecn::NotEct,
        });
        Forecast::of(&profile, &Load { size: 1200, stream })
    }

    fn number(rule: &RuleForecast, name: &str) -> f64 {
        rule.numbers[name].as_f64().unwrap()
    }

    #[test]
    fn a_run_agrees_with_the_formula_of_several_rules() {
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
        let runs = up.run.as_ref().unwrap().tally.runs();
        let (low, high) = proportion_interval(runs.lost(), 200_000, losses.inflation, Z_999);
        assert!(low < expected && expected < high && high - low < 0.02, "{low} {high} {expected}");
        assert!((runs.mean() - losses.burst.unwrap()).abs() < 0.05, "{} {losses:?}", runs.mean());
        assert!(up.run.as_ref().unwrap().counters.discarded(Reason::Drop) == runs.lost());
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
        let damaged = number(&rules[0], "damaged");
        assert!((damaged - 0.091_536).abs() < 1e-5, "{rules:?}");
        let rate = rules[1].promise.limit.as_ref().unwrap();
        assert_eq!((rate.packet, rate.queue_bytes, rate.queue), (0.001, 60_000.0, 0.05));
        let delay = |name: &str| number(&rules[2], name);
        assert!(
            (delay("mean") - 0.02).abs() < 1e-4 && (delay("sd") - 0.005 / 3f64.sqrt()).abs() < 5e-5,
            "{:?}",
            rules[2]
        );
        assert!((delay("p1") - 0.0151).abs() < 1e-4 && (delay("p99") - 0.0249).abs() < 1e-4);
        assert_eq!(rules[3].looks_at, Some(0.5));
        let loss = forecast.phases[0].directions[0].loss.as_ref().unwrap().share;
        assert!((loss - (1.0 - 0.95 * 0.9)).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn what_is_disabled_counts_for_nothing_and_numbered_flows_for_their_share() {
        let of = |rules: &str| forecast(rules, None);
        let quarter = of(
            r#"{ "rule": "drop", "chance": "90%", "enabled": false }, { "rule": "duplicate", "chance": "1%", "enabled": false },
               { "rule": "drop", "chance": "40%", "match": { "flow": "every 4th" } }, { "rule": "drop", "chance": "50%", "match": { "flow": 3 } }"#,
        );
        let up = &quarter.phases[0].directions[0];
        let keys: Vec<&str> = up.rules.iter().map(|rule| rule.key.as_str()).collect();
        assert_eq!(keys, ["drop#2", "drop#3"]);
        assert_eq!([up.rules[0].looks_at, up.rules[1].looks_at], [Some(0.25), Some(0.0)]);
        let share = up.loss.as_ref().unwrap().share;
        assert!((share - 0.1).abs() < 1e-12, "{share}");
        let off = of(r#"{ "rule": "drop", "chance": "0%", "enabled": false }"#);
        assert!(off.warnings.is_empty() && off.phases[0].directions[0].rules.is_empty());
        assert!(!of(r#"{ "rule": "drop", "chance": "0%" }"#).warnings.is_empty());
    }

    #[test]
    fn of_a_cut_at_fixed_times_only_the_share_is_foretold() {
        let forecast =
            forecast(r#"{ "rule": "outage", "up": "300ms", "down": "100ms" }"#, Some("1000/s"));
        let up = &forecast.phases[0].directions[0];
        let losses = up.loss.as_ref().unwrap();
        assert_eq!((losses.share, losses.burst, losses.lengths.len()), (0.25, None, 0));
        let mean = up.run.as_ref().unwrap().tally.runs().mean();
        assert!((mean - 100.0).abs() < 1.0, "a packet per ms: {mean} in a row");
    }

    #[test]
    fn kept_order_narrows_jitter_with_the_rate() {
        let narrowed = |rate| {
            let forecast =
                forecast(r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms" }"#, Some(rate));
            let delay = &forecast.phases[0].directions[0].rules[0];
            number(delay, "sd_in_order") / number(delay, "sd")
        };
        let (slow, fast) = (narrowed("10/s"), narrowed("100000/s"));
        assert!((slow - 1.0).abs() < 0.02 && fast < 0.2, "{slow} {fast}");
    }
}
