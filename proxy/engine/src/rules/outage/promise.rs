//! The promise of an `outage` rule: the share of time in which the link is cut.

use super::Outage;
use crate::limits::IDLE_DEFAULT;
use crate::rules::losses::LossModel;
use crate::rules::promise::{Loss, Promise, Traffic};
use jostle_common::units::Span;
use jostle_common::words::{fine_percent, time};
use serde_json::{Value, json};

/// Returns the share of time in which the link is cut.
fn share(setting: &Outage) -> f64 {
    let (up, down) = (setting.up.as_secs_f64(), setting.down.as_secs_f64());
    down / (up + down)
}

pub(super) fn promise(setting: &Outage, traffic: &Traffic) -> Promise {
    let loss = match setting {
        Outage { hold: true, .. } => Loss::Nothing,
        // At fixed times it is no chain: only the share is known.
        Outage { random: false, .. } => Loss::Uncounted(LossModel::share(share(setting))),
        // At random times it is a burst in time, which needs the gap between packets.
        Outage { down, .. } => traffic.gap().map_or(Loss::Unknown, |gap| {
            let burst = LossModel::burst_in_time(share(setting), *down, gap);
            Loss::Uncounted(burst)
        }),
    };
    Promise { loss, ..Promise::default() }
}

pub(super) fn numbers(setting: &Outage) -> Value {
    json!({
        "cut": share(setting),
        "length": setting.down.as_secs_f64(),
        "hold": setting.hold,
    })
}

/// Says in a few words when it cuts the link.
pub(super) fn brief(setting: &Outage) -> String {
    let (up, down) = (setting.up.as_secs_f64(), setting.down.as_secs_f64());
    format!("{} after {}", time(down), time(up))
}

pub(super) fn words(setting: &Outage) -> String {
    format!(
        "is cut {} of the time, {} at a time; packets {}",
        fine_percent(share(setting)),
        time(setting.down.as_secs_f64()),
        if setting.hold { "wait" } else { "are lost" }
    )
}

pub(super) fn warning(setting: &Outage) -> Option<String> {
    (setting.down >= IDLE_DEFAULT).then(|| {
        format!(
            "a cut of {} is longer than the {} after which a silent UDP flow is forgotten \
             (\"idle\"), and most programs give up earlier",
            Span(setting.down),
            Span(IDLE_DEFAULT)
        )
    })
}
