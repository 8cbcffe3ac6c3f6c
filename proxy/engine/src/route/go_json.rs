//! JSON as Go's `encoding/json` treats it, which Toxiproxy and its clients count on.

use serde_json::{Map, Value};

/// Finds a field whatever the case of its name: the last of several counts, and `null` is none.
pub fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let own = fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    own.map(|(_, value)| value).rfind(|value| !value.is_null())
}

/// Writes a value so that a page may hold it: what could be markup, or ends a line of a script, is
/// escaped. Keys keep their order.
pub fn write(value: &Value) -> String {
    let text = value.to_string();
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // They stand in strings only, where an escape means the same.
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn markup_is_escaped() {
        let value = json!({ "name": "<b>&\u{2028}ü" });
        assert_eq!(write(&value), r#"{"name":"\u003cb\u003e\u0026\u2028ü"}"#);
        assert_eq!(serde_json::from_str::<Value>(&write(&value)).unwrap(), value);
    }
}
