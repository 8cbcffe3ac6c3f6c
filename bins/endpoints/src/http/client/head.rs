//! HEAD: the server's word about a file, without the file.

use super::connection::Body;
use super::report::{Head, HttpReport};
use super::{HttpClient, HttpFailure, Url, persist};
use crate::http::digest_field::{self, WANT_REPR_DIGEST};
use http_body_util::{BodyExt as _, Empty};
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderValue};
use hyper::{Method, Request};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use std::sync::Arc;

/// Asks for the head of a file. A status that is no success is a failure in the report.
pub async fn head(client: &mut HttpClient, url: &Url) -> HttpReport {
    let (clock, mut report) = (Clock::start(), HttpReport::new(url.clone()));
    let HttpClient { settings, connection } = client;
    let mut retries = 0;
    let asked = persist(settings.retries, &mut retries, async || {
        let response = connection.send(url, request(url, Method::HEAD), Arc::default()).await?;
        let head = Head::of(&response);
        match head.status.is_server_error() {
            true => Err(HttpFailure::of_status(head.status, "")),
            false => Ok(head),
        }
    });
    match asked.await {
        Ok(head) => {
            let is_fine = !head.status.is_client_error();
            report.failure = (!is_fine).then(|| head.status.to_string());
            report.size = length(&head).unwrap_or(0);
            report.digest = digest_field::parse(&head.headers);
            report.head = Some(head);
        }
        Err(reason) => report.failure = Some(reason),
    }
    report.retries = retries;
    report.elapsed = clock.now().since(Instant::START);
    report
}

/// Returns a request without a body that wants the digest of the file.
pub(super) fn request(url: &Url, method: Method) -> Request<Body> {
    let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *request.method_mut() = method;
    *request.uri_mut() = url.path().parse().expect("the URL was read from a path");
    let headers = request.headers_mut();
    headers.insert(WANT_REPR_DIGEST, HeaderValue::from_static("sha-256=1"));
    // What comes packed is not the file, and its length and digest are not the file's.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    request
}

fn length(head: &Head) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
