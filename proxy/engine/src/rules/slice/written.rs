//! Reads and writes a `slice` rule.

use super::Slice;
use crate::rules::written::{Fields, text, time};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Lets a TCP stream out in small pieces.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSlice {
    /// The mean size of a piece.
    size: ByteSize,
    /// By how much a piece may be smaller or larger; 0 unless stated.
    spread: Option<ByteSize>,
    /// The time that follows each piece; 0 unless stated.
    gap: Option<Span>,
}

pub(super) fn read(place: &str, raw: &RawSlice) -> Result<Slice, SettingError> {
    let (size, spread) = (raw.size.bytes(), raw.spread.map_or(0, ByteSize::bytes));
    if size == 0 {
        let problem = "pieces of 0 bytes would never carry anything; write at least 1B";
        return Err(SettingError::new(within(place, "size"), problem));
    }
    if spread > size {
        let problem = format!(
            "a spread of {} around {} would make pieces of less than nothing; write at most the \
             size",
            ByteSize::new(spread),
            raw.size
        );
        return Err(SettingError::new(within(place, "spread"), problem));
    }
    Ok(Slice { size, spread, gap: raw.gap.map_or(Duration::ZERO, |gap| gap.0) })
}

pub(super) fn write(slice: &Slice) -> Fields {
    let size = |bytes| text(ByteSize::new(bytes));
    Fields::default().with("size", size(slice.size)).unless("spread", slice.spread, 0, size).unless(
        "gap",
        slice.gap,
        Duration::ZERO,
        time,
    )
}
