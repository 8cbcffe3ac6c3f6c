//! The way back: whatever is read is written so that it reads as the same, and as short as it can
//! be said.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::units::{BitRate, ByteSize, Probability, Span};
use jostle_engine::profile::{
    BurstLength, JitterShape, Profile, Queue, Rule, Shorthand, library, no_files,
};
use jostle_engine::route::{Configuration, Toxic, ToxicKind, profile_of_toxics, toxics_of_profile};
use jostle_engine::rules::KINDS;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use support::any_profile::{any_profile, without_both};

/// What files hold that profiles here name: it reads as any of their formats.
fn a_file(name: &str) -> Result<String, String> {
    match name {
        "up.trace" | "sub/up.trace" => Ok("1\n5\n9\n".to_owned()),
        "delays" => Ok("0 20\n0.000001 35.5\n150 20\n".to_owned()),
        "wifi.dist" => Ok("# a comment\n-8192 0\n4096\n".to_owned()),
        "sub/mine.json" => {
            Ok(r#"{ "up": [ { "rule": "rate", "trace": "up.trace" } ] }"#.to_owned())
        }
        _ => no_files(name),
    }
}

/// Checks that a profile is read back from what it is written as, as a value and as a text, and
/// returns that.
fn written(profile: &Profile) -> Value {
    let value = profile.to_value();
    let read = Profile::from_value("", value.clone(), &a_file);
    assert_eq!(read.as_ref(), Ok(profile), "{value}");
    let text = value.to_string();
    assert_eq!(Profile::from_json_with(&text, &a_file).as_ref(), Ok(profile), "{text}");
    assert_eq!(read.unwrap().to_value(), value);
    value
}

fn profile(text: &str) -> Profile {
    Profile::from_json_with(text, &a_file).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_built_in_network_is_written_as_it_was_read() {
    let mut shorter = 0;
    for name in library::names() {
        let text = library::text(name).unwrap();
        let value = written(&profile(text));
        let original: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["about"], original["about"]);
        shorter += usize::from(value.to_string().len() <= original.to_string().len());
    }
    assert!(shorter > 90, "{shorter} are no longer than what a person wrote");
}

#[test]
fn every_configuration_is_written_as_it_was_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/proxies");
    let mut texts: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(texts.len(), 8);
    let toxics = r#"[ { "type": "latency", "attributes": { "latency": 5000, "jitter": 9000 }, "toxicity": 0.3 },
                      { "name": "slow", "type": "bandwidth", "stream": "Upstream", "attributes": { "rate": -3 } } ]"#;
    let route =
        |more: &str| format!(r#"{{ "name": "r", "listen": ":1", "upstream": "[::1]:80"{more} }}"#);
    for more in [
        "",
        r#", "tcp": "raw""#,
        r#", "tcp": "raw", "unit": "read""#,
        r#", "tcp": "raw", "unit": "1000B", "enabled": false, "seed": 18446744073709551615"#,
        r#", "tcp": { "model": "reno" }, "idle": "7ns""#,
        &format!(r#", "toxics": {toxics}"#),
        &format!(r#", "toxics": {toxics}, "tcp": "model""#),
        &format!(r#", "toxics": {toxics}, "tcp": "raw", "unit": "line""#),
        r#", "profile": "geo-satellite""#,
        r#", "profile": "sub/mine.json""#,
        r#", "profile": { "about": "nothing" }"#,
    ] {
        texts.push(format!(r#"{{ "proxies": [ {} ] }}"#, route(more)));
    }
    texts.push(
        r#"{ "seed": 3, "proxies": [ { "listen": "both://[::1]:0", "upstream": "a:1" },
             { "listen": "socks5://[::1]:0", "tcp": "raw" },
             { "listen": "http-proxy://:1", "target": [ "*.a:1", "10.0.0.0/8" ], "user": "a:b" },
             { "listen": "udp://localhost:5", "upstream": "a:1", "follow": true } ] }"#
            .to_owned(),
    );
    for text in texts {
        let read = |text: &str| Configuration::from_json(text, &a_file).unwrap();
        let configuration = read(&text);
        let value = configuration.to_value();
        let again = read(&value.to_string());
        assert_eq!(again, configuration, "{value}");
        assert_eq!(again.to_value(), value);
    }
}

#[test]
fn every_example_and_every_shorthand_is_written_as_it_was_read() {
    for entry in KINDS {
        let text = format!(r#"{{ "up": [ {{ "rule": "{}", {} }} ] }}"#, entry.name, entry.example);
        let value = written(&profile(&text));
        let original: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, original, "examples are as short as it gets");
        let rule = &profile(&text).up.phases[0].rules[0];
        assert_eq!(rule.to_value(), original["up"][0]);
    }
    let chance = Probability::new(1.0 / 3.0);
    let span = |nanos| Some(Span(Duration::from_nanos(nanos)));
    let all = Shorthand {
        drop: chance,
        burst: Some(BurstLength::Packets(3.25)),
        mark: chance,
        duplicate: chance,
        corrupt: chance,
        rate: BitRate::new(1_000_001),
        queue: Some(Queue::Packets(50)),
        delay: span(5_000_001),
        jitter: span(1_000_003),
        shape: Some(JitterShape::Normal),
        jitter_memory: span(50),
        allow_reorder: Some(true),
        reorder: chance,
        stall: Some(ByteSize::new(1001)),
        reset: span(1_000_001),
    };
    let few = Shorthand { drop: chance, duplicate: chance, ..Shorthand::default() };
    // The copies of a profile's own duplicates keep their draws, with the shorthand in front too.
    let own = r#"{ "both": [ { "rule": "duplicate", "chance": "1%" }, { "rule": "duplicate", "chance": "2%" } ],
                   "phases": [ { "for": "1s", "up": [ { "rule": "drop", "chance": "1%" } ] }, {} ] }"#;
    for base in ["{}", own] {
        for [up, down] in [[all, all], [few, all], [few, Shorthand::default()]] {
            let mixed = profile(base).with_shorthands(up, down).unwrap();
            let value = written(&mixed);
            assert!(value.to_string().contains(r#""name":"--duplicate""#), "{value}");
            assert!(!value.to_string().contains(r#""name":"drop""#), "{value}");
        }
    }
}

/// Profiles, and how they are written.
const FORMS: [(&str, &str); 16] = [
    ("{}", "{}"),
    (
        r#"{ "about": "x", "up": [ { "rule": "drop", "chance": 0.02 } ], "down": [ { "rule": "drop", "chance": "2%", "name": "drop" } ] }"#,
        r#"{"about":"x","both":[{"rule":"drop","chance":"2%"}]}"#,
    ),
    // What is the same in front only, and a rule that is called by its kind behind another.
    (
        r#"{ "up": [ { "rule": "size", "max": "64KiB" }, { "rule": "drop", "every": 2 } ],
             "down": [ { "rule": "size", "max": "65536B" }, { "rule": "delay", "time": "0.5ms" }, { "rule": "drop", "every": 2, "name": "x" } ] }"#,
        r#"{"both":[{"rule":"size","max":"64KiB"}],"up":[{"rule":"drop","every":2}],"down":[{"rule":"delay","time":"500us"},{"rule":"drop","name":"x","every":2}]}"#,
    ),
    (
        r#"{ "up": [ { "rule": "drop", "name": "drop#2", "every": 2 }, { "rule": "drop", "name": "drop", "every": 3 } ] }"#,
        r#"{"up":[{"rule":"drop","name":"drop#2","every":2},{"rule":"drop","name":"drop","every":3}]}"#,
    ),
    // Phases, with what is in all of them in front.
    (
        r#"{ "both": [ { "rule": "size", "max": "1B" } ], "then": "repeat", "start": "run",
             "phases": [ { "for": "2000ms", "up": [ { "rule": "drop", "every": 2 } ] }, { "for": "90s" } ] }"#,
        r#"{"both":[{"rule":"size","max":"1B"}],"phases":[{"for":"2s","up":[{"rule":"drop","every":2}]},{"for":"1m 30s"}],"then":"repeat","start":"run"}"#,
    ),
    (
        r#"{ "phases": [ { "for": "1s", "both": [ { "rule": "drop", "every": 2 } ] } ], "then": "clear" }"#,
        r#"{"phases":[{"for":"1s","both":[{"rule":"drop","every":2}]}],"then":"clear"}"#,
    ),
    (
        r#"{ "phases": [ { "for": "1s", "up": [ { "rule": "size", "max": "1B" } ] } ] }"#,
        r#"{"phases":[{"for":"1s","up":[{"rule":"size","max":"1B"}]}]}"#,
    ),
    (
        r#"{ "phases": [ { "up": [ { "rule": "size", "max": "1B" } ] } ] }"#,
        r#"{"up":[{"rule":"size","max":"1B"}]}"#,
    ),
    // What says no more than its absence is left out.
    (
        r#"{ "up": [ { "rule": "delay", "time": "20ms", "jitter": "0s", "reorder": false, "holds_ends": true, "per": "link",
                       "flows": "100%", "enabled": true, "match": { "size": { "max": "9B" }, "after": 0 } } ] }"#,
        r#"{"up":[{"rule":"delay","time":"20ms","match":{"size":{"max":"9B"}}}]}"#,
    ),
    (
        r#"{ "up": [ { "rule": "drop", "every": 1, "match": { "after": 0 } }, { "rule": "stall", "after": "0B" } ] }"#,
        r#"{"up":[{"rule":"drop","every":1,"match":{"after":0}},{"rule":"stall"}]}"#,
    ),
    (
        r#"{ "up": [ { "rule": "drop", "every": 1, "flows": 0.333333333333333, "per": "flow", "enabled": false,
                       "match": { "after": 3, "first": 9, "size": { "min": "2kB" }, "bytes": { "offset": 1, "hex": "474554" } } },
                     { "rule": "drop", "every": 1, "match": { "bytes": { "offset": 0, "text": "a\u0001" } } } ] }"#,
        r#"{"up":[{"rule":"drop","every":1,"per":"flow","flows":0.333333333333333,"match":{"size":{"min":"2000B"},"after":3,"first":9,"bytes":{"offset":1,"text":"GET"}},"enabled":false},{"rule":"drop","every":1,"match":{"bytes":{"offset":0,"hex":"6101"}}}]}"#,
    ),
    (
        r#"{ "up": [ { "rule": "drop", "every": 1, "match": { "flow": "3 - 3" } }, { "rule": "drop", "every": 1, "match": { "flow": " 3-" } },
                     { "rule": "reset", "after": "0", "match": { "flow": "every 3" } } ] }"#,
        r#"{"up":[{"rule":"drop","every":1,"match":{"flow":3}},{"rule":"drop","every":1,"match":{"flow":"3-"}},{"rule":"reset","after":"0s","match":{"flow":"every 3rd"}}]}"#,
    ),
    // Odd numbers are exact, even ones as people write them.
    (
        r#"{ "up": [ { "rule": "drop", "chance": 0.073 }, { "rule": "drop", "chance": 0.0730000000000001 },
                     { "rule": "corrupt", "bit_error_rate": 1e-6 }, { "rule": "corrupt", "bit_error_rate": 1.5e-300 } ] }"#,
        r#"{"up":[{"rule":"drop","chance":"7.3%"},{"rule":"drop","chance":0.0730000000000001},{"rule":"corrupt","bit_error_rate":"0.0001%"},{"rule":"corrupt","bit_error_rate":1.5e-300}]}"#,
    ),
    (
        r#"{ "up": [ { "rule": "rate", "limit": "1.25MB/s", "queue": "0", "discipline": { "codel": { "target": "5ms", "interval": "0.1s" } } },
                     { "rule": "rate", "limit": "1.0000001Mbit/s", "discipline": { "codel": { "target": "5ms", "interval": "101ms" } } } ] }"#,
        r#"{"up":[{"rule":"rate","limit":"10Mbit/s","queue":"0s","discipline":"codel"},{"rule":"rate","limit":"1Mbit/s","discipline":{"codel":{"target":"5ms","interval":"101ms"}}}]}"#,
    ),
    // Traces and tables by their names, or whole.
    (
        r#"{ "up": [ { "rule": "rate", "trace": "up.trace" }, { "rule": "delay", "trace": "delays" },
                     { "rule": "delay", "time": "9ms", "jitter": "1ms", "shape": "table", "table": "wifi.dist" } ] }"#,
        r#"{"up":[{"rule":"rate","trace":"up.trace"},{"rule":"delay","trace":"delays"},{"rule":"delay","time":"9ms","jitter":"1ms","table":"wifi.dist"}]}"#,
    ),
    (
        r#"{ "up": [ { "rule": "rate", "trace": [0, 2] }, { "rule": "delay", "trace": [[0, "20ms"], [0.000001, "5ns"], ["1000days 1ns", "0"], [1e12, "1h"]] },
                     { "rule": "delay", "time": "0", "jitter": "1ms", "table": [-3, 4], "memory": "3h" },
                     { "rule": "outage", "up": "0s", "down": "1s", "hold": true } ] }"#,
        r#"{"up":[{"rule":"rate","trace":[0,2]},{"rule":"delay","trace":[[0,"20ms"],[1e-6,"5ns"],["86400000.000000001s","0s"],[1000000000000,"0s"]]},{"rule":"delay","time":"0s","jitter":"1ms","table":[-3,4],"memory":"3h"},{"rule":"outage","up":"0s","down":"1s","hold":true}]}"#,
    ),
];

