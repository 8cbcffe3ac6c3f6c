//! The bytes of a file that a `Range` asks for (RFC 9110, section 14).

use std::ops::Range;

/// The meaning of a `Range` for a file of a certain size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WantedRange {
    /// The whole file: there is no range, or one that is not understood, or several, which a server
    /// may answer so.
    Whole,
    /// These bytes; never none.
    Part(Range<u64>),
    /// None that the file has.
    Unsatisfiable,
}

/// Returns the range that the value of a `Range` header asks for.
pub(super) fn wanted(value: &str, size: u64) -> WantedRange {
    let Some((unit, list)) = value.split_once('=') else { return WantedRange::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || list.contains(',') {
        return WantedRange::Whole;
    }
    let Some((first, last)) = list.trim().split_once('-') else { return WantedRange::Whole };
    let (Ok(first), Ok(last)) = (number(first), number(last)) else { return WantedRange::Whole };
    let part = match (first, last) {
        (Some(first), Some(last)) if first > last => return WantedRange::Whole,
        (Some(first), last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
        (None, Some(tail)) => size.saturating_sub(tail)..size,
        (None, None) => return WantedRange::Whole,
    };
    if part.is_empty() { WantedRange::Unsatisfiable } else { WantedRange::Part(part) }
}

/// Reads a number, or none; digits only. One too large to hold is beyond every file.
fn number(text: &str) -> Result<Option<u64>, ()> {
    match text.trim() {
        "" => Ok(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Some(text.parse().unwrap_or(u64::MAX)))
        }
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_the_standard_says() {
        for (value, expected) in [
            ("bytes=0-499", WantedRange::Part(0..500)),
            ("bytes=500-999", WantedRange::Part(500..1000)),
            ("bytes=-500", WantedRange::Part(500..1000)),
            ("bytes=999-", WantedRange::Part(999..1000)),
            ("bytes=0-0", WantedRange::Part(0..1)),
            ("bytes=0-99999999999999999999999", WantedRange::Part(0..1000)),
            ("bytes=-5000", WantedRange::Part(0..1000)),
            ("Bytes = 1-2", WantedRange::Part(1..3)),
            ("bytes=1000-", WantedRange::Unsatisfiable),
            ("bytes=99999999999999999999999-", WantedRange::Unsatisfiable),
            ("bytes=-0", WantedRange::Unsatisfiable),
            ("bytes=5-4", WantedRange::Whole),
            ("bytes=0-1,5-6", WantedRange::Whole),
            ("bytes=-", WantedRange::Whole),
            ("bytes=a-b", WantedRange::Whole),
            ("bytes=+1-2", WantedRange::Whole),
            ("bytes=1", WantedRange::Whole),
            ("seconds=1-2", WantedRange::Whole),
            ("", WantedRange::Whole),
        ] {
            assert_eq!(wanted(value, 1000), expected, "{value}");
        }
        assert_eq!(wanted("bytes=0-", 0), WantedRange::Unsatisfiable);
        assert_eq!(wanted("bytes=-5", 0), WantedRange::Unsatisfiable);
    }
}
