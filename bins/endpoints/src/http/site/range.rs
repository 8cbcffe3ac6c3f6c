//! Which bytes of a file a `Range` asks for (RFC 9110, section 14).

use std::ops::Range;

/// What a `Range` comes to for a file of a certain size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole file: there is no range, or one that is not understood, or several, which a server
    /// may answer so.
    Whole,
    /// These bytes; never none.
    Part(Range<u64>),
    /// None that the file has.
    Unsatisfiable,
}

/// Returns what the value of a `Range` header asks for.
pub(super) fn wanted(value: &str, size: u64) -> Wanted {
    let Some((unit, list)) = value.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || list.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = list.trim().split_once('-') else { return Wanted::Whole };
    let (Ok(first), Ok(last)) = (number(first), number(last)) else { return Wanted::Whole };
    let part = match (first, last) {
        (Some(first), Some(last)) if first > last => return Wanted::Whole,
        (Some(first), last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
        (None, Some(tail)) => size.saturating_sub(tail)..size,
        (None, None) => return Wanted::Whole,
    };
    if part.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(part) }
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
            ("bytes=0-499", Wanted::Part(0..500)),
            ("bytes=500-999", Wanted::Part(500..1000)),
            ("bytes=-500", Wanted::Part(500..1000)),
            ("bytes=999-", Wanted::Part(999..1000)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..1000)),
            ("bytes=-5000", Wanted::Part(0..1000)),
            ("Bytes = 1-2", Wanted::Part(1..3)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1", Wanted::Whole),
            ("seconds=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(value, 1000), expected, "{value}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(wanted("bytes=-5", 0), Wanted::Unsatisfiable);
    }
}
