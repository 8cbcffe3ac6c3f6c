//! Packets that come in runs.

use crate::arrivals::runs;
use crate::config;
use crate::lists::gated_rules;
use crate::support::{drain, drain_all, link};
use jostle_common::time::Instant;
use jostle_engine::counters::Counters;
use jostle_engine::packet::Packet;
use jostle_engine::profile::Timeline;
use jostle_engine::stage::{Output, Stage};
use proptest::prelude::*;

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

proptest! {
    #![proptest_config(config())]

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
}
