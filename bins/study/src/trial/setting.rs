//! The value of a parameter, and how people write it.

use super::job::Protocol;
use super::named_profile::NamedProfile;
use jostle_common::units::{BitRate, ByteSize, Probability, Span, parse_duration};
use jostle_endpoints::protocol::timer::Timing;
use jostle_engine::profile::Profile;
use jostle_engine::profile::{BurstLength, Queue, ReadFile};
use jostle_engine::route::{TcpMode, Transports, named_profile};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// The kind of values that a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A share of packets: `5%`.
    Share,
    /// The mean length of bursts: `3` packets, or `200ms`.
    Burst,
    /// Bits per second.
    Rate,
    /// The bound on what may wait: a time, bytes or packets.
    Queue,
    /// A time.
    Time,
    /// Bytes.
    Size,
    /// A whole number.
    Count,
    /// The rule by which a client asks again.
    Timing,
    /// One of our protocols.
    Protocol,
    /// The meaning of loss on TCP.
    Tcp,
    /// The transports that are relayed.
    Transports,
    /// A profile's name, or the profile itself.
    Profile,
    /// Any text.
    Text,
}

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A share of packets.
    Share(Probability),
    /// The mean length of bursts.
    Burst(BurstLength),
    /// Bits per second.
    Rate(BitRate),
    /// The bound on what may wait.
    Queue(Queue),
    /// A time.
    Time(Span),
    /// Bytes.
    Size(ByteSize),
    /// A whole number.
    Count(u64),
    /// The rule by which a client asks again.
    Timing(Timing),
    /// One of our protocols.
    Protocol(Protocol),
    /// The meaning of loss on TCP.
    Tcp(TcpMode),
    /// The transports that are relayed.
    Transports(Transports),
    /// A profile.
    Profile(NamedProfile),
    /// Any text.
    Text(String),
}

impl SettingKind {
    /// Returns true if its values have an order, so that there are ranges of them and a curve over
    /// them.
    pub const fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::Share
                | Self::Burst
                | Self::Rate
                | Self::Queue
                | Self::Time
                | Self::Size
                | Self::Count
        )
    }

    /// Reads a value of JSON. `read` finds profiles that are files.
    ///
    /// # Errors
    /// What was found, and what to write instead.
    pub fn read(self, value: &Value, read: ReadFile<'_>) -> Result<Setting, String> {
        match (self, value) {
            (Self::Profile, Value::Object(_)) => {
                profile(value, Profile::from_json_with(&value.to_string(), read))
            }
            (_, Value::String(text)) => self.read_text(text, read),
            (Self::Burst | Self::Count, Value::Number(number)) => {
                self.read_text(&number.to_string(), read)
            }
            // A bare fraction is a share, and a bare number of bytes a size, as rows have them.
            (Self::Share, Value::Number(number)) => {
                match number.as_f64().filter(|share| *share < 1.0) {
                    Some(share) => share_of(share),
                    None => Err(format!("{number} has no unit; write \"{number}%\"")),
                }
            }
            (Self::Size, Value::Number(number)) => match number.as_u64() {
                Some(bytes) => Ok(Setting::Size(ByteSize::new(bytes))),
                None => Err(format!("{number} is not a number of bytes; write \"64KiB\", say")),
            },
            (_, Value::Number(number)) if number.as_f64() == Some(0.0) => self.read_text("0", read),
            (_, other) => self.read_text(&other.to_string(), read),
        }
    }

    fn read_text(self, text: &str, read: ReadFile<'_>) -> Result<Setting, String> {
        let words = |error: jostle_common::units::UnitError| error.to_string();
        match self {
            Self::Share => text.parse().map(Setting::Share).map_err(words),
            Self::Rate => text.parse().map(Setting::Rate).map_err(words),
            Self::Queue => text.parse().map(Setting::Queue),
            Self::Time => parse_duration(text).map(|time| Setting::Time(Span(time))).map_err(words),
            Self::Size => text.parse().map(Setting::Size).map_err(words),
            Self::Timing => text.parse().map(Setting::Timing).map_err(words),
            Self::Burst => text.parse().map(Setting::Burst),
            Self::Count => match text.trim().parse() {
                Ok(count) => Ok(Setting::Count(count)),
                Err(_) => Err(format!("\"{text}\" is not a whole number; write 100, say")),
            },
            Self::Protocol => named(text, Protocol::named(text).map(Setting::Protocol), || {
                Protocol::ALL.map(Protocol::name).join(", ")
            }),
            Self::Tcp => text.parse().map(Setting::Tcp),
            Self::Transports => {
                let over = [Transports::Tcp, Transports::Udp, Transports::Both];
                let found = over.into_iter().find(|over| over.scheme() == text);
                named(text, found.map(Setting::Transports), || {
                    over.map(Transports::scheme).join(", ")
                })
            }
            Self::Profile if text.trim_start().starts_with('{') => {
                let written = serde_json::from_str(text)
                    .map_err(|error| format!("this is not JSON: {error}"))?;
                profile(&written, Profile::from_json_with(text, read))
            }
            Self::Profile => profile(&json!(text), named_profile(text, read)),
            Self::Text if text.is_empty() => Err("it is empty".to_owned()),
            Self::Text => Ok(Setting::Text(text.to_owned())),
        }
    }
}

fn share_of(fraction: f64) -> Result<Setting, String> {
    let share = Probability::new(fraction).map(Setting::Share);
    share.ok_or_else(|| format!("{fraction} is less than nothing; write 0 to 100%"))
}

fn named(
    text: &str,
    found: Option<Setting>,
    all: impl FnOnce() -> String,
) -> Result<Setting, String> {
    found.ok_or_else(|| format!("there is no \"{text}\"; write one of {}", all()))
}

fn profile(
    written: &Value,
    read: Result<Profile, jostle_common::setting::SettingError>,
) -> Result<Setting, String> {
    let profile = Arc::new(read.map_err(|error| error.to_string())?);
    Ok(Setting::Profile(NamedProfile { written: written.clone(), profile }))
}

impl Setting {
    /// Returns the value as rows have it: a share is a fraction, a size a number of bytes, what has
    /// a unit a text.
    pub fn value(&self) -> Value {
        match self {
            Self::Share(share) => json!(share.as_f64()),
            Self::Burst(BurstLength::Packets(packets)) => json!(packets),
            Self::Size(size) => json!(size.bytes()),
            Self::Count(count) => json!(count),
            Self::Profile(named) => named.written.clone(),
            _ => json!(self.to_string()),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => share.fmt(f),
            Self::Burst(length) => length.fmt(f),
            Self::Rate(rate) => rate.fmt(f),
            Self::Queue(queue) => queue.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Size(size) => size.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Timing(timing) => timing.fmt(f),
            Self::Protocol(protocol) => f.write_str(protocol.name()),
            Self::Tcp(tcp) => f.write_str(tcp.name()),
            Self::Transports(transport) => f.write_str(transport.scheme()),
            Self::Profile(named) => match &named.written {
                Value::String(name) => f.write_str(name),
                object => write!(f, "{object}"),
            },
            Self::Text(text) => f.write_str(text),
        }
    }
}
