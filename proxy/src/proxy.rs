//! The proxy: all relays of a process on one event loop.

use crate::control::{Control, PAGE_RELAYS};
use crate::descriptors::Descriptors;
use crate::event_log::{EventLog, LogEnd};
use crate::flow::FlowOrder;
use crate::listener::Listener;
use crate::look_ups::LookUps;
use crate::network::Network;
use crate::orders::{Carried, Flags, ORDERS_MAX, Order, OrderError, Prepared, Reply, RouteState};
use crate::own::OwnAddresses;
use crate::reactor::{Reactor, Readiness};
use crate::resolve::Names;
use crate::settings::{Settings, StartError};
use crate::sinks::Sinks;
use crate::snapshot::{Page, Reading};
use crate::summary::{MemorySummary, Summary};
use crate::turn::{Datagrams, LoopOptions, SCRATCH_BYTES, Turn};
use crate::udp::Joiner;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_engine::memory::Memory;
use jostle_sys::{Inbox, Outbox, is_out_of_descriptors, open_descriptors, raise_descriptor_limit};
use mio::{Token, Waker};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

/// The time that sockets are served before the links are looked after again.
const TURN: Duration = Duration::from_micros(500);

/// The most orders that are carried out before the sockets have their turns.
const ORDERS_PER_TURN: usize = 8;

/// A proxy whose listeners are open.
pub struct Proxy {
    network: Network,
    listeners: Vec<Listener>,
    turn: Turn,
    flags: Arc<Flags>,
    mailbox: Receiver<Order>,
    /// Kept for new handles.
    orders: SyncSender<Order>,
    waker: Arc<Waker>,
    started: Instant,
}

