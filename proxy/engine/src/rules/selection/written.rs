//! Reads and writes what every rule may say besides its own fields: `per`, `flows`, `match` and
//! `enabled`.

use super::age::RawAge;
use super::ecn::RawEcn;
use super::flow::RawFlows;
use super::hosts::RawHosts;
use super::{EcnMatch, FlowMatch, HostMatch, Match, MatchBytes, Per, Selection};
use crate::rules::written::{Fields, share, text};
use bytes::Bytes;
use jostle_common::setting::{Object, SettingError, decode, one_of, within};
use jostle_common::units::{ByteSize, Probability};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The part of a payload that is worth comparing.
const BYTES_MAX: usize = 1024;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSelection {
    /// Whether the rule counts, and holds, all packets together or those of each flow; link unless
    /// stated.
    #[serde(default)]
    per: RawPer,
    /// The chance that a flow is affected at all; 100% unless stated.
    flows: Option<Probability>,
    /// What a packet must be like for the rule to look at it.
    #[schemars(with = "Option<RawMatch>")]
    r#match: Option<Value>,
    /// Whether it does anything; it does unless stated. One that does not keeps its name and its
    /// draws for later.
    enabled: Option<bool>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawPer {
    #[default]
    Link,
    Flow,
}

/// What a packet must be like; all that is given must hold.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawMatch {
    /// Its size in bytes, overhead included.
    size: Option<Object<RawSizes>>,
    /// It is among so many first packets.
    #[schemars(range(min = 1))]
    first: Option<u64>,
    /// It comes after so many packets.
    after: Option<u64>,
    /// What stands in its payload.
    bytes: Option<Object<RawBytes>>,
    /// What its IP header says of congestion: not-ect, ect0, ect1 or ce, or a list of them.
    ecn: Option<RawEcn>,
    /// Of which flow or connection it is, by the order in which they opened.
    flow: Option<RawFlows>,
    /// Of whose flow or connection it is: addresses and networks of clients.
    client: Option<RawHosts>,
    /// Where its flow or connection leads: the host that was asked for, by the client of a forward
    /// listener or by the route, the address that it has, or the server that a TLS client names.
    target: Option<RawHosts>,
    /// How old its flow or connection is.
    age: Option<RawAge>,
}

/// A range of sizes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawSizes {
    /// The smallest size.
    min: Option<ByteSize>,
    /// The largest size.
    max: Option<ByteSize>,
}

/// Bytes that must stand in the payload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawBytes {
    /// Where, in bytes from the start of the payload.
    offset: u32,
    /// What, as two hexadecimal digits per byte.
    #[schemars(regex(pattern = "^([0-9a-fA-F]{2})+$"))]
    hex: Option<String>,
    /// What, as text.
    #[schemars(length(min = 1))]
    text: Option<String>,
}

impl RawSelection {
    /// Takes its fields out of those of a rule.
    pub(crate) fn taken_from(
        place: &str,
        fields: &mut Map<String, Value>,
    ) -> Result<Self, SettingError> {
        let own = ["per", "flows", "match", "enabled"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), fields.remove(name)?)));
        decode(place, Value::Object(own.collect()))
    }

    /// Returns true if the rule does anything.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    pub(crate) fn selection(self, place: &str) -> Result<Selection, SettingError> {
        Ok(Selection {
            per: match self.per {
                RawPer::Link => Per::Link,
                RawPer::Flow => Per::Flow,
            },
            flows: self.flows.unwrap_or(Probability::ALWAYS),
            matching: self
                .r#match
                .map(|value| matching(&within(place, "match"), value))
                .transpose()?,
        })
    }
}

/// The keys of a choice on a command line: those whose values are lists, and those whose values are
/// one text or number.
const LISTS: [&str; 3] = ["client", "target", "flow"];
const TEXTS: [&str; 1] = ["age"];
const NUMBERS: [&str; 2] = ["first", "after"];

