//! Connections through a carrier in virtual time, and what a relay is told of them.

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::carrier::Carrier;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::{TcpMode, Unit};
use jostle_engine::tcp::Event;

pub(crate) const UP: Direction = Direction::Up;
pub(crate) const DOWN: Direction = Direction::Down;
pub(crate) const RAW: TcpMode = TcpMode::Raw(Unit::Read);

pub(crate) fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A thing that a relay is told, and when it was polled for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Data(Direction, usize),
    End(Direction),
    Reset(Direction),
    CloseBoth,
    ResetBoth,
    Discarded(Direction, String, usize),
    Closed,
}

/// Connections through a carrier, whose receivers take all that comes.
pub(crate) struct Run {
    pub(crate) carrier: Carrier,
    pub(crate) memory: Memory,
    pub(crate) now: Instant,
    /// By connection.
    pub(crate) told: Vec<(Instant, u32, Told)>,
    /// The bytes of connection 1, by direction.
    pub(crate) bytes: [Vec<u8>; 2],
    pub(crate) reading: bool,
}

impl Run {
    pub(crate) fn new(rules: &str, mode: TcpMode) -> Self {
        let memory = Memory::default();
        let carrier = Carrier::new(&profile(rules), mode, 7, "1", memory.clone());
        let bytes = Default::default();
        let mut run =
            Self { carrier, memory, now: Instant::START, told: Vec::new(), bytes, reading: true };
        run.open(1);
        run
    }

    pub(crate) fn open(&mut self, id: u32) {
        self.carrier.open(self.now, id);
        self.take();
    }

    pub(crate) fn take(&mut self) {
        while let Some(event) = self.carrier.poll(self.now) {
            let (id, told) = match event {
                Event::Data { id, direction, bytes } => {
                    assert!(!bytes.is_empty());
                    if id == 1 {
                        self.bytes[direction.index()].extend_from_slice(&bytes);
                    }
                    if self.reading {
                        self.carrier.consumed(self.now, id, direction, bytes.len());
                    }
                    (id, Told::Data(direction, bytes.len()))
                }
                Event::End { id, direction } => (id, Told::End(direction)),
                Event::Reset { id, direction } => (id, Told::Reset(direction)),
                Event::CloseBoth { id } => (id, Told::CloseBoth),
                Event::ResetBoth { id } => (id, Told::ResetBoth),
                Event::Closed { id } => (id, Told::Closed),
                Event::Discarded(direction, packet) => {
                    let place = packet.trace.rules.trailing_zeros() as u8;
                    let rule = self.carrier.link(direction).rule_key(place).to_owned();
                    (packet.flow, Told::Discarded(direction, rule, packet.size() as usize))
                }
                Event::Packet(..)
                | Event::Arrived(..)
                | Event::SynReceived { .. }
                | Event::Connected { .. }
                | Event::Established { .. }
                | Event::Room { .. } => continue,
            };
            self.told.push((self.now, id, told));
        }
    }

    /// Goes to a time, polling whenever something is due.
    pub(crate) fn until(&mut self, millis: u64) {
        while let Some(at) = self.carrier.deadline().filter(|at| *at <= ms(millis)) {
            self.now = self.now.max(at);
            self.take();
        }
        self.now = self.now.max(ms(millis));
    }

    /// Goes to a time without polling before.
    pub(crate) fn jump(&mut self, millis: u64) {
        self.now = ms(millis);
        self.take();
    }

    pub(crate) fn push(&mut self, direction: Direction, count: usize) {
        self.push_to(1, direction, count);
    }

    pub(crate) fn push_to(&mut self, id: u32, direction: Direction, count: usize) {
        let bytes: Bytes = (0..count).map(|at| at as u8).collect();
        self.carrier.push(self.now, id, direction, bytes);
    }

    /// Pushes bytes that follow the first `start`.
    pub(crate) fn push_from(&mut self, id: u32, direction: Direction, start: usize, count: usize) {
        let bytes: Bytes = (start..start + count).map(|at| at as u8).collect();
        self.carrier.push(self.now, id, direction, bytes);
    }

    pub(crate) fn finish(&mut self, direction: Direction) {
        self.carrier.finish(self.now, 1, direction);
    }

    pub(crate) fn set(&mut self, rules: &str) {
        let profile = profile(rules);
        for direction in Direction::BOTH {
            self.carrier.set_timeline(self.now, direction, profile.timeline(direction));
        }
        self.take();
    }

    /// Returns what was told of connection 1, and the milliseconds.
    pub(crate) fn seen(&self) -> Vec<(f64, Told)> {
        self.of(1)
    }

    pub(crate) fn of(&self, id: u32) -> Vec<(f64, Told)> {
        let own = self.told.iter().filter(|(_, one, _)| *one == id);
        own.map(|(at, _, told)| (at.as_nanos() as f64 / 1e6, told.clone())).collect()
    }
}

pub(crate) fn profile(rules: &str) -> Profile {
    Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#)).unwrap()
}
