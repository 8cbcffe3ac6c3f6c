//! Times without a zone, as simple programs write them: `2001-09-09 01:46:40.5`,
//! `Sun Sep  9 01:46:40 2001` or `01:46:40`.
//!
//! Zones differ from UTC by whole quarters of an hour. So such a time says where the clock's hand
//! stands within one, and the quarter that is nearest to our own clock is taken.

use super::Reading;
use super::format::{parse_month, parse_time};
use std::time::Duration;

/// The step of zones, in nanoseconds.
const QUARTER: i128 = 900_000_000_000;

/// Reads a time without a zone, near to `ours`.
pub(super) fn parse_zoneless(text: &str, ours: Duration) -> Option<Reading> {
    let text = text.trim();
    let read =
        [text.to_owned(), from_asctime(text).unwrap_or_default(), format!("2001-09-09T{text}")]
            .into_iter()
            .filter(|local| local.contains(':'))
            .find_map(|local| parse_time(&format!("{local}Z")))?;
    let ours = ours.as_nanos() as i128;
    let ahead = (read.wall.as_nanos() as i128 - ours).rem_euclid(QUARTER);
    let nearest = if ahead < QUARTER / 2 { ahead } else { ahead - QUARTER };
    let wall = Duration::from_nanos(u64::try_from(ours + nearest).ok()?);
    Some(Reading { wall, resolution: read.resolution })
}

/// Returns the time of `asctime`, such as `Sun Sep  9 01:46:40 2001`, as RFC 3339 writes it.
fn from_asctime(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, month, day, time, year] = words[..] else { return None };
    Some(format!("{year}-{:02}-{day:0>2}T{time}", parse_month(month)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_the_one_that_makes_it_nearest() {
        let ours = Duration::new(1_000_000_000, 250_000_000);
        for (text, secs, nanos, resolution) in [
            ("2001-09-09 01:46:40.5", 1_000_000_000, 500_000_000, 100_000_000),
            ("2001-09-09T03:46:41", 1_000_000_001, 0, 1_000_000_000),
            ("2001-09-08 20:16:39.000250", 999_999_999, 250_000, 1_000),
            ("Sun Sep  9 04:31:38 2001\n", 999_999_998, 0, 1_000_000_000),
            ("23:46:45", 1_000_000_005, 0, 1_000_000_000),
            ("01:53:00", 1_000_000_380, 0, 1_000_000_000),
            ("01:55:00", 999_999_600, 0, 1_000_000_000),
        ] {
            let wall = Duration::new(secs, nanos);
            let resolution = Duration::from_nanos(resolution);
            let expected = Some(Reading { wall, resolution });
            assert_eq!(parse_zoneless(text, ours), expected, "{text}");
        }
        for wrong in
            ["", "noon", "46:40", "25:00:00", "2001-09-09", "Sun Foo  9 01:46:40 2001", "1:2:3:4"]
        {
            assert_eq!(parse_zoneless(wrong, ours), None, "{wrong}");
        }
    }
}
