//! Quantities as other tools and hasty people spell them, answered with how they are spelled here.
//!
//! netem writes `1mbit` and takes `kbps` for bytes, clumsy's numbers are bare, and a minus sign or
//! a hexadecimal number is a slip of the hand. Where a spelling has two readings both are named.

use super::{Span, UnitError, parse_duration};

/// The beginning of a hexadecimal number.
const HEXADECIMAL: &str = "0x";

/// Returns the error for a spelling that would be right without its sign, or in decimal: `-5%`,
/// `0x7`. `read` is the reader of the quantity.
pub(super) fn slip<T>(
    text: &str,
    read: impl Fn(&str) -> Result<T, UnitError>,
) -> Option<UnitError> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix(['-', '\u{2212}']) {
        let remedy = meant(rest, &read)?;
        return Some(UnitError::new(format!("\"{text}\" is negative"), remedy));
    }
    let digits = text.strip_prefix(HEXADECIMAL).or_else(|| text.strip_prefix("0X"))?;
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    let (digits, unit) = digits.split_at(end);
    let decimal = format!("{}{unit}", u64::from_str_radix(digits, 16).ok()?);
    Some(UnitError::new(format!("\"{text}\" is hexadecimal"), meant(&decimal, &read)?))
}

/// Returns what to write for `text`: itself if it can be read, or else what its error says.
fn meant<T>(text: &str, read: impl Fn(&str) -> Result<T, UnitError>) -> Option<String> {
    match read(text) {
        Ok(_) => Some(format!("write \"{text}\"")),
        Err(error) => error.remedy.starts_with("write \"").then_some(error.remedy),
    }
}

/// Returns the number in front of a unit, as it was written.
pub(super) fn in_front_of<'a>(text: &'a str, unit: &str) -> &'a str {
    let text = text.trim();
    text.strip_suffix(unit).unwrap_or(text).trim_end()
}

/// Returns the remedy for a number with the unit of a rate that is not one here.
pub(super) fn rate(number: &str, unit: &str) -> Option<String> {
    let units: &[&str] = match unit.to_lowercase().as_str() {
        "bit" | "bits" | "bits/s" | "bit/s" => &["bit/s"],
        "kbit" | "kbits" | "kbits/s" | "kbit/s" => &["kbit/s"],
        "mbit" | "mbits" | "mbits/s" | "mbit/s" => &["Mbit/s"],
        "gbit" | "gbits" | "gbits/s" | "gbit/s" => &["Gbit/s"],
        // netem means bytes by these, everybody else bits.
        "bps" | "b/s" => &["bit/s", "B/s"],
        "k" | "kbps" | "kb/s" => &["kbit/s", "kB/s"],
        "m" | "mbps" | "mb/s" => &["Mbit/s", "MB/s"],
        "g" | "gbps" | "gb/s" => &["Gbit/s", "GB/s"],
        "kib" | "kibps" | "kib/s" => &["KiB/s"],
        "mib" | "mibps" | "mib/s" => &["MiB/s"],
        _ => return None,
    };
    Some(remedy(number, units))
}

/// Returns the remedy for a number with the unit of a size that is not one here.
pub(super) fn size(number: &str, unit: &str) -> Option<String> {
    let units: &[&str] = match unit.to_lowercase().as_str() {
        "b" | "byte" | "bytes" => &["B"],
        "k" | "kb" => &["KiB", "kB"],
        "m" | "mb" => &["MiB", "MB"],
        "g" | "gb" => &["GiB", "GB"],
        "kib" => &["KiB"],
        "mib" => &["MiB"],
        "gib" => &["GiB"],
        _ => return None,
    };
    Some(remedy(number, units))
}

/// Returns the remedy for a number with the unit of a time that is not one here.
pub(super) fn time(number: &str, unit: &str) -> Option<String> {
    let unit = match unit.to_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => "ms",
        "us" | "\u{b5}s" | "\u{3bc}s" | "usec" | "usecs" | "microseconds" => "us",
        "ns" | "nsec" | "nsecs" | "nanoseconds" => "ns",
        _ => return None,
    };
    Some(remedy(number, &[unit]))
}

/// Returns `write "10Mbit/s" or "10MB/s"`.
fn remedy(number: &str, units: &[&str]) -> String {
    let choices: Vec<String> = units.iter().map(|unit| format!("\"{number}{unit}\"")).collect();
    format!("write {}", choices.join(" or "))
}

