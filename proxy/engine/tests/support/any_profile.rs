//! Profiles as anybody might write them, in odd numbers and any order, many of which are right.

use jostle_engine::profile::{Profile, no_files};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

type Values = BoxedStrategy<Value>;

fn time() -> Values {
    prop_oneof![
        (0u64..86_400_000_000_000).prop_map(|nanos| json!(format!("{nanos}ns"))),
        (0u32..10_000).prop_map(|millis| json!(format!("{millis}ms"))),
        (0u32..86_400).prop_map(|seconds| json!(format!("{seconds}s"))),
        Just(json!("0")),
    ]
    .boxed()
}

fn share() -> Values {
    prop_oneof![
        (0.0f64..=1.0).prop_map(Value::from),
        (0.0f64..1e-6).prop_map(Value::from),
        (0u32..=1000).prop_map(|tenths| json!(format!("{}.{}%", tenths / 10, tenths % 10))),
        Just(json!(0)),
        Just(json!(1)),
    ]
    .boxed()
}

fn bytes() -> Values {
    prop_oneof![any::<u64>(), 0u64..5000].prop_map(|bytes| json!(format!("{bytes}B"))).boxed()
}

fn number() -> Values {
    prop_oneof![any::<u64>(), 0u64..70].prop_map(Value::from).boxed()
}

fn small() -> Values {
    (0u64..5).prop_map(Value::from).boxed()
}

fn flag() -> Values {
    any::<bool>().prop_map(Value::from).boxed()
}

fn one_of(words: &'static [&'static str]) -> Values {
    prop::sample::select(words).prop_map(Value::from).boxed()
}

fn list(values: Values) -> Values {
    vec(values, 1..9).prop_map(Value::from).boxed()
}

/// The same, or nothing, in so many of a hundred cases.
fn perhaps(percent: u32, values: Values) -> Values {
    prop_oneof![percent => values, 100 - percent => Just(Value::Null)].boxed()
}

/// An object of these fields; what is null is left out.
fn object<const N: usize>(fields: [(&'static str, Values); N]) -> Values {
    let (names, values): (Vec<&str>, Vec<Values>) = fields.into_iter().unzip();
    let object = move |values: Vec<Value>| {
        let fields = names.iter().map(|name| (*name).to_owned()).zip(values);
        Value::Object(fields.filter(|(_, value)| !value.is_null()).collect())
    };
    values.prop_map(object).boxed()
}

/// A rule of a kind with these fields.
fn of_kind<const N: usize>(kind: &'static str, fields: [(&'static str, Values); N]) -> Values {
    let with_kind = move |mut fields: Value| {
        fields["rule"] = kind.into();
        fields
    };
    object(fields).prop_map(with_kind).boxed()
}

fn drops() -> Values {
    let packets = (1.0f64..50.0).prop_map(Value::from).boxed();
    let burst = |length| object([("mean", share()), ("length", length)]);
    let (bad, good) = (("loss_bad", perhaps(50, share())), ("loss_good", perhaps(50, share())));
    let states = object([("p", share()), ("r", share()), bad, good]);
    let four = [("p13", share()), ("p23", perhaps(50, share())), ("p14", perhaps(50, share()))];
    prop_oneof![
        of_kind("drop", [("chance", share())]),
        of_kind("drop", [("burst", burst(packets))]),
        of_kind("drop", [("burst", burst(time()))]),
        of_kind("drop", [("gilbert_elliott", states)]),
        of_kind("drop", [("four_state", object(four))]),
        of_kind("drop", [("every", number())]),
        of_kind("drop", [("packets", list(number()))]),
        of_kind("drop", [("pattern", list(share()))]),
    ]
    .boxed()
}

fn path() -> (&'static str, Values) {
    ("path", perhaps(50, one_of(&["a", "b", "c d"])))
}

/// The fields of a `drop` rule as those of one that marks.
fn marking(mut fields: Value) -> Value {
    fields["rule"] = json!("mark");
    fields
}

fn delays() -> Values {
    let shape = one_of(&["uniform", "normal", "pareto", "paretonormal"]);
    let table = list(any::<i16>().prop_map(Value::from).boxed());
    let drawn = |shape| {
        let (memory, ends) = (("memory", perhaps(50, time())), ("holds_ends", perhaps(50, flag())));
        let reorder = ("reorder", perhaps(50, flag()));
        let (time, jitter) = (("time", time()), ("jitter", time()));
        of_kind("delay", [time, jitter, memory, shape, ends, reorder, path()])
    };
    let steps = vec((0.0f64..1e9, time()), 1..5).prop_map(|mut steps| {
        steps.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        steps.insert(0, (0.0, json!("1ns")));
        json!(steps)
    });
    prop_oneof![
        of_kind("delay", [("time", time()), path()]),
        drawn(("shape", perhaps(70, shape))),
        drawn(("table", table)),
        of_kind("delay", [("trace", steps.boxed()), ("reorder", flag())]),
    ]
    .boxed()
}

