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
use jostle_engine::memory::{Charge, Memory};
use jostle_engine::packet::Packet;
use jostle_engine::profile::Timeline;
use jostle_engine::route::Route;
use jostle_engine::stage::{Output, Stage};
use jostle_sys::{Received, SlotBuffer};
use std::ops::Range;

/// This share of its route's memory is a lane's.
const SHARE: u64 = 2;

/// The most packets taken out of a link in one go, so that sockets are read between.
const OUTPUTS_MAX: usize = 1024;

/// A run that takes this share of the buffer that it was read into, in quarters, keeps it; of less
/// a copy takes less memory.
const KEPT_QUARTERS: usize = 3;

/// A link with the sockets' view of it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) link: Link,
    pub(crate) account: Account,
    /// What has left the link and is not yet sent, discards included.
    outputs: Vec<Output>,
    /// The number of packets that these are.
    ready: usize,
    /// No packet may arrive earlier: the last arrival, or the time up to which the link has been
    /// worked off.
    floor: Instant,
    memory: Memory,
    /// Set while most datagrams of a run stay in the link or go on together: those of the next run
    /// cross as one. Of few that survive, each would keep all of its run.
    shares_runs: bool,
    /// Cleared if each datagram is to cross by itself.
    takes_runs: bool,
}

/// A buffer that was read into, as long as packets are in it, and what it costs.
struct KeptBuffer {
    buffer: SlotBuffer,
    length: usize,
    _charge: Charge,
}

impl AsRef<[u8]> for KeptBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer.as_ref()[..self.length]
    }
}

