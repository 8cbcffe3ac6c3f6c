//! The proxy: all relays of a process on one event loop.

use crate::control::{Control, Orders};
use crate::events::EventLog;
use crate::listener::{self, Listener, Opened};
use crate::reactor::{Owner, Reactor, Readiness};
use crate::resolve::{Resolver, Upstream};
use crate::settings::{Settings, StartError};
use crate::summary::{LinkSummary, SocketSummary, Summary};
use crate::tcp::TcpRelay;
use crate::turn::{Budget, SCRATCH_BYTES, Turn};
use crate::udp::UdpRelay;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::memory::Memory;
use jostle_engine::route::{HostPort, Route};
use jostle_sys::{Inbox, Outbox, raise_descriptor_limit};
use mio::Token;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a stopping proxy delivers what it holds.
const DRAIN: Duration = Duration::from_secs(2);

/// How long nothing must come before a stopping proxy takes itself for drained: the end of a stream
/// may be on its way to us.
const QUIET: Duration = Duration::from_millis(5);

/// How long sockets are served before the links are looked after again.
const TURN: Duration = Duration::from_micros(500);

/// Descriptors left for the loop itself, the resolver, logs and whatever else the process does.
const DESCRIPTORS_RESERVED: usize = 64;

/// A proxy whose listeners are open.
pub struct Proxy {
    seed: u64,
    listeners: Vec<Listener>,
    relays: Vec<Relay>,
    /// When which relay has something to do.
    agenda: Agenda,
    orders: Arc<Orders>,
    turn: Turn,
    rules_on: bool,
}

enum Relay {
    Udp(Box<UdpRelay>),
    Tcp(Box<TcpRelay>),
}

