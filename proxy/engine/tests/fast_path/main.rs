//! All promises hold on the fast path: on packets that cross a link as one while no rule tells them
//! apart. Each statistic is worked out twice, of packets in runs and of the same one by one, of
//! transfers in trains and segment by segment. What is found must be equal to the last bit, and what
//! the formulas say; nothing disappears either way.
//!
//! That runs and trains change no fate whatever the rules are is for `properties` and `tcp_trains`,
//! with drawn profiles; the digest of `decisions` has both ways, too.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod delays;
mod losses;
mod networks;
mod rates;
#[path = "../support/mod.rs"]
mod support;
mod transfers;

use std::cell::Cell;
use support::ways::{Way, both_ways, feed_runs};
use support::{link, rules};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

#[test]
fn what_is_compared_differs_in_the_way_it_goes() {
    let timeline = rules(
        r#"{ "rule": "drop", "chance": "1%" }, { "rule": "corrupt", "chance": "0.1%" },
           { "rule": "delay", "time": "20ms" }"#,
    );
    let outputs = [Cell::new(0), Cell::new(0)];
    both_ways(|way| {
        let mut link = link(1, &timeline);
        outputs[way as usize].set(feed_runs(&mut link, way, 100_000, 1000, 1200, |_| ()));
        *link.counters()
    });
    let [together, singly] = outputs.map(Cell::into_inner);
    assert_eq!(singly, 100_000);
    // A run is 22 packets on average, and some are split by what hits one of theirs.
    assert!(together < 10_000, "{together} outputs");
    assert_eq!([Way::Together as usize, Way::Singly as usize], [0, 1]);
}
