//! What is allowed, and probably not meant.

use super::effects::{Effect, RateForecast, RuleForecast};
use super::{DirectionForecast, Load, PhaseForecast};
use jostle_common::chance::Direction;
use jostle_common::units::Span;
use jostle_common::words::short_rate;
use jostle_engine::profile::{Delay, Per, Profile, Reorder, Rule, RuleKind};
use std::time::Duration;

/// What an Ethernet packet carries: 1500 bytes less the headers of IPv4 and UDP.
const PAYLOAD_MAX: u32 = 1472;
/// QUIC and many VPNs send packets of this size at least, and give up where they do not pass (RFC
/// 9000 §14).
const PAYLOAD_MIN: u32 = 1200;
/// The silence after which a proxy forgets a UDP flow.
const IDLE: Duration = Duration::from_secs(120);
/// A spread below this share of the drawn one is no longer the jitter that was asked for.
const NARROWED: f64 = 0.7;

/// What is probably not meant, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The direction, the phase if there are several, and the rule.
    pub place: String,
    /// What happens, and what to write instead.
    pub problem: String,
}

/// One direction of a phase, and what surrounds it.
struct Room<'a> {
    place: String,
    rules: &'a [Rule],
    forecast: &'a DirectionForecast,
    load: &'a Load,
    /// The mean delay there and back, in seconds.
    round_trip: f64,
}

/// What a rule is warned of.
type Check = fn(&Room<'_>, usize) -> Option<String>;

const CHECKS: [Check; 17] = [
    never_looks,
    does_nothing,
    loses_all_in_front_of_others,
    queue_below_the_product,
    queue_below_a_packet,
    never_limits,
    overload,
    jitter_in_front_of_a_rate,
    jitter_that_reorders,
    jitter_that_order_narrows,
    memory_without_effect,
    damage_that_never_hits,
    damage_that_tcp_drops,
    place_that_is_never_reached,
    nothing_to_skip,
    long_cut,
    small_size,
];

/// All warnings, phase by phase; the same warning of several phases once.
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
            let room = Room { place, rules, forecast, load, round_trip };
            for warning in room.warnings() {
                if !warnings.iter().any(|known| known.problem == warning.problem) {
                    warnings.push(warning);
                }
            }
        }
    }
    warnings
}

impl Room<'_> {
    fn warnings(&self) -> Vec<Warning> {
        let at = |index: usize| format!("{}, {}", self.place, self.rules[index].key);
        let checks =
            (0..self.rules.len()).flat_map(|index| CHECKS.map(|check| (index, check(self, index))));
        checks
            .filter_map(|(index, problem)| Some(Warning { place: at(index), problem: problem? }))
            .collect()
    }

    fn effect(&self, index: usize) -> &Effect {
        &self.forecast.rules[index].effect
    }

    /// The rates of the direction and their places.
    fn rates(&self) -> impl Iterator<Item = (usize, &RateForecast)> {
        self.forecast.rules.iter().enumerate().filter_map(|(index, rule)| match &rule.effect {
            Effect::Limits(rate) if looks_at_all(&self.rules[index], rule) => Some((index, rate)),
            _ => None,
        })
    }

    fn packets_per_second(&self) -> Option<f64> {
        Some(self.load.stream.as_ref()?.pace.packets_per_second(self.load.size))
    }
}

fn looks_at_all(rule: &Rule, forecast: &RuleForecast) -> bool {
    forecast.looks_at == Some(1.0) && rule.selection.per == Per::Link
}

fn never_looks(room: &Room<'_>, index: usize) -> Option<String> {
    let rule = &room.rules[index];
    if rule.selection.flows.is_never() {
        return Some("\"flows\" of 0 chooses no flow, so the rule never acts".into());
    }
    let matching = rule.selection.matching.as_ref()?;
    let (least, most) = (*matching.size.start(), *matching.size.end());
    if least > PAYLOAD_MAX {
        return Some(format!(
            "it looks at packets of {least} bytes or more, and a path of 1500 bytes carries payloads of at most {PAYLOAD_MAX}"
        ));
    }
    if room.load.stream.is_some() && !matching.size.contains(&room.load.size) {
        let sizes = if most == u32::MAX {
            format!("{least} bytes or more")
        } else {
            format!("{least} to {most} bytes")
        };
        return Some(format!(
            "it looks at packets of {sizes}, and none of {} matches",
            room.load.size
        ));
    }
    if let Some(bytes) = &matching.bytes
        && bytes.offset + bytes.value.len() > PAYLOAD_MAX as usize
    {
        return Some(format!(
            "it looks for bytes at offset {}, behind the end of any payload on a path of 1500 bytes",
            bytes.offset
        ));
    }
    matching.bytes.as_ref().map(|_| {
        "it looks for bytes, which the segments of a modelled TCP route do not carry: it is for UDP, and for TCP with --tcp raw".into()
    })
}