fn rates() -> Values {
    let limit = (1u64..).prop_map(|bits| json!(format!("{bits}bit/s"))).boxed();
    let packets = any::<u64>().prop_map(|count| json!(format!("{count} packets"))).boxed();
    let queue = prop_oneof![time(), bytes(), packets];
    let codel = object([("codel", object([("target", time()), ("interval", time())]))]);
    let hertz =
        || (0u32..10_000).prop_map(|tenths| json!(format!("{}Hz", f64::from(tenths) / 10.0)));
    let pie = [
        ("target", perhaps(70, time())),
        ("update", perhaps(50, (1u32..10_000).prop_map(|ms| json!(format!("{ms}ms"))).boxed())),
        ("alpha", perhaps(50, hertz().boxed())),
        ("beta", perhaps(50, hertz().boxed())),
        ("burst", perhaps(50, time())),
        ("packet", perhaps(30, bytes())),
        ("ecn_below", perhaps(50, share())),
        ("derandomize", perhaps(50, flag())),
    ];
    let fair = [
        ("target", perhaps(50, time())),
        ("interval", perhaps(50, time())),
        ("ecn", perhaps(50, flag())),
        ("ce_threshold", perhaps(50, time())),
        ("queues", perhaps(50, small())),
        ("quantum", perhaps(30, bytes())),
        ("memory", perhaps(50, bytes())),
        ("batch", perhaps(50, small())),
    ];
    let dual = [
        ("target", perhaps(50, time())),
        ("round_trip", perhaps(50, time())),
        ("alpha", perhaps(50, hertz().boxed())),
        ("beta", perhaps(50, hertz().boxed())),
        ("coupling", perhaps(50, (0.1f64..9.0).prop_map(Value::from).boxed())),
        ("threshold", perhaps(50, time())),
        ("range", perhaps(50, time())),
        ("threshold_packets", perhaps(50, small())),
        ("classic_share", perhaps(30, share())),
        ("time_shift", perhaps(30, time())),
    ];
    let named = one_of(&["tail", "head", "codel", "pie", "fq_codel", "dualpi2"]);
    let (pie, fair, dual) = (
        object([("pie", object(pie))]),
        object([("fq_codel", object(fair))]),
        object([("dualpi2", object(dual))]),
    );
    let discipline = prop_oneof![named, codel, pie, fair, dual].boxed();
    let trace = list((0u64..9).prop_map(Value::from).boxed()).prop_map(|mut millis| {
        let list = millis.as_array_mut().unwrap();
        list.sort_by_key(Value::as_u64);
        list.push(9.into());
        millis
    });
    let queue = ("queue", perhaps(50, queue.boxed()));
    let discipline = ("discipline", perhaps(50, discipline));
    let overhead = ("overhead", perhaps(50, small()));
    let (limit, trace) = (("limit", limit), ("trace", trace.boxed()));
    let burst = ("burst", perhaps(50, bytes()));
    let of_trace = [trace, queue.clone(), discipline.clone(), overhead.clone()];
    prop_oneof![
        of_kind("rate", [limit, queue, discipline, overhead, burst, path()]),
        of_kind("rate", of_trace)
    ]
    .boxed()
}

/// The fields of a rule of some kind, many of which go together.
fn fields() -> Values {
    let part = object([("offset", number()), ("length", number())]);
    let corrupt =
        [("chance", share()), ("bits", perhaps(50, small())), ("where", perhaps(50, part))];
    let then = perhaps(50, one_of(&["release", "drop"]));
    let slot = [("window", time()), ("packets", perhaps(50, number())), ("then", then)];
    let model = perhaps(50, one_of(&["cubic", "reno"]));
    let cross = [("tcp", small()), ("model", model), ("return", perhaps(50, time()))];
    let limit = (1u64..1 << 34).prop_map(|bits| json!(format!("{bits}bit/s"))).boxed();
    let outage = [("up", time()), ("down", time()), ("random", flag()), ("hold", flag())];
    let addresses = prop_oneof![
        one_of(&["127.0.0.0/8", "10.1.2.3", "fd00::1/64"]),
        list(one_of(&["127.0.0.2", "::1"])),
    ];
    let rebind = [
        ("first", perhaps(50, time())),
        ("every", perhaps(50, time())),
        ("random", perhaps(50, flag())),
        ("addresses", perhaps(50, addresses.boxed())),
        ("old", perhaps(50, one_of(&["drop", "deliver"]))),
    ];
    prop_oneof![
        4 => drops(),
        3 => delays(),
        3 => rates(),
        1 => drops().prop_map(marking).boxed(),
        1 => of_kind("corrupt", corrupt),
        1 => of_kind("corrupt", [("chance", share()), ("bytes", small())]),
        1 => of_kind("corrupt", [("bit_error_rate", share())]),
        2 => of_kind("duplicate", [("chance", share()), ("copies", small()), ("gap", time())]),
        1 => of_kind("reorder", [("chance", share()), ("behind", small()), ("at_most", time())]),
        1 => of_kind("reorder", [("chance", share()), ("ahead", flag())]),
        1 => of_kind("batch", slot),
        1 => of_kind("batch", [("window", time()), ("bytes", bytes())]),
        1 => of_kind("batch", [("window", time()), ("chance", share())]),
        1 => of_kind("outage", outage),
        1 => of_kind("size", [("max", bytes())]),
        1 => of_kind("cross", cross),
        1 => of_kind("cross", [("rate", limit), ("size", perhaps(50, bytes())), ("start", time())]),
        1 => of_kind("rebind", rebind),
        1 => of_kind("slice", [("size", bytes()), ("spread", small()), ("gap", time())]),
        1 => of_kind("slice", [("size", bytes()), ("spread", bytes())]),
        1 => of_kind("stall", [("after", bytes()), ("close", time())]),
        1 => of_kind("slow_close", [("delay", time())]),
        1 => of_kind("reset", [("after", time())]),
        1 => of_kind("close_after", [("bytes", bytes()), ("time", time())]),
    ]
    .boxed()
}

