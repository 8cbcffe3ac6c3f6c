//! Answers that are made in memory.

use crate::http::digest_field::{self, REPR_DIGEST};
use crate::http::server::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use jostle_common::digest::Digest;
use maud::Markup;

/// The policy of our own pages: they may run what is in them, and talk to us.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Returns true if the client would rather have a page than a line of text: browsers say so.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

/// Returns true if the client names this content type among those it takes.
pub(super) fn accepts(headers: &HeaderMap, content_type: &str) -> bool {
    let fields = headers.get_all(ACCEPT).into_iter().filter_map(|field| field.to_str().ok());
    fields
        .flat_map(|field| field.split(','))
        .any(|range| range.split(';').next().is_some_and(|t| t.trim() == content_type))
}

/// Returns an answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Returns an answer from memory, with its digest.
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

/// Returns an answer with a page of our own.
pub(super) fn page(status: StatusCode, html: Markup) -> Response<Body> {
    let mut response = full(status, "text/html; charset=utf-8", html.into_string());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// Returns an answer of text for programs and terminals.
pub(super) fn text(status: StatusCode, text: String) -> Response<Body> {
    full(status, "text/plain; charset=utf-8", text)
}
