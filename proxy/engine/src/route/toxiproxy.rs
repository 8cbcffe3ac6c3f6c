//! Toxiproxy's own files: the array that it takes with `-config` and at `/populate`, and the object
//! that it prints at `/proxies`, names in front of the proxies.
//!
//! It reads JSON as Go does: keys in any case, keys that it does not know read over, `null` for
//! what is not said. What is read over here is told. Toxics are applied, which Toxiproxy itself
//! does not do with those in a file.

use super::raw::ROUTE_KEYS;
use super::{Toxic, ToxicError, ToxicKind};
use crate::packet::Trace;
use jostle_common::setting::{SettingError, one_of, within};
use serde_json::{Map, Value};

/// The most toxics of a proxy: a link has a place for so many rules.
const RULES_MAX: usize = Trace::PLACES_MAX;

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

/// Takes the toxics out of an entry. Attributes that are read over are added to `remarks`.
pub(super) fn take_toxics(
    place: &str,
    value: &mut Value,
    remarks: &mut Vec<String>,
) -> Result<Vec<Toxic>, SettingError> {
    let Some(toxics) = value.as_object_mut().and_then(|fields| fields.remove("toxics")) else {
        return Ok(Vec::new());
    };
    let place = within(place, "toxics");
    let values = match toxics {
        Value::Null => return Ok(Vec::new()),
        Value::Array(values) => values,
        _ => return Err(SettingError::new(place, "here belongs a list; write []")),
    };
    let mut toxics: Vec<Toxic> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let is_taken = |name: &str| toxics.iter().any(|toxic| toxic.name == name);
        let toxic = Toxic::from_value(value, is_taken).map_err(|error| {
            let place = format!("{place}[{index}]");
            match error {
                ToxicError::Attribute(SettingError { place: inner, problem }) => {
                    SettingError::new(within(&place, &inner), problem)
                }
                error => SettingError::new(place, format!("{error}; {}", error.remedy())),
            }
        })?;
        if let Some(kind) = toxic.kind() {
            remarks.extend(unknown_attributes(&format!("{place}[{index}]"), value, kind));
        }
        toxics.push(toxic);
        if toxics.len() > RULES_MAX {
            let problem = format!("more than {RULES_MAX} toxics are too many; leave some out");
            return Err(SettingError::new(place, problem));
        }
    }
    Ok(toxics)
}

/// Names the attributes that a toxic of this kind does not have.
fn unknown_attributes(place: &str, value: &Value, kind: ToxicKind) -> Vec<String> {
    let fields = value.as_object().into_iter().flatten();
    let given = fields.filter(|(key, _)| key.eq_ignore_ascii_case("attributes"));
    let keys = given.filter_map(|(_, attributes)| attributes.as_object()).flat_map(Map::keys);
    let unknown =
        keys.filter(|key| !kind.attributes().iter().any(|known| key.eq_ignore_ascii_case(known)));
    let told = unknown.map(|key| {
        let place = within(&within(place, "attributes"), key);
        match kind.attributes() {
            [] => format!("{place}: {} has no attributes", kind.name()),
            known => {
                format!("{place}: {} has no such attribute; write {}", kind.name(), one_of(known))
            }
        }
    });
    told.collect()
}
