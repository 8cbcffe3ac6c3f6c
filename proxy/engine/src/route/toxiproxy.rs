//! Toxiproxy's own files: the array that it takes with `-config` and at `/populate`, and the object
//! that it prints at `/proxies`, names in front of the proxies.
//!
//! It reads JSON as Go does: keys in any case, keys that it does not know read over, `null` for
//! what is not said. What is read over here is told. Toxics are not applied yet, so they are
//! refused: weather that does not happen must not go unnoticed.

use super::raw::ROUTE_KEYS;
use jostle_common::setting::{SettingError, within};
use serde_json::{Map, Value};

/// The keys of a proxy, as Toxiproxy prints them.
const KEYS: [&str; 5] = ["name", "listen", "upstream", "enabled", "toxics"];

/// Any address and a port that the system picks: what a proxy listens on that does not say.
const LISTEN_DEFAULT: &str = ":0";

/// Returns true for what Toxiproxy prints at `/proxies`: an object for each name. The routes of
/// jostle's own object are a list.
pub(super) fn is_listing(object: &Map<String, Value>) -> bool {
    let is_own = object.contains_key("seed") || object.keys().all(|key| key == "proxies");
    !object.is_empty() && !is_own && object.values().all(Value::is_object)
}

/// Returns the entries of such an object, each with its place and its name.
pub(super) fn entries(object: Map<String, Value>) -> Vec<(String, Value)> {
    let named = |(name, mut value): (String, Value)| {
        if let Value::Object(fields) = &mut value
            && !fields.keys().any(|key| key.eq_ignore_ascii_case("name"))
        {
            fields.insert("name".to_owned(), name.clone().into());
        }
        (name, value)
    };
    object.into_iter().map(named).collect()
}

/// Makes an entry one of jostle's: a route's own keys stay as they are, so an array may hold what
/// only jostle knows. What is read over is added to `remarks`.
pub(super) fn tidied(place: &str, value: Value, remarks: &mut Vec<String>) -> Value {
    let Value::Object(fields) = value else { return value };
    let mut tidy = Map::new();
    for (key, value) in fields {
        let known = KEYS.into_iter().find(|known| key.eq_ignore_ascii_case(known));
        let own = known.or_else(|| ROUTE_KEYS.into_iter().find(|own| *own == key));
        match own {
            // Go leaves what it is at.
            Some(_) if value.is_null() => {}
            Some(own) => {
                tidy.insert(own.to_owned(), value);
            }
            None => remarks.push(format!(
                "{}: Toxiproxy reads over this key, and so does jostle",
                within(place, &key)
            )),
        }
    }
    if tidy.get("listen").is_none_or(|listen| listen == "") {
        tidy.insert("listen".to_owned(), LISTEN_DEFAULT.into());
    }
    Value::Object(tidy)
}

/// Takes the toxics out of an entry, and refuses them if there are any.
pub(super) fn refuse_toxics(place: &str, value: &mut Value) -> Result<(), SettingError> {
    let Some(toxics) = value.as_object_mut().and_then(|fields| fields.remove("toxics")) else {
        return Ok(());
    };
    let place = within(place, "toxics");
    let toxics = match toxics {
        Value::Null => return Ok(()),
        Value::Array(toxics) => toxics,
        _ => return Err(SettingError::new(place, "here belongs a list; write []")),
    };
    let Some(toxic) = toxics.first() else { return Ok(()) };
    let said = |key: &str| toxic.get(key).and_then(Value::as_str);
    let (kind, name) = (said("type"), said("name"));
    let what = kind.or(name).unwrap_or("first");
    let remedy = remedy(toxic, kind).unwrap_or_else(|| "write a \"profile\" instead".to_owned());
    Err(SettingError::new(
        format!("{place}[0]"),
        format!("toxics are not applied, and this {what} would not happen; {remedy}"),
    ))
}

/// Says which profile is like a toxic, where one is.
fn remedy(toxic: &Value, kind: Option<&str>) -> Option<String> {
    let attribute = |key: &str| toxic.get("attributes")?.get(key)?.as_u64();
    let way = match toxic.get("stream").and_then(Value::as_str) {
        Some(stream) if stream.eq_ignore_ascii_case("upstream") => "up",
        _ => "down",
    };
    let rule = match kind? {
        "latency" => {
            let jitter = match attribute("jitter") {
                Some(jitter) if jitter > 0 => format!(", \"jitter\": \"{jitter}ms\""),
                _ => String::new(),
            };
            format!("\"rule\": \"delay\", \"time\": \"{}ms\"{jitter}", attribute("latency")?)
        }
        // A thousand bytes per second each.
        "bandwidth" => format!(
            "\"rule\": \"rate\", \"limit\": \"{}kbit/s\"",
            attribute("rate")?.checked_mul(8)?
        ),
        _ => return None,
    };
    Some(format!("write \"profile\": {{ \"{way}\": [ {{ {rule} }} ] }} instead"))
}
