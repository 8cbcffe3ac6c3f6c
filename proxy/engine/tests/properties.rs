//! What holds for every profile, whatever its rules.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_common::units::{BitRate, ByteSize, Probability};
use jostle_engine::counters::Counters;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::{Queue, Rule, RuleKind, Timeline};
use jostle_engine::rules::{
    Batch, BatchThen, BatchTrigger, BurstLength, CodelSetting, Corrupt, Delay, DelaySource,
    Discipline, Drop, DualPi2Setting, DualScheduler, Duplicate, Flips, FourState, FqCodelSetting,
    Outage, Per, PieSetting, Rate, RateSource, Reorder, Shape, Size,
};
use jostle_engine::rules::{DelayTrace, FlowMatch, Mark, Match, MatchBytes, RateTrace};
use jostle_engine::stage::{Output, Stage};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use support::{drain, drain_all, link};

fn probability() -> impl Strategy<Value = Probability> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0].prop_map(|p| Probability::new(p).unwrap())
}

/// Rules that decide by packet number.
/// The packets that a rule loses or marks.
fn choice() -> impl Strategy<Value = Drop> {
    let burst = (0.0..0.5, 1.0..6.0)
        .prop_map(|(mean, length)| Drop::burst(Probability::new(mean).unwrap(), length).unwrap());
    let states = (0.01..1.0, 0.01..1.0, probability(), probability()).prop_map(
        |(p, r, loss_bad, loss_good)| {
            let [p, r] = [p, r].map(|p| Probability::new(p).unwrap());
            Drop::GilbertElliott { p, r, loss_bad, loss_good }
        },
    );
    let four = (0.0..0.5, 0.0..0.5, probability(), probability(), 0.0..0.5).prop_map(
        |(p13, p31, p23, p32, p14)| {
            let [p13, p31, p14] = [p13, p31, p14].map(|p| Probability::new(p).unwrap());
            let p32 = Probability::new(p32.as_f64() * (1.0 - p31.as_f64())).unwrap();
            Drop::FourState(FourState { p13, p31, p32, p23, p14 })
        },
    );
    let packets = proptest::collection::btree_set(1u64..200, 0..40)
        .prop_map(|numbers| Drop::Packets(numbers.into_iter().collect()));
    let pattern = vec(probability(), 1..9).prop_map(Drop::Pattern);
    prop_oneof![
        probability().prop_map(Drop::Chance),
        burst,
        states,
        (1u64..9).prop_map(Drop::Every),
        four,
        packets,
        pattern
    ]
}

fn drop() -> impl Strategy<Value = RuleKind> {
    choice().prop_map(RuleKind::Drop)
}

fn mark() -> impl Strategy<Value = RuleKind> {
    choice().prop_map(|chosen| RuleKind::Mark(Mark { chosen }))
}

/// Rules that decide by the time at which a packet comes, or by its size.
fn gate() -> impl Strategy<Value = RuleKind> {
    let burst = (probability(), 1u64..50).prop_map(|(mean, ms)| {
        RuleKind::Drop(Drop::Burst { mean, length: BurstLength::Time(Duration::from_millis(ms)) })
    });
    let outage = (1u64..100, 1u64..100, any::<bool>(), any::<bool>()).prop_map(
        |(up, down, random, hold)| {
            let [up, down] = [up, down].map(Duration::from_millis);
            RuleKind::Outage(Outage { up, down, random, hold })
        },
    );
    prop_oneof![burst, outage, (0u32..1500).prop_map(|max| RuleKind::Size(Size { max }))]
}

fn batch() -> impl Strategy<Value = RuleKind> {
    let slot = (proptest::option::of(1u64..9), proptest::option::of(0u64..5000)).prop_map(
        |(packets, bytes)| BatchTrigger::Slot { packets, bytes: bytes.map(ByteSize::new) },
    );
    let trigger = prop_oneof![probability().prop_map(BatchTrigger::Chance), slot];
    (1u64..60, trigger, any::<bool>()).prop_map(|(ms, trigger, drops)| {
        let then = if drops { BatchThen::Drop } else { BatchThen::Release };
        RuleKind::Batch(Batch { window: Duration::from_millis(ms), trigger, then })
    })
}

