//! The UDP relay of a route: a socket to the upstream for each client, one link per direction for
//! all of them.

mod alarms;
mod asked;
mod by_client;
mod closing;
mod coalescing;
mod counts;
mod entering;
mod flow_orders;
mod flows;
mod intake;
mod joined;
mod listening;
mod old;
mod opening;
mod parts;
mod proofs;
mod reading;
mod rebind;
mod release;
mod send;
mod stray;
mod waiting;

use crate::fate::{Fate, Loss};
use crate::flow::{FlowPage, FlowState};
use crate::lane::Lane;
use crate::listener::{Opened, allowed_at};
use crate::reactor::{Readiness, RelayId, SocketKey};
use crate::relay::{Ending, Relay, RelayPlan, RelayReport};
use crate::resolve::Upstream;
use crate::turn::{LoopOptions, Turn};
use alarms::UdpAlarms;
use asked::Asked;
use coalescing::Coalescing;
use counts::UdpCounts;
use flows::Flows;
pub(crate) use joined::Joiner;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::link::LinkKey;
use jostle_engine::profile::Timeline;
use jostle_engine::rebinding::Rebinding;
use jostle_engine::route::Route;
use jostle_engine::stage::Stage;
use jostle_sys::{carries_ecn, datagrams_missed, tells_missed};
use listening::{UdpListener, UdpListeners};
use old::OldSockets;
use proofs::Proofs;
use reading::SLOTS_LEAST;
pub(crate) use rebind::check_addresses;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use stray::Stray;

/// The UDP half of a route.
pub(crate) struct UdpRelay {
    id: RelayId,
    route: Route,
    listeners: UdpListeners,
    upstream: Upstream,
    /// Set if its clients say where they want to go.
    asked: Option<Asked>,
    lanes: [Lane; 2],
    flows: Flows,
    /// Set once there are rules, now or later, that may ask what is known of flows.
    tells_facts: bool,
    /// When flows leave from fresh sockets.
    rebinding: Rebinding,
    /// The sockets that they have left.
    old: OldSockets,
    /// Which sources have shown that they are there.
    proofs: Proofs,
    /// Set once the upstream has said something.
    upstream_spoke: bool,
    /// The second socket of a flow, as long as it has not.
    stray: Option<Stray>,
    alarms: UdpAlarms,
    /// The datagrams to be sent in the current pass: places among the outputs of the lane.
    staged: Vec<usize>,
    /// The same as runs of one flow: its place, and the run's end among those.
    runs: Vec<(usize, usize)>,
    /// The fates of the outputs in the current pass; kept for its memory.
    fates: Vec<Fate>,
    /// The datagrams of these that had a fate of their own: the place of the output, and which one of
    /// it. In their order.
    exceptions: Vec<(usize, u32, Loss)>,
    counts: UdpCounts,
    /// The flows that were closed since who observes them was told.
    closed: Vec<u32>,
    /// The time since which it takes in nothing new.
    draining: Option<Instant>,
    /// Set when it keeps to what every system has.
    portable: bool,
    /// The number that is asked for with the next read.
    slots: usize,
    coalescing: Coalescing,
}

/// A socket of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UdpPart {
    /// A listening socket.
    Listener(usize),
    /// The socket to the upstream of a flow.
    Flow(usize),
    /// A socket that a flow has left.
    Old(usize),
    /// The second socket of the flow that has one.
    Stray,
}

impl UdpPart {
    const fn key(self) -> SocketKey {
        SocketKey(match self {
            Self::Listener(index) => 3 * index,
            Self::Flow(index) => 3 * index + 1,
            Self::Old(index) => 3 * index + 2,
            Self::Stray => usize::MAX,
        })
    }

    const fn of(SocketKey(key): SocketKey) -> Self {
        match key {
            usize::MAX => Self::Stray,
            key if key % 3 == 0 => Self::Listener(key / 3),
            key if key % 3 == 1 => Self::Flow(key / 3),
            key => Self::Old(key / 3),
        }
    }
}

