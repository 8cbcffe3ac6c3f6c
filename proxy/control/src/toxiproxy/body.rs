//! Bodies as Go's `encoding/json` reads them: the case of keys does not matter, unknown keys are
//! passed over, of two equal keys the last one counts, `null` leaves what was there, and whatever
//! follows the first value is ignored.

use jostle_engine::route::go_json::field;
use serde_json::{Map, Value};

/// Reads the first value of a body. The error is what Go says of it, as far as clients look.
pub(super) fn parse(body: &[u8]) -> Result<Value, String> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    match values.next() {
        None => Err("EOF".into()),
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) if error.is_eof() => Err("unexpected EOF".into()),
        Some(Err(_)) => Err(junk(body)),
    }
}

/// Names the first character of a body that does not begin as JSON, or says that it is wrong
/// further on.
fn junk(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let begins = |first: char| first.is_ascii_digit() || "{[\"-tfn".contains(first);
    match text.trim_start().chars().next() {
        Some(first) if !begins(first) => {
            format!("invalid character '{}' looking for beginning of value", first.escape_debug())
        }
        _ => "invalid character in JSON".into(),
    }
}

/// The fields of an object, found as Go finds those of a struct.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Takes an object; `null` is one without fields.
    pub(super) fn of(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::Object(fields) => Ok(Self(fields)),
            other => Err(format!("json: cannot unmarshal {} into an object", kind(&other))),
        }
    }

    /// Returns a value, whatever it is.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        field(&self.0, name)
    }

    /// Returns a string.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        match field(&self.0, name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(mismatch(other, name, "string")),
        }
    }

    /// Returns a truth value.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        match field(&self.0, name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(mismatch(other, name, "bool")),
        }
    }
}

fn mismatch(found: &Value, name: &str, wanted: &str) -> String {
    format!("json: cannot unmarshal {} into Go struct field .{name} of type {wanted}", kind(found))
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) => format!("number {number}"),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(text: &str) -> Fields {
        Fields::of(parse(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn bodies_that_are_no_json_are_refused_in_go_s_words() {
        assert_eq!(parse(b"").unwrap_err(), "EOF");
        assert_eq!(parse(b"  \n").unwrap_err(), "EOF");
        assert_eq!(parse(br#"{"name": "a""#).unwrap_err(), "unexpected EOF");
        assert_eq!(
            parse(b"junk").unwrap_err(),
            "invalid character 'j' looking for beginning of value"
        );
        assert!(parse(b"{name}").unwrap_err().starts_with("invalid character"));
        // What nests too deep for any reader is an error, not the end of the process.
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn what_follows_the_first_value_is_ignored() {
        assert_eq!(parse(br#"{"a":1} and more"#).unwrap(), json!({ "a": 1 }));
        assert_eq!(parse(b"null null").unwrap(), Value::Null);
    }

    #[test]
    fn keys_are_found_in_any_case_and_the_last_one_counts() {
        let found = fields(r#"{ "Name": "a", "UPSTREAM": "b", "name": "c", "extra": [1] }"#);
        assert_eq!(found.text("name").unwrap().as_deref(), Some("c"));
        assert_eq!(found.text("upstream").unwrap().as_deref(), Some("b"));
        assert_eq!(found.text("listen").unwrap(), None);
        let found = fields(r#"{ "name": "a", "NAME": null }"#);
        assert_eq!(found.text("name").unwrap().as_deref(), Some("a"), "null leaves what was there");
        assert_eq!(fields("null").text("name").unwrap(), None);
    }

    #[test]
    fn types_are_checked() {
        assert!(fields(r#"{"name":1}"#).text("name").is_err());
        assert!(fields(r#"{"enabled":"yes"}"#).flag("enabled").is_err());
        assert!(Fields::of(json!([])).is_err());
    }
}
