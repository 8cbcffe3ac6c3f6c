//! Toxiproxy's toxics, and the rules that do what they do.
//!
//! A toxic is what it says, to the letter: any number that Toxiproxy takes is kept and printed as
//! it was, and means something that neither fails nor hangs. What a toxic does, a rule of its name
//! does, which carries the toxic along; so the rules of a profile are the only list. Every other
//! kind of rule is a toxic too, under its own name.

mod list;
mod mapping;
mod stream;
mod written;

pub use list::{ListedToxic, add_toxic, is_toxic_name_taken, profile_of_toxics, toxics_of_profile};
pub use stream::ToxicStream;

use super::go_json;
use crate::rules::KINDS;
use jostle_common::setting::{SettingError, one_of};
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};
use written::{PacketLoss, WrittenRule};

/// The most attributes of one of Toxiproxy's toxics.
const ATTRIBUTES_MAX: usize = 3;

/// A toxic of a proxy.
///
/// ```
/// use jostle_engine::route::Toxic;
/// let text = r#"{ "type": "latency", "attributes": { "latency": 100 } }"#;
/// let toxic = Toxic::from_value(&serde_json::from_str(text)?, |_| false)?;
/// assert_eq!(
///     toxic.to_json(),
///     r#"{"attributes":{"latency":100,"jitter":0},"name":"latency_downstream","type":"latency","stream":"downstream","toxicity":1}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Toxic {
    /// The name, which no other toxic of the proxy has.
    pub name: String,
    /// The directions.
    pub stream: ToxicStream,
    /// The chance that a connection is affected: 1 and more is always, 0 and less never.
    pub toxicity: f32,
    action: Action,
}

/// What a toxic does.
#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// What one of Toxiproxy's does, its values in the order of [`ToxicKind::attributes`].
    Own(ToxicKind, [i64; ATTRIBUTES_MAX]),
    /// What a rule of the profile language does.
    Rule(Box<WrittenRule>),
    /// What a drop does, by Toxiproxy's later name.
    PacketLoss(Box<PacketLoss>),
}

/// The kinds of toxics that Toxiproxy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToxicKind {
    /// Delays what was read.
    Latency,
    /// Limits the speed of a connection.
    Bandwidth,
    /// Delays the end.
    SlowClose,
    /// Discards everything, and closes a connection that is silent.
    Timeout,
    /// Resets.
    ResetPeer,
    /// Cuts into pieces.
    Slicer,
    /// Closes after so many bytes.
    LimitData,
    /// Does nothing.
    Noop,
}

/// The reason why something is no toxic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToxicError {
    /// A value has the wrong type, or does not fit.
    Body(String),
    /// An attribute says something impossible; with its place and the remedy.
    Attribute(SettingError),
    /// The stream is none that there is.
    Stream,
    /// There is no such kind.
    Kind,
    /// Another toxic of the proxy has its name.
    Taken,
}

impl fmt::Display for ToxicError {
    /// Writes what Toxiproxy says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(detail) => write!(f, "bad request body: {detail}"),
            Self::Attribute(error) => error.fmt(f),
            Self::Stream => f.write_str("stream was invalid, can be either upstream or downstream"),
            Self::Kind => f.write_str("invalid toxic type"),
            Self::Taken => f.write_str("toxic already exists"),
        }
    }
}

impl std::error::Error for ToxicError {}

impl ToxicError {
    /// Returns what to write instead of what is no toxic. Toxiproxy itself does not say it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Body(_) | Self::Attribute(_) => "write whole numbers, without quotes".to_owned(),
            Self::Stream => "write one of them, or \"both\"".to_owned(),
            Self::Kind => {
                let own = ToxicKind::ALL.map(ToxicKind::name);
                let rules = KINDS.iter().map(|entry| entry.name).filter(|name| !own.contains(name));
                let names: Vec<&str> = own.into_iter().chain(rules).collect();
                format!("write \"type\": {}", one_of(&names))
            }
            Self::Taken => "give each toxic of a proxy its own name".to_owned(),
        }
    }
}

impl From<SettingError> for ToxicError {
    fn from(error: SettingError) -> Self {
        Self::Attribute(error)
    }
}

impl ToxicKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Latency,
        Self::Bandwidth,
        Self::SlowClose,
        Self::Timeout,
        Self::ResetPeer,
        Self::Slicer,
        Self::LimitData,
        Self::Noop,
    ];

    /// Returns the name, as written after `"type":`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Bandwidth => "bandwidth",
            Self::SlowClose => "slow_close",
            Self::Timeout => "timeout",
            Self::ResetPeer => "reset_peer",
            Self::Slicer => "slicer",
            Self::LimitData => "limit_data",
            Self::Noop => "noop",
        }
    }

    /// Returns the names of its attributes, in the order in which they are printed.
    pub const fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Latency => &["latency", "jitter"],
            Self::Bandwidth => &["rate"],
            Self::SlowClose => &["delay"],
            Self::Timeout | Self::ResetPeer => &["timeout"],
            Self::Slicer => &["average_size", "size_variation", "delay"],
            Self::LimitData => &["bytes"],
            Self::Noop => &[],
        }
    }
}

