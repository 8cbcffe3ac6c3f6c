//! The promise of a `close_after` rule.

use super::CloseAfter;
use crate::rules::promise::millis;
use jostle_common::words::grouped;
use serde_json::{Value, json};

pub(super) fn numbers(setting: &CloseAfter) -> Value {
    let time = setting.time.map(|time| time.as_secs_f64());
    json!({ "bytes": setting.bytes, "time_s": time })
}

/// Says in a few words what it closes after.
pub(super) fn brief(setting: &CloseAfter) -> String {
    let bytes = setting.bytes.map(|bytes| format!("{} bytes", grouped(bytes)));
    let time = setting.time.map(|time| millis(time.as_secs_f64()));
    let bounds: Vec<String> = bytes.into_iter().chain(time).collect();
    bounds.join(" or ")
}

pub(super) fn words(setting: &CloseAfter) -> String {
    format!("closes the TCP connection after {}", brief(setting))
}