impl Lane {
    pub(crate) fn new(
        route: &Route,
        timeline: &Timeline,
        seed: u64,
        direction: Direction,
        memory: &Memory,
        takes_runs: bool,
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
            ready: 0,
            floor: Instant::START,
            memory,
            shares_runs: true,
            takes_runs,
        }
    }

    /// Lets a datagram enter for `flow`, or a run of them, which arrived at `stamp`. Refuses those
    /// for which there is no room. Returns how many entered.
    pub(crate) fn enter(
        &mut self,
        flow: u32,
        stamp: Instant,
        received: Received<'_>,
        sinks: &mut Sinks,
    ) -> u32 {
        let count = received.datagrams().len() as u32;
        let is_whole = count == 1 || self.takes_runs && self.shares_runs;
        let Some(payloads) = is_whole.then(|| self.keep(received, count)).flatten() else {
            return self.enter_singly(flow, stamp, received, received.datagrams(), sinks);
        };
        let discarded = self.link.counters().discarded_total();
        let segment = received.segment.and_then(|size| u16::try_from(size).ok()).unwrap_or(0);
        self.let_in(flow, stamp, received.ecn, (payloads, segment), sinks);
        let discarded = self.link.counters().discarded_total() - discarded;
        self.shares_runs = 2 * discarded <= u64::from(count);
        count
    }

    /// Keeps what was read, where it is or in a copy; `None` if there is no room for all of it.
    fn keep(&self, received: Received<'_>, count: u32) -> Option<Bytes> {
        let Received { bytes, .. } = received;
        let beside = self.link.cost(u64::from(count));
        let may_stay =
            self.link.is_transparent() || 4 * bytes.len() >= KEPT_QUARTERS * SlotBuffer::BYTES;
        let buffer = received.buffer.filter(|_| may_stay && !bytes.is_empty());
        let buffer = buffer.filter(|_| self.memory.has_room(SlotBuffer::BYTES, beside));
        if let Some(buffer) = buffer {
            let _charge = Charge::new(&self.memory, SlotBuffer::BYTES as u64);
            let (buffer, length) = (buffer.clone(), bytes.len());
            return Some(Bytes::from_owner(KeptBuffer { buffer, length, _charge }));
        }
        self.memory.has_room(bytes.len(), beside).then(|| self.memory.hold(bytes))
    }

    /// Lets datagrams of what was read enter one by one: each is a range of the bytes.
    pub(crate) fn enter_singly(
        &mut self,
        flow: u32,
        stamp: Instant,
        received: Received<'_>,
        datagrams: impl Iterator<Item = Range<usize>> + Clone,
        sinks: &mut Sinks,
    ) -> u32 {
        let (count, ecn) = (datagrams.clone().count() as u64, received.ecn);
        let discarded = self.link.counters().discarded_total();
        let shares =
            self.shares_runs && self.memory.has_room(received.bytes.len(), self.link.cost(count));
        let run = shares.then(|| self.memory.hold(received.bytes));
        let mut entered = 0;
        for range in datagrams {
            let payload = &received.bytes[range.clone()];
            let kept = match &run {
                Some(run) => Some(run.slice(range)),
                None if self.memory.has_room(payload.len(), self.link.cost(1)) => {
                    Some(self.memory.hold(payload))
                }
                None => None,
            };
            if let Some(payload) = kept {
                self.let_in(flow, stamp, ecn, (payload, 0), sinks);
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

    /// Lets a packet enter that arrived at `stamp`, or a run of payloads of so many bytes each.
    fn let_in(
        &mut self,
        flow: u32,
        stamp: Instant,
        ecn: Ecn,
        (payloads, segment): (Bytes, u16),
        sinks: &mut Sinks,
    ) {
        self.account.read(payloads.len());
        self.floor = self.floor.max(stamp);
        while let Some(output) = self.link.poll(self.floor) {
            self.put_out(output);
        }
        let packet = Packet::run(flow, self.floor, payloads, segment).with_ecn(ecn);
        if sinks.are_observers() {
            self.account.arrive(&self.link.numbered(&packet), sinks);
        }
        self.link.handle(packet);
    }

    fn put_out(&mut self, output: Output) {
        self.ready += output.packet().count() as usize;
        self.outputs.push(output);
    }

    /// Takes what is to be sent; the emptied list may be [given back](Self::give_back).
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        self.ready = 0;
        std::mem::take(&mut self.outputs)
    }

    /// Gives back an emptied list for its memory.
    pub(crate) fn give_back(&mut self, outputs: Vec<Output>) {
        debug_assert!(outputs.is_empty() && self.outputs.is_empty(), "all of it was sent");
        self.outputs = outputs;
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
        while self.ready < OUTPUTS_MAX {
            let Some(output) = self.link.poll(self.floor) else { return };
            self.put_out(output);
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

    /// Returns true if what has left the link is to be sent before more is read: because it is
    /// much, or because nothing stays, and the buffers that were just read into can be read into
    /// again.
    pub(crate) fn wants_out(&self) -> bool {
        self.ready >= OUTPUTS_MAX || self.link.is_transparent() && !self.is_empty()
    }

    /// Returns true if datagrams that came one by one may cross as a run: nothing looks at them.
    pub(crate) fn joins(&self) -> bool {
        self.takes_runs && self.link.is_transparent()
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
            buffer: None,
        }
    }

    #[test]
    fn what_finds_no_memory_is_refused_and_accounted_for() {
        let (route, mut sinks) = (route(), Sinks::new(None, Vec::new()));
        let Profile { up, .. } = &route.profile;
        // Packets are charged in steps, so how many there is room for is between two bounds.
        let memory = Memory::new(1 << 20);
        let mut lane = Lane::new(&route, up, 7, Direction::Up, &memory, true);
        let at = Instant::from_millis;
        let mut enter = |ms: u64, lane: &mut Lane| {
            let received = received(&[7; 1000], None);
            lane.enter(1, at(ms), received, &mut sinks)
        };
        let filled = (0..2000).map(|_| enter(0, &mut lane)).sum::<u32>();
        let (most, held) = ((512 << 10) / (1128 + PACKET_BYTES), u64::from(filled));
        assert!((most * 9 / 10..=most).contains(&held), "{held} of at most {most}");
        assert!(memory.used() > 480 << 10 && memory.used() <= 512 << 10, "{}", memory.used());
        assert_eq!(enter(1, &mut lane), 0, "it is full");
        lane.poll(at(10));
        assert_eq!(lane.ready, filled as usize);
        assert!(memory.used() >= 1128 * held, "what has come out is there until it is sent");
        drop(lane.take_outputs());
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
            let mut lane = Lane::new(&route, &route.profile.up, 7, Direction::Up, &memory, true);
            let run = vec![7; 50 * 1200];
            for _ in 0..20_000 {
                let received = received(&run, Some(1200));
                lane.enter(1, Instant::START, received, &mut sinks);
                drop(lane.take_outputs());
            }
            assert!(memory.used() <= 8 << 20, "{chance}: {}", memory.used());
            let payload = lane.link.held() as u64 * 1200;
            let share = payload * 100 / memory.used();
            assert!((least..100).contains(&share), "{chance}: {share} % of it is payload");
            assert!(memory.used() > 7 << 20, "{chance}: {}", memory.used());
        }
    }
}
