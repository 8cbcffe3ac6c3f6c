//! The promise of a `batch` rule: the share of packets that it gathers.

use super::{Batch, BatchThen, BatchTrigger};
use crate::rules::promise::{Loss, Promise, Traffic};
use jostle_common::words::{fine_percent, time};
use serde_json::{Value, json};

pub(super) fn promise(setting: &Batch) -> Promise {
    let loss = match setting.then {
        BatchThen::Release => Loss::Nothing,
        BatchThen::Drop => Loss::Unknown,
    };
    Promise { loss, ..Promise::default() }
}

/// Returns the share of packets that is in a window, if the packet rate is known. A window opens
/// with a chance c per packet outside and takes k = window/gap packets behind the one that opens
/// it, so c·(1 + k) packets are inside for every 1 − c outside.
fn gathered(setting: &Batch, traffic: &Traffic) -> Option<f64> {
    match setting.trigger {
        BatchTrigger::Slot { .. } => Some(1.0),
        BatchTrigger::Chance(chance) => traffic.gap().map(|gap| {
            let inside = chance.as_f64() * (1.0 + setting.window.as_secs_f64() / gap);
            inside / (inside + chance.complement().as_f64())
        }),
    }
}

pub(super) fn numbers(setting: &Batch, traffic: &Traffic) -> Value {
    json!({
        "window": setting.window.as_secs_f64(),
        "drop": setting.then == BatchThen::Drop,
        "gathered": gathered(setting, traffic),
    })
}

/// Says in a few words how long it gathers.
pub(super) fn brief(setting: &Batch) -> String {
    time(setting.window.as_secs_f64())
}

pub(super) fn words(setting: &Batch, traffic: &Traffic) -> String {
    let share = gathered(setting, traffic).map_or_else(
        || "packets".to_owned(),
        |share| format!("{} of packets", fine_percent(share)),
    );
    let then = match setting.then {
        BatchThen::Release => "and lets them go together",
        BatchThen::Drop => "and loses them",
    };
    format!("gathers {share} for at most {} {then}", time(setting.window.as_secs_f64()))
}
