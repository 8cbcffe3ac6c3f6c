//! Reads and writes a discipline: a name, or a name with parameters.

use super::tick;
use super::{CodelSetting, Discipline, DualPi2Setting, DualScheduler, FqCodelSetting, PieSetting};
use crate::rules::written::{Fields, number, share, text, time};
use jostle_common::setting::{SettingError, decode, within};
use jostle_common::units::{ByteSize, Frequency, Probability, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// A discipline by its name, or with its parameters.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(in crate::rules::rate) enum RawDiscipline {
    /// The name; every parameter is its RFC's.
    Name(RawName),
    /// Whoever comes last or first goes, under the parameters of CoDel (RFC 8289).
    Codel {
        /// Its parameters.
        codel: RawCodel,
    },
    /// PIE (RFC 8033).
    Pie {
        /// Its parameters.
        pie: RawPie,
    },
    /// FQ-CoDel (RFC 8290).
    FqCodel {
        /// Its parameters.
        fq_codel: RawFqCodel,
    },
    /// DualPI2 (RFC 9332).
    DualPi2 {
        /// Its parameters.
        dualpi2: RawDualPi2,
    },
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is of use")]
pub(in crate::rules::rate) enum RawName {
    Tail,
    Head,
    Codel,
    Pie,
    FqCodel,
    #[serde(rename = "dualpi2")]
    DualPi2,
}

/// CoDel's parameters (RFC 8289).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::rules::rate) struct RawCodel {
    /// The wait that is acceptable for long; 5ms unless stated.
    target: Option<Span>,
    /// How long it may be exceeded, the order of a round trip; 100ms unless stated.
    interval: Option<Span>,
    /// Whether packets whose senders take marks are marked instead of dropped; true unless stated.
    ecn: Option<bool>,
    /// A wait above which each packet is marked whose sender takes marks; never unless stated.
    ce_threshold: Option<Span>,
}

/// PIE's parameters (RFC 8033).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::rules::rate) struct RawPie {
    /// The wait at which it aims; 15ms unless stated.
    target: Option<Span>,
    /// The time between two changes of the probability, 100us to 10s; 15ms unless stated.
    update: Option<Span>,
    /// The answer to each second beyond the target; 0.125Hz unless stated.
    alpha: Option<Frequency>,
    /// The answer to each second that the wait grew; 1.25Hz unless stated.
    beta: Option<Frequency>,
    /// The time for which a new burst passes untouched; 150ms unless stated.
    burst: Option<Span>,
    /// The mean size of packets, two of which are no queue; 1500B unless stated.
    packet: Option<ByteSize>,
    /// The probability below which packets are marked instead of dropped if their senders take
    /// marks; 10% unless stated.
    ecn_below: Option<Probability>,
    /// Whether drops are spread more evenly than by chance; false unless stated.
    derandomize: Option<bool>,
}

/// FQ-CoDel's parameters (RFC 8290).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::rules::rate) struct RawFqCodel {
    /// The wait that is acceptable for long in each queue; 5ms unless stated.
    target: Option<Span>,
    /// How long it may be exceeded, the order of a round trip; 100ms unless stated.
    interval: Option<Span>,
    /// Whether packets whose senders take marks are marked instead of dropped; true unless stated.
    ecn: Option<bool>,
    /// A wait above which each packet is marked whose sender takes marks; never unless stated.
    ce_threshold: Option<Span>,
    /// How many queues there are, over which a hash spreads the flows; 1024 unless stated.
    #[schemars(range(min = 1, max = 65536))]
    queues: Option<u32>,
    /// What a queue may send in its turn, 256B to 64KiB; 1514B unless stated.
    quantum: Option<ByteSize>,
    /// The most that waits in all queues together, besides the bound of the rule; 32MiB unless
    /// stated.
    memory: Option<ByteSize>,
    /// How many packets the longest queue loses at most when all together are too long; 64 unless
    /// stated.
    #[schemars(range(min = 1, max = 65536))]
    batch: Option<u32>,
}