impl Toxic {
    /// Reads a toxic as Toxiproxy does: keys in any case, unknown ones ignored, `null` for what is
    /// left out. `is_taken` tells which names the proxy's other toxics have.
    ///
    /// # Errors
    /// The first that Toxiproxy would name.
    pub fn from_value(value: &Value, is_taken: impl Fn(&str) -> bool) -> Result<Self, ToxicError> {
        let fields = object(value)?;
        let name = text(fields, "name")?.unwrap_or_default();
        let kind = text(fields, "type")?.unwrap_or_default();
        let stream = text(fields, "stream")?.unwrap_or("downstream");
        let toxicity = toxicity(fields)?.unwrap_or(1.0);
        let stream = ToxicStream::read(stream).ok_or(ToxicError::Stream)?;
        let name = match name {
            "" => format!("{kind}_{}", stream.text()),
            name => name.to_owned(),
        };
        let attributes = field(fields, "attributes");
        let own = ToxicKind::ALL.into_iter().find(|known| known.name() == kind);
        let rule = written::kind(kind);
        if own.is_none() && rule.is_none() && kind != PacketLoss::NAME {
            return Err(ToxicError::Kind);
        }
        if is_taken(&name) {
            return Err(ToxicError::Taken);
        }
        let action = match (own, rule) {
            (Some(own), _) => Action::Own(own, values(attributes, own, [0; ATTRIBUTES_MAX])?),
            (None, Some(entry)) => Action::Rule(WrittenRule::read(entry, attributes)?.into()),
            (None, None) => Action::PacketLoss(PacketLoss::read(attributes)?.into()),
        };
        Ok(Self { name, stream, toxicity, action })
    }

    /// Returns the toxic with other attributes and another toxicity, as far as `value` has some;
    /// its name, stream and kind stay.
    ///
    /// # Errors
    /// When a value has the wrong type, or means nothing; then nothing of it holds.
    pub fn updated(&self, value: &Value) -> Result<Self, ToxicError> {
        let fields = object(value)?;
        let toxicity = toxicity(fields)?.unwrap_or(self.toxicity);
        let attributes = field(fields, "attributes");
        let action = match &self.action {
            Action::Own(kind, present) => Action::Own(*kind, values(attributes, *kind, *present)?),
            Action::Rule(rule) => Action::Rule(rule.updated(attributes)?.into()),
            Action::PacketLoss(loss) => Action::PacketLoss(loss.updated(attributes)?.into()),
        };
        Ok(Self { toxicity, action, ..self.clone() })
    }

    /// Returns the kind if it is one of Toxiproxy's.
    pub const fn kind(&self) -> Option<ToxicKind> {
        match &self.action {
            Action::Own(kind, _) => Some(*kind),
            _ => None,
        }
    }

    /// Returns the name of the kind, as written after `"type":`.
    pub fn type_name(&self) -> &'static str {
        match &self.action {
            Action::Own(kind, _) => kind.name(),
            Action::Rule(written) => written.rule().kind.name(),
            Action::PacketLoss(_) => PacketLoss::NAME,
        }
    }

    /// Returns true if it is one that Toxiproxy itself could have: every client of its API can read
    /// it.
    pub fn is_toxiproxys(&self) -> bool {
        self.kind().is_some() && self.stream.is_one()
    }

    /// Returns the toxic as Toxiproxy prints it.
    pub fn to_json(&self) -> String {
        let quoted = |words: &str| go_json::write(&words.into());
        format!(
            r#"{{"attributes":{},"name":{},"type":"{}","stream":{},"toxicity":{}}}"#,
            self.attributes_json(),
            quoted(&self.name),
            self.type_name(),
            quoted(self.stream.text()),
            shortest(self.toxicity)
        )
    }

    fn attributes_json(&self) -> String {
        let (kind, values) = match &self.action {
            Action::Own(kind, values) => (kind, values),
            Action::Rule(written) => return go_json::write(&written.fields().clone().into()),
            Action::PacketLoss(loss) => return loss.attributes(),
        };
        let mut text = String::from("{");
        for (place, (name, value)) in kind.attributes().iter().zip(values).enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(text, r#"{comma}"{name}":{value}"#);
        }
        text + "}"
    }
}

/// Prints a number in its fewest digits, as Go does.
fn shortest(number: f32) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    // Go writes the sign of an exponent.
    if size >= 1.0 { text.replace('e', "e+") } else { text }
}

/// Returns the fields of an object; `null` has none.
fn object(value: &Value) -> Result<Option<&Map<String, Value>>, ToxicError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(fields) => Ok(Some(fields)),
        _ => Err(wrong(value, "a toxic")),
    }
}

fn field<'a>(fields: Option<&'a Map<String, Value>>, name: &str) -> Option<&'a Value> {
    go_json::field(fields?, name)
}

fn text<'a>(
    fields: Option<&'a Map<String, Value>>,
    name: &str,
) -> Result<Option<&'a str>, ToxicError> {
    match field(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(other, name)),
    }
}

fn toxicity(fields: Option<&Map<String, Value>>) -> Result<Option<f32>, ToxicError> {
    let Some(value) = field(fields, "toxicity") else { return Ok(None) };
    let number = value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    number.map(Some).ok_or_else(|| wrong(value, "toxicity"))
}

/// Reads the attributes that are given; the others stay as they are.
fn values(
    attributes: Option<&Value>,
    kind: ToxicKind,
    mut values: [i64; ATTRIBUTES_MAX],
) -> Result<[i64; ATTRIBUTES_MAX], ToxicError> {
    let given = match attributes {
        None => return Ok(values),
        Some(Value::Object(given)) => given,
        Some(other) => return Err(wrong(other, "attributes")),
    };
    for (name, place) in kind.attributes().iter().zip(&mut values) {
        if let Some(value) = field(Some(given), name) {
            *place = value.as_i64().ok_or_else(|| wrong(value, name))?;
        }
    }
    Ok(values)
}

fn wrong(value: &Value, place: &str) -> ToxicError {
    let shown: String = value.to_string().chars().take(40).collect();
    ToxicError::Body(format!("{shown} does not belong into {place}"))
}

#[cfg(test)]
mod tests;
