//! Creating, changing and removing proxies, as Toxiproxy does.

use super::answer::Refusal;
use super::body::Fields;
use super::listen::{is_same, parse};
use super::toxics;
use crate::registry::{Entry, Table};
use axum::http::StatusCode;
use jostle_engine::route::{HostPort, go_json, service_port};
use jostle_proxy::{OrderError, StartError};
use serde_json::Value;
use std::io;

/// Writes a proxy.
pub(super) fn to_json(name: &str, entry: &Entry) -> String {
    let quoted = |text: &str| go_json::write(&text.into());
    format!(
        r#"{{"name":{},"listen":{},"upstream":{},"enabled":{},"toxics":{}}}"#,
        quoted(name),
        quoted(&entry.listen),
        quoted(&entry.upstream),
        entry.is_enabled(),
        toxics::list(entry)
    )
}

/// Writes all proxies: an object by name.
pub(super) fn all_to_json(table: &Table<'_>) -> String {
    let one = |(name, entry): (&str, &Entry)| {
        format!("{}:{}", go_json::write(&name.into()), to_json(name, entry))
    };
    let all: Vec<String> = table.iter().map(one).collect();
    format!("{{{}}}", all.join(","))
}

/// A proxy as a body asks for it.
pub(super) struct Asked {
    name: String,
    listen: String,
    upstream: String,
    enabled: bool,
}

impl Asked {
    /// Reads one from a body; `place` says which of several it is.
    fn read(value: Value, place: &str) -> Result<Self, Refusal> {
        let fields = Fields::of(value).map_err(Refusal::bad_body)?;
        let text = |name| fields.text(name).map_err(Refusal::bad_body);
        let (name, listen, upstream) = (text("name")?, text("listen")?, text("upstream")?);
        let enabled = fields.flag("enabled").map_err(Refusal::bad_body)?.unwrap_or(true);
        let required = |field: &str, value: Option<String>| {
            let missing = || Refusal::bad(format!("missing required field: {field}{place}"));
            value.filter(|text| !text.is_empty()).ok_or_else(missing)
        };
        Ok(Self {
            name: required("name", name)?,
            upstream: required("upstream", upstream)?,
            listen: listen.unwrap_or_default(),
            enabled,
        })
    }
}

/// Creates the proxy that a body describes.
pub(super) fn create(table: &mut Table<'_>, body: Value) -> Result<String, Refusal> {
    let asked = Asked::read(body, "")?;
    if table.get(&asked.name).is_some() {
        return Err(Refusal::taken("proxy"));
    }
    add(table, &asked)
}

/// Adds a proxy, in place of one that has its name. If it cannot listen there is none.
fn add(table: &mut Table<'_>, asked: &Asked) -> Result<String, Refusal> {
    let Asked { name, listen, upstream, enabled } = asked;
    let address = enabled.then(|| listen_on(listen)).transpose()?;
    table.put(Entry::new(name, listen, upstream)).map_err(refused)?;
    if let Some(address) = address
        && let Err(error) = table.enable(name, address)
    {
        table.remove(name).map_err(refused)?;
        return Err(refused(error));
    }
    Ok(shown(table, name))
}

/// Changes a proxy as a body says.
pub(super) fn update(table: &mut Table<'_>, name: &str, body: Value) -> Result<String, Refusal> {
    let entry = table.get(name).ok_or_else(|| Refusal::missing("proxy"))?.clone();
    let fields = Fields::of(body).map_err(Refusal::bad_body)?;
    let listen = fields.text("listen").map_err(Refusal::bad_body)?;
    let listen = listen.filter(|text| !text.is_empty()).unwrap_or_else(|| entry.listen.clone());
    let upstream = fields.text("upstream").map_err(Refusal::bad_body)?;
    let upstream = upstream.unwrap_or_else(|| entry.upstream.clone());
    let enabled = fields.flag("enabled").map_err(Refusal::bad_body)?;
    let enabled = enabled.unwrap_or_else(|| entry.is_enabled());
    if differs(&entry, &listen, &upstream) {
        if entry.is_enabled() {
            // What cannot be read changes nothing.
            listen_on(&listen).map_err(|refusal| Refusal {
                message: refusal.message.trim_start_matches("listen tcp: ").to_owned(),
                ..refusal
            })?;
        }
        table.disable(name).map_err(refused)?;
        table.set_texts(name, &listen, &upstream);
    }
    if enabled {
        let address = listen_on(&listen)?;
        table.enable(name, address).map_err(refused)?;
    } else {
        table.disable(name).map_err(refused)?;
    }
    Ok(shown(table, name))
}

