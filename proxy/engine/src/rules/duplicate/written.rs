//! Reads and writes a `duplicate` rule.

use super::{COPIES_DEFAULT, COPIES_MAX, Duplicate};
use crate::rules::written::{Fields, share, time};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::{Probability, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Sends copies behind a packet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDuplicate {
    /// Copy each packet with this probability.
    chance: Probability,
    /// How many copies are made beside the original; 1 unless stated.
    #[schemars(range(min = 1, max = 63))]
    copies: Option<u32>,
    /// The time from the original to the first copy and from copy to copy; none unless stated.
    gap: Option<Span>,
}

pub(super) fn read(place: &str, raw: &RawDuplicate) -> Result<Duplicate, SettingError> {
    let copies = raw.copies.unwrap_or(COPIES_DEFAULT);
    if !(1..=COPIES_MAX).contains(&copies) {
        let problem = format!("{copies} copies are out of bounds; write 1 to {COPIES_MAX}");
        return Err(SettingError::new(within(place, "copies"), problem));
    }
    let gap = raw.gap.map_or(Duration::ZERO, |gap| gap.0);
    Ok(Duplicate { chance: raw.chance, copies, gap })
}

pub(super) fn write(duplicate: &Duplicate) -> Fields {
    Fields::default()
        .with("chance", share(duplicate.chance))
        .unless("copies", duplicate.copies, COPIES_DEFAULT, Into::into)
        .unless("gap", duplicate.gap, Duration::ZERO, time)
}
