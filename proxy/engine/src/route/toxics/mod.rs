//! Toxiproxy's toxics, and the rules that do what they do.
//!
//! A toxic is what it says, to the letter: any number that Toxiproxy takes is kept and printed as it
//! was, and means something that neither fails nor hangs. What a toxic does, a rule of its name
//! does, which carries the toxic along; so the rules of a profile are the only list.

mod mapping;

pub use mapping::{profile_of_toxics, toxics_of_profile};

use super::go_json;
use jostle_common::chance::Direction;
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};

/// The most attributes of a toxic.
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
    /// The kind.
    pub kind: ToxicKind,
    /// The direction.
    pub direction: Direction,
    /// The direction as it was written.
    stream: String,
    /// The chance that a connection is affected: 1 and more is always, 0 and less never.
    pub toxicity: f32,
    /// In the order of [`ToxicKind::attributes`].
    values: [i64; ATTRIBUTES_MAX],
}

/// The kinds of toxics.
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
    /// The stream is neither of the two.
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
            Self::Stream => f.write_str("stream was invalid, can be either upstream or downstream"),
            Self::Kind => f.write_str("invalid toxic type"),
            Self::Taken => f.write_str("toxic already exists"),
        }
    }
}

impl std::error::Error for ToxicError {}

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
        let direction = match stream {
            _ if stream.eq_ignore_ascii_case("upstream") => Direction::Up,
            _ if stream.eq_ignore_ascii_case("downstream") => Direction::Down,
            _ => return Err(ToxicError::Stream),
        };
        let name = match name {
            "" => format!("{kind}_{stream}"),
            name => name.to_owned(),
        };
        let kind = ToxicKind::ALL.into_iter().find(|known| known.name() == kind);
        let kind = kind.ok_or(ToxicError::Kind)?;
        if is_taken(&name) {
            return Err(ToxicError::Taken);
        }
        let values = attributes(fields, kind, [0; ATTRIBUTES_MAX])?;
        Ok(Self { name, kind, direction, stream: stream.to_owned(), toxicity, values })
    }

    /// Returns the toxic with other attributes and another toxicity, as far as `value` has some;
    /// its name, stream and kind stay.
    ///
    /// # Errors
    /// When a value has the wrong type; then nothing of it holds.
    pub fn updated(&self, value: &Value) -> Result<Self, ToxicError> {
        let fields = object(value)?;
        let toxicity = toxicity(fields)?.unwrap_or(self.toxicity);
        let values = attributes(fields, self.kind, self.values)?;
        Ok(Self { toxicity, values, ..self.clone() })
    }

    /// Returns the toxic as Toxiproxy prints it.
    pub fn to_json(&self) -> String {
        let mut text = String::from(r#"{"attributes":{"#);
        for (place, (name, value)) in self.kind.attributes().iter().zip(self.values).enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(text, r#"{comma}"{name}":{value}"#);
        }
        let quoted = |words: &str| go_json::write(&words.into());
        let _ = write!(
            text,
            r#"}},"name":{},"type":"{}","stream":{},"toxicity":{}}}"#,
            quoted(&self.name),
            self.kind.name(),
            quoted(&self.stream),
            shortest(self.toxicity)
        );
        text
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
fn attributes(
    fields: Option<&Map<String, Value>>,
    kind: ToxicKind,
    mut values: [i64; ATTRIBUTES_MAX],
) -> Result<[i64; ATTRIBUTES_MAX], ToxicError> {
    let given = match field(fields, "attributes") {
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
