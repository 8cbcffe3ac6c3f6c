//! What `size`, `outage`, `reorder` with `ahead` and `duplicate` with `gap` do to packets of a
//! link.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::statistics::Z_999;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Profile;
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
        (packet.number, packet.copy(), packet.at.as_nanos() / MS, reason)
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

/// A way of 1,500 bytes that has 1,280 for a while and 1,400 afterwards.
const CHANGING_WAY: &str = r#"{ "up": [ { "rule": "delay", "time": "5ms" } ], "phases": [
    { "for": "1s", "up": [ { "rule": "size", "max": "1500B" } ] },
    { "for": "1s", "up": [ { "rule": "size", "max": "1280B" } ] },
    { "up": [ { "rule": "size", "max": "1400B", "answer": "silence" } ] } ] }"#;

#[test]
fn a_size_changes_with_the_phase_and_looks_at_each_packet_once() {
    let mut link = link(1, &Profile::from_json(CHANGING_WAY).unwrap().up);
    let arrivals = [
        (0, 1500),
        (0, 1501),
        (999, 1500),
        (1000, 1281),
        (1000, 1280),
        (1999, 1281),
        (2000, 1400),
        (2000, 1401),
    ];
    let large = Some(Reason::TooLarge);
    // The rule of a phase stands behind the delay, which those of all phases come first.
    let expected = [
        (1, 0, 5, None),
        (2, 0, 5, large),
        (3, 0, 1004, large),
        (4, 0, 1005, large),
        (5, 0, 1005, None),
        (6, 0, 2004, None),
        (7, 0, 2005, None),
        (8, 0, 2005, large),
    ];
    assert_eq!(fates(&mut link, &arrivals), expected);
}

/// A sender that looks for the largest packet which its way carries, without anybody's help: as RFC
/// 8899 says it probes between what is known to pass and what is known not to, takes three losses
/// of a probe in a row for an answer, and three of its own packets for a black hole.
struct Discovery {
    /// The largest that is known to pass.
    passes: usize,
    /// The least that is known not to.
    fails: usize,
    lost: u32,
    /// Counts packets: every other one is a probe.
    count: u64,
}

impl Discovery {
    const BASE: usize = 1200;
    const LOSSES: u32 = 3;

    const fn new() -> Self {
        Self { passes: Self::BASE, fails: 1501, lost: 0, count: 0 }
    }

    const fn is_searching(&self) -> bool {
        self.fails - self.passes > 1
    }

    const fn next_size(&self) -> usize {
        match self.is_searching() {
            true => (self.passes + self.fails) / 2,
            false => self.passes,
        }
    }

    /// Learns whether a packet of this size has come.
    fn learn(&mut self, size: usize, came: bool) {
        self.count += 1;
        if came {
            (self.passes, self.lost) = (self.passes.max(size), 0);
            return;
        }
        self.lost += 1;
        if self.lost < Self::LOSSES {
            return;
        }
        self.lost = 0;
        if size > self.passes {
            self.fails = size;
        } else {
            (self.passes, self.fails) = (Self::BASE, size);
        }
    }
}

#[test]
fn a_sender_that_searches_finds_the_bound_of_a_black_hole() {
    let mut link = link(1, &Profile::from_json(CHANGING_WAY).unwrap().up);
    let (mut discovery, mut found) = (Discovery::new(), Vec::new());
    // A packet every 10 ms, whose fate is known in time for the next.
    for step in 0..300u64 {
        let at = 10 * step;
        // What was too large a while ago may pass now: searched again twice a second (RFC 8899 asks
        // for no more than one search in ten minutes, but a test has no time for that).
        if step % 50 == 0 {
            discovery.fails = 1501;
        }
        let size = discovery.next_size();
        link.handle(packet(at * MS, size));
        let came = drain(&mut link, Instant::from_millis(at + 9));
        assert_eq!(came.len(), 1);
        discovery.learn(size, matches!(came[0], Output::Deliver(_)));
        if !discovery.is_searching() && step % 50 == 49 {
            found.push((at / 500, discovery.passes));
        }
    }
    assert_eq!(found, [(0, 1500), (1, 1500), (2, 1280), (3, 1280), (4, 1400), (5, 1400)]);
    assert_eq!(discovery.count, 300);
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
