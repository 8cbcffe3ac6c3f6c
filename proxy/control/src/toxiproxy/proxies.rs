//! Creating, changing and removing proxies, as Toxiproxy does.

use super::answer::Refusal;
use super::asked::{Asked, has_no_upstream};
use super::body::Fields;
use super::listen::is_same;
use super::looked_up::LookedUp;
use super::toxics;
use crate::registry::{Entry, Table};
use axum::http::StatusCode;
use jostle_engine::route::{Route, Scheme, TcpMode, Transports, go_json};
use jostle_proxy::{OrderError, StartError};
use serde_json::Value;
use std::io;

/// Writes a proxy. What Toxiproxy does not know stands behind what it does, and only where there is
/// something to say.
pub(super) fn to_json(name: &str, entry: &Entry) -> String {
    let quoted = |text: &str| go_json::write(&text.into());
    let mut text = format!(
        r#"{{"name":{},"listen":{},"upstream":{},"enabled":{},"toxics":{}"#,
        quoted(name),
        quoted(&entry.listen),
        quoted(&entry.upstream),
        entry.is_enabled(),
        toxics::list(entry)
    );
    let Route { transport, tcp, .. } = &entry.route;
    let scheme = entry.route.scheme();
    if scheme != Scheme::Plain(Transports::Tcp) {
        text += &format!(r#","protocol":"{}""#, scheme.name());
    }
    for (key, value) in entry.asked_for() {
        text += &format!(r#","{key}":{}"#, go_json::write(&value));
    }
    if transport.has_tcp() && *tcp != TcpMode::TOXIPROXY {
        text += &format!(r#","tcp":"{}""#, tcp.name());
    }
    if toxics::has_more(entry) {
        text += &format!(r#","rules":{}"#, toxics::rules(entry));
    }
    text + "}"
}

/// Writes all proxies: an object by name.
pub(super) fn all_to_json(table: &Table<'_>) -> String {
    let one = |(name, entry): (&str, &Entry)| {
        format!("{}:{}", go_json::write(&name.into()), to_json(name, entry))
    };
    let all: Vec<String> = table.iter().map(one).collect();
    format!("{{{}}}", all.join(","))
}

/// Creates a proxy with all that it is asked to have, or nothing of it.
pub(super) fn create(
    table: &mut Table<'_>,
    asked: &Asked,
    found: &LookedUp,
) -> Result<String, Refusal> {
    if table.get(&asked.name).is_some() {
        return Err(Refusal::taken("proxy"));
    }
    add(table, asked, found)
}

/// Adds a proxy, in place of one that has its name. If it cannot listen there is none.
fn add(table: &mut Table<'_>, asked: &Asked, found: &LookedUp) -> Result<String, Refusal> {
    let Asked { name, listen, enabled, .. } = asked;
    let address = enabled.then(|| found.listen_on(listen)).transpose()?;
    table.put(asked.entry()).map_err(refused)?;
    if let Some(address) = address
        && let Err(error) = table.enable(name, address)
    {
        table.remove(name).map_err(refused)?;
        return Err(refused(error));
    }
    Ok(shown(table, name))
}

/// What a body asks of a proxy that is there.
pub(super) struct Update {
    pub(super) listen: Option<String>,
    upstream: Option<String>,
    enabled: Option<bool>,
}

impl Update {
    /// Reads it from a body.
    pub(super) fn read(body: Value) -> Result<Self, Refusal> {
        let fields = Fields::of(body).map_err(Refusal::bad_body)?;
        let listen = fields.text("listen").map_err(Refusal::bad_body)?;
        Ok(Self {
            listen: listen.filter(|text| !text.is_empty()),
            upstream: fields.text("upstream").map_err(Refusal::bad_body)?,
            enabled: fields.flag("enabled").map_err(Refusal::bad_body)?,
        })
    }
}

/// Changes a proxy as it is asked for.
pub(super) fn update(
    table: &mut Table<'_>,
    name: &str,
    asked: Update,
    found: &LookedUp,
) -> Result<String, Refusal> {
    let entry = table.get(name).ok_or_else(|| Refusal::missing("proxy"))?.clone();
    let listen = asked.listen.unwrap_or_else(|| entry.listen.clone());
    let upstream = asked.upstream.unwrap_or_else(|| entry.upstream.clone());
    let enabled = asked.enabled.unwrap_or_else(|| entry.is_enabled());
    if let Some(forward) = entry.route.scheme().forward()
        && !upstream.is_empty()
    {
        return Err(Refusal::bad(format!("upstream: {}", has_no_upstream(forward.scheme()))));
    }
    if differs(&entry, &listen, &upstream, found) {
        if entry.is_enabled() {
            // What cannot be read changes nothing.
            found.listen_on(&listen).map_err(|refusal| Refusal {
                message: refusal.message.trim_start_matches("listen tcp: ").to_owned(),
                ..refusal
            })?;
        }
        table.disable(name).map_err(refused)?;
        table.set_texts(name, &listen, &upstream);
    }
    if enabled {
        let address = found.listen_on(&listen)?;
        table.enable(name, address).map_err(refused)?;
    } else {
        table.disable(name).map_err(refused)?;
    }
    Ok(shown(table, name))
}

/// Returns true if a proxy is asked to listen or lead elsewhere.
fn differs(entry: &Entry, listen: &str, upstream: &str, found: &LookedUp) -> bool {
    let same_place = match entry.bound {
        Some(bound) => found.listen_on(listen).is_ok_and(|asked| is_same(&asked, bound)),
        None => entry.listen == listen,
    };
    !same_place || entry.upstream != upstream
}

/// Reads a list of proxies.
pub(super) fn read_list(body: Value) -> Result<Vec<Asked>, Refusal> {
    let values = match body {
        Value::Null => Vec::new(),
        Value::Array(values) => values,
        _ => return Err(Refusal::bad_body("json: cannot unmarshal into a list")),
    };
    let read = |(index, value)| Asked::read(value, &format!(" at proxy {}", index + 1));
    values.into_iter().enumerate().map(read).collect()
}

/// Creates what is not there of a list, and leaves what is there as it is asked for. The refusal
/// comes with what was done before it.
pub(super) fn populate(
    table: &mut Table<'_>,
    list: &[Asked],
    found: &LookedUp,
) -> Result<Vec<String>, (Refusal, Vec<String>)> {
    let mut done = Vec::new();
    for asked in list {
        let is_known = |entry: &Entry| {
            let scheme = entry.route.scheme();
            asked.protocol.unwrap_or(scheme) == scheme
                && !differs(entry, &asked.listen, &asked.upstream, found)
        };
        let proxy = match table.get(&asked.name) {
            Some(entry) if is_known(entry) => Ok(shown(table, &asked.name)),
            _ => replace(table, asked, found),
        };
        match proxy {
            Ok(proxy) => done.push(proxy),
            Err(refusal) => return Err((refusal, done)),
        }
    }
    Ok(done)
}

/// Puts a proxy in the place of one that is asked to be another. If the new one cannot listen the
/// old one stays, disabled.
fn replace(table: &mut Table<'_>, asked: &Asked, found: &LookedUp) -> Result<String, Refusal> {
    let old = table.get(&asked.name).cloned();
    table.disable(&asked.name).map_err(refused)?;
    add(table, asked, found).inspect_err(|_| {
        if let Some(old) = old {
            // Nothing is closed by it, so nothing fails.
            let _ = table.put(Entry { bound: None, id: None, ..old });
        }
    })
}

/// Enables all proxies and removes their toxics.
pub(super) fn reset(table: &mut Table<'_>, found: &LookedUp) -> Result<(), Refusal> {
    let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let listen = table.get(&name).map(|entry| entry.listen.clone()).unwrap_or_default();
        if !table.get(&name).is_some_and(Entry::is_enabled) {
            let address = found.listen_on(&listen)?;
            table.enable(&name, address).map_err(refused)?;
        }
        toxics::remove_all(table, &name)?;
    }
    Ok(())
}

fn shown(table: &Table<'_>, name: &str) -> String {
    table.get(name).map_or_else(String::new, |entry| to_json(name, entry))
}

/// Says why the proxy did not carry something out, as Go says what the system does.
pub(crate) fn refused(error: OrderError) -> Refusal {
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