fn does_nothing(room: &Room<'_>, index: usize) -> Option<String> {
    let never = match room.effect(index) {
        Effect::Loses(losses) => losses.share == 0.0,
        Effect::Copies { share, .. } | Effect::Reorders { share, .. } => *share == 0.0,
        Effect::Delays(delay) => delay.mean == 0.0,
        _ => false,
    };
    never.then(|| "it says 0, so it does nothing".into())
}

fn loses_all_in_front_of_others(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Loses(losses) = room.effect(index) else { return None };
    let behind = room.rules.len() - index - 1;
    let all =
        losses.share > 1.0 - 1e-12 && looks_at_all(&room.rules[index], &room.forecast.rules[index]);
    (all && behind > 0)
        .then(|| format!("it loses every packet: the {behind} rules behind it see none"))
}

fn queue_below_the_product(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Limits(rate) = room.effect(index) else { return None };
    let product = rate.bits_per_second / 8.0 * room.round_trip;
    // A tenth less is a rounded number.
    (rate.queue_bytes < 0.9 * product).then(|| {
        format!(
            "the queue holds {}, less than the {} that are under way at {} and a round trip of {}: one TCP connection will not always fill \
             the link (Reno needs all of it, CUBIC 43%); write \"queue\": \"{}\" if that is not meant",
            kilobytes(rate.queue_bytes),
            kilobytes(product),
            short_rate(rate.bits_per_second),
            millis(room.round_trip),
            millis(room.round_trip).replace(' ', ""),
        )
    })
}

fn queue_below_a_packet(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Limits(rate) = room.effect(index) else { return None };
    let packet = rate.packet * rate.bits_per_second / 8.0;
    (rate.queue_bytes < packet).then(|| {
        format!(
            "the queue holds {}, not one packet of {} bytes: two packets that come together lose one",
            kilobytes(rate.queue_bytes),
            room.load.size
        )
    })
}

fn never_limits(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Limits(own) = room.effect(index) else { return None };
    let lower = room
        .rates()
        .find(|(other, rate)| *other != index && rate.bits_per_second < own.bits_per_second);
    let (other, rate) = lower?;
    let key = &room.rules[other].key;
    Some(if other < index {
        format!(
            "{key} in front of it lets only {} through, so this queue stays empty",
            short_rate(rate.bits_per_second)
        )
    } else {
        format!(
            "{key} behind it is slower ({}): that one limits, and its queue fills",
            short_rate(rate.bits_per_second)
        )
    })
}

fn overload(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Limits(RateForecast { load: Some(load), queue, .. }) = room.effect(index) else {
        return None;
    };
    let constant = room.rates().all(|(other, _)| other >= index);
    (*load > 1.0 && constant).then(|| {
        format!(
            "the stream offers {:.0}% of the limit: the queue stays full ({}), and {:.1}% of the packets find no room",
            load * 100.0,
            millis(*queue),
            (1.0 - 1.0 / load) * 100.0
        )
    })
}

fn jitter_in_front_of_a_rate(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Delays(delay) = room.effect(index) else { return None };
    let (other, _) = room.rates().find(|(other, _)| *other > index)?;
    (delay.sd > 0.0).then(|| {
        format!(
            "its jitter stands in front of {}, whose queue smooths it out and fills with what comes late; write the rate first, then the delay",
            room.rules[other].key
        )
    })
}

fn jitter_that_reorders(room: &Room<'_>, index: usize) -> Option<String> {
    let (RuleKind::Delay(Delay { reorder: true, .. }), Effect::Delays(delay)) =
        (&room.rules[index].kind, room.effect(index))
    else {
        return None;
    };
    let spread = delay.percentiles[2] - delay.percentiles[0];
    let measured = room.forecast.trial.as_ref().map(|trial| trial.tally.reordering().ratio());
    match (room.packets_per_second(), measured) {
        (Some(rate), Some(share)) if share > 0.1 => Some(format!(
            "{:.0}% of the packets arrive behind a later one at {rate:.0}/s: TCP takes that for loss, most players drop them; leave \"reorder\" out, \
             or write a reorder rule with the share that is meant",
            share * 100.0
        )),
        (None, _) if spread > 0.0 => Some(format!(
            "packets that come less than {} apart overtake each other: above {:.0} packets/s that is most of them",
            millis(spread),
            2.0 / spread
        )),
        _ => None,
    }
}

fn jitter_that_order_narrows(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Delays(delay) = room.effect(index) else { return None };
    let left = delay.sd_in_order.filter(|left| *left < NARROWED * delay.sd)?;
    Some(format!(
        "kept order narrows the jitter from a standard deviation of {} to {} at {:.0} packets/s; write \"memory\": \"{}\" to keep its spread, or \
         \"reorder\": true to let packets overtake",
        millis(delay.sd),
        millis(left),
        room.packets_per_second()?,
        millis(20.0 * delay.sd).replace(' ', ""),
    ))
}

