//! What is configured beyond Toxiproxy's words: whole profiles, and all there is at a glance.
//!
//! Errors are JSON that says it is JSON.

use crate::context::Context;
use crate::live;
use crate::registry::{Entry, Table};
use crate::routes::only;
use crate::toxiproxy::{self, Refusal, refused};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jostle_common::chance::Direction;
use jostle_common::setting::{SettingError, parse_json};
use jostle_engine::profile::{Profile, library, no_files};
use jostle_engine::rules::Traffic;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

/// The size of the packets that descriptions of the built-in profiles speak of.
const PACKET_BYTES: u32 = 1200;

/// Returns the routes.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/proxies/{proxy}/profile", only(get(show).put(set)))
        .route("/proxies/{proxy}/rules", only(get(rules)))
        .route("/profiles", only(get(built_in)))
        .route("/rules", only(get(rules_on).post(switch)))
        .route("/state", only(get(state)))
}

/// Does something with the table, and answers with what comes of it.
async fn answered(
    context: Context,
    work: impl FnOnce(&mut Table<'_>) -> Result<Response, Refusal> + Send + 'static,
) -> Response {
    let done = context.with_table(work).await.and_then(|result| result);
    done.unwrap_or_else(|refusal| with_json(refusal.status, refusal.to_json().to_string()))
}

pub(crate) fn with_json(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], text.into()).into_response()
}

async fn show(State(context): State<Context>, Path(name): Path<String>) -> Response {
    answered(context, move |table| Ok(profile(find(table, &name)?))).await
}

/// Sets the profile of a proxy: one that is written out, or a built-in one by its name.
async fn set(
    State(context): State<Context>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answered(context, move |table| {
        let entry = find(table, &name)?;
        let written = read(&body, &entry.route.profile)?;
        refuse_if_changed(entry, &headers)?;
        table.set_profile(&name, written).map_err(refused)?;
        Ok(profile(find(table, &name)?))
    })
    .await
}

