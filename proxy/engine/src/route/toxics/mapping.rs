//! The rules that do what toxics do, and the toxics as which rules can be shown.

use super::written::WrittenRule;
use super::{ATTRIBUTES_MAX, Action, Toxic, ToxicKind, ToxicStream};
use crate::profile::Rule;
use crate::rules::{
    CloseAfter, DELAY_MAX, Delay, DelaySource, Outage, Per, Rate, RateSource, Reset, RuleKind,
    Selection, Shape, Slice, SlowClose, Stall,
};
use jostle_common::units::{BitRate, Probability};
use std::sync::Arc;
use std::time::Duration;

/// A kilobyte of a bandwidth, in bits.
const KILOBYTE_BITS: u64 = 8_000;

/// A time that a profile can say and nobody waits for.
const FOR_EVER: Duration = Duration::from_secs(100 * 31_557_600);

/// The number of entries of a table of even jitter.
const TABLE: i64 = 1 << 14;

impl Toxic {
    /// Returns the rule that does what the toxic does. Bandwidth and latency act on what was read,
    /// so they are for routes whose mode is [`crate::route::TcpMode::TOXIPROXY`].
    pub fn rule(&self) -> Rule {
        let toxicity = f64::from(self.toxicity).clamp(0.0, 1.0);
        let flows = Probability::new(toxicity).unwrap_or(Probability::NEVER);
        let rule = match &self.action {
            Action::Own(kind, values) => {
                let selection = Selection { per: Per::Flow, ..Selection::default() };
                Rule { selection, ..Rule::only(rule_kind(*kind, *values)) }
            }
            Action::Rule(written) => written.rule().clone(),
            Action::PacketLoss(loss) => loss.rule().clone(),
        };
        let selection = Selection { flows, ..rule.selection };
        Rule {
            key: self.name.clone(),
            selection,
            toxic: Some(Arc::new(self.clone())),
            ordinal: 0,
            ..rule
        }
    }

    /// Returns the toxic as which a rule can be shown: the one that it was written as, one of
    /// Toxiproxy's that does exactly the same, or its own kind.
    pub(super) fn of_rule(rule: &Rule, stream: ToxicStream) -> Option<Self> {
        if let Some(toxic) = &rule.toxic {
            let mut toxic = Self::clone(toxic);
            if !toxic.stream.is_same(&stream) {
                toxic.stream = stream;
            }
            return Some(toxic);
        }
        let action = match own_of_rule(rule) {
            Some((kind, values)) => Action::Own(kind, values),
            None => Action::Rule(WrittenRule::of_rule(rule)?.into()),
        };
        let toxicity = rule.selection.flows.as_f64() as f32;
        Some(Self { name: rule.key.clone(), stream, toxicity, action })
    }
}

fn rule_kind(kind: ToxicKind, [first, second, third]: [i64; ATTRIBUTES_MAX]) -> RuleKind {
    match kind {
        ToxicKind::Latency => RuleKind::Delay(latency(first, second)),
        ToxicKind::Bandwidth => bandwidth(first),
        ToxicKind::SlowClose => RuleKind::SlowClose(SlowClose { delay: millis(first) }),
        ToxicKind::Timeout => {
            let close = (first > 0).then(|| millis(first));
            RuleKind::Stall(Stall { after: 0, close })
        }
        ToxicKind::ResetPeer => RuleKind::Reset(Reset { after: millis(first) }),
        ToxicKind::Slicer => RuleKind::Slice(slicer(first, second, third)),
        ToxicKind::LimitData => {
            let bytes = Some(natural(first));
            RuleKind::CloseAfter(CloseAfter { bytes, time: None })
        }
        // An end that waits no time.
        ToxicKind::Noop => RuleKind::SlowClose(SlowClose { delay: Duration::ZERO }),
    }
}

