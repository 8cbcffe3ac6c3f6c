//! The choice of flows and connections by the order in which they opened.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The most parts of a choice, and the most of them that are "every n-th": what they come to
/// together is counted by inclusion and exclusion, in 2^8 steps.
const PARTS_MAX: usize = 64;
const EVERY_MAX: usize = 8;

/// The flows or connections of a route that a rule looks at, by their numbers: from 1, in the order
/// in which they opened, UDP and TCP apart. Written `3`, `"3-5"`, `"3-"` or `"every 10th"`, or as a
/// list of these, of which one has to hold.
///
/// ```
/// use jostle_engine::rules::FlowMatch;
/// let tenth: FlowMatch = "every 10th".parse().unwrap();
/// assert!(tenth.admits(20) && !tenth.admits(21));
/// assert_eq!(tenth.to_string(), "every 10th");
/// let some: FlowMatch = "1, 3-5".parse().unwrap();
/// assert!(some.admits(1) && !some.admits(2) && some.admits(3));
/// assert_eq!("3".parse(), Ok(FlowMatch::one(3)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMatch(Vec<FlowRange>);

/// A part of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowRange {
    /// Those of these numbers, both included; the last may be `u32::MAX`: all that follow.
    Between { first: u32, last: u32 },
    /// Each n-th: the n-th, the 2n-th …
    Every(u32),
}

impl FlowMatch {
    /// Creates the choice of one flow.
    pub fn one(flow: u32) -> Self {
        Self(vec![FlowRange::Between { first: flow, last: flow }])
    }

    /// Returns the flow, if it is the choice of one.
    pub fn only(&self) -> Option<u32> {
        match self.0.as_slice() {
            [FlowRange::Between { first, last }] if first == last => Some(*first),
            _ => None,
        }
    }

    /// Returns true if a flow is among them.
    #[inline]
    pub fn admits(&self, flow: u32) -> bool {
        self.0.iter().any(|part| part.admits(flow))
    }

    /// Returns their share of all flows in the long run, of which those up to any number are none.
    pub fn share(&self) -> f64 {
        let every = self.0.iter().filter_map(|part| match part {
            FlowRange::Between { last: u32::MAX, .. } => Some(1),
            FlowRange::Between { .. } => None,
            FlowRange::Every(nth) => Some(u128::from(*nth)),
        });
        let every: Vec<u128> = every.collect();
        share_of_multiples(&every, 1)
    }

    /// Names them: `flow 3`, `flows 3 to 5`.
    pub fn words(&self) -> String {
        self.0.iter().map(|part| part.words()).collect::<Vec<_>>().join(", ")
    }

    /// Returns it as it is written.
    pub(super) fn written(&self) -> Value {
        match self.0.as_slice() {
            [part] => part.written(),
            parts => parts.iter().map(|part| part.written()).collect(),
        }
    }

    /// Makes a choice of several, each of which may be several.
    fn of(parts: impl IntoIterator<Item = Self>) -> Result<Self, String> {
        let parts: Vec<FlowRange> = parts.into_iter().flat_map(|one| one.0).collect();
        let every = parts.iter().filter(|part| matches!(part, FlowRange::Every(_))).count();
        match parts.len() {
            0 => Err(format!("it names no flow; {REMEDY}")),
            count if count > PARTS_MAX || every > EVERY_MAX => Err(format!(
                "it has {count} parts, {every} of them \"every\"; write at most {PARTS_MAX}, and \
                 {EVERY_MAX} of these"
            )),
            _ => Ok(Self(parts)),
        }
    }
}

/// Returns the share of numbers that are multiples of one of `every` and of `all`.
fn share_of_multiples(every: &[u128], all: u128) -> f64 {
    let Some((first, rest)) = every.split_first() else { return 0.0 };
    // Of eight 32-bit numbers the least common multiple may be beyond 128 bits: a share of nothing.
    let Some(both) = (all / gcd(all, *first)).checked_mul(*first) else {
        return share_of_multiples(rest, all);
    };
    1.0 / both as f64 + share_of_multiples(rest, all) - share_of_multiples(rest, both)
}

const fn gcd(mut one: u128, mut other: u128) -> u128 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

const REMEDY: &str = "write a number such as 3, \"3-5\", \"3-\" or \"every 10th\"";

impl FlowRange {
    const fn admits(self, flow: u32) -> bool {
        match self {
            Self::Between { first, last } => first <= flow && flow <= last,
            Self::Every(nth) => flow > 0 && flow.is_multiple_of(nth),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Between { first, last: u32::MAX } => format!("flows from the {} on", nth(first)),
            Self::Between { first, last } if first == last => format!("flow {first}"),
            Self::Between { first, last } => format!("flows {first} to {last}"),
            Self::Every(number) => format!("every {} flow", nth(number)),
        }
    }

    fn written(self) -> Value {
        match self {
            Self::Between { first, last } if first == last => first.into(),
            other => other.to_string().into(),
        }
    }
}

