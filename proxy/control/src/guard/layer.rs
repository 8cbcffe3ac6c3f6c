//! The guard at work: in front of all routes, and of where there is none.

use super::{Reason, Verdict};
use crate::context::{Context, ORIGIN};
use crate::course::Course;
use crate::registry::Origin;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;

/// The largest body that is read, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How bodies are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bodies {
    /// How long is waited for the whole of one.
    pub(crate) patience: Duration,
}

/// What a browser is told with everything it gets: to load nothing from elsewhere, to run no script
/// that stands in the page, to show it in no frame, to keep nothing.
const FOR_BROWSERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Judges a request, reads its body whole, and answers.
pub(crate) async fn guarded(
    State(context): State<Context>,
    request: Request,
    next: Next,
) -> Response {
    let routed = request.extensions().get::<MatchedPath>().is_some();
    let (parts, body) = request.into_parts();
    let verdict = context.guard.judge(&parts, routed);
    let origin = match verdict {
        Verdict::Allow(origin) => origin,
        Verdict::SignIn => return signed_in(&context),
        Verdict::Refuse(reason) => return refused(reason, &context),
    };
    let body = match read(body, context.bodies).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    if let Some(course) = parts.extensions.get::<Course>() {
        course.has_all();
    }
    let response = ORIGIN.scope(origin, next.run(Request::from_parts(parts, body))).await;
    match origin {
        Origin::Panel => for_browser(response),
        _ if is_page(&response) => for_browser(response),
        _ => response,
    }
}

/// Reads a body whole: then no handler waits for a client that sends slowly.
#[expect(clippy::disallowed_methods, reason = "a deadline of the API, which decides nothing")]
async fn read(body: Body, bodies: Bodies) -> Result<Body, Response> {
    let too_large = || {
        let text = format!("the body is larger than {BODY_BYTES_MAX} bytes; send less at once");
        said(StatusCode::PAYLOAD_TOO_LARGE, &text)
    };
    if body.is_end_stream() {
        return Ok(body);
    }
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(bodies.patience, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(Body::from(bytes)),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => {
            Err(said(StatusCode::REQUEST_TIMEOUT, "the body did not come in time; send it at once"))
        }
    }
}

fn signed_in(context: &Context) -> Response {
    let cookie = HeaderValue::from_str(&context.guard.session.to_set());
    let cookie = cookie.expect("its parts are letters and digits");
    let to_page =
        [(header::SET_COOKIE, cookie), (header::LOCATION, HeaderValue::from_static(super::PAGE))];
    for_browser((StatusCode::SEE_OTHER, to_page).into_response())
}

fn refused(reason: Reason, context: &Context) -> Response {
    match reason {
        Reason::BadHost => {
            said(StatusCode::BAD_REQUEST, "the request names no host; send one header Host")
        }
        Reason::OtherHost => said(
            StatusCode::MISDIRECTED_REQUEST,
            "the request is for a host of another name; ask for the address that is listened on, \
             or start with --api-host NAME",
        ),
        Reason::OtherOrigin => said(
            StatusCode::FORBIDDEN,
            "the request comes from a page of another origin; only the panel's own page may ask",
        ),
        Reason::Browser => {
            // Toxiproxy's words, and its number on whatever is routed.
            let text = crate::toxiproxy::plain(StatusCode::FORBIDDEN, "User agent not allowed\n");
            context.numbered(text)
        }
        Reason::NoToken => {
            let text = "show the token: Authorization: Bearer TOKEN; in a browser open the panel \
                        at /?token=TOKEN";
            let mut response = said(StatusCode::UNAUTHORIZED, text);
            let how = HeaderValue::from_static("Bearer realm=\"jostle\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
            response
        }
        Reason::NotJson => said(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a page sends JSON only; add Content-Type: application/json",
        ),
    }
}

/// A refusal, as JSON.
fn said(status: StatusCode, error: &str) -> Response {
    let body = json!({ "error": error, "status": status.as_u16() }).to_string();
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, kind, body).into_response()
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    response.status() == StatusCode::OK
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn for_browser(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in FOR_BROWSERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