/// DualPI2's parameters (RFC 9332, appendix A).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::rules::rate) struct RawDualPi2 {
    /// The wait at which it aims in the classic queue; 15ms unless stated.
    target: Option<Span>,
    /// The longest round trip for which it is stable; 100ms unless stated.
    round_trip: Option<Span>,
    /// The time between two changes of the probability, 100us to 10s; the least of the target and a
    /// third of the round trip unless stated.
    update: Option<Span>,
    /// The answer to each second beyond the target; 0.1 times the update through the round trip
    /// squared unless stated.
    alpha: Option<Frequency>,
    /// The answer to each second that the wait grew; 0.3 through the round trip unless stated.
    beta: Option<Frequency>,
    /// The ratio of the low-latency queue's probability to the root of the classic one's; 2 unless
    /// stated.
    #[schemars(range(min = 0.1, max = 100))]
    coupling: Option<f64>,
    /// The wait in the low-latency queue from which on packets are marked; 800us unless stated.
    threshold: Option<Span>,
    /// How much more of it until each is marked; 400us unless stated, 0 is a step.
    range: Option<Span>,
    /// No more packets than these behind the one that is sent are no queue; 1 unless stated.
    threshold_packets: Option<u32>,
    /// The share of the bytes that is the classic queue's if it has as much; 10% unless stated.
    classic_share: Option<Probability>,
    /// In its place: whoever has waited longer goes, if low latency had come this much earlier.
    time_shift: Option<Span>,
}

/// The most queues, and the most packets of a batch.
const COUNT_MAX: u32 = 65_536;

/// The bounds of a quantum, in bytes: Linux's least, and more than any packet has.
const QUANTUM_LEAST: u64 = 256;
const QUANTUM_MOST: u64 = 65_536;

/// The bounds of a coupling factor.
const COUPLING_LEAST: f64 = 0.1;
const COUPLING_MOST: f64 = 100.0;

/// Reads what stands at `place`.
pub(in crate::rules::rate) fn read(place: &str, value: Value) -> Result<Discipline, SettingError> {
    const REMEDY: &str = "write \"tail\", \"head\", \"codel\", \"pie\", \"fq_codel\" or \
                          \"dualpi2\", or one with its parameters such as { \"codel\": { \
                          \"target\": \"5ms\" } }";
    let refuse = |found: String| Err(SettingError::new(place, format!("{found}; {REMEDY}")));
    match value {
        Value::String(name) => match name.as_str() {
            "tail" => Ok(Discipline::Tail),
            "head" => Ok(Discipline::Head),
            "codel" => Ok(Discipline::Codel(CodelSetting::DEFAULT)),
            "pie" => Ok(Discipline::Pie(PieSetting::rfc())),
            "fq_codel" => Ok(Discipline::FqCodel(FqCodelSetting::DEFAULT)),
            "dualpi2" => Ok(Discipline::DualPi2(DualPi2Setting::rfc())),
            _ => refuse(format!("\"{name}\" is not a discipline")),
        },
        Value::Object(fields) => {
            let mut fields = fields.into_iter();
            let (Some((name, value)), None) = (fields.next(), fields.next()) else {
                return refuse("a discipline has one name".to_owned());
            };
            let place = within(place, &name);
            match name.as_str() {
                "codel" => codel(&place, decode(&place, value)?).map(Discipline::Codel),
                "pie" => pie(&place, decode(&place, value)?).map(Discipline::Pie),
                "fq_codel" => fq_codel(&place, decode(&place, value)?).map(Discipline::FqCodel),
                "dualpi2" => dual_pi2(&place, decode(&place, value)?).map(Discipline::DualPi2),
                "tail" | "head" => {
                    let problem = format!("\"{name}\" has no parameters; write \"{name}\" alone");
                    Err(SettingError::new(place, problem))
                }
                _ => refuse(format!("\"{name}\" is not a discipline")),
            }
        }
        other => refuse(format!("{other} is not a discipline")),
    }
}

fn codel(place: &str, raw: RawCodel) -> Result<CodelSetting, SettingError> {
    let default = CodelSetting::DEFAULT;
    let target = raw.target.map_or(default.target, |span| span.0);
    let interval = raw.interval.map_or(default.interval, |span| span.0);
    if target.is_zero() || target > interval {
        let problem = format!(
            "a target of {} within an interval of {} is none; write 5ms and 100ms, say: the \
             interval is a round trip",
            Span(target),
            Span(interval)
        );
        return Err(SettingError::new(place, problem));
    }
    let ce_threshold = raw.ce_threshold.map(|span| span.0);
    Ok(CodelSetting { target, interval, ecn: raw.ecn.unwrap_or(default.ecn), ce_threshold })
}

