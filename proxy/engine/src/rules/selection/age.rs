//! The choice of packets by the age of their flow.

use jostle_common::units::{format_duration, parse_duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A span of a flow's age: from a time on, up to and without another. Written `"2s.."`, `"..500ms"`
/// or `"1s..3s"`.
///
/// ```
/// use jostle_engine::rules::AgeMatch;
/// use std::time::Duration;
/// let old: AgeMatch = "2s..".parse().unwrap();
/// assert!(old.admits(Duration::from_secs(2)) && !old.admits(Duration::from_millis(1999)));
/// assert_eq!("1s..3s".parse::<AgeMatch>().unwrap().to_string(), "1s..3s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeMatch {
    /// The age from which on.
    pub from: Duration,
    /// The age up to which; `None`: for ever.
    pub until: Option<Duration>,
}

impl AgeMatch {
    /// Returns true if an age is within the span.
    pub fn admits(self, age: Duration) -> bool {
        self.from <= age && self.until.is_none_or(|until| age < until)
    }

    /// Returns the first of its ends that is above an age.
    pub(crate) fn next_end(self, age: Duration) -> Option<Duration> {
        if age < self.from { Some(self.from) } else { self.until.filter(|until| age < *until) }
    }

    /// Names it: `from an age of 2s on`.
    pub fn words(self) -> String {
        let from = format_duration(self.from);
        match self.until.map(format_duration) {
            None => format!("from an age of {from} on"),
            Some(until) if self.from.is_zero() => format!("up to an age of {until}"),
            Some(until) => format!("at an age of {from} to {until}"),
        }
    }
}

impl fmt::Display for AgeMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (format_duration(self.from), self.until.map(format_duration));
        if !self.from.is_zero() || until.is_none() {
            f.write_str(&from)?;
        }
        write!(f, "..{}", until.unwrap_or_default())
    }
}

impl FromStr for AgeMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((from, until)) = text.split_once("..") else {
            return Err(match parse_duration(text) {
                Ok(_) => format!(
                    "\"{0}\" is one moment; write \"{0}..\" from then on, or \"..{0}\" up to then",
                    text.trim()
                ),
                Err(_) => format!(
                    "\"{text}\" is no span of ages; write \"2s..\", \"..500ms\" or \"1s..3s\""
                ),
            });
        };
        let read = |text: &str| match text.trim() {
            "" => Ok(None),
            time => parse_duration(time).map(Some).map_err(|error| error.to_string()),
        };
        let (from, until) = (read(from)?, read(until)?);
        if from.is_none() && until.is_none() {
            return Err("it leaves both ends open, so any age is in it; leave it out".to_owned());
        }
        let from = from.unwrap_or_default();
        if let Some(until) = until.filter(|until| *until <= from) {
            let (from, until) = (format_duration(from), format_duration(until));
            return Err(if from == until || until == "0s" {
                format!("no age is from {from} and below {until}; write a later end")
            } else {
                format!("no age is from {from} and below {until}; write \"{until}..{from}\"")
            });
        }
        Ok(Self { from, until })
    }
}

/// A span of ages as people write it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct RawAge(pub(super) String);

impl JsonSchema for RawAge {
    fn schema_name() -> Cow<'static, str> {
        "Age".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The age of the flow or connection when the packet enters the link: \
                            \"2s..\" (from then on), \"..500ms\" (before), \"1s..3s\".",
            "type": "string",
            "pattern": r"\.\.",
            "examples": ["2s..", "..500ms", "1s..3s"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_and_printed() {
        for (text, printed, words) in [
            ("2s..", "2s..", "from an age of 2s on"),
            ("..500ms", "..500ms", "up to an age of 500ms"),
            (" 1s .. 3s ", "1s..3s", "at an age of 1s to 3s"),
            ("0s..1.5s", "..1.5s", "up to an age of 1.5s"),
            ("0..", "0s..", "from an age of 0s on"),
        ] {
            let age: AgeMatch = text.parse().unwrap();
            assert_eq!((age.to_string().as_str(), age.words().as_str()), (printed, words));
            assert_eq!(printed.parse(), Ok(age));
        }
        for (text, part) in [
            ("2s", "\"2s\" is one moment; write \"2s..\" from then on, or \"..2s\" up to then"),
            ("old", "is no span of ages; write \"2s..\""),
            ("..", "it leaves both ends open"),
            ("2..", "\"2\" has no unit; write \"2ms\""),
            ("3s..1s", "no age is from 3s and below 1s; write \"1s..3s\""),
            ("1s..1s", "no age is from 1s and below 1s; write a later end"),
            ("..0s", "no age is from 0s and below 0s; write a later end"),
            ("1s..2s..3s", "is not a time"),
        ] {
            let error = text.parse::<AgeMatch>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_span_has_its_beginning_and_not_its_end() {
        let age: AgeMatch = "1s..3s".parse().unwrap();
        let nanos = Duration::from_nanos;
        for (at, is_in, next) in [
            (0, false, Some(1_000_000_000)),
            (999_999_999, false, Some(1_000_000_000)),
            (1_000_000_000, true, Some(3_000_000_000)),
            (2_999_999_999, true, Some(3_000_000_000)),
            (3_000_000_000, false, None),
        ] {
            assert_eq!(age.admits(nanos(at)), is_in, "{at}");
            assert_eq!(age.next_end(nanos(at)), next.map(nanos), "{at}");
        }
    }
}
