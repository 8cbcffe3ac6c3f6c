//! Reads and writes a `drop` rule.

use super::{BurstLength, Drop, FourState};
use crate::rules::setting::RuleSyntax;
use crate::rules::written::{Fields, exactly_one, number, share, time};
use jostle_common::setting::{Object, SettingError, within};
use jostle_common::units::Probability;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A chain this slow has sojourns of ten million packets; recomputing a fate walks that far.
const TRANSITIONS_MIN: f64 = 1e-7;
/// More packets than a person lists.
const PACKETS_MAX: usize = 1_000_000;
/// A pattern that remembers more losses than this says nothing new.
const PATTERN_MAX: usize = 64;

/// Loses packets, by exactly one of the models.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDrop {
    /// Each packet on its own, with this probability.
    chance: Option<Probability>,
    /// Bursts of a mean length, and this share of all packets (or of time) in all.
    burst: Option<Object<RawBurst>>,
    /// A good and a bad state, with one transition per packet.
    gilbert_elliott: Option<Object<RawGilbertElliott>>,
    /// The four-state model of netem: its `loss state`.
    four_state: Option<Object<RawFourState>>,
    /// Each n-th packet.
    #[schemars(range(min = 1))]
    every: Option<u64>,
    /// The packets of these numbers, counted from 1.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    packets: Option<Vec<u64>>,
    /// The chance of loss after 0, 1, 2 … losses in a row; the last one holds for all beyond.
    #[schemars(length(min = 1, max = 64))]
    pattern: Option<Vec<Probability>>,
}

/// Bursts of geometric length; of exponential length in time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawBurst {
    /// The share of packets lost; of time, for a length in time.
    mean: Probability,
    /// The mean length of a burst, in packets or in time.
    length: RawLength,
}

/// A number of packets, or a time.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number of packets such as 3, or a time such as \"200ms\""
)]
enum RawLength {
    Packets(f64),
    Time(String),
}

/// A good and a bad state with a chance of loss each.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawGilbertElliott {
    /// The chance per packet to go from good to bad.
    p: Probability,
    /// The chance per packet to go from bad to good.
    r: Probability,
    /// The chance of loss in the bad state; 100% unless stated.
    loss_bad: Option<Probability>,
    /// The chance of loss in the good state; 0 unless stated.
    loss_good: Option<Probability>,
}

/// Transitions of the four-state model, as in netem's `loss state`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawFourState {
    /// The chance per packet to go from the gap into a burst.
    p13: Probability,
    /// The chance to go out of a burst; 1 − p13 unless stated.
    p31: Option<Probability>,
    /// The chance to go from a loss to an arrival within a burst; 0 unless stated.
    p32: Option<Probability>,
    /// The chance to go from an arrival to a loss within a burst; 100% unless stated.
    p23: Option<Probability>,
    /// The chance of a loss on its own in the gap; 0 unless stated.
    p14: Option<Probability>,
}

pub(super) fn read(place: &str, raw: RawDrop) -> Result<Drop, SettingError> {
    read_as(place, Drop::NAME, raw)
}

/// Reads the choice of a rule of some kind that is written as a `drop` rule is.
pub(in crate::rules) fn read_as(
    place: &str,
    kind: &str,
    raw: RawDrop,
) -> Result<Drop, SettingError> {
    let at = |field: &str| within(place, field);
    let burst = raw.burst.map(|Object(raw)| burst(&at("burst"), &raw)).transpose()?;
    let states = raw
        .gilbert_elliott
        .map(|Object(raw)| gilbert_elliott(&at("gilbert_elliott"), &raw))
        .transpose()?;
    let four = raw.four_state.map(|Object(raw)| four_state(&at("four_state"), &raw)).transpose()?;
    if raw.every == Some(0) {
        return Err(SettingError::new(
            at("every"),
            "0 means nothing; write 1 for every packet, 2 for every second",
        ));
    }
    let packets = raw.packets.map(|list| packets(&at("packets"), list)).transpose()?;
    let pattern = raw.pattern.map(|list| pattern(&at("pattern"), list)).transpose()?;
    let choices = [
        ("chance", raw.chance.map(Drop::Chance)),
        ("burst", burst),
        ("gilbert_elliott", states),
        ("four_state", four),
        ("every", raw.every.map(Drop::Every)),
        ("packets", packets),
        ("pattern", pattern),
    ];
    exactly_one(place, kind, choices)
}

