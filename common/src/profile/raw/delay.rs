//! Reads a `delay` rule.

use crate::profile::{Delay, RuleKind, Shape};
use crate::setting::{SettingError, decode, within};
use crate::units::Span;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

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

pub(super) fn rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
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
    delay.check().map_err(|problem| SettingError::new(within(place, "jitter"), problem))?;
    Ok(RuleKind::Delay(delay))
}
