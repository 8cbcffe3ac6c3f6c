//! What `rate` promises: so much in any window, no more than so long in the queue, and what each
//! discipline discards.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "rates/disciplines.rs"]
mod disciplines;
#[path = "rates/marks.rs"]
mod marks;
mod support;

use bytes::Bytes;
use jostle_common::chance::{Direction, DrawStream, below};
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::packet::Packet;
use jostle_engine::route::CongestionControl;
use jostle_engine::stage::{Output, Reason, Stage};
use jostle_engine::tcp::{Event, Model};
use support::windows::{Deliveries, windows};
use support::{drain, drain_all, feed, link, packet, rules};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

fn rate(fields: &str) -> Link {
    link(1, &rules(&format!(r#"{{ "rule": "rate", {fields} }}"#)))
}

#[test]
fn any_window_of_a_busy_link_carries_the_limit_give_or_take_a_packet() {
    for (limit, bits, size) in [
        ("56kbit/s", 56_000, 576),
        ("56kbit/s", 56_000, 40),
        ("10Mbit/s", 10_000_000, 1500),
        ("10Mbit/s", 10_000_000, 333),
        ("10Gbit/s", 10_000_000_000u64, 65_000),
    ] {
        let seconds = 62;
        let count = bits * seconds / 8 / size * 11 / 10;
        let mut deliveries = Deliveries::new();
        let mut refused = 0u64;
        feed(
            &mut rate(&format!(r#""limit": "{limit}""#)),
            count,
            seconds * SECOND / count,
            size as usize,
            |output| match output {
                Output::Deliver(packet) => deliveries.push((packet.at.as_nanos(), size)),
                Output::Discard(..) => refused += 1,
            },
        );
        assert!(refused * 20 > count, "the link was busy");
        for window in [10 * MS, SECOND, 60 * SECOND] {
            let (least, most) = windows(&deliveries, window);
            let carried = u128::from(bits) * u128::from(window);
            let eight = 8 * u128::from(SECOND);
            assert!(
                u128::from(most) * eight <= carried + u128::from(size) * eight,
                "{limit} {window}: {most}"
            );
            assert!(u128::from(least + size) * eight >= carried, "{limit} {window}: {least}");
        }
    }
}

/// Packets of 40 to 1500 bytes that come in bursts and pauses: when, and how large.
fn bursty(seed: u64, count: u64, gap_mean: u64) -> Vec<(u64, usize)> {
    let stream = DrawStream::new(seed, "test", Direction::Up, "arrivals");
    let mut at = 0;
    (0..count)
        .map(|index| {
            let draw = stream.draw(index, 0, 0);
            let pause = if below(draw.first(), 50) == 0 { 50 * gap_mean } else { 0 };
            at += pause + below(draw.second(), gap_mean);
            (at, 40 + below(draw.first() << 13, 1461) as usize)
        })
        .collect()
}

/// Feeds arrivals; every output.
fn outputs(link: &mut Link, arrivals: &[(u64, usize)]) -> Vec<Output> {
    let mut outputs = Vec::new();
    for (at, size) in arrivals {
        outputs.extend(drain(link, Instant::from_nanos(*at)));
        link.handle(packet(*at, *size));
    }
    outputs.extend(drain_all(link));
    outputs
}

#[test]
fn a_bucket_passes_its_burst_at_once_and_no_more_than_the_rate_behind_it() {
    for (burst, seed) in [(15_000u64, 1), (1000, 2), (100_000, 3)] {
        let fields = format!(r#""limit": "8Mbit/s", "queue": "10MB", "burst": "{burst}B""#);
        let outputs = outputs(&mut rate(&fields), &bursty(seed, 100_000, 700_000));
        let deliveries: Deliveries = outputs
            .iter()
            .map(|output| {
                assert!(matches!(output, Output::Deliver(_)));
                (output.packet().at.as_nanos(), u64::from(output.packet().size()))
            })
            .collect();
        for window in [0, MS, 10 * MS, SECOND, 60 * SECOND] {
            let (_, most) = windows(&deliveries, window);
            // 8 Mbit/s are a byte a microsecond.
            assert!(most <= window / 1000 + burst + 1500, "{burst} {window}: {most}");
        }
        let at_once =
            outputs.iter().filter(|output| output.packet().at == output.packet().entered).count();
        assert!((1000..99_000).contains(&at_once), "{at_once}");
    }
    // Exactly: 3000 bytes at once, then one packet a millisecond, and the bucket fills in 3 ms of
    // silence.
    let mut link = rate(r#""limit": "8Mbit/s", "burst": "3000B""#);
    let arrivals = [0, 0, 0, 0, 0, 5 * MS, 5 * MS, 5 * MS, 5 * MS].map(|at| (at, 1000));
    let left: Vec<u64> =
        outputs(&mut link, &arrivals).iter().map(|out| out.packet().at.as_nanos() / MS).collect();
    assert_eq!(left, [0, 0, 0, 1, 2, 5, 5, 5, 6]);
}

#[test]
fn copies_of_what_a_bucket_lets_through_go_with_it() {
    let json = r#"{ "rule": "duplicate", "chance": "100%", "copies": 4 },
                  { "rule": "rate", "limit": "8Mbit/s", "burst": "3000B", "queue": "1 packet" }"#;
    let mut link = link(1, &rules(json));
    let outputs = outputs(&mut link, &[(0, 1000)]);
    let fates: Vec<_> = outputs
        .iter()
        .map(|out| (matches!(out, Output::Deliver(_)), out.packet().at.as_nanos() / MS))
        .collect();
    // Three are in the bucket, one is in service, one waits.
    assert_eq!(fates, [(true, 0), (true, 0), (true, 0), (true, 1), (true, 2)]);
}

#[test]
fn overhead_counts_on_the_link() {
    let mut link = rate(r#""limit": "8Mbit/s", "overhead": 38, "queue": "10000B""#);
    let left: Vec<u64> = outputs(&mut link, &[(0, 962); 20])
        .iter()
        .filter(|out| matches!(out, Output::Deliver(_)))
        .map(|out| out.packet().at.as_nanos())
        .collect();
    let expected: Vec<u64> = (1..=11).map(|count| count * MS).collect();
    assert_eq!(left, expected, "one in service and ten of 1000 bytes each waiting");
}

#[test]
fn a_queue_of_a_time_is_never_waited_in_for_longer() {
    for discipline in [
        "\"tail\"",
        "\"head\"",
        "\"codel\"",
        r#"{ "codel": { "target": "500ms", "interval": "1s" } }"#,
    ] {
        let fields = format!(r#""limit": "4Mbit/s", "queue": "100ms", "discipline": {discipline}"#);
        let outputs = outputs(&mut rate(&fields), &bursty(4, 100_000, 1_000_000));
        let (mut longest, mut discarded) = (0, 0);
        for output in &outputs {
            match output {
                Output::Deliver(packet) => {
                    let transmission = u64::from(packet.size()) * 2000;
                    longest = longest
                        .max(packet.at.as_nanos() - packet.entered.as_nanos() - transmission);
                }
                Output::Discard(..) => discarded += 1,
            }
        }
        assert!(longest <= 100 * MS, "{discipline}: {longest}");
        assert!(discarded > 1000, "{discipline}: {discarded} discarded");
        if !discipline.starts_with("\"c") {
            assert!(longest > 97 * MS, "{discipline}: the queue was used: {longest}");
        }
    }
}

#[test]
fn a_full_queue_discards_at_its_tail_or_at_its_head() {
    let fates = |fields: &str| -> (Vec<u64>, Vec<(u64, u64)>) {
        // One in service, and room for three.
        let arrivals: Vec<_> = (0..8).map(|index| (index * 1000, 1000)).collect();
        let outputs = outputs(&mut rate(&format!(r#""limit": "8Mbit/s", {fields}"#)), &arrivals);
        assert!(outputs.is_sorted_by_key(|output| output.packet().at));
        let discarded = outputs.iter().filter_map(|output| match output {
            Output::Discard(packet, Reason::QueueFull) => {
                Some((packet.number, packet.at.as_nanos() / 1000))
            }
            _ => None,
        });
        let delivered = outputs.iter().filter(|output| matches!(output, Output::Deliver(_)));
        (delivered.map(|output| output.packet().number).collect(), discarded.collect())
    };
    let (tail, head) = (
        (vec![1, 2, 3, 4], vec![(5, 4), (6, 5), (7, 6), (8, 7)]),
        (vec![1, 6, 7, 8], vec![(2, 4), (3, 5), (4, 6), (5, 7)]),
    );
    // 2.999 ms until the packet in service and two more have gone.
    for queue in ["3 packets", "3000B", "3ms"] {
        assert_eq!(fates(&format!(r#""queue": "{queue}""#)), tail, "{queue}");
        assert_eq!(fates(&format!(r#""queue": "{queue}", "discipline": "head""#)), head, "{queue}");
    }
    // What fits no queue drives nobody out.
    let none = (vec![1], (2..=8).map(|number| (number, number - 1)).collect());
    assert_eq!(fates(r#""queue": "999B", "discipline": "head""#), none);
    assert_eq!(fates(r#""queue": "0 packets", "discipline": "head""#), none);
}

#[test]
fn the_default_queue_is_a_tenth_of_a_second_or_ten_packets() {
    let depth = |limit: &str, size| {
        let outputs = outputs(&mut rate(&format!(r#""limit": "{limit}""#)), &[(0, size); 300]);
        outputs.iter().filter(|output| matches!(output, Output::Deliver(_))).count()
    };
    assert_eq!(depth("56kbit/s", 1500), 11, "one in service, and ten");
    // 1250 bytes a millisecond; the wait of the 101st is 100 ms.
    assert_eq!(depth("10Mbit/s", 1250), 101);
}

/// How long data packets of four TCP transfers waited in front of the bottleneck, ascending, and
/// how many bytes a second came through.
fn standing_queue(discipline: &str, seconds: u64) -> (Vec<f64>, f64) {
    const IDS: std::ops::RangeInclusive<u32> = 1..=4;
    let up = rules(&format!(
        r#"{{ "rule": "rate", "limit": "10Mbit/s", "queue": "500kB", "discipline": "{discipline}" }},
           {{ "rule": "delay", "time": "20ms" }}"#
    ));
    let down = rules(r#"{ "rule": "delay", "time": "20ms" }"#);
    let links = [(Direction::Up, up), (Direction::Down, down)].map(|(direction, rules)| {
        Link::new(LinkKey { seed: 1, route: "codel".into(), direction }, &rules)
    });
    let mut model = Model::new(links, CongestionControl::Cubic, Memory::default());
    let end = Instant::from_secs(seconds);
    let settled = Instant::from_secs(5);
    let (mut now, mut received, mut waits) = (Instant::START, 0, Vec::new());
    let wait = |packet: &Packet| {
        let transmission = u64::from(packet.size()) * 800;
        (packet.at.as_nanos() - packet.entered.as_nanos() - transmission - 20 * MS) as f64 / 1e6
    };
    IDS.for_each(|id| model.open(now, id));
    while now < end {
        for id in IDS {
            while let room @ 1.. = model.room(id, Direction::Up) {
                let bytes = &[0; 65_536][..room.min(65_536)];
                model.push(now, id, Direction::Up, Bytes::from_static(bytes));
            }
        }
        match model.poll(now) {
            Some(Event::Data { id, bytes, .. }) => {
                received += if now > settled { bytes.len() as u64 } else { 0 };
                model.consumed(now, id, Direction::Up, bytes.len());
            }
            Some(Event::Packet(Direction::Up, Output::Deliver(packet)))
                if packet.at > settled && packet.size() > 1000 =>
            {
                waits.push(wait(&packet));
            }
            Some(_) => {}
            None => now = model.deadline().unwrap(),
        }
    }
    waits.sort_unstable_by(f64::total_cmp);
    (waits, received as f64 / (seconds - 5) as f64)
}

#[test]
fn codel_keeps_the_standing_queue_near_its_target_where_tail_drop_fills_the_buffer() {
    let median = |waits: &[f64]| waits[waits.len() / 2];
    let (tail, tail_goodput) = standing_queue("tail", 35);
    let (codel, codel_goodput) = standing_queue("codel", 35);
    let (tail, codel) = (median(&tail), median(&codel));
    eprintln!(
        "median wait behind four CUBIC flows at 10 Mbit/s, 40 ms and a buffer of 400 ms: tail {tail:.1} ms, CoDel {codel:.1} ms; \
         goodput {:.2} and {:.2} Mbit/s",
        tail_goodput * 8e-6,
        codel_goodput * 8e-6
    );
    assert!((250.0..=400.0).contains(&tail), "{tail}");
    assert!((1.0..=15.0).contains(&codel), "{codel}");
    for goodput in [tail_goodput, codel_goodput] {
        // 1448 of 1500 bytes are payload; what had come before the fifth second and waited for a
        // repetition counts behind it.
        assert!((0.95..=1.02).contains(&(goodput * 8.0 / 9_653_333.0)), "{goodput}");
    }
}

#[test]
fn codel_discards_by_delay_and_never_the_last_packet() {
    // A stream at 105 % that does not care.
    let mut link = rate(r#""limit": "8Mbit/s", "queue": "1MB", "discipline": "codel""#);
    let mut counts = [0u64; 2];
    feed(&mut link, 20_000, 952_381, 1000, |output| match output {
        Output::Discard(packet, reason) => {
            assert_eq!(reason, Reason::QueueDelay);
            assert!(packet.at.since(packet.entered).as_millis() >= 5);
            counts[0] += 1;
        }
        Output::Deliver(_) => counts[1] += 1,
    });
    let [dropped, delivered] = counts;
    // 5 % is too much: dropping grows until it is enough.
    assert!((500..1_100).contains(&dropped), "{dropped}");
    assert_eq!(dropped + delivered, 20_000);
    // One packet in a hundred milliseconds waits long behind a large one, and is not a queue.
    let mut link = rate(r#""limit": "100kbit/s", "queue": "1MB", "discipline": "codel""#);
    let arrivals: Vec<_> =
        (0..400).flat_map(|index| [(index * 200 * MS, 1400), (index * 200 * MS, 600)]).collect();
    assert!(
        outputs(&mut link, &arrivals).iter().all(|output| matches!(output, Output::Deliver(_)))
    );
}
