//! The streams of a route over its links: the rules on the stream itself, or the TCP model. Both
//! speak alike.

use crate::link::Link;
use crate::memory::Memory;
use crate::profile::{Profile, Timeline};
use crate::raw::RawStreams;
use crate::route::TcpMode;
use crate::stage::Stage;
use crate::tcp::{Counters, Event, Model};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::time::Duration;

/// A route's streams and links.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a route has one of them")]
pub(super) enum Streams {
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

impl Streams {
    /// Creates streams over the links of `profile`, with the draws that a route called `route`
    /// has under `seed`. `memory` is shared by all streams of the process.
    pub(super) fn new(
        profile: &Profile,
        mode: TcpMode,
        seed: u64,
        route: &str,
        memory: Memory,
    ) -> Self {
        match mode {
            TcpMode::Raw(unit) => {
                let [up, down] = Direction::BOTH
                    .map(|direction| profile.timeline(direction).clone().let_senders_wait());
                let links = Link::both(&Profile { up, down, ..profile.clone() }, seed, route);
                Self::Raw(RawStreams::new(links, unit, memory))
            }
            TcpMode::Model(control) => {
                Self::Model(Model::new(Link::both(profile, seed, route), control, memory))
            }
        }
    }

    /// Returns the link of a direction.
    pub(super) const fn link(&self, direction: Direction) -> &Link {
        either!(self, link(direction))
    }

    /// Returns both links, up first.
    pub(super) const fn links_mut(&mut self) -> [&mut Link; 2] {
        either!(self, links_mut())
    }

    /// Returns the ids of all connections.
    pub(super) fn ids(&self) -> Vec<u32> {
        either!(self, ids())
    }

    /// Tells of each packet and mark that enters a link from now on.
    pub(super) fn tell_arrivals(&mut self) {
        either!(self, tell_arrivals());
    }

    /// Lets the shell answer the handshakes of connections from now on, where they are modelled.
    pub(super) const fn answer_handshakes(&mut self) {
        match self {
            Self::Raw(_) => {}
            Self::Model(model) => model.answer_handshakes(),
        }
    }

    /// Answers the SYN of a connection. Returns false if none waits for that.
    pub(super) fn accept(&mut self, now: Instant, id: u32) -> bool {
        match self {
            Self::Raw(_) => false,
            Self::Model(model) => model.accept(now, id),
        }
    }

    /// Hands the bytes of each modelled segment out by themselves, or those of several as one
    /// piece. Raw streams are handed out as they crossed.
    pub(super) const fn hand_out_each(&mut self, each: bool) {
        if let Self::Model(model) = self {
            model.hand_out_each(each);
        }
    }

    /// Forgets a connection, whatever is under way, without an event.
    pub(super) fn abandon(&mut self, now: Instant, id: u32) {
        either!(self, abandon(now, id));
    }

    /// Drops the events of a connection that were not polled yet; the fates of packets stay.
    pub(super) fn drop_events(&mut self, id: u32) {
        either!(self, drop_events(id));
    }

    /// Returns the counters of the modelled senders and the round trips that they sampled; `None`
    /// when nothing is modelled.
    pub(super) fn senders(&self) -> Option<(Counters, &RoundTrips)> {
        match self {
            Self::Raw(_) => None,
            Self::Model(model) => Some((model.counters(), model.round_trips())),
        }
    }

    /// Returns the smoothed round-trip time of a connection, if its senders are modelled.
    pub(super) fn round_trip(&self, id: u32) -> Option<Duration> {
        match self {
            Self::Raw(_) => None,
            Self::Model(model) => model.round_trip(id),
        }
    }

    /// Changes the rules of one direction.
    pub(super) fn set_timeline(&mut self, now: Instant, direction: Direction, timeline: &Timeline) {
        match self {
            // A speed limit is no reason for bytes to vanish, unless a queue was asked for.
            Self::Raw(raw) => {
                raw.set_timeline(now, direction, &timeline.clone().let_senders_wait());
            }
            Self::Model(model) => model.set_timeline(now, direction, timeline),
        }
    }

    /// Takes in a connection, whose id is new.
    pub(super) fn open(&mut self, now: Instant, id: u32) {
        either!(self, open(now, id));
    }

    /// Takes in a connection that stands already, between two programs that go on talking: it
    /// needs no handshake.
    pub(super) fn adopt(&mut self, now: Instant, id: u32) {
        either!(self, adopt(now, id));
    }

    /// Lets go of a connection of which nothing is under way, and forgets it without an event.
    /// Returns false if something is, or waits to be [consumed](Self::consumed).
    pub(super) fn release(&mut self, now: Instant, id: u32) -> bool {
        either!(self, release(now, id))
    }

    /// Returns the number of bytes that a connection takes in this direction now.
    pub(super) fn room(&self, id: u32, direction: Direction) -> usize {
        either!(self, room(id, direction))
    }

    /// Returns true if a connection takes nothing in this direction because a modelled sender has
    /// yet to send what it holds: [`Event::Room`] tells when it has.
    pub(super) fn is_sending(&self, id: u32, direction: Direction) -> bool {
        match self {
            Self::Raw(_) => false,
            Self::Model(model) => model.is_sending(id, direction),
        }
    }

    /// Takes bytes that the sender of this direction wrote, no more than there is room for.
    pub(super) fn push(&mut self, now: Instant, id: u32, direction: Direction, bytes: Bytes) {
        either!(self, push(now, id, direction, bytes));
    }

    /// Takes the end of the sender's stream in this direction (FIN).
    pub(super) fn finish(&mut self, now: Instant, id: u32, direction: Direction) {
        either!(self, finish(now, id, direction));
    }

    /// Takes the sender's reset of the connection in this direction (RST).
    pub(super) fn reset(&mut self, now: Instant, id: u32, direction: Direction) {
        either!(self, reset(now, id, direction));
    }

    /// Notes that the receiver of this direction has taken `bytes` of those that came out.
    pub(super) fn consumed(&mut self, now: Instant, id: u32, direction: Direction, bytes: usize) {
        either!(self, consumed(now, id, direction, bytes));
    }

    /// Returns the next event at or before `now`.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Event> {
        either!(self, poll(now))
    }

    /// Returns when `poll` may next have something; `None`: not before another call.
    pub(super) fn deadline(&self) -> Option<Instant> {
        either!(self, deadline())
    }

    /// Returns true if nothing is under way. A modelled connection has something under way as long
    /// as a segment or a timer is.
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
