//! Any JSON at any route: it is answered, and what is refused has changed nothing.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use support::{Running, echo_server};

/// The routes that take a body, of a proxy `p` that is there and one `q` that may come to be.
const ROUTES: [(&str, &str); 13] = [
    ("POST", "/proxies"),
    ("POST", "/populate"),
    ("PATCH", "/proxies/p"),
    ("POST", "/proxies/p"),
    ("POST", "/proxies/p/toxics"),
    ("POST", "/proxies/q/toxics"),
    ("PATCH", "/proxies/p/toxics/t"),
    ("POST", "/proxies/p/toxics/t"),
    ("PUT", "/proxies/p/profile"),
    ("PUT", "/proxies/q/profile"),
    ("POST", "/rules"),
    ("PATCH", "/proxies/p/toxics/latency_downstream"),
    ("POST", "/proxies/none/toxics"),
];

/// Words that mean something somewhere, and some that do not.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "p",
        "q",
        "t",
        "name",
        "type",
        "stream",
        "upstream",
        "downstream",
        "both",
        "up",
        "down",
        "toxicity",
        "attributes",
        "latency",
        "jitter",
        "drop",
        "chance",
        "5%",
        "every",
        "rule",
        "delay",
        "time",
        "5ms",
        "rate",
        "limit",
        "1Mbit/s",
        "profile",
        "toxics",
        "protocol",
        "udp",
        "tcp",
        "raw",
        "unit",
        "listen",
        "127.0.0.1:0",
        "127.0.0.1:9",
        "enabled",
        "on",
        "seed",
        "idle",
        "follow",
        "geo-satellite",
        "phases",
        "for",
        "then",
        "repeat",
        "packet_loss",
        "loss_rate",
        "bandwidth",
        "slicer",
        "timeout",
        "noop",
        "duplicate",
        "copies",
        "match",
        "flows",
        "per",
        "flow",
        "outage",
        "reset",
        "corrupt",
        "slow_close",
    ];
    prop_oneof![
        9 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9:/%#\\\\\"<\u{7f}\u{fffd}ü ]{0,12}",
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3_i64..2000).prop_map(Value::from),
        any::<f64>()
            .prop_filter_map("JSON has no other numbers", |n| serde_json::Number::from_f64(n)
                .map(Value::from)),
        (0.0..1.0).prop_map(|n: f64| json!(n)),
        word().prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..6)
                .prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

/// What is nearly right: the fields of a proxy, a toxic or a profile, some of them something else.
fn nearly_right() -> impl Strategy<Value = Value> {
    let right = prop::sample::select(vec![
        json!({ "name": "q", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0", "protocol": "udp",
                "toxics": [ { "type": "drop", "attributes": { "chance": "5%" } } ] }),
        json!([ { "name": "q", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0", "tcp": "model", "seed": 4,
                  "profile": { "both": [ { "rule": "delay", "time": "5ms" } ] } } ]),
        json!({ "listen": "127.0.0.1:0", "upstream": "127.0.0.1:7", "enabled": false }),
        json!({ "name": "t", "type": "latency", "stream": "both", "attributes": { "latency": 5, "jitter": 1 } }),
        json!({ "type": "duplicate", "toxicity": 0.5, "attributes": { "chance": 0.5, "copies": 40 } }),
        json!({ "type": "delay", "attributes": { "time": "5ms", "jitter": "1ms", "shape": "normal" } }),
        json!({ "attributes": { "latency": 5, "chance": "1%", "every": 2 }, "toxicity": 0.25 }),
        json!({ "up": [ { "rule": "drop", "burst": { "mean": "2%", "length": 3 } } ],
                "phases": [ { "for": "1s" }, { "down": [ { "rule": "reset", "after": "1s" } ] } ] }),
        json!({ "on": false }),
        json!("geo-satellite"),
    ]);
    (right, prop::collection::vec((any::<prop::sample::Index>(), leaf()), 0..3)).prop_map(
        |(mut value, changes)| {
            for (place, leaf) in changes {
                let paths = paths(&value, String::new());
                if let Some(part) = value.pointer_mut(&paths[place.index(paths.len())]) {
                    *part = leaf;
                }
            }
            value
        },
    )
}

/// Every place in a value.
fn paths(value: &Value, here: String) -> Vec<String> {
    let mut all = vec![here.clone()];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                all.extend(paths(value, format!("{here}/{name}")));
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                all.extend(paths(value, format!("{here}/{index}")));
            }
        }
        _ => {}
    }
    all
}

#[test]
fn whatever_is_asked_is_answered_and_what_is_refused_changes_nothing() {
    let running = Running::start();
    running.create("p", echo_server());
    let state = || running.ask("GET", "/state", "").body;
    let body = prop_oneof![2 => nearly_right(), 1 => anything()];
    let asked = (prop::sample::select(ROUTES.to_vec()), body);
    let config = Config { cases: 600, failure_persistence: None, ..Config::default() };
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    let seen = std::cell::RefCell::new(&mut statuses);
    let done = TestRunner::new(config).run(&asked, |((method, path), body)| {
        if !running.ask("GET", "/proxies", "").body.contains(r#""p":"#) {
            running.create("p", "127.0.0.1:9".parse().unwrap());
        }
        let before = state();
        let answer = running.ask(method, path, &body.to_string());
        *seen.borrow_mut().entry(answer.status).or_default() += 1;
        let after = state();
        prop_assert!(
            [200, 201, 204, 400, 404, 409, 412, 500].contains(&answer.status),
            "{method} {path} {body}: {answer:?}"
        );
        if (400..500).contains(&answer.status) {
            prop_assert_eq!(&before, &after, "{} {} {}: {:?}", method, path, body, answer);
            prop_assert!(answer.json()["error"].as_str().is_some_and(|text| !text.is_empty()));
        } else if answer.status < 300 {
            let read: Value = serde_json::from_str(&after).unwrap();
            for proxy in read["proxies"].as_array().unwrap() {
                // What is shown can be set: it is what holds.
                let path = format!("/proxies/{}/profile", proxy["name"].as_str().unwrap());
                if path.is_ascii() && !path.contains(['%', '#', '<', '"', '\\', ' ', '?', '\u{7f}'])
                {
                    let again = running.ask("PUT", &path, &proxy["profile"].to_string());
                    prop_assert!(
                        again.status == 200 || path.matches('/').count() > 3,
                        "{:?}",
                        again
                    );
                }
            }
        }
        // So that there is room for the next ones.
        running.ask("DELETE", "/proxies/q", "");
        if is_crowded(&after) {
            running.ask("PUT", "/proxies/p/profile", "{}");
        }
        Ok(())
    });
    done.unwrap();
    for status in [200, 201, 400, 404] {
        assert!(statuses.get(&status).is_some_and(|count| *count > 3), "{status}: {statuses:?}");
    }
}

/// Returns true if there are so many rules that no more would have room.
fn is_crowded(state: &str) -> bool {
    state.matches("\"rule\"").count() > 12
}
