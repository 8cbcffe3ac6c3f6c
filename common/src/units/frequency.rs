//! A frequency in hertz: how often per second, and the gain of a controller that answers a time.

use super::number::Decimal;
use super::{UnitError, spelling};
use std::fmt;
use std::str::FromStr;

/// A frequency in hertz, 0 to 1,000,000. Written `"0.125Hz"`. As the gain of a controller it is the
/// answer, a plain number, to each second by which a time is off.
///
/// ```
/// use jostle_common::units::Frequency;
/// let gain: Frequency = "0.125Hz".parse().unwrap();
/// assert_eq!(gain.hertz(), 0.125);
/// assert_eq!(gain.to_string(), "0.125Hz");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Frequency(f64);

/// The highest, in hertz: beyond it any delay of a microsecond would be a whole answer.
const HERTZ_MAX: f64 = 1e6;

const REMEDY: &str = "write hertz such as \"0.125Hz\"";

impl Frequency {
    /// Creates a frequency; `None` unless it is from 0 to 1,000,000 hertz.
    pub fn new(hertz: f64) -> Option<Self> {
        (0.0..=HERTZ_MAX).contains(&hertz).then_some(Self(hertz))
    }

    /// Returns the hertz.
    pub const fn hertz(self) -> f64 {
        self.0
    }
}

impl FromStr for Frequency {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if let Some(error) = spelling::slip(text, str::parse::<Self>) {
            return Err(error);
        }
        let Some((number, unit)) = Decimal::split(text) else {
            return Err(UnitError::new(format!("\"{text}\" is not a frequency"), REMEDY));
        };
        match unit {
            "Hz" | "/s" => {}
            "" if number.is_zero() => {}
            "" => {
                let remedy = format!("write \"{}Hz\"", text.trim());
                return Err(UnitError::new(format!("\"{text}\" has no unit"), remedy));
            }
            unit => {
                return Err(UnitError::new(
                    format!("\"{unit}\" is not a unit of frequency"),
                    REMEDY,
                ));
            }
        }
        Self::new(number.as_f64()).ok_or_else(|| {
            UnitError::new(format!("\"{text}\" is out of bounds"), "write at most \"1000000Hz\"")
        })
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Hz", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_prints_it() {
        for (text, hertz, printed) in [
            ("0.125Hz", 0.125, "0.125Hz"),
            (" 3 Hz", 3.0, "3Hz"),
            ("1.25/s", 1.25, "1.25Hz"),
            ("0", 0.0, "0Hz"),
            ("0.000000001Hz", 1e-9, "0.000000001Hz"),
        ] {
            let read: Frequency = text.parse().unwrap();
            assert_eq!((read.hertz(), read.to_string().as_str()), (hertz, printed), "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
        for text in ["", "0.125", "-1Hz", "2ms", "1000001Hz", "Hz", "1e3Hz"] {
            assert!(text.parse::<Frequency>().is_err(), "{text}");
        }
    }
}
