//! What is there at each time, and when something comes.

use crate::arrivals::{arrivals, run};
use crate::config;
use crate::lists::any_rules;
use crate::support::{conserves, drain, drain_all, link};
use jostle_common::time::Instant;
use jostle_engine::stage::Stage;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_disappears(rules in any_rules(), arrivals in arrivals(), stop in 0usize..200) {
        let mut link = link(1, &rules);
        let (before, after) = arrivals.split_at(stop.min(arrivals.len()));
        for part in [before, after] {
            for packet in part {
                link.handle(packet.clone());
                drain(&mut link, packet.at);
            }
            conserves(&link);
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
}
