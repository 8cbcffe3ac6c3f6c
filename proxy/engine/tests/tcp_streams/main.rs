//! What the TCP model promises about streams, whatever the links do: every byte, in order, both
//! ways at once; ends and resets in their place; the same times from the same seed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::profile::{Profile, Timeline};
use jostle_engine::route::CongestionControl;
use jostle_engine::stage::Output;
use jostle_engine::tcp::{Event, Model, transfer};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use support::rules;

/// The receive window of a modelled connection.
const WINDOW: u64 = 6 << 20;

/// The payload of a full segment.
const SEGMENT: u64 = 1448;

const UP: Direction = Direction::Up;
const DOWN: Direction = Direction::Down;

/// A model over two links with these rules in each direction.
fn model(seed: u64, json: &str, memory: Memory) -> Model {
    let links = Direction::BOTH.map(|direction| {
        Link::new(LinkKey { seed, route: "test".into(), direction }, &rules(json))
    });
    Model::new(links, CongestionControl::Cubic, memory)
}

/// `count` bytes of a stream, from `start` on; no two places nearby look alike.
fn bytes(stream: u64, start: u64, count: u64) -> Bytes {
    (start..start + count)
        .map(|at| ((at + stream * 77).wrapping_mul(0x9E37_79B9) >> 16) as u8)
        .collect()
}

/// What has come of one direction of a connection.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    ended: Option<Instant>,
    reset: Option<Instant>,
}

/// Two programs at the ends of a model, and what they saw.
struct Ends {
    model: Model,
    now: Instant,
    received: BTreeMap<(u32, Direction), Received>,
    established: BTreeMap<u32, Instant>,
    closed: Vec<u32>,
    fates: [u64; 2],
    /// Whether what arrives is consumed at once.
    reading: bool,
}

impl Ends {
    fn new(model: Model) -> Self {
        Self {
            model,
            now: Instant::START,
            received: BTreeMap::new(),
            established: BTreeMap::new(),
            closed: Vec::new(),
            fates: [0; 2],
            reading: true,
        }
    }

    /// A connection over links with these rules.
    fn connected(seed: u64, json: &str) -> Self {
        let mut ends = Self::new(model(seed, json, Memory::default()));
        ends.model.open(ends.now, 1);
        ends
    }

    /// Takes in all events of this moment.
    fn take(&mut self) {
        while let Some(event) = self.model.poll(self.now) {
            match event {
                Event::Established { id } => {
                    assert!(self.established.insert(id, self.now).is_none())
                }
                Event::Data { id, direction, bytes } => {
                    let received = self.received.entry((id, direction)).or_default();
                    assert!(
                        received.ended.is_none() && received.reset.is_none() && !bytes.is_empty()
                    );
                    received.bytes.extend_from_slice(&bytes);
                    if self.reading {
                        self.model.consumed(self.now, id, direction, bytes.len());
                    }
                }
                Event::End { id, direction } => {
                    let received = self.received.entry((id, direction)).or_default();
                    assert!(received.ended.replace(self.now).is_none() && received.reset.is_none());
                }
                Event::Reset { id, direction } => {
                    let received = self.received.entry((id, direction)).or_default();
                    assert!(received.reset.replace(self.now).is_none());
                }
                Event::Room { id, direction } => {
                    // Of several that share a memory another may have taken it since.
                    assert!(self.model.connections() > 1 || self.model.room(id, direction) > 0);
                }
                Event::Closed { id } => {
                    assert!(!self.closed.contains(&id));
                    self.closed.push(id);
                }
                Event::Packet(direction, output) => {
                    let (Output::Deliver(packet) | Output::Discard(packet, _)) = &output;
                    let packets = if packet.is_mark() { 0 } else { packet.count() };
                    self.fates[direction.index()] += u64::from(packets);
                }
                other => panic!("there is no rule on streams: {other:?}"),
            }
        }
    }