fn pie(place: &str, raw: RawPie) -> Result<PieSetting, SettingError> {
    let default = PieSetting::rfc();
    let setting = PieSetting {
        target: target(place, raw.target, default.target)?,
        update: update(place, raw.update)?.unwrap_or(default.update),
        alpha: raw.alpha.unwrap_or(default.alpha),
        beta: raw.beta.unwrap_or(default.beta),
        burst: raw.burst.map_or(default.burst, |span| span.0),
        packet: raw.packet.unwrap_or(default.packet),
        ecn_below: raw.ecn_below.unwrap_or(default.ecn_below),
        derandomize: raw.derandomize.unwrap_or(default.derandomize),
    };
    if setting.packet.bytes() > QUANTUM_MOST {
        let problem = format!("no packet has {}; write 1500B, say", setting.packet);
        return Err(SettingError::new(within(place, "packet"), problem));
    }
    Ok(setting)
}

fn fq_codel(place: &str, raw: RawFqCodel) -> Result<FqCodelSetting, SettingError> {
    let default = FqCodelSetting::DEFAULT;
    let RawFqCodel { target, interval, ecn, ce_threshold, .. } = raw;
    let codel = codel(place, RawCodel { target, interval, ecn, ce_threshold })?;
    let count = |field: &str, count: Option<u32>, default: u32| match count.unwrap_or(default) {
        count @ 1..=COUNT_MAX => Ok(count),
        count => {
            let problem = format!("{count} is out of bounds; write 1 to {COUNT_MAX}");
            Err(SettingError::new(within(place, field), problem))
        }
    };
    let quantum = raw.quantum.map_or_else(|| default.quantum.into(), ByteSize::bytes);
    if !(QUANTUM_LEAST..=QUANTUM_MOST).contains(&quantum) {
        let problem = format!(
            "{} is out of bounds; write {QUANTUM_LEAST}B to 64KiB, best a full packet",
            ByteSize::new(quantum)
        );
        return Err(SettingError::new(within(place, "quantum"), problem));
    }
    Ok(FqCodelSetting {
        codel,
        queues: count("queues", raw.queues, default.queues)?,
        quantum: quantum as u32,
        memory: raw.memory.unwrap_or(default.memory),
        batch: count("batch", raw.batch, default.batch)?,
    })
}

fn dual_pi2(place: &str, raw: RawDualPi2) -> Result<DualPi2Setting, SettingError> {
    let default = DualPi2Setting::rfc();
    let refuse =
        |field: &str, problem: String| Err(SettingError::new(within(place, field), problem));
    let round_trip = raw.round_trip.map_or(default.round_trip, |span| span.0);
    if round_trip < Duration::from_millis(1) {
        let problem = format!("{} is out of bounds; write at least 1ms", Span(round_trip));
        return refuse("round_trip", problem);
    }
    let coupling = raw.coupling.unwrap_or(default.coupling);
    if !(COUPLING_LEAST..=COUPLING_MOST).contains(&coupling) {
        let problem =
            format!("{coupling} is out of bounds; write {COUPLING_LEAST} to {COUPLING_MOST}");
        return refuse("coupling", problem);
    }
    let scheduler = match (raw.classic_share, raw.time_shift) {
        (Some(_), Some(_)) => {
            let problem = "the two queues share the line by classic_share or by time_shift; write \
                           one of them";
            return Err(SettingError::new(place, problem));
        }
        (None, Some(shift)) => DualScheduler::TimeShift(shift.0),
        (None, None) => default.scheduler,
        (Some(share), None) if share.is_never() || share.as_f64() >= 1.0 => {
            let problem = format!("with {share} one queue is never served; write 10%, say");
            return refuse("classic_share", problem);
        }
        (Some(share), None) => DualScheduler::Share(share),
    };
    Ok(DualPi2Setting {
        target: target(place, raw.target, default.target)?,
        round_trip,
        update: update(place, raw.update)?,
        alpha: raw.alpha,
        beta: raw.beta,
        coupling,
        threshold: raw.threshold.map_or(default.threshold, |span| span.0),
        range: raw.range.map_or(default.range, |span| span.0),
        threshold_packets: raw.threshold_packets.unwrap_or(default.threshold_packets),
        scheduler,
    })
}

