//! The routes of Toxiproxy's API, and what holds for all of them.

use super::answer::{Refusal, timed_out, typed, with_json};
use super::asked::Asked;
use super::looked_up::LookedUp;
use super::proxies::Update;
use super::{body, proxies, toxics};
use crate::context::Context;
use crate::registry::Table;
use crate::routes::only;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jostle_engine::route::go_json;
use serde_json::Value;
use std::time::Duration;

/// The version of the API that is spoken.
const VERSION: &str = "2.12.0";

/// The time after which an answer is given up, as Toxiproxy does.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(25);

/// Returns the API's routes.
pub(crate) fn routes(context: &Context) -> Router<Context> {
    Router::new()
        .route("/version", only(get(version)))
        .route("/proxies", only(get(all).post(create)))
        .route("/populate", only(post(populate)))
        .route("/reset", only(post(reset)))
        .route("/proxies/{proxy}", only(get(show).post(update).patch(update).delete(remove)))
        .route("/proxies/{proxy}/toxics", only(get(all_toxics).post(create_toxic)))
        .route(
            "/proxies/{proxy}/toxics/{toxic}",
            only(get(show_toxic).post(update_toxic).patch(update_toxic).delete(remove_toxic)),
        )
        .route_layer(middleware::from_fn_with_state(context.clone(), routed))
}

/// Gives what is routed a time and a number.
#[expect(clippy::disallowed_methods, reason = "a deadline of the API, which decides nothing")]
async fn routed(State(context): State<Context>, request: Request, next: Next) -> Response {
    let refused = request.method() == Method::HEAD;
    let answer = tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await;
    let response = answer.unwrap_or_else(|_| timed_out());
    if refused || response.status() == StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    context.numbered(response)
}

/// Does something with the table, and answers with the JSON that comes of it.
async fn answered(
    context: Context,
    status: StatusCode,
    work: impl FnOnce(&mut Table<'_>) -> Result<String, Refusal> + Send + 'static,
) -> Response {
    answer(status, context.with_table(work).await.and_then(|result| result))
}

fn answer(status: StatusCode, result: Result<String, Refusal>) -> Response {
    match result {
        Ok(_) if status == StatusCode::NO_CONTENT => status.into_response(),
        Ok(text) => with_json(status, text),
        Err(refusal) => refusal.into_response(),
    }
}

fn read(bytes: &Bytes) -> Result<Value, Refusal> {
    body::parse(bytes).map_err(Refusal::bad_body)
}

/// Looks up where to listen, on a thread that may wait.
async fn look_up(texts: impl IntoIterator<Item = String>) -> LookedUp {
    let texts: Vec<String> = texts.into_iter().collect();
    let work = move || LookedUp::look_up(texts.iter().map(String::as_str));
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

async fn version() -> Response {
    let body = format!("{{\"version\": \"{VERSION}\"}}\n");
    typed(StatusCode::OK, "application/json;charset=utf-8", body)
}

async fn all(State(context): State<Context>) -> Response {
    answered(context, StatusCode::OK, |table| Ok(proxies::all_to_json(table))).await
}

async fn create(State(context): State<Context>, body: Bytes) -> Response {
    let asked = match read(&body).and_then(|body| Asked::read(body, "")) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    let listen = asked.enabled.then(|| asked.listen.clone());
    let found = look_up(listen).await;
    answered(context, StatusCode::CREATED, move |table| proxies::create(table, &asked, &found))
        .await
}

async fn show(State(context): State<Context>, Path(name): Path<String>) -> Response {
    answered(context, StatusCode::OK, move |table| {
        let entry = table.get(&name).ok_or_else(|| Refusal::missing("proxy"))?;
        Ok(proxies::to_json(&name, entry))
    })
    .await
}

async fn update(State(context): State<Context>, Path(name): Path<String>, body: Bytes) -> Response {
    let asked = read(&body).and_then(Update::read);
    let of_it = name.clone();
    let present = context.clone().with_table(move |table| {
        let entry = table.get(&of_it)?;
        (!entry.is_enabled()).then(|| entry.listen.clone())
    });
    let listen = asked.as_ref().ok().and_then(|asked| asked.listen.clone());
    let found = look_up(listen.into_iter().chain(present.await.ok().flatten())).await;
    answered(context, StatusCode::OK, move |table| {
        // Whether it is there comes before what the body says.
        table.get(&name).ok_or_else(|| Refusal::missing("proxy"))?;
        proxies::update(table, &name, asked?, &found)
    })
    .await
}

async fn remove(State(context): State<Context>, Path(name): Path<String>) -> Response {
    answered(context, StatusCode::NO_CONTENT, move |table| {
        let removed = table.remove(&name).map_err(proxies::refused)?;
        removed.then(String::new).ok_or_else(|| Refusal::missing("proxy"))
    })
    .await
}

async fn populate(State(context): State<Context>, body: Bytes) -> Response {
    let list = read(&body).and_then(proxies::read_list);
    let listens: Vec<String> = list.iter().flatten().map(|asked| asked.listen.clone()).collect();
    let found = look_up(listens).await;
    let done = context.with_table(move |table| {
        let list = list.map_err(|refusal| (refusal, Vec::new()))?;
        proxies::populate(table, &list, &found)
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

async fn reset(State(context): State<Context>) -> Response {
    let listens = context.clone().with_table(|table| {
        let disabled = table.iter().filter(|(_, entry)| !entry.is_enabled());
        disabled.map(|(_, entry)| entry.listen.clone()).collect::<Vec<_>>()
    });
    let found = look_up(listens.await.unwrap_or_default()).await;
    answered(context, StatusCode::NO_CONTENT, move |table| {
        proxies::reset(table, &found).map(|()| String::new())
    })
    .await
}

async fn all_toxics(State(context): State<Context>, Path(proxy): Path<String>) -> Response {
    answered(context, StatusCode::OK, move |table| {
        table.get(&proxy).map(toxics::list).ok_or_else(|| Refusal::missing("proxy"))
    })
    .await
}

async fn create_toxic(
    State(context): State<Context>,
    Path(proxy): Path<String>,
    body: Bytes,
) -> Response {
    answered(context, StatusCode::OK, move |table| {
        table.get(&proxy).ok_or_else(|| Refusal::missing("proxy"))?;
        toxics::create(table, &proxy, &read(&body)?).map(|toxic| toxic.to_json())
    })
    .await
}

async fn show_toxic(
    State(context): State<Context>,
    Path((proxy, name)): Path<(String, String)>,
) -> Response {
    answered(context, StatusCode::OK, move |table| {
        toxics::find(table, &proxy, &name).map(|listed| listed.toxic.to_json())
    })
    .await
}

async fn update_toxic(
    State(context): State<Context>,
    Path((proxy, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    answered(context, StatusCode::OK, move |table| {
        let toxic = toxics::find(table, &proxy, &name)?;
        toxics::update(table, &proxy, &toxic, &read(&body)?).map(|toxic| toxic.to_json())
    })
    .await
}

async fn remove_toxic(
    State(context): State<Context>,
    Path((proxy, name)): Path<(String, String)>,
) -> Response {
    answered(context, StatusCode::NO_CONTENT, move |table| {
        let toxic = toxics::find(table, &proxy, &name)?;
        toxics::remove(table, &proxy, &toxic).map(|()| String::new())
    })
    .await
}