/// Returns the toxics and all other rules of a proxy, as toxics.
async fn rules(State(context): State<Context>, Path(name): Path<String>) -> Response {
    answered(context, move |table| {
        let rules = toxiproxy::rules(find(table, &name)?);
        Ok(with_json(StatusCode::OK, format!(r#"{{"rules":{rules}}}"#)))
    })
    .await
}

async fn rules_on(State(context): State<Context>) -> Response {
    answered(context, |table| Ok(on(table.rules_are_on()))).await
}

/// Switches all rules of all proxies.
async fn switch(State(context): State<Context>, body: Bytes) -> Response {
    let wanted = read_json(&body).and_then(|value| match value.get("on") {
        Some(Value::Bool(on)) => Ok(*on),
        _ => {
            Err(Refusal::bad(r#"on: whether all rules are to act is missing; write {"on": false}"#))
        }
    });
    answered(context, move |table| {
        let wanted = wanted?;
        table.set_rules_on(wanted).map_err(refused)?;
        Ok(on(wanted))
    })
    .await
}

fn on(on: bool) -> Response {
    with_json(StatusCode::OK, json!({ "on": on }).to_string())
}

async fn state(State(context): State<Context>) -> Response {
    let registry = Arc::clone(&context.registry);
    let text = tokio::task::spawn_blocking(move || live::current_state(&registry)).await;
    let text = text.unwrap_or_else(|_| "{}".to_owned());
    with_json(StatusCode::OK, text)
}

async fn built_in() -> Response {
    static LIST: OnceLock<Bytes> = OnceLock::new();
    // There are a hundred to be read, once.
    let list = tokio::task::spawn_blocking(|| LIST.get_or_init(list).clone()).await;
    with_json(StatusCode::OK, list.unwrap_or_default())
}

fn find<'a>(table: &'a Table<'_>, name: &str) -> Result<&'a Entry, Refusal> {
    table.get(name).ok_or_else(|| {
        let text = format!("there is no proxy \"{name}\"; GET /proxies lists those there are");
        Refusal::new(StatusCode::NOT_FOUND, text)
    })
}

/// Answers with the profile of a proxy, and its revision.
fn profile(entry: &Entry) -> Response {
    let mut response = with_json(StatusCode::OK, entry.route.profile.to_value().to_string());
    let tag = HeaderValue::from_str(&tag(entry)).expect("it is a number in quotes");
    response.headers_mut().insert(header::ETAG, tag);
    response
}

fn tag(entry: &Entry) -> String {
    format!("\"{}\"", entry.revision)
}

/// Refuses a change of what is not as its author saw it (RFC 9110, 13.1.1).
fn refuse_if_changed(entry: &Entry, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut wanted = headers.get_all(header::IF_MATCH).into_iter().peekable();
    if wanted.peek().is_none() {
        return Ok(());
    }
    let tag = tag(entry);
    let is_it = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').any(|one| matches!(one.trim(), "*") || one.trim() == tag)
    };
    if wanted.any(is_it) {
        return Ok(());
    }
    let text = format!("the proxy has changed meanwhile: its ETag is {tag} now; read it again");
    Err(Refusal::new(StatusCode::PRECONDITION_FAILED, text))
}

/// Reads a profile from a body. Whatever it names, no file is read: what the proxy's rules were
/// read from is known, so a profile that is shown can be set again.
fn read(body: &[u8], present: &Profile) -> Result<Profile, Refusal> {
    let said = |error: SettingError| Refusal::bad(error.to_string());
    let known = |name: &str| present.file(name).map_or_else(|| no_files(name), Ok);
    match read_json(body)? {
        Value::String(name) => {
            let text = library::text(&name).ok_or_else(|| Refusal::bad(unknown(&name)))?;
            Profile::from_json(text).map_err(said)
        }
        value => Profile::from_value("", value, &known).map_err(said),
    }
}

/// Says that no built-in profile is called `name`, and where to look for one.
pub(crate) fn unknown(name: &str) -> String {
    let hint = library::hint(name);
    format!(
        "there is no built-in profile \"{name}\"; {hint}, and so does GET /profiles; or write the \
         profile out"
    )
}

fn read_json(body: &[u8]) -> Result<Value, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::bad("the body is not UTF-8"))?;
    parse_json(text).map_err(|error| Refusal::bad(error.to_string()))
}

/// Returns all built-in profiles, in numbers and in words.
fn list() -> Bytes {
    let profiles: Vec<Value> = library::names().filter_map(described).collect();
    json!({ "profiles": profiles }).to_string().into()
}

fn described(name: &str) -> Option<Value> {
    let profile = Profile::from_json(library::text(name)?).ok()?;
    let traffic = Traffic::of_size(PACKET_BYTES);
    let words = |direction| {
        let mut words: Vec<String> = Vec::new();
        for rule in profile.timeline(direction).rules() {
            let said = rule.kind.words(&traffic);
            // What several phases have is said once.
            if !words.contains(&said) {
                words.push(said);
            }
        }
        words
    };
    let (up, down) = (words(Direction::Up), words(Direction::Down));
    let written = profile.to_value();
    Some(
        json!({ "name": name, "about": profile.about, "up": up, "down": down, "profile": written }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(body: &[u8]) -> Result<Profile, Refusal> {
        read(body, &Profile::default())
    }

    #[test]
    fn every_built_in_profile_is_listed_and_reads_as_itself() {
        let list: Value = serde_json::from_slice(&list()).unwrap();
        let list = list["profiles"].as_array().unwrap();
        assert_eq!(list.len(), library::names().count());
        for one in list {
            let name = one["name"].as_str().unwrap();
            let by_name = set(json!(name).to_string().as_bytes()).unwrap();
            assert_eq!(set(one["profile"].to_string().as_bytes()).unwrap(), by_name, "{name}");
            assert!(one["up"].as_array().is_some_and(|up| !up.is_empty()) || by_name.up.is_empty());
        }
    }

    #[test]
    fn no_body_reads_a_file() {
        for body in [
            r#""/etc/passwd""#,
            r#""profile.json""#,
            r#"{ "up": [ { "rule": "rate", "trace": "/etc/passwd" } ] }"#,
            r#"{ "up": [ { "rule": "delay", "trace": "delays.txt" } ] }"#,
            r#"{ "up": [ { "rule": "delay", "time": "5ms", "jitter": "1ms", "table": "wifi.dist" } ] }"#,
        ] {
            let refusal = set(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST, "{body}");
        }
        for body in ["", "nul", "{\"up\": [], \"up\": []}", "[]", "5", "{} {}"] {
            assert_eq!(set(body.as_bytes()).unwrap_err().status, StatusCode::BAD_REQUEST, "{body}");
        }
        assert_eq!(set(b"\xff").unwrap_err().message, "the body is not UTF-8");
    }

    #[test]
    fn what_the_proxy_has_read_already_may_be_set_again() {
        let file = |name: &str| match name {
            "drive.trace" => Ok("0\n10\n".to_owned()),
            name => no_files(name),
        };
        let text = r#"{ "up": [ { "rule": "rate", "trace": "drive.trace", "queue": "64KiB" } ] }"#;
        let present = Profile::from_json_with(text, &file).unwrap();
        let again = read(present.to_value().to_string().as_bytes(), &present).unwrap();
        assert_eq!(again, present);
        let other = text.replace("drive", "other");
        let refusal = read(other.as_bytes(), &present).unwrap_err();
        assert!(refusal.message.contains("\"other.trace\" cannot be looked up"), "{refusal:?}");
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_those_there_are() {
        let said = set(br#""geo-satelite""#).unwrap_err().message;
        let right = "there is no built-in profile \"geo-satelite\"; did you mean geo-satellite? \
                     jostle profile list shows the built-in profiles, and so does GET /profiles; \
                     or write the profile out";
        assert_eq!(said, right);
    }
}