/// Returns the one of Toxiproxy's toxics that does exactly what a rule does.
fn own_of_rule(rule: &Rule) -> Option<(ToxicKind, [i64; ATTRIBUTES_MAX])> {
    let Selection { per: Per::Flow, matching: None, .. } = rule.selection else { return None };
    Some(match &rule.kind {
        RuleKind::Delay(Delay {
            source: DelaySource::Drawn { time, jitter, shape: Shape::Uniform, memory },
            reorder: false,
            holds_ends: _,
            path: None,
        }) if memory.is_zero() => {
            (ToxicKind::Latency, [whole_millis(*time)?, whole_millis(*jitter)?, 0])
        }
        RuleKind::Rate(rate) => {
            let RateSource::Limit(limit) = rate.source else { return None };
            let bits = limit.bits_per_second();
            if *rate != Rate::constant(limit) || !bits.is_multiple_of(KILOBYTE_BITS) {
                return None;
            }
            (ToxicKind::Bandwidth, [i64::try_from(bits / KILOBYTE_BITS).ok()?, 0, 0])
        }
        RuleKind::SlowClose(slow) => (ToxicKind::SlowClose, [whole_millis(slow.delay)?, 0, 0]),
        RuleKind::Stall(Stall { after: 0, close }) => {
            (ToxicKind::Timeout, [close.map_or(Some(0), whole_millis)?, 0, 0])
        }
        RuleKind::Reset(reset) => (ToxicKind::ResetPeer, [whole_millis(reset.after)?, 0, 0]),
        RuleKind::Slice(Slice { size: u64::MAX, spread: 0, gap }) => {
            (ToxicKind::Slicer, [0, 0, whole(*gap, 1_000)?])
        }
        RuleKind::Slice(Slice { size, spread, gap }) => {
            let (size, spread) = (i64::try_from(*size).ok()?, i64::try_from(*spread).ok()?);
            (ToxicKind::Slicer, [size, spread, whole(*gap, 1_000)?])
        }
        RuleKind::CloseAfter(CloseAfter { bytes: Some(bytes), time: None }) => {
            (ToxicKind::LimitData, [i64::try_from(*bytes).ok()?, 0, 0])
        }
        RuleKind::Outage(Outage { up: Duration::ZERO, random: false, hold: true, .. }) => {
            (ToxicKind::Bandwidth, [0; 3])
        }
        _ => return None,
    })
}

/// Returns the delay of each chunk: even over `time` ± `jitter` milliseconds, at least 0 and no
/// longer than a profile can say.
fn latency(time: i64, jitter: i64) -> Delay {
    let most = |number| millis(number).min(DELAY_MAX);
    let mut delay = Delay::drawn(most(time), most(jitter), Shape::Uniform);
    if time < 0 && jitter > 0 {
        // A table in 8192nds of the jitter, moved down by the time.
        let moved = (i128::from(time) * i128::from(TABLE / 2) / i128::from(jitter))
            .max(i128::from(i16::MIN)) as i64;
        let entry = |step: i64| (step + moved).max(i64::from(i16::MIN)) as i16;
        let entries = (-TABLE / 2..TABLE / 2).map(entry).collect();
        delay = Delay::drawn(Duration::ZERO, most(jitter), Shape::Table(entries));
    }
    delay.holds_ends = false;
    delay
}

/// Returns the speed of a connection in kilobytes (1000 bytes) per second. At 0 and less nothing
/// passes, and nothing is lost.
fn bandwidth(rate: i64) -> RuleKind {
    match BitRate::new(natural(rate).saturating_mul(KILOBYTE_BITS)) {
        Some(limit) => RuleKind::Rate(Rate::constant(limit)),
        None => RuleKind::Outage(Outage {
            up: Duration::ZERO,
            down: FOR_EVER,
            random: false,
            hold: true,
        }),
    }
}

/// Returns the slices. Without a size that makes sense what was read goes whole.
fn slicer(size: i64, variation: i64, delay_micros: i64) -> Slice {
    let gap = Duration::from_micros(natural(delay_micros));
    match natural(size) {
        0 => Slice { size: u64::MAX, spread: 0, gap },
        size => Slice { size, spread: natural(variation).min(size), gap },
    }
}

/// Returns a number, and 0 for those below.
fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn millis(number: i64) -> Duration {
    Duration::from_millis(natural(number))
}

fn whole_millis(time: Duration) -> Option<i64> {
    whole(time, 1_000_000)
}

/// Returns a time in units of so many nanoseconds, if it is a whole number of them.
fn whole(time: Duration, unit: u128) -> Option<i64> {
    let nanos = time.as_nanos();
    nanos.is_multiple_of(unit).then(|| i64::try_from(nanos / unit).ok()).flatten()
}
