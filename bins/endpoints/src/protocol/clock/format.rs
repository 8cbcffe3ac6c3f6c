//! The formats in which a time is written, and read again whatever program wrote it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// The last second that RFC 3339 can write, 9999-12-31T23:59:59Z.
const LATEST: Duration = Duration::new(253_402_300_799, 999_999_999);
const DAY: Duration = Duration::from_secs(86_400);
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The format in which a server writes the time, always in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2001-09-09T01:46:40.000000007Z`.
    #[default]
    Rfc3339,
    /// `Sun, 09 Sep 2001 01:46:40 +0000`, as in mail; whole seconds.
    Rfc2822,
    /// `1000000000.000000007`: seconds since 1970.
    Unix,
    /// `1000000000000`: milliseconds since 1970.
    UnixMs,
    /// `1000000000000000007`: nanoseconds since 1970.
    UnixNs,
}

impl TimeFormat {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Rfc3339, Self::Rfc2822, Self::Unix, Self::UnixMs, Self::UnixNs];

    /// Returns its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Rfc2822 => "rfc2822",
            Self::Unix => "unix",
            Self::UnixMs => "unix-ms",
            Self::UnixNs => "unix-ns",
        }
    }

    /// Writes a calendar time (since 1970-01-01 UTC), rounded down to what the format can say.
    ///
    /// ```
    /// use jostle_endpoints::protocol::clock::TimeFormat;
    /// let wall = std::time::Duration::new(1_000_000_000, 7);
    /// assert_eq!(TimeFormat::Rfc2822.print(wall), "Sun, 09 Sep 2001 01:46:40 +0000");
    /// ```
    pub fn print(self, wall: Duration) -> String {
        let wall = wall.min(LATEST);
        match self {
            Self::Rfc3339 => {
                humantime::format_rfc3339_nanos(SystemTime::UNIX_EPOCH + wall).to_string()
            }
            Self::Rfc2822 => rfc2822(wall),
            Self::Unix => format!("{}.{:09}", wall.as_secs(), wall.subsec_nanos()),
            Self::UnixMs => wall.as_millis().to_string(),
            Self::UnixNs => wall.as_nanos().to_string(),
        }
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TimeFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("\"{text}\" is no format of a time; write one of {}", known()))
    }
}

/// Returns the date of RFC 3339 in other words.
fn rfc2822(wall: Duration) -> String {
    let text = TimeFormat::Rfc3339.print(wall);
    let days = wall.as_secs() / DAY.as_secs();
    let weekday = WEEKDAYS[(days % 7) as usize];
    let month = text[5..7].parse().ok().and_then(|month: usize| MONTHS.get(month - 1)).copied();
    let month = month.expect("RFC 3339 has the month as two digits from 01 to 12");
    format!("{weekday}, {} {month} {} {} +0000", &text[8..10], &text[..4], &text[11..19])
}

/// A time that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The calendar time since 1970-01-01 UTC. The clock showed this, or up to `resolution` more.
    pub wall: Duration,
    /// The unit of the last digit that was written, at least a nanosecond.
    pub resolution: Duration,
}

/// Reads a time in any of the formats, with other offsets from UTC and fewer digits too, as other
/// programs write it.
pub fn parse_time(text: &str) -> Option<Reading> {
    let text = text.trim();
    if !text.is_ascii() || text.len() > 64 {
        return None;
    }
    let parsers = [parse_number, parse_rfc3339, parse_rfc2822];
    parsers.into_iter().find_map(|parse| parse(text)).filter(|reading| reading.wall <= LATEST)
}

/// Reads seconds, with or without decimals; or, told apart by their number of digits, milli-,
/// micro- and nanoseconds. Seconds have up to 11 digits until the year 5138.
fn parse_number(text: &str) -> Option<Reading> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let unit: u64 = match (whole.len(), decimals) {
        (..12, _) => 1_000_000_000,
        (12..15, "") => 1_000_000,
        (15..18, "") => 1_000,
        (18.., "") => 1,
        _ => return None,
    };
    let digits = decimals.len().min(9);
    let fraction: u64 = format!("{:0<9}", &decimals[..digits]).parse().ok()?;
    let wall =
        Duration::from_nanos(whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(fraction)?);
    Some(Reading { wall, resolution: Duration::from_nanos(unit / 10u64.pow(digits as u32)) })
}

/// Reads a date and a time, a fraction, and `Z` or an offset from UTC.
fn parse_rfc3339(text: &str) -> Option<Reading> {
    let (local, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (local, offset_seconds(&offset.replacen(':', "", 1))?)
        }
    };
    let digits = local.split_once('.').map_or(0, |(_, digits)| digits.len().min(9));
    let local =
        humantime::parse_rfc3339_weak(local).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let resolution = Duration::from_nanos(10u64.pow(9 - digits as u32));
    Some(Reading { wall: shifted(local, offset)?, resolution })
}

