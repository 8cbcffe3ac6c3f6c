//! What cross traffic takes, and what it leaves to others.

use crate::link::{Link, LinkKey};
use crate::packet::{Body, Packet};
use crate::profile::Profile;
use crate::route::CongestionControl;
use crate::stage::{Output, Stage};
use crate::tcp::transfer;
use jostle_common::chance::{Direction, DrawStream, below};
use jostle_common::time::Instant;
use std::time::Duration;

fn profile(rules: &str) -> Profile {
    Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#))
        .unwrap_or_else(|error| panic!("{rules}: {error}"))
}

fn link_of(profile: &Profile, seed: u64) -> Link {
    let key = LinkKey { seed, route: "test".into(), direction: Direction::Up };
    Link::new(key, &profile.up)
}

fn link(rules: &str, seed: u64) -> Link {
    link_of(&profile(rules), seed)
}

fn packet(at: Instant, size: usize) -> Packet {
    Packet::new(1, at, Body::data(vec![0; size]))
}

/// Sends a packet of `size` bytes every `gap` for `time`, and returns the delay of each in
/// nanoseconds, `None` for those that were lost.
fn pings(link: &mut Link, size: usize, gap: Duration, time: Duration) -> Vec<Option<u64>> {
    let count = (time.as_nanos() / gap.as_nanos()) as usize;
    let mut delays = vec![None; count];
    let mut note = |output: Output| {
        if let Output::Deliver(packet) = output {
            let delay = packet.at.since(packet.entered).as_nanos() as u64;
            delays[packet.number as usize - 1] = Some(delay);
        }
    };
    for index in 0..count {
        let at = Instant::START + gap * index as u32;
        std::iter::from_fn(|| link.poll(at)).for_each(&mut note);
        link.handle(packet(at, size));
    }
    while let Some(at) = link.deadline() {
        std::iter::from_fn(|| link.poll(at)).for_each(&mut note);
    }
    delays
}

const MS: u64 = 1_000_000;

fn conserves(link: &Link) {
    let cross = link.counters().cross;
    assert_eq!(
        cross.sent + cross.copies,
        cross.delivered + cross.discarded + cross.held,
        "{cross:?}"
    );
}

#[test]
fn a_constant_rate_takes_exactly_its_rate() {
    for (rate, size, packets) in
        [("2Mbit/s", 500, 5000), ("1Mbit/s", 1500, 833), ("3.5Mbit/s", 100, 43_750)]
    {
        let rules = format!(
            r#"{{ "rule": "cross", "rate": "{rate}", "size": "{size}B" }},
               {{ "rule": "rate", "limit": "10Mbit/s" }}, {{ "rule": "delay", "time": "5ms" }}"#
        );
        let mut link = link(&rules, 1);
        let (second, gap) = (Duration::from_secs(10), Duration::from_millis(10));
        let delays = pings(&mut link, 125, gap, second);
        let cross = link.counters().cross;
        // The last ping leaves between 9.99 and 10 s.
        let sent = packets * 999 / 1000..=packets + 1;
        assert!(sent.contains(&cross.sent), "{rate}: {cross:?}");
        assert_eq!((cross.discarded, cross.refused, link.counters().entered), (0, 0, 1000));
        assert_eq!(cross.bytes, cross.delivered * size);
        assert_eq!(cross.goodput, cross.bytes);
        // A ping of 125 bytes takes 0.1 ms, and waits for no more than two packets of the others.
        let (least, wait) = (5 * MS + MS / 10, 2 * size * 8 * 100);
        for delay in delays {
            let delay = delay.expect("there is room for both");
            assert!((least..=least + wait).contains(&delay), "{rate}: {delay}");
        }
        conserves(&link);
    }
}

