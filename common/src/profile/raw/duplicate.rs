//! Reads a `duplicate` rule.

use super::file::ReadFile;
use crate::profile::{Duplicate, RuleKind};
use crate::setting::{SettingError, decode, within};
use crate::units::{Probability, Span};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Copies are numbered with six bits per duplicate rule.
const COPIES_MAX: u32 = 63;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDuplicate {
    chance: Probability,
    copies: Option<u32>,
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
