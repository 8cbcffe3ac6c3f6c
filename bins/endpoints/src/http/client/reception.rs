//! What an answer to a GET is good for: all of the file, the next bytes of what is there, or
//! nothing. Bytes of two versions must never be joined, and half a file never pass for a whole one.

use super::content_range::ContentRange;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName};
use std::fmt;

/// What is known of the part that the request asked to go on with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resumed<'p> {
    /// The number of bytes that are there.
    pub(super) there: u64,
    /// The strong entity tag of their version.
    pub(super) etag: &'p str,
    /// The size of the whole, if an answer has named it.
    pub(super) total: Option<u64>,
}

/// The use of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    /// Its body is the file from its first byte on.
    Whole {
        /// The version, if its tag names bytes.
        etag: Option<String>,
        /// The size of the file, if it is known.
        total: Option<u64>,
    },
    /// Its body goes on where the part ends.
    Next {
        /// The size of the part once the body is there.
        end: u64,
        /// The size of the file, if it is known.
        total: Option<u64>,
    },
    /// It does not fit what is there: ask for the whole file, and say why.
    Anew(Misfit),
    /// It cannot be a file, though the status says so.
    Wrong(Misfit),
    /// The server meant to send no file.
    NoFile,
    /// What there was a part of is no longer at its address.
    Gone,
    /// The status is no success.
    Refused,
}

/// The reason why an answer is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Unasked,
    Unplaced,
    OtherRange,
    OtherVersion,
    NoVersion,
    OtherTotal,
    NoTotal,
    OtherLength,
    NoRange,
    Encoded,
    PartOfWhole,
    /// Its address is no more.
    Gone,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unasked => "sent a part (206) when the whole file was asked for",
            Self::Unplaced => "sent a part without one Content-Range that can be read",
            Self::OtherRange => "sent another part than was asked for",
            Self::OtherVersion => "sent a part of another version",
            Self::NoVersion => "sent a part without the ETag of its version",
            Self::OtherTotal => "named another size for the same version",
            Self::NoTotal => "sent a part without the size of the whole",
            Self::OtherLength => "sent another number of bytes than its Content-Range says",
            Self::NoRange => "has no bytes there (416)",
            Self::Encoded => "sent the file packed (Content-Encoding), though it was asked not to",
            Self::Gone => "no longer has it where a redirection led",
            Self::PartOfWhole => "sent a part as if it were the whole file (200)",
        })
    }
}

