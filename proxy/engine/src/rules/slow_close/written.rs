//! Reads a `slow_close` rule.

use super::SlowClose;
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
