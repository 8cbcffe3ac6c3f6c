//! Reads and writes a `stall` rule.

use super::Stall;
use crate::rules::written::{Fields, text, time};
use jostle_common::units::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// Discards what comes out of a TCP stream; its sender goes on sending.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStall {
    /// How many bytes pass before; 0 unless stated.
    after: Option<ByteSize>,
    /// The silence after which the connection is closed; never unless stated.
    close: Option<Span>,
}

pub(super) fn read(raw: &RawStall) -> Stall {
    Stall { after: raw.after.map_or(0, ByteSize::bytes), close: raw.close.map(|close| close.0) }
}

pub(super) fn write(stall: &Stall) -> Fields {
    Fields::default()
        .unless("after", stall.after, 0, |bytes| text(ByteSize::new(bytes)))
        .with_some("close", stall.close.map(time))
}
