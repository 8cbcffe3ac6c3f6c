//! Two programs at the ends of a model.

use crate::support::rules;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::route::CongestionControl;
use jostle_engine::stage::Output;
use jostle_engine::tcp::{Event, Model};
use std::collections::BTreeMap;
use std::time::Duration;

/// The receive window of a modelled connection.
pub(crate) const WINDOW: u64 = 6 << 20;

/// The payload of a full segment.
pub(crate) const SEGMENT: u64 = 1448;

pub(crate) const UP: Direction = Direction::Up;
pub(crate) const DOWN: Direction = Direction::Down;

/// A model over two links with these rules in each direction.
pub(crate) fn model(seed: u64, json: &str, memory: Memory) -> Model {
    let links = Direction::BOTH.map(|direction| {
        Link::new(LinkKey { seed, route: "test".into(), direction }, &rules(json))
    });
    Model::new(links, CongestionControl::Cubic, memory)
}

/// `count` bytes of a stream, from `start` on; no two places nearby look alike.
pub(crate) fn bytes(stream: u64, start: u64, count: u64) -> Bytes {
    (start..start + count)
        .map(|at| ((at + stream * 77).wrapping_mul(0x9E37_79B9) >> 16) as u8)
        .collect()
}

/// What has come of one direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ended: Option<Instant>,
    pub(crate) reset: Option<Instant>,
}

/// Two programs at the ends of a model, and what they saw.
pub(crate) struct Ends {
    pub(crate) model: Model,
    pub(crate) now: Instant,
    pub(crate) received: BTreeMap<(u32, Direction), Received>,
    pub(crate) established: BTreeMap<u32, Instant>,
    pub(crate) closed: Vec<u32>,
    pub(crate) fates: [u64; 2],
    /// Whether what arrives is consumed at once.
    pub(crate) reading: bool,
}

impl Ends {
    pub(crate) fn new(model: Model) -> Self {
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
    pub(crate) fn connected(seed: u64, json: &str) -> Self {
        let mut ends = Self::new(model(seed, json, Memory::default()));
        ends.model.open(ends.now, 1);
        ends
    }

    /// Takes in all events of this moment.
    pub(crate) fn take(&mut self) {
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
    pub(crate) fn run(&mut self, until: Instant) {
        self.take();
        while let Some(at) = self.model.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.take();
        }
        self.now = self.now.max(until);
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        self.run(self.now + Duration::from_millis(ms));
    }

    pub(crate) fn push(&mut self, direction: Direction, start: u64, count: u64) {
        let piece = bytes(direction.index() as u64, start, count);
        self.model.push(self.now, 1, direction, piece);
    }

    pub(crate) fn received(&self, direction: Direction) -> &[u8] {
        self.received.get(&(1, direction)).map_or(&[], |received| &received.bytes)
    }

    pub(crate) fn ended(&self, direction: Direction) -> Option<Instant> {
        self.received.get(&(1, direction)).and_then(|received| received.ended)
    }

    pub(crate) fn reset(&self, direction: Direction) -> Option<Instant> {
        self.received.get(&(1, direction)).and_then(|received| received.reset)
    }

    /// Every packet that entered a link, and every copy, has come out and was reported.
    pub(crate) fn assert_conserved(&self) {
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

pub(crate) const LINE: &str =
    r#"{ "rule": "rate", "limit": "10Mbit/s" }, { "rule": "delay", "time": "20ms" }"#;
