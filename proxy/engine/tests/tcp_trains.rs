//! Segments that leave together are one event where no rule tells them apart. What becomes of each,
//! and when, is what becomes of it where each is an event of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_engine::carrier::Carrier;
use jostle_engine::link::Link;
use jostle_engine::memory::Memory;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Profile;
use jostle_engine::route::{CongestionControl, TcpMode};
use jostle_engine::stage::{Output, Reason};
use jostle_engine::tcp::{Event, Model, Segment};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::Duration;

const CONTROLS: [CongestionControl; 6] = [
    CongestionControl::Cubic,
    CongestionControl::CubicEcn,
    CongestionControl::Reno,
    CongestionControl::RenoEcn,
    CongestionControl::Dctcp,
    CongestionControl::Prague,
];

/// The fate of one segment or mark.
#[derive(Clone, Debug, PartialEq)]
struct Fate {
    number: u64,
    flow_number: u64,
    copy: u32,
    flow: u32,
    entered: Instant,
    at: Instant,
    size: u32,
    ecn: Ecn,
    marked: bool,
    flipped: u32,
    rules: u64,
    segment: Option<Segment>,
    discarded: Option<Reason>,
}

impl Fate {
    fn of(packet: &Packet, discarded: Option<Reason>) -> Self {
        Self {
            number: packet.number,
            flow_number: packet.flow_number,
            copy: packet.copy(),
            flow: packet.flow,
            entered: packet.entered,
            at: packet.at,
            size: packet.size(),
            ecn: packet.ecn,
            marked: packet.is_marked(),
            flipped: packet.flipped_bits(),
            rules: packet.trace.rules,
            segment: match packet.body() {
                Body::Segment(segment) => Some((**segment).clone()),
                _ => None,
            },
            discarded,
        }
    }
}

/// What happened to a connection, in order; bytes that came at one time are one piece.
#[derive(Clone, Debug, PartialEq)]
enum Deed {
    Established(Instant, u32),
    Data(Instant, u32, Direction, usize),
    End(Instant, u32, Direction),
    Reset(Instant, u32, Direction),
    Closed(Instant, u32),
}

/// Everything that a run shows.
#[derive(Debug, Default, PartialEq)]
struct Course {
    arrived: [Vec<Fate>; 2],
    fates: [Vec<Fate>; 2],
    deeds: Vec<Deed>,
    counters: String,
    /// The events of packets that there were.
    events: usize,
}

/// What the program at the end of a stream does: after so many milliseconds it writes so many bytes, or
/// ends or resets its stream.
#[derive(Clone, Copy, Debug)]
struct Act {
    after: u64,
    id: u32,
    direction: Direction,
    bytes: u64,
}

/// A model with two connections, and what has yet to be written.
struct Run {
    model: Model,
    now: Instant,
    course: Course,
    unsent: [[u64; 2]; 2],
}

impl Run {
    fn new(profile: &Profile, seed: u64, control: CongestionControl, singly: bool) -> Self {
        let links = Link::both(profile, seed, "trains");
        let mut model = Model::new(links, control, Memory::default());
        if singly {
            model.send_singly();
        }
        let (now, course) = (Instant::START, Course::default());
        Self { model, now, course, unsent: [[0; 2]; 2] }
    }

    /// Takes all that happens at this moment, and lets the programs read and write.
    fn settle(&mut self) {
        loop {
            let mut read = Vec::new();
            while let Some(event) = self.model.poll(self.now) {
                self.note(event, &mut read);
            }
            let mut moved = false;
            for (id, direction, bytes) in read {
                self.model.consumed(self.now, id, direction, bytes);
            }
            for id in 1..=2u32 {
                for direction in Direction::BOTH {
                    let unsent = &mut self.unsent[id as usize - 1][direction.index()];
                    let bytes = (self.model.room(id, direction) as u64).min(*unsent);
                    if bytes > 0 {
                        *unsent -= bytes;
                        let piece = Bytes::from(vec![7; bytes as usize]);
                        self.model.push(self.now, id, direction, piece);
                        moved = true;
                    }
                }
            }
            if !moved && self.model.deadline().is_none_or(|at| at > self.now) {
                return;
            }
        }
    }

