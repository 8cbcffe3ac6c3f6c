//! What carries a route's streams over its links: the rules on the stream itself, or the TCP model. Both speak alike.

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::profile::Timeline;
use jostle_common::protocol::rtt::RoundTrips;
use jostle_common::route::{Route, TcpMode};
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::raw::RawStreams;
use jostle_engine::stage::Stage;
use jostle_engine::tcp::{Budget, Counters, Event, Model};

/// A route's streams and links.
#[derive(Debug)]
pub(super) enum Carrier {
    /// The rules act on the stream.
    Raw(RawStreams),
    /// The rules act on the segments of a modelled sender.
    Model(Model),
}

/// Calls the same method of either.
macro_rules! either {
    ($carrier:expr, $method:ident($($argument:expr),*)) => {
        match $carrier {
            Self::Raw(raw) => raw.$method($($argument),*),
            Self::Model(model) => model.$method($($argument),*),
        }
    };
}

impl Carrier {
    /// A carrier over the links of the route's profile. `budget` is shared by all carriers of the process.
    pub(super) fn new(route: &Route, seed: u64, budget: Budget) -> Self {
        let links = Link::both(&route.profile, seed, route.drawn_as());
        match route.tcp {
            TcpMode::Raw(unit) => {
                Self::Raw(RawStreams::new(links, unit, route.profile.makes_copies(), budget))
            }
            TcpMode::Model(control) => Self::Model(Model::new(links, control, budget)),
        }
    }

    pub(super) const fn link(&self, direction: Direction) -> &Link {
        either!(self, link(direction))
    }

    /// What the modelled senders did, and the round trips that they sampled; `None` when nothing is modelled.
    pub(super) fn senders(&self) -> Option<(Counters, &RoundTrips)> {
        match self {
            Self::Raw(_) => None,
            Self::Model(model) => Some((model.counters(), model.round_trips())),
        }
    }

    pub(super) fn set_timeline(&mut self, now: Instant, direction: Direction, timeline: &Timeline) {
        either!(self, set_timeline(now, direction, timeline));
    }

    pub(super) fn open(&mut self, now: Instant, id: u32) {
        either!(self, open(now, id));
    }

    pub(super) fn room(&self, id: u32, direction: Direction) -> usize {
        either!(self, room(id, direction))
    }

    pub(super) fn push(&mut self, now: Instant, id: u32, direction: Direction, bytes: Bytes) {
        either!(self, push(now, id, direction, bytes));
    }

    pub(super) fn finish(&mut self, now: Instant, id: u32, direction: Direction) {
        either!(self, finish(now, id, direction));
    }

    pub(super) fn reset(&mut self, now: Instant, id: u32, direction: Direction) {
        either!(self, reset(now, id, direction));
    }

    pub(super) fn consumed(&mut self, now: Instant, id: u32, direction: Direction, bytes: usize) {
        either!(self, consumed(now, id, direction, bytes));
    }

    pub(super) fn poll(&mut self, now: Instant) -> Option<Event> {
        either!(self, poll(now))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        either!(self, deadline())
    }

    /// Whether nothing is under way. A modelled connection has something under way as long as a segment or a timer is.
    pub(super) fn is_drained(&self) -> bool {
        match self {
            Self::Raw(raw) => raw.is_drained(),
            Self::Model(model) => {
                model.deadline().is_none()
                    && Direction::BOTH.iter().all(|&direction| model.link(direction).held() == 0)
            }
        }
    }
}