fn corrupt() -> impl Strategy<Value = RuleKind> {
    let bits = (probability(), 1u32..20).prop_map(|(chance, bits)| Flips::Bits { chance, bits });
    let bytes =
        (probability(), 1u32..20).prop_map(|(chance, bytes)| Flips::Bytes { chance, bytes });
    let flips = prop_oneof![
        bits,
        bytes,
        (0.0..0.01).prop_map(|p| Flips::Rate(Probability::new(p).unwrap()))
    ];
    let range = proptest::option::of(
        (0u64..100, 1u64..100).prop_map(|(offset, length)| offset..offset + length),
    );
    (flips, range).prop_map(|(flips, range)| RuleKind::Corrupt(Corrupt { flips, range }))
}

fn delay(reorder: impl Strategy<Value = bool>) -> impl Strategy<Value = RuleKind> {
    let table = vec(any::<i16>(), 1..20).prop_map(|entries| Shape::Table(entries.into()));
    let shape = prop_oneof![
        Just(Shape::Uniform),
        Just(Shape::Normal),
        Just(Shape::Pareto),
        Just(Shape::ParetoNormal),
        table
    ];
    let memory = prop_oneof![Just(0u64), 1u64..100_000_000];
    let drawn =
        (0u64..60_000_000, 0.0..0.55, shape, memory).prop_map(|(time, share, shape, memory)| {
            let (time, memory) = (Duration::from_nanos(time), Duration::from_nanos(memory));
            DelaySource::Drawn { time, jitter: time.mul_f64(share), shape, memory }
        });
    let trace = vec((1u64..20_000_000, 0u64..60_000_000), 2..6).prop_map(|steps| {
        let mut from = 0;
        let steps = steps.into_iter().map(|(span, delay)| {
            let at = from;
            from += span;
            (Duration::from_nanos(at), Duration::from_nanos(delay))
        });
        DelaySource::Trace(Arc::new(DelayTrace::new(steps.collect()).unwrap()))
    });
    (prop_oneof![3 => drawn, 1 => trace], reorder).prop_map(|(source, reorder)| {
        RuleKind::Delay(Delay { source, reorder, holds_ends: true, path: None })
    })
}

fn codel(target: u64, more: u64) -> CodelSetting {
    CodelSetting {
        target: Duration::from_millis(target),
        interval: Duration::from_millis(target + more),
        ce_threshold: (target == 1).then_some(Duration::from_millis(more)),
        ecn: more != 1,
    }
}

fn rate() -> impl Strategy<Value = RuleKind> {
    let queue = prop_oneof![
        Just(None),
        (0u64..50).prop_map(|ms| Some(Queue::Time(Duration::from_millis(ms)))),
        (0u64..20_000).prop_map(|bytes| Some(Queue::Bytes(ByteSize::new(bytes)))),
        (0u64..20).prop_map(|packets| Some(Queue::Packets(packets))),
    ];
    let limit =
        (10_000u64..50_000_000).prop_map(|bits| RateSource::Limit(BitRate::new(bits).unwrap()));
    let trace = vec(0u64..20, 1..30).prop_map(|mut millis| {
        millis.sort_unstable();
        millis.push(20);
        RateSource::Trace(Arc::new(RateTrace::new(millis).unwrap()))
    });
    let source = prop_oneof![3 => limit, 2 => trace];
    let discipline = prop_oneof![
        2 => Just(Discipline::Tail),
        1 => Just(Discipline::Head),
        1 => (1u64..10, 1u64..10).prop_map(|(target, more)| Discipline::Codel(codel(target, more))),
        1 => (1u64..10, 1u64..20, 0u64..100, any::<bool>()).prop_map(
            |(target, update, burst, derandomize)| {
                let [target, update, burst] = [target, update, burst].map(Duration::from_millis);
                let setting = PieSetting { target, update, burst, derandomize, ..PieSetting::rfc() };
                Discipline::Pie(PieSetting { packet: ByteSize::new(100), ..setting })
            }
        ),
        1 => (1u64..10, 1u64..10, 1u32..4, 256u32..3000, 1u32..9).prop_map(
            |(target, more, queues, quantum, batch)| {
                let (codel, memory) = (codel(target, more), ByteSize::new(9000));
                Discipline::FqCodel(FqCodelSetting { codel, queues, quantum, memory, batch })
            }
        ),
        1 => (1u64..10, 1u64..50, proptest::option::of(0u64..60)).prop_map(
            |(target, round_trip, shift)| {
                let [target, round_trip] = [target, round_trip].map(Duration::from_millis);
                let rfc = DualPi2Setting::rfc();
                let scheduler = shift.map_or(rfc.scheduler, |shift| {
                    DualScheduler::TimeShift(Duration::from_millis(shift))
                });
                Discipline::DualPi2(DualPi2Setting { target, round_trip, scheduler, ..rfc })
            }
        ),
    ];
    let burst = prop_oneof![2 => Just(0u64), 1 => 1u64..20_000].prop_map(ByteSize::new);
    (source, queue, discipline, 0u32..50, burst).prop_map(
        |(source, queue, discipline, overhead, burst)| {
            RuleKind::Rate(Rate { source, queue, discipline, overhead, burst, path: None })
        },
    )
}

