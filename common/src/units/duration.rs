//! Times in a profile: `"50ms"`, `"1.5s"`, `"2m 30s"`.

use super::number::Decimal;
use super::{UnitError, spelling};
use std::time::Duration;

/// Reads a time such as `"50ms"`, `"1.5s"` or `"2m 30s"` (humantime's units). `0` needs no unit.
///
/// ```
/// use jostle_common::units::parse_duration;
/// use std::time::Duration;
/// assert_eq!(parse_duration("1.5ms").unwrap(), Duration::from_micros(1500));
/// assert_eq!(parse_duration("50").unwrap_err().to_string(), "\"50\" has no unit; write \"50ms\"");
/// ```
///
/// # Errors
/// When there is no number, no unit or an unknown one.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if let Some(error) = spelling::slip(text, parse_duration) {
        return Err(error);
    }
    if let Some((number, unit)) = Decimal::split(text) {
        // humantime reads whole numbers only; a person writes 0.5ms.
        let scale = match unit {
            "" if number.is_zero() => return Ok(Duration::ZERO),
            "" => {
                return Err(UnitError::new(
                    format!("\"{text}\" has no unit"),
                    format!("write \"{}ms\"", text.trim()),
                ));
            }
            "ns" => Some(1),
            "us" | "µs" => Some(1_000),
            "ms" => Some(1_000_000),
            "s" => Some(1_000_000_000),
            _ => None,
        };
        if let Some(scale) = scale {
            return number.scaled(scale).map(Duration::from_nanos);
        }
    }
    humantime::parse_duration(text).map_err(|_| {
        let remedy = Decimal::split(text)
            .and_then(|(_, unit)| spelling::time(spelling::in_front_of(text, unit), unit));
        let remedy = remedy
            .unwrap_or_else(|| "write a time such as \"50ms\" (ns, us, ms, s, m, h)".to_owned());
        UnitError::new(format!("\"{text}\" is not a time"), remedy)
    })
}

/// Prints a time exactly, the way [`parse_duration`] reads it and people say it: one number with
/// one unit, but for whole seconds of a minute and more.
///
/// ```
/// use jostle_common::units::format_duration;
/// use std::time::Duration;
/// let said = [1_280, 15, 90_000].map(|ms| format_duration(Duration::from_millis(ms)));
/// assert_eq!(said, ["1.28s", "15ms", "1m 30s"]);
/// ```
pub fn format_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 4] =
        [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let nanos = duration.as_nanos();
    // A decimal number has 64 bits.
    let is_long = nanos > u128::from(u64::MAX);
    if nanos == 0 || is_long || (duration.as_secs() >= 60 && duration.subsec_nanos() == 0) {
        return humantime::format_duration(duration).to_string();
    }
    let fits = UNITS.into_iter().find(|(scale, _)| nanos >= *scale);
    let (scale, unit) = fits.expect("it is at least a nanosecond");
    let digits = scale.ilog10() as usize;
    let fraction = format!("{:0digits$}", nanos % scale);
    let fraction = if digits == 0 { "" } else { fraction.trim_end_matches('0') };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}{unit}", nanos / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, nanos) in [
            ("50ms", 50_000_000),
            ("0.5ms", 500_000),
            ("1us", 1_000),
            ("0", 0),
            ("2m 30s", 150_000_000_000),
            ("1.5 s", 1_500_000_000),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_nanos(nanos), "{text}");
        }
        for text in ["", "50", "ms", "5 parsecs", "-5ms", "5%"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_one_number_with_one_unit() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_500, "1.5us"),
            (5_700_000, "5.7ms"),
            (1_000_000_000, "1s"),
            (1_280_000_000, "1.28s"),
            (59_999_999_999, "59.999999999s"),
            (60_000_000_000, "1m"),
            (61_500_000_000, "61.5s"),
            (5_400_000_000_000, "1h 30m"),
        ] {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), text);
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(nanos: u64, seconds in 0u64..1 << 60, part in 0u32..1_000_000_000) {
            for duration in [Duration::from_nanos(nanos), Duration::new(seconds, part)] {
                prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
            }
        }
    }
}