fn burst(place: &str, raw: &RawBurst) -> Result<Drop, SettingError> {
    let refuse = |field: &str, problem: String| SettingError::new(within(place, field), problem);
    let length = match &raw.length {
        RawLength::Packets(length) => BurstLength::Packets(*length),
        // A number in quotes is no time.
        RawLength::Time(text) => match text.parse() {
            Ok(length @ BurstLength::Time(_)) => length,
            Ok(BurstLength::Packets(_)) => {
                let problem = format!("\"{text}\" is a text; write {text} without quotes");
                return Err(refuse("length", problem));
            }
            Err(problem) => return Err(refuse("length", problem)),
        },
    };
    Drop::burst_of(raw.mean, length).map_err(|(field, problem)| refuse(field, problem))
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

/// Reads netem's four states. A field that is not given has netem's default: `p31` = 1 − `p13`,
/// `p32` = 0, `p23` = 1, `p14` = 0.
fn four_state(place: &str, raw: &RawFourState) -> Result<Drop, SettingError> {
    let states = FourState {
        p13: raw.p13,
        p31: raw.p31.unwrap_or_else(|| raw.p13.complement()),
        p32: raw.p32.unwrap_or(Probability::NEVER),
        p23: raw.p23.unwrap_or(Probability::ALWAYS),
        p14: raw.p14.unwrap_or(Probability::NEVER),
    };
    let sum = |a: Probability, b: Probability| a.as_f64() + b.as_f64();
    for (names, sum) in
        [("p13 + p14", sum(states.p13, states.p14)), ("p31 + p32", sum(states.p31, states.p32))]
    {
        if sum > 1.0 {
            let problem = format!(
                "{names} are more than 100%, and both leave the same state; write smaller ones"
            );
            return Err(SettingError::new(place, problem));
        }
    }
    if states.p31.as_f64() < TRANSITIONS_MIN {
        return Err(SettingError::new(
            within(place, "p31"),
            "a burst would never end; write at least 0.00001%",
        ));
    }
    if states.p32.as_f64() > 0.0 && states.p23.as_f64() < TRANSITIONS_MIN {
        let problem =
            "a burst would never lose again after an arrival within it; write at least 0.00001%";
        return Err(SettingError::new(within(place, "p23"), problem));
    }
    Ok(Drop::FourState(states))
}

fn packets(place: &str, mut list: Vec<u64>) -> Result<Drop, SettingError> {
    if list.is_empty() {
        return Err(SettingError::new(
            place,
            "the list is empty; write the numbers of the packets to lose, from 1",
        ));
    }
    if list.len() > PACKETS_MAX {
        return Err(SettingError::new(
            place,
            format!("{} numbers are too many; at most {PACKETS_MAX}", list.len()),
        ));
    }
    if list.contains(&0) {
        return Err(SettingError::new(place, "there is no packet 0; the first one is 1"));
    }
    list.sort_unstable();
    list.dedup();
    Ok(Drop::Packets(list.into()))
}

fn pattern(place: &str, list: Vec<Probability>) -> Result<Drop, SettingError> {
    if !(1..=PATTERN_MAX).contains(&list.len()) {
        let problem = format!(
            "{} chances are out of bounds; write 1 to {PATTERN_MAX}: after 0, 1, 2 … losses in a \
             row",
            list.len()
        );
        return Err(SettingError::new(place, problem));
    }
    if list.len() > 1 && list.last() == Some(&Probability::ALWAYS) && list[0] != Probability::ALWAYS
    {
        let problem = "with 100% at the end a burst never ends; write a last chance below 100%";
        return Err(SettingError::new(place, problem));
    }
    Ok(Drop::Pattern(list))
}

pub(super) fn write(drop: &Drop) -> Fields {
    let fields = Fields::default();
    match drop {
        Drop::Chance(chance) => fields.with("chance", share(*chance)),
        Drop::Burst { mean, length } => {
            let length = match *length {
                BurstLength::Packets(packets) => number(packets),
                BurstLength::Time(length) => time(length),
            };
            fields
                .with("burst", Fields::default().with("mean", share(*mean)).with("length", length))
        }
        Drop::GilbertElliott { p, r, loss_bad, loss_good } => {
            let states = Fields::default()
                .with("p", share(*p))
                .with("r", share(*r))
                .unless("loss_bad", *loss_bad, Probability::ALWAYS, share)
                .unless("loss_good", *loss_good, Probability::NEVER, share);
            fields.with("gilbert_elliott", states)
        }
        Drop::FourState(FourState { p13, p31, p32, p23, p14 }) => {
            let states = Fields::default()
                .with("p13", share(*p13))
                .unless("p31", *p31, p13.complement(), share)
                .unless("p32", *p32, Probability::NEVER, share)
                .unless("p23", *p23, Probability::ALWAYS, share)
                .unless("p14", *p14, Probability::NEVER, share);
            fields.with("four_state", states)
        }
        Drop::Every(every) => fields.with("every", *every),
        Drop::Packets(packets) => fields.with("packets", packets.to_vec()),
        Drop::Pattern(chances) => {
            let chances: Vec<Value> = chances.iter().copied().map(share).collect();
            fields.with("pattern", chances)
        }
    }
}