    /// Goes through time up to `until`, or until nothing is left to happen.
    fn run(&mut self, until: Instant) {
        self.take();
        while let Some(at) = self.model.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.take();
        }
        self.now = self.now.max(until);
    }

    fn run_for(&mut self, ms: u64) {
        self.run(self.now + Duration::from_millis(ms));
    }

    fn push(&mut self, direction: Direction, start: u64, count: u64) {
        let piece = bytes(direction.index() as u64, start, count);
        self.model.push(self.now, 1, direction, piece);
    }

    fn received(&self, direction: Direction) -> &[u8] {
        self.received.get(&(1, direction)).map_or(&[], |received| &received.bytes)
    }

    fn ended(&self, direction: Direction) -> Option<Instant> {
        self.received.get(&(1, direction)).and_then(|received| received.ended)
    }

    fn reset(&self, direction: Direction) -> Option<Instant> {
        self.received.get(&(1, direction)).and_then(|received| received.reset)
    }

    /// Every packet that entered a link, and every copy, has come out and was reported.
    fn assert_conserved(&self) {
        for direction in Direction::BOTH {
            let counters = self.model.link(direction).counters();
            assert_eq!(counters.held, 0);
            assert_eq!(
                counters.entered + counters.copies,
                counters.delivered + counters.discarded_total()
            );
            assert_eq!(
                self.fates[direction.index()],
                counters.delivered + counters.discarded_total()
            );
        }
    }
}

