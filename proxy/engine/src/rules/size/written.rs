//! Reads and writes a `size` rule.

use super::Size;
use crate::rules::written::{Fields, text};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

/// Loses larger packets: an MTU black hole.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSize {
    /// The largest packet that passes.
    max: ByteSize,
}

pub(super) fn read(place: &str, raw: &RawSize) -> Result<Size, SettingError> {
    let max = u32::try_from(raw.max.bytes()).map_err(|_| {
        SettingError::new(within(place, "max"), "no packet is that large; write at most 64KiB")
    })?;
    Ok(Size { max })
}

pub(super) fn write(size: &Size) -> Fields {
    Fields::default().with("max", text(ByteSize::new(u64::from(size.max))))
}
