//! Reads a `rate` rule.

use crate::profile::{Queue, Rate, RuleKind};
use crate::setting::{SettingError, decode, within};
use crate::units::{BitRate, ByteSize, parse_duration};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    limit: BitRate,
    queue: Option<String>,
    overhead: Option<u32>,
}

pub(super) fn rule(place: &str, value: Value) -> Result<RuleKind, SettingError> {
    let raw: RawRate = decode(place, value)?;
    let queue = match raw.queue {
        None => Queue::Default,
        Some(text) => queue(&text).map_err(|problem| SettingError::new(within(place, "queue"), problem))?,
    };
    Ok(RuleKind::Rate(Rate { limit: raw.limit, queue, overhead: raw.overhead.unwrap_or(0) }))
}

/// Reads the bound of a queue: a time, a number of packets or a number of bytes, told apart by the unit.
fn queue(text: &str) -> Result<Queue, String> {
    if let Some(number) = text.strip_suffix("packets").or_else(|| text.strip_suffix("packet")) {
        let packets: u64 = number
            .trim()
            .parse()
            .map_err(|_| format!("\"{text}\" is not a number of packets; write \"50 packets\""))?;
        return Ok(Queue::Packets(packets));
    }
    parse_duration(text).map(Queue::Time).or_else(|_| text.parse::<ByteSize>().map(Queue::Bytes)).map_err(|_| {
        format!("\"{text}\" is not a queue; write a time (\"100ms\"), bytes (\"64KiB\") or packets (\"50 packets\")")
    })
}