impl Proxy {
    /// Opens the listeners of all routes, or none, and raises the process's soft limit of open
    /// descriptors to the hard one.
    ///
    /// # Errors
    /// When a listener cannot be opened or a name has no address; the error names the route and the
    /// address.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let Settings { routes, seed, portable, events, spin, connect_timeout } = settings;
        let limit = raise_descriptor_limit();
        let routes: Vec<Route> = routes.into_iter().filter(|route| route.enabled).collect();
        let mut opened = Vec::new();
        for route in &routes {
            let upstream = Upstream::new(&route.upstream).map_err(|cause| StartError::Resolve {
                route: route.name.clone(),
                address: route.upstream.to_string(),
                cause,
            })?;
            opened.push((listener::open(route, portable)?, upstream));
        }
        refuse_circles(&routes, &opened)?;
        let sockets: usize = opened.iter().map(|(opened, _)| opened.len()).sum();
        let reactor = Reactor::new(Clock::start(), portable, spin)?;
        let names = routes.iter().any(|route| is_name(&route.upstream));
        let resolver = if names { Some(Resolver::start(reactor.waker())?) } else { None };
        let turn = Turn {
            reactor,
            resolver,
            events: EventLog::new(events),
            inbox: Inbox::new(portable),
            outbox: Outbox::new(portable),
            scratch: vec![0; SCRATCH_BYTES],
            now: Instant::START,
            stopping: false,
            descriptors: Budget::new(limit.saturating_sub(DESCRIPTORS_RESERVED + sockets)),
            portable,
            connect_timeout,
        };
        let mut proxy = Self {
            seed,
            listeners: Vec::new(),
            relays: Vec::new(),
            agenda: Agenda::default(),
            orders: Orders::new(),
            turn,
            rules_on: true,
        };
        let memory = Memory::default();
        for (route, (opened, upstream)) in routes.into_iter().zip(opened) {
            proxy.add(route, opened, upstream, memory.clone())?;
        }
        Ok(proxy)
    }

    fn add(
        &mut self,
        route: Route,
        opened: Vec<Opened>,
        upstream: Upstream,
        memory: Memory,
    ) -> Result<(), StartError> {
        let seed = route.seed.unwrap_or(self.seed);
        let (udp, tcp): (Vec<_>, Vec<_>) =
            opened.into_iter().partition(|one| one.protocol == Transport::Udp);
        for one in udp.iter().chain(&tcp) {
            let Opened { protocol, address, .. } = *one;
            self.listeners.push(Listener { route: route.name.clone(), protocol, address });
        }
        let reactor = &mut self.turn.reactor;
        if !udp.is_empty() {
            let (index, route, upstream) = (self.relays.len(), route.clone(), upstream.clone());
            let relay = UdpRelay::new(index, route, seed, upstream, udp, reactor)?;
            self.relays.push(Relay::Udp(Box::new(relay)));
        }
        if !tcp.is_empty() {
            let relay =
                TcpRelay::new(self.relays.len(), route, seed, upstream, tcp, memory, reactor)?;
            self.relays.push(Relay::Tcp(Box::new(relay)));
        }
        Ok(())
    }

    /// The sockets it listens on, route by route, UDP first.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// A handle to stop it or to switch its rules.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.orders), self.turn.reactor.waker())
    }

    /// Relays on this thread until it is stopped, then delivers what it holds, for two seconds at
    /// most.
    pub fn run(mut self) -> Summary {
        let started = self.turn.reactor.now();
        let mut stop_at = None;
        let (mut reports, mut due) = (Vec::new(), Vec::new());
        loop {
            let look_again = stop_at.map(|_| self.turn.now + QUIET);
            let deadline = [self.agenda.first(), self.turn.events.deadline(), look_again];
            let now = match self.turn.reactor.wait(deadline.into_iter().flatten().min()) {
                Ok(now) => now,
                Err(error) => {
                    log::error!("the event loop failed: {error}");
                    break;
                }
            };
            self.turn.now = now;
            self.obey(now);
            let heard = self.serve(now, &mut reports);
            self.work(now, &mut due);
            match stop_at {
                None if self.orders.stop() => {
                    stop_at = Some(now + DRAIN);
                    self.stop_listening();
                }
                Some(at) if at <= now || (!heard && self.is_drained()) => break,
                _ => {}
            }
        }
        self.finish(started)
    }

    /// Lets the sockets have their turns. Returns whether one that matters had an event.
    fn serve(&mut self, now: Instant, reports: &mut Vec<(Token, Readiness)>) -> bool {
        reports.clear();
        reports.extend(self.turn.reactor.reports());
        let mut heard = false;
        for &(token, readiness) in reports.iter() {
            if let Some(owner) = self.turn.reactor.owner(token) {
                heard |= self.note(owner, readiness);
            }
        }
        // Those who ask once more meanwhile, or are not reached, wait for the next turn: what is
        // due must not wait for them.
        for _ in 0..self.turn.reactor.agains() {
            let token = self.turn.reactor.next_again();
            if let Some(owner) = token.and_then(|token| self.turn.reactor.owner(token)) {
                self.go_on(owner);
            }
            if self.turn.reactor.now() > now + TURN {
                break;
            }
        }
        heard
    }

    /// Does what is due.
    fn work(&mut self, now: Instant, due: &mut Vec<usize>) {
        self.agenda.take_due(now, due);
        for &relay in due.iter() {
            let next = match &mut self.relays[relay] {
                Relay::Udp(udp) => udp.work(&mut self.turn),
                Relay::Tcp(tcp) => tcp.work(&mut self.turn),
            };
            self.agenda.set(relay, next);
        }
        if self.turn.events.deadline().is_some_and(|at| at <= now) {
            self.turn.events.flush();
        }
    }

    /// Carries out what was ordered from outside, and takes what the resolver has found.
    fn obey(&mut self, now: Instant) {
        let on = self.orders.rules_on();
        if on != self.rules_on {
            self.rules_on = on;
            log::info!("rules {}", if on { "on" } else { "off" });
            for (index, relay) in self.relays.iter_mut().enumerate() {
                match relay {
                    Relay::Udp(udp) => udp.switch(now, on),
                    Relay::Tcp(tcp) => tcp.switch(now, on),
                }
                self.agenda.touch(index);
            }
        }
        while let Some((index, addresses)) = self.turn.resolver.as_ref().and_then(Resolver::answer)
        {
            match &mut self.relays[index] {
                Relay::Udp(udp) => udp.set_addresses(addresses),
                Relay::Tcp(tcp) => tcp.set_addresses(addresses),
            }
        }
    }

    /// Notes what an event said; the work is done in turn. Returns whether it matters: a stopping
    /// UDP relay takes in nothing new.
    fn note(&mut self, Owner { relay, part }: Owner, readiness: Readiness) -> bool {
        match &mut self.relays[relay] {
            Relay::Udp(_) if self.turn.stopping => return false,
            Relay::Udp(udp) => udp.ask_again(part, &mut self.turn.reactor),
            Relay::Tcp(tcp) => tcp.note(part, readiness, &mut self.turn.reactor),
        }
        true
    }

    /// Lets a socket have its turn.
    fn go_on(&mut self, Owner { relay, part }: Owner) {
        match &mut self.relays[relay] {
            Relay::Udp(udp) => udp.read(part, &mut self.turn),
            Relay::Tcp(tcp) => tcp.go_on(part, &mut self.turn),
        }
        self.agenda.touch(relay);
    }

    /// Takes in what has come so far, and from then on nothing new.
    fn stop_listening(&mut self) {
        self.turn.stopping = true;
        for relay in &mut self.relays {
            match relay {
                Relay::Udp(udp) => udp.read_out(&mut self.turn.reactor),
                Relay::Tcp(tcp) => tcp.stop_listening(&mut self.turn),
            }
        }
    }

    fn is_drained(&self) -> bool {
        let read = self.turn.reactor.agains() == 0;
        read && self.relays.iter().all(|relay| match relay {
            Relay::Udp(udp) => udp.is_drained(),
            Relay::Tcp(tcp) => tcp.is_drained(),
        })
    }

    fn finish(mut self, started: Instant) -> Summary {
        let seconds = self.turn.reactor.now().since(started).as_secs_f64();
        let (mut links, mut sockets): (Vec<LinkSummary>, Vec<SocketSummary>) = Default::default();
        for relay in &mut self.relays {
            match relay {
                Relay::Udp(udp) => {
                    links.extend(udp.links());
                    sockets.push(udp.sockets());
                }
                Relay::Tcp(tcp) => {
                    tcp.cut(&mut self.turn);
                    links.extend(tcp.links());
                    sockets.push(tcp.sockets());
                }
            }
        }
        self.turn.events.flush();
        Summary { seed: self.seed, seconds, events_lost: self.turn.events.lost(), links, sockets }
    }
}

