//! Reads and writes a `reset` rule.

use super::Reset;
use crate::rules::written::{Fields, time};
use jostle_common::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// Resets a TCP connection towards both sides once something comes, which is discarded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReset {
    /// How long after the first data, or the end.
    after: Span,
}

pub(super) const fn read(raw: &RawReset) -> Reset {
    Reset { after: raw.after.0 }
}

pub(super) fn write(reset: &Reset) -> Fields {
    Fields::default().with("after", time(reset.after))
}