/// Judges an answer by its head and the length of its body, if that is known. `resumed` is what the
/// request asked to go on with.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    length: Option<u64>,
    resumed: Option<Resumed<'_>>,
) -> Reception {
    match (status, resumed) {
        (StatusCode::PARTIAL_CONTENT, None) => Reception::Wrong(Misfit::Unasked),
        (StatusCode::PARTIAL_CONTENT, Some(part)) => {
            next(headers, length, part).unwrap_or_else(Reception::Anew)
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => Reception::Anew(Misfit::NoRange),
        (StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION, _) => {
            whole(headers, length, resumed).unwrap_or_else(|misfit| match resumed {
                // Packed it would come again.
                Some(_) if misfit != Misfit::Encoded => Reception::Anew(misfit),
                _ => Reception::Wrong(misfit),
            })
        }
        (status, _) if status.is_success() => Reception::NoFile,
        (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE, Some(_)) => {
            Reception::Gone
        }
        _ => Reception::Refused,
    }
}

fn next(headers: &HeaderMap, length: Option<u64>, part: Resumed<'_>) -> Result<Reception, Misfit> {
    // Several parts (`multipart/byteranges`) have no Content-Range of their own.
    let range = ContentRange::of(headers).ok_or(Misfit::Unplaced)?;
    // A server that would send a tag with the whole sends it with a part (RFC 9110, 15.3.7).
    let etag = only(headers, &ETAG).ok_or(Misfit::NoVersion)?;
    let total = range.complete.or(part.total);
    let misfit = if etag != part.etag {
        Misfit::OtherVersion
    } else if is_encoded(headers) {
        Misfit::Encoded
    } else if range.first != part.there {
        Misfit::OtherRange
    } else if part.total.is_some_and(|known| total != Some(known) || range.last >= known) {
        Misfit::OtherTotal
    } else if total.is_none() {
        Misfit::NoTotal
    } else if length.is_some_and(|length| length != range.length()) {
        Misfit::OtherLength
    } else {
        return Ok(Reception::Next { end: range.last + 1, total });
    };
    Err(misfit)
}

fn whole(
    headers: &HeaderMap,
    length: Option<u64>,
    part: Option<Resumed<'_>>,
) -> Result<Reception, Misfit> {
    let ranges = only(headers, &CONTENT_TYPE)
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/byteranges"));
    // In a 200 a Content-Range means nothing (RFC 9110, 14.4); one that says less than the whole
    // shows that the server means a part.
    let said = ContentRange::of(headers);
    let is_whole =
        said.is_some_and(|range| range.is_whole() && length.is_none_or(|n| n == range.length()));
    // Weak tags name no bytes.
    let etag = only(headers, &ETAG).filter(|etag| etag.starts_with('"')).map(str::to_owned);
    let known = part.filter(|part| etag.as_deref() == Some(part.etag)).and_then(|part| part.total);
    let total = length.or_else(|| said.and_then(|range| range.complete)).or(known);
    if is_encoded(headers) {
        return Err(Misfit::Encoded);
    }
    if ranges || (headers.contains_key(CONTENT_RANGE) && !is_whole) {
        return Err(Misfit::PartOfWhole);
    }
    if known.is_some() && known != total {
        return Err(Misfit::OtherTotal);
    }
    Ok(Reception::Whole { etag, total })
}

/// Returns true if the bytes are not those of the file but something made of them.
fn is_encoded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING).into_iter();
    let mut names = codings.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    names.any(|name| {
        let name = name.trim_ascii();
        !name.is_empty() && !name.eq_ignore_ascii_case(b"identity")
    })
}