fn memory_without_effect(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Delays(delay) = room.effect(index) else { return None };
    let gap = 1.0 / room.packets_per_second()?;
    (delay.memory > 0.0 && delay.memory < gap / 4.0).then(|| {
        format!(
            "its memory of {} is over before the next packet comes, {} later",
            millis(delay.memory),
            millis(gap)
        )
    })
}

fn damage_that_never_hits(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Corrupts { share: 0.0, .. } = room.effect(index) else { return None };
    Some(format!("it hits no byte of a packet of {} bytes", room.load.size))
}

fn damage_that_tcp_drops(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::Corrupts { share, .. } = room.effect(index) else { return None };
    (*share > 0.0).then(|| {
        format!(
            "on a modelled TCP route a damaged segment is lost, as its checksum says: there this is {} of loss",
            percent(*share)
        )
    })
}

fn place_that_is_never_reached(room: &Room<'_>, index: usize) -> Option<String> {
    let RuleKind::Reorder(Reorder::Behind { behind, at_most, .. }) = &room.rules[index].kind else {
        return None;
    };
    let wait = f64::from(*behind) / room.packets_per_second()?;
    (wait > at_most.as_secs_f64()).then(|| {
        format!(
            "{behind} packets take {} to pass, and after {} it goes on anyway; write a longer \"at_most\"",
            millis(wait),
            Span(*at_most)
        )
    })
}

fn nothing_to_skip(room: &Room<'_>, index: usize) -> Option<String> {
    let RuleKind::Reorder(Reorder::Ahead { .. }) = &room.rules[index].kind else { return None };
    let waits = room.rules[index + 1..].iter().any(|rule| match &rule.kind {
        RuleKind::Delay(_) | RuleKind::Rate(_) | RuleKind::Batch(_) => true,
        RuleKind::Reorder(Reorder::Behind { .. }) => true,
        RuleKind::Outage(outage) => outage.hold,
        _ => false,
    });
    (!waits).then(|| {
        "\"ahead\" skips the waits behind it, and there are none; write it in front of the delay".into()
    })
}

fn long_cut(room: &Room<'_>, index: usize) -> Option<String> {
    let RuleKind::Outage(outage) = &room.rules[index].kind else { return None };
    (outage.down >= IDLE).then(|| {
        format!(
            "a cut of {} is longer than the {} after which a silent UDP flow is forgotten (\"idle\"), and most programs give up earlier",
            Span(outage.down),
            Span(IDLE)
        )
    })
}

fn small_size(room: &Room<'_>, index: usize) -> Option<String> {
    let Effect::LosesLarger { max, hit } = room.effect(index) else { return None };
    if *hit && room.load.stream.is_some() {
        return Some(format!(
            "all packets of {} bytes are larger than {max}: every one is lost",
            room.load.size
        ));
    }
    (*max < PAYLOAD_MIN).then(|| {
        format!("{max} bytes are less than the {PAYLOAD_MIN} that QUIC and most VPNs need: they do not work at all")
    })
}

fn percent(share: f64) -> String {
    let digits = format!("{:.3}", share * 100.0);
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn millis(seconds: f64) -> String {
    let millis = seconds * 1e3;
    let decimals = if millis >= 9.95 {
        0
    } else if millis >= 0.995 {
        1
    } else {
        3
    };
    let digits = format!("{millis:.decimals$}");
    let short = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        &digits
    };
    format!("{short} ms")
}

fn kilobytes(bytes: f64) -> String {
    if bytes < 10_000.0 { format!("{bytes:.0} bytes") } else { format!("{:.0} kB", bytes / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::super::Forecast;
    use super::*;
    use crate::probe::{Pace, Spread, Stream};

    fn warnings(rules: &str, rate: Option<&str>) -> Vec<String> {
        let profile = Profile::from_json(&format!(r#"{{ "both": [ {rules} ] }}"#)).unwrap();
        let stream = rate.map(|rate| Stream {
            pace: Pace::Packets(rate.parse().unwrap()),
            size: 1200,
            spread: Spread::Constant,
            flows: 1,
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
        assert_eq!(cases.len(), 22);
    }

    #[test]
    fn what_is_as_it_should_be_is_not_warned_of() {
        let rules = r#"{ "rule": "drop", "burst": { "mean": "2%", "length": 3 } }, { "rule": "reorder", "chance": "1%", "ahead": true }, { "rule": "rate", "limit": "20Mbit/s", "queue": "100ms" },
                       { "rule": "delay", "time": "20ms", "jitter": "5ms" }, { "rule": "duplicate", "chance": "1%" },
                       { "rule": "outage", "up": "10s", "down": "1s" }"#;
        assert_eq!(warnings(rules, None), Vec::<String>::new());
        assert_eq!(warnings(rules, Some("50/s")), Vec::<String>::new());
    }
}
