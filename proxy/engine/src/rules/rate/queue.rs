//! The bound of a queue, and how it is written.

use jostle_common::units::{ByteSize, format_duration, parse_duration};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The bound of a queue. Written `"100ms"`, `"64KiB"` or `"50 packets"`: the unit tells which is
/// meant.
///
/// ```
/// use jostle_engine::profile::Queue;
/// assert_eq!("50 packets".parse(), Ok(Queue::Packets(50)));
/// assert_eq!(Queue::Packets(50).to_string(), "50 packets");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The longest wait until transmission starts.
    Time(Duration),
    /// The most bytes waiting.
    Bytes(ByteSize),
    /// The most packets waiting.
    Packets(u64),
}

impl FromStr for Queue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(number) = text.strip_suffix("packets").or_else(|| text.strip_suffix("packet")) {
            return number.trim().parse().map(Self::Packets).map_err(|_| {
                format!("\"{text}\" is not a number of packets; write \"50 packets\"")
            });
        }
        let bytes = || text.parse().map(Self::Bytes);
        parse_duration(text).map(Self::Time).or_else(|_| bytes()).map_err(|_| {
            format!(
                "\"{text}\" is not a queue; write a time (\"100ms\"), bytes (\"64KiB\") or \
                     packets (\"50 packets\")"
            )
        })
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&format_duration(*time)),
            Self::Bytes(size) => size.fmt(f),
            Self::Packets(1) => f.write_str("1 packet"),
            Self::Packets(count) => write!(f, "{count} packets"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_unit_tells_what_is_bounded() {
        for (text, queue) in [
            ("1.5s", Queue::Time(Duration::from_millis(1500))),
            ("0", Queue::Time(Duration::ZERO)),
            ("0B", Queue::Bytes(ByteSize::new(0))),
            ("64kB", Queue::Bytes(ByteSize::new(64_000))),
            ("1 packet", Queue::Packets(1)),
            ("50packets", Queue::Packets(50)),
        ] {
            assert_eq!(text.parse(), Ok(queue), "{text}");
        }
        for text in ["", "100", "-1 packets", "packets", "1.5 packets", "10Mbit/s", "5%"] {
            assert!(text.parse::<Queue>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(number: u64) {
            let time = Queue::Time(Duration::from_nanos(number));
            for queue in [time, Queue::Bytes(ByteSize::new(number)), Queue::Packets(number)] {
                prop_assert_eq!(queue.to_string().parse(), Ok(queue));
            }
        }
    }
}