/// Reads what the option `name` of a command line chooses: pairs such as `client=127.0.0.2`, which
/// all have to hold; values with commas between are alternatives.
pub(crate) fn read_pairs(name: &str, pairs: &[String]) -> Result<Match, SettingError> {
    let refuse = |problem| SettingError::new(name, problem);
    let keys = LISTS.into_iter().chain(TEXTS).chain(NUMBERS);
    let mut fields = Map::new();
    for pair in pairs {
        let Some((key, value)) =
            pair.split_once('=').map(|(key, value)| (key.trim(), value.trim()))
        else {
            return Err(refuse(format!("\"{pair}\" has no value; write client=127.0.0.2, say")));
        };
        let value: Value = match key {
            key if LISTS.contains(&key) => value.split(',').map(str::trim).collect(),
            key if TEXTS.contains(&key) => value.into(),
            key if NUMBERS.contains(&key) => {
                value.parse::<u64>().map(Value::from).map_err(|_| {
                    refuse(format!("{key}: \"{value}\" is no number; write {key}=10, say"))
                })?
            }
            _ => {
                let keys = one_of(&keys.collect::<Vec<_>>());
                return Err(refuse(format!("there is no \"{key}\" to choose by; write {keys}")));
            }
        };
        if fields.insert(key.to_owned(), value).is_some() {
            let problem = format!(
                "{key} is here twice, and all that is given has to hold; write alternatives once, \
                 with commas between"
            );
            return Err(refuse(problem));
        }
    }
    matching("", Value::Object(fields)).map_err(|error| {
        refuse(if error.place.is_empty() { error.problem } else { error.to_string() })
    })
}

fn matching(place: &str, value: Value) -> Result<Match, SettingError> {
    const PACKETS_ONLY: [&str; 3] = ["protocol", "port", "address"];
    if let Some(field) = PACKETS_ONLY.into_iter().find(|field| value.get(field).is_some()) {
        let problem = "a route has one protocol already, and hosts and ports are chosen by \
                       \"client\" and \"target\"; leave it out";
        return Err(SettingError::new(within(place, field), problem));
    }
    let raw: RawMatch = decode(place, value)?;
    let RawMatch { size, first, after, bytes, ecn, flow, client, target, age } = &raw;
    let of_numbers = first.is_some() || after.is_some();
    let of_packets = size.is_some() || of_numbers || bytes.is_some() || ecn.is_some();
    let of_flows = flow.is_some() || client.is_some() || target.is_some() || age.is_some();
    if !of_packets && !of_flows {
        return Err(SettingError::new(
            place,
            "it says nothing about a packet; write \"size\", \"first\", \"after\", \"bytes\", \
             \"ecn\", \"flow\", \"client\", \"target\" or \"age\", or leave it out",
        ));
    }
    let size = raw
        .size
        .map_or(Ok(0..=u32::MAX), |Object(sizes)| size_range(&within(place, "size"), &sizes))?;
    if raw.first == Some(0) {
        return Err(SettingError::new(
            within(place, "first"),
            "the first 0 packets are none; write at least 1",
        ));
    }
    let (after, first) = (raw.after.unwrap_or(0), raw.first.unwrap_or(u64::MAX));
    if after >= first {
        let problem = format!(
            "no packet is among the first {first} and behind the first {after}; write a larger \
             \"first\""
        );
        return Err(SettingError::new(within(place, "after"), problem));
    }
    let refuse = |field| {
        let place = within(place, field);
        move |problem| SettingError::new(place, problem)
    };
    Ok(Match {
        size,
        number: after + 1..=first,
        bytes: raw
            .bytes
            .map(|Object(raw)| self::bytes(&within(place, "bytes"), raw))
            .transpose()?,
        ecn: raw.ecn.map(|ecn| ecn.read(&within(place, "ecn"))).transpose()?,
        flow: raw.flow.map(|flows| flows.read()).transpose().map_err(refuse("flow"))?,
        client: raw.client.map(|one| one.clients(&within(place, "client"))).transpose()?,
        target: raw.target.map(|one| one.targets(&within(place, "target"))).transpose()?,
        age: raw.age.map(|RawAge(text)| text.parse()).transpose().map_err(refuse("age"))?,
    })
}

