//! The promise of a `rate` rule: a speed, and the queue that may wait for it.

use super::{Discipline, Queue, Rate, RateSource};
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
    let (default, least) = setting.discipline.queue_default();
    let least = if setting.queue.is_none() { least as f64 * packet_bytes } else { 0.0 };
    let queue_bytes = match setting.queue.unwrap_or(default) {
        Queue::Time(time) => in_time(time),
        Queue::Bytes(bytes) => bytes.bytes() as f64,
        Queue::Packets(packets) => packets as f64 * packet_bytes,
    };
    let memory = match &setting.discipline {
        Discipline::FqCodel(setting) => setting.memory.bytes() as f64,
        _ => f64::INFINITY,
    };
    let queue_bytes = queue_bytes.max(least).min(memory);
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
    let mut numbers = json!({
        "bits_per_second": bits_per_second,
        "packet_seconds": packet,
        "queue_bytes": queue_bytes,
        "queue_seconds": queue,
        "load": load,
    });
    if let (Some(target), Some(fields)) = (setting.discipline.target(), numbers.as_object_mut()) {
        fields.insert("discipline".into(), setting.discipline.name().into());
        fields.insert("target_seconds".into(), (nanos(target) as f64 / 1e9).into());
    }
    numbers
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
        "lets {} through, a packet of {} bytes in {}; its queue holds {}, which is {}{}{load}{path}",
        rate(limit.bits_per_second as u64),
        traffic.size,
        time(limit.packet),
        bytes(limit.queue_bytes),
        time(limit.queue),
        aim(&setting.discipline)
    )
}

/// Says in half a sentence at what a discipline aims, and how.
fn aim(discipline: &Discipline) -> String {
    let span = |span: Duration| time(nanos(span) as f64 / 1e9);
    let instead = |marks: bool| if marks { ", by marks for those who take them" } else { "" };
    match discipline {
        Discipline::Tail | Discipline::Head | Discipline::Wait => String::new(),
        Discipline::Codel(codel) => {
            format!("; CoDel keeps the wait near {}{}", span(codel.target), instead(codel.ecn))
        }
        Discipline::Pie(pie) => {
            let marks = !pie.ecn_below.is_never();
            format!("; PIE keeps the wait near {}{}", span(pie.target), instead(marks))
        }
        Discipline::FqCodel(fq) => format!(
            "; each flow has its turn, and CoDel keeps its wait near {}{}",
            span(fq.codel.target),
            instead(fq.codel.ecn)
        ),
        Discipline::DualPi2(dual) => format!(
            "; those who ask for low latency (ECT(1)) wait about {}, the others near {}",
            span(dual.threshold),
            span(dual.target)
        ),
    }
}

pub(super) fn warnings(setting: &Rate, traffic: &Traffic) -> Vec<String> {
    let limit = limit(setting, traffic);
    let packet = limit.packet * limit.bits_per_second / 8.0;
    let small = (limit.queue_bytes < packet).then(|| {
        format!(
            "the queue holds {}, not one packet of {} bytes: two packets that come together lose \
             one",
            bytes(limit.queue_bytes),
            traffic.size
        )
    });
    let target = setting.discipline.target().map(|target| nanos(target) as f64 / 1e9);
    let late = target.filter(|target| limit.queue <= *target).map(|target| {
        let name = setting.discipline.name();
        format!(
            "the queue is full after {}, before {name} has a wait to act on: its target is {}",
            time(limit.queue),
            time(target)
        )
    });
    small.into_iter().chain(late).collect()
}