fn ecn() -> Values {
    one_of(&["not-ect", "ect0", "ect1", "ce"])
}

/// A rule with what every rule may say.
fn rule() -> impl Strategy<Value = Value> {
    let known = one_of(&["drop#2", "duplicate#3", "duplicate", "delay", "--drop", "--duplicate"]);
    let name = prop_oneof![known, "\\PC{1,9}".prop_map(Value::from)].boxed();
    let hex = vec(any::<u8>(), 1..9).prop_map(|bytes| {
        json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    });
    let flow = prop_oneof![
        (1u32..).prop_map(Value::from),
        (1u32..99, 99u32..).prop_map(|(first, last)| json!(format!("{first} - {last}"))),
        (1u32..).prop_map(|nth| json!(format!("every {nth}"))),
        (1u32..9, 1u32..).prop_map(|(one, nth)| json!([one, format!("every {nth}"), "7-"])),
    ];
    let client = one_of(&["127.0.0.2", "10.0.0.0/8:5000-5999", "*:53", "::1", "fd00::/8"]);
    let target = prop_oneof![
        one_of(&["example.org", "*.example.org:443", "10.0.0.0/8", "[::1]:80", "*:80"]),
        Just(json!(["example.org", "[2001:db8::]/32:1-9"])),
    ];
    let age = prop_oneof![
        (0u64..1 << 40).prop_map(|from| json!(format!("{from}ns.."))),
        (1u64..1 << 40).prop_map(|until| json!(format!("..{until}ns"))),
        (0u64..1 << 40, 1u64..).prop_map(|(from, more)| {
            json!(format!("{from}ns..{}ns", from.saturating_add(more)))
        }),
    ];
    let flow = ("flow", perhaps(50, flow.boxed()));
    let client = ("client", perhaps(25, client));
    let target = ("target", perhaps(25, target.boxed()));
    let age = ("age", perhaps(25, age.boxed()));
    let of_packets = object([
        ("after", perhaps(50, small())),
        ("first", perhaps(50, number())),
        ("size", perhaps(50, object([("min", bytes())]))),
        ("bytes", perhaps(50, object([("offset", small()), ("hex", hex.boxed())]))),
        ("ecn", perhaps(50, prop_oneof![ecn(), list(ecn())].boxed())),
        flow.clone(),
        client.clone(),
        target.clone(),
        age.clone(),
    ]);
    let matching = prop_oneof![of_packets, object([flow, client, target, age])].boxed();
    let common = object([
        ("name", perhaps(25, name)),
        ("per", perhaps(25, Just(json!("flow")).boxed())),
        ("flows", perhaps(25, share())),
        ("match", perhaps(25, matching)),
        ("enabled", perhaps(50, flag())),
    ]);
    (fields(), common).prop_map(|(mut rule, common)| {
        let fields = common.as_object().unwrap().clone();
        rule.as_object_mut().unwrap().extend(fields);
        rule
    })
}

fn lists() -> impl Strategy<Value = [Vec<Value>; 3]> {
    let rules = |most: usize| vec(rule(), 0..most);
    (rules(3), rules(4), rules(3)).prop_map(|(both, up, down)| [both, up, down])
}

/// What is left of a list once the rules that no profile may have are gone.
fn valid(list: &str, rules: &[Value]) -> Vec<Value> {
    let is_valid =
        |rule: &&Value| Profile::from_value("", json!({ list: [rule] }), &no_files).is_ok();
    rules.iter().filter(is_valid).cloned().collect()
}

/// A profile of rules that are right each for itself.
pub(crate) fn any_profile() -> impl Strategy<Value = Value> {
    let written = |lists: &[Vec<Value>; 3]| {
        let [both, up, down] = lists;
        let (both, up, down) = (valid("both", both), valid("up", up), valid("down", down));
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
