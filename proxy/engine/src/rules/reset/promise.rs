//! The promise of a `reset` rule.

use super::Reset;
use crate::rules::promise::millis;
use serde_json::{Value, json};

pub(super) fn numbers(setting: &Reset) -> Value {
    json!({ "after_s": setting.after.as_secs_f64() })
}

/// Says in a few words how long after the first data it resets.
pub(super) fn brief(setting: &Reset) -> String {
    format!("after {}", millis(setting.after.as_secs_f64()))
}

pub(super) fn words(setting: &Reset) -> String {
    format!(
        "resets the TCP connection {} after its first data",
        millis(setting.after.as_secs_f64())
    )
}