impl Proxy {
    /// Opens the listeners of all routes, or none, and raises the process's soft limit of open
    /// descriptors to the hard one. An upstream whose name has no address is no error: the clients
    /// of its route are refused until it has one.
    ///
    /// # Errors
    /// When a listener cannot be opened or the name to listen at has no address; the error names
    /// the route and the address.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let Settings { routes, seed, portable, events, events_only, .. } = settings;
        let Settings { sinks, on_client, .. } = settings;
        let Settings { spin, connect_timeout, negotiation_timeout, memory, per_source, .. } =
            settings;
        let Settings { amplification, tells_of_upstreams, kept_descriptors, .. } = settings;
        let limit = raise_descriptor_limit();
        let reactor = Reactor::new(Clock::start(), portable, spin)?;
        let waker = reactor.waker();
        let log = events.map(|file| EventLog::start(file, events_only)).transpose()?;
        let epoch = Clock::wall().saturating_sub(reactor.now().since(Instant::START));
        let mut sinks = sinks;
        sinks.iter_mut().for_each(|sink| sink.begin(epoch));
        let mut turn = Turn {
            names: Names::new(Arc::clone(&waker)),
            asked: LookUps::new(Arc::clone(&waker)),
            reactor,
            sinks: Sinks::new(log, sinks),
            on_client,
            descriptors: Descriptors::new(
                limit.saturating_sub(kept_descriptors),
                open_descriptors().unwrap_or(0),
                per_source,
            ),
            datagrams: Datagrams {
                inbox: Inbox::new(portable),
                outbox: Box::new(Outbox::new(portable)),
                joiner: Joiner::default(),
                takes_runs: true,
            },
            own: OwnAddresses::default(),
            scratch: vec![0; SCRATCH_BYTES],
            now: Instant::START,
            options: LoopOptions {
                portable,
                connect_timeout,
                negotiation_timeout,
                amplification,
                tells_of_upstreams,
            },
            called: Vec::new(),
            warned_of_memory: false,
        };
        let mut network = Network::new(seed, Memory::new(memory.max(Settings::MEMORY_LEAST)));
        for route in routes {
            let prepared = Prepared::at_start(route)?;
            network.start(prepared, &mut turn).map_err(|error| match error {
                StartError::Listen { cause, .. } if is_out_of_descriptors(&cause) => {
                    StartError::Descriptors { limit, needed: 2 * limit }
                }
                error => error,
            })?;
        }
        let missing = turn.descriptors.missing_for_a_client();
        if missing > 0 {
            return Err(StartError::Descriptors { limit, needed: limit + missing });
        }
        network.refuse_circles()?;
        let (orders, mailbox) = mpsc::sync_channel(ORDERS_MAX);
        let (listeners, flags) = (network.listeners(), Arc::new(Flags::new()));
        let started = Instant::START;
        Ok(Self { network, listeners, turn, flags, mailbox, orders, waker, started })
    }

    /// Returns the sockets that it listened on when it was bound, route by route, UDP first.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Returns the routes that it was bound with.
    pub fn routes(&self) -> Vec<RouteState> {
        self.network.states()
    }

    /// Returns a handle to change it, to switch its rules or to stop it.
    pub fn control(&self) -> Control {
        let (clock, seed) = (self.turn.reactor.clock(), self.network.seed());
        let (flags, waker) = (Arc::clone(&self.flags), Arc::clone(&self.waker));
        Control::new(flags, self.orders.clone(), waker, clock, seed)
    }

    /// Relays on this thread until it is stopped, then finishes what is open for as long as it was
    /// told.
    pub fn run(mut self) -> Summary {
        self.started = self.turn.reactor.now();
        let mut draining_since = None;
        let mut reports = Vec::new();
        loop {
            // Of several requests to stop the shortest counts, also of those that come later.
            let stop_at =
                draining_since.zip(self.flags.stopped()).map(|(since, drain)| since + drain);
            let deadline = [self.network.fleet.deadline(), self.turn.sinks.deadline(), stop_at];
            let now = match self.turn.reactor.wait(deadline.into_iter().flatten().min()) {
                Ok(now) => now,
                Err(error) => {
                    log::error!("the event loop failed: {error}");
                    break;
                }
            };
            self.turn.now = now;
            self.obey();
            self.serve(&mut reports);
            if draining_since.is_none() && self.flags.stopped().is_some() {
                // The turn began before it was asked to end: what came meanwhile came in time.
                self.turn.now = self.turn.reactor.now();
                draining_since = Some(self.turn.now);
                self.network.fleet.drain(&mut self.turn);
            }
            self.network.work(&mut self.turn);
            self.turn.sinks.flush(now);
            if draining_since.is_some()
                && (stop_at.is_some_and(|at| at <= now) || self.is_drained())
            {
                break;
            }
        }
        self.finish()
    }

    /// Carries out what was ordered from outside, and takes what the resolver has found.
    fn obey(&mut self) {
        self.network.switch(self.flags.rules_on(), &mut self.turn);
        for _ in 0..ORDERS_PER_TURN {
            let Ok(order) = self.mailbox.try_recv() else { break };
            // To look through all flows of a route takes a good part of a turn.
            let is_long = matches!(order, Order::Flow(_, FlowOrder::List(..)));
            self.carry_out(order);
            if is_long {
                break;
            }
        }
        while let Some(answer) = self.turn.names.answer() {
            self.network.learn(answer, &mut self.turn);
        }
        while let Some(found) = self.turn.asked.answer(self.turn.now) {
            self.network.pass_on(&found, &mut self.turn);
        }
    }

    fn carry_out(&mut self, order: Order) {
        let Self { network, turn, .. } = self;
        let now = turn.now;
        match order {
            Order::Add(route, reply) => {
                let added = network.add(*route, turn).and_then(|id| network.state(id));
                answer(&reply, carried(now, added));
            }
            Order::Replace(id, route, drain, reply) => {
                let began = network.began(id);
                let replaced = network.replace(id, *route, now + drain, turn);
                let state = replaced.and_then(|()| Ok((network.state(id)?, began?)));
                answer(&reply, carried(now, state));
            }
            Order::Remove(id, drain, reply) => {
                let began = network.began(id);
                let removed = network.remove(id, now + drain, turn);
                answer(&reply, carried(now, removed.and(began)));
            }
            Order::Close(id, reply) => {
                let began = network.began(id);
                answer(&reply, carried(now, network.close(id, turn).and(began)));
            }
            Order::SetProfile(id, profile, reply) => {
                let set = network.set_profile(id, *profile, turn);
                answer(&reply, carried(now, set.and_then(|()| network.began(id))));
            }
            Order::SetRule(id, direction, rule, reply) => {
                let set = network.set_rule(id, direction, &rule, turn);
                answer(&reply, carried(now, set.and_then(|()| network.began(id))));
            }
            Order::RemoveRule(id, direction, key, reply) => {
                let removed = network.remove_rule(id, direction, &key, turn);
                answer(&reply, carried(now, removed.and_then(|()| network.began(id))));
            }
            Order::Switch(on, reply) => {
                self.flags.switch(on);
                network.switch(on, turn);
                answer(&reply, carried(now, Ok(network.all_began())));
            }
            Order::Flow(id, FlowOrder::List(after, reply)) => {
                answer(&reply, network.flows(id, after, now));
            }
            Order::Flow(id, FlowOrder::Find(flow, reply)) => {
                answer(&reply, network.flow(id, flow, now));
            }
            Order::Flow(id, FlowOrder::End(flow, ending, reply)) => {
                answer(&reply, network.end_flow(id, flow, ending, turn));
            }
            Order::Routes(reply) => answer(&reply, Ok(network.states())),
            Order::Read(relays, reply) => {
                turn.sinks.counters_read();
                answer(&reply, Ok(self.read(relays)));
            }
            Order::ReadOn(from, reply) => {
                answer(&reply, Ok(Page::of(network, from, PAGE_RELAYS)));
            }
            Order::AddSink(sink, reply) => {
                let mut sink = sink;
                let epoch = turn.reactor.now().since(Instant::START);
                sink.begin(Clock::wall().saturating_sub(epoch));
                turn.sinks.add(sink);
                answer(&reply, Ok(()));
            }
        }
        // There may be more, and a wake-up tells of many.
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the event loop: {error}");
        }
    }

    /// Lets the sockets have their turns.
    fn serve(&mut self, reports: &mut Vec<(Token, Readiness)>) {
        let Self { network, turn, .. } = self;
        reports.clear();
        reports.extend(turn.reactor.reports());
        for &(token, readiness) in reports.iter() {
            if let Some(owner) = turn.reactor.owner(token) {
                network.fleet.note(owner, readiness, turn);
            }
        }
        // Those who ask once more meanwhile, or are not reached, wait for the next turn: what is
        // due must not wait for them.
        for _ in 0..turn.reactor.agains() {
            let token = turn.reactor.next_again();
            if let Some(owner) = token.and_then(|token| turn.reactor.owner(token)) {
                network.fleet.serve(owner, turn);
            }
            if turn.reactor.now() > turn.now + TURN {
                break;
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.turn.reactor.agains() == 0 && self.network.fleet.is_over()
    }

    /// Reads the counters, of so many relays.
    fn read(&self, relays: usize) -> Reading {
        let at = self.turn.reactor.now();
        let memory = self.network.memory();
        let (used, peak, bound) = (memory.used(), memory.peak(), memory.limit());
        Reading {
            at,
            seed: self.network.seed(),
            seconds: at.since(self.started).as_secs_f64(),
            events: self.turn.sinks.lines(),
            held_bytes: self.network.held_bytes(),
            memory: MemorySummary { used, peak, bound, waiting: 0 },
            is_draining: self.flags.stopped().is_some(),
            rules_on: self.flags.rules_on(),
            past: self.network.past().clone(),
            page: Page::of(&self.network, 0, relays),
        }
    }

    fn finish(mut self) -> Summary {
        self.network.fleet.cut(&mut self.turn);
        let mut summary = self.read(usize::MAX).summary();
        let LogEnd { lost, left_out, error } = self.turn.sinks.finish();
        (summary.events_lost, summary.events_error) = (lost, error);
        summary.events_left_out = left_out;
        summary
    }
}

fn carried<T>(at: Instant, result: Result<T, OrderError>) -> Result<Carried<T>, OrderError> {
    result.map(|outcome| Carried { at, outcome })
}

/// A caller that does not wait any more needs no answer.
fn answer<T>(reply: &Reply<T>, result: Result<T, OrderError>) {
    let _ = reply.try_send(result);
}

#[cfg(test)]
mod tests;