fn size_range(place: &str, raw: &RawSizes) -> Result<std::ops::RangeInclusive<u32>, SettingError> {
    let bound = |size: Option<ByteSize>, default| {
        size.map_or(default, |size| u32::try_from(size.bytes()).unwrap_or(u32::MAX))
    };
    let (min, max) = (bound(raw.min, 0), bound(raw.max, u32::MAX));
    if raw.min.is_none() && raw.max.is_none() {
        return Err(SettingError::new(place, "it names no size; write \"min\", \"max\" or both"));
    }
    if min > max {
        let problem = format!("no packet has at least {min} and at most {max} bytes; swap them");
        return Err(SettingError::new(place, problem));
    }
    Ok(min..=max)
}

fn bytes(place: &str, raw: RawBytes) -> Result<MatchBytes, SettingError> {
    let value: Bytes = match (raw.hex, raw.text) {
        (Some(hex), None) => from_hex(&hex)
            .map_err(|problem| SettingError::new(within(place, "hex"), problem))?
            .into(),
        (None, Some(text)) => text.into(),
        _ => {
            return Err(SettingError::new(
                place,
                "bytes are given by exactly one of \"hex\" and \"text\"",
            ));
        }
    };
    if !(1..=BYTES_MAX).contains(&value.len()) {
        let problem = format!("{} bytes cannot be compared; write 1 to {BYTES_MAX}", value.len());
        return Err(SettingError::new(place, problem));
    }
    Ok(MatchBytes { offset: raw.offset as usize, value })
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let refuse = || {
        format!(
            "\"{text}\" is not bytes; write two hexadecimal digits for each, such as \"c0ffee\""
        )
    };
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or_else(refuse)?;
    if digits.len() % 2 == 1 {
        return Err(refuse());
    }
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Writes `per`, `flows` and `match`. A rule on streams is one per flow without saying so.
pub(crate) fn write(fields: Fields, selection: &Selection, is_per_flow: bool) -> Fields {
    let per_flow = selection.per == Per::Flow && !is_per_flow;
    fields
        .with_some("per", per_flow.then_some("flow"))
        .unless("flows", selection.flows, Probability::ALWAYS, share)
        .with_some("match", selection.matching.as_ref().map(written_match))
}

fn written_match(matching: &Match) -> Fields {
    let size = |bytes: &u32| text(ByteSize::new(u64::from(*bytes)));
    let sizes = Fields::default().unless("min", matching.size.start(), &0, size).unless(
        "max",
        matching.size.end(),
        &u32::MAX,
        size,
    );
    let (after, first) = (*matching.number.start() - 1, *matching.number.end());
    let fields = Fields::default()
        .with_some("size", (!sizes.is_empty()).then_some(sizes))
        .unless("after", after, 0, Into::into)
        .unless("first", first, u64::MAX, Into::into)
        .with_some("bytes", matching.bytes.as_ref().map(written_bytes))
        .with_some("ecn", matching.ecn.as_ref().map(EcnMatch::written))
        .with_some("flow", matching.flow.as_ref().map(FlowMatch::written))
        .with_some("client", matching.client.as_ref().map(HostMatch::written))
        .with_some("target", matching.target.as_ref().map(HostMatch::written))
        .with_some("age", matching.age.map(text));
    // It has to say something.
    if fields.is_empty() { fields.with("after", 0) } else { fields }
}

fn written_bytes(bytes: &MatchBytes) -> Fields {
    let fields = Fields::default().with("offset", bytes.offset);
    match std::str::from_utf8(&bytes.value) {
        Ok(text) if !text.contains(char::is_control) => fields.with("text", text),
        _ => {
            let hex: String = bytes.value.iter().map(|byte| format!("{byte:02x}")).collect();
            fields.with("hex", hex)
        }
    }
}
