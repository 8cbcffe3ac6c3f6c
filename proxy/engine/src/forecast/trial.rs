//! What no formula says: short runs in virtual time.

use crate::counters::Counters;
use crate::link::{Link, LinkKey};
use crate::probe::{Pace, Spread, Stream, Tally, run};
use jostle_common::chance::Direction;
use jostle_common::profile::{Delay, DelaySource, Rule, RuleKind, Timeline};
use jostle_common::time::nanos;
use jostle_common::units::PacketRate;
use std::time::Duration;

/// Packets of a run that looks at one delay: its standard deviation is off by half a percent.
const DELAY_PACKETS: usize = 20_000;

/// What a short run of a stream through the rules of one phase came to.
#[derive(Debug)]
pub struct Trial {
    /// Packets sent.
    pub packets: u64,
    /// What became of them.
    pub tally: Tally,
    /// The same, by reason.
    pub counters: Counters,
}

/// Sends `packets` of a stream through `rules`.
pub(super) fn phase(rules: &[Rule], direction: Direction, stream: &Stream, packets: usize) -> Trial {
    let mut link = link(rules.to_vec(), direction);
    let mut tally = Tally::new(true, Duration::from_millis(100));
    run(&mut link, stream.arrivals(1, direction).take(packets), &mut tally, |_, _| {});
    Trial { packets: packets as u64, tally, counters: *link.counters() }
}

/// Mean, standard deviation and the percentiles 1, 50 and 99 of the delay that a rule draws, in seconds.
pub(super) fn drawn_delay(delay: &Delay) -> [f64; 5] {
    let (longest, memory) = match &delay.source {
        DelaySource::Drawn { jitter, time, .. } if jitter.is_zero() => {
            let time = time.as_secs_f64();
            return [time, 0.0, time, time, time];
        }
        DelaySource::Drawn { time, memory, .. } => (*time * 100, *memory * 20),
        DelaySource::Trace(trace) => (trace.period() / 997, Duration::ZERO),
    };
    // So far apart that no packet sees another, and none remembers one.
    let gap = nanos(longest + memory).max(1_000_000);
    let rate = PacketRate::new((1_000_000_000_000 / gap).max(1)).expect("it is at least 1");
    let tally =
        alone(delay, &Stream { pace: Pace::Packets(rate), size: 1, spread: Spread::Constant, flows: 1 });
    let quantile = |q| tally.delay_quantile(q).unwrap_or(0.0);
    let moments = tally.delay_moments();
    [moments.mean(), moments.sd(), quantile(0.01), quantile(0.5), quantile(0.99)]
}

/// The standard deviation of the delays, in seconds, when packets of a stream keep their order.
pub(super) fn sd_in_order(delay: &Delay, stream: &Stream) -> f64 {
    alone(delay, stream).delay_moments().sd()
}

fn alone(delay: &Delay, stream: &Stream) -> Tally {
    let mut link = link(vec![Rule::only(RuleKind::Delay(delay.clone()))], Direction::Up);
    let mut tally = Tally::new(false, Duration::from_secs(1));
    run(&mut link, stream.arrivals(1, Direction::Up).take(DELAY_PACKETS), &mut tally, |_, _| {});
    tally
}

fn link(rules: Vec<Rule>, direction: Direction) -> Link {
    let key = LinkKey { seed: 1, route: "1".into(), direction };
    Link::new(key, &Timeline::constant(rules))
}
