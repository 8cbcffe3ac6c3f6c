//! Reads a `duplicate` rule.

use super::file::ReadFile;
use crate::profile::{Duplicate, RuleKind};
use jostle_common::setting::{SettingError, decode, within};
use jostle_common::units::{Probability, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Copies are numbered with six bits per duplicate rule.
const COPIES_MAX: u32 = 63;

/// Sends copies behind a packet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDuplicate {
    /// Copy each packet with this probability.
    chance: Probability,
    /// How many copies are made beside the original; 1 unless stated.
    #[schemars(range(min = 1, max = 63))]
    copies: Option<u32>,
    /// The time from the original to the first copy and from copy to copy; none unless stated.
    gap: Option<Span>,
}

pub(super) fn rule(place: &str, value: Value, _: ReadFile<'_>) -> Result<RuleKind, SettingError> {
    let raw: RawDuplicate = decode(place, value)?;
    let copies = raw.copies.unwrap_or(1);
    if !(1..=COPIES_MAX).contains(&copies) {
        let problem = format!("{copies} copies are out of bounds; write 1 to {COPIES_MAX}");
        return Err(SettingError::new(within(place, "copies"), problem));
    }
    let gap = raw.gap.map_or(Duration::ZERO, |gap| gap.0);
    Ok(RuleKind::Duplicate(Duplicate { chance: raw.chance, copies, gap }))
}
