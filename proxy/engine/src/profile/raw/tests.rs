//! Tests of the profiles that are read, and of the errors for those that are not.

use super::*;
use crate::profile::{Queue, RuleKind, Timeline};
use jostle_common::units::ByteSize;
use std::time::Duration;

fn error(text: &str) -> String {
    Profile::from_json(text).expect_err(text).to_string()
}

#[test]
fn every_rule_and_field_is_read() {
    let profile = Profile::from_json(
        r#"{ "about": "all of it",
             "both": [ { "rule": "drop", "chance": 0.5 } ],
             "up": [ { "rule": "drop", "burst": { "mean": "2%", "length": 3 } },
                     { "rule": "drop", "gilbert_elliott": { "p": "1%", "r": "20%", "loss_bad": "50%", "loss_good": "0.1%" } },
                     { "rule": "drop", "every": 10, "name": "tenth" },
                     { "rule": "rate", "limit": "5Mbit/s", "queue": "100ms", "overhead": 28 },
                     { "rule": "rate", "limit": "5Mbit/s", "queue": "64KiB" },
                     { "rule": "rate", "limit": "5Mbit/s", "queue": "50 packets" },
                     { "rule": "delay", "time": "15ms", "jitter": "5ms", "shape": "normal", "reorder": true } ],
             "down": [ { "rule": "corrupt", "chance": "0.1%", "bits": 4, "where": { "offset": 8, "length": 8 } },
                       { "rule": "corrupt", "bit_error_rate": 1e-6 },
                       { "rule": "duplicate", "chance": "1%", "copies": 2 },
                       { "rule": "reorder", "chance": "1%", "behind": 3, "at_most": "20ms" } ] }"#,
    )
    .unwrap();
    assert_eq!(profile.about, "all of it");
    let keys =
        |timeline: &Timeline| timeline.rules().map(|rule| rule.key.clone()).collect::<Vec<_>>();
    assert_eq!(
        keys(&profile.up),
        ["drop", "drop#2", "drop#3", "tenth", "rate", "rate#2", "rate#3", "delay"]
    );
    assert_eq!(keys(&profile.down), ["drop", "corrupt", "corrupt#2", "duplicate", "reorder"]);
    let queues: Vec<Queue> = profile
        .up
        .rules()
        .filter_map(|rule| match &rule.kind {
            RuleKind::Rate(rate) => rate.queue,
            _ => None,
        })
        .collect();
    assert_eq!(
        queues,
        [
            Queue::Time(Duration::from_millis(100)),
            Queue::Bytes(ByteSize::new(65536)),
            Queue::Packets(50)
        ]
    );
    let RuleKind::Corrupt(corrupt) = &profile.down.phases[0].rules[1].kind else { panic!() };
    assert_eq!(corrupt.range, Some(8..16));
}

