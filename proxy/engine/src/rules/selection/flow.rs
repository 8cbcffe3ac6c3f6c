//! The choice of flows and connections by the order in which they opened.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The flows or connections of a route that a rule looks at, by their numbers: from 1, in the order
/// in which they opened, UDP and TCP apart. Written `3`, `"3-5"`, `"3-"` or `"every 10th"`.
///
/// ```
/// use jostle_engine::rules::FlowMatch;
/// let tenth: FlowMatch = "every 10th".parse().unwrap();
/// assert!(tenth.admits(20) && !tenth.admits(21));
/// assert_eq!(tenth.to_string(), "every 10th");
/// assert_eq!("3-5".parse(), Ok(FlowMatch::Between { first: 3, last: 5 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowMatch {
    /// Those of these numbers, both included.
    Between {
        /// The first, at least 1.
        first: u32,
        /// The last; `u32::MAX`: all that follow.
        last: u32,
    },
    /// Each n-th: the n-th, the 2n-th …
    Every(u32),
}

impl FlowMatch {
    /// Creates the choice of one flow.
    pub const fn one(flow: u32) -> Self {
        Self::Between { first: flow, last: flow }
    }

    /// Returns true if a flow is among them.
    #[inline]
    pub const fn admits(self, flow: u32) -> bool {
        match self {
            Self::Between { first, last } => first <= flow && flow <= last,
            Self::Every(nth) => flow > 0 && flow.is_multiple_of(nth),
        }
    }

    /// Returns their share of all flows in the long run, of which those up to any number are none.
    pub fn share(self) -> f64 {
        match self {
            Self::Between { last: u32::MAX, .. } => 1.0,
            Self::Between { .. } => 0.0,
            Self::Every(nth) => 1.0 / f64::from(nth),
        }
    }

    /// Names them: `flow 3`, `flows 3 to 5`.
    pub fn words(self) -> String {
        match self {
            Self::Between { first, last: u32::MAX } => format!("flows from the {} on", nth(first)),
            Self::Between { first, last } if first == last => format!("flow {first}"),
            Self::Between { first, last } => format!("flows {first} to {last}"),
            Self::Every(number) => format!("every {} flow", nth(number)),
        }
    }

    /// Returns it as it is written.
    pub(super) fn written(self) -> Value {
        match self {
            Self::Between { first, last } if first == last => first.into(),
            other => other.to_string().into(),
        }
    }
}

impl fmt::Display for FlowMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Between { first, last } if first == last => write!(f, "{first}"),
            Self::Between { first, last: u32::MAX } => write!(f, "{first}-"),
            Self::Between { first, last } => write!(f, "{first}-{last}"),
            Self::Every(number) => write!(f, "every {}", nth(number)),
        }
    }
}

impl FromStr for FlowMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const REMEDY: &str = "write a number such as 3, \"3-5\", \"3-\" or \"every 10th\"";
        let refuse = || format!("\"{text}\" does not say which flows; {REMEDY}");
        let counted = |number: u32| match number {
            0 => Err("there is no flow 0; the first one is 1".to_owned()),
            number => Ok(number),
        };
        let number = |digits: &str| {
            let number = digits.trim().parse::<u32>().map_err(|_| refuse())?;
            counted(number)
        };
        let written = text.trim();
        if let Some(rest) = written.strip_prefix("every ") {
            let digits =
                rest.trim_start().trim_end_matches(|letter: char| letter.is_ascii_lowercase());
            let suffix = &rest.trim_start()[digits.len()..];
            if !["", "st", "nd", "rd", "th"].contains(&suffix) {
                return Err(refuse());
            }
            return number(digits).map(Self::Every);
        }
        match written.split_once('-') {
            None => number(written).map(Self::one),
            Some((first, "")) => Ok(Self::Between { first: number(first)?, last: u32::MAX }),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return Err(format!(
                        "no flow is from {first} to {last}; write \"{last}-{first}\""
                    ));
                }
                Ok(Self::Between { first, last })
            }
        }
    }
}

/// Writes an ordinal number.
fn nth(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// A choice of flows as people write it: a number, or a text.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the number of a flow such as 3, or a text such as \"3-5\" or \"every 10th\""
)]
pub(super) enum RawFlows {
    Number(u32),
    Text(String),
}

impl RawFlows {
    pub(super) fn read(&self) -> Result<FlowMatch, String> {
        match self {
            Self::Number(number) => number.to_string().parse(),
            Self::Text(text) => text.parse(),
        }
    }
}

impl JsonSchema for RawFlows {
    fn schema_name() -> Cow<'static, str> {
        "Flows".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Flows or connections by the order in which they opened, from 1: 3, \
                            \"3-5\", \"3-\" (and all that follow), \"every 10th\".",
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": r"^\s*(every\s+\d+(st|nd|rd|th)?|\d+(\s*-(\s*\d+)?)?)\s*$" }
            ],
            "examples": [3, "3-5", "every 10th"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_and_printed() {
        let between = |first, last| FlowMatch::Between { first, last };
        for (text, read, printed, words) in [
            ("3", between(3, 3), "3", "flow 3"),
            (" 3 - 5 ", between(3, 5), "3-5", "flows 3 to 5"),
            ("3-", between(3, u32::MAX), "3-", "flows from the 3rd on"),
            ("every 10th", FlowMatch::Every(10), "every 10th", "every 10th flow"),
            ("every 2", FlowMatch::Every(2), "every 2nd", "every 2nd flow"),
            ("every 1st", FlowMatch::Every(1), "every 1st", "every 1st flow"),
            ("every 113th", FlowMatch::Every(113), "every 113th", "every 113th flow"),
        ] {
            assert_eq!(text.parse(), Ok(read), "{text}");
            assert_eq!((read.to_string().as_str(), read.words().as_str()), (printed, words));
            assert_eq!(printed.parse(), Ok(read));
        }
        for text in [
            "",
            "-",
            "-3",
            "3-x",
            "every",
            "every th",
            "every 10 flows",
            "x",
            "3.5",
            "every -2",
            "4294967296",
        ] {
            let error = text.parse::<FlowMatch>().unwrap_err();
            assert!(error.contains("does not say which flows; write"), "{text}: {error}");
        }
        for text in ["0", "0-3", "every 0th"] {
            assert_eq!(
                text.parse::<FlowMatch>().unwrap_err(),
                "there is no flow 0; the first one is 1"
            );
        }
        assert_eq!(
            "5-3".parse::<FlowMatch>().unwrap_err(),
            "no flow is from 5 to 3; write \"3-5\""
        );
    }

    #[test]
    fn flows_are_chosen_by_their_numbers() {
        let chosen = |text: &str| {
            let flows: FlowMatch = text.parse().unwrap();
            (0..=12).filter(|flow| flows.admits(*flow)).collect::<Vec<_>>()
        };
        assert_eq!(chosen("3"), [3]);
        assert_eq!(chosen("3-5"), [3, 4, 5]);
        assert_eq!(chosen("11-"), [11, 12]);
        assert_eq!(chosen("every 4th"), [4, 8, 12]);
        let shares =
            ["3", "3-5", "3-", "every 4th"].map(|text| text.parse::<FlowMatch>().unwrap().share());
        assert_eq!(shares, [0.0, 0.0, 1.0, 0.25]);
    }
}
