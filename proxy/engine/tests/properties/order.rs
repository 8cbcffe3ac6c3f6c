//! Who leaves before whom.

use crate::arrivals::{arrivals, run};
use crate::config;
use crate::lists::{any_rules, ordered_rules, queues, rules_of};
use crate::support::link;
use jostle_common::ecn::Ecn;
use jostle_engine::packet::Packet;
use jostle_engine::profile::RuleKind;
use jostle_engine::rules::Discipline;
use jostle_engine::stage::Output;
use proptest::prelude::*;
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(config())]

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
}
