//! Reading settings out of JSON: each mistake is reported with its place, what was found and what to write instead.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::fmt;

/// A mistake in a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingError {
    /// Where, as a path such as `up[0].burst.mean`; empty for the whole.
    pub place: String,
    /// What was found, and what to write instead.
    pub problem: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.problem),
            place => write!(f, "{place}: {}", self.problem),
        }
    }
}

impl SettingError {
    /// A mistake at `place`.
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// The place `field` within `place`.
pub(crate) fn within(place: &str, field: &str) -> String {
    match (place, field) {
        (_, "" | ".") => place.into(),
        ("", _) => field.into(),
        _ if field.starts_with('[') => format!("{place}{field}"),
        _ => format!("{place}.{field}"),
    }
}

/// Reads JSON text as a value; a syntax error is named with line and column.
pub(crate) fn parse_json(text: &str) -> Result<Value, SettingError> {
    match serde_json::from_str(text) {
        Ok(Unique(value)) => Ok(value),
        Err(error) if error.classify() == Category::Data => Err(SettingError::new("", error.to_string())),
        Err(error) => Err(SettingError::new("", format!("this is not JSON: {error}"))),
    }
}

/// A value in which no object has a key twice: of two lists of rules the first would silently go.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeys).map(Self)
    }
}

struct UniqueKeys;

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format_args!("\"{key}\" is here a second time; write it once")));
            }
            let Unique(value) = object.next_value()?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

/// Decodes the object `value`, which stands at `place`.
pub(crate) fn decode<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, SettingError> {
    if !value.is_object() {
        // serde would take an array for a struct, field by field.
        return Err(SettingError::new(place, "here belongs an object; write { … }"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        SettingError::new(within(place, &error.path().to_string()), plain(&error.inner().to_string()))
    })
}

/// What serde says, without the names of Rust's types.
fn plain(problem: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number below 2^32"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list in [ … ]"),
        ("invalid type: map", "invalid type: an object"),
        ("invalid type: sequence", "invalid type: a list"),
        ("floating point `", "number `"),
        ("integer `", "number `"),
    ];
    WORDS.iter().fold(problem.to_owned(), |text, (rust, plain)| text.replace(rust, plain))
}

/// `a, b or c`: what a remedy offers.
pub(crate) fn one_of(choices: &[&str]) -> String {
    match choices {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => choices.concat(),
    }
}
