//! The promise of a `delay` rule: the distribution of what it draws.

use super::{Delay, DelaySource, DrawnDelay};
use crate::rules::promise::{Promise, Traffic, millis};
use jostle_common::words::time;
use serde_json::{Value, json};
use std::time::Duration;

/// A spread below this share of the drawn one is no longer the jitter that was asked for.
const NARROWED: f64 = 0.7;

/// The delay that a rule draws, in seconds.
struct Drawn {
    mean: f64,
    sd: f64,
    /// The delays that 1, 50 and 99 % of packets do not exceed.
    percentiles: [f64; 3],
    memory: f64,
}

impl Drawn {
    fn of(setting: &Delay) -> Self {
        let memory = match &setting.source {
            DelaySource::Drawn { memory, .. } => *memory,
            DelaySource::Trace(_) => Duration::ZERO,
        };
        let drawn = DrawnDelay::new(setting);
        Self {
            mean: drawn.mean().as_secs_f64(),
            sd: drawn.sd().as_secs_f64(),
            percentiles: [0.01, 0.5, 0.99].map(|share| drawn.quantile(share).as_secs_f64()),
            memory: memory.as_secs_f64(),
        }
    }
}

pub(super) fn promise(setting: &Delay) -> Promise {
    let Drawn { mean, sd, .. } = Drawn::of(setting);
    let is_drawn = matches!(setting.source, DelaySource::Drawn { .. });
    Promise {
        delay: mean,
        jitter: sd,
        narrows: sd > 0.0 && !setting.reorder && is_drawn,
        is_idle: mean == 0.0,
        ..Promise::default()
    }
}

pub(super) fn numbers(setting: &Delay, traffic: &Traffic) -> Value {
    let Drawn { mean, sd, percentiles: [p1, p50, p99], memory } = Drawn::of(setting);
    json!({
        "mean": mean,
        "sd": sd,
        "p1": p1,
        "p50": p50,
        "p99": p99,
        "memory": memory,
        "reorder": setting.reorder,
        "sd_in_order": traffic.sd_in_order,
    })
}

/// Says in a few words how long it holds packets.
pub(super) fn brief(setting: &Delay) -> String {
    match &setting.source {
        DelaySource::Drawn { time: mean, jitter, .. } if jitter.is_zero() => {
            time(mean.as_secs_f64())
        }
        DelaySource::Drawn { time: mean, jitter, .. } => {
            format!("{} ± {}", time(mean.as_secs_f64()), time(jitter.as_secs_f64()))
        }
        DelaySource::Trace(_) => format!("by a trace, {}", time(Drawn::of(setting).mean)),
    }
}

pub(super) fn words(setting: &Delay, traffic: &Traffic) -> String {
    let Drawn { mean, sd, percentiles, memory } = Drawn::of(setting);
    let mut words = format!("holds packets for {}", time(mean));
    if sd > 0.0 {
        let [p1, p50, p99] = percentiles.map(time);
        let order = if setting.reorder { "packets may overtake" } else { "in order" };
        let sd = time(sd);
        words.push_str(&format!(", sd {sd}; p1 {p1}, p50 {p50}, p99 {p99}; {order}"));
    }
    if memory > 0.0 {
        words.push_str(&format!("; remembers for {}", time(memory)));
    }
    if let Some(path) = &setting.path {
        words.push_str(&format!("; on path \"{}\"", path.as_str()));
    }
    if let (Some(left), Some(rate)) = (traffic.sd_in_order, traffic.packets_per_second) {
        let left = time(left);
        words.push_str(&format!(", which leaves an sd of {left} at {rate:.0} packets/s"));
    }
    words
}

pub(super) fn warnings(setting: &Delay, traffic: &Traffic) -> Vec<String> {
    let drawn = Drawn::of(setting);
    let all = [
        if setting.reorder { overtaking(&drawn, traffic) } else { None },
        narrowing(&drawn, traffic),
        forgetting(&drawn, traffic),
    ];
    all.into_iter().flatten().collect()
}

/// Warns of jitter that lets packets overtake each other: it does so to most of a fast stream.
fn overtaking(drawn: &Drawn, traffic: &Traffic) -> Option<String> {
    let spread = drawn.percentiles[2] - drawn.percentiles[0];
    match (traffic.packets_per_second, traffic.reordered) {
        (Some(rate), Some(share)) if share > 0.1 => Some(format!(
            "{:.0}% of the packets arrive behind a later one at {rate:.0}/s: TCP takes that for \
             loss, most players drop them; leave \"reorder\" out, or write a reorder rule with \
             the share that is meant",
            share * 100.0
        )),
        (None, _) if spread > 0.0 => Some(format!(
            "packets that come less than {} apart overtake each other: above {:.0} packets/s that \
             is most of them",
            millis(spread),
            2.0 / spread
        )),
        _ => None,
    }
}

/// Warns of jitter in order, which is narrower the closer packets come.
fn narrowing(drawn: &Drawn, traffic: &Traffic) -> Option<String> {
    let left = traffic.sd_in_order.filter(|left| *left < NARROWED * drawn.sd)?;
    let pace = traffic.packets_per_second;
    let pace = pace.map_or_else(|| "here".to_owned(), |rate| format!("at {rate:.0} packets/s"));
    Some(format!(
        "kept order narrows the jitter from a standard deviation of {} to {} {pace}; write \
         \"memory\": \"{}\" to keep its spread, or \"reorder\": true to let packets overtake \
         (--jitter-memory, --allow-reorder)",
        millis(drawn.sd),
        millis(left),
        millis(20.0 * drawn.sd).replace(' ', ""),
    ))
}

/// Warns of memory that is over before the next packet comes, and so does nothing.
fn forgetting(drawn: &Drawn, traffic: &Traffic) -> Option<String> {
    let gap = traffic.gap()?;
    (drawn.memory > 0.0 && drawn.memory < gap / 4.0).then(|| {
        format!(
            "its memory of {} is over before the next packet comes, {} later",
            millis(drawn.memory),
            millis(gap)
        )
    })
}
