//! A file as an answer: whole, a range of it, or the word that the client has it already.

use super::answer::empty;
use super::conditions::{ConditionVerdict, Validators, judge};
use super::digests::Digests;
use super::range::{WantedRange, wanted};
use super::refusal::Refusal;
use crate::http::digest_field::{self, REPR_DIGEST};
use crate::http::file_body::FileBody;
use crate::http::server::Body;
use http_body_util::BodyExt as _;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
    LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use jostle_common::clock::Clock;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Answers a GET or HEAD of an open file called `name`.
pub(super) async fn serve(
    request: &Parts,
    file: File,
    metadata: &Metadata,
    name: &[u8],
    digests: &Digests,
) -> Result<Response<Body>, Refusal> {
    let file = Arc::new(file);
    let validators = validators(metadata);
    let verdict = judge(&request.headers, &validators, Clock::wall());
    let size = metadata.size();
    let wanted = match (verdict, request.headers.get(RANGE)) {
        // A range is for GET alone (RFC 9110, 14.2).
        (ConditionVerdict::Proceed { range: true }, Some(value))
            if request.method == Method::GET =>
        {
            wanted(value.to_str().unwrap_or_default(), size)
        }
        _ => WantedRange::Whole,
    };
    let mut response = match (verdict, wanted) {
        (ConditionVerdict::Failed, _) => {
            return Err(Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                "the file is not the version you asked for",
            ));
        }
        (ConditionVerdict::NotModified, _) => empty(StatusCode::NOT_MODIFIED),
        (_, WantedRange::Unsatisfiable) => {
            let refusal = Refusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("the file has {size} bytes"),
            );
            return Err(refusal.with(CONTENT_RANGE, header(format!("bytes */{size}"))));
        }
        (_, WantedRange::Whole) => {
            let mut response = empty(StatusCode::OK);
            response.headers_mut().insert(CONTENT_LENGTH, size.into());
            if request.method == Method::GET {
                *response.body_mut() = FileBody::open(file.clone(), 0..size).await?.boxed_unsync();
            }
            response
        }
        (_, WantedRange::Part(range)) => {
            let mut response = empty(StatusCode::PARTIAL_CONTENT);
            let headers = response.headers_mut();
            headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
            headers.insert(
                CONTENT_RANGE,
                header(format!("bytes {}-{}/{size}", range.start, range.end - 1)),
            );
            *response.body_mut() = FileBody::open(file.clone(), range).await?.boxed_unsync();
            response
        }
    };
    let digest = match digest_field::is_wanted(&request.headers) {
        Some(false) => None,
        wish => digests.of(&file, metadata, wish == Some(true)).await,
    };
    let headers = response.headers_mut();
    headers.extend(digest.map(|digest| (REPR_DIGEST, digest_field::value(digest))));
    headers.insert(ETAG, header(validators.etag));
    let modified = UNIX_EPOCH + Duration::from_secs(validators.modified);
    headers.insert(LAST_MODIFIED, header(httpdate::fmt_http_date(modified)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if response.status() != StatusCode::NOT_MODIFIED {
        let headers = response.headers_mut();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_TYPE, content_type(name));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    Ok(response)
}

/// Returns the validators, with a strong tag: a write changes the time or the size, a replacement
/// the inode.
fn validators(metadata: &Metadata) -> Validators {
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    // The wire's dates end with the year 9999.
    let modified = u64::try_from(seconds).unwrap_or(0).min(253_402_300_799);
    Validators {
        etag: format!("\"{:x}-{:x}-{seconds:x}.{nanos:x}\"", metadata.ino(), metadata.size()),
        modified,
    }
}

fn content_type(name: &[u8]) -> HeaderValue {
    let name = String::from_utf8_lossy(name);
    let guess = mime_guess::from_path(&*name).first_or_octet_stream();
    let is_text = guess.type_() == "text"
        || matches!(guess.essence_str(), "application/json" | "application/javascript");
    // Text is UTF-8 these days; a page that is not says so itself.
    header(if is_text { format!("{guess}; charset=utf-8") } else { guess.to_string() })
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers, dates and types are printable")
}