/// Returns the only field of this name, as text.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut fields = headers.get_all(name).into_iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => field.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const PART: Resumed<'_> = Resumed { there: 30, etag: "\"v1\"", total: Some(100) };

    const V1: (HeaderName, &str) = (ETAG, "\"v1\"");
    const REST: (HeaderName, &str) = (CONTENT_RANGE, "bytes 30-99/100");

    fn judged(
        status: u16,
        fields: &[(HeaderName, &'static str)],
        length: Option<u64>,
        part: Option<Resumed<'_>>,
    ) -> Reception {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        judge(StatusCode::from_u16(status).unwrap(), &headers, length, part)
    }

    fn next(end: u64) -> Reception {
        Reception::Next { end, total: Some(100) }
    }

    fn whole(etag: Option<&str>, total: Option<u64>) -> Reception {
        Reception::Whole { etag: etag.map(str::to_owned), total }
    }

    #[test]
    fn a_part_is_joined_only_when_everything_about_it_fits() {
        for (fields, length, expected) in [
            (&[V1, REST][..], Some(70), next(100)),
            (&[V1, REST], None, next(100)),
            (&[V1, (CONTENT_RANGE, "bytes 30-49/100")], Some(20), next(50)),
            (&[V1, (CONTENT_RANGE, "bytes 30-99/*")], Some(70), next(100)),
            (&[REST], Some(70), Reception::Anew(Misfit::NoVersion)),
            (&[V1], Some(70), Reception::Anew(Misfit::Unplaced)),
            (&[V1, REST, REST], Some(70), Reception::Anew(Misfit::Unplaced)),
            (
                &[V1, (CONTENT_TYPE, "multipart/byteranges; boundary=b")],
                None,
                Reception::Anew(Misfit::Unplaced),
            ),
            (&[(ETAG, "\"v2\""), REST], Some(70), Reception::Anew(Misfit::OtherVersion)),
            (&[(ETAG, "W/\"v1\""), REST], Some(70), Reception::Anew(Misfit::OtherVersion)),
            (
                &[V1, (CONTENT_RANGE, "bytes 0-99/100")],
                Some(100),
                Reception::Anew(Misfit::OtherRange),
            ),
            (
                &[V1, (CONTENT_RANGE, "bytes 31-99/100")],
                Some(69),
                Reception::Anew(Misfit::OtherRange),
            ),
            (
                &[V1, (CONTENT_RANGE, "bytes 30-89/90")],
                Some(60),
                Reception::Anew(Misfit::OtherTotal),
            ),
            (
                &[V1, (CONTENT_RANGE, "bytes 30-109/*")],
                Some(80),
                Reception::Anew(Misfit::OtherTotal),
            ),
            (&[V1, REST], Some(60), Reception::Anew(Misfit::OtherLength)),
            (&[V1, REST], Some(80), Reception::Anew(Misfit::OtherLength)),
            (&[V1, REST, (CONTENT_ENCODING, "gzip")], Some(70), Reception::Anew(Misfit::Encoded)),
        ] {
            assert_eq!(judged(206, fields, length, Some(PART)), expected, "{fields:?} {length:?}");
        }
        let rest = [V1, REST];
        assert_eq!(judged(206, &rest, Some(70), None), Reception::Wrong(Misfit::Unasked));
        // When no answer has named the size, the first that does is believed.
        let open = Resumed { total: None, ..PART };
        assert_eq!(judged(206, &rest, Some(70), Some(open)), next(100));
        let unsized_part = [(ETAG, "\"v1\""), (CONTENT_RANGE, "bytes 30-99/*")];
        let expected = Reception::Anew(Misfit::NoTotal);
        assert_eq!(judged(206, &unsized_part, Some(70), Some(open)), expected);
        assert_eq!(judged(416, &[], Some(0), Some(PART)), Reception::Anew(Misfit::NoRange));
        assert_eq!(judged(416, &[], Some(0), None), Reception::Refused);
    }

    #[test]
    fn a_whole_file_is_one_and_the_size_of_a_version_stays() {
        for (fields, length, alone, resuming) in [
            (&[V1][..], Some(100), whole(Some("\"v1\""), Some(100)), None),
            (&[(ETAG, "W/\"v1\"")], Some(90), whole(None, Some(90)), None),
            (&[(ETAG, "\"v2\"")], Some(90), whole(Some("\"v2\""), Some(90)), None),
            (&[], None, whole(None, None), None),
            (&[V1], None, whole(Some("\"v1\""), None), Some(whole(Some("\"v1\""), Some(100)))),
            (
                &[V1],
                Some(90),
                whole(Some("\"v1\""), Some(90)),
                Some(Reception::Anew(Misfit::OtherTotal)),
            ),
            (
                &[V1, (CONTENT_RANGE, "bytes 30-99/100")],
                Some(70),
                Reception::Wrong(Misfit::PartOfWhole),
                Some(Reception::Anew(Misfit::PartOfWhole)),
            ),
            (
                &[V1, (CONTENT_RANGE, "bytes 0-99/100")],
                Some(100),
                whole(Some("\"v1\""), Some(100)),
                None,
            ),
            (
                &[V1, (CONTENT_RANGE, "bytes 0-99/100")],
                Some(99),
                Reception::Wrong(Misfit::PartOfWhole),
                Some(Reception::Anew(Misfit::PartOfWhole)),
            ),
            (
                &[V1, (CONTENT_TYPE, "multipart/byteranges; boundary=b")],
                Some(100),
                Reception::Wrong(Misfit::PartOfWhole),
                Some(Reception::Anew(Misfit::PartOfWhole)),
            ),
            (&[V1, (CONTENT_ENCODING, "gzip")], Some(100), Reception::Wrong(Misfit::Encoded), None),
            (
                &[V1, (CONTENT_ENCODING, "identity")],
                Some(100),
                whole(Some("\"v1\""), Some(100)),
                None,
            ),
        ] {
            assert_eq!(judged(200, fields, length, None), alone, "{fields:?} {length:?}");
            let resuming = resuming.unwrap_or(alone);
            assert_eq!(judged(200, fields, length, Some(PART)), resuming, "{fields:?} {length:?}");
        }
        assert_eq!(judged(204, &[], Some(0), None), Reception::NoFile);
        assert_eq!(judged(404, &[], Some(0), Some(PART)), Reception::Gone);
        assert_eq!(judged(404, &[], Some(0), None), Reception::Refused);
        assert_eq!(judged(503, &[], Some(0), Some(PART)), Reception::Refused);
    }
}
