//! A rate in packets per second.

use super::number::Decimal;
use super::{UnitError, spelling};
use std::fmt;
use std::str::FromStr;

/// A rate in packets per second, above 0. Written `"1000/s"`; `"0.5/s"` is a packet every two
/// seconds.
///
/// ```
/// use jostle_common::units::PacketRate;
/// let rate: PacketRate = "1000/s".parse().unwrap();
/// assert_eq!(rate.per_second(), 1000.0);
/// assert_eq!(rate.to_string(), "1000/s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketRate(u64);

/// A rate is held in packets per so many seconds, so that the times of a stream are exact.
const SECONDS: u64 = 1_000;

impl PacketRate {
    /// Creates the rate of `packets` per 1,000 seconds; `None` for zero, at which none ever comes.
    pub const fn new(packets: u64) -> Option<Self> {
        if packets == 0 { None } else { Some(Self(packets)) }
    }

    /// Returns the packets per 1,000 seconds.
    pub const fn per_thousand_seconds(self) -> u64 {
        self.0
    }

    /// Returns the packets per second.
    pub fn per_second(self) -> f64 {
        self.0 as f64 / SECONDS as f64
    }
}

impl FromStr for PacketRate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const REMEDY: &str = "write packets per second such as \"1000/s\"";
        if let Some(error) = spelling::slip(text, str::parse::<Self>) {
            return Err(error);
        }
        let Some((number, unit)) = Decimal::split(text) else {
            return Err(UnitError::new(format!("\"{text}\" is not a rate of packets"), REMEDY));
        };
        match unit {
            "/s" | "packets/s" | "packet/s" | "pps" => {}
            "" => {
                let remedy = format!("write \"{}/s\"", text.trim());
                return Err(UnitError::new(format!("\"{text}\" has no unit"), remedy));
            }
            unit => {
                return Err(UnitError::new(
                    format!("\"{unit}\" is not a unit of packet rate"),
                    REMEDY,
                ));
            }
        }
        Self::new(number.scaled(SECONDS)?).ok_or_else(|| {
            UnitError::new("at this rate no packet ever comes", "write at least \"0.001/s\"")
        })
    }
}

impl fmt::Display for PacketRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_prints_it() {
        for (text, packets, printed) in [
            ("1000/s", 1_000_000, "1000/s"),
            ("0.5/s", 500, "0.5/s"),
            ("50 packets/s", 50_000, "50/s"),
            ("2pps", 2_000, "2/s"),
        ] {
            let rate: PacketRate = text.parse().unwrap();
            assert_eq!(
                (rate.per_thousand_seconds(), rate.to_string().as_str()),
                (packets, printed),
                "{text}"
            );
        }
        for text in ["", "1000", "0/s", "0.0001/s", "10Mbit/s", "-1/s"] {
            assert!(text.parse::<PacketRate>().is_err(), "{text}");
        }
    }
}
