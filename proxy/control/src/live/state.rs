//! The configuration at a glance, as `GET /state` tells it and those who watch are told of it.

use crate::registry::{Entry, Origin, Registry};
use jostle_engine::route::{TcpMode, Unit};
use serde_json::{Map, Value, json};

/// Returns all that is configured, as JSON.
pub(crate) fn current(registry: &Registry) -> String {
    let control = registry.control();
    let (seed, rules_on) = (control.seed(), control.rules_are_on());
    let table = registry.open(Origin::Api);
    let proxies: Vec<Value> = table.iter().map(|(name, entry)| proxy(name, entry)).collect();
    drop(table);
    let version = env!("CARGO_PKG_VERSION");
    json!({ "version": version, "seed": seed, "rules_on": rules_on, "proxies": proxies })
        .to_string()
}

fn proxy(name: &str, entry: &Entry) -> Value {
    let route = &entry.route;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("name", name.into());
    put("listen", entry.listen.as_str().into());
    put("upstream", entry.upstream.as_str().into());
    put("enabled", entry.is_enabled().into());
    put("protocol", route.scheme().name().into());
    for (key, value) in entry.asked_for() {
        put(key, value);
    }
    let mode = Some(route.tcp).filter(|_| route.transport.has_tcp());
    put("tcp", mode.map(TcpMode::name).into());
    if let Some(TcpMode::Raw(unit)) = mode {
        put("unit", unit_text(unit).into());
    }
    if let Some(seed) = route.seed {
        put("seed", seed.into());
    }
    put("revision", entry.revision.into());
    put("profile", route.profile.to_value());
    Value::Object(fields)
}

fn unit_text(unit: Unit) -> String {
    match unit {
        Unit::Line => "line".to_owned(),
        Unit::Read => "read".to_owned(),
        Unit::Bytes(bytes) => format!("{bytes}B"),
    }
}
