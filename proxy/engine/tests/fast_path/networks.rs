//! Every built-in network does the same to packets in runs, and nothing disappears in it.

use crate::MS;
use crate::support::link;
use crate::support::ways::{both_ways, feed_runs};
use jostle_engine::counters::Counters;
use jostle_engine::profile::{Profile, library};

#[test]
fn every_built_in_network_tells_them_the_same() {
    let (mut directions, mut total) = (0, Counters::default());
    for name in library::names() {
        let profile = Profile::from_json(library::text(name).unwrap()).unwrap();
        for timeline in [&profile.up, &profile.down] {
            let (outputs, counters) = both_ways(|way| {
                let (mut outputs, mut link) = (Vec::new(), link(7, timeline));
                feed_runs(&mut link, way, 3000, 3 * MS, 500, |output| outputs.push(output));
                (outputs, *link.counters())
            });
            assert_eq!(counters.delivered + counters.discarded_total(), outputs.len() as u64);
            directions += 1;
            total.entered += counters.entered;
            total.delivered += counters.delivered;
            total.copies += counters.copies;
        }
    }
    assert_eq!((directions, total.entered), (208, 208 * 3000));
    assert!(total.delivered * 3 > total.entered && total.delivered * 10 < total.entered * 9);
}