fn duplicate() -> impl Strategy<Value = RuleKind> {
    let gap = prop_oneof![Just(0u64), 1u64..30];
    (probability(), 1u32..4, gap).prop_map(|(chance, copies, gap)| {
        RuleKind::Duplicate(Duplicate { chance, copies, gap: Duration::from_millis(gap) })
    })
}

fn reorder() -> impl Strategy<Value = RuleKind> {
    let behind = (probability(), 1u32..5, 0u64..80).prop_map(|(chance, behind, ms)| {
        RuleKind::Reorder(Reorder::Behind { chance, behind, at_most: Duration::from_millis(ms) })
    });
    prop_oneof![2 => behind, 1 => probability().prop_map(|chance| RuleKind::Reorder(Reorder::Ahead { chance }))]
}

fn rules_of(kinds: Vec<RuleKind>) -> Timeline {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut rules = Vec::new();
    for kind in kinds {
        let count = counts.entry(kind.name()).or_default();
        let key = if *count == 0 {
            kind.name().into()
        } else {
            format!("{}#{}", kind.name(), *count + 1)
        };
        rules.push(Rule { key, ordinal: *count, ..Rule::only(kind.clone()) });
        *count += 1;
    }
    Timeline::constant(rules)
}

/// Any rules at all, at most three of a kind.
fn any_rules() -> impl Strategy<Value = Timeline> {
    let kind = prop_oneof![
        2 => drop(), 1 => gate(), 1 => corrupt(), 2 => delay(any::<bool>()), 3 => rate(), 2 => duplicate(),
        2 => reorder(), 2 => batch(), 1 => mark()
    ];
    (vec(kind, 0..6), any::<u8>()).prop_map(|(kinds, per_flow)| {
        let mut copying = 0;
        let few = kinds.into_iter().filter(|kind| {
            copying += usize::from(matches!(kind, RuleKind::Duplicate(_)));
            !matches!(kind, RuleKind::Duplicate(_)) || copying <= 2
        });
        let mut rules = rules_of(few.collect());
        for (index, rule) in rules.phases[0].rules.iter_mut().enumerate() {
            // A quarter of them have a part for each flow.
            if per_flow >> index & 1 == 1 && per_flow >> (index + 2) & 1 == 1 {
                rule.selection.per = Per::Flow;
            }
        }
        rules
    })
}

/// Rules that ask for no reordering.
fn ordered_rules() -> impl Strategy<Value = Timeline> {
    let kind = prop_oneof![
        1 => drop(), 1 => gate(), 1 => corrupt(), 1 => delay(Just(false)), 3 => rate(), 1 => batch()
    ];
    let is_ordered = |kind: &RuleKind| !matches!(kind, RuleKind::Rate(rate) if has_queues(rate));
    vec(kind.prop_filter("one queue", is_ordered), 0..6).prop_map(rules_of)
}

/// Returns true if the rule has more queues than one, between which packets overtake.
fn has_queues(rate: &Rate) -> bool {
    matches!(rate.discipline, Discipline::FqCodel(_) | Discipline::DualPi2(_))
}

/// A rate with more queues than one.
fn queues() -> impl Strategy<Value = RuleKind> {
    rate().prop_filter("queues", |kind| matches!(kind, RuleKind::Rate(rate) if has_queues(rate)))
}