#[test]
fn what_is_too_much_is_lost_by_all_alike() {
    let rules = r#"{ "rule": "cross", "rate": "12Mbit/s", "size": "1250B" },
        { "rule": "rate", "limit": "10Mbit/s", "queue": "20 packets" }"#;
    let mut link = link(rules, 1);
    let delays = pings(&mut link, 125, Duration::from_micros(7310), Duration::from_secs(20));
    let cross = link.counters().cross;
    // 12 Mbit/s offered, and 0.137 Mbit/s of pings; 10 Mbit/s pass.
    let lost = cross.discarded as f64 / cross.sent as f64;
    assert!((lost - (1.0 - 10.0 / 12.137)).abs() < 0.01, "{lost}: {cross:?}");
    let passed = (cross.bytes * 8) as f64 / 20.0;
    assert!((9.85e6..=10e6).contains(&passed), "{passed}");
    // Once the queue is full, who gets in waits for 19 or 20 packets of 1 ms.
    let full: Vec<u64> = delays[100..].iter().flatten().copied().collect();
    assert!(full.len() > 1000 && full.len() < delays.len() - 200, "{}", full.len());
    assert!(full.iter().all(|delay| (17 * MS..=21 * MS).contains(delay)), "{full:?}");
    conserves(&link);
}

#[test]
fn one_stream_fills_the_link_and_its_queue() {
    for (model, queue) in [("cubic", 50), ("reno", 50), ("cubic", 100), ("reno", 100)] {
        let rules = format!(
            r#"{{ "rule": "cross", "tcp": 1, "model": "{model}", "return": "20ms" }},
               {{ "rule": "rate", "limit": "10Mbit/s", "queue": "{}B" }},
               {{ "rule": "delay", "time": "20ms" }}"#,
            queue * 1500
        );
        let mut link = link(&rules, 1);
        let time = Duration::from_secs(30);
        let delays = pings(&mut link, 1, Duration::from_millis(5), time);
        let cross = link.counters().cross;
        // 40 ms at 10 Mbit/s are 33 segments; the queue is larger, so halving never empties it.
        let share = (cross.bytes * 8) as f64 / 30.0 / 10e6;
        assert!((0.97..=1.005).contains(&share), "{model}, {queue}: {share}");
        // What is sent again counts once, and what arrived behind a gap at the end not at all.
        let (wire, stream) = (cross.bytes * 1448 / 1500, cross.goodput);
        assert!(stream <= wire && stream > wire * 99 / 100, "{stream} of {wire}");
        assert!(cross.discarded > 0, "it finds the end of the queue: {cross:?}");
        // A segment takes 1.2 ms: from nothing in front to a full queue and one in service.
        let most = 20 * MS + (queue + 1) * 12 * MS / 10 + MS;
        let seen: Vec<u64> = delays[1000..].iter().flatten().copied().collect();
        let (low, high) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
        assert!(*low >= 20 * MS && *high <= most, "{model}, {queue}: {low} to {high}");
        assert!(*high > most - 4 * MS, "{model}, {queue}: the queue fills: {high} of {most}");
        conserves(&link);
    }
}

/// Returns the mean share of the line that a modelled transfer gets beside `flows` streams.
fn share_beside(flows: u32, model: CongestionControl, queue: u32, seed: u64) -> f64 {
    let name = if model == CongestionControl::Cubic { "cubic" } else { "reno" };
    let cross = match flows {
        0 => String::new(),
        _ => format!(
            r#"{{ "rule": "cross", "tcp": {flows}, "model": "{name}", "return": "20ms" }},"#
        ),
    };
    let text = format!(
        r#"{{ "up": [ {cross} {{ "rule": "rate", "limit": "10Mbit/s", "queue": "{queue} packets" }},
                     {{ "rule": "delay", "time": "20ms" }} ],
             "down": [ {{ "rule": "delay", "time": "20ms" }} ] }}"#
    );
    let links = Link::both(&Profile::from_json(&text).unwrap(), seed, "test");
    let bytes = 25_000_000;
    let outcome = transfer(links, model, bytes, Duration::from_secs(1000));
    let seconds = outcome.time.expect("it ends").as_secs_f64();
    (bytes * 8) as f64 * 1500.0 / 1448.0 / seconds / 10e6
}

