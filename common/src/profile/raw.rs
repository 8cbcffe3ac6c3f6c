//! Profiles as people write them, and how each rule becomes a valid one or an error that names the place and the remedy.

use super::{Corrupt, Delay, Drop, Duplicate, Flips, Profile, Queue, Rate, Reorder, Rule, RuleKind, Shape};
use crate::setting::{SettingError, decode, one_of, parse_json, within};
use crate::units::{BitRate, ByteSize, Probability, Span, parse_duration};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// A link signs packets with one bit per rule.
const RULES_MAX: usize = 63;
/// Copies are numbered with six bits per duplicate rule.
const DUPLICATE_RULES_MAX: u32 = 5;
const COPIES_MAX: u32 = 63;
/// More flips per packet than this are better said as a bit error rate.
const BITS_MAX: u32 = 256;
const BEHIND_MAX: u32 = 1000;
/// A chain this slow has sojourns of ten million packets; recomputing a fate walks that far.
const TRANSITIONS_MIN: f64 = 1e-7;
/// The standard deviation of a Gaussian cut at ± time reaches time/√3 = 0.577·time only when it has become the even distribution.
const NORMAL_JITTER_MAX: f64 = 0.57;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    #[serde(default)]
    about: String,
    #[serde(default)]
    both: Vec<Value>,
    #[serde(default)]
    up: Vec<Value>,
    #[serde(default)]
    down: Vec<Value>,
}

impl Profile {
    /// Reads a profile from JSON text.
    ///
    /// ```
    /// use jostle_common::profile::Profile;
    /// let profile = Profile::from_json(r#"{ "both": [ { "rule": "drop", "chance": "2%" } ] }"#).unwrap();
    /// assert_eq!(profile.up, profile.down);
    /// let error = Profile::from_json(r#"{ "up": [ { "rule": "drop", "chance": "2" } ] }"#).unwrap_err();
    /// assert_eq!(error.to_string(), r#"up[0].chance: "2" has no unit; write "2%""#);
    /// ```
    ///
    /// # Errors
    /// When the text is not JSON, or says something impossible; with the place and the remedy.
    pub fn from_json(text: &str) -> Result<Self, SettingError> {
        Self::from_value("", parse_json(text)?)
    }

    /// Reads a profile that stands at `place` of a larger JSON value.
    ///
    /// # Errors
    /// When it says something impossible.
    pub fn from_value(place: &str, value: Value) -> Result<Self, SettingError> {
        let raw: RawProfile = decode(place, value)?;
        let both: Vec<RawRule> = rules(&within(place, "both"), raw.both)?;
        let direction = |name: &str, own: Vec<Value>| {
            let place = within(place, name);
            let all = both.iter().cloned().chain(rules(&place, own)?).collect();
            numbered(&place, all)
        };
        Ok(Self { about: raw.about, up: direction("up", raw.up)?, down: direction("down", raw.down)? })
    }
}

/// A rule that does not yet know its place among its kind.
#[derive(Clone)]
struct RawRule {
    place: String,
    name: Option<String>,
    kind: RuleKind,
}

fn rules(place: &str, values: Vec<Value>) -> Result<Vec<RawRule>, SettingError> {
    values.into_iter().enumerate().map(|(index, value)| rule(format!("{place}[{index}]"), value)).collect()
}

