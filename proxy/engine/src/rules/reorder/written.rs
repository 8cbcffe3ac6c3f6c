//! Reads and writes a `reorder` rule.

use super::{AT_MOST_DEFAULT, BEHIND_DEFAULT, Reorder};
use crate::rules::written::{Fields, share, time};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::{Probability, Span};
use schemars::JsonSchema;
use serde::Deserialize;

const BEHIND_MAX: u32 = 1000;

/// Lets later packets overtake a chosen one, or a chosen one overtake earlier ones.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReorder {
    /// Choose each packet with this probability.
    chance: Probability,
    /// How many later packets pass it; 1 unless stated.
    #[schemars(range(min = 1, max = 1000))]
    behind: Option<u32>,
    /// The longest it waits for them; 50ms unless stated.
    at_most: Option<Span>,
    /// Whether it skips every later wait instead, as netem does.
    #[serde(default)]
    ahead: bool,
}

pub(super) fn read(place: &str, raw: &RawReorder) -> Result<Reorder, SettingError> {
    if raw.ahead {
        let given = [("behind", raw.behind.is_some()), ("at_most", raw.at_most.is_some())];
        if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
            let problem = "a packet that goes ahead waits for nobody; leave it out";
            return Err(SettingError::new(within(place, field), problem));
        }
        return Ok(Reorder::Ahead { chance: raw.chance });
    }
    let behind = raw.behind.unwrap_or(BEHIND_DEFAULT);
    if !(1..=BEHIND_MAX).contains(&behind) {
        let problem = format!("{behind} packets are out of bounds; write 1 to {BEHIND_MAX}");
        return Err(SettingError::new(within(place, "behind"), problem));
    }
    let at_most = raw.at_most.map_or(AT_MOST_DEFAULT, |at_most| at_most.0);
    Ok(Reorder::Behind { chance: raw.chance, behind, at_most })
}

pub(super) fn write(reorder: &Reorder) -> Fields {
    let fields = Fields::default().with("chance", share(reorder.chance()));
    match *reorder {
        Reorder::Behind { behind, at_most, .. } => fields
            .unless("behind", behind, BEHIND_DEFAULT, Into::into)
            .unless("at_most", at_most, AT_MOST_DEFAULT, time),
        Reorder::Ahead { .. } => fields.with("ahead", true),
    }
}