#[test]
fn a_transfer_beside_streams_gets_its_fair_share() {
    for model in [CongestionControl::Cubic, CongestionControl::Reno] {
        let alone = share_beside(0, model, 60, 1);
        assert!(alone > 0.95, "{model:?}: {alone}");
        for (flows, fair) in [(1, 0.5), (3, 0.25)] {
            let shares: Vec<f64> = [(40, 1), (60, 2), (80, 3)]
                .into_iter()
                .map(|(queue, seed)| share_beside(flows, model, queue, seed))
                .collect();
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            assert!((mean / fair - 1.0).abs() < 0.2, "{model:?}, {flows}: {shares:?}");
            let apart = shares.iter().all(|share| (0.5..1.6).contains(&(share / fair)));
            assert!(apart, "{model:?}, {flows}: {shares:?}");
        }
    }
}

/// Rules of all sorts behind cross traffic of both sorts.
const ALL_SORTS: &str = r#"
    { "rule": "cross", "tcp": 2, "return": "7ms" }, { "rule": "drop", "chance": "1%" },
    { "rule": "cross", "rate": "1Mbit/s", "size": "300B", "start": "40ms" },
    { "rule": "drop", "burst": { "mean": "1%", "length": 4 } }, { "rule": "duplicate", "chance": "3%", "gap": "2ms" },
    { "rule": "duplicate", "chance": "2%" }, { "rule": "corrupt", "chance": "2%" },
    { "rule": "rate", "limit": "8Mbit/s", "queue": "30 packets" },
    { "rule": "delay", "time": "10ms", "jitter": "4ms", "reorder": true }, { "rule": "reorder", "chance": "2%", "behind": 3 },
    { "rule": "outage", "up": "300ms", "down": "20ms" }, { "rule": "drop", "chance": "2%", "per": "flow" }"#;

/// Mostly close together, now and then silence, and sometimes for so long that it pauses.
const fn gap_most(index: u64) -> u64 {
    match index {
        _ if index % 400 == 399 => 200_000 * MS,
        _ if index.is_multiple_of(100) => 900 * MS,
        _ => 4 * MS,
    }
}

/// Sends packets at drawn times and looks at the link in between as `look` says. Returns what came
/// out, and the link.
fn run(
    profile: &Profile,
    seed: u64,
    look: impl Fn(&mut Link, Instant, Instant),
) -> (Vec<Output>, Link) {
    let mut link = link_of(profile, seed);
    let draws = DrawStream::new(seed, "arrivals", Direction::Up, "times");
    let (mut at, mut outputs) = (Instant::START, Vec::new());
    for index in 0..1200 {
        let draw = draws.draw(index, 0, 0);
        let most = gap_most(index);
        let next = at.plus_nanos(below(draw.first(), most));
        look(&mut link, at, next);
        at = next;
        outputs.extend(std::iter::from_fn(|| link.poll(at)));
        link.handle(packet(at, 40 + below(draw.second(), 1200) as usize));
        conserves(&link);
    }
    let end = at + Duration::from_secs(5);
    outputs.extend(std::iter::from_fn(|| link.poll(end)));
    link.keep_up(end);
    (outputs, link)
}

