//! Reads the rules `batch`, `outage` and `size`.

use super::file::ReadFile;
use crate::profile::{Batch, BatchThen, BatchTrigger, Outage, RuleKind, Size};
use jostle_common::setting::{SettingError, decode, within};
use jostle_common::units::{ByteSize, Probability, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Drawn times this short would take more steps than packets come.
const DRAWN_MIN: Duration = Duration::from_millis(1);

/// Gathers packets and lets them go together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBatch {
    /// The longest that a packet is held.
    window: Span,
    /// A packet opens a window with this probability; it lasts its whole time (clumsy's throttle).
    chance: Option<Probability>,
    /// A window closes when it holds so many packets (netem's slots).
    #[schemars(range(min = 1))]
    packets: Option<u64>,
    /// A window closes when it holds so many bytes.
    bytes: Option<ByteSize>,
    /// What becomes of the packets in it; they are released unless stated.
    #[serde(default)]
    then: RawThen,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawThen {
    #[default]
    Release,
    Drop,
}

/// Cuts the link from time to time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutage {
    /// How long the link works.
    up: Span,
    /// How long it is cut.
    down: Span,
    /// Whether both times are drawn, with these means.
    #[serde(default)]
    random: bool,
    /// Whether packets wait for the link instead of being lost.
    #[serde(default)]
    hold: bool,
}

/// Loses larger packets: an MTU black hole.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSize {
    /// The largest packet that passes.
    max: ByteSize,
}

pub(super) fn batch(place: &str, value: Value, _: ReadFile<'_>) -> Result<RuleKind, SettingError> {
    let raw: RawBatch = decode(place, value)?;
    let refuse = |field: &str, problem: &str| Err(SettingError::new(within(place, field), problem));
    if raw.window.0.is_zero() {
        return refuse("window", "nothing gathers in no time; write \"30ms\", say");
    }
    let trigger = match (raw.chance, raw.packets, raw.bytes) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            return refuse(
                "chance",
                "a window that opens by chance lasts its whole time; leave out packets and bytes",
            );
        }
        (Some(chance), None, None) => BatchTrigger::Chance(chance),
        (None, Some(0), _) => {
            return refuse("packets", "a slot of 0 packets never fills; write at least 1");
        }
        (None, packets, bytes) => BatchTrigger::Slot { packets, bytes },
    };
    let then = match raw.then {
        RawThen::Release => BatchThen::Release,
        RawThen::Drop => BatchThen::Drop,
    };
    Ok(RuleKind::Batch(Batch { window: raw.window.0, trigger, then }))
}

pub(super) fn outage(place: &str, value: Value, _: ReadFile<'_>) -> Result<RuleKind, SettingError> {
    let raw: RawOutage = decode(place, value)?;
    let least = if raw.random { DRAWN_MIN } else { Duration::from_nanos(1) };
    for (field, time) in [("up", raw.up), ("down", raw.down)] {
        if time.0 < least {
            let problem = format!("{time} is too short; write at least {}", Span(least));
            return Err(SettingError::new(within(place, field), problem));
        }
    }
    Ok(RuleKind::Outage(Outage {
        up: raw.up.0,
        down: raw.down.0,
        random: raw.random,
        hold: raw.hold,
    }))
}

pub(super) fn size(place: &str, value: Value, _: ReadFile<'_>) -> Result<RuleKind, SettingError> {
    let raw: RawSize = decode(place, value)?;
    let max = u32::try_from(raw.max.bytes()).map_err(|_| {
        SettingError::new(within(place, "max"), "no packet is that large; write at most 64KiB")
    })?;
    Ok(RuleKind::Size(Size { max }))
}
