//! Profiles made of known rules with any values: most are accepted, and all of those are put to
//! use.
#![no_main]

use jostle_engine::profile::Profile;
use jostle_fuzz::use_profile;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

/// `%p` is a chance, `%t` a time, `%n` a count, `%i` an entry of a table, `%s` a size, `%r` a rate,
/// `%q` a queue, `%b` a boolean.
const RULES: [&str; 47] = [
    r#""rule": "drop", "chance": %p"#,
    r#""rule": "drop", "burst": { "mean": %p, "length": %n }"#,
    r#""rule": "drop", "burst": { "mean": %p, "length": %t }"#,
    r#""rule": "drop", "gilbert_elliott": { "p": %p, "r": %p, "loss_bad": %p, "loss_good": %p }"#,
    r#""rule": "drop", "gilbert_elliott": { "p": %p, "r": %p }"#,
    r#""rule": "drop", "four_state": { "p13": %p, "p31": %p, "p32": %p, "p23": %p, "p14": %p }"#,
    r#""rule": "drop", "four_state": { "p13": %p, "p31": %p }"#,
    r#""rule": "drop", "every": %n"#,
    r#""rule": "drop", "packets": [%n, %n, %n]"#,
    r#""rule": "drop", "pattern": [%p, %p, %p]"#,
    r#""rule": "mark", "chance": %p"#,
    r#""rule": "mark", "burst": { "mean": %p, "length": %t }"#,
    r#""rule": "corrupt", "chance": %p, "bits": %n"#,
    r#""rule": "corrupt", "chance": %p, "bits": %n, "where": { "offset": %n, "length": %n }"#,
    r#""rule": "corrupt", "bit_error_rate": %p"#,
    r#""rule": "corrupt", "bit_error_rate": %p, "where": { "offset": %n, "length": %n }"#,
    r#""rule": "delay", "time": %t"#,
    r#""rule": "delay", "time": %t, "jitter": %t, "reorder": %b"#,
    r#""rule": "delay", "time": %t, "jitter": %t, "shape": "uniform", "memory": %t, "reorder": %b"#,
    r#""rule": "delay", "time": %t, "jitter": %t, "shape": "normal", "memory": %t"#,
    r#""rule": "delay", "time": %t, "jitter": %t, "shape": "pareto", "memory": %t"#,
    r#""rule": "delay", "time": %t, "jitter": %t, "shape": "paretonormal", "reorder": %b"#,
    r#""rule": "delay", "time": %t, "jitter": %t, "shape": "table", "table": [%i, %i, %i, %i], "reorder": %b"#,
    r#""rule": "delay", "trace": [[0, %t], [%n, %t]], "reorder": %b"#,
    r#""rule": "duplicate", "chance": %p, "copies": %n"#,
    r#""rule": "duplicate", "chance": %p, "copies": %n, "gap": %t"#,
    r#""rule": "reorder", "chance": %p, "behind": %n, "at_most": %t"#,
    r#""rule": "reorder", "chance": %p, "ahead": %b"#,
    r#""rule": "rate", "limit": %r"#,
    r#""rule": "rate", "limit": %r, "queue": %q, "overhead": %n, "burst": %s"#,
    r#""rule": "rate", "limit": %r, "queue": %q, "discipline": "head", "burst": %s"#,
    r#""rule": "rate", "limit": %r, "queue": %q, "discipline": "codel""#,
    r#""rule": "rate", "limit": %r, "queue": %q, "discipline": { "codel": { "target": %t, "interval": %t } }"#,
    r#""rule": "rate", "limit": %r, "queue": %q, "discipline": { "pie": { "target": %t, "burst": %t, "ecn_below": %p, "derandomize": %b } }"#,
    r#""rule": "rate", "limit": %r, "queue": %q, "discipline": { "fq_codel": { "quantum": %s, "memory": %s, "queues": %n, "ecn": %b } }"#,
    r#""rule": "rate", "limit": %r, "queue": %q, "discipline": { "dualpi2": { "target": %t, "round_trip": %t, "classic_share": %p } }"#,
    r#""rule": "rate", "trace": [%n, %n], "discipline": { "dualpi2": { "time_shift": %t } }"#,
    r#""rule": "rate", "trace": [0, %n, %n], "overhead": %n"#,
    r#""rule": "rate", "trace": [%n], "queue": %q, "discipline": "codel""#,
    r#""rule": "batch", "window": %t, "chance": %p, "then": "drop""#,
    r#""rule": "batch", "window": %t, "chance": %p"#,
    r#""rule": "batch", "window": %t, "packets": %n, "bytes": %s"#,
    r#""rule": "outage", "up": %t, "down": %t, "random": %b, "hold": %b"#,
    r#""rule": "size", "max": %s"#,
    r#""rule": "delay", "time": %t, "path": "a""#,
    r#""rule": "rate", "limit": %r, "queue": %q, "path": "b""#,
    r#""rule": "rebind", "first": %t, "every": %t, "random": %b"#,
];
const SELECTIONS: [&str; 11] = [
    "",
    "",
    "",
    r#", "per": "flow""#,
    r#", "per": "flow", "match": { "first": %n, "after": %n }"#,
    r#", "flows": %p"#,
    r#", "per": "flow", "flows": %p"#,
    r#", "match": { "first": %n }"#,
    r#", "match": { "after": %n }"#,
    r#", "match": { "size": { "min": %s, "max": %s } }"#,
    r#", "match": { "bytes": { "offset": %n, "hex": "07" } }"#,
];
const CHANCES: [&str; 8] =
    ["0", "1", "\"50%\"", "\"0.001%\"", "1e-300", "0.999999999999", "\"99.9%\"", "0.1"];
