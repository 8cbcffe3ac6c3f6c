//! Changes of the rules while packets are inside.

use crate::arrivals::arrivals;
use crate::config;
use crate::lists::{any_rules, ordered_rules};
use crate::support::{conserves, drain, drain_all, link};
use jostle_common::time::Instant;
use jostle_engine::stage::{Output, Stage};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(config())]

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
        conserves(&link);
        prop_assert_eq!(link.counters().held, 0);
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
                conserves(&link);
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
}