/// Rules of one direction: none, one or several of each kind, mild or severe.
fn weather() -> impl Strategy<Value = String> {
    let maybe = |rule: BoxedStrategy<String>| prop::option::of(rule);
    (
        maybe((0u32..40).prop_map(|p| format!(r#"{{ "rule": "drop", "chance": "{p}%" }}"#)).boxed()),
        maybe((0u32..30).prop_map(|p| format!(r#"{{ "rule": "duplicate", "chance": "{p}%" }}"#)).boxed()),
        maybe((0u32..20).prop_map(|p| format!(r#"{{ "rule": "corrupt", "chance": "{p}%" }}"#)).boxed()),
        maybe(
            (1u32..20, 1u32..64)
                .prop_map(|(mbit, kib)| {
                    format!(r#"{{ "rule": "rate", "limit": "{mbit}Mbit/s", "queue": "{kib}KiB" }}"#)
                })
                .boxed(),
        ),
        maybe(
            (1u32..100)
                .prop_map(|ms| {
                    format!(
                        r#"{{ "rule": "delay", "time": "{ms}ms", "jitter": "{}ms", "reorder": {} }}"#,
                        ms / 2,
                        ms % 3 == 0
                    )
                })
                .boxed(),
        ),
        maybe(
            (0u32..50, 1u32..6)
                .prop_map(|(p, behind)| {
                    format!(r#"{{ "rule": "reorder", "chance": "{p}%", "behind": {behind} }}"#)
                })
                .boxed(),
        ),
    )
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f].into_iter().flatten().collect::<Vec<_>>().join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_byte_arrives_in_order_in_both_directions(
        seed: u64,
        weather in weather(),
        pieces in prop::collection::vec((0u64..60, any::<bool>(), 1u64..20_000), 0..30),
    ) {
        let mut ends = Ends::connected(seed, &weather);
        let mut sent = [0, 0];
        for (gap, up, count) in pieces {
            ends.run_for(gap);
            let direction = if up { UP } else { DOWN };
            ends.push(direction, sent[direction.index()], count);
            sent[direction.index()] += count;
        }
        ends.model.finish(ends.now, 1, UP);
        ends.run_for(50);
        ends.model.finish(ends.now, 1, DOWN);
        ends.run(Instant::from_secs(100_000));
        let is_whole = Direction::BOTH.iter().all(|direction| ends.ended(*direction).is_some());
        for direction in Direction::BOTH {
            let expected = bytes(direction.index() as u64, 0, sent[direction.index()]);
            let received = ends.received(direction);
            // In the worst weather a connection may time out; what came by then is right, too.
            let is_right = if is_whole { received == expected } else { expected.starts_with(received) };
            prop_assert!(is_right, "{} bytes {direction}", expected.len());
        }
        // That takes as many timeouts as Linux has, or a handshake that never came through.
        let timeouts = ends.model.counters().timeouts;
        prop_assert!(is_whole || timeouts >= 14 || ends.established.is_empty(), "{timeouts} timeouts");
        prop_assert_eq!(&ends.closed, &[1]);
        prop_assert_eq!(ends.model.connections(), 0);
        prop_assert_eq!(ends.model.deadline(), None);
        ends.assert_conserved();
    }

    #[test]
    fn late_is_not_different(
        seed: u64,
        weather in weather(),
        pieces in prop::collection::vec((0u64..60, any::<bool>(), 1u64..20_000), 1..20),
        wakes in prop::collection::vec(1u64..3_000_000, 1..100),
    ) {
        // One shell wakes for every deadline, the other now and then.
        let mut outcomes = [false, true].map(|sleepy| {
            let mut model = model(seed, &weather, Memory::default());
            let mut wakes = wakes.iter().cycle();
            let (mut now, mut events) = (Instant::START, Vec::new());
            let mut wait_until = |model: &mut Model, until: Instant, now: &mut Instant, events: &mut Vec<Event>| {
                while *now < until {
                    let next = if sleepy {
                        now.plus_nanos(*wakes.next().unwrap() * 1000)
                    } else {
                        model.deadline().unwrap_or(until)
                    };
                    *now = until.min(next.max(*now));
                    events.extend(std::iter::from_fn(|| model.poll(*now)));
                    if !sleepy && model.deadline().is_none() {
                        *now = until;
                    }
                }
            };
            model.open(now, 1);
            let mut sent = 0;
            for &(gap, up, count) in &pieces {
                let until = now + Duration::from_millis(gap);
                wait_until(&mut model, until, &mut now, &mut events);
                model.push(now, 1, if up { UP } else { DOWN }, bytes(0, sent, count));
                sent += count;
            }
            let until = now + Duration::from_secs(30);
            wait_until(&mut model, until, &mut now, &mut events);
            events
        });
        let [prompt, sleepy] = &mut outcomes;
        prop_assert!(prompt.len() > 3, "the test saw something");
        prop_assert_eq!(prompt, sleepy);
    }
}

const LINE: &str =
    r#"{ "rule": "rate", "limit": "10Mbit/s" }, { "rule": "delay", "time": "20ms" }"#;

#[test]
fn the_handshake_takes_its_round_trip_and_data_follows_at_once() {
    let mut ends = Ends::connected(1, r#"{ "rule": "delay", "time": "20ms" }"#);
    ends.push(UP, 0, 100);
    ends.run(Instant::from_millis(39));
    assert!(ends.established.is_empty());
    ends.run(Instant::from_millis(59));
    assert!(ends.established.is_empty() && ends.received(UP).is_empty());
    ends.run(Instant::from_millis(60));
    assert_eq!(ends.established[&1], Instant::from_millis(60));
    assert_eq!(
        ends.received(UP).len(),
        100,
        "the data came right behind the client's acknowledgement"
    );
}

#[test]
fn a_half_closed_connection_still_carries_the_reply() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 5000);
    ends.model.finish(ends.now, 1, UP);
    ends.run_for(1500);
    assert!(ends.ended(UP).is_some() && ends.ended(DOWN).is_none());
    assert_eq!(ends.model.room(1, UP), 0, "nothing goes behind the end");
    ends.push(UP, 5000, 1000);
    ends.push(DOWN, 0, 200_000);
    ends.run_for(1000);
    assert!(ends.received(DOWN) == bytes(1, 0, 200_000));
    assert!(ends.closed.is_empty() && ends.received(UP).len() == 5000);
    ends.model.finish(ends.now, 1, DOWN);
    ends.run_for(1000);
    assert!(ends.ended(DOWN).is_some());
    assert_eq!(ends.closed, [1]);
}

#[test]
fn an_idle_connection_has_nothing_to_do() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 5000);
    ends.run_for(1000);
    assert_eq!(ends.model.deadline(), None);
    assert_eq!(ends.model.connections(), 1);
}

#[test]
fn a_reset_follows_what_was_sent_and_discards_the_rest() {
    for direction in Direction::BOTH {
        let mut ends = Ends::connected(1, LINE);
        ends.run_for(100);
        ends.push(direction, 0, 1_000_000);
        ends.run_for(100);
        ends.model.reset(ends.now, 1, direction);
        assert_eq!(ends.model.room(1, direction), 0);
        let at = ends.now;
        ends.run_for(10_000);
        let got = ends.received(direction);
        assert!((50_000..500_000).contains(&got.len()), "{} bytes", got.len());
        assert!(
            got == bytes(direction.index() as u64, 0, got.len() as u64),
            "what was sent came first"
        );
        let reset = ends.reset(direction).unwrap();
        // Behind the queue of up to 100 ms, and 20 ms of delay.
        assert!((20..=125).contains(&reset.since(at).as_millis()), "{reset}");
        assert_eq!(
            (ends.closed.as_slice(), ends.reset(direction.opposite())),
            ([1].as_slice(), None)
        );
        assert_eq!((ends.model.connections(), ends.model.deadline()), (0, None));
        ends.assert_conserved();
    }
}

#[test]
fn a_reset_is_never_lost() {
    let json = r#"{ "rule": "drop", "chance": "50%" }, { "rule": "delay", "time": "10ms" }"#;
    for seed in 1..=50 {
        let mut ends = Ends::connected(seed, json);
        ends.run_for(10_000_000);
        assert!(ends.established.contains_key(&1));
        ends.push(UP, 0, 10_000);
        ends.model.reset(ends.now, 1, DOWN);
        ends.run_for(10);
        assert!(ends.reset(DOWN).is_some() && ends.closed == [1]);
        ends.run_for(1_000_000);
        assert_eq!(ends.model.deadline(), None);
    }
}

#[test]
fn a_refused_upstream_reaches_the_client() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 100);
    ends.run_for(100);
    ends.model.reset(ends.now, 1, DOWN);
    ends.run_for(100);
    assert!(ends.reset(DOWN).is_some());
}

#[test]
fn a_client_that_leaves_early_is_never_heard_of_by_the_server() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 100);
    ends.run_for(5);
    ends.model.reset(ends.now, 1, UP);
    ends.run_for(100_000);
    assert!(ends.established.is_empty() && ends.received.is_empty());
    assert_eq!((ends.closed.as_slice(), ends.model.deadline()), ([1].as_slice(), None));
}

#[test]
fn resets_from_both_ends_cross() {
    let mut ends = Ends::connected(1, LINE);
    ends.run_for(100);
    ends.model.reset(ends.now, 1, UP);
    ends.model.reset(ends.now, 1, DOWN);
    ends.run_for(1000);
    assert!(ends.reset(UP).is_none() && ends.reset(DOWN).is_none(), "nobody is left to hear of it");
    assert_eq!(ends.closed, [1]);
}

#[test]
fn calls_for_a_connection_that_is_gone_are_ignored() {
    let mut ends = Ends::connected(1, LINE);
    ends.model.reset(ends.now, 1, UP);
    ends.run_for(1000);
    ends.push(UP, 0, 100);
    ends.model.finish(ends.now, 1, DOWN);
    ends.model.reset(ends.now, 1, DOWN);
    ends.model.consumed(ends.now, 1, UP, 100);
    assert_eq!(
        (ends.model.room(1, UP), ends.model.room(77, DOWN), ends.model.deadline()),
        (0, 0, None)
    );
}

#[test]
fn a_reader_that_stops_closes_the_window_and_opens_it_again() {
    let memory = Memory::default();
    let mut ends = Ends::new(model(1, r#"{ "rule": "delay", "time": "5ms" }"#, memory.clone()));
    ends.model.open(ends.now, 1);
    ends.reading = false;
    let mut pushed = 0;
    for _ in 0..200 {
        let count = (ends.model.room(1, UP) as u64).min(1 << 16);
        ends.push(UP, pushed, count);
        pushed += count;
        ends.run_for(50);
    }
    assert!((WINDOW - SEGMENT + 1..=WINDOW).contains(&pushed), "{pushed}");
    assert_eq!(ends.received(UP).len() as u64, pushed);
    assert_eq!(memory.used(), 0, "what came out was copied, and is held by nobody");
    assert_eq!(
        (ends.model.room(1, UP), ends.model.deadline()),
        (0, None),
        "nothing to do until it reads"
    );
    let left = WINDOW - pushed;
    ends.model.consumed(ends.now, 1, UP, (SEGMENT - 1 - left) as usize);
    assert_eq!(ends.model.room(1, UP), 0, "less than a segment");
    ends.model.consumed(ends.now, 1, UP, 1_000_000);
    assert!(ends.model.room(1, UP) as u64 >= 10 * SEGMENT);
    ends.push(UP, pushed, 1_000_000);
    ends.run_for(1000);
    assert!(ends.received(UP) == bytes(0, 0, pushed + 1_000_000));
    // More than it was given cannot be consumed.
    ends.model.consumed(ends.now, 1, UP, usize::MAX);
    assert_eq!(memory.used(), 0);
    assert!(ends.model.room(1, UP) as u64 >= 10 * SEGMENT);
}

#[test]
fn the_memory_bounds_all_connections_together() {
    const LIMIT: u64 = 8 << 20;
    let memory = Memory::new(LIMIT);
    let mut ends = Ends::new(model(1, r#"{ "rule": "delay", "time": "1s" }"#, memory.clone()));
    for id in 1..=40 {
        ends.model.open(ends.now, id);
    }
    let mut pushed = [0; 40];
    // What the senders may be ahead grows with each round trip, up to what there is.
    for _ in 0..120 {
        for id in 1..=40 {
            let room = ends.model.room(id, UP);
            pushed[id as usize - 1] += room;
            ends.model.push(ends.now, id, UP, Bytes::from(vec![0; room]));
        }
        ends.run_for(250);
    }
    assert!(memory.peak() <= LIMIT && memory.peak() > LIMIT / 2, "{}", memory.peak());
    assert!(pushed.iter().all(|pushed| *pushed > 64 << 10), "{pushed:?}");
    for id in 1..=40 {
        ends.model.reset(ends.now, id, UP);
    }
    ends.run_for(2000);
    assert_eq!((memory.used(), ends.model.connections()), (0, 0));
    drop(ends);
    assert_eq!(memory.used(), 0);
}

/// The virtual time that a megabyte takes up through 20 ms of delay.
fn time_of_a_megabyte(memory: Memory) -> Duration {
    const BYTES: u64 = 1_000_000;
    let mut ends = Ends::new(model(1, r#"{ "rule": "delay", "time": "20ms" }"#, memory));
    ends.model.open(ends.now, 1);
    let (begun, mut pushed) = (ends.now, 0);
    while (ends.received(UP).len() as u64) < BYTES {
        let more = (ends.model.room(1, UP) as u64).min(BYTES - pushed);
        ends.push(UP, pushed, more);
        pushed += more;
        ends.run_for(1);
        assert!(ends.now.since(begun) < Duration::from_secs(60), "{pushed} of {BYTES}");
    }
    ends.now.since(begun)
}

#[test]
fn connections_that_stand_still_cost_the_others_nothing() {
    const WINDOW: usize = 6 << 20;
    const LIMIT: u64 = 512 << 20;
    let alone = time_of_a_megabyte(Memory::default());
    let memory = Memory::new(LIMIT);
    let mut stalled = Ends::new(model(1, r#"{ "rule": "delay", "time": "1s" }"#, memory.clone()));
    let zeros = Bytes::from(vec![0; WINDOW]);
    for id in 1..=300 {
        stalled.model.open(stalled.now, id);
    }
    // Windows grow with each round trip, and with them what a sender may be ahead.
    for _ in 0..120 {
        for id in 1..=300 {
            let room = stalled.model.room(id, UP);
            stalled.model.push(stalled.now, id, UP, zeros.slice(..room));
        }
        if memory.is_short() {
            break;
        }
        stalled.run_for(250);
    }
    assert!(memory.is_short() && memory.used() > LIMIT / 2, "{}", memory.used());
    assert!(memory.used() < LIMIT - LIMIT / 4, "the floors of others are kept back");
    assert_eq!(time_of_a_megabyte(memory), alone);
}

#[test]
fn a_sender_is_ahead_by_what_its_kernel_would_take() {
    const RATE: u64 = 125_000;
    for (seed, queue, chance) in
        [(1, "64kB", "0%"), (2, "64kB", "1%"), (3, "100kB", "0%"), (4, "20kB", "3%")]
    {
        let mut ends = Ends::connected(
            seed,
            &format!(
                r#"{{ "rule": "drop", "chance": "{chance}" }},
                   {{ "rule": "rate", "limit": "1Mbit/s", "queue": "{queue}" }},
                   {{ "rule": "delay", "time": "20ms" }}"#
            ),
        );
        let (mut pushed, mut most) = (0, 0);
        for _ in 0..5000 {
            let room = ends.model.room(1, UP) as u64;
            ends.push(UP, pushed, room);
            pushed += room;
            most = most.max(pushed - ends.received(UP).len() as u64);
            ends.run_for(1);
        }
        let received = ends.received(UP).len() as u64;
        assert!(most <= 384 << 10, "queue {queue}, loss {chance}: {most} bytes ahead");
        assert!(most >= 20 * SEGMENT, "twice the initial window: {most}");
        let least = if chance == "0%" { RATE * 5 * 90 / 100 } else { RATE * 5 / 2 };
        assert!(received > least, "queue {queue}, loss {chance}: {received} bytes in 5 s");
    }
}

#[test]
fn the_send_buffer_costs_no_time() {
    const BYTES: u64 = 3_000_000;
    for (chance, delay, rate) in [
        ("0%", "5ms", "5Mbit/s"),
        ("0%", "50ms", "50Mbit/s"),
        ("0.1%", "25ms", "50Mbit/s"),
        ("1%", "5ms", "50Mbit/s"),
        ("3%", "50ms", "5Mbit/s"),
        ("10%", "5ms", "50Mbit/s"),
    ] {
        let json = format!(
            r#"{{ "rule": "drop", "chance": "{chance}" }},
               {{ "rule": "rate", "limit": "{rate}", "queue": "200kB" }},
               {{ "rule": "delay", "time": "{delay}" }}"#
        );
        let links = Direction::BOTH.map(|direction| {
            Link::new(LinkKey { seed: 7, route: "test".into(), direction }, &rules(&json))
        });
        let outcome = transfer(links, CongestionControl::Cubic, BYTES, Duration::from_secs(1000));
        // The same with a buffer that takes all at once.
        let mut ends = Ends::connected(7, &json);
        ends.push(UP, 0, BYTES);
        ends.model.finish(ends.now, 1, UP);
        while (ends.received(UP).len() as u64) < BYTES {
            ends.now = ends.model.deadline().unwrap();
            ends.take();
        }
        let unbounded = ends.now.since(Instant::START);
        assert_eq!(outcome.time, Some(unbounded), "loss {chance}, delay {delay}, {rate}");
    }
}

#[test]
fn a_stream_of_single_bytes_is_bounded_too() {
    let mut ends = Ends::connected(1, r#"{ "rule": "drop", "chance": "100%" }"#);
    let mut pushed = 0;
    while ends.model.room(1, UP) > 0 {
        ends.push(UP, pushed, 1);
        pushed += 1;
        assert!(pushed < 10_000);
    }
    assert!(pushed > 1000);
}

#[test]
fn a_live_change_repairs_a_dead_link() {
    let mut ends = Ends::connected(1, r#"{ "rule": "drop", "chance": "100%" }"#);
    ends.push(UP, 0, 300_000);
    ends.run_for(10_000);
    assert!(ends.established.is_empty());
    for direction in Direction::BOTH {
        ends.model.set_timeline(ends.now, direction, &rules(LINE));
    }
    // The next SYN goes at 11 s, and 300 KB take 0.25 s.
    ends.run_for(2_000);
    assert!(ends.received(UP) == bytes(0, 0, 300_000));
    for direction in Direction::BOTH {
        ends.model.set_timeline(ends.now, direction, &Timeline::default());
    }
    ends.push(UP, 300_000, 300_000);
    ends.take();
    assert!(ends.received(UP) == bytes(0, 0, 600_000), "links without rules take no time");
}

const NOTHING: &str = r#"{ "rule": "drop", "chance": "100%" }"#;

#[test]
fn a_client_without_an_answer_gives_up_as_linux_does() {
    // Linux 6.18 was measured with 134 s, as its timer wheel rounds long waits up.
    const PATIENCE_MS: u64 = 131_000;
    let memory = Memory::default();
    let mut ends = Ends::new(model(1, NOTHING, memory.clone()));
    ends.model.open(ends.now, 1);
    ends.push(UP, 0, 300_000);
    ends.run_for(PATIENCE_MS - 1);
    assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0));
    ends.run_for(1);
    assert_eq!((ends.model.connections(), &ends.closed[..]), (0, &[1][..]));
    assert_eq!((memory.used(), ends.model.deadline()), (0, None));
    assert_eq!(ends.model.link(UP).counters().entered, 11, "a SYN and ten repetitions");
}

#[test]
fn a_sender_whose_bytes_are_never_acknowledged_gives_up_as_linux_does() {
    for (direction, bytes) in [(UP, 1000), (DOWN, 1000), (UP, 300_000)] {
        let mut ends = Ends::connected(1, r#"{ "rule": "delay", "time": "1ms" }"#);
        ends.run_for(10);
        for direction in Direction::BOTH {
            ends.model.set_timeline(ends.now, direction, &rules(NOTHING));
        }
        // An end that has nothing to say never learns of it.
        ends.run_for(10_000_000);
        assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0));
        ends.push(direction, 0, bytes);
        // 924.6 s behind the first timeout, at the end of the one under way then.
        ends.run_for(924_600);
        assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0), "{direction}");
        ends.run_for(121_000);
        assert_eq!((ends.model.connections(), &ends.closed[..]), (0, &[1][..]), "{direction}");
    }
}

#[test]
fn a_sender_that_is_answered_now_and_then_never_gives_up() {
    let mut ends = Ends::connected(1, r#"{ "rule": "delay", "time": "1ms" }"#);
    ends.run_for(10);
    let clear = rules(r#"{ "rule": "delay", "time": "1ms" }"#);
    for round in 0..5 {
        ends.model.set_timeline(ends.now, UP, &rules(NOTHING));
        ends.push(UP, round * 1000, 1000);
        ends.run_for(800_000);
        ends.model.set_timeline(ends.now, UP, &clear);
        ends.run_for(121_000);
        assert_eq!(ends.received(UP).len() as u64, (round + 1) * 1000);
    }
    assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0));
}

#[test]
fn mild_reordering_costs_next_to_nothing() {
    let seconds = |json: &str| {
        let links = Direction::BOTH.map(|direction| {
            Link::new(LinkKey { seed: 1, route: "test".into(), direction }, &rules(json))
        });
        let outcome =
            transfer(links, CongestionControl::Cubic, 10_000_000, Duration::from_secs(100));
        assert_eq!(outcome.received, 10_000_000);
        outcome.time.unwrap().as_secs_f64()
    };
    let line = r#"{ "rule": "rate", "limit": "20Mbit/s" }, { "rule": "delay", "time": "20ms" }"#;
    let base = seconds(line);
    for reorder in [
        r#"{ "rule": "reorder", "chance": "1%" }"#,
        r#"{ "rule": "reorder", "chance": "1%", "behind": 5 }"#,
        r#"{ "rule": "duplicate", "chance": "10%" }"#,
    ] {
        let time = seconds(&format!("{line}, {reorder}"));
        assert!(time < 1.1 * base, "{reorder}: {time} s, {base} s without");
    }
}

#[test]
fn thousands_of_connections_share_the_links() {
    const CONNECTIONS: u32 = 5000;
    let json = r#"{ "rule": "drop", "chance": "1%" }, { "rule": "rate", "limit": "1Gbit/s" }, { "rule": "delay", "time": "10ms" }"#;
    let mut ends = Ends::new(model(1, json, Memory::default()));
    for id in 1..=CONNECTIONS {
        ends.model.open(ends.now, id);
        ends.model.push(ends.now, id, UP, bytes(u64::from(id), 0, 3000));
        ends.model.push(ends.now, id, DOWN, bytes(u64::from(id), 0, 10_000));
        ends.model.finish(ends.now, id, UP);
        ends.model.finish(ends.now, id, DOWN);
    }
    ends.run(Instant::from_secs(1000));
    assert_eq!((ends.closed.len(), ends.model.connections()), (CONNECTIONS as usize, 0));
    assert!(ends.model.link(DOWN).counters().discarded_total() > 100, "some segments were lost");
    for id in 1..=CONNECTIONS {
        assert!(ends.received[&(id, UP)].bytes == bytes(u64::from(id), 0, 3000));
        assert!(ends.received[&(id, DOWN)].bytes == bytes(u64::from(id), 0, 10_000));
    }
    ends.assert_conserved();
}

#[test]
fn the_same_seed_gives_the_same_times() {
    let json = r#"{ "rule": "drop", "chance": "5%" }, { "rule": "delay", "time": "20ms", "jitter": "3ms" }"#;
    let times = |seed| {
        let mut ends = Ends::connected(seed, json);
        ends.push(UP, 0, 200_000);
        ends.model.finish(ends.now, 1, UP);
        ends.model.finish(ends.now, 1, DOWN);
        ends.run(Instant::from_secs(1000));
        (ends.ended(UP), ends.ended(DOWN), ends.fates, ends.model.counters())
    };
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
    assert!(times(1).3.retransmissions > 0);
}

/// A route whose way up becomes shorter and longer by turns, the way down with it. Nothing is lost.
fn changing(length: &str, path: [&str; 2]) -> Profile {
    let phase = |time: &str, path: &str| {
        format!(
            r#"{{ "for": "{length}", "both": [
                {{ "rule": "rate", "limit": "20Mbit/s", "queue": "10s", "path": "{path}" }},
                {{ "rule": "delay", "time": "{time}", "path": "{path}" }} ] }}"#
        )
    };
    let (far, near) = (phase("60ms", path[0]), phase("15ms", path[1]));
    Profile::from_json(&format!(r#"{{ "phases": [ {far}, {near} ], "then": "repeat" }}"#)).unwrap()
}

#[test]
fn a_stream_survives_paths_that_overtake_each_other() {
    const COUNT: u64 = 3_000_000;
    let run = |seed: u64, profile: &Profile| {
        let links = Link::both(profile, seed, "test");
        let mut ends = Ends::new(Model::new(links, CongestionControl::Cubic, Memory::default()));
        ends.model.open(ends.now, 1);
        let mut sent = 0;
        while sent < COUNT {
            let room = ends.model.room(1, UP) as u64;
            let piece = room.min(COUNT - sent).min(20_000);
            ends.push(UP, sent, piece);
            sent += piece;
            ends.run_for(2);
        }
        ends.model.finish(ends.now, 1, UP);
        ends.model.finish(ends.now, 1, DOWN);
        ends.run(Instant::from_secs(100));
        assert!(ends.received(UP) == bytes(0, 0, COUNT), "{} bytes", ends.received(UP).len());
        assert!(ends.ended(UP).is_some());
        ends.assert_conserved();
        let lost = ends.model.link(UP).counters().discarded_total();
        assert_eq!(lost, 0, "so whatever is sent again is spurious");
        (ends.model.counters(), ends.ended(UP).unwrap())
    };
    for seed in [1, 2, 3] {
        let (steady, _) = run(seed, &changing("300ms", ["same", "same"]));
        let (changed, ended) = run(seed, &changing("300ms", ["far", "near"]));
        let segments = COUNT.div_ceil(SEGMENT);
        // In order nothing looks lost. Where each path overtakes what is under way on the other, a
        // window of it does at most, once per change to the shorter one.
        assert_eq!((steady.retransmissions, steady.timeouts), (0, 0), "{steady:?}");
        assert!((1..segments / 4).contains(&changed.retransmissions), "{changed:?}");
        assert_eq!(changed.timeouts, 0, "{changed:?}");
        // 1.2 s for the bytes alone at 20 Mbit/s.
        assert!((1_200..3_000).contains(&(ended.as_nanos() / 1_000_000)), "{ended}");
    }
}
