//! Reads and writes a `rate` rule.

use super::discipline::written::RawDiscipline;
use super::{Discipline, Queue, Rate, RateSource, RateTrace, discipline};
use crate::rules::paths::{self, PathName};
use crate::rules::written::{Fields, ReadFile, exactly_one, text};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::{BitRate, ByteSize, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// More bytes than any header has.
const OVERHEAD_MAX: u32 = 65_535;

/// Serialises packets at a speed, behind a bounded queue.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRate {
    /// The speed of the link.
    limit: Option<BitRate>,
    /// Delivery opportunities in mahimahi's format: a file beside the profile, or its milliseconds.
    trace: Option<RawTrace>,
    /// What may wait: a time ("100ms"), bytes ("64KiB") or packets ("50 packets"); 100 ms or 10
    /// packets unless stated, whichever is more, and what its RFC says under pie, fq_codel and
    /// dualpi2.
    #[schemars(with = "Option<QueueText>")]
    queue: Option<String>,
    /// Which packet goes when too much waits; the one that finds the queue full unless stated.
    #[schemars(with = "Option<RawDiscipline>")]
    discipline: Option<Value>,
    /// Bytes counted per packet on top of its size.
    #[schemars(range(max = 65535))]
    overhead: Option<u32>,
    /// Bytes that pass at once after a pause.
    burst: Option<ByteSize>,
    /// The path that it stands on: another one in another phase has a queue of its own.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    path: Option<String>,
}

/// The bound of a queue: a time, bytes or packets.
struct QueueText;

impl JsonSchema for QueueText {
    fn schema_name() -> Cow<'static, str> {
        "Queue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let packets = json!({ "type": "string", "pattern": r"^\s*\d+\s*packets?$" });
        let text = |schema: Schema| json!({ "type": "string", "allOf": [schema] });
        let (time, size) =
            (generator.subschema_for::<Span>(), generator.subschema_for::<ByteSize>());
        json_schema!({ "anyOf": [text(time), text(size), packets] })
    }
}

/// Milliseconds of delivery opportunities, or the file that holds them.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a file, or a list of milliseconds such as [0, 1, 1, 2]"
)]
enum RawTrace {
    File(String),
    List(Vec<u64>),
}

pub(super) fn read(place: &str, raw: RawRate, read: ReadFile<'_>) -> Result<Rate, SettingError> {
    let at = |field: &str| within(place, field);
    let trace = raw.trace.map(|raw| trace(&at("trace"), raw, read)).transpose()?;
    let is_trace = trace.is_some();
    let source = exactly_one(
        place,
        "rate",
        [("limit", raw.limit.map(RateSource::Limit)), ("trace", trace)],
    )?;
    let queue = raw.queue.map(|text| text.parse::<Queue>()).transpose();
    let queue = queue.map_err(|problem| SettingError::new(at("queue"), problem))?;
    if is_trace && matches!(queue, Some(Queue::Time(_))) {
        let problem = "with a trace nobody knows how long a queue will take; write bytes \
                       (\"64KiB\") or packets (\"50 packets\")";
        return Err(SettingError::new(at("queue"), problem));
    }
    if is_trace && raw.burst.is_some() {
        return Err(SettingError::new(at("burst"), "a trace says when packets go; leave it out"));
    }
    let discipline = raw.discipline.map_or(Ok(Discipline::Tail), |value| {
        discipline::written::read(&at("discipline"), value)
    })?;
    let overhead = raw.overhead.unwrap_or(0);
    if overhead > OVERHEAD_MAX {
        let problem =
            format!("{overhead} bytes per packet are out of bounds; write 0 to {OVERHEAD_MAX}");
        return Err(SettingError::new(at("overhead"), problem));
    }
    let burst = raw.burst.unwrap_or(ByteSize::new(0));
    let path = paths::read(&at("path"), raw.path)?;
    Ok(Rate { source, queue, discipline, overhead, burst, path })
}

fn trace(place: &str, raw: RawTrace, read: ReadFile<'_>) -> Result<RateSource, SettingError> {
    let refuse = |problem: String| SettingError::new(place, problem);
    let trace = match raw {
        RawTrace::List(millis) => RateTrace::new(millis).map_err(refuse)?,
        RawTrace::File(name) => {
            let text = read(&name).map_err(refuse)?;
            RateTrace::parse(&text)
                .map_err(|problem| refuse(format!("{name}: {problem}")))?
                .of_file(&name)
        }
    };
    Ok(RateSource::Trace(Arc::new(trace)))
}

pub(super) fn write(rate: &Rate) -> Fields {
    let fields = Fields::default();
    let fields = match &rate.source {
        RateSource::Limit(limit) => fields.with("limit", text(limit)),
        RateSource::Trace(trace) => match trace.file() {
            Some(name) => fields.with("trace", name),
            None => fields.with("trace", trace.millis().to_vec()),
        },
    };
    fields
        .with_some("queue", rate.queue.map(text))
        .with_some("discipline", discipline::written::write(&rate.discipline))
        .unless("overhead", rate.overhead, 0, Into::into)
        .unless("burst", rate.burst, ByteSize::new(0), text)
        .with_some("path", rate.path.as_ref().map(PathName::as_str))
}
