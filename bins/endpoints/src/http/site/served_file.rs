//! A file as an answer: whole, a range of it, or the word that the client has it already.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::answer::empty;
use super::conditions::{ConditionVerdict, judge};
use super::digests::Digests;
use super::range::{WantedRange, wanted};
use super::refusal::Refusal;
use super::version::{FileVersion, TICK};
use crate::http::digest_field::{self, REPR_DIGEST};
use crate::http::file_body::FileBody;
use crate::http::server::{Body, Exchange};
use http_body_util::BodyExt as _;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    HeaderValue, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use jostle_common::clock::Clock;
use std::fs::{File, Metadata};
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Answers a GET or HEAD of an open file called `name`.
pub(super) async fn serve(
    request: &Parts,
    file: File,
    metadata: &Metadata,
    name: &[u8],
    digests: &Digests,
    exchange: &Exchange,
) -> Result<Response<Body>, Refusal> {
    let file = Arc::new(file);
    let (version, now) = settled(&file, FileVersion::of(metadata)).await?;
    let validators = version.validators(now);
    let verdict = judge(&request.headers, &validators, now);
    let size = version.size();
    let wanted = match (verdict, request.headers.get(RANGE)) {
        // A range is for GET alone (RFC 9110, 14.2).
        (ConditionVerdict::Proceed { range: true }, Some(value))
            if request.method == Method::GET =>
        {
            wanted(value.to_str().unwrap_or_default(), size)
        }
        _ => WantedRange::Whole,
    };
    let context = &exchange.context;
    let open =
        |range| FileBody::open(file.clone(), range, context.clock, context.read_ahead.clone());
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
                *response.body_mut() = open(0..size).await?.boxed_unsync();
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
            *response.body_mut() = open(range).await?.boxed_unsync();
            response
        }
    };
    let digest = match digest_field::is_wanted(&request.headers) {
        Some(false) => None,
        wish => {
            let ended = exchange.watch.ended();
            let digest = digests.of(&file, version, wish == Some(true), ended).await;
            context.counts.undigested.add(digest.is_none().into());
            digest
        }
    };
    let headers = response.headers_mut();
    headers.extend(digest.map(|digest| (REPR_DIGEST, digest_field::value(digest))));
    headers.insert(ETAG, header(validators.etag));
    // Both dates are of one look at the clock, so neither is behind the other.
    headers.insert(DATE, date(now.as_secs()));
    headers.extend(validators.modified.map(|seconds| (LAST_MODIFIED, date(seconds))));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if response.status() != StatusCode::NOT_MODIFIED {
        let headers = response.headers_mut();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_TYPE, content_type(name));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    Ok(response)
}

/// Returns the version of an open file and the time since 1970. One that was changed a moment ago
/// is waited for once, so that no other bytes can get its tag.
async fn settled(file: &File, version: FileVersion) -> io::Result<(FileVersion, Duration)> {
    let now = Clock::wall();
    match version.settles_in(now) {
        wait if wait.is_zero() || wait > TICK => Ok((version, now)),
        wait => {
            tokio::time::sleep(wait).await;
            Ok((FileVersion::of(&file.metadata()?), Clock::wall()))
        }
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

fn date(seconds: u64) -> HeaderValue {
    header(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers, dates and types are printable")
}
