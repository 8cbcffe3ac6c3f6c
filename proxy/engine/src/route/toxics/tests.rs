//! Tests of toxics: what is read, what is refused, and that each is printed as it was put in.

use super::*;
use crate::profile::Profile;
use crate::rules::{
    CloseAfter, Delay, Outage, Rate, Reset, RuleKind, Shape, Slice, Stall, Traffic,
};
use crate::rules::{KINDS, Rule};
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
                assert_eq!(back.len(), 1);
                assert_eq!((&back[0].toxic, back[0].was_written), (&read, true), "its rule is it");
                assert_eq!(back[0].toxic.to_json(), text);
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
        (r#"{ "type": "nope", "stream": "up" }"#, stream),
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
            let toxic = Toxic {
                name: "n".to_owned(),
                stream: ToxicStream::read("upstream").unwrap(),
                toxicity: 1.0,
                action: Action::Own(kind, [value; ATTRIBUTES_MAX]),
            };
            let rule = toxic.rule().kind;
            assert!(!rule.words(&traffic).is_empty() && !rule.brief().is_empty());
            assert!(rule.numbers(&traffic).is_object());
            let (promise, warnings) = (rule.promise(&traffic), rule.warnings(&traffic));
            assert!(promise.delay >= 0.0 && warnings.len() < 10, "{promise:?}");
        }
    }
}

/// Toxics, as the list of a profile shows them.
fn shown(profile: &Profile) -> Vec<String> {
    toxics_of_profile(profile).iter().map(|listed| listed.toxic.to_json()).collect()
}

#[test]
fn rules_of_profiles_are_shown_as_toxics_where_they_do_the_same() {
    let text = r#"{ "up": [ { "rule": "delay", "time": "5ms", "jitter": "1ms", "per": "flow", "flows": "50%" },
                            { "rule": "rate", "limit": "80kbit/s", "per": "flow" },
                            { "rule": "stall", "name": "hole", "close": "2s" },
                            { "rule": "slice", "size": "5B", "gap": "2ms" } ],
                    "down": [ { "rule": "reset", "after": "1s" } ] }"#;
    assert_eq!(
        shown(&Profile::from_json(text).unwrap()),
        [
            r#"{"attributes":{"latency":5,"jitter":1},"name":"delay","type":"latency","stream":"upstream","toxicity":0.5}"#,
            r#"{"attributes":{"rate":10},"name":"rate","type":"bandwidth","stream":"upstream","toxicity":1}"#,
            r#"{"attributes":{"timeout":2000},"name":"hole","type":"timeout","stream":"upstream","toxicity":1}"#,
            r#"{"attributes":{"average_size":5,"size_variation":0,"delay":2000},"name":"slice","type":"slicer","stream":"upstream","toxicity":1}"#,
            r#"{"attributes":{"timeout":1000},"name":"reset","type":"reset_peer","stream":"downstream","toxicity":1}"#,
        ]
    );
}

#[test]
fn every_kind_of_rule_is_a_toxic_under_its_own_name() {
    let mut seen = 0;
    for entry in KINDS {
        // Toxiproxy has one of this name, with attributes of its own.
        if entry.name == "slow_close" {
            continue;
        }
        let text = format!(
            r#"{{ "type": "{}", "stream": "both", "toxicity": 0.25, "attributes": {{ {} }} }}"#,
            entry.name, entry.example
        );
        let toxic = toxic(&text).unwrap();
        assert_eq!(toxic.name, format!("{}_both", entry.name));
        let profile = profile_of_toxics(std::slice::from_ref(&toxic));
        for timeline in [&profile.up, &profile.down] {
            let rule = timeline.rules().next().unwrap();
            assert_eq!((rule.kind.name(), &rule.key), (entry.name, &toxic.name));
            assert_eq!(rule.selection.flows.as_f64(), 0.25);
        }
        let listed = toxics_of_profile(&profile);
        assert_eq!(listed.len(), 1, "both directions are one toxic");
        assert_eq!(listed[0].toxic.to_json(), toxic.to_json());
        assert!(!listed[0].toxic.is_toxiproxys() && listed[0].is_reset());
        let printed: Value = serde_json::from_str(&toxic.to_json()).unwrap();
        let example: Value = serde_json::from_str(&format!("{{ {} }}", entry.example)).unwrap();
        assert_eq!(printed["attributes"], example);
        seen += 1;
    }
    assert_eq!(seen, KINDS.len() - 1);
}

