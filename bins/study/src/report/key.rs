//! The keys that tell the cells of rows apart, besides repeat and seed: the parameters of a trial,
//! whether time was virtual, and the version.

use crate::rows::Row;
use crate::trial::{Commands, Job, Parameter, Protocol, Setting, Trial};
use jostle_engine::profile::{BurstLength, Queue, no_files};
use serde_json::Value;

/// A key of rows that is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A parameter of the trial.
    Parameter(Parameter),
    /// True if time was virtual.
    Virtual,
    /// The version of jostle that made the row.
    Version,
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Level {
    /// As people write it: `5%`, `50ms`, `saw`.
    pub(super) text: String,
    /// Its place on an axis, in `unit`. `None` of a value without an order, and where the parameter
    /// was not given.
    pub(super) value: Option<f64>,
    /// The unit of `value`: `share`, `s`, `bytes`, `bit/s`, `packets`, or empty.
    pub(super) unit: &'static str,
}

impl Level {
    /// Creates the level of a key that a row does not have while others do.
    pub(super) fn unset() -> Self {
        Self::named("not set")
    }

    fn named(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None, unit: "" }
    }
}

impl Key {
    /// Returns all of them, in the order of rows.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Parameter::all().map(Self::Parameter).chain([Self::Virtual, Self::Version])
    }

    /// Returns its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Parameter(parameter) => parameter.name(),
            Self::Virtual => "virtual",
            Self::Version => "version",
        }
    }

    /// Returns true if its values have an order.
    pub(super) const fn is_ordered(self) -> bool {
        match self {
            Self::Parameter(parameter) => parameter.kind().is_ordered(),
            Self::Virtual | Self::Version => false,
        }
    }

    /// Returns its value in a row; `None` when the row does not say.
    ///
    /// # Errors
    /// When the parameter cannot have the value.
    pub(super) fn level(self, row: &Row) -> Result<Option<Level>, String> {
        match self {
            Self::Virtual => {
                Ok(Some(Level::named(if row.is_virtual { "virtual" } else { "real" })))
            }
            Self::Version => Ok((!row.version.is_empty()).then(|| Level::named(&row.version))),
            Self::Parameter(parameter) => match parameter.name() {
                "protocol" => Ok(Some(Level::named(&row.protocol))),
                "loss" => Ok(Some(ordered(&Setting::Share(row.loss)))),
                "delay" => Ok(Some(ordered(&Setting::Time(row.delay)))),
                name => match row.more.get(name) {
                    None | Some(Value::Null) => Ok(None),
                    Some(value) => read(parameter, value).map(Some),
                },
            },
        }
    }
}

impl Key {
    /// Returns the level of a row that does not have the key: the default of its trial, if any.
    pub(super) fn default_level(self, protocol: &str, is_virtual: bool) -> Option<Level> {
        let Self::Parameter(parameter) = self else { return None };
        let job = match Protocol::named(protocol) {
            Some(protocol) => Job::Protocol(protocol),
            None => Job::Commands(Commands::default()),
        };
        let trial = Trial { job, is_virtual, ..Trial::default() };
        parameter.default_of(&trial).map(|setting| level(parameter, &setting))
    }
}

fn level(parameter: Parameter, setting: &Setting) -> Level {
    if parameter.kind().is_ordered() { ordered(setting) } else { Level::named(setting.to_string()) }
}

fn read(parameter: Parameter, value: &Value) -> Result<Level, String> {
    match (parameter.kind(), value) {
        (kind, value) if kind.is_ordered() => {
            let setting = parameter.read_from_row(value, &no_files);
            setting.map(|setting| ordered(&setting)).map_err(|error| error.to_string())
        }
        // Names and texts are what they are: nothing is looked up.
        (_, Value::String(text)) => Ok(Level::named(text)),
        (_, other) => Ok(Level::named(other.to_string())),
    }
}

fn ordered(setting: &Setting) -> Level {
    let (value, unit) = match setting {
        Setting::Share(share) => (Some(share.as_f64()), "share"),
        Setting::Burst(BurstLength::Packets(packets)) => (Some(*packets), ""),
        Setting::Burst(BurstLength::Time(time)) => (Some(time.as_secs_f64()), "s"),
        Setting::Count(count) => (Some(*count as f64), ""),
        Setting::Rate(rate) => (Some(rate.bits_per_second() as f64), "bit/s"),
        Setting::Time(time) => (Some(time.0.as_secs_f64()), "s"),
        Setting::Size(size) => (Some(size.bytes() as f64), "bytes"),
        Setting::Queue(Queue::Time(time)) => (Some(time.as_secs_f64()), "s"),
        Setting::Queue(Queue::Bytes(size)) => (Some(size.bytes() as f64), "bytes"),
        Setting::Queue(Queue::Packets(count)) => (Some(*count as f64), "packets"),
        _ => (None, ""),
    };
    Level { text: setting.to_string(), value, unit }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::row;
    use super::*;
    use serde_json::json;

    fn level(name: &str, value: Value) -> Result<Option<Level>, String> {
        let key = Key::all().find(|key| key.name() == name).unwrap();
        key.level(&row().with(name, value).build())
    }

    #[test]
    fn levels_are_read_as_rows_have_them() {
        for (name, value, text, on_axis, unit) in [
            ("loss", json!(0.05), "5%", Some(0.05), "share"),
            ("duplicate", json!(1.0), "100%", Some(1.0), "share"),
            ("delay", json!("50ms"), "50ms", Some(0.05), "s"),
            ("jitter", json!("1000ms"), "1s", Some(1.0), "s"),
            ("size", json!(65_536), "64KiB", Some(65_536.0), "bytes"),
            ("rate", json!("10Mbit/s"), "10Mbit/s", Some(1e7), "bit/s"),
            ("queue", json!("50 packets"), "50 packets", Some(50.0), "packets"),
            ("queue", json!("1s"), "1s", Some(1.0), "s"),
            ("burst", json!(3.5), "3.5", Some(3.5), ""),
            ("burst", json!("200ms"), "200ms", Some(0.2), "s"),
            ("tcp", json!("model cubic"), "model cubic", None, ""),
            ("profile", json!({ "up": [] }), r#"{"up":[]}"#, None, ""),
            ("protocol", json!("commands"), "commands", None, ""),
            ("virtual", json!(true), "virtual", None, ""),
        ] {
            let expected = Level { text: text.to_owned(), value: on_axis, unit };
            assert_eq!(level(name, value), Ok(Some(expected)), "{name}");
        }
        assert_eq!(level("rate", Value::Null), Ok(None));
    }

    #[test]
    fn a_value_that_cannot_be_is_refused() {
        assert!(level("rate", json!("fast")).unwrap_err().starts_with("rate: "));
        assert_eq!(
            level("reorder", json!(1.5)).unwrap_err(),
            "reorder: 1.5 is no share; write 0 to 1"
        );
    }
}
