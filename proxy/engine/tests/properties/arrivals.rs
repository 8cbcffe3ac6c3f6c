//! What comes to a link, and what becomes of it.

use crate::support::{drain, drain_all};
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::stage::{Output, Stage};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What comes: gap to the last arrival, flow, size; size 0 ends the flow.
pub(crate) fn arrivals() -> impl Strategy<Value = Vec<Packet>> {
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

/// What comes in runs: gap to the last arrival, flow, and a run; what has no bytes ends the flow.
pub(crate) fn runs() -> impl Strategy<Value = Vec<Packet>> {
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
pub(crate) fn run(link: &mut Link, arrivals: &[Packet], polls: u64) -> Vec<Output> {
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
pub(crate) fn discarded_by(link: &Link, outputs: &[Output], key: &str) -> BTreeSet<u64> {
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
