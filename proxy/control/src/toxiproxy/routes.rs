//! The routes of Toxiproxy's API, and what holds for all of them.

use super::answer::{Refusal, not_found, plain, timed_out, typed, with_json};
use super::request_id::RequestIds;
use super::{body, proxies, toxics};
use crate::registry::{Registry, Table};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use jostle_common::clock::Clock;
use jostle_engine::route::go_json;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The version of the API that is spoken.
const VERSION: &str = "2.12.0";

/// The time after which an answer is given up, as Toxiproxy does.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(25);

const REQUEST_ID: &str = "x-toxiproxy-request-id";

/// What all handlers share.
#[derive(Clone)]
struct Shared {
    registry: Arc<Registry>,
    ids: Arc<RequestIds>,
}

/// Builds the API in front of a registry.
pub(crate) fn router(registry: Arc<Registry>) -> Router {
    let shared = Shared { registry, ids: Arc::new(RequestIds::new()) };
    let one = |methods: MethodRouter<Shared>| {
        // What answers GET would answer HEAD as well.
        methods.head(method_not_allowed).fallback(method_not_allowed)
    };
    let routes = Router::new()
        .route("/version", one(get(version)))
        .route("/proxies", one(get(all).post(create)))
        .route("/populate", one(post(populate)))
        .route("/reset", one(post(reset)))
        .route("/proxies/{proxy}", one(get(show).post(update).patch(update).delete(remove)))
        .route("/proxies/{proxy}/toxics", one(get(all_toxics).post(create_toxic)))
        .route(
            "/proxies/{proxy}/toxics/{toxic}",
            one(get(show_toxic).post(update_toxic).patch(update_toxic).delete(remove_toxic)),
        )
        .route_layer(middleware::from_fn_with_state(shared.clone(), routed))
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(body::BODY_BYTES_MAX))
        .with_state(shared);
    // axum adds it behind all layers of the routes themselves.
    Router::new().fallback_service(routes).layer(middleware::map_response(without_allow))
}

/// Guards what is routed, gives it a time and a number.
#[expect(clippy::disallowed_methods, reason = "the one deadline of the API, which decides nothing")]
async fn routed(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let refused = request.method() == Method::HEAD;
    let mut response = if is_browser(request.headers()) {
        plain(StatusCode::FORBIDDEN, "User agent not allowed\n")
    } else {
        let answer = tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await;
        answer.unwrap_or_else(|_| timed_out())
    };
    if !refused && response.status() != StatusCode::METHOD_NOT_ALLOWED {
        let id = shared.ids.next(Clock::wall().as_secs());
        let id = HeaderValue::from_str(&id).expect("its digits are letters and numbers");
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Returns true if a page in a browser asks: it must not reach what is meant for programs.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
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
        return not_found();
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

/// Does something with the table on a thread that may wait.
async fn with_table<T: Send + 'static>(
    shared: Shared,
    work: impl FnOnce(&mut Table<'_>) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(move || work(&mut shared.registry.open())).await;
    done.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed"))
}

/// The same, answering with the JSON that comes of it.
async fn answered(
    shared: Shared,
    status: StatusCode,
    work: impl FnOnce(&mut Table<'_>) -> Result<String, Refusal> + Send + 'static,
) -> Response {
    match with_table(shared, work).await.and_then(|result| result) {
        Ok(_) if status == StatusCode::NO_CONTENT => status.into_response(),
        Ok(text) => with_json(status, text),
        Err(refusal) => refusal.into_response(),
    }
}

fn read(bytes: &Bytes) -> Result<Value, Refusal> {
    body::parse(bytes).map_err(Refusal::bad_body)
}

async fn version() -> Response {
    let body = format!("{{\"version\": \"{VERSION}\"}}\n");
    typed(StatusCode::OK, "application/json;charset=utf-8", body)
}

async fn all(State(shared): State<Shared>) -> Response {
    answered(shared, StatusCode::OK, |table| Ok(proxies::all_to_json(table))).await
}

async fn create(State(shared): State<Shared>, body: Bytes) -> Response {
    answered(shared, StatusCode::CREATED, move |table| proxies::create(table, read(&body)?)).await
}

async fn show(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    answered(shared, StatusCode::OK, move |table| {
        let entry = table.get(&name).ok_or_else(|| Refusal::missing("proxy"))?;
        Ok(proxies::to_json(&name, entry))
    })
    .await
}

async fn update(State(shared): State<Shared>, Path(name): Path<String>, body: Bytes) -> Response {
    answered(shared, StatusCode::OK, move |table| {
        // Whether it is there comes before what the body says.
        table.get(&name).ok_or_else(|| Refusal::missing("proxy"))?;
        proxies::update(table, &name, read(&body)?)
    })
    .await
}

async fn remove(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    answered(shared, StatusCode::NO_CONTENT, move |table| {
        let removed = table.remove(&name).map_err(proxies::refused)?;
        removed.then(String::new).ok_or_else(|| Refusal::missing("proxy"))
    })
    .await
}

async fn populate(State(shared): State<Shared>, body: Bytes) -> Response {
    let done = with_table(shared, move |table| {
        let nothing = |refusal| (refusal, Vec::new());
        proxies::populate(table, read(&body).map_err(nothing)?)
    });
    match done.await {
        Ok(Ok(proxies)) => {
            with_json(StatusCode::CREATED, format!(r#"{{"proxies":[{}]}}"#, proxies.join(",")))
        }
        Ok(Err((refusal, done))) => {
            let proxies =
                if done.is_empty() { "null".to_owned() } else { format!("[{}]", done.join(",")) };
            let error = go_json::write(&refusal.to_json());
            let error = error.trim_end_matches('}');
            with_json(refusal.status, format!(r#"{error},"proxies":{proxies}}}"#))
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn reset(State(shared): State<Shared>) -> Response {
    answered(shared, StatusCode::NO_CONTENT, |table| proxies::reset(table).map(|()| String::new()))
        .await
}

async fn all_toxics(State(shared): State<Shared>, Path(proxy): Path<String>) -> Response {
    answered(shared, StatusCode::OK, move |table| {
        table.get(&proxy).map(toxics::list).ok_or_else(|| Refusal::missing("proxy"))
    })
    .await
}

async fn create_toxic(
    State(shared): State<Shared>,
    Path(proxy): Path<String>,
    body: Bytes,
) -> Response {
    answered(shared, StatusCode::OK, move |table| {
        table.get(&proxy).ok_or_else(|| Refusal::missing("proxy"))?;
        toxics::create(table, &proxy, &read(&body)?).map(|toxic| toxic.to_json())
    })
    .await
}

async fn show_toxic(
    State(shared): State<Shared>,
    Path((proxy, name)): Path<(String, String)>,
) -> Response {
    answered(shared, StatusCode::OK, move |table| {
        toxics::find(table, &proxy, &name).map(|toxic| toxic.to_json())
    })
    .await
}

async fn update_toxic(
    State(shared): State<Shared>,
    Path((proxy, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    answered(shared, StatusCode::OK, move |table| {
        let toxic = toxics::find(table, &proxy, &name)?;
        toxics::update(table, &proxy, &toxic, &read(&body)?).map(|toxic| toxic.to_json())
    })
    .await
}

async fn remove_toxic(
    State(shared): State<Shared>,
    Path((proxy, name)): Path<(String, String)>,
) -> Response {
    answered(shared, StatusCode::NO_CONTENT, move |table| {
        let toxic = toxics::find(table, &proxy, &name)?;
        toxics::remove(table, &proxy, &toxic).map(|()| String::new())
    })
    .await
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
