//! Warnings of settings that are allowed and probably not meant: of those that every rule may have,
//! and of rules together. Each kind of rule warns of itself alone.

use super::{DirectionForecast, Load, PhaseForecast, RuleForecast};
use jostle_common::chance::Direction;
use jostle_common::words::{bytes, short_rate};
use jostle_engine::profile::Profile;
use jostle_engine::rules::{Limit, Loss, Per, Rule, Timing, millis};

/// The payload of an Ethernet packet: 1500 bytes less the headers of IPv4 and UDP.
const PAYLOAD_MAX: u32 = 1472;

/// A setting that is probably not meant, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The direction, the phase if there are several, and the rule.
    pub place: String,
    /// The effect of the setting, and the setting to write instead.
    pub problem: String,
}

/// A direction of a phase, in which rules are checked.
struct Context<'a> {
    place: String,
    rules: &'a [Rule],
    forecast: &'a DirectionForecast,
    load: &'a Load,
    /// The mean delay there and back, in seconds.
    round_trip: f64,
}

/// Says what is wrong with the rule at an index, if anything is.
type Check = fn(&Context<'_>, usize) -> Option<String>;

const CHECKS: [Check; 9] = [
    never_looks,
    does_nothing,
    loses_all_in_front_of_others,
    queue_below_the_product,
    never_limits,
    overload,
    jitter_in_front_of_a_rate,
    nothing_to_skip,
    nothing_to_share,
];

/// Returns all warnings, phase by phase; the same warning of several phases once.
pub(super) fn of(profile: &Profile, phases: &[PhaseForecast], load: &Load) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = Vec::new();
    for (index, phase) in phases.iter().enumerate() {
        let round_trip = phase.directions.iter().map(|direction| direction.delay).sum();
        for direction in Direction::BOTH {
            let rules = &profile.timeline(direction).phases[index].rules;
            let forecast = &phase.directions[direction.index()];
            let place = match phases.len() {
                1 => direction.name().to_owned(),
                _ => format!("phase {}, {direction}", index + 1),
            };
            let context = Context { place, rules, forecast, load, round_trip };
            for warning in context.warnings() {
                if !warnings.iter().any(|known| known.problem == warning.problem) {
                    warnings.push(warning);
                }
            }
        }
    }
    warnings
}

impl Context<'_> {
    fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (index, rule) in self.forecast.rules.iter().enumerate() {
            let place = format!("{}, {}", self.place, rule.key);
            let checked = CHECKS.iter().filter_map(|check| check(self, index));
            let problems = checked.chain(rule.warnings.iter().cloned());
            warnings.extend(problems.map(|problem| Warning { place: place.clone(), problem }));
        }
        warnings
    }

    fn rule(&self, index: usize) -> &RuleForecast {
        &self.forecast.rules[index]
    }

    /// Returns the rates of the direction and their places.
    fn limits(&self) -> impl Iterator<Item = (usize, &Limit)> {
        self.forecast.rules.iter().enumerate().filter_map(|(index, rule)| {
            let limit = rule.promise.limit.as_ref()?;
            looks_at_all(&self.rules[index], rule).then_some((index, limit))
        })
    }
}

fn looks_at_all(rule: &Rule, forecast: &RuleForecast) -> bool {
    forecast.looks_at == Some(1.0) && rule.selection.per == Per::Link
}

fn never_looks(context: &Context<'_>, index: usize) -> Option<String> {
    let rule = &context.rules[index];
    if rule.selection.flows.is_never() {
        return Some("\"flows\" of 0 chooses no flow, so the rule never acts".into());
    }
    let matching = rule.selection.matching.as_ref()?;
    let (least, most) = (*matching.size.start(), *matching.size.end());
    if least > PAYLOAD_MAX {
        return Some(format!(
            "it looks at packets of {least} bytes or more, and a path of 1500 bytes carries \
             payloads of at most {PAYLOAD_MAX}"
        ));
    }
    if context.load.stream.is_some() && !matching.size.contains(&context.load.size) {
        let sizes = if most == u32::MAX {
            format!("{least} bytes or more")
        } else {
            format!("{least} to {most} bytes")
        };
        return Some(format!(
            "it looks at packets of {sizes}, and none of {} matches",
            context.load.size
        ));
    }
    if let Some(bytes) = &matching.bytes
        && bytes.offset + bytes.value.len() > PAYLOAD_MAX as usize
    {
        return Some(format!(
            "it looks for bytes at offset {}, behind the end of any payload on a path of 1500 \
             bytes",
            bytes.offset
        ));
    }
    matching.bytes.as_ref().map(|_| {
        "it looks for bytes, which the segments of a modelled TCP route do not carry: it is for \
         UDP, and for TCP with --tcp raw"
            .into()
    })
}

