//! Server-sent events (the HTML standard's `text/event-stream`).

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The events that wait for a socket beside what its kernel holds.
const WAITING: usize = 2;

/// Says to a proxy in front of the API that an event must not wait for the next.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Writes an event whose data is one line.
pub(super) fn event(name: &str, data: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(name.len() + data.len() + 16);
    for part in [b"event: ", name.as_bytes(), b"\ndata: ", data, b"\n\n"] {
        text.extend_from_slice(part);
    }
    text.into()
}

/// Returns an answer that goes on, and where its events are to be sent. Sending fails when the
/// client has gone.
pub(super) fn channel() -> (mpsc::Sender<Bytes>, Response) {
    let (events, queue) = mpsc::channel(WAITING);
    let mut response = Body::from_stream(Events(queue)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    (events, response)
}

/// Refuses one who would be too many.
pub(super) fn too_many(most: usize) -> Response {
    let error = format!("{most} clients watch already; close one of them and try again");
    refused(StatusCode::SERVICE_UNAVAILABLE, &error)
}

/// Refuses a request, in JSON.
pub(super) fn refused(status: StatusCode, error: &str) -> Response {
    let body = json!({ "error": error, "status": status.as_u16() }).to_string();
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// The body of an answer that goes on.
struct Events(mpsc::Receiver<Bytes>);

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}