    fn note(&mut self, event: Event, read: &mut Vec<(u32, Direction, usize)>) {
        let now = self.now;
        let course = &mut self.course;
        match event {
            Event::Established { id } => course.deeds.push(Deed::Established(now, id)),
            Event::Data { id, direction, bytes } => {
                read.push((id, direction, bytes.len()));
                match course.deeds.last_mut() {
                    Some(Deed::Data(at, last, of, count))
                        if (*at, *last, *of) == (now, id, direction) =>
                    {
                        *count += bytes.len();
                    }
                    _ => course.deeds.push(Deed::Data(now, id, direction, bytes.len())),
                }
            }
            Event::End { id, direction } => course.deeds.push(Deed::End(now, id, direction)),
            Event::Reset { id, direction } => course.deeds.push(Deed::Reset(now, id, direction)),
            Event::Closed { id } => course.deeds.push(Deed::Closed(now, id)),
            Event::Packet(direction, output) => {
                course.events += 1;
                let reason = match &output {
                    Output::Deliver(_) => None,
                    Output::Discard(_, reason) => Some(*reason),
                };
                let fates = output.packet().singles().map(|one| Fate::of(&one, reason));
                course.fates[direction.index()].extend(fates);
            }
            Event::Arrived(direction, packet) => {
                let fates = packet.singles().map(|one| Fate::of(&one, None));
                course.arrived[direction.index()].extend(fates);
            }
            _ => {}
        }
    }

    fn run_until(&mut self, until: Instant) {
        self.settle();
        while let Some(at) = self.model.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = self.now.max(until);
    }

    fn act(&mut self, act: &Act) {
        self.run_until(self.now + Duration::from_millis(act.after));
        match act.bytes % 16 {
            0 => self.model.finish(self.now, act.id, act.direction),
            1 if act.after.is_multiple_of(8) => self.model.reset(self.now, act.id, act.direction),
            _ => self.unsent[act.id as usize - 1][act.direction.index()] += act.bytes,
        }
    }

    fn finish(mut self) -> Course {
        self.run_until(Instant::from_secs(3000));
        let links = Direction::BOTH.map(|direction| *self.model.link(direction).counters());
        let trips = self.model.round_trips();
        self.course.counters = format!(
            "{links:?} {:?} {} {:?} {:?}",
            self.model.counters(),
            trips.count(),
            trips.percentile(50.0),
            trips.most(),
        );
        self.course
    }
}

fn course(
    profile: &Profile,
    seed: u64,
    control: CongestionControl,
    acts: &[Act],
    singly: bool,
) -> Course {
    let mut run = Run::new(profile, seed, control, singly);
    run.model.open(run.now, 1);
    run.model.open(run.now, 2);
    acts.iter().for_each(|act| run.act(act));
    run.finish()
}

