//! What modelled TCP makes of marks: it answers them, and sends nothing again.

use crate::MS;
use crate::support::rules;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::route::CongestionControl;
use jostle_engine::stage::{Output, Reason};
use jostle_engine::tcp::{Counters, Event, Model};

/// What flows that always have something to send did from `from` on.
#[derive(Debug, Default)]
struct Seen {
    /// Bytes that arrived, by flow.
    received: Vec<u64>,
    /// The waits of data segments in milliseconds: entry to exit, less the one-way delay; by flow,
    /// ascending.
    waits: Vec<Vec<f64>>,
    marked: u64,
    discarded: u64,
    counters: Counters,
}

/// Runs flows under these controls over a link with these rules and 20 ms of delay each way.
fn run(up: &str, seed: u64, controls: &[CongestionControl], from: u64, seconds: u64) -> Seen {
    let delay = r#"{ "rule": "delay", "time": "20ms" }"#;
    let up = rules(&format!("{up}, {delay}"));
    let links = [(Direction::Up, up), (Direction::Down, rules(delay))].map(|(direction, rules)| {
        Link::new(LinkKey { seed, route: "marks".into(), direction }, &rules)
    });
    let mut model = Model::new(links, controls[0], Memory::default());
    let (from, end) = (Instant::from_secs(from), Instant::from_secs(seconds));
    let mut seen = Seen {
        received: vec![0; controls.len()],
        waits: vec![Vec::new(); controls.len()],
        ..Seen::default()
    };
    let mut now = Instant::START;
    let ids = 1..=controls.len() as u32;
    for (id, control) in ids.clone().zip(controls) {
        model.open_as(now, id, *control);
    }
    while now < end {
        for id in ids.clone() {
            while let room @ 1.. = model.room(id, Direction::Up) {
                let bytes = &[0; 65_536][..room.min(65_536)];
                model.push(now, id, Direction::Up, Bytes::from_static(bytes));
            }
        }
        match model.poll(now) {
            Some(Event::Data { id, bytes, .. }) => {
                seen.received[id as usize - 1] += if now > from { bytes.len() as u64 } else { 0 };
                model.consumed(now, id, Direction::Up, bytes.len());
            }
            Some(Event::Packet(Direction::Up, Output::Deliver(packet))) if packet.at > from => {
                seen.marked += u64::from(packet.is_marked());
                if packet.size() > 1000 {
                    let time = packet.at.since(packet.entered).as_nanos() as u64;
                    seen.waits[packet.flow as usize - 1].push((time - 20 * MS) as f64 / 1e6);
                }
            }
            Some(Event::Packet(_, Output::Discard(_, reason))) => {
                assert_ne!(reason, Reason::QueueFull);
                seen.discarded += 1;
            }
            Some(_) => {}
            None => now = model.deadline().unwrap(),
        }
    }
    seen.waits.iter_mut().for_each(|waits| waits.sort_unstable_by(f64::total_cmp));
    seen.counters = model.counters();
    seen
}

/// A bottleneck of 20 Mbit/s and its payload in bytes per second.
fn bottleneck(discipline: &str) -> String {
    format!(
        r#"{{ "rule": "rate", "limit": "20Mbit/s", "queue": "2MB", "discipline": {discipline} }}"#
    )
}

const GOODPUT: f64 = 20e6 / 8.0 * 1448.0 / 1500.0;