impl UdpRelay {
    pub(crate) fn new(
        plan: RelayPlan<'_>,
        opened: Vec<Opened>,
        turn: &mut Turn,
    ) -> io::Result<Self> {
        let RelayPlan { id, route, seed, upstream, associations, memory, .. } = plan;
        let RelayPlan { rules_on, route_shared, part, .. } = plan;
        check_addresses(route).map_err(io::Error::other)?;
        let mut listeners = UdpListeners::default();
        listeners.add(opened, id.index, &mut turn.reactor)?;
        let asked = route.destination.forward().map(|forward| {
            associations.are_read_by(id);
            let allowed = allowed_at(forward, listeners.addresses());
            Asked::new(allowed, associations.clone())
        });
        let none = Timeline::default();
        let LoopOptions { portable, coalesce, .. } = turn.options;
        let lanes = Direction::BOTH.map(|direction| {
            let timeline = if rules_on { route.profile.timeline(direction) } else { &none };
            let mut lane = Lane::new(route, timeline, seed, direction, memory, turn.options.runs);
            lane.link.number_from(part.numbers_from());
            if !tells_missed(portable) {
                lane.account.missed_is_unknown();
            }
            if !carries_ecn(portable) {
                lane.account.ecn_is_lost();
            }
            lane
        });
        let key = LinkKey { seed, route: route.drawn_as().into(), direction: Direction::Up };
        let rebinding = Rebinding::new(key, if rules_on { &route.profile.up } else { &none });
        Ok(Self {
            id,
            route: route.clone(),
            listeners,
            upstream,
            asked,
            lanes,
            flows: Flows::new(route_shared.clone(), part),
            tells_facts: rules_on && !route.profile.is_empty(),
            rebinding,
            old: OldSockets::default(),
            proofs: Proofs::new(turn.options.amplification),
            upstream_spoke: false,
            stray: None,
            alarms: UdpAlarms::new(turn.options.tells_of_upstreams),
            staged: Vec::new(),
            runs: Vec::new(),
            fates: Vec::new(),
            exceptions: Vec::new(),
            counts: UdpCounts::default(),
            closed: Vec::new(),
            draining: None,
            portable,
            slots: SLOTS_LEAST,
            coalescing: Coalescing::new(if portable { Duration::ZERO } else { coalesce }),
        })
    }

    /// Sends what may go before more is read, if there is much of it, or if flows are to make room
    /// for others: those with a packet inside cannot.
    fn let_go(&mut self, turn: &mut Turn) {
        if turn.descriptors.is_short_of_flows() || self.lanes.iter().any(Lane::wants_out) {
            self.send(turn);
        }
    }

    /// Sends what may go.
    fn send(&mut self, turn: &mut Turn) {
        for direction in Direction::BOTH {
            self.lanes[direction.index()].poll(turn.now);
            self.flush(direction, turn);
        }
        // A turn has a bound: what is still to leave does so first.
        let rest = self.lanes[Direction::Up.index()].link.deadline();
        self.rebind_due(rest.map_or(turn.now, |rest| rest.min(turn.now)), turn);
    }

    /// Notes reports that nobody listens at the upstream.
    fn note_refusals(&mut self, count: u64, turn: &mut Turn) {
        self.counts.refused += count;
        self.alarms.tell_of_refusal(&self.route, turn.now);
        self.upstream.doubt(self.id, turn.now, &mut turn.names);
    }

    /// Counts what the kernel has dropped at a listener.
    fn count_missed(&mut self, index: usize) {
        let Some(listener) = self.listeners.get_mut(index) else { return };
        if self.draining.is_none() || !listener.shared {
            let told = datagrams_missed(&listener.socket, self.portable);
            self.lanes[Direction::Up.index()].missed(&mut listener.missed, told);
        }
    }

    /// Returns how many datagrams the kernel has dropped, up and down, behind the last one that was
    /// read: of the others the reads told.
    fn missed_since(&self) -> [u64; 2] {
        let since = |socket, last: u32| {
            let told = datagrams_missed(socket, self.portable);
            told.map_or(0, |told| u64::from(told.wrapping_sub(last)))
        };
        // Of a shared listener the other relay counts once this one drains.
        let counts = |listener: &&UdpListener| self.draining.is_none() || !listener.shared;
        let up = self.listeners.iter().filter(counts).map(|one| since(&one.socket, one.missed));
        let down = self.flows.iter().map(|flow| since(&flow.socket.0, flow.missed));
        let old = self.old.iter().map(|old| since(&old.socket, old.missed));
        [up.sum(), down.chain(old).sum()]
    }

    /// Takes over which targets its clients may ask for.
    fn allow(&mut self) {
        if let (Some(asked), Some(forward)) = (&mut self.asked, self.route.destination.forward()) {
            // One that listens no more keeps what was so.
            if self.listeners.addresses().next().is_some() {
                asked.allowed = allowed_at(forward, self.listeners.addresses());
            }
        }
    }

    /// Returns true if datagrams wait for a name.
    fn has_waiting(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| !asked.waiting.is_empty())
    }
}

impl Relay for UdpRelay {
    fn note(&mut self, socket: SocketKey, _: Readiness, turn: &mut Turn) {
        if self.draining.is_none() {
            self.ask_again(UdpPart::of(socket), turn);
        }
    }

    /// Reads a socket that has something, up to a fair share.
    fn serve(&mut self, socket: SocketKey, turn: &mut Turn) {
        self.end_associations(turn);
        self.read(UdpPart::of(socket), turn);
    }

    fn work(&mut self, turn: &mut Turn) -> Option<Instant> {
        self.end_associations(turn);
        self.give_up_late(turn);
        self.send(turn);
        self.close_idle(turn);
        self.close_idle_old(turn);
        if self.draining.is_none() {
            self.close_retired(turn);
        }
        self.tell_of_closed(turn);
        let now = turn.now;
        let kept_up = self.lanes.each_mut().map(|lane| lane.keep_up(now));
        let links = self.lanes.iter().filter_map(|lane| lane.link.deadline());
        let links = links.chain(kept_up.into_iter().flatten());
        let idle = self.flows.oldest().map(|(_, last)| last + self.route.flow_idle());
        let sought = self.upstream.seek(self.id, turn.now, &mut turn.names);
        let rebinding = self.rebinding.deadline().into_iter().chain(self.old.deadline());
        let late = self.asked.as_ref().and_then(|asked| asked.waiting.deadline());
        links.chain(idle).chain(sought).chain(late).chain(rebinding).min()
    }