fn rule() -> impl Strategy<Value = Value> {
    let chance =
        || (0u32..150).prop_map(|tenths| json!(format!("{}.{}%", tenths / 10, tenths % 10)));
    let queue = || {
        prop_oneof![
            (3u32..400).prop_map(|kib| json!(format!("{kib}KiB"))),
            (2u32..300).prop_map(|packets| json!(format!("{packets} packets"))),
        ]
    };
    let discipline =
        prop::sample::select(vec!["tail", "head", "codel", "pie", "fq_codel", "dualpi2"]);
    let selection = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({ "per": "flow" })),
        1 => Just(json!({ "flows": "50%" })),
        1 => (1u32..400).prop_map(|first| json!({ "match": { "after": first, "first": 50 } })),
        1 => Just(json!({ "match": { "size": { "min": "100B" } } })),
        1 => Just(json!({ "match": { "flow": 2 } })),
    ];
    let kind = prop_oneof![
        3 => chance().prop_map(|chance| json!({ "rule": "drop", "chance": chance })),
        1 => (1.0f64..30.0).prop_map(|length| {
            json!({ "rule": "drop", "burst": { "mean": "2%", "length": length } })
        }),
        1 => (2u32..200).prop_map(|every| json!({ "rule": "drop", "every": every })),
        2 => chance().prop_map(|chance| json!({ "rule": "mark", "chance": chance })),
        1 => chance().prop_map(|chance| json!({ "rule": "corrupt", "chance": chance })),
        1 => Just(json!({ "rule": "corrupt", "bit_error_rate": 1e-6 })),
        1 => (chance(), 0u32..9).prop_map(|(chance, gap)| {
            json!({ "rule": "duplicate", "chance": chance, "gap": format!("{gap}ms") })
        }),
        3 => (1u32..400, queue(), discipline).prop_map(|(mbit, queue, discipline)| {
            let limit = format!("{mbit}Mbit/s");
            json!({ "rule": "rate", "limit": limit, "queue": queue, "discipline": discipline })
        }),
        5 => (0u32..60).prop_map(|ms| json!({ "rule": "delay", "time": format!("{ms}ms") })),
        2 => (1u32..60, any::<bool>()).prop_map(|(ms, reorder)| {
            let (time, jitter) = (format!("{ms}ms"), format!("{}us", ms * 400));
            json!({ "rule": "delay", "time": time, "jitter": jitter, "reorder": reorder })
        }),
        1 => (chance(), 1u32..9).prop_map(|(chance, behind)| {
            json!({ "rule": "reorder", "chance": chance, "behind": behind, "at_most": "20ms" })
        }),
        1 => chance().prop_map(|chance| json!({ "rule": "reorder", "chance": chance, "ahead": true })),
        1 => (1u32..30).prop_map(|ms| json!({ "rule": "batch", "window": format!("{ms}ms") })),
        1 => any::<bool>().prop_map(|hold| {
            json!({ "rule": "outage", "up": "300ms", "down": "20ms", "hold": hold })
        }),
        1 => Just(json!({ "rule": "size", "max": "1400B" })),
    ];
    (kind, selection).prop_map(|(mut rule, selection)| {
        rule.as_object_mut().unwrap().extend(selection.as_object().unwrap().clone());
        rule
    })
}

/// Profiles with up to four rules each way, in up to three phases.
fn profile() -> impl Strategy<Value = Value> {
    let valid = |rules: Vec<Value>| {
        let is_valid =
            |rule: &Value| Profile::from_json(&json!({ "up": [rule] }).to_string()).is_ok();
        rules.into_iter().filter(is_valid).collect::<Vec<_>>()
    };
    let lists = move || {
        (vec(rule(), 0..5), vec(rule(), 0..4))
            .prop_map(move |(up, down)| json!({ "up": valid(up), "down": valid(down) }))
    };
    (lists(), vec((lists(), 5u32..400), 0..3)).prop_map(|(mut profile, phases)| {
        if !phases.is_empty() {
            let phases = phases.into_iter().map(|(mut phase, ms)| {
                phase["for"] = json!(format!("{ms}ms"));
                phase
            });
            profile["phases"] = phases.collect();
            profile["then"] = json!("repeat");
        }
        profile
    })
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let bytes = prop_oneof![1u64..3000, 20_000u64..600_000];
    let act = (0u64..120, 1u32..3, any::<bool>(), bytes).prop_map(|(after, id, up, bytes)| Act {
        after,
        id,
        direction: if up { Direction::Up } else { Direction::Down },
        bytes,
    });
    vec(act, 1..12)
}

fn assert_equal(together: &Course, singly: &Course) {
    for direction in Direction::BOTH {
        for (ours, theirs) in [
            (&together.arrived[direction.index()], &singly.arrived[direction.index()]),
            (&together.fates[direction.index()], &singly.fates[direction.index()]),
        ] {
            let differs = ours.iter().zip(theirs).find(|(one, other)| one != other);
            assert_eq!(differs, None, "{direction}");
            assert_eq!(ours.len(), theirs.len(), "{direction}");
        }
    }
    assert_eq!(together.deeds, singly.deeds);
    assert_eq!(together.counters, singly.counters);
}