impl fmt::Display for FlowMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(FlowRange::to_string).collect();
        f.write_str(&parts.join(","))
    }
}

impl fmt::Display for FlowRange {
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
        let parts = text.split(',').map(|part| Ok(Self(vec![part.parse()?])));
        Self::of(parts.collect::<Result<Vec<_>, String>>()?)
    }
}

impl FromStr for FlowRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
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
            None => number(written).map(|one| Self::Between { first: one, last: one }),
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

/// A choice of flows as people write it: a number, a text, or a list of these.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the number of a flow such as 3, a text such as \"3-5\" or \"every 10th\", \
                 or a list of these"
)]
pub(super) enum RawFlows {
    One(RawFlow),
    List(Vec<RawFlow>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawFlow {
    Number(u32),
    Text(String),
}

impl RawFlows {
    pub(super) fn read(&self) -> Result<FlowMatch, String> {
        match self {
            Self::One(one) => one.read(),
            Self::List(list) => {
                FlowMatch::of(list.iter().map(RawFlow::read).collect::<Result<Vec<_>, _>>()?)
            }
        }
    }
}

impl RawFlow {
    fn read(&self) -> Result<FlowMatch, String> {
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
        let part = r"\s*(every\s+\d+(st|nd|rd|th)?|\d+(\s*-(\s*\d+)?)?)\s*";
        let text = format!("^{part}(,{part})*$");
        let one = json!([
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": text }
        ]);
        json_schema!({
            "description": "Flows or connections by the order in which they opened, from 1: 3, \
                            \"3-5\", \"3-\" (and all that follow), \"every 10th\"; or a list of \
                            these.",
            "anyOf": [
                one[0],
                one[1],
                {
                    "type": "array", "minItems": 1, "maxItems": PARTS_MAX,
                    "items": { "anyOf": one }
                }
            ],
            "examples": [3, "3-5", "every 10th", [1, "3-5"]]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_and_printed() {
        let of = |part| FlowMatch(vec![part]);
        let between = |first, last| of(FlowRange::Between { first, last });
        for (text, read, printed, words) in [
            ("3", between(3, 3), "3", "flow 3"),
            (" 3 - 5 ", between(3, 5), "3-5", "flows 3 to 5"),
            ("3-", between(3, u32::MAX), "3-", "flows from the 3rd on"),
            ("every 10th", of(FlowRange::Every(10)), "every 10th", "every 10th flow"),
            ("every 2", of(FlowRange::Every(2)), "every 2nd", "every 2nd flow"),
            ("every 1st", of(FlowRange::Every(1)), "every 1st", "every 1st flow"),
            ("every 113th", of(FlowRange::Every(113)), "every 113th", "every 113th flow"),
        ] {
            assert_eq!(text.parse().as_ref(), Ok(&read), "{text}");
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
        assert_eq!(chosen("1, 3-5, every 6th, 11-"), [1, 3, 4, 5, 6, 11, 12]);
    }

    #[test]
    fn their_share_is_counted_once() {
        for (text, share) in [
            ("3", 0.0),
            ("3-5", 0.0),
            ("3-", 1.0),
            ("every 4th", 0.25),
            ("1, every 4th", 0.25),
            // By inclusion and exclusion: 1/2 + 1/3 − 1/6, and of 4 and 6 it is 1/4 + 1/6 − 1/12.
            ("every 2nd, every 3rd", 2.0 / 3.0),
            ("every 4th, every 6th", 1.0 / 3.0),
            ("every 4th, every 2nd, every 8th", 0.5),
            ("every 7th, 100-", 1.0),
        ] {
            let flows: FlowMatch = text.parse().unwrap();
            assert!((flows.share() - share).abs() < 1e-12, "{text}: {}", flows.share());
        }
        // Primes of 32 bits: their least common multiple is no number of 128.
        let primes =
            [4_294_967_291_u32, 4_294_967_279, 4_294_967_231, 4_294_967_197, 4_294_967_189];
        let flows = FlowMatch(primes.map(FlowRange::Every).to_vec());
        assert!((flows.share() * 4_294_967_291.0 - 5.0).abs() < 1e-6, "{}", flows.share());
    }

    #[test]
    fn a_list_has_bounds() {
        let list = |part: &str, count| vec![part; count].join(",").parse::<FlowMatch>();
        assert!(list("1", 64).is_ok() && list("every 2nd", 8).is_ok());
        let error = list("1", 65).unwrap_err();
        assert!(
            error.contains("it has 65 parts, 0 of them \"every\"; write at most 64"),
            "{error}"
        );
        assert!(list("every 2nd", 9).unwrap_err().contains("9 of them \"every\""));
        let nothing = RawFlows::List(Vec::new()).read().unwrap_err();
        assert!(nothing.contains("it names no flow; write a number"), "{nothing}");
    }
}