const TIMES: [&str; 12] = [
    "0",
    "\"1ns\"",
    "\"1us\"",
    "\"100us\"",
    "\"1ms\"",
    "\"7ms\"",
    "\"20ms\"",
    "\"1s\"",
    "\"1h\"",
    "\"24h\"",
    "\"300years\"",
    "\"3s\"",
];
/// Of phases.
const LENGTHS: [&str; 5] = ["\"100us\"", "\"7ms\"", "\"30ms\"", "\"1h\"", "\"300years\""];
const COUNTS: [&str; 10] =
    ["0", "1", "2", "3", "5", "63", "1000", "65535", "4294967295", "18446744073709551615"];
const ENTRIES: [&str; 6] = ["-32768", "-8192", "0", "1", "8192", "32767"];
const SIZES: [&str; 8] = [
    "0",
    "\"1B\"",
    "\"100B\"",
    "\"1KiB\"",
    "\"64KiB\"",
    "\"1MiB\"",
    "\"17179869183GiB\"",
    "\"1GB\"",
];
const RATES: [&str; 6] =
    ["\"1bit/s\"", "\"8kbit/s\"", "\"1Mbit/s\"", "\"1Gbit/s\"", "\"100000Gbit/s\"", "\"3bit/s\""];
const QUEUES: [&str; 9] = [
    "\"0ms\"",
    "\"1ns\"",
    "\"10ms\"",
    "\"300years\"",
    "\"0B\"",
    "\"4KiB\"",
    "\"0 packets\"",
    "\"1 packet\"",
    "\"18446744073709551615 packets\"",
];

fn filled(template: &str, from: &mut Unstructured<'_>) -> Result<String> {
    let mut parts = template.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let values: &[&str] = match &part[..1] {
            "p" => &CHANCES,
            "t" => &TIMES,
            "n" => &COUNTS,
            "i" => &ENTRIES,
            "q" => &QUEUES,
            "s" => &SIZES,
            "r" => &RATES,
            _ => &["true", "false"],
        };
        text.push_str(from.choose(values)?);
        text.push_str(&part[1..]);
    }
    Ok(text)
}

fn list(from: &mut Unstructured<'_>) -> Result<String> {
    let mut rules = Vec::new();
    for _ in 0..from.int_in_range(0..=3)? {
        let rule = filled(from.choose(&RULES)?, from)?;
        let selection = filled(from.choose(&SELECTIONS)?, from)?;
        // Names that come again in another phase, or after a live change, are the same part when
        // they are of one kind.
        let name = match from.int_in_range(0..=5)? {
            0..=2 => String::new(),
            letter => format!(", \"name\": \"{letter}\""),
        };
        rules.push(format!("{{ {rule}{selection}{name} }}"));
    }
    Ok(format!("[ {} ]", rules.join(", ")))
}

fn profile(from: &mut Unstructured<'_>) -> Result<String> {
    let front = list(from)?;
    let start = from.choose(&["packet", "run"])?;
    if from.arbitrary()? {
        let (up, down) = (list(from)?, list(from)?);
        return Ok(format!(
            r#"{{ "both": {front}, "up": {up}, "down": {down}, "start": "{start}" }}"#
        ));
    }
    let mut phases = Vec::new();
    for _ in 0..from.int_in_range(1..=4)? {
        phases.push(format!(
            r#"{{ "for": {}, "both": {}, "up": {} }}"#,
            from.choose(&LENGTHS)?,
            list(from)?,
            list(from)?
        ));
    }
    let then = from.choose(&["stay", "repeat", "clear"])?;
    Ok(format!(
        r#"{{ "both": {front}, "phases": [ {} ], "then": "{then}", "start": "{start}" }}"#,
        phases.join(", ")
    ))
}

fuzz_target!(|bytes: &[u8]| {
    let mut from = Unstructured::new(bytes);
    if let Ok(text) = profile(&mut from)
        && let Ok(first) = Profile::from_json(&text)
    {
        let next = profile(&mut from).ok().and_then(|text| Profile::from_json(&text).ok());
        use_profile(&first, &next.unwrap_or_default());
    }
});
