//! What modelled transfers meet whose segments leave in trains, or each by itself.

use crate::support::fit::Losses;
use crate::support::seen::Seen;
use crate::support::ways::{Way, both_ways};
use crate::support::windows::{Deliveries, windows};
use crate::support::{conserves, rules};
use crate::{MS, SECOND};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::statistics::{Moments, Z_999};
use jostle_common::time::Instant;
use jostle_engine::counters::Counters;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::route::CongestionControl;
use jostle_engine::stage::Output;
use jostle_engine::tcp::{self, Event, Model};
use std::cell::Cell;
use std::time::Duration;

const UP: Direction = Direction::Up;
const FLOWS: std::ops::RangeInclusive<u32> = 1..=4;

/// The fate of a segment: its number, the times of its entry and its exit, its size, and whether it
/// was lost.
type Fate = (u64, u64, u64, u64, bool);

/// What four streams that always have more to send show.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// Of the segments up, in the order of their exit.
    fates: Vec<Fate>,
    /// The bytes that arrived in order.
    received: u64,
    links: [Counters; 2],
    tcp: tcp::Counters,
    /// How many round trips were measured, their median, and the longest.
    trips: (u64, Duration, Duration),
}

/// Lets streams run for so long over a link with these rules and 20 ms back. Returns what they show,
/// and in how many pieces the segments came out that were sent together.
fn streams(up: &str, control: CongestionControl, seconds: u64) -> (Found, usize) {
    let events = Cell::new([0; 2]);
    let found = both_ways(|way| {
        let links = [(UP, up), (Direction::Down, r#"{ "rule": "delay", "time": "20ms" }"#)];
        let mut model = Model::new(
            links.map(|(direction, list)| {
                Link::new(LinkKey { seed: 1, route: "fast".into(), direction }, &rules(list))
            }),
            control,
            Memory::default(),
        );
        if way == Way::Singly {
            model.send_singly();
        }
        let (mut now, end) = (Instant::START, Instant::from_secs(seconds));
        let (mut found, mut outputs) = (Found::default(), 0);
        FLOWS.for_each(|id| model.open(now, id));
        while now < end {
            // Programs act when all that happens at a time has happened: pieces of a train that
            // were read one by one would open the window in more steps.
            let mut read = Vec::new();
            while let Some(event) = model.poll(now) {
                match event {
                    Event::Data { id, bytes, .. } => read.push((id, bytes.len())),
                    Event::Packet(UP, output) => {
                        outputs += 1;
                        found.fates.extend(output.singles().map(fate));
                    }
                    _ => {}
                }
                Direction::BOTH.iter().for_each(|direction| conserves(model.link(*direction)));
            }
            let is_quiet = read.is_empty();
            for (id, bytes) in read {
                found.received += bytes as u64;
                model.consumed(now, id, UP, bytes);
            }
            for id in FLOWS {
                while let room @ 1.. = model.room(id, UP) {
                    let bytes = &[0; 65_536][..room.min(65_536)];
                    model.push(now, id, UP, Bytes::from_static(bytes));
                }
            }
            if is_quiet {
                now = model.deadline().unwrap().max(now);
            }
        }
        let mut of_ways = events.get();
        of_ways[way as usize] = outputs;
        events.set(of_ways);
        let trips = model.round_trips();
        found.links = Direction::BOTH.map(|direction| *model.link(direction).counters());
        found.tcp = model.counters();
        found.trips = (trips.count(), trips.percentile(50.0).unwrap(), trips.most().unwrap());
        found
    });
    let [together, singly] = events.get();
    assert_eq!(singly, found.fates.len());
    (found, together)
}

fn fate(output: Output) -> Fate {
    let packet = output.packet();
    let (entered, at) = (packet.entered.as_nanos(), packet.at.as_nanos());
    let is_lost = matches!(output, Output::Discard(..));
    (packet.number, entered, at, u64::from(packet.size()), is_lost)
}

#[test]
fn as_many_segments_are_lost_as_the_rule_says_in_as_long_runs() {
    let delay = r#"{ "rule": "delay", "time": "20ms" }"#;
    let r = 1.0 / 3.0;
    for (rule, chain) in [
        (r#""chance": "1%""#, Losses::independent(0.01)),
        (
            r#""burst": { "mean": "2%", "length": 3 }"#,
            Losses::two_states(r * 0.02 / 0.98, r, 1.0, 0.0),
        ),
    ] {
        let drop = format!(r#"{{ "rule": "drop", {rule} }}, {delay}"#);
        let (mut found, pieces) = streams(&drop, CongestionControl::Cubic, 120);
        found.fates.sort_unstable();
        let mut seen = Seen::default();
        found.fates.iter().for_each(|(.., is_lost)| seen.packet(*is_lost, 1));
        assert!(seen.packets > 50_000, "{}", seen.packets);
        assert!(pieces as u64 * 2 < seen.packets, "{pieces} of {}", seen.packets);
        let faults = seen.faults(&chain);
        assert!(faults.is_empty(), "{rule}: {faults:?}");
        assert!(found.tcp.retransmissions >= seen.lost * 9 / 10, "{:?}", found.tcp);
    }
}

#[test]
fn delays_have_their_mean_and_nothing_is_overtaken() {
    let rule = r#"{ "rule": "drop", "chance": "1%" },
        { "rule": "delay", "time": "20ms", "jitter": "5ms", "shape": "normal" }"#;
    let (found, _) = streams(rule, CongestionControl::Reno, 60);
    let (mut moments, mut numbers) = (Moments::default(), Vec::new());
    for (number, entered, at, ..) in found.fates.iter().filter(|fate| !fate.4) {
        moments.add((at - entered) as f64 / 1e6);
        numbers.push(number);
    }
    let count = moments.count() as f64;
    assert!(count > 20_000.0 && numbers.is_sorted(), "{count}");
    let margin = Z_999 * 5.0 / count.sqrt();
    assert!((moments.mean() - 20.0).abs() < margin, "{} ± {margin}", moments.mean());
}

#[test]
fn a_bottleneck_carries_its_rate_in_any_window() {
    use CongestionControl::{Cubic, Prague};
    for (discipline, control) in [("tail", Cubic), ("codel", Cubic), ("dualpi2", Prague)] {
        let rule = format!(
            r#"{{ "rule": "rate", "limit": "20Mbit/s", "discipline": "{discipline}" }},
               {{ "rule": "delay", "time": "20ms" }}"#
        );
        let (found, _) = streams(&rule, control, 30);
        let left = found.fates.iter().filter(|fate| !fate.4);
        let deliveries: Deliveries = left.map(|(_, _, at, size, _)| (*at, *size)).collect();
        for window in [10 * MS, SECOND] {
            let (_, most) = windows(&deliveries, window);
            assert!(most <= window / 400 + 1500, "{discipline} {window}: {most}");
        }
        let carried = deliveries.iter().map(|(_, size)| size).sum::<u64>() as f64;
        assert!(carried > 0.95 * 30.0 * 2.5e6, "{discipline}: {carried}");
        assert!(found.received as f64 > 0.93 * carried * 1448.0 / 1500.0, "{discipline}");
        let longest = found.trips.2;
        assert!((40..=250).contains(&longest.as_millis()), "{discipline}: {longest:?}");
        assert!(found.trips.0 > 1000 && found.trips.1 >= Duration::from_millis(40));
    }
}
