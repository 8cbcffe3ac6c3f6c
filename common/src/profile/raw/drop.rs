//! Reads a `drop` rule.

use super::exactly_one;
use crate::profile::{Drop, RuleKind};
use crate::setting::{SettingError, decode, within};
use crate::units::Probability;
use serde::Deserialize;
use serde_json::Value;

/// A chain this slow has sojourns of ten million packets; recomputing a fate walks that far.
const TRANSITIONS_MIN: f64 = 1e-7;

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

pub(super) fn rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
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
