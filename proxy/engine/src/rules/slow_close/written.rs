//! Reads and writes a `slow_close` rule.

use super::SlowClose;
use crate::rules::written::{Fields, time};
use jostle_common::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// Holds the end of a TCP stream; its bytes pass.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSlowClose {
    /// For how long.
    delay: Span,
}

pub(super) const fn read(raw: &RawSlowClose) -> SlowClose {
    SlowClose { delay: raw.delay.0 }
}

pub(super) fn write(slow: &SlowClose) -> Fields {
    Fields::default().with("delay", time(slow.delay))
}
