//! The promise of a `slow_close` rule.

use super::SlowClose;
use crate::rules::promise::millis;
use serde_json::{Value, json};

pub(super) fn numbers(setting: &SlowClose) -> Value {
    json!({ "delay_s": setting.delay.as_secs_f64() })
}

/// Says in a few words for how long it holds the end.
pub(super) fn brief(setting: &SlowClose) -> String {
    millis(setting.delay.as_secs_f64())
}

pub(super) fn words(setting: &SlowClose) -> String {
    format!("holds the end of the TCP stream for {}", millis(setting.delay.as_secs_f64()))
}
