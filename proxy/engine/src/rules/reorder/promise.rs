//! The promise of a `reorder` rule: a share of packets behind so many others, or in front of all.

use super::Reorder;
use crate::rules::promise::{Traffic, millis};
use jostle_common::units::Span;
use jostle_common::words::{count, fine_percent, time};
use serde_json::{Value, json};

pub(super) fn numbers(setting: &Reorder) -> Value {
    let share = setting.chance().as_f64();
    let (behind, at_most) = match setting {
        Reorder::Behind { behind, at_most, .. } => (Some(*behind), Some(at_most.as_secs_f64())),
        Reorder::Ahead { .. } => (None, None),
    };
    json!({
        "reordered": share,
        "behind": behind,
        "at_most": at_most,
        "ahead": behind.is_none(),
    })
}

/// Says in a few words how often it reorders.
pub(super) fn brief(setting: &Reorder) -> String {
    fine_percent(setting.chance().as_f64())
}

pub(super) fn words(setting: &Reorder) -> String {
    let share = fine_percent(setting.chance().as_f64());
    match setting {
        Reorder::Behind { behind, at_most, .. } => format!(
            "holds {share} of packets back behind {}, at most {}",
            count(u64::from(*behind), "other"),
            time(at_most.as_secs_f64())
        ),
        Reorder::Ahead { .. } => format!("lets {share} of packets skip every later wait"),
    }
}

pub(super) fn warning(setting: &Reorder, traffic: &Traffic) -> Option<String> {
    let Reorder::Behind { behind, at_most, .. } = setting else { return None };
    let wait = f64::from(*behind) * traffic.gap()?;
    (wait > at_most.as_secs_f64()).then(|| {
        format!(
            "{behind} packets take {} to pass, and after {} it goes on anyway; write a longer \
             \"at_most\"",
            millis(wait),
            Span(*at_most)
        )
    })
}
