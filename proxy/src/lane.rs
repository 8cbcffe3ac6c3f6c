//! One direction of a UDP relay: its link, and the rule that arrivals never go back in time.

use crate::ledger::Ledger;
use crate::summary::LinkSummary;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Timeline;
use jostle_engine::route::Route;
use jostle_engine::stage::{Output, Stage};

/// Memory that the packets in a lane may take. At 1 Gbit/s it is two seconds of delay.
const BYTES_MAX: usize = 256 << 20;

/// What a packet takes beside its payload; an empty one is not free.
const PACKET_BYTES: usize = size_of::<Packet>();

/// The most packets taken out of a link in one go, so that sockets are read between.
const OUTPUTS_MAX: usize = 1024;

/// A link with the sockets' view of it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) link: Link,
    pub(crate) ledger: Ledger,
    /// What has left the link and is not yet sent, discards included.
    pub(crate) outputs: Vec<Output>,
    /// No packet may arrive earlier: the last arrival, or the time up to which the link has been
    /// worked off.
    floor: Instant,
    bytes: usize,
}

impl Lane {
    pub(crate) fn new(route: &Route, seed: u64, direction: Direction) -> Self {
        let key = LinkKey { seed, route: route.drawn_as().into(), direction };
        Self {
            link: Link::new(key, route.profile.timeline(direction)),
            ledger: Ledger::new(&route.name, Transport::Udp, direction),
            outputs: Vec::new(),
            floor: Instant::START,
            bytes: 0,
        }
    }

    /// Lets a datagram of `flow` enter, which arrived at `stamp`. Refuses it when the lane is full.
    #[must_use]
    pub(crate) fn enter(&mut self, flow: u32, stamp: Instant, payload: Bytes) -> bool {
        self.ledger.bytes_in += payload.len() as u64;
        let bytes = payload.len() + PACKET_BYTES;
        if self.bytes + bytes > BYTES_MAX {
            return false;
        }
        self.bytes += bytes;
        self.floor = self.floor.max(stamp);
        while let Some(output) = self.link.poll(self.floor) {
            self.take(output);
        }
        self.link.handle(Packet::new(flow, self.floor, Body::Data(payload)));
        true
    }

    /// Works the link off up to `now`, and up to the last arrival, which may have come during the
    /// turn. False if there is more.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        self.floor = self.floor.max(now);
        while self.outputs.len() < OUTPUTS_MAX {
            let Some(output) = self.link.poll(self.floor) else { return true };
            self.take(output);
        }
        false
    }

    /// Replaces the rules.
    pub(crate) fn set_timeline(&mut self, now: Instant, timeline: &Timeline) {
        self.floor = self.floor.max(now);
        self.link.set_timeline(self.floor, timeline);
    }

    fn take(&mut self, output: Output) {
        let packet = output.packet();
        if packet.copy == 0 {
            self.bytes -= packet.size as usize + PACKET_BYTES;
        }
        self.outputs.push(output);
    }

    pub(crate) fn summary(&self) -> LinkSummary {
        self.ledger.summary(self.link.counters())
    }
}
