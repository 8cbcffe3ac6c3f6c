//! What the HTTP server reads from requests: framing, paths, ranges, conditions, hosts, origins,
//! digests and names.
#![no_main]

use jostle_common::http1::RequestFraming;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// The pure modules of the server, compiled in as they are: they stay private to the programs, and
/// hyper's sockets stay outside.
#[path = "../../bins/endpoints/src/http"]
#[allow(dead_code, reason = "some of it is for the client")]
mod http {
    pub(crate) mod digest_field;
    pub(crate) mod disposition;
    pub(crate) mod names;
    #[path = "site"]
    pub(crate) mod site {
        mod conditions;
        mod hosts;
        mod range;
        mod same_site;
        mod target;

        use super::{digest_field, disposition, names};
        use crate::{Case, Field, Value};
        use conditions::{Validators, ConditionVerdict, judge};
        use hosts::Hosts;
        use hyper::header::{
            HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
            IF_RANGE,
            IF_UNMODIFIED_SINCE, ORIGIN,
        };
        use jostle_common::digest::Digest;
        use range::{WantedRange, wanted};
        use std::path::{Component, Path};
        use std::time::{Duration, UNIX_EPOCH};
        use target::RequestTarget;

        const ETAG: &str = "\"1f-2a-6500.0\"";
        const MODIFIED: u64 = 784_111_777;

        /// No path leaves the root, and what is read is written so that it reads the same.
        pub(crate) fn a_path_stays_below(text: &str) {
            let Ok(target) = RequestTarget::parse(text) else { return };
            for name in &target.segments {
                assert!((1..=255).contains(&name.len()) && name[0] != b'.');
                assert!(!name.iter().any(|byte| byte.is_ascii_control() || b"/\\".contains(byte)));
                if let Ok(name) = std::str::from_utf8(name) {
                    let parts: Vec<_> = Path::new(name).components().collect();
                    assert_eq!(parts, [Component::Normal(name.as_ref())]);
                }
            }
            let path = target.path(target.is_folder);
            assert!(path.starts_with('/') && !path.starts_with("//") && path.is_ascii());
            assert_eq!(RequestTarget::parse(&path), Ok(target));
        }

        /// A range is never empty, and never beyond the file; one that is written as the standard
        /// says means what it says.
        pub(crate) fn a_range_is_inside(case: &Case<'_>) {
            let size = case.size;
            if let WantedRange::Part(part) = wanted(case.text, size) {
                assert!(part.start < part.end && part.end <= size);
            }
            let write = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
            let found = wanted(&format!("bytes={}-{}", write(case.first), write(case.last)), size);
            let is_part = match (case.first, case.last) {
                (Some(first), Some(last)) if first > last => return assert_eq!(found,
                    WantedRange::Whole),
                (None, None) => return assert_eq!(found, WantedRange::Whole),
                (Some(first), _) => first < size,
                (None, Some(tail)) => tail > 0 && size > 0,
            };
            assert_eq!(matches!(found, WantedRange::Part(_)), is_part);
            assert_eq!(found == WantedRange::Unsatisfiable, !is_part);
        }

        /// A refusal has a condition that asked for it, and a visitor without an `Origin` is no
        /// other site's page.
        pub(crate) fn headers_are_judged(case: &Case<'_>) {
            let headers: HeaderMap = case.fields.iter().filter_map(header).collect();
            let has = |names: &[HeaderName]| names.iter().any(|name| headers.contains_key(name));
            let file = Validators { etag: ETAG.to_owned(), modified: Some(MODIFIED) };
            match judge(&headers, &file, Duration::from_secs(case.size)) {
                ConditionVerdict::Failed => assert!(has(&[IF_MATCH, IF_UNMODIFIED_SINCE])),
                ConditionVerdict::NotModified => assert!(has(&[IF_NONE_MATCH, IF_MODIFIED_SINCE])),
                ConditionVerdict::Proceed { range } => assert!(range || has(&[IF_RANGE])),
            }
            let _ = (digest_field::parse(&headers), digest_field::is_wanted(&headers));
            let is_passed = same_site::check(&headers).is_ok();
            let _ = Hosts::new(&["example.org".to_owned()], None).check(None, &headers);
            if is_passed && has(&[ORIGIN]) {
                let text = |name| headers[name].to_str().unwrap_or_default().to_ascii_lowercase();
                let host = text(HOST);
                let host = host.trim_end_matches(":80").trim_end_matches(":443");
            assert!(text(ORIGIN).contains(host));
            }
            if !has(&[ORIGIN, HeaderName::from_static("sec-fetch-site")]) {
                assert!(is_passed);
            }
        }

