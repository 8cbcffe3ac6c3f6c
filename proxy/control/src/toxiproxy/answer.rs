//! Answers as Toxiproxy writes them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jostle_engine::route::go_json;
use serde_json::{Value, json};

const TEXT: &str = "text/plain; charset=utf-8";

/// A refusal: its status, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400, with what is wrong.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400: the body is not what is read here.
    pub(crate) fn bad_body(detail: impl AsRef<str>) -> Self {
        Self::bad(format!("bad request body: {}", detail.as_ref()))
    }

    /// 404.
    pub(crate) fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    /// 409.
    pub(crate) fn taken(what: &str) -> Self {
        Self::new(StatusCode::CONFLICT, format!("{what} already exists"))
    }

    /// Returns it as an object.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "error": self.message, "status": self.status.as_u16() })
    }
}

impl IntoResponse for Refusal {
    /// JSON that says it is text, with a line's end: Go's `http.Error` writes it so.
    fn into_response(self) -> Response {
        let body = go_json::write(&self.to_json()) + "\n";
        plain(self.status, body)
    }
}

/// Answers with text that a browser takes for nothing else.
pub(crate) fn plain(status: StatusCode, body: impl Into<String>) -> Response {
    let mut response = (status, body.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Answers with JSON.
pub(super) fn with_json(status: StatusCode, text: String) -> Response {
    typed(status, "application/json", text)
}

/// Answers with a body of a type.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The page that is not there.
pub(crate) fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The answer that took too long.
pub(super) fn timed_out() -> Response {
    const PAGE: &str =
        "<html><head><title>Timeout</title></head><body><h1>Timeout</h1></body></html>";
    typed(StatusCode::SERVICE_UNAVAILABLE, "text/html; charset=utf-8", PAGE.into())
}