/// Gives each rule its key, and holds the bounds of a whole direction.
fn numbered(place: &str, raw: Vec<RawRule>) -> Result<Vec<Rule>, SettingError> {
    if raw.len() > RULES_MAX {
        return Err(SettingError::new(
            place,
            format!("{} rules are too many; at most {RULES_MAX} per direction", raw.len()),
        ));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for RawRule { place, name, kind } in raw {
        let ordinal = rules.iter().filter(|rule| rule.kind.name() == kind.name()).count() as u32;
        if matches!(kind, RuleKind::Duplicate(_)) && ordinal >= DUPLICATE_RULES_MAX {
            return Err(SettingError::new(
                place,
                format!("at most {DUPLICATE_RULES_MAX} duplicate rules per direction"),
            ));
        }
        let key = name.unwrap_or_else(|| match ordinal {
            0 => kind.name().into(),
            _ => format!("{}#{}", kind.name(), ordinal + 1),
        });
        if rules.iter().any(|rule| rule.key == key) {
            let problem =
                format!("a second rule is called \"{key}\"; give each rule of a direction its own name");
            return Err(SettingError::new(within(&place, "name"), problem));
        }
        rules.push(Rule { key, ordinal, kind });
    }
    Ok(rules)
}

type Reader = fn(&str, Value) -> Result<RuleKind, SettingError>;

const KINDS: [(&str, Reader); 6] = [
    ("drop", drop_rule),
    ("corrupt", corrupt_rule),
    ("delay", delay_rule),
    ("duplicate", duplicate_rule),
    ("reorder", reorder_rule),
    ("rate", rate_rule),
];

fn rule(place: String, value: Value) -> Result<RawRule, SettingError> {
    let kinds = || one_of(&KINDS.map(|(name, _)| name));
    let Value::Object(mut fields) = value else {
        return Err(SettingError::new(
            place,
            "a rule is an object; write { \"rule\": \"drop\", \"chance\": \"2%\" }, say",
        ));
    };
    let kind = match fields.remove("rule") {
        Some(Value::String(kind)) => kind,
        Some(other) => {
            return Err(SettingError::new(
                within(&place, "rule"),
                format!("{other} is not a rule; write {}", kinds()),
            ));
        }
        None => {
            return Err(SettingError::new(
                place,
                format!("no \"rule\" says what it is; write \"rule\": {}", kinds()),
            ));
        }
    };
    let Some((_, reader)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Err(SettingError::new(
            within(&place, "rule"),
            format!("\"{kind}\" is not a rule; write {}", kinds()),
        ));
    };
    let name = rule_name(&place, &mut fields)?;
    let kind = reader(&place, Value::Object(fields))?;
    Ok(RawRule { place, name, kind })
}

fn rule_name(place: &str, fields: &mut Map<String, Value>) -> Result<Option<String>, SettingError> {
    match fields.remove("name") {
        None => Ok(None),
        Some(Value::String(name)) if !name.is_empty() && name.len() <= 64 => Ok(Some(name)),
        Some(other) => Err(SettingError::new(
            within(place, "name"),
            format!("{other} is not a name; write 1 to 64 characters"),
        )),
    }
}

/// The one of several alternatives that is given.
fn exactly_one<T>(place: &str, kind: &str, choices: [(&str, Option<T>); 4]) -> Result<T, SettingError> {
    let names = choices.each_ref().map(|(name, _)| *name);
    let mut given = choices.into_iter().filter_map(|(name, choice)| Some((name, choice?)));
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    match (given.next(), given.next()) {
        (Some((_, choice)), None) => Ok(choice),
        (None, _) => Err(SettingError::new(
            place,
            format!("{kind} says how by exactly one of {}; none is here", one_of(&names)),
        )),
        (Some((first, _)), Some((second, _))) => Err(SettingError::new(
            place,
            format!("{kind} says how by exactly one of {}; here are {first} and {second}", one_of(&names)),
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDrop {
    chance: Option<Probability>,
    burst: Option<RawBurst>,
    gilbert_elliott: Option<RawGilbertElliott>,
    every: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBurst {
    mean: Probability,
    length: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGilbertElliott {
    p: Probability,
    r: Probability,
    loss_bad: Option<Probability>,
    loss_good: Option<Probability>,
}

fn drop_rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
    let raw: RawDrop = decode(place, value)?;
    let burst =
        raw.burst.map(|raw| Drop::burst(raw.mean, raw.length)).transpose().map_err(|(field, problem)| {
            SettingError::new(within(place, &format!("burst.{field}")), problem)
        })?;
    let states = raw
        .gilbert_elliott
        .map(|raw| gilbert_elliott(&within(place, "gilbert_elliott"), &raw))
        .transpose()?;
    if raw.every == Some(0) {
        return Err(SettingError::new(
            within(place, "every"),
            "0 means nothing; write 1 for every packet, 2 for every second",
        ));
    }
    exactly_one(
        place,
        "drop",
        [
            ("chance", raw.chance.map(Drop::Chance)),
            ("burst", burst),
            ("gilbert_elliott", states),
            ("every", raw.every.map(Drop::Every)),
        ],
    )
    .map(RuleKind::Drop)
}

fn gilbert_elliott(place: &str, raw: &RawGilbertElliott) -> Result<Drop, SettingError> {
    if raw.p.as_f64() + raw.r.as_f64() < TRANSITIONS_MIN {
        return Err(SettingError::new(
            place,
            "p + r is so small that the state never changes; write at least 0.00001%",
        ));
    }
    let loss_bad = raw.loss_bad.unwrap_or(Probability::ALWAYS);
    let loss_good = raw.loss_good.unwrap_or(Probability::NEVER);
    Ok(Drop::GilbertElliott { p: raw.p, r: raw.r, loss_bad, loss_good })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCorrupt {
    chance: Option<Probability>,
    bits: Option<u32>,
    bit_error_rate: Option<Probability>,
    r#where: Option<RawRange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRange {
    offset: u64,
    length: u64,
}

fn corrupt_rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
    let raw: RawCorrupt = decode(place, value)?;
    let bits = raw.bits.unwrap_or(1);
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(SettingError::new(
            within(place, "bits"),
            format!("{bits} is out of bounds; write 1 to {BITS_MAX}"),
        ));
    }
    if raw.bits.is_some() && raw.bit_error_rate.is_some() {
        return Err(SettingError::new(
            within(place, "bits"),
            "a bit_error_rate draws how many; leave bits out",
        ));
    }
    let flips = exactly_one(
        place,
        "corrupt",
        [
            ("chance", raw.chance.map(|chance| Flips::Bits { chance, bits })),
            ("bit_error_rate", raw.bit_error_rate.map(Flips::Rate)),
            ("", None),
            ("", None),
        ],
    )?;
    let range = match raw.r#where {
        None => None,
        Some(RawRange { length: 0, .. }) => {
            return Err(SettingError::new(
                within(place, "where.length"),
                "0 bytes cannot be hit; write at least 1",
            ));
        }
        Some(RawRange { offset, length }) => Some(offset..offset.saturating_add(length)),
    };
    Ok(RuleKind::Corrupt(Corrupt { flips, range }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDelay {
    time: Span,
    jitter: Option<Span>,
    #[serde(default)]
    shape: RawShape,
    #[serde(default)]
    reorder: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawShape {
    #[default]
    Uniform,
    Normal,
}

fn delay_rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
    let raw: RawDelay = decode(place, value)?;
    let shape = match raw.shape {
        RawShape::Uniform => Shape::Uniform,
        RawShape::Normal => Shape::Normal,
    };
    let delay = Delay {
        time: raw.time.0,
        jitter: raw.jitter.map_or(Duration::ZERO, |jitter| jitter.0),
        shape,
        reorder: raw.reorder,
    };
    check_delay(&delay).map_err(|problem| SettingError::new(within(place, "jitter"), problem))?;
    Ok(RuleKind::Delay(delay))
}

/// Checks that no packet would have to arrive before it was sent.
pub(super) fn check_delay(delay: &Delay) -> Result<(), String> {
    let Delay { time, jitter, .. } = *delay;
    match delay.shape {
        Shape::Uniform if jitter > time => Err(format!(
            "{} of jitter around {} would be before the packet came; write a jitter of at most the time",
            Span(jitter),
            Span(time)
        )),
        Shape::Normal if jitter > time.mul_f64(NORMAL_JITTER_MAX) => Err(format!(
            "a normal jitter of {} does not fit between 0 and twice {}; write at most 57% of the time",
            Span(jitter),
            Span(time)
        )),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDuplicate {
    chance: Probability,
    copies: Option<u32>,
}

fn duplicate_rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
    let raw: RawDuplicate = decode(place, value)?;
    let copies = raw.copies.unwrap_or(1);
    if !(1..=COPIES_MAX).contains(&copies) {
        let problem = format!("{copies} copies are out of bounds; write 1 to {COPIES_MAX}");
        return Err(SettingError::new(within(place, "copies"), problem));
    }
    Ok(RuleKind::Duplicate(Duplicate { chance: raw.chance, copies }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReorder {
    chance: Probability,
    behind: Option<u32>,
    at_most: Option<Span>,
}

fn reorder_rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
    let raw: RawReorder = decode(place, value)?;
    let behind = raw.behind.unwrap_or(1);
    if !(1..=BEHIND_MAX).contains(&behind) {
        let problem = format!("{behind} packets are out of bounds; write 1 to {BEHIND_MAX}");
        return Err(SettingError::new(within(place, "behind"), problem));
    }
    let at_most = raw.at_most.map_or(Reorder::AT_MOST_DEFAULT, |at_most| at_most.0);
    Ok(RuleKind::Reorder(Reorder { chance: raw.chance, behind, at_most }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    limit: BitRate,
    queue: Option<String>,
    overhead: Option<u32>,
}

fn rate_rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
    let raw: RawRate = decode(place, value)?;
    let queue = match raw.queue {
        None => Queue::Default,
        Some(text) => queue(&text).map_err(|problem| SettingError::new(within(place, "queue"), problem))?,
    };
    Ok(RuleKind::Rate(Rate { limit: raw.limit, queue, overhead: raw.overhead.unwrap_or(0) }))
}

/// Reads the bound of a queue: a time, a number of packets or a number of bytes, told apart by the unit.
fn queue(text: &str) -> Result<Queue, String> {
    if let Some(number) = text.strip_suffix("packets").or_else(|| text.strip_suffix("packet")) {
        let packets: u64 = number
            .trim()
            .parse()
            .map_err(|_| format!("\"{text}\" is not a number of packets; write \"50 packets\""))?;
        return Ok(Queue::Packets(packets));
    }
    parse_duration(text).map(Queue::Time).or_else(|_| text.parse::<ByteSize>().map(Queue::Bytes)).map_err(|_| {
        format!("\"{text}\" is not a queue; write a time (\"100ms\"), bytes (\"64KiB\") or packets (\"50 packets\")")
    })
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