#[test]
fn mistakes_are_named_with_place_and_remedy() {
    let cases = [
        ("{", "this is not JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "here belongs an object; write { … }"),
        (r#"{ "upp": [] }"#, r#"upp: "upp" is unknown here; did you mean "up"?"#),
        (
            r#"{ "up": [ 5 ] }"#,
            r#"up[0]: a rule is an object; write { "rule": "drop", "chance": "2%" }, say"#,
        ),
        (
            r#"{ "up": [ { "chance": "2%" } ] }"#,
            r#"up[0]: no "rule" says what it is; write "rule": drop, mark, corrupt, delay, duplicate, reorder, rate, batch, outage, size, rebind, cross, slice, stall, slow_close, reset or close_after"#,
        ),
        (
            r#"{ "down": [ { "rule": "dorp" } ] }"#,
            r#"down[0].rule: "dorp" is not a rule; write drop, mark, corrupt, delay, duplicate, reorder, rate, batch, outage, size, rebind, cross, slice, stall, slow_close, reset or close_after"#,
        ),
        (
            r#"{ "both": [ { "rule": "rebind", "first": "1s" } ] }"#,
            r#"both[0]: rebind changes where what goes up leaves from; write it under "up""#,
        ),
        (
            r#"{ "up": [ { "rule": "rebind", "first": "1s", "match": { "size": { "min": "1B" } } } ] }"#,
            r#"up[0].match: rebind acts on the socket of a UDP flow, which has no packets to look at; choose flows by "flow", "client", "target" and "age" alone or by "flows", or leave it out"#,
        ),
        (
            r#"{ "up": [ { "rule": "rebind", "first": "1s", "addresses": "0.0.0.0" } ] }"#,
            r#"up[0].addresses: "0.0.0.0" is no address that a socket can have to itself; write 127.0.0.2, say"#,
        ),
        (
            r#"{ "up": [ { "rule": "drop" } ] }"#,
            "up[0]: drop says how by exactly one of chance, burst, gilbert_elliott, four_state, \
             every, packets or pattern; none is here",
        ),
        (
            r#"{ "up": [ { "rule": "drop", "chance": "1%", "every": 3 } ] }"#,
            "up[0]: drop says how by exactly one of chance, burst, gilbert_elliott, four_state, \
             every, packets or pattern; here are chance and every",
        ),
        (
            r#"{ "both": [ { "rule": "drop", "chance": "3" } ] }"#,
            r#"both[0].chance: "3" has no unit; write "3%""#,
        ),
        (
            r#"{ "up": [ { "rule": "drop", "chance": 3 } ] }"#,
            r#"up[0].chance: 3 is not between 0 and 1; write "3%""#,
        ),
        (
            r#"{ "up": [ { "rule": "drop", "chance": "120%" } ] }"#,
            r#"up[0].chance: "120%" is more than 100%; write 0 to 100%"#,
        ),
        (
            r#"{ "up": [ { "rule": "drop", "chance": true } ] }"#,
            r#"up[0].chance: true does not belong here; write a probability such as "2%" or 0.02"#,
        ),
        (
            r#"{ "up": [ { "rule": "drop", "burst": { "mean": "80%", "length": 3 } } ] }"#,
            "up[0].burst.mean: bursts of 3 packets cannot lose more than 75%; write a longer burst \
             or a lower mean",
        ),
        (
            r#"{ "up": [ { "rule": "drop", "burst": { "mean": "8%", "length": 0.5 } } ] }"#,
            "up[0].burst.length: a burst of 0.5 packets is none; write a mean length from 1 to \
             1000000",
        ),
        (
            r#"{ "up": [ { "rule": "drop", "burst": { "mean": "8%" } } ] }"#,
            r#"up[0].burst: "length" is missing; write it too"#,
        ),
        (
            r#"{ "up": [ { "rule": "drop", "gilbert_elliott": { "p": 0, "r": 0 } } ] }"#,
            "up[0].gilbert_elliott: p + r is so small that the state never changes; write at least \
             0.00001%",
        ),
        (
            r#"{ "up": [ { "rule": "drop", "every": 0 } ] }"#,
            "up[0].every: 0 means nothing; write 1 for every packet, 2 for every second",
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": "50" } ] }"#,
            r#"up[0].time: "50" has no unit; write "50ms""#,
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": 50 } ] }"#,
            r#"up[0].time: "50" has no unit; write "50ms""#,
        ),
        (
            r#"{ "up": [ { "rule": "delay" } ] }"#,
            "up[0]: delay says how by exactly one of time or trace; none is here",
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": "5ms", "jitter": "6ms" } ] }"#,
            "up[0].jitter: 6ms of jitter around 5ms would be before the packet came; write a \
             jitter of at most the time",
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": "5ms", "jitter": "4ms", "shape": "normal" } ] }"#,
            "up[0].jitter: a normal jitter of 4ms does not fit between 0 and twice 5ms; write at \
             most 57% of the time",
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": "5ms", "jitter": "8ms", "shape": "pareto" } ] }"#,
            "up[0].jitter: a pareto jitter of 8ms around 5ms would begin before the packet came; \
             write at most 144% of the time, 7.2ms",
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": "5ms", "jitter": "4ms", "shape": "paretonormal" } ] }"#,
            "up[0].jitter: a paretonormal jitter of 4ms around 5ms would begin before the packet \
             came; write at most 72% of the time, 3.6ms",
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": "5ms", "shape": "gauss" } ] }"#,
            r#"up[0].shape: "gauss" is none of the choices; write uniform, normal, pareto, paretonormal or table"#,
        ),
        (
            r#"{ "up": [ { "rule": "delay", "time": "5ms", "jiter": "1ms" } ] }"#,
            r#"up[0].jiter: "jiter" is unknown here; did you mean "jitter"?"#,
        ),
        (
            r#"{ "up": [ { "rule": "rate", "limit": "10" } ] }"#,
            r#"up[0].limit: "10" has no unit; write "10Mbit/s", say"#,
        ),
        (
            r#"{ "up": [ { "rule": "rate", "limit": "1Mbit/s", "queue": "long" } ] }"#,
            r#"up[0].queue: "long" is not a queue; write a time ("100ms"), bytes ("64KiB") or packets ("50 packets")"#,
        ),
        (
            r#"{ "up": [ { "rule": "corrupt", "chance": "1%", "bits": 0 } ] }"#,
            "up[0].bits: 0 is out of bounds; write 1 to 256",
        ),
        (
            r#"{ "up": [ { "rule": "corrupt", "bit_error_rate": "1%", "bits": 2 } ] }"#,
            "up[0].bits: a bit_error_rate draws how many; leave bits out",
        ),
        (
            r#"{ "up": [ { "rule": "corrupt", "chance": "1%", "where": { "offset": 3, "length": 0 } } ] }"#,
            "up[0].where.length: 0 bytes cannot be hit; write at least 1",
        ),
        (
            r#"{ "up": [ { "rule": "drop", "chance": "5%" } ], "up": [] }"#,
            "line 1, column 52: \"up\" is here a second time; write it once",
        ),
        (
            r#"{ "up": [ { "rule": "drop", "every": -1 } ] }"#,
            "up[0].every: -1 does not belong here; write a whole number, 0 or more",
        ),
        (
            r#"{ "up": { "rule": "drop" } }"#,
            "up: an object { … } does not belong here; write a list in [ … ]",
        ),
        (
            r#"{ "up": [ { "rule": "duplicate", "chance": "1%", "copies": 64 } ] }"#,
            "up[0].copies: 64 copies are out of bounds; write 1 to 63",
        ),
        (
            r#"{ "up": [ { "rule": "reorder", "chance": "1%", "behind": 0 } ] }"#,
            "up[0].behind: 0 packets are out of bounds; write 1 to 1000",
        ),
        (
            r#"{ "both": [ { "rule": "drop", "chance": "1%", "name": "x" } ], "up": [ { "rule": "drop", "chance": "1%", "name": "x" } ] }"#,
            r#"up[0].name: a second rule is called "x"; give each rule of a direction its own name"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn whole_directions_are_bounded() {
    let rule = r#"{ "rule": "drop", "every": 2 }"#;
    let many =
        |count: usize, rule: &str| format!(r#"{{ "up": [ {} ] }}"#, vec![rule; count].join(","));
    assert!(Profile::from_json(&many(63, rule)).is_ok());
    assert_eq!(error(&many(64, rule)), "up: 64 rules are too many; at most 63 per direction");
    let copies = r#"{ "rule": "duplicate", "chance": "1%" }"#;
    assert!(Profile::from_json(&many(5, copies)).is_ok());
    assert_eq!(error(&many(6, copies)), "up[5]: at most 5 duplicate rules per direction");
    // Two rules of 63 copies would make 4,096 packets of one, five of them a thousand million.
    let copies = r#"{ "rule": "duplicate", "chance": "1%", "copies": 7 }"#;
    assert!(Profile::from_json(&many(2, copies)).is_ok());
    assert_eq!(
        error(&many(3, copies)),
        "up[2].copies: with the duplicate rules before it a packet becomes 512; write fewer \
         copies, for 64 in all"
    );
}

#[test]
fn a_rule_that_is_disabled_keeps_its_key_and_does_nothing() {
    let text = r#"{ "both": [ { "rule": "drop", "chance": "1%", "enabled": false },
                              { "rule": "drop", "chance": "2%", "enabled": true },
                              { "rule": "duplicate", "chance": "1%", "enabled": false },
                              { "rule": "stall", "enabled": false } ] }"#;
    let profile = Profile::from_json(text).unwrap();
    let rules = &profile.up.phases[0].rules;
    assert_eq!(
        rules.iter().map(|rule| rule.enabled).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    assert_eq!((rules[1].key.as_str(), rules[1].ordinal), ("drop#2", 1));
    let in_force = profile.in_force();
    assert_eq!(in_force.up.rules().collect::<Vec<_>>(), [&rules[1]]);
    assert!(!profile.up.makes_copies() && !profile.up.has_stream_rules());
    assert!(!profile.is_empty());
    let off = text.replace("true", "false");
    assert!(Profile::from_json(&off).unwrap().is_empty());
    assert_eq!(
        error(r#"{ "up": [ { "rule": "drop", "chance": "1%", "enabled": 0 } ] }"#),
        "up[0].enabled: 0 does not belong here; write true or false"
    );
}