    fn follow(&mut self, route: &Route, rules_on: bool, turn: &mut Turn) {
        // What is due goes by the rules that it met.
        self.send(turn);
        self.route = route.clone();
        self.allow();
        if rules_on && !route.profile.is_empty() {
            self.tell_facts(turn.now);
        }
        let none = Timeline::default();
        for direction in Direction::BOTH {
            let timeline = if rules_on { route.profile.timeline(direction) } else { &none };
            self.lanes[direction.index()].set_timeline(turn.now, timeline);
        }
        if self.draining.is_none() {
            let timeline = if rules_on { &route.profile.up } else { &none };
            self.rebinding.set_timeline(turn.now, timeline);
        }
    }

    fn set_upstream(&mut self, upstream: Upstream) {
        self.upstream = upstream;
    }

    fn set_addresses(&mut self, addresses: Vec<SocketAddr>, _: &mut Turn) {
        self.upstream.set_addresses(addresses);
    }

    fn take_name(&mut self, name: &str, _: &[IpAddr], turn: &mut Turn) {
        self.serve_waiting(name, turn);
    }

    fn listen(&mut self, opened: Vec<Opened>, turn: &mut Turn) -> io::Result<()> {
        self.listeners.add(opened, self.id.index, &mut turn.reactor)?;
        self.allow();
        Ok(())
    }

    fn share(&mut self, addresses: &[SocketAddr]) -> io::Result<Vec<Opened>> {
        self.listeners.share(addresses)
    }

    fn listen_only(&mut self, addresses: &[SocketAddr], turn: &mut Turn) {
        self.listeners.retire_others(addresses, &mut turn.reactor);
        for index in self.listeners.retired() {
            self.coalescing.forget(UdpPart::Listener(index));
        }
        self.allow();
    }

    fn drain(&mut self, turn: &mut Turn) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(turn.now);
        self.end_coalescing(turn);
        // What has come so far is read; then the listeners are only there to answer from.
        for index in self.listeners.indices() {
            self.ask_again(UdpPart::Listener(index), turn);
        }
        for index in self.flows.indices() {
            self.ask_again(UdpPart::Flow(index), turn);
        }
        for index in self.old.indices() {
            self.ask_again(UdpPart::Old(index), turn);
        }
        // Nobody would read a fresh socket.
        self.rebinding.set_timeline(turn.now, &Timeline::default());
    }

    fn is_over(&self) -> bool {
        let unread = self.listeners.any_again() || self.flows.any_again() || self.old.any_again();
        self.draining.is_some()
            && !unread
            && !self.has_waiting()
            && self.lanes.iter().all(Lane::is_empty)
    }

    fn idle_since(&self) -> Option<Instant> {
        self.flows.evictable(None).map(|index| self.flows.last(index))
    }

    fn close_idlest(&mut self, turn: &mut Turn) {
        if let Some(index) = self.flows.evictable(None) {
            self.close(index, &mut turn.reactor, &mut turn.descriptors);
            self.counts.evicted += 1;
        }
    }

    fn flows(&self, after: u32, now: Instant) -> FlowPage {
        self.page(after, now)
    }

    fn flow(&self, number: u32, now: Instant) -> Option<FlowState> {
        self.state(number, now)
    }

    /// Forgets the flow, whichever way it is to end: there is no packet that says so.
    fn end_flow(&mut self, number: u32, _: Ending, turn: &mut Turn) -> bool {
        self.forget(number, turn)
    }

    fn cut(&mut self, _: Ending, turn: &mut Turn) {
        self.counts.open_at_end = self.flows.len();
        self.give_up_waiting(turn);
        for index in self.flows.indices() {
            self.close(index, &mut turn.reactor, &mut turn.descriptors);
        }
        for index in self.listeners.all() {
            self.count_missed(index);
        }
        self.listeners.close(&mut turn.reactor);
    }

    fn began(&self) -> Option<Instant> {
        self.lanes[Direction::Up.index()].link.epoch()
    }

    fn report(&self) -> RelayReport {
        let lost = |loss| self.lanes.iter().map(|lane| lane.account.lost(loss)).sum();
        let open = self.flows.len().max(self.counts.open_at_end);
        let counts = UdpCounts { sources_forgotten: self.proofs.forgotten, ..self.counts };
        let mut links = self.lanes.each_ref().map(Lane::report);
        links.iter_mut().zip(self.missed_since()).for_each(|(link, more)| link.missed(more));
        RelayReport {
            route: self.route.name.clone(),
            transport: Transport::Udp,
            links,
            counts: counts.named(open, lost),
            round_trips: None,
        }
    }
}
