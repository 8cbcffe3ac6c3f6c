//! JSON as people lay it out: what fits on a line stands on one, and a rule always does.

use serde_json::Value;

/// Lines end here, if they can.
const COLUMNS: usize = 100;

/// Returns a value as text with line ends.
pub(crate) fn laid_out(value: &Value) -> String {
    let mut text = String::new();
    lay_out(&mut text, value, 0, 0);
    text.push('\n');
    text
}

/// Writes a value of which `used` columns of the line are taken already.
fn lay_out(text: &mut String, value: &Value, indent: usize, used: usize) {
    let line = on_a_line(value);
    let is_rule = value.get("rule").is_some();
    if indent > 0 && (is_rule || used + line.chars().count() < COLUMNS) {
        return text.push_str(&line);
    }
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (format!("{}: ", quoted(name)), value)).collect()
        }
        // Lists of numbers and words would be long beyond measure.
        Value::Array(values) if values.iter().any(Value::is_object) => {
            values.iter().map(|value| (String::new(), value)).collect()
        }
        _ => Vec::new(),
    };
    if children.is_empty() {
        return text.push_str(&line);
    }
    let inner = indent + 2;
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    text.push(open);
    for (index, (name, value)) in children.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&format!("\n{:inner$}{name}", ""));
        lay_out(text, value, inner, inner + name.chars().count());
    }
    text.push_str(&format!("\n{:indent$}{close}", ""));
}

/// Returns a value on one line, with spaces between its parts.
fn on_a_line(value: &Value) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let fields = fields.iter();
            let fields =
                fields.map(|(name, value)| format!("{}: {}", quoted(name), on_a_line(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            format!("[ {} ]", values.iter().map(on_a_line).collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(on_a_line).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use crate::profile::{Profile, library};

    #[test]
    fn a_profile_is_laid_out_as_people_do_it() {
        // Written by hand, and in the canonical form but for the order of what both have.
        let text = library::text("coffee-shop-wifi").unwrap();
        assert_eq!(Profile::from_json(text).unwrap().to_text(), text);
        let text = r#"{
  "both": [ { "rule": "size", "max": "1B" }, { "rule": "drop", "packets": [1, 2] } ],
  "phases": [
    { "for": "1s", "up": [ { "rule": "drop", "burst": { "mean": "2%", "length": 3 } } ] },
    {
      "up": [ { "rule": "delay", "time": "100ms", "jitter": "20ms", "shape": "pareto" } ],
      "down": [
        { "rule": "delay", "name": "one that has a long name", "time": "100ms", "jitter": "20ms", "shape": "pareto", "enabled": false },
        { "rule": "drop", "every": 2 }
      ]
    }
  ]
}
"#;
        assert_eq!(Profile::from_json(text).unwrap().to_text(), text);
        assert_eq!(Profile::default().to_text(), "{}\n");
    }
}
