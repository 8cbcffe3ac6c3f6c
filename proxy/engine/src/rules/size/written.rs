//! Reads and writes a `size` rule.

use super::Size;
use crate::rules::written::{Fields, shortened, text};
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
    /// What the sender of a larger one hears; silence, which is all that there is, unless stated.
    #[schemars(with = "Option<RawAnswer>")]
    answer: Option<String>,
}

/// What the sender of a packet that is too large hears.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is of use")]
enum RawAnswer {
    Silence,
}

pub(super) fn read(place: &str, raw: &RawSize) -> Result<Size, SettingError> {
    let max = u32::try_from(raw.max.bytes()).map_err(|_| {
        SettingError::new(within(place, "max"), "no packet is that large; write at most 64KiB")
    })?;
    if let Some(other) = raw.answer.as_ref().filter(|answer| *answer != "silence") {
        let other = shortened(other);
        let problem = format!(
            "\"{other}\" cannot be answered: ICMP's \"packet too big\" comes from a router, and sending it \
             needs root; write \"silence\", or leave it out"
        );
        return Err(SettingError::new(within(place, "answer"), problem));
    }
    Ok(Size { max })
}

pub(super) fn write(size: &Size) -> Fields {
    Fields::default().with("max", text(ByteSize::new(u64::from(size.max))))
}
