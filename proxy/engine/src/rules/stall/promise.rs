//! The promise of a `stall` rule.

use super::Stall;
use crate::rules::promise::millis;
use jostle_common::words::grouped;
use serde_json::{Value, json};

pub(super) fn numbers(setting: &Stall) -> Value {
    let close = setting.close.map(|close| close.as_secs_f64());
    json!({ "after": setting.after, "close_s": close })
}

/// Says in a few words from where on it discards.
pub(super) fn brief(setting: &Stall) -> String {
    format!("after {} bytes", grouped(setting.after))
}

pub(super) fn words(setting: &Stall) -> String {
    let after = match setting.after {
        0 => String::new(),
        after => format!(" after {} bytes", grouped(after)),
    };
    let close = setting.close.map_or_else(String::new, |close| {
        format!(", and closes it after {} of silence", millis(close.as_secs_f64()))
    });
    format!("discards the TCP stream{after}{close}")
}
