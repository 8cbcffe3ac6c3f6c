//! Answers that are made in memory: pages, refusals, failures.

use super::handler::Body;
use super::pages;
use crate::http::digest_field::{self, REPR_DIGEST};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use jostle_common::digest::Digest;
use rustix::io::Errno;
use std::io;

/// What our own pages may do: run what is in them, and talk to us.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// Whether the client would rather have a page than a line of text: browsers say so.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

/// Whether the client names this content type among those it takes.
pub(super) fn accepts(headers: &HeaderMap, content_type: &str) -> bool {
    let fields = headers.get_all(ACCEPT).into_iter().filter_map(|field| field.to_str().ok());
    fields
        .flat_map(|field| field.split(','))
        .any(|range| range.split(';').next().is_some_and(|t| t.trim() == content_type))
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// An answer from memory, with its digest.
pub(super) fn full(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Body> {
    let bytes = text.into();
    let digest = digest_field::value(Digest::of(&bytes));
    let mut response =
        Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(REPR_DIGEST, digest);
    response
}

/// A page of our own.
pub(super) fn page(status: StatusCode, html: String) -> Response<Body> {
    let mut response = full(status, "text/html; charset=utf-8", html);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// Text for programs and terminals.
pub(super) fn text(status: StatusCode, text: String) -> Response<Body> {
    full(status, "text/plain; charset=utf-8", text)
}

/// Why a request is not fulfilled.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), headers: Vec::new() }
    }

    /// The same with a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn into_response(self, html: bool) -> Response<Body> {
        let Self { status, reason, headers } = self;
        let mut response = match html {
            true => page(status, pages::refusal(status, &reason)),
            false => {
                let name = status.canonical_reason().unwrap_or_default();
                text(status, format!("{} {name}: {reason}\n", status.as_u16()))
            }
        };
        response.headers_mut().extend(headers);
        response
    }
}

impl From<io::Error> for Refusal {
    /// What the system says about a file, as an answer. Details stay in our log: paths of ours are
    /// nobody's business.
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::XDEV
                | Errno::NAMETOOLONG
                | Errno::NXIO,
            ) => Self::new(StatusCode::NOT_FOUND, "there is no such file here"),
            Some(Errno::ACCESS | Errno::PERM) => {
                Self::new(StatusCode::FORBIDDEN, "this file may not be read")
            }
            Some(Errno::MFILE | Errno::NFILE) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has too much to do; try again",
            )
            .with(RETRY_AFTER, HeaderValue::from_static("1")),
            _ if matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
            {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "there is no room left for it")
            }
            _ => {
                log::error!("an answer failed: {error}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, FAILED)
            }
        }
    }
}

const FAILED: &str = "something went wrong inside the server; its log says what";

/// The answer when something inside went wrong.
pub(super) fn failure(html: bool) -> Response<Body> {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, FAILED).into_response(html)
}
