//! The promise of a `duplicate` rule: a number of copies of a share of the packets.

use super::Duplicate;
use jostle_common::words::{fine_percent, time};
use serde_json::{Value, json};

pub(super) fn numbers(setting: &Duplicate) -> Value {
    let Duplicate { chance, copies, gap } = setting;
    json!({ "copied": chance.as_f64(), "copies": copies, "gap": gap.as_secs_f64() })
}

/// Says in a few words how often it copies.
pub(super) fn brief(setting: &Duplicate) -> String {
    fine_percent(setting.chance.as_f64())
}

pub(super) fn words(setting: &Duplicate) -> String {
    let Duplicate { chance, copies, gap } = setting;
    let apart =
        if gap.is_zero() { String::new() } else { format!(", {} apart", time(gap.as_secs_f64())) };
    let copies = if *copies == 1 { "a copy".to_owned() } else { format!("{copies} copies") };
    format!("makes {copies} of {} of packets{apart}", fine_percent(chance.as_f64()))
}
