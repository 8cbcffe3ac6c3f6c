//! What one rule does in the long run, in numbers.

use super::losses::{LossModel, Losses};
use super::trial;
use crate::probe::{Spread, Stream};
use jostle_common::time::nanos;
use jostle_common::units::Probability;
use jostle_engine::delay::DrawnDelay;
use jostle_engine::profile::{
    Batch, BatchThen, BatchTrigger, Corrupt, Delay, DelaySource, Drop, Duplicate, Flips, Outage,
    Queue, Rate, RateSource, Reorder, Rule, RuleKind,
};
use std::time::Duration;

/// The queue of a rate that names none: 100 ms or 10 packets, whichever is more.
const QUEUE_TIME_DEFAULT: f64 = 0.1;
const QUEUE_PACKETS_DEFAULT: f64 = 10.0;

/// A rule and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleForecast {
    /// The rule's key.
    pub key: String,
    /// Its kind.
    pub kind: &'static str,
    /// The share of packets that it looks at in the long run, by `flows` and `match`; `None` if
    /// that depends on what they hold.
    pub looks_at: Option<f64>,
    /// What it does to those.
    pub effect: Effect,
}

/// What a rule does to the packets that it looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It loses some by a model.
    Loses(Losses),
    /// It loses those of a list, so many.
    LosesListed(u64),
    /// It loses a share of the time, and no packet rate was given.
    LosesInTime {
        /// The share of time.
        share: f64,
        /// The mean length of a burst in seconds.
        burst: f64,
    },
    /// It damages a share of packets of the given size.
    Corrupts {
        /// The share of packets hit.
        share: f64,
        /// The mean number of bits flipped in one that is hit.
        bits: f64,
    },
    /// It holds packets.
    Delays(DelayForecast),
    /// It copies a share of packets.
    Copies {
        /// The share.
        share: f64,
        /// Copies made of one.
        copies: u32,
        /// The time between them, in seconds.
        gap: f64,
    },
    /// It holds a share back behind others, or lets it skip every later wait.
    Reorders {
        /// The share.
        share: f64,
        /// How many others pass one; `None` if it goes ahead.
        behind: Option<u32>,
        /// The longest it waits, in seconds; `None` if it goes ahead.
        at_most: Option<f64>,
    },
    /// It serialises.
    Limits(RateForecast),
    /// It gathers packets.
    Gathers {
        /// The longest wait in seconds.
        window: f64,
        /// Whether it loses them then.
        drops: bool,
        /// The share of packets gathered, if a packet rate was given.
        share: Option<f64>,
    },
    /// It cuts the link for a share of the time.
    Cuts {
        /// The share of time.
        share: f64,
        /// The (mean) length of a cut in seconds.
        length: f64,
        /// Whether packets wait instead of being lost.
        holds: bool,
    },
    /// It loses what is larger.
    LosesLarger {
        /// The largest that passes, in bytes.
        max: u32,
        /// Whether packets of the given size are lost.
        hit: bool,
    },
}

/// The delay that a rule draws, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DelayForecast {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub sd: f64,
    /// What 1, 50 and 99 % of packets do not exceed.
    pub percentiles: [f64; 3],
    /// The half-life of its memory.
    pub memory: f64,
    /// Whether jitter may let packets overtake.
    pub reorders: bool,
    /// The standard deviation that is left when packets keep their order at the given rate.
    pub sd_in_order: Option<f64>,
}

/// A link's speed and queue.
#[derive(Clone, Debug, PartialEq)]
pub struct RateForecast {
    /// The speed; the mean of a trace.
    pub bits_per_second: f64,
    /// The time to send one packet of the given size, in seconds.
    pub packet: f64,
    /// What may wait, in bytes.
    pub queue_bytes: f64,
    /// How long the last of them waits, in seconds.
    pub queue: f64,
    /// The given stream's share of the speed.
    pub load: Option<f64>,
}

/// What `rule` does to a stream, or to packets of a size when no pace is given.
pub(super) fn forecast(rule: &Rule, size: u32, stream: Option<&Stream>) -> RuleForecast {
    let gap = stream.map(|stream| 1.0 / stream.pace.packets_per_second(size));
    let effect = match &rule.kind {
        RuleKind::Drop(drop) => drops(drop, gap),
        RuleKind::Corrupt(corrupt) => corrupts(corrupt, size),
        RuleKind::Delay(delay) => Effect::Delays(delays(delay, stream)),
        RuleKind::Duplicate(Duplicate { chance, copies, gap }) => {
            Effect::Copies { share: chance.as_f64(), copies: *copies, gap: gap.as_secs_f64() }
        }
        RuleKind::Reorder(Reorder::Behind { chance, behind, at_most }) => Effect::Reorders {
            share: chance.as_f64(),
            behind: Some(*behind),
            at_most: Some(at_most.as_secs_f64()),
        },
        RuleKind::Reorder(Reorder::Ahead { chance }) => {
            Effect::Reorders { share: chance.as_f64(), behind: None, at_most: None }
        }
        RuleKind::Rate(rate) => Effect::Limits(limits(rate, size, stream)),
        RuleKind::Batch(batch) => gathers(batch, gap),
        RuleKind::Outage(Outage { up, down, hold, .. }) => Effect::Cuts {
            share: down.as_secs_f64() / (up.as_secs_f64() + down.as_secs_f64()),
            length: down.as_secs_f64(),
            holds: *hold,
        },
        RuleKind::Size(setting) => {
            Effect::LosesLarger { max: setting.max, hit: size > setting.max }
        }
    };
    let looks_at = share_of(rule, size);
    RuleForecast { key: rule.key.clone(), kind: rule.kind.name(), looks_at, effect }
}