#[test]
fn the_written_form_is_short_and_people_can_read_it() {
    for (text, form) in FORMS {
        let value = written(&profile(text));
        assert_eq!(value.to_string(), form);
    }
}

#[test]
fn files_keep_their_names_and_can_be_read_where_there_are_none() {
    let (text, _) = FORMS[14];
    let read = profile(text);
    let known = |name: &str| read.file(name).ok_or_else(|| no_files(name).unwrap_err());
    let again = Profile::from_value("", read.to_value(), &known).unwrap();
    assert_eq!(again, read);
    assert_eq!(
        again.file("delays").unwrap(),
        "0.000000 20.000000\n0.000001 35.500000\n150.000000 35.500000\n"
    );
    assert_eq!(read.file("/etc/passwd"), None);
    let text =
        r#"[ { "name": "a", "listen": ":1", "upstream": "b:2", "profile": "sub/mine.json" } ]"#;
    let route = Configuration::from_json(text, &a_file).unwrap().routes.remove(0);
    let trace = &route.to_value()["profile"]["up"][0]["trace"];
    assert_eq!(trace, "sub/up.trace", "as the reader of the configuration finds it");
}

#[test]
fn a_profile_that_differs_in_phases_by_direction_is_written_by_the_longer() {
    let phased = profile(
        r#"{ "phases": [ { "for": "1s", "up": [ { "rule": "size", "max": "1B" } ] }, {} ] }"#,
    );
    let constant = profile(r#"{ "down": [ { "rule": "size", "max": "2B" } ] }"#);
    let mixed = Profile { down: constant.down, ..phased };
    assert_eq!(
        mixed.to_value(),
        json!({ "down": [ { "rule": "size", "max": "2B" } ],
                "phases": [ { "for": "1s", "up": [ { "rule": "size", "max": "1B" } ] }, {} ] })
    );
}

#[test]
fn a_toxic_is_written_as_the_rule_that_it_is_whatever_its_numbers() {
    let mut tried = 0;
    for kind in ToxicKind::ALL {
        for values in [
            [0; 3],
            [100, 10, 7],
            [5, 9, 0],
            [-5, 3, 1],
            [i64::MAX; 3],
            [i64::MIN; 3],
            [i64::MIN, i64::MAX, 1],
        ] {
            for toxicity in [1.0, 0.3, -2.0, 1.0e-9, 2.0] {
                let attributes: serde_json::Map<String, Value> = kind
                    .attributes()
                    .iter()
                    .zip(values)
                    .map(|(name, value)| ((*name).to_owned(), value.into()))
                    .collect();
                let value = json!({ "type": kind.name(), "attributes": attributes, "toxicity": toxicity, "stream": "upstream" });
                let toxic = Toxic::from_value(&value, |_| false).unwrap();
                let profile = profile_of_toxics(std::slice::from_ref(&toxic));
                let written = profile.to_value();
                let read = Profile::from_value("", written.clone(), &no_files);
                let read = read.unwrap_or_else(|error| panic!("{error}: {value} {written}"));
                let [rule, as_read] =
                    [&profile, &read].map(|profile| profile.up.phases[0].rules[0].clone());
                assert_eq!(as_read, Rule { toxic: None, ..rule }, "{written}");
                assert!(profile.down == read.down && written["up"][0]["toxic"].is_null());
                tried += 1;
            }
        }
        // And it is still shown as the toxic.
        let value = json!({ "type": kind.name(), "attributes": { "latency": 5, "jitter": 9, "rate": 0, "delay": 3, "timeout": 4, "bytes": 6 } });
        let toxic = Toxic::from_value(&value, |_| false).unwrap();
        let profile = profile_of_toxics(std::slice::from_ref(&toxic));
        let read = Profile::from_value("", profile.to_value(), &no_files).unwrap();
        let shown = &toxics_of_profile(&read)[0].toxic;
        let expected = if kind == ToxicKind::Noop { ToxicKind::SlowClose } else { kind };
        assert_eq!((shown.kind(), shown.stream.text()), (Some(expected), "downstream"));
        if kind != ToxicKind::Noop {
            assert_eq!(shown.to_json(), toxic.to_json());
        }
    }
    assert_eq!(tried, 8 * 7 * 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_is_read_is_written_so_that_it_reads_as_the_same(value in any_profile()) {
        // Two rules of one name, or too many copies, are refused: what is left of it is tried.
        let read = Profile::from_value("", value.clone(), &no_files);
        let read = read.or_else(|_| Profile::from_value("", without_both(value), &no_files));
        if let Ok(profile) = read {
            written(&profile);
        }
    }

    #[test]
    fn whatever_is_read_of_a_damaged_configuration_is_written_so_that_it_reads_as_the_same(
        which in any::<prop::sample::Index>(),
        damages in proptest::collection::vec((any::<prop::sample::Index>(), 0..DAMAGES.len()), 1..4),
    ) {
        let texts = texts();
        let mut text = texts[which.index(texts.len())].clone();
        for (place, damage) in damages {
            // Where a value begins or ends.
            let places: Vec<usize> = text.match_indices([':', ',', '[', '{', '}']).map(|(at, _)| at + 1).collect();
            if places.is_empty() {
                break;
            }
            let at = places[place.index(places.len())];
            let end = text[at..].find([',', ']', '}']).map_or(at, |length| at + length);
            text.replace_range(at..end, DAMAGES[damage]);
        }
        if let Ok(configuration) = Configuration::from_json(&text, &a_file) {
            let again = configuration.to_text();
            let read = Configuration::from_json(&again, &a_file).map(|read| (read.seed, read.routes));
            prop_assert_eq!(read, Ok((configuration.seed, configuration.routes)), "{}", again);
        }
    }
}

/// What takes the place of a value.
const DAMAGES: [&str; 24] = [
    "",
    " 0",
    " 1",
    " 0.3333333333333333",
    " 18446744073709551615",
    " \"0\"",
    " \"33.3%\"",
    " \"100%\"",
    " \"7.3ms\"",
    " \"1ns\"",
    " \"9223372036854775807B\"",
    " \"1bit/s\"",
    " true",
    " false",
    " null",
    " []",
    " {}",
    " \"up.trace\"",
    " \"delays\"",
    " \"drop\"",
    " \"--drop\"",
    " \"duplicate#2\"",
    " \"both://[::]:0\"",
    " \"every 3rd\"",
];

/// Configurations of all sorts, to be damaged.
fn texts() -> &'static [String] {
    static TEXTS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    TEXTS.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/proxies");
        let files = std::fs::read_dir(folder).unwrap();
        let files = files.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let networks = library::names().map(|name| library::text(name).unwrap());
        let route = |more: &str| format!(r#"{{ "proxies": [ {{ "name": "r", "listen": "tcp://:1", "upstream": "b:2", {more} }} ] }}"#);
        let profiles = networks.chain(FORMS.map(|(text, _)| text)).map(|text| route(&format!(r#""tcp": "raw", "profile": {text}"#)));
        let toxics = ToxicKind::ALL.map(|kind| {
            let fields = kind.attributes().iter().map(|name| format!(r#""{name}": 5"#)).collect::<Vec<_>>().join(", ");
            route(&format!(r#""toxics": [ {{ "type": "{}", "attributes": {{ {fields} }}, "toxicity": 0.5 }}, {{ "type": "noop", "stream": "upstream" }} ]"#, kind.name()))
        });
        files.chain(profiles).chain(toxics).collect()
    })
}