/// Refuses routes that lead, perhaps through others, to themselves: one packet would go round for
/// ever and open a flow each time.
fn refuse_circles(routes: &[Route], opened: &[(Vec<Opened>, Upstream)]) -> Result<(), StartError> {
    for protocol in [Transport::Udp, Transport::Tcp] {
        let listeners: Vec<Vec<(Transport, SocketAddr)>> = opened
            .iter()
            .map(|(sockets, _)| sockets.iter().map(|one| (one.protocol, one.address)).collect())
            .collect();
        let listens = |index: usize| listeners[index].iter().any(|(of, _)| *of == protocol);
        let next: Vec<Option<usize>> = opened
            .iter()
            .map(|(_, upstream)| {
                (0..opened.len()).find(|&to| upstream.is_any_of(&listeners[to], protocol))
            })
            .collect();
        for start in (0..opened.len()).filter(|&index| listens(index)) {
            let walk = std::iter::successors(next[start], |&index| next[index]);
            if walk.take(opened.len()).any(|index| index == start) {
                let Route { name, upstream, .. } = &routes[start];
                return Err(StartError::Circle { route: name.clone(), upstream: upstream.clone() });
            }
        }
    }
    Ok(())
}

fn is_name(target: &HostPort) -> bool {
    target.host.parse::<IpAddr>().is_err()
}

/// Which relay has something to do, and when.
#[derive(Debug, Default)]
struct Agenda {
    times: BTreeSet<(Instant, usize)>,
    of_relay: Vec<Option<Instant>>,
    /// Those to be looked at in this turn whatever the time.
    touched: Vec<usize>,
}

impl Agenda {
    /// Wants a relay looked at in this turn.
    fn touch(&mut self, relay: usize) {
        if self.touched.last() != Some(&relay) {
            self.touched.push(relay);
        }
    }

    /// Fills `due` with those to be looked at now, each once.
    fn take_due(&mut self, now: Instant, due: &mut Vec<usize>) {
        due.clear();
        due.append(&mut self.touched);
        due.extend(self.times.range(..=(now, usize::MAX)).map(|(_, relay)| relay));
        due.sort_unstable();
        due.dedup();
    }

    /// Sets when a relay is to be looked at.
    fn set(&mut self, relay: usize, at: Option<Instant>) {
        if self.of_relay.len() <= relay {
            self.of_relay.resize(relay + 1, None);
        }
        if self.of_relay[relay] == at {
            return;
        }
        if let Some(old) = std::mem::replace(&mut self.of_relay[relay], at) {
            self.times.remove(&(old, relay));
        }
        if let Some(at) = at {
            self.times.insert((at, relay));
        }
    }

    /// When the next relay is due.
    fn first(&self) -> Option<Instant> {
        self.times.first().map(|(at, _)| *at)
    }
}
