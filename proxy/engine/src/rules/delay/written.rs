//! Reads and writes a `delay` rule.

use super::{Delay, DelaySource, DelayTable, DelayTrace, Shape, TIME_MAX};
use crate::rules::paths::{self, PathName};
use crate::rules::written::{self, Fields, ReadFile, exactly_one, shortened};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The most entries that the kernel takes (`NETEM_DIST_MAX`).
const TABLE_MAX: usize = 16_384;

/// Holds packets for a time that is drawn, or that follows a trace.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDelay {
    /// How long packets are held, one way.
    time: Option<Span>,
    /// How far the delay is spread around the time.
    jitter: Option<Span>,
    /// How the spread is distributed; uniform unless stated.
    shape: Option<RawShape>,
    /// The distribution in tc's .dist format: a file beside the profile, or its numbers.
    table: Option<RawTable>,
    /// The half-life of the correlation between the delays of successive packets; none unless
    /// stated.
    memory: Option<Span>,
    /// Whether jitter may let packets overtake each other; they keep their order unless stated.
    #[serde(default)]
    reorder: bool,
    /// Whether the end of a stream on a raw route takes as long as a packet; it does unless stated.
    /// Where it does not, as with Toxiproxy's latency, even jitter may be wider than the time: what
    /// would be before a packet came is at once.
    holds_ends: Option<bool>,
    /// Delays over time: a file beside the profile, or pairs of a millisecond and the delay from
    /// then on.
    trace: Option<RawTrace>,
    /// The path that it stands on: packets of one path keep their order; on another path, in another
    /// phase, they may overtake those that are still under way.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    path: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawShape {
    Uniform,
    Normal,
    Pareto,
    ParetoNormal,
    Table,
}

/// The numbers of a table in tc's `.dist` format, or the file that holds them.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a .dist file, or a list of its whole numbers from -32768 to \
                 32767"
)]
enum RawTable {
    File(String),
    List(Vec<i16>),
}

/// Pairs of milliseconds and delays, or the file that holds them.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a file, or a list of pairs of milliseconds and delays such \
                 as [[0, \"20ms\"], [500, \"35ms\"]]"
)]
enum RawTrace {
    File(String),
    List(Vec<(RawFrom, Span)>),
}

/// A time since the start: a number of milliseconds, or with its unit.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum RawFrom {
    Millis(f64),
    Time(Span),
}

pub(super) fn read(place: &str, raw: &RawDelay, read: ReadFile<'_>) -> Result<Delay, SettingError> {
    if raw.trace.is_some() {
        only_trace(place, raw)?;
    }
    let trace = raw
        .trace
        .as_ref()
        .map(|trace| self::trace(&within(place, "trace"), trace, read))
        .transpose()?;
    let drawn = raw.time.map(|time| drawn(place, time.0, raw, read)).transpose()?;
    let source = exactly_one(place, "delay", [("time", drawn), ("trace", trace)])?;
    let holds_ends = raw.holds_ends.unwrap_or(true);
    let path = paths::read(&within(place, "path"), raw.path.clone())?;
    let delay = Delay { source, reorder: raw.reorder, holds_ends, path };
    delay.check().map_err(|problem| SettingError::new(within(place, "jitter"), problem))?;
    Ok(delay)
}

