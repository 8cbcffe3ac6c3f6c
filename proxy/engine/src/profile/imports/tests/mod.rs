//! Lines that people write for other tools, and what they become.

mod cdp;
mod comcast;
mod quic_sim;
mod strange;
mod tcset;
mod throttle;

use super::*;
use crate::profile::netem::Translation;
use crate::profile::{Profile, no_files};
use jostle_common::setting::SettingError;
use serde_json::{Value, json};

type Translated = Result<Translation, SettingError>;

/// A tool's name, and what reads its lines.
type Tool = (&'static str, fn(&str) -> Translated);

const TOOLS: [Tool; 5] = [
    ("tcset", from_tcset),
    ("comcast", from_comcast),
    ("throttle", |line| from_throttle(line, &no_files)),
    ("cdp", from_cdp),
    ("quic-sim", from_quic_sim),
];

/// Returns the profile of a translation without its `about`, and the remarks in one text. It is
/// checked and written as it reads.
fn read(line: &str, translated: Translated) -> (Value, String) {
    let translation = translated.unwrap_or_else(|error| panic!("{line}: {error}"));
    let profile =
        Profile::from_json(&translation.profile).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(profile.to_text(), translation.profile, "{line}: it is canonical");
    profile.check().unwrap();
    let mut value: Value = serde_json::from_str(&translation.profile).unwrap();
    let about = value.as_object_mut().unwrap().remove("about").unwrap();
    for remark in &translation.remarks {
        assert!(about.as_str().unwrap().contains(remark.as_str()), "{line}: {remark}");
        assert!(remark.ends_with('.'), "{remark}");
    }
    (value, translation.remarks.join("\n"))
}

/// Checks lines, what they become and what is said of it.
fn become_profiles(reader: impl Fn(&str) -> Translated, cases: &[(&str, Value, &str)]) {
    for (line, expected, said) in cases {
        let (value, remarks) = read(line, reader(line));
        // Each quantity has one spelling, whatever it is.
        let expected = Profile::from_value("", expected.clone(), &no_files).unwrap();
        assert_eq!(value, expected.to_value(), "{line}");
        assert!(remarks.contains(said), "{line}: {remarks}");
    }
}

/// Checks lines that are refused, and how.
fn are_refused(reader: impl Fn(&str) -> Translated, cases: &[(&str, &str)]) {
    for (line, problem) in cases {
        match reader(line) {
            Ok(translation) => panic!("{line}: {}", translation.profile),
            Err(error) => assert_eq!(error.to_string(), *problem, "{line}"),
        }
    }
}

fn delay(time: &str) -> Value {
    json!({ "rule": "delay", "time": time })
}

fn drop(chance: &str) -> Value {
    json!({ "rule": "drop", "chance": chance })
}

/// A rate as netem has it.
fn netem_rate(limit: &str) -> Value {
    json!({ "rule": "rate", "limit": limit, "queue": "1000 packets", "overhead": 42 })
}