#[test]
fn a_marked_bottleneck_has_nothing_sent_again() {
    use CongestionControl::{CubicEcn, Dctcp, Prague, RenoEcn};
    for (discipline, control, share) in [
        (r#""codel""#, CubicEcn, 0.9),
        (r#""codel""#, RenoEcn, 0.85),
        (r#""fq_codel""#, CubicEcn, 0.9),
        (r#""pie""#, CubicEcn, 0.9),
        (r#""dualpi2""#, CubicEcn, 0.9),
        (r#""dualpi2""#, Prague, 0.85),
        // A seventh of what is under way at 40 ms is enough for DCTCP to fill the line.
        (r#"{ "codel": { "ce_threshold": "6ms", "target": "100ms" } }"#, Dctcp, 0.95),
    ] {
        let seen = run(&bottleneck(discipline), 1, &[control; 2], 5, 25);
        let Counters { retransmissions, timeouts, mark_reductions, .. } = seen.counters;
        assert_eq!(
            (seen.discarded, retransmissions, timeouts),
            (0, 0, 0),
            "{discipline} {control:?}"
        );
        assert!(seen.marked > 10 && mark_reductions > 10, "{discipline} {control:?}: {seen:?}");
        let goodput = seen.received.iter().sum::<u64>() as f64 / 20.0 / GOODPUT;
        assert!((share..1.01).contains(&goodput), "{discipline} {control:?}: {goodput}");
    }
}

/// The mean window in segments of one flow whose segments are marked with a probability, from what
/// came through: nothing else delays them.
fn window(control: CongestionControl, probability: f64, seed: u64) -> f64 {
    let mark = format!(r#"{{ "rule": "mark", "chance": {probability} }}"#);
    let seen = run(&mark, seed, &[control], 20, 220);
    assert_eq!((seen.discarded, seen.counters.retransmissions), (0, 0));
    // A window each 40 ms.
    seen.received[0] as f64 / 1448.0 / 200.0 * 0.040
}

#[test]
fn windows_under_random_marks_are_those_of_the_formulas() {
    use CongestionControl::{CubicEcn, Dctcp, Prague, RenoEcn};
    for (seed, probability) in [(1, 0.001), (2, 0.002), (3, 0.005)] {
        // Halved once in 1/p segments, and one more a round trip: √(3/(2p)) (RFC 3649 §3); CUBIC is
        // made to do the same at such a round trip (RFC 9438 §4.3).
        let reno = (1.5_f64 / probability).sqrt();
        for control in [RenoEcn, CubicEcn] {
            let found = window(control, probability, seed);
            eprintln!("{control:?}, marks of {probability}: a window of {found:.1} segments");
            assert!((found / reno - 1.0).abs() < 0.2, "{control:?} {probability}: {found}, {reno}");
        }
    }
    for (seed, probability) in [(1, 0.02), (2, 0.05), (3, 0.1)] {
        // Between two answers are a round trip and, until the next mark, 1/p segments. In that time
        // W grows by 1 + 1/(pW), and the answer takes pW/2: pW = 1 + √3.
        let dctcp = (1.0 + 3f64.sqrt()) / probability;
        for control in [Dctcp, Prague] {
            let found = window(control, probability, seed);
            eprintln!("{control:?}, marks of {probability}: a window of {found:.1} segments");
            assert!(
                (found / dctcp - 1.0).abs() < 0.15,
                "{control:?} {probability}: {found}, {dctcp}"
            );
        }
    }
}

#[test]
fn dctcp_keeps_the_queue_at_a_low_threshold_full_and_short() {
    let seen = run(
        &bottleneck(r#"{ "codel": { "ce_threshold": "2ms", "target": "100ms" } }"#),
        1,
        &[CongestionControl::Dctcp; 2],
        5,
        25,
    );
    let goodput = seen.received.iter().sum::<u64>() as f64 / 20.0 / GOODPUT;
    assert!(goodput > 0.97, "{goodput}");
    let waits = &seen.waits[0];
    let (median, most) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    // The segment in service takes 0.6 ms.
    assert!((1.0..5.0).contains(&median) && most < 12.0, "{median} and {most} ms");
}

#[test]
fn cubic_and_prague_share_a_dualpi2_link() {
    use CongestionControl::{Cubic, CubicEcn, Prague};
    for (seed, classic) in [(1, Cubic), (2, CubicEcn), (3, Cubic)] {
        let seen = run(&bottleneck(r#""dualpi2""#), seed, &[classic, Prague], 20, 80);
        let [classic, prague] = [0, 1].map(|flow| seen.received[flow] as f64 * 8.0 / 60e6);
        let low = &seen.waits[1];
        let (median, most) = (low[low.len() / 2], low[low.len() * 99 / 100]);
        eprintln!(
            "dualpi2, 20 Mbit/s, 40 ms: CUBIC {classic:.2}, Prague {prague:.2} Mbit/s; its wait \
             {median:.2} ms, 99 % {most:.2} ms"
        );
        // The windows are alike, and the round trip of CUBIC is longer by its queue.
        assert!((0.5..2.5).contains(&(prague / classic)), "{prague} and {classic} Mbit/s");
        assert!(prague + classic > 0.9 * GOODPUT * 8e-6, "{prague} and {classic} Mbit/s");
        // Two packets take 1.2 ms at this rate.
        assert!(median < 2.0 && most < 5.0, "{median} and {most} ms");
    }
}

#[test]
fn marks_without_the_option_mean_nothing_and_loss_is_as_before() {
    // Nobody takes marks: what the discipline would mark it drops, and what is lost goes again.
    let seen = run(&bottleneck(r#""codel""#), 1, &[CongestionControl::Cubic; 2], 5, 25);
    assert_eq!((seen.marked, seen.counters.mark_reductions), (0, 0));
    assert!(seen.discarded > 10 && seen.counters.retransmissions >= seen.discarded, "{seen:?}");
}
