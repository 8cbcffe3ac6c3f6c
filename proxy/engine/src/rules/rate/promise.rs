//! The promise of a `rate` rule: a speed, and the queue that may wait for it.

use super::{QUEUE_PACKETS_DEFAULT, QUEUE_TIME_DEFAULT, Queue, Rate, RateSource};
use crate::rules::promise::{Limit, Traffic};
use jostle_common::time::nanos;
use jostle_common::words::{bytes, percent, rate, short_rate, time};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn limit(setting: &Rate, traffic: &Traffic) -> Limit {
    let bits_per_second = match &setting.source {
        RateSource::Limit(limit) => limit.bits_per_second() as f64,
        RateSource::Trace(trace) => trace.mean_bits_per_second(),
    };
    let packet_bytes = f64::from(traffic.size) + f64::from(setting.overhead);
    let bytes_per_second = bits_per_second / 8.0;
    let in_time = |time: Duration| nanos(time) as f64 / 1e9 * bytes_per_second;
    let queue_bytes = match setting.queue {
        None => in_time(QUEUE_TIME_DEFAULT).max(QUEUE_PACKETS_DEFAULT as f64 * packet_bytes),
        Some(Queue::Time(time)) => in_time(time),
        Some(Queue::Bytes(bytes)) => bytes.bytes() as f64,
        Some(Queue::Packets(packets)) => packets as f64 * packet_bytes,
    };
    let offered = traffic.packets_per_second.map(|rate| rate * packet_bytes * 8.0);
    Limit {
        bits_per_second,
        packet: packet_bytes / bytes_per_second,
        queue_bytes,
        queue: queue_bytes / bytes_per_second,
        load: offered.map(|offered| offered / bits_per_second),
    }
}

pub(super) fn numbers(setting: &Rate, traffic: &Traffic) -> Value {
    let Limit { bits_per_second, packet, queue_bytes, queue, load } = limit(setting, traffic);
    json!({
        "bits_per_second": bits_per_second,
        "packet_seconds": packet,
        "queue_bytes": queue_bytes,
        "queue_seconds": queue,
        "load": load,
    })
}

/// Says in a few words how fast it is.
pub(super) fn brief(setting: &Rate) -> String {
    match &setting.source {
        RateSource::Limit(limit) => short_rate(limit.bits_per_second() as f64),
        RateSource::Trace(trace) => {
            format!("by a trace, {}", short_rate(trace.mean_bits_per_second()))
        }
    }
}

pub(super) fn words(setting: &Rate, traffic: &Traffic) -> String {
    let limit = limit(setting, traffic);
    let load = limit
        .load
        .map_or_else(String::new, |share| format!("; the stream fills {} of it", percent(share)));
    let path = setting.path.as_ref();
    let path = path.map_or_else(String::new, |path| format!("; on path \"{}\"", path.as_str()));
    format!(
        "lets {} through, a packet of {} bytes in {}; its queue holds {}, which is {}{load}{path}",
        rate(limit.bits_per_second as u64),
        traffic.size,
        time(limit.packet),
        bytes(limit.queue_bytes),
        time(limit.queue)
    )
}

pub(super) fn warning(setting: &Rate, traffic: &Traffic) -> Option<String> {
    let limit = limit(setting, traffic);
    let packet = limit.packet * limit.bits_per_second / 8.0;
    (limit.queue_bytes < packet).then(|| {
        format!(
            "the queue holds {}, not one packet of {} bytes: two packets that come together lose \
             one",
            bytes(limit.queue_bytes),
            traffic.size
        )
    })
}