/// What comes: gap to the last arrival, flow, size; size 0 ends the flow.
fn arrivals() -> impl Strategy<Value = Vec<Packet>> {
    let gap = prop_oneof![Just(0u64), 0u64..100_000, 0u64..30_000_000];
    vec((gap, 1u32..4, 0usize..1500), 1..200).prop_map(|steps| {
        let mut at = Instant::START;
        let mut ended = BTreeSet::new();
        let mut packets = Vec::new();
        for (gap, flow, size) in steps {
            at = at.plus_nanos(gap);
            if ended.contains(&flow) {
                continue;
            }
            let body = if size == 0 {
                ended.insert(flow);
                Body::End
            } else {
                Body::data(vec![flow as u8; size])
            };
            // Each flow has its answer to marks, and one of them two.
            let ecn = Ecn::ALL[flow as usize % 3 + usize::from(size % 7 == 0 && flow == 2)];
            let ecn = if size == 0 { Ecn::NotEct } else { ecn };
            packets.push(Packet::new(flow, at, body).with_ecn(ecn));
        }
        packets
    })
}

/// Any rules, some of which look at some packets alone.
fn gated_rules() -> impl Strategy<Value = Timeline> {
    let size = (0u32..1500, 0u32..1500).prop_map(|(min, more)| min..=min + more);
    let number = (1u64..300, 0u64..300).prop_map(|(from, more)| from..=from + more);
    let bytes =
        (0usize..1500).prop_map(|offset| MatchBytes { offset, value: vec![offset as u8].into() });
    let matching = prop_oneof![
        3 => Just(None),
        1 => size.prop_map(|size| Some(Match { size, ..Match::default() })),
        1 => number.prop_map(|number| Some(Match { number, ..Match::default() })),
        1 => bytes.prop_map(|bytes| Some(Match { bytes: Some(bytes), ..Match::default() })),
        1 => (1u32..4).prop_map(|flow| {
            Some(Match { flow: Some(FlowMatch::one(flow)), ..Match::default() })
        }),
    ];
    (any_rules(), vec(matching, 6)).prop_map(|(mut rules, matching)| {
        for (rule, matching) in rules.phases[0].rules.iter_mut().zip(matching) {
            rule.selection.matching = matching;
        }
        rules
    })
}

/// Feeds runs, and changes the rules in front of the one at `changed`; what became of each packet,
/// and the counters and what is held before each run and at the end.
fn in_runs(
    seed: u64,
    (rules, later): &(Timeline, Timeline),
    runs: &[Packet],
    changed: usize,
    polls: u64,
) -> (Vec<Output>, Vec<(Counters, usize)>) {
    let mut link = link(seed, rules);
    let (mut outputs, mut counted, mut now) = (Vec::new(), Vec::new(), 0);
    for (index, run) in runs.iter().enumerate() {
        let gap = run.at.as_nanos() - now;
        for poll in 1..=polls {
            outputs.extend(drain(&mut link, Instant::from_nanos(now + gap * poll / polls)));
        }
        if gap > 0 {
            outputs.extend(drain(&mut link, run.at));
            counted.push((*link.counters(), link.held()));
        }
        now = run.at.as_nanos();
        if index == changed {
            link.set_timeline(run.at, later);
        }
        link.handle(run.clone());
    }
    outputs.extend(drain_all(&mut link));
    counted.push((*link.counters(), link.held()));
    (outputs.iter().flat_map(Output::singles).collect(), counted)
}

/// What comes in runs: gap to the last arrival, flow, and a run; what has no bytes ends the flow.
fn runs() -> impl Strategy<Value = Vec<Packet>> {
    let gap = prop_oneof![2 => Just(0u64), 1 => 0u64..100_000, 3 => 0u64..30_000_000];
    let run =
        prop_oneof![1 => (1u32..2, 1u16..1500, 0u32..1), 3 => (1u32..40, 1u16..1500, 0u32..1500)];
    let end = prop_oneof![1 => Just(true), 30 => Just(false)];
    vec((gap, 1u32..4, run, end, 0usize..4), 1..60).prop_map(|steps| {
        let mut at = Instant::START;
        let mut ended = BTreeSet::new();
        let mut packets = Vec::new();
        for (gap, flow, (count, segment, less), ends, ecn) in steps {
            at = at.plus_nanos(gap);
            if ended.contains(&flow) {
                continue;
            }
            if ends {
                ended.insert(flow);
                packets.push(Packet::new(flow, at, Body::End));
                continue;
            }
            let bytes = count * u32::from(segment) - less % u32::from(segment);
            let payload: Vec<u8> = (0..bytes).map(|byte| byte as u8).collect();
            packets.push(Packet::run(flow, at, payload, segment).with_ecn(Ecn::ALL[ecn]));
        }
        packets
    })
}

