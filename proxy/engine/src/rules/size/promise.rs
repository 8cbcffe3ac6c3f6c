//! The promise of a `size` rule: all packets of a size are lost, or none.

use super::Size;
use crate::rules::losses::LossModel;
use crate::rules::promise::{Loss, Promise, Traffic};
use jostle_common::words::grouped;
use serde_json::{Value, json};

/// QUIC and many VPNs send packets of this size at least, and give up where they do not pass (RFC
/// 9000 §14).
const PAYLOAD_MIN: u32 = 1200;

const fn loses(setting: &Size, traffic: &Traffic) -> bool {
    traffic.size > setting.max
}

pub(super) fn promise(setting: &Size, traffic: &Traffic) -> Promise {
    let share = f64::from(u8::from(loses(setting, traffic)));
    Promise { loss: Loss::Uncounted(LossModel::independent(share)), ..Promise::default() }
}

pub(super) fn numbers(setting: &Size, traffic: &Traffic) -> Value {
    json!({ "max": setting.max, "loses_this_size": loses(setting, traffic) })
}

/// Says in a few words what is too large.
pub(super) fn brief(setting: &Size) -> String {
    format!("above {} bytes", grouped(u64::from(setting.max)))
}

pub(super) fn words(setting: &Size, traffic: &Traffic) -> String {
    let hit = if loses(setting, traffic) { "; those of this size are lost" } else { "" };
    format!("loses packets of more than {} bytes{hit}", grouped(u64::from(setting.max)))
}

pub(super) fn warning(setting: &Size, traffic: &Traffic) -> Option<String> {
    let max = setting.max;
    if loses(setting, traffic) && traffic.packets_per_second.is_some() {
        let size = traffic.size;
        return Some(format!(
            "all packets of {size} bytes are larger than {max}: every one is lost"
        ));
    }
    (max < PAYLOAD_MIN).then(|| {
        format!(
            "{max} bytes are less than the {PAYLOAD_MIN} that QUIC and most VPNs need: they do \
             not work at all"
        )
    })
}
