//! The carrier of a route's streams: the links that they cross, and behind them the rules on what
//! is delivered.
//!
//! Bytes that a rule behind the links holds were not consumed: the window keeps the sender back.
//! Without such rules this layer is a test of one pointer per call.

mod streams;

use crate::delivered::{Delivered, Demand};
use crate::flow::FlowFacts;
use crate::link::Link;
use crate::memory::Memory;
use crate::profile::{Profile, Timeline};
use crate::route::TcpMode;
use crate::tcp::{Counters, Event};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::sync::Arc;
use std::time::Duration;
use streams::Streams;

/// The most pieces of work that are caught up with before the rules change: those on streams that
/// the caller has yet to poll for. What is more is done under the new rules.
const WORK_BEFORE_CHANGE: usize = 4096;

/// A route's streams and links.
#[derive(Debug)]
pub struct Carrier {
    streams: Streams,
    /// The rules on what is delivered; `None` as long as there is none.
    delivered: Option<Box<Delivered>>,
    /// The time up to which the streams were driven.
    clock: Instant,
}

impl Carrier {
    /// Creates a carrier over the links of `profile`, with the draws that a route called `route`
    /// has under `seed`. `memory` is shared by all carriers of the process.
    pub fn new(profile: &Profile, mode: TcpMode, seed: u64, route: &str, memory: Memory) -> Self {
        let streams = Streams::new(profile, mode, seed, route, memory);
        let mut carrier = Self { streams, delivered: None, clock: Instant::START };
        for direction in Direction::BOTH {
            carrier.set_stream_rules(Instant::START, direction, profile.timeline(direction));
        }
        carrier
    }

    /// Returns the link of a direction.
    pub const fn link(&self, direction: Direction) -> &Link {
        self.streams.link(direction)
    }

    /// Returns true if an `outage` rule cuts the route for everybody in either direction at `now`,
    /// which never goes back, and the time at which that may change.
    pub fn is_cut_at(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let [up, down] = self.streams.links_mut().map(|link| link.is_cut_at(now));
        (up.0 || down.0, up.1.into_iter().chain(down.1).min())
    }

    /// Returns the counters of the modelled senders and the round trips that they sampled; `None`
    /// when nothing is modelled.
    pub fn senders(&self) -> Option<(Counters, &RoundTrips)> {
        self.streams.senders()
    }

    /// Lets the time of the rules begin at `at`, unless it has.
    pub fn begin(&mut self, at: Instant) {
        self.streams.links_mut().into_iter().for_each(|link| link.begin(at));
    }

    /// Numbers the packets of both links from behind `number` on, as [`Link::number_from`] does.
    pub fn number_from(&mut self, number: u64) {
        self.streams.links_mut().into_iter().for_each(|link| link.number_from(number));
    }

    /// Tells of each packet and mark that enters a link from now on, as [`Event::Arrived`].
    pub fn tell_arrivals(&mut self) {
        self.streams.tell_arrivals();
    }

    /// Lets the caller answer the handshakes of connections from now on, where they are modelled:
    /// [`Event::SynReceived`] tells that one has arrived, [`accept`](Self::accept) or
    /// [`reset`](Self::reset) answers it, and [`Event::Connected`] tells that the client knows. As
    /// long as it is not answered the client repeats it, and gives up at last.
    pub const fn answer_handshakes(&mut self) {
        self.streams.answer_handshakes();
    }

    /// Accepts a connection whose SYN has arrived. Returns false if none waits for that, as on a
    /// raw stream, which has no handshake.
    pub fn accept(&mut self, now: Instant, id: u32) -> bool {
        self.catch_up(now);
        self.streams.accept(now, id)
    }

    /// Changes the rules of one direction.
    pub fn set_timeline(&mut self, now: Instant, direction: Direction, timeline: &Timeline) {
        self.catch_up(now);
        self.streams.set_timeline(now, direction, timeline);
        self.set_stream_rules(now, direction, timeline);
    }

    fn set_stream_rules(&mut self, now: Instant, direction: Direction, timeline: &Timeline) {
        if self.delivered.is_none() && !timeline.has_stream_rules() {
            return;
        }
        self.work_up_to(now);
        if self.delivered.is_none() {
            let keys = Direction::BOTH.map(|direction| self.link(direction).key().clone());
            let mut delivered = Box::new(Delivered::new(keys));
            for id in self.streams.ids() {
                delivered.establish(now, id, self.streams.links_mut());
            }
            self.delivered = Some(delivered);
            // The rules look at each piece.
            self.streams.hand_out_each(true);
            self.clock = self.clock.max(now);
        }
        self.with_delivered(|delivered, [up, down], demands| {
            let link = if direction == Direction::Up { up } else { down };
            delivered.set_timeline(now, link, timeline, demands);
        });
    }