/// Returns true if a proxy is asked to listen or lead elsewhere.
fn differs(entry: &Entry, listen: &str, upstream: &str) -> bool {
    let same_place = match entry.bound {
        Some(bound) => listen_on(listen).is_ok_and(|asked| is_same(&asked, bound)),
        None => entry.listen == listen,
    };
    !same_place || entry.upstream != upstream
}

/// Creates what is not there of a list, and leaves what is there as it is asked for. The refusal
/// comes with what was done before it.
pub(super) fn populate(
    table: &mut Table<'_>,
    body: Value,
) -> Result<Vec<String>, (Refusal, Vec<String>)> {
    let nothing = |refusal| (refusal, Vec::new());
    let values = match body {
        Value::Null => Vec::new(),
        Value::Array(values) => values,
        _ => return Err(nothing(Refusal::bad_body("json: cannot unmarshal into a list"))),
    };
    let read = |(index, value)| Asked::read(value, &format!(" at proxy {}", index + 1));
    let asked: Result<Vec<Asked>, Refusal> = values.into_iter().enumerate().map(read).collect();
    let mut done = Vec::new();
    for asked in asked.map_err(nothing)? {
        let known = table
            .get(&asked.name)
            .is_some_and(|entry| !differs(entry, &asked.listen, &asked.upstream));
        let proxy = if known { Ok(shown(table, &asked.name)) } else { replace(table, &asked) };
        match proxy {
            Ok(proxy) => done.push(proxy),
            Err(refusal) => return Err((refusal, done)),
        }
    }
    Ok(done)
}

/// Puts a proxy in the place of one that is asked to be another. If the new one cannot listen the
/// old one stays, disabled.
fn replace(table: &mut Table<'_>, asked: &Asked) -> Result<String, Refusal> {
    let old = table.get(&asked.name).cloned();
    table.disable(&asked.name).map_err(refused)?;
    add(table, asked).inspect_err(|_| {
        if let Some(old) = old {
            // Nothing is closed by it, so nothing fails.
            let _ = table.put(Entry { bound: None, id: None, ..old });
        }
    })
}

/// Enables all proxies and removes their toxics.
pub(super) fn reset(table: &mut Table<'_>) -> Result<(), Refusal> {
    let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let listen = table.get(&name).map(|entry| entry.listen.clone()).unwrap_or_default();
        if !table.get(&name).is_some_and(Entry::is_enabled) {
            let address = listen_on(&listen)?;
            table.enable(&name, address).map_err(refused)?;
        }
        toxics::remove_all(table, &name)?;
    }
    Ok(())
}

fn shown(table: &Table<'_>, name: &str) -> String {
    table.get(name).map_or_else(String::new, |entry| to_json(name, entry))
}

/// Reads where to listen.
fn listen_on(text: &str) -> Result<HostPort, Refusal> {
    parse(text, service_port).map_err(|said| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, said))
}

/// Says why the proxy did not carry something out, as Go says what the system does.
pub(super) fn refused(error: OrderError) -> Refusal {
    let message = match &error {
        OrderError::Start(StartError::Listen { address, cause, .. }) => {
            let (scheme, address) = address.split_once("://").unwrap_or(("tcp", address));
            format!("listen {scheme} {address}: bind: {}", said_by_go(cause))
        }
        OrderError::Start(StartError::Resolve { address, .. }) => {
            let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
            format!("listen tcp: lookup {host}: no such host")
        }
        OrderError::Rules(_) => return Refusal::bad(error.to_string()),
        OrderError::NameTaken(_) => return Refusal::taken("proxy"),
        OrderError::NoRoute(_) => return Refusal::missing("proxy"),
        OrderError::Full | OrderError::Ended => {
            return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        }
        _ => error.to_string(),
    };
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}

fn said_by_go(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".into(),
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}
