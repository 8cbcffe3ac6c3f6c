//! The configuration as those who watch are told of it.

use crate::registry::{Origin, Registry};
use jostle_engine::route::{TcpMode, Transports};
use serde_json::{Value, json};

/// Returns all that is configured, as JSON.
pub(super) fn current(registry: &Registry) -> String {
    let rules_on = registry.control().rules_are_on();
    let table = registry.open(Origin::Api);
    let proxies = table.iter().map(|(name, entry)| {
        json!({
            "name": name,
            "listen": entry.listen,
            "upstream": entry.upstream,
            "enabled": entry.is_enabled(),
            "protocol": protocol(entry.route.transport),
            "tcp": tcp(entry.route.transport, entry.route.tcp),
        })
    });
    let proxies: Vec<Value> = proxies.collect();
    let version = env!("CARGO_PKG_VERSION");
    json!({ "version": version, "rules_on": rules_on, "proxies": proxies }).to_string()
}

const fn protocol(transports: Transports) -> &'static str {
    match transports {
        Transports::Udp => "udp",
        Transports::Tcp => "tcp",
        Transports::Both => "both",
    }
}

fn tcp(transports: Transports, mode: TcpMode) -> Value {
    match (transports, mode) {
        (Transports::Udp, _) => Value::Null,
        (_, TcpMode::Raw(_)) => "raw".into(),
        (_, mode) => json!(format!("{mode:?}").to_lowercase()),
    }
}
