//! serde's complaints about a wrong value, in words that a writer of JSON understands: what was
//! found, and what to write instead.

use super::one_of;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Returns serde's `problem` with the value at `path` of `whole`, in plain words.
pub(super) fn plain(problem: &str, path: &Path, whole: &Value) -> String {
    if let Some(name) = between(problem, "missing field `", "`") {
        return format!("\"{name}\" is missing; write it too");
    }
    if let Some((name, choices)) = unknown(problem, "unknown field `") {
        return match closest(name, &choices) {
            Some(meant) => format!("\"{name}\" is unknown here; did you mean \"{meant}\"?"),
            None => format!("\"{name}\" is unknown here; write {}", one_of(&choices)),
        };
    }
    if let Some((name, choices)) = unknown(problem, "unknown variant `") {
        return format!("\"{name}\" is none of the choices; write {}", one_of(&choices));
    }
    if let Some((_, expected)) = problem.split_once(", expected ") {
        return format!("{} does not belong here; write {}", found(path, whole), thing(expected));
    }
    // What a choice of several forms expects, as its author wrote it.
    if let Some(expected) = problem.strip_prefix("expected ") {
        return format!("{} does not belong here; write {expected}", found(path, whole));
    }
    problem.to_owned()
}

/// Returns the name of what is unknown, and what serde offers instead.
fn unknown<'a>(problem: &'a str, start: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let name = between(problem, start, "`")?;
    let (_, choices) = problem.split_once("`, expected ")?;
    // One of `a`, `b`, `c`: every second piece between backticks.
    Some((name, choices.split('`').skip(1).step_by(2).collect()))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(start)?;
    rest.split_once(end).map(|(inside, _)| inside)
}

/// Returns the choice that differs from `name` by a slip of the finger.
fn closest<'a>(name: &str, choices: &[&'a str]) -> Option<&'a str> {
    const SIMILAR: f64 = 0.85;
    let similarity = |choice: &str| strsim::jaro_winkler(name, choice);
    choices
        .iter()
        .copied()
        .filter(|choice| similarity(choice) > SIMILAR)
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
}

/// Returns what serde expected, without the names of Rust's types.
fn thing(expected: &str) -> &str {
    match expected {
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in [ … ]",
        "u64" | "usize" => "a whole number, 0 or more",
        "u32" => "a whole number from 0 to 4294967295",
        "i16" => "a whole number from -32768 to 32767",
        "f64" => "a number",
        other => other,
    }
}

/// Returns the value at `path`, as far as a message can hold it.
fn found(path: &Path, whole: &Value) -> String {
    const LETTERS_MAX: usize = 40;
    let mut value = whole;
    for segment in path {
        let inner = match segment {
            Segment::Seq { index } => value.get(index),
            Segment::Map { key } => value.get(key),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let Some(inner) = inner else { break };
        value = inner;
    }
    match value {
        Value::Object(_) => "an object { … }".into(),
        Value::Array(_) => "a list [ … ]".into(),
        Value::String(text) if text.chars().count() > LETTERS_MAX => {
            format!("\"{}…\"", text.chars().take(LETTERS_MAX).collect::<String>().escape_debug())
        }
        value => value.to_string(),
    }
}