#[test]
fn late_is_not_different_and_nothing_is_missing() {
    for seed in 1..=5 {
        let profile = profile(ALL_SORTS);
        let (at_once, mut link) = run(&profile, seed, |_, _, _| ());
        let (kept_up, other) = run(&profile, seed, |link, from, to| {
            let mut at = from;
            while at < to {
                link.keep_up(at);
                at = at.plus_nanos(37 * MS + 1);
            }
        });
        assert!(at_once == kept_up, "seed {seed}");
        let (mut one, two) = (*link.counters(), *other.counters());
        assert_eq!(one, two, "seed {seed}");
        let cross = one.cross;
        assert!(cross.sent > 5000 && cross.copies > 100 && cross.discarded > 100, "{cross:?}");
        assert!(cross.goodput > 1_000_000, "{cross:?}");
        // What came from outside is accounted for as ever.
        assert_eq!((one.entered, one.held, link.held()), (1200, 0, 0));
        assert_eq!(one.entered + one.copies, one.delivered + one.discarded_total());
        assert_eq!(at_once.len() as u64, one.entered + one.copies);
        // Without its rules the rest drains.
        let now = Instant::from_secs(3600);
        link.set_timeline(now, &Profile::default().up);
        assert_eq!(link.deadline(), None);
        let later = now + Duration::from_secs(60);
        link.handle(packet(later, 100));
        assert!(link.poll(later).is_some());
        one = *link.counters();
        assert_eq!((one.cross.held, one.held), (0, 0));
        conserves(&link);
    }
}

#[test]
fn polling_each_step_gives_the_same() {
    for seed in 1..=3 {
        let profile = profile(ALL_SORTS);
        let (at_once, _) = run(&profile, seed, |_, _, _| ());
        let mut link = link_of(&profile, seed);
        let draws = DrawStream::new(seed, "arrivals", Direction::Up, "times");
        let (mut at, mut outputs, mut steps) = (Instant::START, Vec::new(), 0);
        for index in 0..1200 {
            let draw = draws.draw(index, 0, 0);
            let most = gap_most(index);
            at = at.plus_nanos(below(draw.first(), most));
            while let Some(due) = link.deadline().filter(|due| *due <= at) {
                outputs.extend(link.poll(due));
                steps += 1;
            }
            link.handle(packet(at, 40 + below(draw.second(), 1200) as usize));
        }
        while let Some(due) = link.deadline() {
            outputs.extend(link.poll(due));
        }
        assert!(steps > 5000, "{steps}");
        assert!(outputs == at_once, "seed {seed}");
    }
}