#[test]
fn trains_change_no_time_and_no_fate() {
    let controls = prop::sample::select(&CONTROLS[..]);
    let cases = (any::<u64>(), profile(), controls, acts());
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (events, packets, lost, of_controls) =
        (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new([0u32; CONTROLS.len()]));
    let result = runner.run(&cases, |(seed, profile, control, acts)| {
        // Rules that are right each for itself need not go together.
        let Ok(profile) = Profile::from_json(&profile.to_string()) else { return Ok(()) };
        let [together, singly] =
            [false, true].map(|singly| course(&profile, seed, control, &acts, singly));
        assert_equal(&together, &singly);
        events.set(events.get() + together.events);
        packets.set(packets.get() + singly.events);
        let discards = singly.fates.iter().flatten().filter(|fate| fate.discarded.is_some());
        lost.set(lost.get() + discards.count());
        let mut counts = of_controls.get();
        counts[CONTROLS.iter().position(|one| *one == control).unwrap()] += 1;
        of_controls.set(counts);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (events, packets, lost) = (events.get(), packets.get(), lost.get());
    assert!(packets > 300_000 && lost > 5000, "{packets} packets, {lost} lost");
    assert!(of_controls.get().iter().all(|count| *count > 50), "{of_controls:?}");
    assert!(events * 4 < packets * 3, "{events} events of {packets} packets");
}

#[test]
fn a_window_on_a_quiet_path_is_a_few_events() {
    let profile =
        Profile::from_json(r#"{ "both": [ { "rule": "delay", "time": "10ms" } ] }"#).unwrap();
    let act = Act { after: 0, id: 1, direction: Direction::Up, bytes: 10_000_002 };
    for control in CONTROLS {
        let [together, singly] =
            [false, true].map(|singly| course(&profile, 7, control, &[act], singly));
        assert_equal(&together, &singly);
        let packets: usize = together.fates.iter().map(Vec::len).sum();
        assert_eq!(singly.events, packets);
        assert!(packets > 10_000 && together.events < 500, "{} of {packets}", together.events);
    }
}

/// Returns the sizes of the pieces in which a megabyte comes out of a carrier with these rules.
fn pieces(rules: &str) -> Vec<usize> {
    let profile = Profile::from_json(&format!(r#"{{ "both": [ {rules} ] }}"#)).unwrap();
    let mode = TcpMode::Model(CongestionControl::Cubic);
    let mut carrier = Carrier::new(&profile, mode, 7, "trains", Memory::default());
    let (mut now, mut unsent, mut pieces) = (Instant::START, 1 << 20, Vec::new());
    carrier.open(now, 1);
    while unsent > 0 || carrier.deadline().is_some() {
        while let Some(event) = carrier.poll(now) {
            if let Event::Data { id, direction, bytes } = event {
                pieces.push(bytes.len());
                carrier.consumed(now, id, direction, bytes.len());
            }
        }
        let bytes = carrier.room(1, Direction::Up).min(unsent);
        if bytes > 0 {
            unsent -= bytes;
            carrier.push(now, 1, Direction::Up, vec![7; bytes].into());
        }
        now = carrier.deadline().unwrap_or(now).max(now);
    }
    assert_eq!(pieces.iter().sum::<usize>(), 1 << 20);
    pieces
}

#[test]
fn rules_on_streams_look_at_the_bytes_of_each_segment() {
    let delay = r#"{ "rule": "delay", "time": "10ms" }"#;
    assert!(pieces(delay).len() < 50);
    let stall = format!(r#"{delay}, {{ "rule": "stall", "after": "2MiB" }}"#);
    let pieces = pieces(&stall);
    assert!(pieces.len() >= (1 << 20) / 1448 && pieces.iter().all(|bytes| *bytes <= 1448));
}
