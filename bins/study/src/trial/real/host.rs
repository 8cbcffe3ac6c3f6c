//! A row's account of its machine and its moment.

use super::relayed::Relayed;
use serde_json::{Map, Value, json};

/// Returns the `host` of a row that began `started` seconds after 1970. `own` is the field that
/// only the calling command knows.
pub(crate) fn host(started: u64, own: (&str, Value), relayed: &Relayed<'_>) -> Map<String, Value> {
    let fields = [
        ("started_unix_secs", json!(started)),
        ("os", json!(std::env::consts::OS)),
        ("cpus", json!(std::thread::available_parallelism().map_or(1, usize::from))),
        own,
        ("lateness", relayed.lateness()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns the mean number of processes that wanted a processor in the last minute; `null` where
/// the system does not say.
pub(crate) fn load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!(text.split(' ').next().and_then(|load| load.parse::<f64>().ok()))
}