/// The share of packets that a rule looks at; `None` if that depends on what they hold. In the long
/// run: of the first packets nothing is left, and after the first there are only those behind.
pub(super) fn share_of(rule: &Rule, size: u32) -> Option<f64> {
    let selection = &rule.selection;
    let flows = selection.flows.as_f64();
    let Some(matching) = &selection.matching else { return Some(flows) };
    if !matching.size.contains(&size) || *matching.number.end() < u64::MAX {
        return Some(0.0);
    }
    matching.bytes.is_none().then_some(flows)
}

fn drops(drop: &Drop, gap: Option<f64>) -> Effect {
    match (drop, LossModel::of(drop, gap)) {
        (_, Some(model)) => Effect::Loses(model.losses()),
        (Drop::Packets(list), None) => Effect::LosesListed(list.len() as u64),
        (Drop::Burst { mean, length }, None) => {
            let burst = match length {
                jostle_engine::profile::BurstLength::Time(time) => time.as_secs_f64(),
                jostle_engine::profile::BurstLength::Packets(_) => 0.0,
            };
            Effect::LosesInTime { share: mean.as_f64(), burst }
        }
        (_, None) => Effect::LosesListed(0),
    }
}

fn corrupts(corrupt: &Corrupt, size: u32) -> Effect {
    let size = u64::from(size);
    let bytes = corrupt
        .range
        .as_ref()
        .map_or(size, |range| range.end.min(size).saturating_sub(range.start));
    let bits = bytes as f64 * 8.0;
    match corrupt.flips {
        _ if bytes == 0 => Effect::Corrupts { share: 0.0, bits: 0.0 },
        Flips::Bits { chance, bits: flipped } => {
            Effect::Corrupts { share: chance.as_f64(), bits: f64::from(flipped).min(bits) }
        }
        Flips::Rate(rate) => {
            // 1 − (1 − rate)^bits, without loss of digits.
            let share = -libm::expm1(bits * libm::log1p(-rate.as_f64()));
            Effect::Corrupts {
                share,
                bits: if share > 0.0 { bits * rate.as_f64() / share } else { 0.0 },
            }
        }
    }
}

fn delays(delay: &Delay, stream: Option<&Stream>) -> DelayForecast {
    let memory = match &delay.source {
        DelaySource::Drawn { memory, .. } => *memory,
        DelaySource::Trace(_) => Duration::ZERO,
    };
    let drawn = DrawnDelay::new(delay);
    let (mean, sd) = (drawn.mean().as_secs_f64(), drawn.sd().as_secs_f64());
    let narrows = sd > 0.0 && !delay.reorder && matches!(delay.source, DelaySource::Drawn { .. });
    let sd_in_order = stream
        .filter(|_| narrows)
        .map(|stream| trial::sd_in_order(delay, &Stream { spread: Spread::Constant, ..*stream }));
    DelayForecast {
        mean,
        sd,
        percentiles: [0.01, 0.5, 0.99].map(|share| drawn.quantile(share).as_secs_f64()),
        memory: memory.as_secs_f64(),
        reorders: delay.reorder,
        sd_in_order,
    }
}

fn limits(rate: &Rate, size: u32, stream: Option<&Stream>) -> RateForecast {
    let bits_per_second = match &rate.source {
        RateSource::Limit(limit) => limit.bits_per_second() as f64,
        RateSource::Trace(trace) => trace.mean_bits_per_second(),
    };
    let packet_bytes = f64::from(size) + f64::from(rate.overhead);
    let bytes_per_second = bits_per_second / 8.0;
    let queue_bytes = match rate.queue {
        None => (QUEUE_TIME_DEFAULT * bytes_per_second).max(QUEUE_PACKETS_DEFAULT * packet_bytes),
        Some(Queue::Time(time)) => nanos(time) as f64 / 1e9 * bytes_per_second,
        Some(Queue::Bytes(bytes)) => bytes.bytes() as f64,
        Some(Queue::Packets(packets)) => packets as f64 * packet_bytes,
    };
    let offered = stream.map(|stream| stream.pace.packets_per_second(size) * packet_bytes * 8.0);
    RateForecast {
        bits_per_second,
        packet: packet_bytes / bytes_per_second,
        queue_bytes,
        queue: queue_bytes / bytes_per_second,
        load: offered.map(|offered| offered / bits_per_second),
    }
}

/// The share of packets in a window that opens by chance: with a chance c per packet outside and k
/// = window/gap packets behind the one that opens it, c·(1 + k) packets are inside for every 1 − c
/// outside.
fn gathers(batch: &Batch, gap: Option<f64>) -> Effect {
    let window = batch.window.as_secs_f64();
    let share = match batch.trigger {
        BatchTrigger::Slot { .. } => Some(1.0),
        BatchTrigger::Chance(chance) => gap.map(|gap| {
            let inside = chance.as_f64() * (1.0 + window / gap);
            inside / (inside + Probability::complement(chance).as_f64())
        }),
    };
    Effect::Gathers { window, drops: batch.then == BatchThen::Drop, share }
}