        /// What is made safe can be created anywhere and asked for by its path, and stays as it is.
        pub(crate) fn a_name_is_safe(text: &str) {
            let bytes = text.as_bytes();
            let _ = (disposition::file_name(bytes), disposition::form_file_name(bytes));
            let attached = disposition::attachment(text);
            assert_eq!(disposition::file_name(attached.as_bytes()).as_deref(), Some(text));
            let Some(name) = names::safe(text) else { return };
            assert!((1..=200).contains(&name.len()));
            assert!(!name.contains(|c: char| c.is_control() || "/\\<>:\"|?*".contains(c)));
            assert!(!name.starts_with(['.', ' ']) && !name.ends_with(['.', ' ']));
            assert_eq!(names::safe(&name).as_deref(), Some(&*name));
            let target =
                RequestTarget::parse(&format!("/{}",
                    names::encoded(&name))).expect("a safe name is a path");
            assert_eq!(target.segments, [name.into_bytes()]);
        }

        fn header(field: &Field<'_>) -> Option<(HeaderName, HeaderValue)> {
            let own = [digest_field::REPR_DIGEST, digest_field::WANT_REPR_DIGEST];
            let others =
                [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, HOST,
                    ORIGIN];
            let fetch = [HeaderName::from_static("sec-fetch-site")];
            let names: Vec<_> = own.into_iter().chain(others).chain(fetch).collect();
            let name = names[usize::from(field.name) % names.len()].clone();
            let value = match field.value {
                Value::Bytes(bytes) => HeaderValue::from_bytes(bytes),
                Value::Tag(is_weak) => {
                    HeaderValue::try_from(format!("{}{ETAG}", if is_weak { "W/" } else { "" }))
                }
                Value::Date(seconds) => {
                    let date = UNIX_EPOCH + Duration::from_secs(MODIFIED - 1 + u64::from(seconds));
                    HeaderValue::try_from(httpdate::fmt_http_date(date))
                }
                Value::Digest(bytes) => {
                    let value = digest_field::value(Digest(bytes));
                    let headers = HeaderMap::from_iter([(digest_field::REPR_DIGEST,
                        value.clone())]);
                    assert_eq!(digest_field::parse(&headers), Some(Digest(bytes)));
                    Ok(value)
                }
                Value::Host(scheme, bytes) => {
                    let scheme = ["", "http://", "https://", "http://["][usize::from(scheme) % 4];
                    HeaderValue::from_bytes(&[scheme.as_bytes(), bytes].concat())
                }
            };
            Some((name, value.ok()?))
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    fields: Vec<Field<'a>>,
    size: u64,
    first: Option<u64>,
    last: Option<u64>,
    text: &'a str,
    /// A character and how many of it, behind the text and in front of what ends it: names have a
    /// longest length.
    run: (char, u8),
    end: &'a str,
}

#[derive(Arbitrary, Debug)]
struct Field<'a> {
    name: u8,
    value: Value<'a>,
}

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Tag(bool),
    Date(u8),
    Digest([u8; 32]),
    Host(u8, &'a [u8]),
}

fuzz_target!(|case: Case<'_>| {
    http::site::a_path_stays_below(case.text);
    http::site::a_path_stays_below(&format!("/{}", case.text));
    http::site::a_range_is_inside(&case);
    http::site::headers_are_judged(&case);
    http::site::a_name_is_safe(case.text);
    let step = usize::from(case.run.1).max(1);
    requests_are_the_same_in_any_pieces(case.text.as_bytes(), step);
    let (c, count) = case.run;
    let run: String = std::iter::repeat_n(c, count.into()).collect();
    http::site::a_name_is_safe(&format!("{}{run}{}", case.text, case.end));
});

/// However the bytes of a connection are cut, they mean the same.
fn requests_are_the_same_in_any_pieces(bytes: &[u8], step: usize) {
    let (mut whole, mut pieces) = (RequestFraming::new(1024), RequestFraming::new(1024));
    whole.follow(bytes);
    for piece in bytes.chunks(step) {
        if pieces.follow(piece) < piece.len() {
            break;
        }
    }
    let status = |framing: &RequestFraming| framing.wrong().map(|wrong| wrong.status);
    assert_eq!(status(&whole), status(&pieces));
}