fn target(place: &str, raw: Option<Span>, default: Duration) -> Result<Duration, SettingError> {
    let target = raw.map_or(default, |span| span.0);
    if target.is_zero() {
        let problem = "a wait of nothing is no target: every packet would be too much; write 15ms, \
                       say";
        return Err(SettingError::new(within(place, "target"), problem));
    }
    Ok(target)
}

fn update(place: &str, raw: Option<Span>) -> Result<Option<Duration>, SettingError> {
    let Some(Span(update)) = raw else { return Ok(None) };
    if !(tick::LEAST..=tick::MOST).contains(&update) {
        let problem = format!(
            "{} is out of bounds; write {} to {}",
            Span(update),
            Span(tick::LEAST),
            Span(tick::MOST)
        );
        return Err(SettingError::new(within(place, "update"), problem));
    }
    Ok(Some(update))
}

/// Writes a discipline; `None` for the one that its absence means.
pub(in crate::rules::rate) fn write(discipline: &Discipline) -> Option<Value> {
    let fields = match discipline {
        // Waiting is what a link makes of the tail, not what anybody wrote.
        Discipline::Tail | Discipline::Wait => return None,
        Discipline::Head => Fields::default(),
        Discipline::Codel(CodelSetting::DEFAULT) => Fields::default(),
        Discipline::Codel(setting) => codel_fields(
            Fields::default()
                .with("target", time(setting.target))
                .with("interval", time(setting.interval)),
            setting,
        ),
        Discipline::Pie(setting) => pie_fields(setting),
        Discipline::FqCodel(setting) => fq_codel_fields(setting),
        Discipline::DualPi2(setting) => dual_pi2_fields(setting),
    };
    let name = discipline.name();
    Some(if fields.is_empty() { name.into() } else { Fields::default().with(name, fields).into() })
}

/// Adds what a target and an interval leave open.
fn codel_fields(fields: Fields, setting: &CodelSetting) -> Fields {
    fields
        .unless("ecn", setting.ecn, true, Into::into)
        .with_some("ce_threshold", setting.ce_threshold.map(time))
}

fn pie_fields(setting: &PieSetting) -> Fields {
    let default = PieSetting::rfc();
    Fields::default()
        .unless("target", setting.target, default.target, time)
        .unless("update", setting.update, default.update, time)
        .unless("alpha", setting.alpha, default.alpha, text)
        .unless("beta", setting.beta, default.beta, text)
        .unless("burst", setting.burst, default.burst, time)
        .unless("packet", setting.packet, default.packet, text)
        .unless("ecn_below", setting.ecn_below, default.ecn_below, share)
        .unless("derandomize", setting.derandomize, default.derandomize, Into::into)
}

fn fq_codel_fields(setting: &FqCodelSetting) -> Fields {
    let default = FqCodelSetting::DEFAULT;
    let bytes = |bytes: u32| text(ByteSize::new(u64::from(bytes)));
    let fields = Fields::default()
        .unless("target", setting.codel.target, default.codel.target, time)
        .unless("interval", setting.codel.interval, default.codel.interval, time);
    codel_fields(fields, &setting.codel)
        .unless("queues", setting.queues, default.queues, Into::into)
        .unless("quantum", setting.quantum, default.quantum, bytes)
        .unless("memory", setting.memory, default.memory, text)
        .unless("batch", setting.batch, default.batch, Into::into)
}

fn dual_pi2_fields(setting: &DualPi2Setting) -> Fields {
    let default = DualPi2Setting::rfc();
    let scheduler = Some(setting.scheduler).filter(|scheduler| *scheduler != default.scheduler);
    let (classic_share, time_shift) = match scheduler {
        Some(DualScheduler::Share(classic)) => (Some(share(classic)), None),
        Some(DualScheduler::TimeShift(shift)) => (None, Some(time(shift))),
        None => (None, None),
    };
    Fields::default()
        .unless("target", setting.target, default.target, time)
        .unless("round_trip", setting.round_trip, default.round_trip, time)
        .with_some("update", setting.update.map(time))
        .with_some("alpha", setting.alpha.map(text))
        .with_some("beta", setting.beta.map(text))
        .unless("coupling", setting.coupling, default.coupling, number)
        .unless("threshold", setting.threshold, default.threshold, time)
        .unless("range", setting.range, default.range, time)
        .unless(
            "threshold_packets",
            setting.threshold_packets,
            default.threshold_packets,
            Into::into,
        )
        .with_some("classic_share", classic_share)
        .with_some("time_shift", time_shift)
}