/// Feeds all arrivals, polling `polls` more times before each (at even steps of the gap).
fn run(link: &mut Link, arrivals: &[Packet], polls: u64) -> Vec<Output> {
    let mut outputs = Vec::new();
    let mut now = 0;
    for packet in arrivals {
        let gap = packet.at.as_nanos() - now;
        for poll in 1..=polls {
            outputs.extend(drain(link, Instant::from_nanos(now + gap * poll / polls)));
        }
        now = packet.at.as_nanos();
        link.handle(packet.clone());
    }
    outputs.extend(drain_all(link));
    outputs
}

/// The numbers of the original packets that the rule called `key` discarded.
fn discarded_by(link: &Link, outputs: &[Output], key: &str) -> BTreeSet<u64> {
    let by_rule = |packet: &Packet| {
        (0..64).any(|place| packet.trace.rules & (1 << place) != 0 && link.rule_key(place) == key)
    };
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Discard(packet, _) if packet.copy() == 0 && by_rule(packet) => {
                Some(packet.number)
            }
            _ => None,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A run is as good as its packets one by one, whatever the rules are, whenever they change
    /// and whenever the link is polled.
    #[test]
    fn a_run_fares_as_its_packets_do(
        rules in (gated_rules(), gated_rules()),
        runs in runs(),
        seed in any::<u64>(),
        change in proptest::option::of(0usize..60),
        polls in 0u64..4,
    ) {
        let changed = change.unwrap_or(usize::MAX).min(runs.len());
        let (whole, counted) = in_runs(seed, &rules, &runs, changed, polls);
        let singles = |runs: &[Packet]| runs.iter().flat_map(Packet::singles).collect::<Vec<_>>();
        let changed = singles(&runs[..changed]).len();
        let (apart, expected) = in_runs(seed, &rules, &singles(&runs), changed, 1);
        for (output, expected) in whole.iter().zip(&apart) {
            prop_assert_eq!(output, expected);
        }
        prop_assert_eq!(whole.len(), apart.len());
        prop_assert_eq!(counted, expected);
    }

    #[test]
    fn nothing_disappears(rules in any_rules(), arrivals in arrivals(), stop in 0usize..200) {
        let mut link = link(1, &rules);
        let (before, after) = arrivals.split_at(stop.min(arrivals.len()));
        for part in [before, after] {
            for packet in part {
                link.handle(packet.clone());
                drain(&mut link, packet.at);
            }
            let counters = *link.counters();
            prop_assert_eq!(
                counters.entered + counters.copies,
                counters.delivered + counters.discarded_total() + counters.held
            );
        }
        drain_all(&mut link);
        prop_assert_eq!((link.counters().held, link.held()), (0, 0));
        let data = arrivals.iter().filter(|packet| !packet.is_mark()).count() as u64;
        prop_assert_eq!(link.counters().entered, data);
    }

    #[test]
    fn late_is_not_different(rules in any_rules(), arrivals in arrivals(), polls in 1u64..40) {
        let never = run(&mut link(2, &rules), &arrivals, 0);
        let often = run(&mut link(2, &rules), &arrivals, polls);
        prop_assert_eq!(&never, &often);
        prop_assert!(never.is_sorted_by_key(|output| output.packet().at));
    }

    #[test]
    fn the_deadline_is_when_something_comes(rules in any_rules(), arrivals in arrivals()) {
        let eager = run(&mut link(2, &rules), &arrivals, 0);
        let mut link = link(2, &rules);
        let mut outputs = Vec::new();
        let mut rest = arrivals.iter().peekable();
        loop {
            let due = link.deadline();
            match rest.next_if(|packet| due.is_none_or(|due| packet.at < due)) {
                Some(packet) => link.handle(packet.clone()),
                None => match due {
                    Some(due) => {
                        let before = due.plus_nanos(0).as_nanos().saturating_sub(1);
                        prop_assert!(due.as_nanos() == 0 || link.poll(Instant::from_nanos(before)).is_none());
                        outputs.extend(drain(&mut link, due));
                    }
                    None => break,
                },
            }
        }
        prop_assert_eq!(outputs, eager);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes(rules in any_rules(), arrivals in arrivals(), seed: u64) {
        prop_assert_eq!(run(&mut link(seed, &rules), &arrivals, 3), run(&mut link(seed, &rules), &arrivals, 3));
    }

    #[test]
    fn a_rule_does_the_same_to_a_packet_whatever_stands_beside_it(
        rule in drop(), others in vec(prop_oneof![drop(), corrupt(), duplicate(), delay(Just(false))], 0..4),
        place in 0usize..4, arrivals in arrivals(),
    ) {
        let rule = Rule { key: "watched".into(), ordinal: 9, ..Rule::only(rule) };
        let mut alone = link(3, &Timeline::constant(vec![rule.clone()]));
        let outputs = run(&mut alone, &arrivals, 0);
        let expected = discarded_by(&alone, &outputs, "watched");

        let mut rules = rules_of(others);
        let rules_there = &mut rules.phases[0].rules;
        rules_there.insert(place.min(rules_there.len()), rule);
        let mut among = link(3, &rules);
        let outputs = run(&mut among, &arrivals, 0);
        let found = discarded_by(&among, &outputs, "watched");
        let taken: BTreeSet<u64> = rules.rules().filter(|rule| rule.key != "watched")
            .flat_map(|rule| discarded_by(&among, &outputs, &rule.key)).collect();
        prop_assert!(found.is_subset(&expected));
        prop_assert!(expected.difference(&found).all(|number| taken.contains(number)), "only an earlier rule may take it away");
    }

    #[test]
    fn a_higher_loss_loses_a_superset(low in 0.0..0.6, more in 0.0..0.3, length in 2.0..6.0, arrivals in arrivals()) {
        let lost = |kind: Drop| {
            let mut link = link(4, &rules_of(vec![RuleKind::Drop(kind)]));
            let outputs = run(&mut link, &arrivals, 0);
            discarded_by(&link, &outputs, "drop")
        };
        let [low, high] = [low, low + more].map(|p| Probability::new(p).unwrap());
        prop_assert!(lost(Drop::Chance(low)).is_subset(&lost(Drop::Chance(high))));
        // A burst length of at least 2 keeps 1 − r above p as long as the mean is at most one half.
        let [low, high] = [low, high].map(|p| Probability::new(p.as_f64() / 2.0).unwrap());
        let burst = |mean| Drop::burst(mean, length).unwrap();
        prop_assert!(lost(burst(low)).is_subset(&lost(burst(high))));
    }

    #[test]
    fn nothing_is_reordered_unless_asked(rules in ordered_rules(), arrivals in arrivals()) {
        let outputs = run(&mut link(5, &rules), &arrivals, 0);
        let delivered: Vec<u64> = outputs.iter().filter_map(|output| match output {
            Output::Deliver(packet) if !packet.is_mark() => Some(packet.number),
            _ => None,
        }).collect();
        prop_assert!(delivered.is_sorted());
    }

    #[test]
    fn several_queues_keep_the_order_of_each_flow(rate in queues(), arrivals in arrivals()) {
        let is_dual = |packet: &Packet| matches!(packet.ecn, Ecn::Ect1 | Ecn::Ce);
        let by_class = matches!(&rate, RuleKind::Rate(rate) if matches!(rate.discipline, Discipline::DualPi2(_)));
        let came = |number: u64| {
            arrivals.iter().filter(|packet| !packet.is_mark()).nth(number as usize - 1).unwrap()
        };
        let mut last: BTreeMap<(u32, bool), u64> = BTreeMap::new();
        for output in run(&mut link(5, &rules_of(vec![rate])), &arrivals, 0) {
            let packet = output.packet();
            if packet.is_mark() || matches!(output, Output::Discard(..)) {
                continue;
            }
            let class = by_class && is_dual(came(packet.number));
            let before = last.insert((packet.flow, class), packet.number);
            prop_assert!(before.is_none_or(|before| before < packet.number));
        }
    }

    #[test]
    fn marks_stay_behind_their_data(rules in any_rules(), arrivals in arrivals()) {
        let mut link = link(6, &rules);
        let mut left: BTreeMap<u32, i64> = BTreeMap::new();
        for packet in arrivals.iter().filter(|packet| !packet.is_mark()) {
            *left.entry(packet.flow).or_default() += 1;
        }
        let copies_before = link.counters().copies;
        let outputs = run(&mut link, &arrivals, 0);
        let mut marks = 0;
        for output in &outputs {
            let packet = output.packet();
            if packet.is_mark() {
                marks += 1;
                prop_assert!(matches!(output, Output::Deliver(_)), "marks are never dropped");
                prop_assert_eq!(left.get(&packet.flow).copied().unwrap_or_default(), 0, "its data went first");
            } else if packet.copy() == 0 {
                *left.entry(packet.flow).or_default() -= 1;
            } else {
                prop_assert!(link.counters().copies > copies_before);
            }
        }
        prop_assert_eq!(marks, arrivals.iter().filter(|packet| packet.is_mark()).count());
    }

    #[test]
    fn a_live_change_loses_and_moves_nothing(
        before in ordered_rules(), after in ordered_rules(), arrivals in arrivals(), at in 0usize..200,
    ) {
        let mut link = link(7, &before);
        let mut outputs = Vec::new();
        for (index, packet) in arrivals.iter().enumerate() {
            if index == at.min(arrivals.len() - 1) {
                link.set_timeline(packet.at, &after);
            }
            link.handle(packet.clone());
            outputs.extend(drain(&mut link, packet.at));
        }
        outputs.extend(drain_all(&mut link));
        let counters = link.counters();
        prop_assert_eq!(counters.entered, counters.delivered + counters.discarded_total());
        let delivered: Vec<u64> = outputs.iter().filter_map(|output| match output {
            Output::Deliver(packet) if !packet.is_mark() => Some(packet.number),
            _ => None,
        }).collect();
        prop_assert!(delivered.is_sorted());
        prop_assert!(outputs.is_sorted_by_key(|output| output.packet().at));
    }

    #[test]
    fn no_change_of_any_rules_loses_a_packet_or_moves_a_mark(
        settings in vec(any_rules(), 2..5), arrivals in arrivals(), every in 1usize..40,
    ) {
        let run = |polls: u64| {
            let mut link = link(9, &settings[0]);
            let (mut outputs, mut now) = (Vec::new(), 0);
            for (index, packet) in arrivals.iter().enumerate() {
                let gap = packet.at.as_nanos() - now;
                for poll in 1..=polls {
                    outputs.extend(drain(&mut link, Instant::from_nanos(now + gap * poll / polls)));
                }
                now = packet.at.as_nanos();
                if index % every == 0 {
                    link.set_timeline(packet.at, &settings[index / every % settings.len()]);
                }
                link.handle(packet.clone());
                let counters = *link.counters();
                assert_eq!(
                    counters.entered + counters.copies,
                    counters.delivered + counters.discarded_total() + counters.held
                );
            }
            outputs.extend(drain_all(&mut link));
            assert_eq!((link.counters().held, link.held()), (0, 0));
            outputs
        };
        let outputs = run(0);
        prop_assert_eq!(&outputs, &run(3));
        prop_assert!(outputs.is_sorted_by_key(|output| output.packet().at));
        let mut ended = BTreeSet::new();
        for output in &outputs {
            let packet = output.packet();
            if packet.is_mark() {
                prop_assert!(matches!(output, Output::Deliver(_)) && ended.insert(packet.flow));
            } else {
                prop_assert!(!ended.contains(&packet.flow), "nothing comes behind the end of a stream");
            }
        }
        let marks = arrivals.iter().filter(|packet| packet.is_mark()).count();
        prop_assert_eq!(ended.len(), marks);
    }

    #[test]
    fn switching_off_and_on_again_keeps_every_fate(rule in drop(), arrivals in arrivals(), off in 0usize..100, length in 0usize..100) {
        let rules = rules_of(vec![rule]);
        let mut steady = link(8, &rules);
        let outputs = run(&mut steady, &arrivals, 0);
        let expected = discarded_by(&steady, &outputs, "drop");
        let (mut switched, none) = (link(8, &rules), Timeline::default());
        let mut spared = BTreeSet::new();
        for (index, packet) in arrivals.iter().enumerate() {
            let now = packet.at;
            switched.set_timeline(now, if (off..off + length).contains(&index) { &none } else { &rules });
            switched.handle(packet.clone());
            if (off..off + length).contains(&index) && !packet.is_mark() {
                spared.insert(switched.counters().entered);
            }
        }
        let outputs = drain_all(&mut switched);
        let found = discarded_by(&switched, &outputs, "drop");
        prop_assert_eq!(found, expected.difference(&spared).copied().collect::<BTreeSet<_>>());
    }
}
