//! The way back: whatever is read is written so that it reads as the same, and as short as it can be
//! said.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_common::chance::Direction;
use jostle_common::units::{BitRate, Probability, Span};
use jostle_engine::profile::{
    BurstLength, JitterShape, Profile, Queue, Rule, Shorthand, library, no_files,
};
use jostle_engine::route::{Configuration, Toxic, ToxicKind, profile_of_toxics, toxics_of_profile};
use jostle_engine::rules::KINDS;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

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
const FORMS: [(&str, &str); 15] = [
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
    let (text, _) = FORMS[13];
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
        let shown = &toxics_of_profile(&read)[0];
        let expected = if kind == ToxicKind::Noop { ToxicKind::SlowClose } else { kind };
        assert_eq!((shown.kind, shown.direction), (expected, Direction::Down));
        if kind != ToxicKind::Noop {
            assert_eq!(shown.to_json(), toxic.to_json());
        }
    }
    assert_eq!(tried, 8 * 7 * 5);
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u64..86_400_000_000_000).prop_map(|nanos| format!("{nanos}ns")),
        (0u32..10_000).prop_map(|millis| format!("{millis}ms")),
        (0u32..86_400).prop_map(|seconds| format!("{seconds}s")),
        Just("0".to_owned()),
    ]
}

fn share() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0.0f64..=1.0).prop_map(Value::from),
        (0.0f64..1e-6).prop_map(Value::from),
        (0u32..=1000).prop_map(|tenths| json!(format!("{}.{}%", tenths / 10, tenths % 10))),
        Just(json!(0)),
        Just(json!(1)),
    ]
}

fn bytes() -> impl Strategy<Value = String> {
    prop_oneof![any::<u64>(), 0u64..5000].prop_map(|bytes| format!("{bytes}B"))
}

/// The fields of a rule of some kind, many of which go together.
fn fields() -> impl Strategy<Value = Value> {
    let number = || prop_oneof![any::<u64>(), 0u64..70];
    let flag = any::<bool>;
    let drop = prop_oneof![
        share().prop_map(|chance| json!({ "chance": chance })),
        (share(), 1.0f64..50.0).prop_map(|(mean, length)| json!({ "burst": { "mean": mean, "length": length } })),
        (share(), time()).prop_map(|(mean, length)| json!({ "burst": { "mean": mean, "length": length } })),
        (share(), share(), share(), share())
            .prop_map(|(p, r, bad, good)| json!({ "gilbert_elliott": { "p": p, "r": r, "loss_bad": bad, "loss_good": good } })),
        (share(), share(), share()).prop_map(|(p13, p23, p14)| json!({ "four_state": { "p13": p13, "p23": p23, "p14": p14 } })),
        number().prop_map(|every| json!({ "every": every })),
        proptest::collection::vec(number(), 1..9).prop_map(|packets| json!({ "packets": packets })),
        proptest::collection::vec(share(), 1..9).prop_map(|pattern| json!({ "pattern": pattern })),
    ];
    let with = |kind: &'static str| {
        move |mut fields: Value| {
            fields["rule"] = kind.into();
            fields
        }
    };
    let shape = prop_oneof![Just("uniform"), Just("normal"), Just("pareto"), Just("paretonormal")];
    let delay = (time(), time(), shape, time(), flag(), flag()).prop_map(|(time, jitter, shape, memory, reorder, ends)| {
        json!({ "time": time, "jitter": jitter, "shape": shape, "memory": memory, "reorder": reorder, "holds_ends": ends })
    });
    let steps = proptest::collection::vec((0.0f64..1e9, time()), 1..5).prop_map(|mut steps| {
        steps.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        steps.insert(0, (0.0, "1ns".to_owned()));
        json!({ "trace": steps })
    });
    let queue = prop_oneof![time(), bytes(), number().prop_map(|count| format!("{count} packets"))];
    let rate = (1u64.., queue, 0u32..70_000, bytes(), prop_oneof![Just("tail"), Just("head"), Just("codel")]).prop_map(
        |(limit, queue, overhead, burst, discipline)| {
            json!({ "limit": format!("{limit}bit/s"), "queue": queue, "overhead": overhead, "burst": burst, "discipline": discipline })
        },
    );
    prop_oneof![
        4 => drop.prop_map(with("drop")),
        2 => delay.prop_map(with("delay")),
        1 => steps.prop_map(with("delay")),
        2 => rate.prop_map(with("rate")),
        1 => (share(), 0u32..300, number(), number()).prop_map(|(chance, bits, offset, length)| json!({ "chance": chance, "bits": bits, "where": { "offset": offset, "length": length } })).prop_map(with("corrupt")),
        1 => share().prop_map(|rate| json!({ "bit_error_rate": rate })).prop_map(with("corrupt")),
        2 => (share(), 1u32..5, time()).prop_map(|(chance, copies, gap)| json!({ "chance": chance, "copies": copies, "gap": gap })).prop_map(with("duplicate")),
        1 => (share(), 0u32..1100, time()).prop_map(|(chance, behind, most)| json!({ "chance": chance, "behind": behind, "at_most": most })).prop_map(with("reorder")),
        1 => (share(), flag()).prop_map(|(chance, ahead)| json!({ "chance": chance, "ahead": ahead })).prop_map(with("reorder")),
        1 => (time(), number(), bytes(), flag()).prop_map(|(window, packets, bytes, drop)| json!({ "window": window, "packets": packets, "bytes": bytes, "then": if drop { "drop" } else { "release" } })).prop_map(with("batch")),
        1 => (time(), share()).prop_map(|(window, chance)| json!({ "window": window, "chance": chance })).prop_map(with("batch")),
        1 => (time(), time(), flag(), flag()).prop_map(|(up, down, random, hold)| json!({ "up": up, "down": down, "random": random, "hold": hold })).prop_map(with("outage")),
        1 => bytes().prop_map(|max| json!({ "max": max })).prop_map(with("size")),
        1 => (bytes(), bytes(), time()).prop_map(|(size, spread, gap)| json!({ "size": size, "spread": spread, "gap": gap })).prop_map(with("slice")),
        1 => (bytes(), time()).prop_map(|(after, close)| json!({ "after": after, "close": close })).prop_map(with("stall")),
        1 => time().prop_map(|delay| json!({ "delay": delay })).prop_map(with("slow_close")),
        1 => time().prop_map(|after| json!({ "after": after })).prop_map(with("reset")),
        1 => (bytes(), time()).prop_map(|(bytes, time)| json!({ "bytes": bytes, "time": time })).prop_map(with("close_after")),
    ]
}

