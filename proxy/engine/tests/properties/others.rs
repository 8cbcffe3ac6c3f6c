//! Traffic of others, which goes on when nothing comes from outside.

use crate::arrivals::arrivals;
use crate::config;
use crate::lists::crossed_rules;
use crate::support::{conserves, drain, link};
use jostle_common::time::Instant;
use jostle_engine::stage::Stage;
use proptest::prelude::*;

proptest! {
    // Each is a minute of it, twice.
    #![proptest_config(ProptestConfig { cases: 100, ..config() })]

    /// When it is kept up with shows in nothing that comes out, and in the end not in what was sent.
    #[test]
    fn it_is_the_same_whenever_it_is_kept_up_with(
        rules in crossed_rules(), arrivals in arrivals(), every in 1u64..50_000_000,
    ) {
        let [late, kept_up] = [u64::MAX, every].map(|every| {
            let (mut link, mut outputs, mut now) = (link(2, &rules), Vec::new(), 0);
            for packet in &arrivals {
                let at = packet.at.as_nanos();
                for kept_at in (now..at).skip(1).step_by(every.min(1 << 40) as usize) {
                    outputs.extend(drain(&mut link, Instant::from_nanos(kept_at)));
                    link.keep_up(Instant::from_nanos(kept_at));
                    conserves(&link);
                }
                now = at;
                outputs.extend(drain(&mut link, packet.at));
                link.handle(packet.clone());
                conserves(&link);
            }
            outputs.extend(drain(&mut link, Instant::from_nanos(now + (1 << 34))));
            // A minute of silence ends it: then nothing of it is left.
            link.keep_up(Instant::from_nanos(now + (1 << 38)));
            conserves(&link);
            (outputs, *link.counters())
        });
        prop_assert_eq!(&late, &kept_up);
        let cross = late.1.cross;
        prop_assert_eq!((late.1.held, cross.held), (0, 0));
        prop_assert!(cross.sent > 0 && cross.goodput <= cross.bytes);
    }
}
