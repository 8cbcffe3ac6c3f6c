//! Tests of toxics: what is read, what is refused, and that each is printed as it was put in.

use super::*;
use crate::profile::Profile;
use crate::rules::{
    CloseAfter, Delay, Outage, Rate, Reset, RuleKind, Shape, Slice, Stall, Traffic,
};
use jostle_common::units::BitRate;
use std::time::Duration;

fn toxic(text: &str) -> Result<Toxic, ToxicError> {
    Toxic::from_value(&serde_json::from_str(text).unwrap(), |name| name == "taken")
}

fn kind(kind: &str, attributes: &str) -> RuleKind {
    let text = format!(r#"{{ "type": "{kind}", "attributes": {{ {attributes} }} }}"#);
    toxic(&text).unwrap().rule().kind
}

#[test]
fn each_toxic_is_printed_as_it_was_put_in() {
    let most = i64::MAX;
    let mut seen = 0;
    for kind in ToxicKind::ALL {
        for values in [[0, 0, 0], [1, 2, 3], [-1, -2, -3], [most, most, most], [i64::MIN; 3]] {
            for (toxicity, stream) in
                [("1", "upstream"), ("0.25", "DownStream"), ("-1", "downstream"), ("2", "UPSTREAM")]
            {
                let names = kind.attributes();
                let attributes: Vec<String> = names
                    .iter()
                    .zip(values)
                    .map(|(name, value)| format!(r#""{name}":{value}"#))
                    .collect();
                let text = format!(
                    r#"{{"attributes":{{{}}},"name":"n","type":"{}","stream":"{stream}","toxicity":{toxicity}}}"#,
                    attributes.join(","),
                    kind.name()
                );
                let read = toxic(&text).unwrap();
                assert_eq!(read.to_json(), text);
                let profile = profile_of_toxics(std::slice::from_ref(&read));
                let back = toxics_of_profile(&profile);
                assert_eq!(back, [read], "through its rule");
                assert_eq!(back[0].to_json(), text);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8 * 5 * 4);
}

#[test]
fn defaults_and_spellings_are_toxiproxys() {
    for (text, printed) in [
        (
            r#"{ "type": "latency" }"#,
            r#"{"attributes":{"latency":0,"jitter":0},"name":"latency_downstream","type":"latency","stream":"downstream","toxicity":1}"#,
        ),
        (
            r#"{ "TYPE": "slicer", "Stream": "UpStream", "Attributes": { "DELAY": 7, "unknown": {}, "average_size": null }, "more": 1 }"#,
            r#"{"attributes":{"average_size":0,"size_variation":0,"delay":7},"name":"slicer_UpStream","type":"slicer","stream":"UpStream","toxicity":1}"#,
        ),
        (
            r#"{ "type": "noop", "name": "<&>", "stream": null, "toxicity": 0.333333333333, "attributes": null }"#,
            r#"{"attributes":{},"name":"\u003c\u0026\u003e","type":"noop","stream":"downstream","toxicity":0.33333334}"#,
        ),
        (
            r#"{ "type": "timeout", "name": "", "toxicity": 1e-9, "latency": 5 }"#,
            r#"{"attributes":{"timeout":0},"name":"timeout_downstream","type":"timeout","stream":"downstream","toxicity":1e-9}"#,
        ),
        (
            r#"{ "type": "timeout", "toxicity": 1e30 }"#,
            r#"{"attributes":{"timeout":0},"name":"timeout_downstream","type":"timeout","stream":"downstream","toxicity":1e+30}"#,
        ),
    ] {
        assert_eq!(toxic(text).unwrap().to_json(), printed);
    }
}

#[test]
fn what_toxiproxy_refuses_is_refused_in_its_order() {
    let stream = "stream was invalid, can be either upstream or downstream";
    for (text, message) in [
        (r#"{ "type": "nope", "stream": "both" }"#, stream),
        (r#"{ "type": "latency", "stream": "" }"#, stream),
        (r#"{ "type": "nope", "name": "taken" }"#, "invalid toxic type"),
        (r#"{ "type": "Latency" }"#, "invalid toxic type"),
        ("null", "invalid toxic type"),
        (
            r#"{ "type": "latency", "name": "taken", "attributes": { "latency": "1" } }"#,
            "toxic already exists",
        ),
    ] {
        assert_eq!(toxic(text).unwrap_err().to_string(), message, "{text}");
    }
    for value in [r#""100""#, "1.5", "1e2", "100.0", "9223372036854775808", "true", "[]"] {
        let text = format!(r#"{{ "type": "latency", "attributes": {{ "jitter": {value} }} }}"#);
        let error = toxic(&text).unwrap_err().to_string();
        assert!(error.starts_with("bad request body: "), "{error}");
    }
    for field in [
        r#""toxicity": "1""#,
        r#""toxicity": 1e39"#,
        r#""name": 5"#,
        r#""attributes": []"#,
        r#""stream": 1"#,
    ] {
        let text = format!(r#"{{ "type": "latency", {field} }}"#);
        assert!(matches!(toxic(&text), Err(ToxicError::Body(_))), "{text}");
    }
}

#[test]
fn an_update_changes_attributes_and_toxicity_alone_and_all_or_nothing() {
    let before = toxic(
        r#"{ "type": "latency", "attributes": { "latency": 5, "jitter": 2 }, "toxicity": 0.5 }"#,
    )
    .unwrap();
    let update = |text: &str| before.updated(&serde_json::from_str(text).unwrap());
    let after =
        update(r#"{ "attributes": { "jitter": 9 }, "name": "x", "type": "noop" }"#).unwrap();
    assert_eq!(
        after.to_json(),
        r#"{"attributes":{"latency":5,"jitter":9},"name":"latency_downstream","type":"latency","stream":"downstream","toxicity":0.5}"#
    );
    assert_eq!(update("{}").unwrap(), before);
    assert!(update(r#"{ "attributes": { "latency": 1, "jitter": "2" } }"#).is_err());
}

#[test]
fn attributes_mean_what_they_do_in_toxiproxy() {
    let ms = Duration::from_millis;
    let RuleKind::Delay(delay) = kind("latency", r#""latency": 200, "jitter": 50"#) else {
        panic!()
    };
    assert!(!delay.holds_ends);
    assert_eq!(Delay { holds_ends: true, ..delay }, Delay::drawn(ms(200), ms(50), Shape::Uniform));
    let rate = |bits| RuleKind::Rate(Rate::constant(BitRate::new(bits).unwrap()));
    assert_eq!(kind("bandwidth", r#""rate": 1000"#), rate(8_000_000));
    assert_eq!(kind("bandwidth", &format!(r#""rate": {}"#, i64::MAX)), rate(u64::MAX));
    for nothing in ["0", "-1"] {
        let never = kind("bandwidth", &format!(r#""rate": {nothing}"#));
        assert!(matches!(never, RuleKind::Outage(Outage { hold: true, .. })));
    }
    let slice = |size, spread, micros| {
        RuleKind::Slice(Slice { size, spread, gap: Duration::from_micros(micros) })
    };
    let slicer = |text| kind("slicer", text);
    assert_eq!(slicer(r#""average_size": 64, "size_variation": 8, "delay": 10"#), slice(64, 8, 10));
    assert_eq!(slicer(r#""average_size": 4, "size_variation": 8, "delay": -1"#), slice(4, 4, 0));
    assert_eq!(slicer(r#""average_size": -4, "size_variation": 8"#), slice(u64::MAX, 0, 0));
    let stall = |close| RuleKind::Stall(Stall { after: 0, close });
    assert_eq!(kind("timeout", r#""timeout": 30"#), stall(Some(ms(30))));
    assert_eq!(kind("timeout", r#""timeout": -30"#), stall(None));
    assert_eq!(kind("reset_peer", r#""timeout": -3"#), RuleKind::Reset(Reset { after: ms(0) }));
    assert_eq!(
        kind("limit_data", r#""bytes": -3"#),
        RuleKind::CloseAfter(CloseAfter { bytes: Some(0), time: None })
    );
    let toxicity = |toxicity: &str| {
        let text = format!(r#"{{ "type": "noop", "toxicity": {toxicity} }}"#);
        toxic(&text).unwrap().rule().selection.flows.as_f64()
    };
    assert_eq!(["2", "-1", "0.5"].map(toxicity), [1.0, 0.0, 0.5]);
}

#[test]
fn what_a_toxic_does_can_be_said_whatever_its_numbers() {
    let traffic = Traffic { packets_per_second: Some(100.0), ..Traffic::of_size(1200) };
    for kind in ToxicKind::ALL {
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            let values = [value; ATTRIBUTES_MAX];
            let toxic = Toxic {
                name: "n".to_owned(),
                kind,
                direction: Direction::Up,
                stream: "upstream".to_owned(),
                toxicity: 1.0,
                values,
            };
            let rule = toxic.rule().kind;
            assert!(!rule.words(&traffic).is_empty() && !rule.brief().is_empty());
            assert!(rule.numbers(&traffic).is_object());
            let (promise, warnings) = (rule.promise(&traffic), rule.warnings(&traffic));
            assert!(promise.delay >= 0.0 && warnings.len() < 10, "{promise:?}");
        }
    }
}

#[test]
fn rules_of_profiles_are_shown_as_toxics_where_they_do_the_same() {
    let text = r#"{ "up": [ { "rule": "delay", "time": "5ms", "jitter": "1ms", "per": "flow", "flows": "50%" },
                            { "rule": "delay", "time": "5ms", "jitter": "1ms" },
                            { "rule": "rate", "limit": "80kbit/s", "per": "flow" },
                            { "rule": "stall", "name": "hole", "close": "2s" }, { "rule": "stall", "after": "1B" },
                            { "rule": "close_after", "time": "2s" }, { "rule": "slice", "size": "5B", "gap": "2ms" } ],
                    "down": [ { "rule": "reset", "after": "1s" } ] }"#;
    let toxics = toxics_of_profile(&Profile::from_json(text).unwrap());
    let printed: Vec<String> = toxics.iter().map(Toxic::to_json).collect();
    assert_eq!(
        printed,
        [
            r#"{"attributes":{"latency":5,"jitter":1},"name":"delay","type":"latency","stream":"upstream","toxicity":0.5}"#,
            r#"{"attributes":{"rate":10},"name":"rate","type":"bandwidth","stream":"upstream","toxicity":1}"#,
            r#"{"attributes":{"timeout":2000},"name":"hole","type":"timeout","stream":"upstream","toxicity":1}"#,
            r#"{"attributes":{"average_size":5,"size_variation":0,"delay":2000},"name":"slice","type":"slicer","stream":"upstream","toxicity":1}"#,
            r#"{"attributes":{"timeout":1000},"name":"reset","type":"reset_peer","stream":"downstream","toxicity":1}"#,
        ]
    );
}
