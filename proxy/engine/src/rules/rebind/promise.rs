//! The promise of a `rebind` rule: when a flow leaves from a fresh socket.

use super::{Rebind, RebindAddresses};
use jostle_common::words::time;
use serde_json::{Value, json};

pub(super) fn numbers(setting: &Rebind) -> Value {
    json!({
        "first_s": setting.first.map(|first| first.as_secs_f64()),
        "every_s": setting.every.map(|every| every.as_secs_f64()),
        "random": setting.random,
        "changes_address": setting.addresses != RebindAddresses::Kept,
        "delivers_old": setting.delivers_old,
    })
}

/// Says in a few words when it acts.
pub(super) fn brief(setting: &Rebind) -> String {
    let seconds = |duration: std::time::Duration| time(duration.as_secs_f64());
    let every = |every| match setting.random {
        true => format!("every {} on average", seconds(every)),
        false => format!("every {}", seconds(every)),
    };
    match (setting.first, setting.every) {
        (None, None) => "once".to_owned(),
        (Some(first), None) => format!("after {}", seconds(first)),
        (None, Some(period)) => every(period),
        (Some(first), Some(period)) => format!("after {}, then {}", seconds(first), every(period)),
    }
}

pub(super) fn words(setting: &Rebind) -> String {
    let what = match &setting.addresses {
        RebindAddresses::Kept => "port".to_owned(),
        RebindAddresses::InTurn(_) | RebindAddresses::Within { .. } => {
            format!("address ({})", setting.addresses)
        }
    };
    let when = match (setting.first, setting.every) {
        (None, None) => "once, when the rule comes into force".to_owned(),
        _ => format!("{} of its life", brief(setting)),
    };
    let old = if setting.delivers_old { "is delivered" } else { "is dropped" };
    format!(
        "lets a UDP flow leave from a fresh {what} {when}; what comes to the old one {old}; in \
         virtual time, where there are no sockets, it does nothing"
    )
}
