//! What a row says about its machine and its moment.

use super::relayed::Relayed;
use serde_json::{Map, Value, json};

/// The `host` of a row that began `started` seconds after 1970. `own` is what only the command at
/// hand knows.
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

/// How many processes wanted a processor in the last minute, in the mean; `null` where the system
/// does not say.
pub(crate) fn load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!(text.split(' ').next().and_then(|load| load.parse::<f64>().ok()))
}
