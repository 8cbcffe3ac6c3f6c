//! One direction of a UDP relay: its link, and the rule that arrivals never go back in time.

use crate::account::{Account, LinkReport};
use crate::fate::Loss;
use crate::sinks::Sinks;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Timeline;
use jostle_engine::route::Route;
use jostle_engine::stage::{Output, Stage};

/// Memory that the packets in a lane may take. At 1 Gbit/s it is two seconds of delay.
const BYTES_MAX: u64 = 256 << 20;

/// The bytes that a packet takes besides its payload; an empty one is not free.
const PACKET_BYTES: u64 = size_of::<Packet>() as u64;

/// The most packets taken out of a link in one go, so that sockets are read between.
const OUTPUTS_MAX: usize = 1024;

/// A link with the sockets' view of it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) link: Link,
    pub(crate) account: Account,
    /// Packets that have left the link and are not yet sent, discards included.
    pub(crate) outputs: Vec<Output>,
    /// No packet may arrive earlier: the last arrival, or the time up to which the link has been
    /// worked off.
    floor: Instant,
    memory: Memory,
}

impl Lane {
    pub(crate) fn new(
        route: &Route,
        timeline: &Timeline,
        seed: u64,
        direction: Direction,
        memory: &Memory,
    ) -> Self {
        let key = LinkKey { seed, route: route.drawn_as().into(), direction };
        Self {
            link: Link::new(key, timeline),
            account: Account::new(&route.name, Transport::Udp, direction),
            outputs: Vec::new(),
            floor: Instant::START,
            memory: memory.part(BYTES_MAX),
        }
    }

    /// Lets a datagram of `flow` enter, which arrived at `stamp`. Refuses it when there is no room.
    #[must_use]
    pub(crate) fn enter(
        &mut self,
        flow: u32,
        stamp: Instant,
        payload: Bytes,
        sinks: &mut Sinks,
    ) -> bool {
        if !self.memory.try_take(payload.len() as u64 + PACKET_BYTES) {
            self.refuse(flow, stamp, &payload, Loss::NoRoom, sinks);
            return false;
        }
        self.account.read(payload.len());
        self.floor = self.floor.max(stamp);
        while let Some(output) = self.link.poll(self.floor) {
            self.take(output);
        }
        self.link.handle(Packet::new(flow, self.floor, Body::Data(payload)));
        true
    }

    /// Counts what the kernel dropped on a socket since it last told.
    pub(crate) fn missed(&mut self, last: &mut u32, told: Option<u32>) {
        if let Some(told) = told {
            self.account.missed(u64::from(told.wrapping_sub(*last)));
            *last = told;
        }
    }

    /// Writes down a datagram that came in at `stamp` and goes no further.
    pub(crate) fn refuse(
        &mut self,
        flow: u32,
        stamp: Instant,
        payload: &[u8],
        loss: Loss,
        sinks: &mut Sinks,
    ) {
        self.account.refuse(&self.link, (flow, stamp, payload), loss, sinks);
    }

    /// Works the link off up to `now`, and up to the last arrival, which may have come during the
    /// turn, as far as a turn allows.
    pub(crate) fn poll(&mut self, now: Instant) {
        self.floor = self.floor.max(now);
        while self.outputs.len() < OUTPUTS_MAX {
            let Some(output) = self.link.poll(self.floor) else { return };
            self.take(output);
        }
    }

    /// Replaces the rules.
    pub(crate) fn set_timeline(&mut self, now: Instant, timeline: &Timeline) {
        self.floor = self.floor.max(now);
        self.link.set_timeline(self.floor, timeline);
    }

    fn take(&mut self, output: Output) {
        let packet = output.packet();
        // Copies share the bytes of their original, which alone is charged.
        if packet.copy == 0 {
            self.memory.give_back(u64::from(packet.size) + PACKET_BYTES);
        }
        self.outputs.push(output);
    }

    /// Returns true if nothing is inside.
    pub(crate) fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.link.held() == 0
    }

    pub(crate) fn report(&self) -> LinkReport {
        self.account.report(Some(self.link.counters()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::profile::Profile;
    use jostle_engine::route::Configuration;

    fn route() -> Route {
        let text = r#"{ "proxies": [ { "listen": "udp://127.0.0.1:1", "upstream": "127.0.0.1:2",
            "profile": { "up": [ { "rule": "delay", "time": "10ms" } ] } } ] }"#;
        let no_files = |name: &str| Err(format!("{name}: tests read no files"));
        Configuration::from_json(text, &no_files).unwrap().routes.remove(0)
    }

    #[test]
    fn what_finds_no_memory_is_refused_and_accounted_for() {
        let (route, mut sinks) = (route(), Sinks::new(None, Vec::new()));
        let Profile { up, .. } = &route.profile;
        // Room for three, of which another lane of the route has taken one.
        let size = 100 + PACKET_BYTES;
        let memory = Memory::new(3 * size);
        memory.take(size);
        let mut lane = Lane::new(&route, up, 7, Direction::Up, &memory);
        let at = Instant::from_millis;
        let mut enter = |ms: u64, lane: &mut Lane| {
            lane.enter(1, at(ms), Bytes::from_static(&[7; 100]), &mut sinks)
        };
        assert!(enter(0, &mut lane) && enter(1, &mut lane));
        assert!(!enter(2, &mut lane), "the route is full");
        lane.poll(at(10));
        assert_eq!(lane.outputs.len(), 1);
        assert!(enter(10, &mut lane), "what has left makes room");
        memory.give_back(size);
        assert!(enter(10, &mut lane) && !enter(10, &mut lane));
        let summary = lane.report().summary("1", Transport::Udp, Direction::Up);
        assert_eq!((summary.entered, summary.bytes_in), (6, 600));
        assert_eq!((summary.discarded["no_room"], summary.held), (2, 4), "{summary:?}");
        drop(lane);
        assert_eq!(memory.used(), 0);
    }
}