/// Reads a time that is seconds or more where a person leaves the unit out: `--for 5`.
///
/// ```
/// use jostle_common::units::parse_seconds;
/// assert_eq!(parse_seconds("5").unwrap_err().to_string(), "\"5\" has no unit; write \"5s\"");
/// ```
///
/// # Errors
/// When there is no number, no unit or an unknown one.
pub fn parse_seconds(text: &str) -> Result<Span, UnitError> {
    parse_duration(text).map(Span).map_err(|error| {
        let with_unit = format!("{}s", text.trim());
        // Only the unit is missing if the number can be read with one.
        let is_bare = text.trim().ends_with(|c: char| c.is_ascii_digit());
        match parse_duration(&with_unit) {
            Ok(_) if is_bare => UnitError::new(error.finding, format!("write \"{with_unit}\"")),
            _ => error,
        }
    })
}

/// Reads a seed: a whole number of 64 bits, also in hexadecimal (`0x7`).
///
/// ```
/// use jostle_common::units::parse_seed;
/// assert_eq!((parse_seed("7"), parse_seed("0xFF")), (Ok(7), Ok(255)));
/// ```
///
/// # Errors
/// When it is none.
pub fn parse_seed(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    let read = match text.strip_prefix(HEXADECIMAL).or_else(|| text.strip_prefix("0X")) {
        // A sign is no digit.
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16),
        _ => text.parse(),
    };
    read.map_err(|_| {
        let most = u64::MAX;
        UnitError::new(
            format!("\"{text}\" is not a seed"),
            format!("write a whole number from 0 to {most}, or one such as 0x7"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{BitRate, ByteSize, Probability};

    fn refused<T>(text: &str) -> String
    where
        T: std::str::FromStr<Err = UnitError> + std::fmt::Debug,
    {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn the_spellings_of_other_tools_are_answered_with_what_to_write() {
        for (text, remedy) in [
            ("1mbit", "write \"1Mbit/s\""),
            ("1.5 kbit", "write \"1.5kbit/s\""),
            ("1Gbit", "write \"1Gbit/s\""),
            ("10mbps", "write \"10Mbit/s\" or \"10MB/s\""),
            ("1MBIT/S", "write \"1Mbit/s\""),
            ("-1Mbit/s", "write \"1Mbit/s\""),
            ("-1mbit", "write \"1Mbit/s\""),
            ("0x7", "write \"7Mbit/s\", say"),
        ] {
            assert!(refused::<BitRate>(text).ends_with(remedy), "{}", refused::<BitRate>(text));
        }
        for (text, remedy) in [
            ("-5%", "\"-5%\" is negative; write \"5%\""),
            ("-5", "\"-5\" is negative; write \"5%\""),
            ("0x7", "\"0x7\" is hexadecimal; write \"7%\""),
            ("0x1F%", "\"0x1F%\" is hexadecimal; write \"31%\""),
        ] {
            assert_eq!(refused::<Probability>(text), remedy);
        }
        for (text, remedy) in [
            ("64K", "write \"64KiB\" or \"64kB\""),
            ("64kib", "write \"64KiB\""),
            ("1500 bytes", "write \"1500B\""),
            ("-1B", "write \"1B\""),
        ] {
            assert!(refused::<ByteSize>(text).ends_with(remedy), "{}", refused::<ByteSize>(text));
        }
        for (text, remedy) in [
            ("100msecs", "write \"100ms\""),
            ("5MS", "write \"5ms\""),
            ("-5ms", "\"-5ms\" is negative; write \"5ms\""),
            ("0x7", "\"0x7\" is hexadecimal; write \"7ms\""),
        ] {
            assert!(refused::<Span>(text).ends_with(remedy), "{}", refused::<Span>(text));
        }
    }

    #[test]
    fn what_is_no_slip_is_refused_as_before() {
        for text in ["--", "-", "-x", "0x", "0xg"] {
            assert!(refused::<Probability>(text).contains("is not a probability"), "{text}");
        }
    }

    #[test]
    fn seconds_are_proposed_only_for_a_bare_number() {
        let error = |text| parse_seconds(text).unwrap_err().to_string();
        assert_eq!(error("5"), "\"5\" has no unit; write \"5s\"");
        assert_eq!(error("1.5"), "\"1.5\" has no unit; write \"1.5s\"");
        assert!(error("soon").ends_with("write a time such as \"50ms\" (ns, us, ms, s, m, h)"));
        assert_eq!(parse_seconds("5s").unwrap().to_string(), "5s");
    }

    #[test]
    fn seeds_are_read_in_both_bases() {
        for (text, seed) in [("0", 0), ("0x7", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_seed(text), Ok(seed), "{text}");
        }
        for text in ["", "seven", "-1", "0x", "0x+7", "0xg", "18446744073709551616"] {
            assert!(parse_seed(text).is_err(), "{text}");
        }
    }
}
