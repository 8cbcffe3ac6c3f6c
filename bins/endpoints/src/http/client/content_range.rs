//! The `Content-Range` of an answer (RFC 9110, section 14.4), read whole.

use hyper::header::{CONTENT_RANGE, HeaderMap};

/// The bytes that an answer carries, and how many the file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    /// The size of the whole file; `None` when the server does not know it (`*`).
    pub(super) complete: Option<u64>,
}

impl ContentRange {
    /// Returns the only `Content-Range` of a message. `None` when there is none, one that cannot
    /// be, or two.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(CONTENT_RANGE).into_iter();
        match (fields.next(), fields.next()) {
            (Some(field), None) => Self::parse(field.to_str().ok()?),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, complete) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = Self {
            first: number(first)?,
            last: number(last)?,
            complete: if complete == "*" { None } else { Some(number(complete)?) },
        };
        let is_bytes = unit.eq_ignore_ascii_case("bytes");
        let fits = range.first <= range.last
            && range.last < u64::MAX
            && range.complete.is_none_or(|complete| range.last < complete);
        (is_bytes && fits).then_some(range)
    }

    /// Returns the number of bytes in the range.
    pub(super) const fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Returns true if it is all of the file.
    pub(super) fn is_whole(&self) -> bool {
        self.first == 0 && self.complete == Some(self.last + 1)
    }
}

/// Reads a number of digits alone: no sign, no space.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn ranges_are_read_whole_or_not_at_all() {
        let range = |first, last, complete| Some(ContentRange { first, last, complete });
        for (text, expected) in [
            ("bytes 0-99/100", range(0, 99, Some(100))),
            ("bytes 5-5/6", range(5, 5, Some(6))),
            ("Bytes 30000-49999/100000", range(30_000, 49_999, Some(100_000))),
            ("bytes 5-9/*", range(5, 9, None)),
            ("bytes */100", None),
            ("bytes 5-4/10", None),
            ("bytes 5-10/10", None),
            ("bytes 5-9", None),
            ("bytes -9/10", None),
            ("bytes 5-/10", None),
            ("bytes +5-9/10", None),
            ("bytes 5-9/10, 12-13/20", None),
            ("bytes=5-9/10", None),
            ("lines 5-9/10", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes 0-99999999999999999999/*", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text), expected, "{text}");
        }
        assert_eq!(ContentRange::parse("bytes 30-49/100").map(|range| range.length()), Some(20));
        let is_whole = |text| ContentRange::parse(text).is_some_and(|range| range.is_whole());
        assert!(is_whole("bytes 0-9/10") && !is_whole("bytes 0-8/10") && !is_whole("bytes 0-9/*"));
    }

    #[test]
    fn two_of_them_are_none() {
        let value = HeaderValue::from_static("bytes 0-9/10");
        let mut headers = HeaderMap::from_iter([(CONTENT_RANGE, value.clone())]);
        assert!(ContentRange::of(&headers).is_some());
        headers.append(CONTENT_RANGE, value);
        assert_eq!(ContentRange::of(&headers), None);
    }
}
