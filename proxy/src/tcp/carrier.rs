//! What carries a route's streams over its links: the rules on the stream itself, or the TCP model. Both speak alike.

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::profile::{Rule, RuleKind};
use jostle_common::route::{Route, TcpMode, Unit};
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::raw::{Event, RawStreams};

/// A route's streams and links.
#[derive(Debug)]
pub(super) enum Carrier {
    /// The rules act on the stream.
    Raw(RawStreams),
}

/// What raw streams of a relay may hold together.
const RAW_BYTES_MAX: usize = 512 << 20;

impl Carrier {
    /// A carrier over the links of the route's profile.
    pub(super) fn new(route: &Route, seed: u64) -> Self {
        let links = Direction::BOTH.map(|direction| {
            let key = LinkKey { seed, route: route.name.clone(), direction };
            Link::new(key, route.profile.rules(direction))
        });
        let mut rules = Direction::BOTH.iter().flat_map(|&direction| route.profile.rules(direction));
        let copies = rules.any(|rule| matches!(rule.kind, RuleKind::Duplicate(_)));
        match route.tcp {
            TcpMode::Raw(unit) => Self::Raw(RawStreams::new(links, unit, copies)),
            TcpMode::Model(_) => Self::Raw(RawStreams::new(links, Unit::Read, copies)),
        }
    }

    pub(super) const fn link(&self, direction: Direction) -> &Link {
        match self {
            Self::Raw(raw) => raw.link(direction),
        }
    }

    pub(super) fn set_rules(&mut self, now: Instant, direction: Direction, rules: &[Rule]) {
        match self {
            Self::Raw(raw) => raw.set_rules(now, direction, rules),
        }
    }

    pub(super) fn open(&mut self, now: Instant, id: u32) {
        match self {
            Self::Raw(raw) => raw.open(now, id),
        }
    }

    pub(super) fn room(&self, id: u32, direction: Direction) -> usize {
        match self {
            Self::Raw(raw) if raw.memory() >= RAW_BYTES_MAX => 0,
            Self::Raw(raw) => raw.room(id, direction),
        }
    }

    pub(super) fn push(&mut self, now: Instant, id: u32, direction: Direction, bytes: Bytes) {
        match self {
            Self::Raw(raw) => raw.push(now, id, direction, bytes),
        }
    }

    pub(super) fn finish(&mut self, now: Instant, id: u32, direction: Direction) {
        match self {
            Self::Raw(raw) => raw.finish(now, id, direction),
        }
    }

    pub(super) fn reset(&mut self, now: Instant, id: u32, direction: Direction) {
        match self {
            Self::Raw(raw) => raw.reset(now, id, direction),
        }
    }

    pub(super) fn consumed(&mut self, now: Instant, id: u32, direction: Direction, bytes: usize) {
        match self {
            Self::Raw(raw) => raw.consumed(now, id, direction, bytes),
        }
    }

    pub(super) fn poll(&mut self, now: Instant) -> Option<Event> {
        match self {
            Self::Raw(raw) => raw.poll(now),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Raw(raw) => raw.deadline(),
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_drained(&self) -> bool {
        match self {
            Self::Raw(raw) => raw.is_drained(),
        }
    }
}
