//! One direction of a UDP relay: its link, and the rule that arrivals never go back in time.

use crate::account::{Account, LinkReport, Refused};
use crate::fate::Loss;
use crate::sinks::Sinks;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::link::{Link, LinkKey, PACKET_BYTES};
use jostle_engine::memory::Memory;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Timeline;
use jostle_engine::route::Route;
use jostle_engine::stage::{Output, Stage};
use jostle_sys::Received;
use std::ops::Range;

/// This share of its route's memory is a lane's.
const SHARE: u64 = 2;

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
    /// Set while most datagrams of a run stay in the link or go on together: those of the next run
    /// share one copy. Of few that survive, each would keep all of its run.
    shares_runs: bool,
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
        // A share of what the process has, so that no lane takes all of it. Of 1 GiB it is two
        // seconds of delay at 1 Gbit/s.
        let memory = memory.part_without_connections(memory.limit() / SHARE);
        let mut link = Link::new(key, timeline);
        link.charge_to(&memory, PACKET_BYTES);
        Self {
            link,
            account: Account::new(&route.name, Transport::Udp, direction),
            outputs: Vec::new(),
            floor: Instant::START,
            memory,
            shares_runs: true,
        }
    }

    /// Lets datagrams of what was read enter for `flow`, which arrived at `stamp`: each is a range of
    /// the bytes. Refuses those for which there is no room. Returns how many entered.
    pub(crate) fn enter(
        &mut self,
        flow: u32,
        stamp: Instant,
        received: Received<'_>,
        datagrams: impl Iterator<Item = Range<usize>> + Clone,
        sinks: &mut Sinks,
    ) -> u32 {
        let (count, ecn) = (datagrams.clone().count() as u64, received.ecn);
        if self.shares_runs && self.memory.has_room(received.bytes.len(), self.link.cost(count)) {
            let discarded = self.link.counters().discarded_total();
            let run = self.memory.hold(received.bytes);
            for range in datagrams {
                self.let_in(flow, stamp, ecn, run.slice(range), sinks);
            }
            let discarded = self.link.counters().discarded_total() - discarded;
            self.shares_runs = 2 * discarded <= count;
            return count as u32;
        }
        let (mut entered, discarded) = (0, self.link.counters().discarded_total());
        for range in datagrams {
            let payload = &received.bytes[range];
            if self.memory.has_room(payload.len(), self.link.cost(1)) {
                self.let_in(flow, stamp, ecn, self.memory.hold(payload), sinks);
                entered += 1;
            } else {
                let refused = Refused { flow, at: stamp, ecn, payload };
                self.refuse(refused, Loss::NoRoom, sinks);
            }
        }
        let discarded = self.link.counters().discarded_total() - discarded;
        self.shares_runs = entered > 0 && 2 * discarded <= entered;
        entered as u32
    }

    fn let_in(&mut self, flow: u32, stamp: Instant, ecn: Ecn, payload: Bytes, sinks: &mut Sinks) {
        self.account.read(payload.len());
        self.floor = self.floor.max(stamp);
        while let Some(output) = self.link.poll(self.floor) {
            self.outputs.push(output);
        }
        let packet = Packet::new(flow, self.floor, Body::data(payload)).with_ecn(ecn);
        if sinks.are_observers() {
            self.account.arrive(&self.link.numbered(&packet), sinks);
        }
        self.link.handle(packet);
    }

    /// Returns when what arrived at `stamp` enters the link.
    pub(crate) fn arrival(&self, stamp: Instant) -> Instant {
        self.floor.max(stamp)
    }

    /// Counts what the kernel dropped on a socket since it last told.
    pub(crate) fn missed(&mut self, last: &mut u32, told: Option<u32>) {
        if let Some(told) = told {
            self.account.missed(u64::from(told.wrapping_sub(*last)));
            *last = told;
        }
    }

    /// Writes down a datagram that goes no further.
    pub(crate) fn refuse(&mut self, refused: Refused<'_>, loss: Loss, sinks: &mut Sinks) {
        self.account.refuse(&self.link, refused, loss, sinks);
    }

    /// Works the link off up to `now`, and up to the last arrival, which may have come during the
    /// turn, as far as a turn allows.
    pub(crate) fn poll(&mut self, now: Instant) {
        self.floor = self.floor.max(now);
        while self.outputs.len() < OUTPUTS_MAX {
            let Some(output) = self.link.poll(self.floor) else { return };
            self.outputs.push(output);
        }
    }

    /// Lets cross traffic go on up to `now`, and returns when to do so again.
    pub(crate) fn keep_up(&mut self, now: Instant) -> Option<Instant> {
        self.floor = self.floor.max(now);
        self.link.keep_up(self.floor)
    }

    /// Replaces the rules.
    pub(crate) fn set_timeline(&mut self, now: Instant, timeline: &Timeline) {
        self.floor = self.floor.max(now);
        self.link.set_timeline(self.floor, timeline);
    }

    /// Returns true if so much has left the link that it is to be sent before more is read.
    pub(crate) fn has_many_outputs(&self) -> bool {
        self.outputs.len() >= OUTPUTS_MAX
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

    fn received(bytes: &[u8], segment: Option<usize>) -> Received<'_> {
        Received {
            bytes,
            segment,
            from: None,
            asked: None,
            hops: None,
            ecn: Ecn::NotEct,
            stamp: None,
            missed: None,
        }
    }

    #[test]
    fn what_finds_no_memory_is_refused_and_accounted_for() {
        let (route, mut sinks) = (route(), Sinks::new(None, Vec::new()));
        let Profile { up, .. } = &route.profile;
        // Packets are charged in steps, so how many there is room for is between two bounds.
        let memory = Memory::new(1 << 20);
        let mut lane = Lane::new(&route, up, 7, Direction::Up, &memory);
        let at = Instant::from_millis;
        let mut enter = |ms: u64, lane: &mut Lane| {
            let received = received(&[7; 1000], None);
            lane.enter(1, at(ms), received, received.datagrams(), &mut sinks)
        };
        let filled = (0..2000).map(|_| enter(0, &mut lane)).sum::<u32>();
        let (most, held) = ((512 << 10) / 1336, u64::from(filled));
        assert!((most * 9 / 10..=most).contains(&held), "{held} of at most {most}");
        assert!(memory.used() > 480 << 10 && memory.used() <= 512 << 10, "{}", memory.used());
        assert_eq!(enter(1, &mut lane), 0, "it is full");
        lane.poll(at(10));
        assert_eq!(lane.outputs.len(), filled as usize);
        assert!(memory.used() >= 1128 * held, "what has come out is there until it is sent");
        lane.outputs.clear();
        assert_eq!(enter(10, &mut lane), 1, "what has left makes room");
        let summary = lane.report().summary("1", Transport::Udp, Direction::Up);
        assert_eq!(summary.entered, 2002);
        assert_eq!(summary.discarded["no_room"], 2001 - held);
        drop(lane);
        assert_eq!(memory.used(), 0);
    }

    /// Datagrams come in runs, most are lost, and those that are not stay: what is charged is what
    /// is held, and little of it is lost ones' bytes.
    #[test]
    fn survivors_of_runs_are_charged_with_what_they_keep() {
        for (chance, least) in [("0%", 80), ("20%", 60), ("60%", 60), ("98%", 60)] {
            let mut route = route();
            let profile = format!(
                r#"{{ "up": [ {{ "rule": "drop", "chance": "{chance}" }},
                    {{ "rule": "delay", "time": "10ms" }} ] }}"#
            );
            route.profile = Profile::from_json(&profile).unwrap();
            let mut sinks = Sinks::new(None, Vec::new());
            let memory = Memory::new(16 << 20);
            let mut lane = Lane::new(&route, &route.profile.up, 7, Direction::Up, &memory);
            let run = vec![7; 50 * 1200];
            for _ in 0..20_000 {
                let received = received(&run, Some(1200));
                lane.enter(1, Instant::START, received, received.datagrams(), &mut sinks);
                lane.outputs.clear();
            }
            assert!(memory.used() <= 8 << 20, "{chance}: {}", memory.used());
            let payload = lane.link.held() as u64 * 1200;
            let share = payload * 100 / memory.used();
            assert!((least..100).contains(&share), "{chance}: {share} % of it is payload");
            assert!(memory.used() > 7 << 20, "{chance}: {}", memory.used());
        }
    }
}
