//! What a rule draws for a packet does not depend on the others.

use crate::arrivals::{arrivals, discarded_by, run};
use crate::config;
use crate::kinds::{corrupt, cross, delay, drop, duplicate};
use crate::lists::rules_of;
use crate::support::{drain_all, link};
use jostle_common::units::Probability;
use jostle_engine::profile::{Rule, RuleKind, Timeline};
use jostle_engine::rules::Drop;
use jostle_engine::stage::Stage;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_rule_does_the_same_to_a_packet_whatever_stands_beside_it(
        rule in drop(), others in vec(prop_oneof![drop(), corrupt(), duplicate(), delay(Just(false)), cross()], 0..4),
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
