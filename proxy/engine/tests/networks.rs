//! Every built-in network carries packets: nothing disappears, nothing overtakes, and the mean
//! delay is the stated one on an idle link.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_engine::profile::{Profile, RuleKind, Timeline, library};
use jostle_engine::rules::DelaySource;
use jostle_engine::stage::Output;
use support::{feed, link};

/// Seconds between packets would leave every queue empty; so does a tenth of that at 20 kbit/s with
/// packets this small.
const GAP_NANOS: u64 = 100_000_000;
const SIZE: usize = 100;
const COUNT: u64 = 3000;

/// The mean delay in seconds that a packet meets on an idle link, where the rules are the same all
/// the time.
fn stated(timeline: &Timeline) -> Option<f64> {
    let [phase] = timeline.phases.as_slice() else { return None };
    let mut sum = 0.0;
    for rule in &phase.rules {
        sum += match &rule.kind {
            RuleKind::Delay(delay) => match &delay.source {
                DelaySource::Drawn { time, .. } => time.as_secs_f64(),
                DelaySource::Trace(_) => return None,
            },
            RuleKind::Rate(rate) => match &rate.source {
                jostle_engine::rules::RateSource::Limit(limit) => {
                    SIZE as f64 * 8.0 / limit.bits_per_second() as f64
                }
                jostle_engine::rules::RateSource::Trace(_) => return None,
            },
            _ => 0.0,
        };
    }
    Some(sum)
}

#[test]
fn every_built_in_network_carries_packets() {
    let (mut seen, mut timed) = (0, 0);
    for name in library::names() {
        let profile = Profile::from_json(library::text(name).unwrap()).unwrap();
        for (direction, timeline) in [("up", &profile.up), ("down", &profile.down)] {
            let place = format!("{name} {direction}");
            let mut link = link(7, timeline);
            let (mut delivered, mut discarded, mut last, mut waited) = (0, 0, 0, 0.0);
            feed(&mut link, COUNT, GAP_NANOS, SIZE, |output| match output {
                Output::Deliver(packet) => {
                    delivered += 1;
                    assert!(packet.number > last, "{place}: packet {} overtook", packet.number);
                    last = packet.number;
                    waited += (packet.at.as_nanos() - (packet.number - 1) * GAP_NANOS) as f64 / 1e9;
                }
                Output::Discard(..) => discarded += 1,
            });
            assert_eq!(delivered + discarded, COUNT, "{place}");
            assert_eq!(delivered == 0, name == "apple-100-percent-loss", "{place}");
            if let Some(mean) = stated(timeline).filter(|_| delivered > 0) {
                let found = waited / f64::from(delivered as u32);
                // Jitter of at most 100 ms over 3000 packets: four standard errors are 4 % of it.
                let within = mean * 0.04 + 1e-6;
                assert!((found - mean).abs() < within, "{place}: {found} s for {mean} s");
                timed += 1;
            }
            seen += 1;
        }
    }
    assert!(seen == 208 && timed > 190, "{seen} directions, {timed} of them timed");
}