/// Reads `[Sun, ]09 Sep 2001 01:46:40 +0000`, or with `GMT` as HTTP has it.
fn parse_rfc2822(text: &str) -> Option<Reading> {
    let bare = text.split_once(", ").map_or(text, |(_, rest)| rest);
    let mut fields = bare.split_ascii_whitespace();
    let (day, month, year, time) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let offset = match fields.next()? {
        "GMT" | "UT" | "UTC" => 0,
        offset => offset_seconds(offset)?,
    };
    if fields.next().is_some() {
        return None;
    }
    let month = parse_month(month)?;
    let local = parse_rfc3339(&format!("{year}-{month:02}-{day:0>2}T{time}Z"))?;
    Some(Reading { wall: shifted(local.wall, offset)?, ..local })
}

/// Returns the number of a month from 1 on, by its English name in three letters.
pub(super) fn parse_month(name: &str) -> Option<usize> {
    Some(MONTHS.iter().position(|known| *known == name)? + 1)
}

/// Returns `+hhmm` or `-hhmm` in seconds.
fn offset_seconds(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text.get(1..).filter(|digits| digits.len() == 4)?;
    let digits: u16 =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let (hours, minutes) = (i64::from(digits / 100), i64::from(digits % 100));
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Converts a local time to UTC.
fn shifted(local: Duration, offset_seconds: i64) -> Option<Duration> {
    let offset = Duration::from_secs(offset_seconds.unsigned_abs());
    if offset_seconds < 0 { local.checked_add(offset) } else { local.checked_sub(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_programs_times_are_read() {
        let base = Duration::from_secs(1_000_000_000);
        for (text, nanos, resolution) in [
            ("2001-09-09T01:46:40.000000007Z", 7, 1),
            ("2001-09-09T03:46:40.25+02:00", 250_000_000, 10_000_000),
            ("2001-09-08 20:16:40-05:30", 0, 1_000_000_000),
            ("Sun, 09 Sep 2001 01:46:40 +0000", 0, 1_000_000_000),
            ("Sun, 9 Sep 2001 01:46:40 GMT\r\n", 0, 1_000_000_000),
            ("8 Sep 2001 18:46:40 -0700", 0, 1_000_000_000),
            ("1000000000", 0, 1_000_000_000),
            ("1000000000.5", 500_000_000, 100_000_000),
            ("1000000000.123456789999", 123_456_789, 1),
            ("1000000000123", 123_000_000, 1_000_000),
            ("1000000000000042", 42_000, 1_000),
            ("1000000000000000007", 7, 1),
        ] {
            let expected = Reading {
                wall: base + Duration::from_nanos(nanos),
                resolution: Duration::from_nanos(resolution),
            };
            assert_eq!(parse_time(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "error: ask \"what time is it?\"",
            "-5",
            "1e9",
            "1.2.3",
            ".5",
            "99999999999999999999999",
            "2001-09-09",
            "2001-13-09T01:46:40Z",
            "2001-09-09T01:46:40",
            "2001-09-09T01:46:40+25:00",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "Sun, 09 Foo 2001 01:46:40 +0000",
            "Sun, 09 Sep 2001 01:46:40",
            "Sun, 09 Sep 2001 01:46:40 +0000 x",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn formats_have_names() {
        for format in TimeFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("iso".parse::<TimeFormat>().unwrap_err().contains("unix-ns"));
    }

    proptest! {
        // Numbers of fewer than 12 digits mean seconds: milliseconds and nanoseconds are told apart
        // from 2001 on.
        #[test]
        fn what_is_written_is_read_back_down_to_its_resolution(
            secs in 1_000_000_000u64..=18_000_000_000, nanos in 0u32..1_000_000_000,
        ) {
            let wall = Duration::new(secs, nanos);
            for format in TimeFormat::ALL {
                let Reading { wall: read, resolution } = parse_time(&format.print(wall)).unwrap();
                prop_assert!(read <= wall && wall < read + resolution, "{} {}", format,
                    format.print(wall));
                let expected = match format {
                    TimeFormat::Rfc2822 => Duration::from_secs(1),
                    TimeFormat::UnixMs => Duration::from_millis(1),
                    _ => Duration::from_nanos(1),
                };
                prop_assert_eq!(resolution, expected);
            }
        }

        #[test]
        fn no_text_and_no_time_makes_it_panic(text: String, bytes in "[0-9TZ:.+ -]{0,40}",
            secs: u64) {
            let _ = (parse_time(&text), parse_time(&bytes));
            for format in TimeFormat::ALL {
                let _ = format.print(Duration::from_secs(secs));
            }
        }
    }
}
