//! Profiles as anybody might write them, in odd numbers and any order, many of which are right.

use jostle_engine::profile::{Profile, no_files};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

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
        vec(number(), 1..9).prop_map(|packets| json!({ "packets": packets })),
        vec(share(), 1..9).prop_map(|pattern| json!({ "pattern": pattern })),
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
    let steps = vec((0.0f64..1e9, time()), 1..5).prop_map(|mut steps| {
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
        1 => (0u64..9, 10u64.., 0u32.., vec(any::<u8>(), 1..9)).prop_map(|(after, first, min, value)| {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "after": after, "first": first, "size": { "min": format!("{min}B") }, "bytes": { "offset": min, "hex": hex } })
        }),
    ];
    let flows = prop_oneof![3 => Just(Value::Null), 1 => share()];
    let flow = prop_oneof![
        4 => Just(None),
        1 => (1u32..).prop_map(|flow| Some(json!(flow))),
        1 => (1u32..99, 99u32..).prop_map(|(first, last)| Some(json!(format!("{first} - {last}")))),
        1 => (1u32..).prop_map(|nth| Some(json!(format!("every {nth}")))),
    ];
    (fields(), name, matching, flows, flow, any::<bool>(), any::<bool>()).prop_map(
        |(mut rule, name, matching, flows, flow, per_flow, enabled)| {
            let is_for_streams = ["slice", "stall", "slow_close", "reset", "close_after"]
                .iter()
                .any(|kind| rule["rule"] == **kind);
            for (field, value) in [("name", json!(name)), ("match", matching), ("flows", flows)] {
                let is_heeded = field != "match" || !is_for_streams;
                if is_heeded && !value.is_null() {
                    rule[field] = value;
                }
            }
            if let Some(flow) = flow {
                rule["match"]["flow"] = flow;
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
    let rules = |most: usize| vec(rule(), 0..most);
    (rules(3), rules(4), rules(3)).prop_map(|(both, up, down)| [both, up, down])
}

/// What is left of a list once the rules that no profile may have are gone.
fn valid(rules: &[Value]) -> Vec<Value> {
    let is_valid =
        |rule: &&Value| Profile::from_value("", json!({ "up": [rule] }), &no_files).is_ok();
    rules.iter().filter(is_valid).cloned().collect()
}

/// A profile of rules that are right each for itself.
pub(crate) fn any_profile() -> impl Strategy<Value = Value> {
    let written = |lists: &[Vec<Value>; 3]| {
        let [both, up, down] = lists.each_ref().map(|rules| valid(rules));
        json!({ "both": both, "up": up, "down": down })
    };
    let phases = vec((lists(), 100_000u64..1 << 50), 0..3);
    let then = prop_oneof![Just("stay"), Just("repeat"), Just("clear")];
    let start = prop_oneof![Just("packet"), Just("run")];
    (lists(), phases, then, start, "\\PC{0,20}").prop_map(
        move |(front, phases, then, start, about)| {
            let mut value = written(&front);
            (value["about"], value["start"]) = (about.into(), start.into());
            if !phases.is_empty() {
                let phases = phases.iter().map(|(lists, length)| {
                    let mut phase = written(lists);
                    phase["for"] = format!("{length}ns").into();
                    phase
                });
                value["phases"] = phases.collect();
                value["then"] = then.into();
            }
            value
        },
    )
}

/// The same without the rules of both directions.
pub(crate) fn without_both(mut value: Value) -> Value {
    value["both"] = json!([]);
    let phases = value.get_mut("phases").and_then(Value::as_array_mut);
    phases.into_iter().flatten().for_each(|phase| phase["both"] = json!([]));
    value
}
