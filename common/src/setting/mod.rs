//! Reading settings out of JSON: each mistake is reported with its place, what was found and what
//! to write instead.

mod plain;

use plain::plain;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A mistake in a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingError {
    /// The place of the mistake, as a path such as `up[0].burst.mean`; empty for the whole.
    pub place: String,
    /// The value that was found, and what to write instead.
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
    /// Creates a mistake at `place`.
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// Returns the place `field` within `place`.
pub fn within(place: &str, field: &str) -> String {
    match (place, field) {
        (_, "" | ".") => place.into(),
        ("", _) => field.into(),
        _ if field.starts_with('[') => format!("{place}{field}"),
        _ => format!("{place}.{field}"),
    }
}

/// Reads JSON text as a value; a syntax error is named with line and column.
pub fn parse_json(text: &str) -> Result<Value, SettingError> {
    match serde_json::from_str(text) {
        Ok(Unique(value)) => Ok(value),
        Err(error) if error.classify() == Category::Data => {
            let (line, column) = (error.line(), error.column());
            let problem = error.to_string();
            let problem = problem
                .strip_suffix(&format!(" at line {line} column {column}"))
                .unwrap_or(&problem);
            Err(SettingError::new("", format!("line {line}, column {column}: {problem}")))
        }
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
                return Err(A::Error::custom(format_args!(
                    "\"{key}\" is here a second time; write it once"
                )));
            }
            let Unique(value) = object.next_value()?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

/// Decodes the object `value`, which stands at `place`.
pub fn decode<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, SettingError> {
    if !value.is_object() {
        // serde would take an array for a struct, field by field.
        return Err(SettingError::new(place, "here belongs an object; write { … }"));
    }
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let problem = plain(&error.inner().to_string(), error.path(), &value);
        SettingError::new(within(place, &error.path().to_string()), problem)
    })
}

/// An object within a setting. A derived struct would take a list too, field by field.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object { … }")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// Lists the choices that a remedy offers: `a, b or c`.
pub fn one_of(choices: &[&str]) -> String {
    match choices {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => choices.concat(),
    }
}
