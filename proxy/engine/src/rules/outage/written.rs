//! Reads and writes an `outage` rule.

use super::Outage;
use crate::rules::written::{Fields, time};
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
    /// How long the link works; never, if it is 0 and packets wait.
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
    // What waits for a link that never works is not lost, so there is no other rule that says it.
    let never_works = raw.hold && !raw.random && raw.up.0.is_zero();
    let up = ("up", raw.up);
    for (field, time) in (!never_works).then_some(up).into_iter().chain([("down", raw.down)]) {
        if time.0 < least {
            let problem = format!("{time} is too short; write at least {}", Span(least));
            return Err(SettingError::new(within(place, field), problem));
        }
    }
    Ok(Outage { up: raw.up.0, down: raw.down.0, random: raw.random, hold: raw.hold })
}

pub(super) fn write(outage: &Outage) -> Fields {
    Fields::default()
        .with("up", time(outage.up))
        .with("down", time(outage.down))
        .unless("random", outage.random, false, Into::into)
        .unless("hold", outage.hold, false, Into::into)
}