/// A rule with what every rule may say.
fn rule() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        8 => Just(None),
        1 => prop_oneof![Just("drop#2"), Just("duplicate#3"), Just("duplicate"), Just("delay"), Just("--drop"), Just("--duplicate")]
            .prop_map(|name| Some(name.to_owned())),
        2 => "\\PC{1,9}".prop_map(Some),
    ];
    let matching = prop_oneof![
        3 => Just(Value::Null),
        1 => (0u64..9, 10u64.., 0u32.., proptest::collection::vec(any::<u8>(), 1..9)).prop_map(|(after, first, min, value)| {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "after": after, "first": first, "size": { "min": format!("{min}B") }, "bytes": { "offset": min, "hex": hex } })
        }),
    ];
    let flows = prop_oneof![3 => Just(Value::Null), 1 => share()];
    (fields(), name, matching, flows, any::<bool>(), any::<bool>()).prop_map(
        |(mut rule, name, matching, flows, per_flow, enabled)| {
            let is_for_streams = ["slice", "stall", "slow_close", "reset", "close_after"]
                .iter()
                .any(|kind| rule["rule"] == **kind);
            for (field, value) in [("name", json!(name)), ("match", matching), ("flows", flows)] {
                if !value.is_null() && !(field == "match" && is_for_streams) {
                    rule[field] = value;
                }
            }
            if per_flow {
                rule["per"] = "flow".into();
            }
            rule["enabled"] = enabled.into();
            rule
        },
    )
}

fn lists() -> impl Strategy<Value = [Vec<Value>; 3]> {
    let rules = |most: usize| proptest::collection::vec(rule(), 0..most);
    (rules(3), rules(4), rules(3)).prop_map(|(both, up, down)| [both, up, down])
}

/// What is left of a list once the rules that no profile may have are gone.
fn valid(rules: &[Value]) -> Vec<Value> {
    let is_valid =
        |rule: &&Value| Profile::from_value("", json!({ "up": [rule] }), &no_files).is_ok();
    rules.iter().filter(is_valid).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_is_read_is_written_so_that_it_reads_as_the_same(
        front in lists(),
        phases in proptest::collection::vec((lists(), 100_000u64..1 << 50), 0..3),
        then in prop_oneof![Just("stay"), Just("repeat"), Just("clear")],
        run in any::<bool>(),
        about in "\\PC{0,20}",
    ) {
        let written_lists = |lists: &[Vec<Value>; 3]| {
            let [both, up, down] = lists.each_ref().map(|rules| valid(rules));
            json!({ "both": both, "up": up, "down": down })
        };
        let mut value = written_lists(&front);
        value["about"] = about.into();
        value["start"] = if run { "run" } else { "packet" }.into();
        if !phases.is_empty() {
            let phases = phases.iter().map(|(lists, length)| {
                let mut phase = written_lists(lists);
                phase["for"] = format!("{length}ns").into();
                phase
            });
            value["phases"] = phases.collect();
            value["then"] = then.into();
        }
        // Two rules of one name, or too many copies, are refused: what is left of it is tried.
        let read = Profile::from_value("", value.clone(), &no_files);
        let Ok(profile) = read.or_else(|_| {
            value["both"] = json!([]);
            value["phases"].as_array_mut().into_iter().flatten().for_each(|phase| phase["both"] = json!([]));
            Profile::from_value("", value, &no_files)
        }) else { return Ok(()) };
        written(&profile);
    }
}