/// Refuses other fields with a trace, which says everything about the delay.
fn only_trace(place: &str, raw: &RawDelay) -> Result<(), SettingError> {
    let given = [
        ("jitter", raw.jitter.is_some()),
        ("shape", raw.shape.is_some()),
        ("table", raw.table.is_some()),
        ("memory", raw.memory.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((field, _)) => Err(SettingError::new(
            within(place, field),
            "a trace draws nothing; leave it out, or write a second delay rule",
        )),
    }
}

fn drawn(
    place: &str,
    time: Duration,
    raw: &RawDelay,
    read: ReadFile<'_>,
) -> Result<DelaySource, SettingError> {
    let at = |field: &str| within(place, field);
    for (field, given) in [("time", raw.time), ("jitter", raw.jitter), ("memory", raw.memory)] {
        if let Some(time) = given.filter(|time| time.0 > TIME_MAX) {
            let problem = format!(
                "{time} is longer than any way a packet takes; write at most {}",
                Span(TIME_MAX)
            );
            return Err(SettingError::new(at(field), problem));
        }
    }
    let shape = match (raw.shape, &raw.table) {
        (None | Some(RawShape::Table), Some(table)) => {
            Shape::Table(self::table(&at("table"), table, read)?)
        }
        (Some(_), Some(_)) => {
            return Err(SettingError::new(
                at("table"),
                "it is for \"shape\": \"table\"; leave one of the two out",
            ));
        }
        (Some(RawShape::Table), None) => {
            return Err(SettingError::new(
                place,
                "no \"table\" says what the shape is; write \"table\": \"wifi.dist\", say",
            ));
        }
        (None | Some(RawShape::Uniform), None) => Shape::Uniform,
        (Some(RawShape::Normal), None) => Shape::Normal,
        (Some(RawShape::Pareto), None) => Shape::Pareto,
        (Some(RawShape::ParetoNormal), None) => Shape::ParetoNormal,
    };
    let jitter = raw.jitter.map_or(Duration::ZERO, |jitter| jitter.0);
    let memory = raw.memory.map_or(Duration::ZERO, |memory| memory.0);
    if jitter.is_zero()
        && let Some(field) = [
            ("shape", raw.shape.is_some()),
            ("table", raw.table.is_some()),
            ("memory", !memory.is_zero()),
        ]
        .into_iter()
        .find_map(|(field, given)| given.then_some(field))
    {
        return Err(SettingError::new(
            at(field),
            "it is about jitter, and there is none; write \"jitter\": \"5ms\", say",
        ));
    }
    Ok(DelaySource::Drawn { time, jitter, shape, memory })
}

/// Reads a table in tc's format: whole numbers between spaces and line ends, 8192 to a standard
/// deviation; `#` begins a comment.
fn table(place: &str, raw: &RawTable, read: ReadFile<'_>) -> Result<DelayTable, SettingError> {
    let refuse = |problem: String| SettingError::new(place, problem);
    let numbers: Vec<i16> = match raw {
        RawTable::List(numbers) => numbers.clone(),
        RawTable::File(name) => {
            let text = read(name).map_err(refuse)?;
            let words = text
                .lines()
                .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
            words
                .map(|word| {
                    word.parse().map_err(|_| {
                        let word = shortened(word);
                        refuse(format!(
                            "{name}: \"{word}\" is not a whole number from -32768 to 32767"
                        ))
                    })
                })
                .collect::<Result<_, _>>()?
        }
    };
    if !(1..=TABLE_MAX).contains(&numbers.len()) {
        return Err(refuse(format!(
            "{} numbers are out of bounds; a table has 1 to {TABLE_MAX}",
            numbers.len()
        )));
    }
    let table = DelayTable::from(numbers);
    Ok(match raw {
        RawTable::List(_) => table,
        RawTable::File(name) => table.of_file(name),
    })
}

fn trace(place: &str, raw: &RawTrace, read: ReadFile<'_>) -> Result<DelaySource, SettingError> {
    let refuse = |problem: String| SettingError::new(place, problem);
    let trace = match raw {
        RawTrace::File(name) => {
            let text = read(name).map_err(refuse)?;
            DelayTrace::parse(&text)
                .map_err(|problem| refuse(format!("{name}: {problem}")))?
                .of_file(name)
        }
        RawTrace::List(list) => {
            let steps = list.iter().map(|(from, delay)| {
                let from = match from {
                    RawFrom::Time(from) => from.0,
                    RawFrom::Millis(millis) => from_millis(*millis).ok_or_else(|| {
                        refuse(format!("{millis} is not a number of milliseconds since the start"))
                    })?,
                };
                Ok((from, delay.0))
            });
            DelayTrace::new(steps.collect::<Result<_, _>>()?).map_err(refuse)?
        }
    };
    Ok(DelaySource::Trace(Arc::new(trace)))
}

fn from_millis(millis: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(millis / 1000.0).ok()
}

pub(super) fn write(delay: &Delay) -> Fields {
    let fields = Fields::default();
    let fields = match &delay.source {
        DelaySource::Drawn { time, jitter, shape, memory } => {
            let fields = fields.with("time", written::time(*time));
            if jitter.is_zero() {
                fields
            } else {
                let fields = fields.with("jitter", written::time(*jitter));
                written_shape(fields, shape).unless(
                    "memory",
                    *memory,
                    Duration::ZERO,
                    written::time,
                )
            }
        }
        DelaySource::Trace(trace) => match trace.file() {
            Some(name) => fields.with("trace", name),
            None => fields.with("trace", steps(trace)),
        },
    };
    fields
        .unless("reorder", delay.reorder, false, Into::into)
        .unless("holds_ends", delay.holds_ends, true, Into::into)
        .with_some("path", delay.path.as_ref().map(PathName::as_str))
}

fn written_shape(fields: Fields, shape: &Shape) -> Fields {
    match shape {
        Shape::Uniform => fields,
        Shape::Normal => fields.with("shape", "normal"),
        Shape::Pareto => fields.with("shape", "pareto"),
        Shape::ParetoNormal => fields.with("shape", "paretonormal"),
        Shape::Table(table) => match table.file() {
            Some(name) => fields.with("table", name),
            None => fields.with("table", table.to_vec()),
        },
    }
}

/// Writes the steps of a trace, the end of the round last.
fn steps(trace: &DelayTrace) -> Vec<Value> {
    let last = trace.steps().last().map_or(Duration::ZERO, |(_, delay)| *delay);
    let steps = trace.steps().iter().copied().chain([(trace.period(), last)]);
    let step = |(from, delay): (Duration, Duration)| {
        let millis = from.as_nanos() as f64 / 1e6;
        let from = match from_millis(millis) {
            Some(read) if read == from => written::number(millis),
            // So far from the start milliseconds are too coarse.
            _ => written::time(from),
        };
        Value::Array(vec![from, written::time(delay)])
    };
    steps.map(step).collect()
}