#[test]
fn what_rules_draw_for_others_stays_as_it_is_without_it() {
    let behind = r#"{ "rule": "drop", "chance": "5%" }, { "rule": "drop", "burst": { "mean": "5%", "length": 3 } },
        { "rule": "drop", "every": 7 }, { "rule": "drop", "packets": [3, 5] }, { "rule": "corrupt", "chance": "4%" },
        { "rule": "size", "max": "1KB", "match": { "after": 500 } }"#;
    let fates = |rules: &str, seed: u64| -> Vec<(u64, bool, u32)> {
        let mut link = link(rules, seed);
        let mut outputs = Vec::new();
        for index in 0..2000 {
            let at = Instant::from_millis(index);
            outputs.extend(std::iter::from_fn(|| link.poll(at)));
            link.handle(packet(at, 200));
        }
        outputs.extend(std::iter::from_fn(|| link.poll(Instant::from_secs(3))));
        assert!(link.counters().cross.sent > 100 || !rules.contains("cross"));
        let fate = |output: Output| {
            let is_lost = matches!(output, Output::Discard(..));
            (output.packet().number, is_lost, output.packet().flipped_bits())
        };
        outputs.into_iter().map(fate).collect()
    };
    for seed in 1..=3 {
        for cross in [r#""tcp": 1, "access": "10Mbit/s""#, r#""rate": "5Mbit/s""#] {
            let with = format!(r#"{{ "rule": "cross", {cross} }}, {behind}"#);
            assert_eq!(fates(&with, seed), fates(behind, seed), "seed {seed}");
        }
    }
}

#[test]
fn it_begins_and_ends_with_its_phase_and_not_before_its_start() {
    let text = r#"{ "up": [ { "rule": "rate", "limit": "10Mbit/s", "queue": "40 packets" } ],
        "phases": [ { "for": "1s" }, { "for": "2s", "up": [ { "rule": "cross", "rate": "1Mbit/s", "size": "125B" } ] }, {} ] }"#;
    // Cross traffic stands in front of the rate in no phase there, so it meets nothing.
    let front = text.replace(
        r#""up": [ { "rule": "rate", "limit": "10Mbit/s", "queue": "40 packets" } ],"#,
        "",
    );
    for text in [text.to_owned(), front] {
        let mut link = link_of(&Profile::from_json(&text).unwrap(), 1);
        link.handle(packet(Instant::START, 100));
        while link.poll(Instant::from_secs(1)).is_some() {}
        let sent = |link: &mut Link, millis| {
            link.keep_up(Instant::from_millis(millis));
            link.counters().cross.sent
        };
        assert_eq!(sent(&mut link, 999), 0);
        // A packet a millisecond, the first at once and the last at the very end.
        assert_eq!([1000, 1500, 2999, 9000].map(|at| sent(&mut link, at)), [1, 501, 2000, 2001]);
        assert_eq!(link.deadline(), None, "nothing from outside is inside");
    }
    let mut link =
        link(r#"{ "rule": "cross", "rate": "1Mbit/s", "size": "125B", "start": "20s" }"#, 1);
    link.handle(packet(Instant::from_secs(5), 100));
    assert!(link.poll(Instant::from_secs(5)).is_some());
    for (at, sent) in [(24_999, 0), (25_000, 1), (26_000, 1001)] {
        link.keep_up(Instant::from_millis(at));
        assert_eq!(link.counters().cross.sent, sent, "at {at}");
    }
}

#[test]
fn a_new_setting_goes_on_with_what_there_is() {
    let with = |cross: &str| {
        profile(&format!(
            r#"{{ "rule": "cross", {cross} }}, {{ "rule": "rate", "limit": "10Mbit/s" }}"#
        ))
    };
    let mut link = link_of(&with(r#""rate": "1Mbit/s", "size": "125B""#), 1);
    link.handle(packet(Instant::START, 100));
    while link.poll(Instant::from_millis(500)).is_some() {}
    let at = Instant::from_nanos(1_000_000_000 + MS / 2);
    link.set_timeline(at, &with(r#""rate": "2Mbit/s", "size": "125B""#).up);
    let before = link.counters().cross.sent;
    link.keep_up(Instant::from_millis(2001));
    // The next one comes half a millisecond later, then two a millisecond.
    assert_eq!((before, link.counters().cross.sent - before), (1001, 2001));
    // Streams, then more of them.
    for (second, cross) in
        [(3, r#""tcp": 1"#), (6, r#""tcp": 5, "return": "1ms""#), (9, r#""tcp": 2"#)]
    {
        let now = Instant::from_secs(second);
        link.set_timeline(now, &with(cross).up);
        let before = link.counters().cross.bytes;
        link.keep_up(now + Duration::from_secs(3));
        let rate = ((link.counters().cross.bytes - before) * 8) as f64 / 3.0;
        assert!((9e6..=10.1e6).contains(&rate), "{cross}: {rate}");
        conserves(&link);
    }
}

#[test]
fn a_stream_that_gave_up_is_followed_by_another() {
    let text = r#"{ "up": [ { "rule": "cross", "tcp": 1 }, { "rule": "rate", "limit": "1Mbit/s" } ],
        "phases": [ { "for": "10s" }, { "for": "2h", "up": [ { "rule": "drop", "chance": "100%" } ] }, {} ] }"#;
    let mut link = link_of(&Profile::from_json(text).unwrap(), 1);
    let mut goodput_at = |second: u64| {
        // Something comes now and then, or it would pause.
        let first = link.counters().entered * 30;
        for at in (first..=second).step_by(30).map(Instant::from_secs) {
            while link.poll(at).is_some() {}
            link.handle(packet(at, 100));
        }
        while link.poll(Instant::from_secs(second)).is_some() {}
        (link.counters().cross.goodput, link.counters().cross.discarded)
    };
    let ((cut, lost), (again, _)) = (goodput_at(7100), goodput_at(7400));
    assert!(cut > 1_000_000 && lost > 100, "{cut} bytes, {lost} lost");
    assert!(again - cut > 1_000_000, "{again} bytes behind the cut");
}

#[test]
fn after_a_minute_of_silence_it_pauses_until_the_next_packet() {
    let rules = r#"{ "rule": "cross", "rate": "1Mbit/s", "size": "125B" }, { "rule": "rate", "limit": "10Mbit/s" }"#;
    let mut link = link(rules, 1);
    for (second, sent) in [(0, 60_001), (3600, 120_002)] {
        let at = Instant::from_secs(second);
        while link.poll(at).is_some() {}
        link.handle(packet(at, 125));
        // It leaves a tenth of a millisecond later.
        while link.poll(at + Duration::from_secs(1)).is_some() {}
        assert!(link.keep_up(at + Duration::from_secs(59)).is_some());
        assert_eq!(link.keep_up(at + Duration::from_secs(1000)), None);
        let cross = link.counters().cross;
        assert_eq!((cross.sent, cross.held), (sent, 0), "a packet a millisecond, for a minute");
        assert_eq!(link.deadline(), None);
    }
}

#[test]
fn what_is_inside_is_bounded() {
    let mut link = link(
        r#"{ "rule": "cross", "rate": "1Gbit/s", "size": "500B" }, { "rule": "delay", "time": "1h" }"#,
        1,
    );
    link.handle(packet(Instant::START, 100));
    assert_eq!(link.poll(Instant::from_millis(500)), None);
    let cross = link.counters().cross;
    assert_eq!((cross.sent, cross.held), (1 << 16, 1 << 16));
    assert_eq!(cross.refused, 125_001 - (1 << 16));
    assert_eq!(link.held(), 1, "the one from outside");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (fields, problem) in [
        ("", "up[0]: cross says how by exactly one of tcp or rate; none is here"),
        (
            r#", "tcp": 1, "rate": "1Mbit/s""#,
            "up[0]: cross says how by exactly one of tcp or rate; here are tcp and rate",
        ),
        (r#", "tcp": 0"#, "up[0].tcp: 0 streams are out of bounds; write 1 to 64"),
        (r#", "tcp": 65"#, "up[0].tcp: 65 streams are out of bounds; write 1 to 64"),
        (
            r#", "tcp": 1, "size": "100B""#,
            "up[0].size: it is for \"rate\"; the segments of \"tcp\" have 1500 bytes. Leave it out",
        ),
        (
            r#", "tcp": 1, "return": "2h""#,
            "up[0].return: no way back is that long; write at most 1h",
        ),
        (
            r#", "tcp": 1, "access": "10Gbit/s""#,
            "up[0].access: it is too fast to model; write at most 6Gbit/s",
        ),
        (
            r#", "rate": "1Mbit/s", "model": "reno""#,
            "up[0].model: it is for \"tcp\"; packets at a constant rate have none",
        ),
        (
            r#", "rate": "1Mbit/s", "size": "0B""#,
            "up[0].size: no packet has 0 bytes; write 1B to 65535B",
        ),
        (
            r#", "rate": "1Gbit/s", "size": "100B""#,
            "up[0].rate: 1Gbit/s in packets of 100 bytes are 1250000 a second; write a lower rate or larger packets, for 500000 at most",
        ),
        (
            r#", "tcp": 1, "per": "flow""#,
            "up[0].per: cross looks at no packets, it sends some; leave it out",
        ),
        (
            r#", "tcp": 1, "match": { "flow": 3 }"#,
            "up[0].match: cross looks at no packets, it sends some; leave it out",
        ),
        (
            r#", "tcp": 1, "flows": "50%""#,
            "up[0].flows: cross looks at no packets, it sends some; leave it out",
        ),
    ] {
        let text = format!(r#"{{ "up": [ {{ "rule": "cross"{fields} }} ] }}"#);
        assert_eq!(Profile::from_json(&text).unwrap_err().to_string(), problem);
    }
}
