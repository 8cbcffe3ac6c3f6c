//! All routes of the API, and what is answered where there is none.

use crate::context::Context;
use crate::{flows, guard, live, openapi, panel, profiles, toxiproxy};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::MethodRouter;

/// Builds the API.
pub(crate) fn router(context: Context) -> Router {
    let guarded = middleware::from_fn_with_state(context.clone(), guard::guarded);
    let page = if context.guard.serves_panel() { panel::routes() } else { Router::new() };
    let routes = all(&context)
        .merge(page)
        .fallback(no_route)
        // The guard has read the whole body, and bounds it.
        .layer(DefaultBodyLimit::disable())
        .layer(guarded)
        .with_state(context);
    // axum adds it behind all layers of the routes themselves.
    Router::new().fallback_service(routes).layer(middleware::map_response(without_allow))
}

/// Returns the routes of all rooms but the page.
pub(crate) fn all(context: &Context) -> Router<Context> {
    Router::new()
        .merge(toxiproxy::routes(context))
        .merge(flows::routes())
        .merge(live::routes(context))
        .merge(openapi::routes())
        .merge(profiles::routes())
}

/// Refuses all other methods.
pub(crate) fn only(methods: MethodRouter<Context>) -> MethodRouter<Context> {
    // What answers GET would answer HEAD as well.
    methods.head(method_not_allowed).fallback(method_not_allowed)
}

/// Takes the list of methods off that axum puts on a 405; Toxiproxy's has none.
async fn without_allow(mut response: Response) -> Response {
    response.headers_mut().remove(header::ALLOW);
    response
}

async fn method_not_allowed() -> Response {
    StatusCode::METHOD_NOT_ALLOWED.into_response()
}

/// Answers what has no route: a path that is not clean leads to the clean one.
async fn no_route(request: Request) -> Response {
    let path = request.uri().path();
    let clean = clean(path);
    if clean == path {
        return toxiproxy::not_found();
    }
    let mut response = Redirect::permanent(&clean).into_response();
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response
}

/// Cleans a path as Go's multiplexer does: no doubled slash, no `.` and no `..`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let slash = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, is) in [
            ("//version", "/version"),
            ("/x/../version", "/version"),
            ("/./proxies", "/proxies"),
            ("/../..", "/"),
            ("/proxies/", "/proxies/"),
            ("/", "/"),
            ("/nope", "/nope"),
        ] {
            assert_eq!(clean(path), is, "{path}");
        }
    }
}
