//! What `size`, `outage`, `reorder` with `ahead` and `duplicate` with `gap` do to packets of a
//! link.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::statistics::Z_999;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::stage::{Output, Reason, Stage};
use support::{drain, drain_all, feed, link, packet, rules};

const MS: u64 = 1_000_000;

/// Feeds packets of these sizes at these milliseconds; of each output its number, its copy, its
/// time in milliseconds, and why it was lost.
fn fates(link: &mut Link, arrivals: &[(u64, usize)]) -> Vec<(u64, u32, u64, Option<Reason>)> {
    let mut outputs = Vec::new();
    for (at, size) in arrivals {
        outputs.extend(drain(link, Instant::from_millis(*at)));
        link.handle(packet(at * MS, *size));
    }
    outputs.extend(drain_all(link));
    let of = |output: &Output| {
        let packet = output.packet();
        let reason = match output {
            Output::Deliver(_) => None,
            Output::Discard(_, reason) => Some(*reason),
        };
        (packet.number, packet.copy, packet.at.as_nanos() / MS, reason)
    };
    outputs.iter().map(of).collect()
}

#[test]
fn only_what_is_larger_than_the_size_is_lost() {
    let mut link = link(1, &rules(r#"{ "rule": "size", "max": "1000B" }"#));
    let fates = fates(&mut link, &[(0, 999), (1, 1000), (2, 1001), (3, 0), (4, 65_000)]);
    let large = Some(Reason::TooLarge);
    assert_eq!(
        fates,
        [(1, 0, 0, None), (2, 0, 1, None), (3, 0, 2, large), (4, 0, 3, None), (5, 0, 4, large)]
    );
    link.handle(Packet::new(1, Instant::from_millis(9), Body::End));
    assert!(matches!(link.poll(Instant::from_millis(9)), Some(Output::Deliver(_))));
}

#[test]
fn an_outage_cuts_by_turns_from_the_first_packet_on() {
    let mut link = link(1, &rules(r#"{ "rule": "outage", "up": "10ms", "down": "5ms" }"#));
    // The first packet comes at 100 ms: cut from 110 to 115, from 125 to 130 …
    let arrivals =
        [100, 109, 110, 114, 115, 124, 125, 130, 1_000_000_114, 1_000_000_116].map(|at| (at, 100));
    let lost: Vec<u64> = fates(&mut link, &arrivals)
        .iter()
        .filter(|fate| fate.3 == Some(Reason::Outage))
        .map(|fate| fate.2)
        .collect();
    // 10^9 ms are ten more than a whole number of rounds of 15 ms: 24 is 9 into one, which is up,
    // and 26 is 11.
    assert_eq!(lost, [110, 114, 125, 1_000_000_116]);
}

#[test]
fn a_random_outage_cuts_its_share_of_time() {
    for seed in 1..=3 {
        let mut link = link(
            seed,
            &rules(r#"{ "rule": "outage", "up": "30ms", "down": "10ms", "random": true }"#),
        );
        let (mut lost, mut cuts, mut was_lost) = (0u64, 0u64, false);
        feed(&mut link, 2_000_000, MS, 100, |output| {
            let is_lost = matches!(output, Output::Discard(_, Reason::Outage));
            lost += u64::from(is_lost);
            cuts += u64::from(is_lost && !was_lost);
            was_lost = is_lost;
        });
        // Seen each millisecond it is a chain that forgets exp(-1/7.5) a step.
        let lambda = libm::exp(-1.0 / 7.5);
        let margin = jostle_common::statistics::proportion_margin(0.25, 2e6, lambda, Z_999);
        let share = lost as f64 / 2e6;
        assert!((share - 0.25).abs() < margin, "seed {seed}: {share} ± {margin}");
        // A cut of which anything is seen lasts 1/r packets, r = 0.75·(1 − λ).
        let (length, mean) = (1.0 / (0.75 * (1.0 - lambda)), lost as f64 / cuts as f64);
        let sd = libm::sqrt(length * (length - 1.0) / cuts as f64);
        assert!((mean - length).abs() < 4.0 * sd, "seed {seed}: {mean} for {length}");
    }
}

#[test]
fn a_packet_sent_ahead_skips_every_wait() {
    let json = r#"{ "rule": "reorder", "chance": "100%", "ahead": true, "match": { "after": 3, "first": 4 } },
                  { "rule": "duplicate", "chance": "100%", "gap": "1ms" },
                  { "rule": "rate", "limit": "8kbit/s", "queue": "1MB" },
                  { "rule": "batch", "window": "1s" }, { "rule": "delay", "time": "10s" },
                  { "rule": "outage", "up": "1ms", "down": "1h", "hold": true }"#;
    let mut link = link(1, &rules(json));
    let fates = fates(&mut link, &[(0, 1000), (1, 1000), (2, 1000), (5, 1000), (6, 1000)]);
    // The fourth goes at once, and is copied like any other, a millisecond later.
    assert_eq!(fates[..2], [(4, 0, 5, None), (4, 1, 6, None)]);
    assert_eq!(fates.len(), 10);
    assert!(fates[2..].iter().all(|fate| fate.2 >= 3_600_000));
}

#[test]
fn ahead_moves_a_share_of_packets_as_far_as_the_others_wait() {
    // 20 ms of delay are 20 packets at one a millisecond.
    let json = r#"{ "rule": "reorder", "chance": "5%", "ahead": true }, { "rule": "delay", "time": "20ms" }"#;
    let mut link = link(1, &rules(json));
    let (mut order, mut ahead) = (Vec::new(), 0u32);
    feed(&mut link, 100_000, MS, 100, |output| {
        let packet = output.packet();
        let is_ahead = packet.at == packet.entered;
        assert!(is_ahead || packet.at.since(packet.entered).as_millis() == 20);
        assert_eq!(is_ahead, packet.trace.rules != 0, "the log says who sent it ahead");
        ahead += u32::from(is_ahead);
        order.push((packet.number, is_ahead));
    });
    // 5,000 expected, sd 69; four of them.
    assert!((4724..=5276).contains(&ahead), "{ahead}");
    let kept: Vec<u64> =
        order.iter().filter(|(_, is_ahead)| !is_ahead).map(|(number, _)| *number).collect();
    assert!(kept.is_sorted());
    let (place, (number, _)) = order
        .iter()
        .enumerate()
        .find(|(_, (number, is_ahead))| *is_ahead && *number > 100)
        .unwrap();
    let overtaken = order[place..].iter().filter(|(other, _)| other < number).count();
    assert!(
        (10..=20).contains(&overtaken),
        "{overtaken}: all of the last 20 that were not ahead themselves"
    );
}
