//! The JSON Schema of profiles, from the types that read them, so that editors complete and check
//! what a person writes.
//!
//! What takes two fields to judge (a jitter above its time) only the reader sees; whatever the
//! reader takes, the schema takes.

use super::RawProfile;
use crate::rules::{KINDS, RawSelection};
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Returns the schema of profiles, as JSON text with a line end.
pub fn schema() -> String {
    schema_of::<RawProfile>("jostle profile", |_| ())
}

/// Returns the schema of what `T` reads, as JSON text with a line end. `finish` may add what the
/// type does not say.
pub(crate) fn schema_of<T: JsonSchema>(title: &str, finish: impl FnOnce(&mut Schema)) -> String {
    // Draft 7 is what editors know best.
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    finish(&mut schema);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let description = "Where this schema is, for editors.";
        properties
            .insert("$schema".into(), json!({ "type": "string", "description": description }));
    }
    RecursiveTransform(simplify).transform(&mut schema);
    let mut rest = schema.to_value();
    // What it is comes first, what it is made of last.
    let first = ["$schema", "title", "description"];
    let mut ordered = Map::new();
    if let Value::Object(fields) = &mut rest {
        ordered.extend(
            first.iter().filter_map(|name| Some(((*name).to_owned(), fields.shift_remove(*name)?))),
        );
        let definitions = fields.shift_remove("definitions");
        ordered.append(fields);
        ordered.extend(definitions.map(|all| ("definitions".to_owned(), all)));
    }
    // The types are named after their being raw, which means nothing outside.
    let text = format!("{:#}\n", Value::Object(ordered));
    text.replace("\"#/definitions/Raw", "\"#/definitions/").replace("    \"Raw", "    \"")
}

/// Takes out what says nothing to a person: that a field may be left out by writing null, and how
/// wide an integer is in memory.
fn simplify(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::String(words)) = schema.get_mut("description") {
        // Source lines end where the screen does; an editor wraps by itself.
        *words = words.replace('\n', " ");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    choices.retain(|choice| choice != &json!({ "type": "null" }));
    let [only] = choices.as_slice() else { return };
    let only = only.clone();
    schema.remove("anyOf");
    match (only, schema.is_empty_object()) {
        (Value::Object(only), true) => only.into_iter().for_each(|(key, value)| {
            schema.insert(key, value);
        }),
        // Draft 7 ignores all that stands next to a reference.
        (only, _) => {
            schema.insert("allOf".into(), json!([only]));
        }
    }
}

/// The test for a schema with nothing in it.
trait Emptiness {
    fn is_empty_object(&self) -> bool;
}

impl Emptiness for Schema {
    fn is_empty_object(&self) -> bool {
        self.as_object().is_some_and(Map::is_empty)
    }
}

/// A rule of any kind.
pub(super) struct AnyRule;

impl JsonSchema for AnyRule {
    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Value> = KINDS
            .iter()
            .map(|kind| {
                let fields = (kind.fields)(generator);
                rule(kind.name, fields, kind.one_of, generator).to_value()
            })
            .collect();
        json_schema!({ "type": "object", "required": ["rule"], "oneOf": kinds })
    }
}

/// Returns the schema of a rule: what it is, its own fields, and those of every rule.
fn rule(kind: &str, own: Schema, one_of: &[&str], generator: &mut SchemaGenerator) -> Schema {
    let mut properties = Map::new();
    properties.insert("rule".into(), json!({ "const": kind }));
    let mut required = vec![Value::from("rule")];
    for mut part in [own.clone(), RawSelection::json_schema(generator)] {
        if let Some(Value::Object(fields)) = part.remove("properties") {
            properties.extend(fields);
        }
        if let Some(Value::Array(names)) = part.remove("required") {
            required.extend(names);
        }
    }
    let name = json!({
        "type": "string", "minLength": 1, "maxLength": 255,
        "description": "Who the rule is, in its draws, in counters and in events; its kind and \
                        ordinal (drop, drop#2) unless stated.",
    });
    properties.insert("name".into(), name);
    let mut schema = json_schema!({
        "title": kind,
        "description": own.get("description").cloned().unwrap_or_default(),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !one_of.is_empty() {
        let choices: Vec<Value> =
            one_of.iter().map(|field| json!({ "required": [field] })).collect();
        schema.insert("oneOf".into(), choices.into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/profile.schema.json");
        if std::env::var_os("JOSTLE_BLESS").is_some() {
            std::fs::write(path, schema()).unwrap();
        }
        let shipped = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            shipped == schema(),
            "write it again: jostle profile schema > configs/profile.schema.json"
        );
    }

    #[test]
    fn every_kind_and_field_has_its_words() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        let kinds = schema["definitions"]["Rule"]["oneOf"].as_array().unwrap();
        assert_eq!(kinds.len(), KINDS.len());
        assert_eq!(kinds.len(), 17);
        let mut fields = 0;
        for kind in kinds {
            assert!(kind["description"].as_str().unwrap().ends_with('.'), "{kind}");
            for (name, field) in kind["properties"].as_object().unwrap() {
                fields += 1;
                assert!(name == "rule" || field["description"].is_string(), "{name}: {field}");
            }
        }
        assert!(fields > 100, "{fields}");
    }
}
