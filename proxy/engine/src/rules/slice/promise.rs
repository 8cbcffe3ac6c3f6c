//! The promise of a `slice` rule: the sizes of pieces, and the speed that is left.

use super::Slice;
use crate::rules::promise::millis;
use jostle_common::words::grouped;
use serde_json::{Value, json};

/// Returns the bytes per second that the gaps leave a stream that always has more to come.
fn bytes_per_second(setting: &Slice) -> Option<f64> {
    (!setting.gap.is_zero()).then(|| setting.size as f64 / setting.gap.as_secs_f64())
}

pub(super) fn numbers(setting: &Slice) -> Value {
    json!({
        "size": setting.size,
        "spread": setting.spread,
        "gap_s": setting.gap.as_secs_f64(),
        "bytes_per_second": bytes_per_second(setting),
    })
}

/// Says in a few words how large pieces are, and what follows each.
pub(super) fn brief(setting: &Slice) -> String {
    let size = grouped(setting.size);
    match setting.gap.is_zero() {
        true => format!("{size} bytes"),
        false => format!("{size} bytes each {}", millis(setting.gap.as_secs_f64())),
    }
}

pub(super) fn words(setting: &Slice) -> String {
    let Slice { size, spread, gap } = setting;
    let size = match spread {
        0 => grouped(*size),
        _ => format!(
            "{} to {}",
            grouped(size.saturating_sub(*spread).max(1)),
            grouped(size.saturating_add(*spread))
        ),
    };
    let gap = match gap.is_zero() {
        true => String::new(),
        false => format!(", {} after each", millis(gap.as_secs_f64())),
    };
    format!("lets the TCP stream out in pieces of {size} bytes{gap}")
}
