//! Rules of each kind.

use jostle_common::units::{BitRate, ByteSize, Probability};
use jostle_engine::profile::{Queue, RuleKind};
use jostle_engine::route::CongestionControl;
use jostle_engine::rules::{
    Batch, BatchThen, BatchTrigger, BurstLength, CodelSetting, Corrupt, Cross, CrossTraffic, Delay,
    DelaySource, DelayTrace, Discipline, Drop, DualPi2Setting, DualScheduler, Duplicate, Flips,
    FourState, FqCodelSetting, Mark, Outage, PieSetting, Rate, RateSource, RateTrace, Reorder,
    Shape, Size,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn probability() -> impl Strategy<Value = Probability> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0].prop_map(|p| Probability::new(p).unwrap())
}

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

/// Rules that decide by packet number.
pub(crate) fn drop() -> impl Strategy<Value = RuleKind> {
    choice().prop_map(RuleKind::Drop)
}

pub(crate) fn mark() -> impl Strategy<Value = RuleKind> {
    choice().prop_map(|chosen| RuleKind::Mark(Mark { chosen }))
}

/// Rules that decide by the time at which a packet comes, or by its size.
pub(crate) fn gate() -> impl Strategy<Value = RuleKind> {
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

pub(crate) fn batch() -> impl Strategy<Value = RuleKind> {
    let slot = (proptest::option::of(1u64..9), proptest::option::of(0u64..5000)).prop_map(
        |(packets, bytes)| BatchTrigger::Slot { packets, bytes: bytes.map(ByteSize::new) },
    );
    let trigger = prop_oneof![probability().prop_map(BatchTrigger::Chance), slot];
    (1u64..60, trigger, any::<bool>()).prop_map(|(ms, trigger, drops)| {
        let then = if drops { BatchThen::Drop } else { BatchThen::Release };
        RuleKind::Batch(Batch { window: Duration::from_millis(ms), trigger, then })
    })
}

pub(crate) fn corrupt() -> impl Strategy<Value = RuleKind> {
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

pub(crate) fn delay(reorder: impl Strategy<Value = bool>) -> impl Strategy<Value = RuleKind> {
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

pub(crate) fn rate() -> impl Strategy<Value = RuleKind> {
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

pub(crate) fn duplicate() -> impl Strategy<Value = RuleKind> {
    let gap = prop_oneof![Just(0u64), 1u64..30];
    (probability(), 1u32..4, gap).prop_map(|(chance, copies, gap)| {
        RuleKind::Duplicate(Duplicate { chance, copies, gap: Duration::from_millis(gap) })
    })
}

pub(crate) fn reorder() -> impl Strategy<Value = RuleKind> {
    let behind = (probability(), 1u32..5, 0u64..80).prop_map(|(chance, behind, ms)| {
        RuleKind::Reorder(Reorder::Behind { chance, behind, at_most: Duration::from_millis(ms) })
    });
    prop_oneof![2 => behind, 1 => probability().prop_map(|chance| RuleKind::Reorder(Reorder::Ahead { chance }))]
}

/// Traffic of others: some of it more than the line takes, all of it little enough to be modelled
/// hundreds of times.
pub(crate) fn cross() -> impl Strategy<Value = RuleKind> {
    let rate = || (100_000u64..20_000_000).prop_map(|bits| BitRate::new(bits).unwrap());
    let constant =
        (rate(), 100u32..1500).prop_map(|(rate, size)| CrossTraffic::Constant { rate, size });
    let models = vec![CongestionControl::Cubic, CongestionControl::Reno];
    let streams = (1u32..4, prop::sample::select(models), 0u64..60, rate()).prop_map(
        |(flows, model, back, access)| CrossTraffic::Tcp {
            flows,
            model,
            back: Duration::from_millis(back),
            access,
        },
    );
    let start = prop_oneof![2 => Just(0u64), 1 => 1u64..300].prop_map(Duration::from_millis);
    (prop_oneof![constant, streams], start)
        .prop_map(|(traffic, start)| RuleKind::Cross(Cross { traffic, start }))
}
