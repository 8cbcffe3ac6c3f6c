//! A rate in bits per second.

use super::number::{Decimal, in_largest_unit};
use super::{UnitError, spelling};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A rate in bits per second, at least 1. Written `"10Mbit/s"`; `"1MB/s"` and `"64KiB/s"` count
/// bytes.
///
/// ```
/// use jostle_common::units::BitRate;
/// let rate: BitRate = "10Mbit/s".parse().unwrap();
/// assert_eq!(rate.bits_per_second(), 10_000_000);
/// assert_eq!(rate.to_string(), "10Mbit/s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(u64);

const BIT_UNITS: [(&str, u64); 4] =
    [("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000)];
const BYTE_UNITS: [(&str, u64); 6] = [
    ("B/s", 8),
    ("kB/s", 8_000),
    ("MB/s", 8_000_000),
    ("GB/s", 8_000_000_000),
    ("KiB/s", 8 * 1024),
    ("MiB/s", 8 * 1024 * 1024),
];

impl BitRate {
    /// Creates the rate of `bits` per second; `None` for zero, at which nothing would ever arrive.
    pub const fn new(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// Returns the bits per second.
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    /// Returns the number of whole bytes that the rate carries in `time`.
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.0) * time.as_nanos() / 8_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl FromStr for BitRate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const REMEDY: &str = "write a rate such as \"10Mbit/s\" (bit/s, kbit/s, Mbit/s, Gbit/s; \
                              B/s, kB/s, MB/s, KiB/s, MiB/s)";
        if let Some(error) = spelling::slip(text, str::parse::<Self>) {
            return Err(error);
        }
        let Some((number, unit)) = Decimal::split(text) else {
            return Err(UnitError::new(format!("\"{text}\" is not a rate"), REMEDY));
        };
        if unit.is_empty() && !number.is_zero() {
            // Terabits are never meant.
            let unit = if number.as_f64() < 1000.0 { "Mbit/s" } else { "bit/s" };
            return Err(UnitError::new(
                format!("\"{text}\" has no unit"),
                format!("write \"{}{unit}\", say", text.trim()),
            ));
        }
        let scale = BIT_UNITS
            .iter()
            .chain(&BYTE_UNITS)
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale);
        let bits = match scale {
            Some(scale) => number.scaled(scale)?,
            None if unit.is_empty() => 0,
            None => {
                let digits = spelling::in_front_of(text, unit);
                let remedy = spelling::rate(digits, unit).unwrap_or_else(|| REMEDY.to_owned());
                return Err(UnitError::new(format!("\"{unit}\" is not a unit of rate"), remedy));
            }
        };
        Self::new(bits).ok_or_else(|| {
            UnitError::new(
                "a rate of 0 never delivers anything",
                "to cut a link write { \"rule\": \"drop\", \"chance\": \"100%\" }",
            )
        })
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_largest_unit(self.0, &BIT_UNITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_bits_and_bytes() {
        for (text, bits) in [
            ("56kbit/s", 56_000),
            ("1.5Mbit/s", 1_500_000),
            ("10 Gbit/s", 10_000_000_000),
            ("1MB/s", 8_000_000),
            ("1KiB/s", 8192),
        ] {
            assert_eq!(text.parse::<BitRate>().unwrap().bits_per_second(), bits, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_rate() {
        for text in ["", "10", "0", "0Mbit/s", "10mbps", "fast", "10 Mbit", "99999999999Gbit/s"] {
            assert!(text.parse::<BitRate>().is_err(), "{text}");
        }
    }

    #[test]
    fn counts_bytes_in_a_time() {
        assert_eq!(
            "10Mbit/s".parse::<BitRate>().unwrap().bytes_in(Duration::from_secs(10)),
            12_500_000
        );
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(bits in 1u64..) {
            let rate = BitRate::new(bits).unwrap();
            prop_assert_eq!(rate.to_string().parse::<BitRate>().unwrap(), rate);
        }
    }
}
