//! The verdict on a request's conditions for a version of a file (RFC 9110, section 13).

use hyper::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};
use std::time::{Duration, UNIX_EPOCH};

/// The marks that tell one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validators {
    /// The entity tag, with its quotes; a weak one begins with `W/`.
    pub(super) etag: String,
    /// The time of its last change, in whole seconds since 1970, if it is known.
    pub(super) modified: Option<u64>,
}

/// The verdict of the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConditionVerdict {
    /// Answer; a range counts or not.
    Proceed {
        /// True if a `Range` may be honoured.
        range: bool,
    },
    /// The client has this version: 304.
    NotModified,
    /// The client wants another version: 412.
    Failed,
}

/// Judges a GET or HEAD at the calendar time `now`.
pub(super) fn judge(headers: &HeaderMap, file: &Validators, now: Duration) -> ConditionVerdict {
    let is_modified_since = |name: &HeaderName| Some(file.modified? > date(headers, name)?);
    if headers.contains_key(IF_MATCH) {
        if !lists(headers, &IF_MATCH, &file.etag, false) {
            return ConditionVerdict::Failed;
        }
    } else if is_modified_since(&IF_UNMODIFIED_SINCE) == Some(true) {
        return ConditionVerdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if lists(headers, &IF_NONE_MATCH, &file.etag, true) {
            return ConditionVerdict::NotModified;
        }
    } else if is_modified_since(&IF_MODIFIED_SINCE) == Some(false) {
        return ConditionVerdict::NotModified;
    }
    let range = match headers.get(IF_RANGE).map(|value| value.to_str().unwrap_or_default().trim()) {
        None => true,
        // Weak tags name no bytes, whoever has them.
        Some(tag) if tag.contains('"') => tag == file.etag && !tag.starts_with("W/"),
        // A date is exact only when the file cannot have changed twice within its second.
        Some(_) => {
            file.modified.is_some_and(|modified| modified < now.as_secs())
                && date(headers, &IF_RANGE) == file.modified
        }
    };
    ConditionVerdict::Proceed { range }
}

/// Returns true if a list of entity tags has this one. `*` has every one; a weak tag counts only
/// where weak comparison is meant.
fn lists(headers: &HeaderMap, name: &HeaderName, etag: &str, weak: bool) -> bool {
    let fields = headers.get_all(name).into_iter().filter_map(|field| field.to_str().ok());
    // Our tags contain no comma, so one in another's tag can hide nothing of ours.
    fields.flat_map(|field| field.split(',')).map(str::trim).any(|tag| {
        let bare = |tag| str::strip_prefix(tag, "W/").unwrap_or(tag);
        tag == "*"
            || match weak {
                true => bare(tag) == bare(etag),
                false => tag == etag && !etag.starts_with("W/"),
            }
    })
}

/// Reads a date in whole seconds since 1970; `None` when there is none, or none that can be read.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let date = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const NOW: Duration = Duration::from_secs(784_111_999);
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const WHOLE: ConditionVerdict = ConditionVerdict::Proceed { range: false };
    const RANGE: ConditionVerdict = ConditionVerdict::Proceed { range: true };

    fn verdict(fields: &[(HeaderName, &'static str)]) -> ConditionVerdict {
        let headers = fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        judge(
            &headers,
            &Validators { etag: "\"tag\"".to_owned(), modified: Some(784_111_777) },
            NOW,
        )
    }

    #[test]
    fn each_condition_alone() {
        for (name, value, expected) in [
            (IF_MATCH, "\"tag\"", RANGE),
            (IF_MATCH, "\"other\", \"tag\"", RANGE),
            (IF_MATCH, "*", RANGE),
            (IF_MATCH, "W/\"tag\"", ConditionVerdict::Failed),
            (IF_MATCH, "\"other\"", ConditionVerdict::Failed),
            (IF_UNMODIFIED_SINCE, AT, RANGE),
            (IF_UNMODIFIED_SINCE, BEFORE, ConditionVerdict::Failed),
            (IF_UNMODIFIED_SINCE, "yesterday", RANGE),
            (IF_NONE_MATCH, "\"tag\"", ConditionVerdict::NotModified),
            (IF_NONE_MATCH, "W/\"tag\"", ConditionVerdict::NotModified),
            (IF_NONE_MATCH, "*", ConditionVerdict::NotModified),
            (IF_NONE_MATCH, "\"other\"", RANGE),
            (IF_NONE_MATCH, "tag", RANGE),
            (IF_MODIFIED_SINCE, AT, ConditionVerdict::NotModified),
            (IF_MODIFIED_SINCE, AFTER, ConditionVerdict::NotModified),
            (IF_MODIFIED_SINCE, BEFORE, RANGE),
            (IF_RANGE, "\"tag\"", RANGE),
            (IF_RANGE, "\"other\"", WHOLE),
            (IF_RANGE, "W/\"tag\"", WHOLE),
            (IF_RANGE, AT, RANGE),
            (IF_RANGE, AFTER, WHOLE),
            (IF_RANGE, "", WHOLE),
        ] {
            assert_eq!(verdict(&[(name.clone(), value)]), expected, "{name}: {value}");
        }
        assert_eq!(verdict(&[]), RANGE);
    }

    #[test]
    fn a_weak_tag_of_ours_saves_the_body_and_joins_nothing() {
        let file = Validators { etag: "W/\"tag\"".to_owned(), modified: None };
        for (name, value, expected) in [
            (IF_NONE_MATCH, "W/\"tag\"", ConditionVerdict::NotModified),
            (IF_NONE_MATCH, "\"tag\"", ConditionVerdict::NotModified),
            (IF_MATCH, "W/\"tag\"", ConditionVerdict::Failed),
            (IF_MATCH, "\"tag\"", ConditionVerdict::Failed),
            (IF_MATCH, "*", RANGE),
            (IF_RANGE, "W/\"tag\"", WHOLE),
            (IF_RANGE, AT, WHOLE),
            // Without a date of ours these say nothing.
            (IF_MODIFIED_SINCE, AFTER, RANGE),
            (IF_UNMODIFIED_SINCE, BEFORE, RANGE),
        ] {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))]);
            assert_eq!(judge(&headers, &file, NOW), expected, "{name}: {value}");
        }
    }

    #[test]
    fn tags_go_before_dates() {
        let both = [(IF_NONE_MATCH, "\"other\""), (IF_MODIFIED_SINCE, AFTER)];
        assert_eq!(verdict(&both), RANGE);
        assert_eq!(verdict(&[(IF_MATCH, "\"tag\""), (IF_UNMODIFIED_SINCE, BEFORE)]), RANGE);
        assert_eq!(
            verdict(&[(IF_MATCH, "\"other\""), (IF_NONE_MATCH, "\"tag\"")]),
            ConditionVerdict::Failed
        );
    }

    #[test]
    fn a_file_of_this_second_has_no_exact_date() {
        let headers = HeaderMap::from_iter([(IF_RANGE, HeaderValue::from_static(AT))]);
        let file = Validators { etag: "\"tag\"".to_owned(), modified: Some(784_111_777) };
        assert_eq!(judge(&headers, &file, Duration::from_millis(784_111_777_900)), WHOLE);
        assert_eq!(judge(&headers, &file, Duration::from_millis(784_111_778_000)), RANGE);
    }
}