fn does_nothing(context: &Context<'_>, index: usize) -> Option<String> {
    context.rule(index).promise.is_idle.then(|| "it says 0, so it does nothing".into())
}

fn loses_all_in_front_of_others(context: &Context<'_>, index: usize) -> Option<String> {
    let rule = context.rule(index);
    let Loss::Counted(model) = &rule.promise.loss else { return None };
    let behind = context.rules.len() - index - 1;
    let all = model.losses().share > 1.0 - 1e-12 && looks_at_all(&context.rules[index], rule);
    (all && behind > 0)
        .then(|| format!("it loses every packet: the {behind} rules behind it see none"))
}

fn queue_below_the_product(context: &Context<'_>, index: usize) -> Option<String> {
    let limit = context.rule(index).promise.limit.as_ref()?;
    let product = limit.bits_per_second / 8.0 * context.round_trip;
    let round_trip = millis(context.round_trip);
    // A tenth less is a rounded number.
    (limit.queue_bytes < 0.9 * product).then(|| {
        format!(
            "the queue holds {}, less than the {} that are under way at {} and a round trip of \
             {round_trip}: one TCP connection will not always fill the link (Reno needs all of \
             it, CUBIC 43%); write \"queue\": \"{}\" if that is not meant",
            bytes(limit.queue_bytes),
            bytes(product),
            short_rate(limit.bits_per_second),
            round_trip.replace(' ', ""),
        )
    })
}

fn never_limits(context: &Context<'_>, index: usize) -> Option<String> {
    let own = context.rule(index).promise.limit.as_ref()?;
    let slower = context
        .limits()
        .find(|(other, limit)| *other != index && limit.bits_per_second < own.bits_per_second);
    let (other, limit) = slower?;
    let (key, speed) = (&context.rule(other).key, short_rate(limit.bits_per_second));
    Some(if other < index {
        format!("{key} in front of it lets only {speed} through, so this queue stays empty")
    } else {
        format!("{key} behind it is slower ({speed}): that one limits, and its queue fills")
    })
}

fn overload(context: &Context<'_>, index: usize) -> Option<String> {
    let limit = context.rule(index).promise.limit.as_ref()?;
    let load = limit.load?;
    let constant = context.limits().all(|(other, _)| other >= index);
    (load > 1.0 && constant).then(|| {
        format!(
            "the stream offers {:.0}% of the limit: the queue stays full ({}), and {:.1}% of the \
             packets find no room",
            load * 100.0,
            millis(limit.queue),
            (1.0 - 1.0 / load) * 100.0
        )
    })
}

fn jitter_in_front_of_a_rate(context: &Context<'_>, index: usize) -> Option<String> {
    let (other, _) = context.limits().find(|(other, _)| *other > index)?;
    (context.rule(index).promise.jitter > 0.0).then(|| {
        format!(
            "its jitter stands in front of {}, whose queue smooths it out and fills with what \
             comes late; write the rate first, then the delay",
            context.rule(other).key
        )
    })
}

fn nothing_to_skip(context: &Context<'_>, index: usize) -> Option<String> {
    let waits = |rule: &Rule| rule.kind.timing() == Timing::Waiting;
    let skips = context.rules[index].kind.skips_waits();
    (skips && !context.rules[index + 1..].iter().any(waits)).then(|| {
        "\"ahead\" skips the waits behind it, and there are none; write it in front of the delay"
            .into()
    })
}