    /// Does what is due of the rules behind the links before these change, within bounds.
    fn work_up_to(&mut self, now: Instant) {
        for _ in 0..WORK_BEFORE_CHANGE {
            if !self.work_behind(now) {
                break;
            }
        }
    }

    /// Learns another fact of a connection that has opened: rules that ask for it look at the
    /// connection from now on. One that is over is left alone.
    pub fn tell(&mut self, now: Instant, id: u32, facts: &Arc<FlowFacts>) {
        self.catch_up(now);
        if self.link(Direction::Up).facts(id).is_none() {
            return;
        }
        self.streams.links_mut().into_iter().for_each(|link| link.tell(now, id, facts));
        if self.delivered.is_some() {
            self.work_up_to(now);
            self.with_delivered(|delivered, links, demands| {
                delivered.learn(now, id, links, demands);
            });
        }
    }

    /// Notes what is known of a connection that begins.
    fn note(&mut self, now: Instant, id: u32, facts: &Arc<FlowFacts>) {
        self.streams.links_mut().into_iter().for_each(|link| link.tell(now, id, facts));
    }

    /// Returns the smoothed round-trip time of a connection, as the modelled sender has it that
    /// sent more; `None` before its first sample, and when nothing is modelled.
    pub fn round_trip(&self, id: u32) -> Option<Duration> {
        self.streams.round_trip(id)
    }

    /// Forgets a connection, whatever is under way: that reaches nobody. Of its packets the fates
    /// are still told, of itself nothing.
    pub fn abandon(&mut self, now: Instant, id: u32) {
        self.catch_up(now);
        if let Some(delivered) = &mut self.delivered {
            delivered.abandon(id);
        }
        self.streams.abandon(now, id);
        self.streams.drop_events(id);
    }

    /// Takes in a connection, whose id is new, and which begins now.
    pub fn open(&mut self, now: Instant, id: u32) {
        self.open_known(now, id, &Arc::new(FlowFacts::since(now)));
    }

    /// Takes in a connection, whose id is new, and of which these facts are known.
    pub fn open_known(&mut self, now: Instant, id: u32, facts: &Arc<FlowFacts>) {
        self.catch_up(now);
        self.note(now, id, facts);
        if let Some(delivered) = &mut self.delivered {
            delivered.open(now, id, self.streams.links_mut());
        }
        self.streams.open(now, id);
    }

    /// Takes in a connection that stands already, between two programs that go on talking: it
    /// needs no handshake. Its age counts from now on.
    pub fn adopt(&mut self, now: Instant, id: u32) {
        self.adopt_known(now, id, &Arc::new(FlowFacts::since(now)));
    }

    /// Takes in a connection that stands already and of which these facts are known.
    pub fn adopt_known(&mut self, now: Instant, id: u32, facts: &Arc<FlowFacts>) {
        self.catch_up(now);
        self.note(now, id, facts);
        if let Some(delivered) = &mut self.delivered {
            delivered.establish(now, id, self.streams.links_mut());
        }
        self.streams.adopt(now, id);
    }

    /// Lets go of a connection of which nothing is under way, and forgets it without an event.
    /// Returns false if something is, or waits to be [consumed](Self::consumed).
    pub fn release(&mut self, now: Instant, id: u32) -> bool {
        self.catch_up(now);
        let is_empty = |delivered: &Delivered| delivered.is_empty(id);
        if !self.delivered.as_deref().is_none_or(is_empty) || !self.streams.release(now, id) {
            return false;
        }
        self.delivered.as_mut().is_none_or(|delivered| delivered.release(id))
    }

    /// Returns the number of bytes that a connection takes in this direction now.
    pub fn room(&self, id: u32, direction: Direction) -> usize {
        self.streams.room(id, direction)
    }

    /// Returns true if a connection takes nothing in this direction because a modelled sender has
    /// yet to send what it holds: [`Event::Room`] tells when it has.
    pub fn is_sending(&self, id: u32, direction: Direction) -> bool {
        self.streams.is_sending(id, direction)
    }

    /// Takes bytes that the sender of this direction wrote, no more than there is room for.
    pub fn push(&mut self, now: Instant, id: u32, direction: Direction, bytes: Bytes) {
        self.catch_up(now);
        self.streams.push(now, id, direction, bytes);
    }

