//! How much comes through in a time, how long the queue is, and what its discipline discards.

use crate::support::ways::{both_ways, feed_runs};
use crate::support::windows::{Deliveries, windows};
use crate::support::{link, rules};
use crate::{MS, SECOND};
use jostle_engine::stage::{Output, Reason};

/// What became of a packet: its time of entry, that of its exit, and why it was discarded.
type Fate = (u64, u64, Option<Reason>);

/// The fates of `count` packets at a rate with these fields.
fn fates(fields: &str, count: u64, gap: u64, size: usize) -> Vec<Fate> {
    let timeline = rules(&format!(r#"{{ "rule": "rate", {fields} }}"#));
    both_ways(|way| {
        let mut fates = Vec::new();
        feed_runs(&mut link(1, &timeline), way, count, gap, size, |output| {
            let (entered, at) = (output.packet().entered, output.packet().at);
            let reason = match output {
                Output::Deliver(_) => None,
                Output::Discard(_, reason) => Some(reason),
            };
            fates.push((entered.as_nanos(), at.as_nanos(), reason));
        });
        assert_eq!(fates.len() as u64, count);
        fates
    })
}

#[test]
fn any_window_of_a_busy_link_carries_the_limit_give_or_take_a_packet() {
    for (limit, bits, size) in [
        ("10Mbit/s", 10_000_000u64, 1500),
        ("10Mbit/s", 10_000_000, 333),
        ("1Gbit/s", 1_000_000_000, 1200),
    ] {
        let fields = format!(r#""limit": "{limit}""#);
        let gap = size * 8 * SECOND * 10 / 13 / bits;
        let fates = fates(&fields, 200_000, gap, size as usize);
        let left = fates.iter().filter(|(.., reason)| reason.is_none());
        let deliveries: Deliveries = left.map(|(_, at, _)| (*at, size)).collect();
        assert!((fates.len() - deliveries.len()) * 20 > fates.len(), "the link was busy");
        for window in [10 * MS, SECOND] {
            let (least, most) = windows(&deliveries, window);
            let carried = bits * (window / 1000) / 8_000_000;
            assert!(most <= carried + size, "{limit} {window}: {most} of {carried}");
            assert!(least + size >= carried, "{limit} {window}: {least} of {carried}");
        }
    }
}

#[test]
fn a_queue_of_a_time_is_never_waited_in_for_longer() {
    for discipline in ["tail", "head", "codel", "pie", "fq_codel"] {
        let fields =
            format!(r#""limit": "8Mbit/s", "queue": "100ms", "discipline": "{discipline}""#);
        // 9 Mbit/s; a byte a microsecond.
        let fates = fates(&fields, 50_000, 888_889, 1000);
        let waits = fates.iter().filter(|(.., reason)| reason.is_none());
        let longest = waits.map(|(entered, at, _)| at - entered).max().unwrap();
        assert!(longest <= 101 * MS, "{discipline}: {longest}");
        assert!(longest > 35 * MS, "{discipline}: {longest}");
        // What is too much is discarded, by whatever reason.
        let discarded = fates.iter().filter(|(.., reason)| reason.is_some()).count() as f64;
        let share = discarded / 50_000.0;
        assert!((share - 1.0 / 9.0).abs() < 0.02, "{discipline}: {share}");
    }
}

#[test]
fn a_bucket_passes_its_burst_at_once_and_no_more_than_the_rate_behind_it() {
    let fields = r#""limit": "8Mbit/s", "queue": "10MB", "burst": "15kB""#;
    let fates = fates(fields, 50_000, 1_100_000, 1000);
    let deliveries: Deliveries = fates.iter().map(|(_, at, _)| (*at, 1000)).collect();
    for window in [0, MS, 10 * MS, SECOND] {
        let (_, most) = windows(&deliveries, window);
        assert!(most <= window / 1000 + 16_000, "{window}: {most}");
    }
    let at_once = fates.iter().filter(|(entered, at, _)| entered == at).count();
    assert!((5_000..45_000).contains(&at_once), "{at_once}");
}
