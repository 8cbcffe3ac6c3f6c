//! A carrier adopts connections that stand, and lets go of those of which nothing is under way.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::carrier::Carrier;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::{CongestionControl, TcpMode, Unit};
use jostle_engine::tcp::Event;

const MODES: [TcpMode; 5] = [
    TcpMode::Model(CongestionControl::Cubic),
    TcpMode::Model(CongestionControl::Reno),
    TcpMode::Raw(Unit::Line),
    TcpMode::Raw(Unit::Bytes(1000)),
    TcpMode::Raw(Unit::Read),
];

const DELAY: &str = r#"{ "both": [ { "rule": "delay", "time": "10ms" } ] }"#;

/// A carrier in virtual time.
struct Run {
    carrier: Carrier,
    memory: Memory,
    now: Instant,
    /// Bytes handed out, per direction.
    bytes: [Vec<u8>; 2],
    /// Whether they are consumed at once.
    reading: bool,
    /// Everything else that came out, but for packets.
    events: Vec<Event>,
}

impl Run {
    fn new(profile: &str, mode: TcpMode) -> Self {
        let (profile, memory) = (Profile::from_json(profile).unwrap(), Memory::default());
        Self {
            carrier: Carrier::new(&profile, mode, 7, "1", memory.clone()),
            memory,
            now: Instant::START,
            bytes: Default::default(),
            reading: true,
            events: Vec::new(),
        }
    }

    fn take(&mut self) {
        while let Some(event) = self.carrier.poll(self.now) {
            match event {
                Event::Packet(..) => {}
                Event::Data { id, direction, bytes } => {
                    self.bytes[direction.index()].extend_from_slice(&bytes);
                    if self.reading {
                        self.carrier.consumed(self.now, id, direction, bytes.len());
                    }
                }
                other => self.events.push(other),
            }
        }
    }

    /// Goes on for so many milliseconds.
    fn run(&mut self, ms: u64) {
        let until = self.now.plus_nanos(ms * 1_000_000);
        self.take();
        while let Some(at) = self.carrier.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.take();
        }
        self.now = until;
    }

    fn push(&mut self, direction: Direction, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.carrier.push(self.now, 1, direction, bytes);
    }

    fn release(&mut self) -> bool {
        self.carrier.release(self.now, 1)
    }
}

fn text(count: usize) -> Vec<u8> {
    (0..count)
        .map(|place| if place % 71 == 70 { b'\n' } else { b'a' + (place % 26) as u8 })
        .collect()
}

#[test]
fn an_adopted_connection_talks_at_once_and_is_let_go_when_it_is_quiet() {
    for mode in MODES {
        let mut run = Run::new(DELAY, mode);
        run.carrier.adopt(run.now, 1);
        assert!(run.release(), "{mode:?}: nothing is under way yet");
        run.carrier.adopt(run.now, 1);
        let text = text(5000);
        run.push(Direction::Up, &text);
        run.push(Direction::Down, &text);
        assert!(!run.release(), "{mode:?}: all of it is under way");
        run.run(11);
        assert!(!run.bytes[0].is_empty(), "{mode:?}: no handshake has to cross first");
        run.run(1000);
        assert!(run.bytes == [text.clone(), text.clone()], "{mode:?}");
        assert!(run.release(), "{mode:?}");
        run.run(1000);
        assert_eq!(run.events, [], "{mode:?}: it was established and is not closed");
        assert_eq!((run.memory.used(), run.carrier.is_drained()), (0, true), "{mode:?}");
        // What another one does is not disturbed, and the same one may come back.
        run.carrier.adopt(run.now, 1);
        run.push(Direction::Up, b"again\n");
        run.run(1000);
        assert!(run.bytes[0].ends_with(b"again\n"), "{mode:?}");
    }
}

#[test]
fn what_is_not_consumed_or_is_an_end_keeps_it() {
    for mode in MODES {
        let mut run = Run::new(DELAY, mode);
        run.carrier.adopt(run.now, 1);
        run.reading = false;
        run.push(Direction::Up, b"waits for its reader\n");
        run.run(1000);
        assert!(!run.release(), "{mode:?}: it was not consumed");
        run.carrier.consumed(run.now, 1, Direction::Up, run.bytes[0].len());
        run.carrier.finish(run.now, 1, Direction::Up);
        assert!(!run.release(), "{mode:?}: the end is under way");
        run.run(1000);
        assert_eq!(run.events, [Event::End { id: 1, direction: Direction::Up }], "{mode:?}");
        assert!(run.release(), "{mode:?}: half of it has ended, the other is quiet");
        run.carrier.adopt(run.now, 1);
        run.carrier.reset(run.now, 1, Direction::Down);
        assert!(!run.release(), "{mode:?}: the reset is under way");
        run.run(1000);
        let reset = Event::Reset { id: 1, direction: Direction::Down };
        assert_eq!(run.events[1..], [reset, Event::Closed { id: 1 }], "{mode:?}");
        assert_eq!(run.memory.used(), 0, "{mode:?}");
    }
}

#[test]
fn a_lossy_link_keeps_a_modelled_connection_until_all_has_arrived() {
    for control in [CongestionControl::Cubic, CongestionControl::Reno] {
        let lossy = r#"{ "both": [ { "rule": "drop", "chance": "20%" },
            { "rule": "delay", "time": "5ms" } ] }"#;
        let mut run = Run::new(lossy, TcpMode::Model(control));
        run.carrier.adopt(run.now, 1);
        let text = text(100_000);
        run.push(Direction::Up, &text);
        let mut waited = 0;
        while !run.release() {
            run.run(10);
            waited += 1;
            assert!(waited < 100_000);
        }
        assert!(run.bytes[0] == text, "{control:?}");
        assert_eq!(run.memory.used(), 0, "{control:?}");
    }
}
