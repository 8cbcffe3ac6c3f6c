//! Reads an `outage` rule.

use super::Outage;
use jostle_common::setting::{SettingError, within};
use jostle_common::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Drawn times this short would take more steps than packets come.
const DRAWN_MIN: Duration = Duration::from_millis(1);

/// Cuts the link from time to time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOutage {
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

pub(super) fn read(place: &str, raw: &RawOutage) -> Result<Outage, SettingError> {
    let least = if raw.random { DRAWN_MIN } else { Duration::from_nanos(1) };
    for (field, time) in [("up", raw.up), ("down", raw.down)] {
        if time.0 < least {
            let problem = format!("{time} is too short; write at least {}", Span(least));
            return Err(SettingError::new(within(place, field), problem));
        }
    }
    Ok(Outage { up: raw.up.0, down: raw.down.0, random: raw.random, hold: raw.hold })
}