#[test]
fn attributes_of_rules_are_those_of_the_profile_language() {
    for (attributes, message) in [
        (r#""chance": "5""#, r#"attributes.chance: "5" has no unit; write "5%""#),
        (
            r#""chanse": "5%""#,
            r#"attributes.chanse: "chanse" is unknown here; did you mean "chance"?"#,
        ),
        (
            r#""every": 2, "flows": "5%""#,
            r#"attributes.flows: "toxicity" says which share of connections is affected; leave it out here"#,
        ),
        (
            r#""every": 2, "name": "x""#,
            r#"attributes.name: the toxic's "name" says it; leave it out here"#,
        ),
        (
            r#""every": 2, "rule": "delay""#,
            r#"attributes.rule: the toxic's "type" says it; leave it out here"#,
        ),
        (
            "",
            "attributes: drop says how by exactly one of chance, burst, gilbert_elliott, four_state, every, packets or pattern; none is here",
        ),
    ] {
        let text = format!(r#"{{ "type": "drop", "attributes": {{ {attributes} }} }}"#);
        assert_eq!(toxic(&text).unwrap_err().to_string(), message);
    }
    // Nothing that comes over the wire reads a file.
    let file = toxic(r#"{ "type": "rate", "attributes": { "trace": "/etc/passwd" } }"#);
    assert!(file.unwrap_err().to_string().starts_with("attributes.trace: "));
    let before =
        toxic(r#"{ "type": "drop", "attributes": { "chance": 0.05, "per": "flow" } }"#).unwrap();
    let updated = |text: &str| before.updated(&serde_json::from_str(text).unwrap());
    let attributes = |text: &str| updated(text).unwrap().attributes_json();
    assert_eq!(
        attributes(r#"{ "attributes": { "chance": "7%" } }"#),
        r#"{"chance":"7%","per":"flow"}"#
    );
    assert_eq!(attributes(r#"{ "attributes": { "every": 3, "per": null } }"#), r#"{"every":3}"#);
    assert_eq!(updated("{}").unwrap(), before);
    assert!(updated(r#"{ "attributes": { "chance": null } }"#).is_err());
    assert!(updated(r#"{ "attributes": { "chance": "7" }, "toxicity": 0.5 }"#).is_err());
}

#[test]
fn packet_loss_is_a_drop() {
    let loss = |attributes: &str| {
        toxic(&format!(r#"{{ "type": "packet_loss", "attributes": {{ {attributes} }} }}"#))
    };
    let default = loss("").unwrap();
    assert_eq!(
        default.to_json(),
        r#"{"attributes":{"loss_rate":0.1,"correlation":0},"name":"packet_loss_downstream","type":"packet_loss","stream":"downstream","toxicity":1}"#
    );
    let chance = |toxic: &Toxic| match toxic.rule().kind {
        RuleKind::Drop(drop) => drop,
        other => panic!("{other:?}"),
    };
    let drop = |text: &str| {
        chance(&toxic(&format!(r#"{{ "type": "drop", "attributes": {{ {text} }} }}"#)).unwrap())
    };
    assert_eq!(chance(&default), drop(r#""chance": "10%""#));
    let certain = loss(r#""loss_rate": 1, "correlation": 0.0"#).unwrap();
    assert_eq!(chance(&certain), drop(r#""chance": "100%""#));
    assert!(certain.to_json().starts_with(r#"{"attributes":{"loss_rate":1,"correlation":0}"#));
    let half = certain.updated(&serde_json::json!({ "attributes": { "loss_rate": 0.5 } })).unwrap();
    assert_eq!(chance(&half), drop(r#""chance": "50%""#));
    for (attributes, begins) in [
        (r#""loss_rate": 1.5"#, "attributes.loss_rate: 1.5 is no share; write 0 to 1"),
        (r#""correlation": 0.25"#, "attributes.correlation: the chance of each packet is its own"),
        (r#""loss_rate": "5%""#, "bad request body: "),
    ] {
        let error = loss(attributes).unwrap_err().to_string();
        assert!(error.starts_with(begins), "{error}");
    }
}

#[test]
fn rules_of_one_key_in_both_directions_are_told_apart_unless_they_are_alike() {
    let profile = |text: &str| Profile::from_json(text).unwrap();
    let names = |profile: &Profile| {
        let of =
            |listed: &ListedToxic| format!("{} {}", listed.toxic.name, listed.toxic.stream.text());
        toxics_of_profile(profile).iter().map(of).collect::<Vec<_>>()
    };
    let reset = |text: &str| format!(r#"{{ "rule": "reset", "after": "{text}" }}"#);
    let alike = profile(&format!(r#"{{ "both": [ {} ] }}"#, reset("1s")));
    assert_eq!(names(&alike), ["reset both"]);
    let mut other = profile(&format!(
        r#"{{ "up": [ {}, {{ "rule": "slice", "size": "5B", "name": "reset_downstream" }} ], "down": [ {} ] }}"#,
        reset("1s"),
        reset("2s")
    ));
    let listed =
        ["reset_upstream upstream", "reset_downstream upstream", "reset_downstream#2 downstream"];
    assert_eq!(names(&other), listed);
    for name in ["reset", "reset_upstream", "reset_downstream#2"] {
        assert!(is_toxic_name_taken(&other, name), "{name}");
    }
    // Each is changed and removed where it is; its rule keeps its key.
    let down = toxics_of_profile(&other).remove(2);
    let changed = serde_json::json!({ "attributes": { "timeout": 7 } });
    down.replace(&mut other, &down.toxic.updated(&changed).unwrap());
    assert_eq!(names(&other), listed);
    let after = |timeline: &crate::profile::Timeline| match &timeline.phases[0].rules[0] {
        Rule { kind: RuleKind::Reset(reset), key, .. } if key == "reset" => reset.after,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (after(&other.up), after(&other.down)),
        (Duration::from_secs(1), Duration::from_millis(7))
    );
    toxics_of_profile(&other)[2].remove(&mut other);
    assert_eq!(names(&other), ["reset upstream", "reset_downstream upstream"]);
}

#[test]
fn what_holds_in_some_phases_only_is_no_toxic() {
    let mut profile = Profile::from_json(
        r#"{ "up": [ { "rule": "slice", "size": "5B" } ],
             "phases": [ { "for": "1s", "up": [ { "rule": "reset", "after": "1s" } ] },
                         { "down": [ { "rule": "stall" } ] } ] }"#,
    )
    .unwrap();
    assert_eq!(toxics_of_profile(&profile).len(), 1);
    assert!(is_toxic_name_taken(&profile, "stall"));
    add_toxic(&mut profile, &toxic(r#"{ "type": "noop", "stream": "both" }"#).unwrap());
    assert_eq!(toxics_of_profile(&profile).len(), 2, "a toxic is added to every phase");
    assert!(profile.up.phases.iter().all(|phase| phase.rules.last().unwrap().key == "noop_both"));
    for listed in toxics_of_profile(&profile) {
        listed.remove(&mut profile);
    }
    let left: Vec<&str> =
        profile.up.rules().chain(profile.down.rules()).map(|rule| rule.key.as_str()).collect();
    assert_eq!(left, ["reset", "stall"]);
}

#[test]
fn duplicates_keep_their_digits_and_are_bounded() {
    let copies = |name: &str, copies: u32| {
        let text = format!(
            r#"{{ "type": "duplicate", "name": "{name}", "attributes": {{ "chance": 1, "copies": {copies} }} }}"#
        );
        toxic(&text).unwrap()
    };
    let mut profile = profile_of_toxics(&[copies("a", 1), copies("b", 1), copies("c", 1)]);
    let ordinals =
        |profile: &Profile| -> Vec<u32> { profile.down.rules().map(|rule| rule.ordinal).collect() };
    assert_eq!(ordinals(&profile), [0, 1, 2]);
    toxics_of_profile(&profile)[0].remove(&mut profile);
    add_toxic(&mut profile, &copies("d", 1));
    assert_eq!(ordinals(&profile), [1, 2, 0], "those that stay are the same");
    assert_eq!(profile.check(), Ok(()));
    add_toxic(&mut profile, &copies("e", 10));
    let error = profile.check().unwrap_err();
    assert_eq!(
        error,
        r#"down: with the rule "e" a packet becomes 88; write fewer copies, for 64 in all"#
    );
    let many: Vec<Toxic> = (0..64)
        .map(|n| toxic(&format!(r#"{{ "type": "noop", "name": "{n}" }}"#)).unwrap())
        .collect();
    assert_eq!(profile_of_toxics(&many[..63]).check(), Ok(()));
    let error = profile_of_toxics(&many).check().unwrap_err();
    assert_eq!(error, "down: 64 rules are too many; at most 63 per direction");
}