    /// Takes the end of the sender's stream in this direction (FIN).
    pub fn finish(&mut self, now: Instant, id: u32, direction: Direction) {
        self.catch_up(now);
        self.streams.finish(now, id, direction);
    }

    /// Takes the sender's reset of the connection in this direction (RST).
    pub fn reset(&mut self, now: Instant, id: u32, direction: Direction) {
        self.catch_up(now);
        self.streams.reset(now, id, direction);
    }

    /// Notes that the receiver of this direction has taken `bytes` of those that came out.
    pub fn consumed(&mut self, now: Instant, id: u32, direction: Direction, bytes: usize) {
        self.catch_up(now);
        self.streams.consumed(now, id, direction, bytes);
    }

    /// Returns the next event at or before `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Event> {
        loop {
            let Some(delivered) = &mut self.delivered else { return self.streams.poll(now) };
            if let Some(event) = delivered.next_event() {
                return Some(event);
            }
            // In the order of time, the rules behind the links first: so what they do does not
            // depend on when they are asked.
            let crossing = self.next_crossing();
            let until = crossing.map_or(now, |at| at.min(now));
            if !self.work_behind(until) && !self.cross(now) {
                if self.delivered.take_if(|delivered| delivered.is_idle()).is_some() {
                    self.streams.hand_out_each(false);
                }
                return None;
            }
        }
    }

    /// Returns when `poll` may next have something; `None`: not before another call.
    pub fn deadline(&self) -> Option<Instant> {
        let Some(delivered) = &self.delivered else { return self.streams.deadline() };
        if delivered.has_events() {
            return Some(self.clock);
        }
        self.streams.deadline().into_iter().chain(delivered.next_work()).min()
    }

    /// Lets cross traffic go on up to `now` though nothing is under way, and returns when that is
    /// worth doing again; `None`: there is none. Called when `poll` has nothing more.
    pub fn keep_up(&mut self, now: Instant) -> Option<Instant> {
        let links = self.streams.links_mut();
        links.map(|link| link.keep_up(now)).into_iter().flatten().min()
    }

    /// Returns true if nothing is under way. A modelled connection has something under way as long
    /// as a segment or a timer is.
    pub fn is_drained(&self) -> bool {
        self.streams.is_drained() && self.delivered.as_ref().is_none_or(|all| all.is_drained())
    }

    /// Returns when the streams have something next.
    fn next_crossing(&self) -> Option<Instant> {
        self.streams.deadline().map(|at| at.max(self.clock))
    }

    /// Takes what comes out of the links next, at or before `now`, with its time. Returns false if
    /// there is nothing.
    fn cross(&mut self, now: Instant) -> bool {
        let Some(at) = self.next_crossing().filter(|at| *at <= now) else { return false };
        self.clock = at;
        let Some(event) = self.streams.poll(at) else { return true };
        self.with_delivered(|delivered, links, demands| {
            if delivered.awaits_epoch() {
                let [up, down] = links;
                delivered.begin([&mut *up, &mut *down], demands);
                if let Event::Established { id } = event {
                    delivered.establish(at, id, [up, down]);
                }
            } else if let Event::Established { id } = event {
                delivered.establish(at, id, links);
            }
            delivered.handle(at, event);
        });
        true
    }

    /// Takes all that has come out of the links by `now`, so that what a call brings comes behind
    /// it. What the rules do with it waits for `poll`.
    fn catch_up(&mut self, now: Instant) {
        if self.delivered.is_some() {
            while self.cross(now) {}
            self.clock = self.clock.max(now);
        }
    }

    /// Does the next piece of work of the rules behind the links, due at or before `now`. Returns
    /// false if there is none.
    fn work_behind(&mut self, now: Instant) -> bool {
        let due = self.delivered.as_ref().and_then(|delivered| delivered.next_work());
        let Some(at) = due.filter(|at| *at <= now) else { return false };
        self.with_delivered(|delivered, links, demands| delivered.step(at, links, demands));
        true
    }

    /// Lets the rules behind the links do something, and does what they demand.
    fn with_delivered(
        &mut self,
        act: impl FnOnce(&mut Delivered, [&mut Link; 2], &mut Vec<Demand>),
    ) {
        let Some(delivered) = &mut self.delivered else { return };
        let mut demands = Vec::new();
        act(delivered, self.streams.links_mut(), &mut demands);
        for demand in demands {
            match demand {
                Demand::Consume(id, direction, bytes) => {
                    self.streams.consumed(self.clock, id, direction, bytes);
                }
                Demand::Abandon(id) => self.streams.abandon(self.clock, id),
            }
        }
    }
}
