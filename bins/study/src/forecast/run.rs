//! Short runs in virtual time, for all that no formula gives.

use crate::probe::{PacketStream, Tally, run};
use jostle_common::chance::Direction;
use jostle_engine::counters::Counters;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::profile::Timeline;
use jostle_engine::rules::{Rule, RuleKind};
use std::time::Duration;

/// Packets of a run that looks at one delay: its standard deviation is off by half a percent.
const DELAY_PACKETS: usize = 20_000;

/// The result of a short run of a stream through the rules of one phase.
#[derive(Debug)]
pub struct StreamRun {
    /// Packets sent.
    pub packets: u64,
    /// The fates of those packets.
    pub tally: Tally,
    /// The same, by reason.
    pub counters: Counters,
}

/// Sends `packets` of a stream through `rules`.
pub(super) fn phase(
    rules: &[Rule],
    direction: Direction,
    stream: &PacketStream,
    packets: usize,
) -> StreamRun {
    let mut link = link(rules.to_vec(), direction);
    let mut tally = Tally::new(true, Duration::from_millis(100));
    run(&mut link, stream.arrivals(1, direction).take(packets), &mut tally, |_, _| {});
    StreamRun { packets: packets as u64, tally, counters: *link.counters() }
}

/// Returns the standard deviation of the delays, in seconds, that packets of a stream see behind a
/// rule of this kind alone.
pub(super) fn sd_in_order(kind: &RuleKind, stream: &PacketStream) -> f64 {
    let mut link = link(vec![Rule::only(kind.clone())], Direction::Up);
    let mut tally = Tally::new(false, Duration::from_secs(1));
    run(&mut link, stream.arrivals(1, Direction::Up).take(DELAY_PACKETS), &mut tally, |_, _| {});
    tally.delay_moments().sd()
}

fn link(rules: Vec<Rule>, direction: Direction) -> Link {
    let key = LinkKey { seed: 1, route: "1".into(), direction };
    Link::new(key, &Timeline::constant(rules))
}
