//! A probability, compared as an integer threshold so that a decision is one exact comparison on
//! every machine.

use super::number::Decimal;
use super::{UnitError, spelling};
use std::fmt;
use std::str::FromStr;

/// A probability from 0 to 1 inclusive. Written `"2%"`, or as a fraction (`0.02`).
///
/// ```
/// use jostle_common::units::Probability;
/// let loss: Probability = "2%".parse().unwrap();
/// assert_eq!(loss.as_f64(), 0.02);
/// assert_eq!(loss.to_string(), "2%");
/// assert!("2".parse::<Probability>().is_err(), "a bare number has no unit");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0.0);
    /// Always.
    pub const ALWAYS: Self = Self(1.0);

    /// Creates the probability `fraction`, if it lies in 0..=1.
    pub fn new(fraction: f64) -> Option<Self> {
        // Adding zero turns -0 into 0.
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction + 0.0))
    }

    /// Returns the probability as a fraction.
    pub const fn as_f64(self) -> f64 {
        self.0
    }

    /// Returns true if it is exactly zero.
    pub fn is_never(self) -> bool {
        self.0 == 0.0
    }

    /// Returns true if an event of this probability happens when the random number is `bits`: the
    /// lowest share of all numbers are hits, so a higher probability hits a superset.
    #[inline]
    pub fn covers(self, bits: u64) -> bool {
        self.threshold().covers(bits)
    }

    /// Returns what it is compared by, for those who compare often.
    #[inline]
    pub fn threshold(self) -> Threshold {
        // 2^64·p is exact: a multiplication by a power of two, and p < 1 there.
        let below = (self.0 * 18_446_744_073_709_551_616.0) as u64;
        Threshold { below, is_always: self.0 >= 1.0 }
    }

    /// Returns the probability of the opposite event.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(1.0 - self.0)
    }
}

/// A probability as the share of all numbers of 64 bits that are hits.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    below: u64,
    /// All numbers are: no bound of 64 bits says so.
    is_always: bool,
}

impl Threshold {
    /// Returns true if an event of this probability happens, as [`Probability::covers`] does.
    #[inline]
    pub const fn covers(self, bits: u64) -> bool {
        bits < self.below || self.is_always
    }
}

impl FromStr for Probability {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let found = || format!("\"{text}\" is not a probability");
        if let Some(error) = spelling::slip(text, str::parse::<Self>) {
            return Err(error);
        }
        let Some((number, unit)) = Decimal::split(text) else {
            return Err(UnitError::new(
                found(),
                "write a percentage such as \"2%\" or a fraction such as 0.02",
            ));
        };
        let value = number.as_f64();
        let fraction = match unit {
            "%" => number.hundredth_as_f64(),
            // A bare 1 might be meant as 1 % or as always, so only 0 and numbers with a point are
            // fractions.
            "" if number.is_zero() || (value < 1.0 && text.contains('.')) => value,
            "" => {
                return Err(UnitError::new(
                    format!("\"{text}\" has no unit"),
                    format!("write \"{}%\"", text.trim()),
                ));
            }
            _ => return Err(UnitError::new(found(), format!("write \"{value}%\""))),
        };
        Self::new(fraction).ok_or_else(|| {
            UnitError::new(format!("\"{text}\" is more than 100%"), "write 0 to 100%")
        })
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nine decimals of a percent are what the parser reads; rounding hides that 0.07 · 100 is
        // not 7 in binary.
        let text = format!("{:.9}", self.0 * 100.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_percentages_and_fractions() {
        for (text, value) in [
            ("2%", 0.02),
            ("0", 0.0),
            ("0%", 0.0),
            ("100%", 1.0),
            ("0.1%", 0.001),
            ("0.05", 0.05),
            (" 5 % ", 0.05),
            ("0.7%", 0.007),
            ("0.000000001%", 1e-11),
        ] {
            assert_eq!(text.parse::<Probability>().unwrap().as_f64(), value, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_probability() {
        for text in ["", "3", "1", "101%", "-1%", "2‰", "two", "1.", ".5", "0.0.1", "5ms"] {
            assert!(text.parse::<Probability>().is_err(), "{text}");
        }
        assert_eq!(
            "3".parse::<Probability>().unwrap_err().to_string(),
            "\"3\" has no unit; write \"3%\""
        );
    }

    #[test]
    fn every_tenth_of_a_percent_round_trips() {
        for step in 0..=1000 {
            let text = Probability::new(f64::from(step) / 1000.0).unwrap().to_string();
            assert_eq!(text.parse::<Probability>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn thresholds_hold_at_both_ends() {
        assert!(!Probability::NEVER.covers(0));
        assert!(Probability::ALWAYS.covers(u64::MAX));
        let half = Probability::new(0.5).unwrap();
        assert!(half.covers((1 << 63) - 1) && !half.covers(1 << 63));
    }
}