fn nothing_to_share(context: &Context<'_>, index: usize) -> Option<String> {
    if context.rules[index].kind.timing() != Timing::Sending {
        return None;
    }
    let behind = context.forecast.rules[index + 1..].iter();
    let has_rate = behind.into_iter().any(|rule| rule.promise.limit.is_some());
    (!has_rate).then(|| {
        "its traffic shares what is behind it, and no rate is: write it in front of the rate".into()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Forecast;
    use super::*;
    use crate::probe::{Pace, PacketStream, Spread};
    use jostle_common::ecn::Ecn;

    fn warnings(rules: &str, rate: Option<&str>) -> Vec<String> {
        let profile = Profile::from_json(&format!(r#"{{ "both": [ {rules} ] }}"#)).unwrap();
        let stream = rate.map(|rate| PacketStream {
            pace: Pace::Packets(rate.parse().unwrap()),
            size: 1200,
            spread: Spread::Constant,
            flows: 1,
            ecn: Ecn::NotEct,
        });
        let forecast = Forecast::of(&profile, &Load { size: 1200, stream });
        forecast
            .warnings
            .into_iter()
            .map(|warning| format!("{}: {}", warning.place, warning.problem))
            .collect()
    }

    #[test]
    fn what_people_get_wrong_is_named_once_with_its_place() {
        let cases = [
            (
                r#"{ "rule": "drop", "chance": "1%", "match": { "size": { "min": "2KiB" } } }"#,
                None,
                "at most 1472",
            ),
            (
                r#"{ "rule": "drop", "chance": "1%", "match": { "size": { "max": "100B" } } }"#,
                Some("10/s"),
                "none of 1200",
            ),
            (
                r#"{ "rule": "drop", "chance": "1%", "match": { "bytes": { "offset": 0, "hex": "00" } } }"#,
                None,
                "--tcp raw",
            ),
            (r#"{ "rule": "drop", "chance": "1%", "flows": 0 }"#, None, "chooses no flow"),
            (r#"{ "rule": "drop", "chance": 0 }"#, None, "does nothing"),
            (
                r#"{ "rule": "drop", "chance": 1 }, { "rule": "delay", "time": "5ms" }"#,
                None,
                "the 1 rules behind",
            ),
            (
                r#"{ "rule": "rate", "limit": "10Mbit/s", "queue": "20ms" }, { "rule": "delay", "time": "50ms" }"#,
                None,
                "25 kB, less than the 125 kB that are under way at 10 Mbit/s and a round trip of 100 ms",
            ),
            (
                r#"{ "rule": "rate", "limit": "56kbit/s", "queue": "50ms" }"#,
                None,
                "350 bytes, not one packet of 1200",
            ),
            (
                r#"{ "rule": "rate", "limit": "2Mbit/s" }, { "rule": "rate", "limit": "1Mbit/s" }"#,
                None,
                "rate#2 behind it is slower (1 Mbit/s)",
            ),
            (
                r#"{ "rule": "rate", "limit": "1Mbit/s" }, { "rule": "rate", "limit": "2Mbit/s" }"#,
                None,
                "this queue stays empty",
            ),
            (
                r#"{ "rule": "rate", "limit": "4.8Mbit/s" }"#,
                Some("1000/s"),
                "offers 200% of the limit",
            ),
            (
                r#"{ "rule": "delay", "time": "9ms", "jitter": "5ms" }, { "rule": "rate", "limit": "9Mbit/s" }"#,
                None,
                "write the rate first",
            ),
            (
                r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "reorder": true }"#,
                Some("1000/s"),
                "arrive behind a later one at 1000/s",
            ),
            (
                r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "reorder": true }"#,
                None,
                "overtake each other",
            ),
            (
                r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms" }"#,
                Some("10000/s"),
                "kept order narrows the jitter from a standard deviation of 5.8 ms",
            ),
            (
                r#"{ "rule": "corrupt", "chance": "1%", "where": { "offset": 1400, "length": 8 } }"#,
                None,
                "hits no byte",
            ),
            (r#"{ "rule": "corrupt", "chance": "1%" }"#, None, "there this is 1% of loss"),
            (
                r#"{ "rule": "reorder", "chance": "1%", "behind": 3 }"#,
                Some("10/s"),
                "3 packets take 300 ms",
            ),
            (
                r#"{ "rule": "delay", "time": "5ms" }, { "rule": "reorder", "chance": "1%", "ahead": true }"#,
                None,
                "write it in front of the delay",
            ),
            (
                r#"{ "rule": "outage", "up": "10s", "down": "5m" }"#,
                None,
                "longer than the 2m after which",
            ),
            (
                r#"{ "rule": "rate", "limit": "10Mbit/s" }, { "rule": "cross", "tcp": 1 }"#,
                None,
                "write it in front of the rate",
            ),
            (r#"{ "rule": "size", "max": "1000B" }"#, None, "1200 that QUIC"),
            (r#"{ "rule": "size", "max": "1000B" }"#, Some("10/s"), "every one is lost"),
        ];
        for (rules, rate, words) in cases {
            let all = warnings(rules, rate);
            let found: Vec<&String> =
                all.iter().filter(|warning| warning.contains(words)).collect();
            assert_eq!(found.len(), 1, "{rules}: {all:?}");
            assert!(found[0].starts_with("up, "), "{found:?}");
        }
        assert_eq!(cases.len(), 23);
    }

    #[test]
    fn what_is_as_it_should_be_is_not_warned_of() {
        let rules = r#"{ "rule": "drop", "burst": { "mean": "2%", "length": 3 } }, { "rule": "reorder", "chance": "1%", "ahead": true }, { "rule": "cross", "tcp": 2 }, { "rule": "rate", "limit": "20Mbit/s", "queue": "100ms" },
                       { "rule": "delay", "time": "20ms", "jitter": "5ms" }, { "rule": "duplicate", "chance": "1%" },
                       { "rule": "outage", "up": "10s", "down": "1s" }"#;
        assert_eq!(warnings(rules, None), Vec::<String>::new());
        assert_eq!(warnings(rules, Some("50/s")), Vec::<String>::new());
    }
}
