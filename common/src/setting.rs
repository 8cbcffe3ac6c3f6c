//! Reading settings out of JSON: each mistake is reported with its place, what was found and what to write instead.

use serde::de::DeserializeOwned;
use serde_json::Value;
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
        ("", _) => field.into(),
        (_, "" | ".") => place.into(),
        _ if field.starts_with('[') => format!("{place}{field}"),
        _ => format!("{place}.{field}"),
    }
}

/// Reads JSON text as a value; a syntax error is named with line and column.
pub(crate) fn parse_json(text: &str) -> Result<Value, SettingError> {
    serde_json::from_str(text).map_err(|error| SettingError::new("", format!("this is not JSON: {error}")))
}

/// Decodes the object `value`, which stands at `place`.
pub(crate) fn decode<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, SettingError> {
    if !value.is_object() {
        // serde would take an array for a struct, field by field.
        return Err(SettingError::new(place, "here belongs an object; write { … }"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        SettingError::new(within(place, &error.path().to_string()), error.inner().to_string())
    })
}

/// `a, b or c`: what a remedy offers.
pub(crate) fn one_of(choices: &[&str]) -> String {
    match choices {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => choices.concat(),
    }
}
