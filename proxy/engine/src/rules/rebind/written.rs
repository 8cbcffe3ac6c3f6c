//! Reads and writes a `rebind` rule.

use super::{GAP_MIN, Rebind, RebindAddresses};
use crate::rules::written::{self, Fields};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;

/// More addresses are a network, and written as one.
const ADDRESSES_MAX: usize = 256;

/// Lets a UDP flow leave from a fresh socket, as behind a NAT that gives it another port.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRebind {
    /// How long after the flow's first packet, at least 10ms. Without this and "every" it is once,
    /// for the flows that stand when the rule comes into force, as at the beginning of a phase.
    first: Option<Span>,
    /// After how long again and again, at least 10ms.
    every: Option<Span>,
    /// Whether the times between are drawn, with "every" as their mean.
    #[serde(default)]
    random: bool,
    /// Which addresses of this machine it takes: a network ("127.0.0.0/8"), of which each is drawn,
    /// or a list, of which they are taken in turn. It keeps its address unless stated.
    addresses: Option<RawAddresses>,
    /// What becomes of what still comes to the old socket; it is dropped unless stated.
    old: Option<RawOld>,
}

/// An address, a network, or a list of addresses.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a network such as \"127.0.0.0/8\", or a list of addresses such as \
                 [\"127.0.0.2\", \"127.0.0.3\"]"
)]
enum RawAddresses {
    One(
        #[schemars(regex(pattern = r"^[0-9a-fA-F:.]+(/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?$"))]
        String,
    ),
    List(#[schemars(length(min = 1, max = 256))] Vec<String>),
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawOld {
    Drop,
    Deliver,
}

pub(super) fn read(place: &str, raw: RawRebind) -> Result<Rebind, SettingError> {
    let at = |field: &str| within(place, field);
    for (field, time) in [("first", raw.first), ("every", raw.every)] {
        if let Some(time) = time.filter(|time| time.0 < GAP_MIN) {
            let problem = format!("{time} is too short; write at least {}", Span(GAP_MIN));
            return Err(SettingError::new(at(field), problem));
        }
    }
    if raw.random && raw.every.is_none() {
        let problem = "it is about the times between, and there are none; write \"every\": \"30s\", \
                       say";
        return Err(SettingError::new(at("random"), problem));
    }
    let addresses = raw.addresses.map(|raw| addresses(&at("addresses"), raw)).transpose()?;
    Ok(Rebind {
        first: raw.first.map(|first| first.0),
        every: raw.every.map(|every| every.0),
        random: raw.random,
        addresses: addresses.unwrap_or_default(),
        delivers_old: matches!(raw.old, Some(RawOld::Deliver)),
    })
}

fn addresses(place: &str, raw: RawAddresses) -> Result<RebindAddresses, SettingError> {
    match raw {
        RawAddresses::One(text) => match text.split_once('/') {
            None => Ok(RebindAddresses::InTurn(vec![address(place, &text)?])),
            Some((network, bits)) => {
                let network = address(place, network)?;
                let most = if network.is_ipv4() { 32 } else { 128 };
                let bits = bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(|| {
                    let problem = format!(
                        "\"{text}\" is no network; write how many bits its addresses share, from 0 \
                         to {most}, behind the slash"
                    );
                    SettingError::new(place, problem)
                })?;
                Ok(RebindAddresses::Within { network, bits })
            }
        },
        RawAddresses::List(list) if (1..=ADDRESSES_MAX).contains(&list.len()) => {
            let list = list.iter().enumerate();
            let read = list.map(|(index, text)| address(&format!("{place}[{index}]"), text));
            Ok(RebindAddresses::InTurn(read.collect::<Result<_, _>>()?))
        }
        RawAddresses::List(list) => {
            let problem = format!(
                "{} addresses are out of bounds; write 1 to {ADDRESSES_MAX}, or a network such as \
                 \"127.0.0.0/8\"",
                list.len()
            );
            Err(SettingError::new(place, problem))
        }
    }
}

fn address(place: &str, text: &str) -> Result<IpAddr, SettingError> {
    let found: Option<IpAddr> = text.parse().ok();
    found.filter(|address| !address.is_unspecified()).ok_or_else(|| {
        let text = written::shortened(text);
        let problem = format!(
            "\"{text}\" is no address that a socket can have to itself; write 127.0.0.2, say"
        );
        SettingError::new(place, problem)
    })
}

pub(super) fn write(rebind: &Rebind) -> Fields {
    let time = |time: Option<Duration>| time.map(written::time);
    let addresses = match &rebind.addresses {
        RebindAddresses::Kept => None,
        RebindAddresses::InTurn(all) => {
            Some(all.iter().map(IpAddr::to_string).collect::<Vec<_>>().into())
        }
        within @ RebindAddresses::Within { .. } => Some(written::text(within)),
    };
    Fields::default()
        .with_some("first", time(rebind.first))
        .with_some("every", time(rebind.every))
        .unless("random", rebind.random, false, Into::into)
        .with_some("addresses", addresses)
        .unless("old", if rebind.delivers_old { "deliver" } else { "drop" }, "drop", Into::into)
}
