//! One event loop: it relays what its state has, and carries out orders between two turns.

use crate::control::PAGE_RELAYS;
use crate::flow::FlowOrder;
use crate::loop_handles::LoopHandles;
use crate::loop_state::{LoopState, LoopStates};
use crate::network::Network;
use crate::orders::{Carried, Order, OrderError, Reply};
use crate::pause::{PauseHandle, Safepoint, pause};
use crate::reactor::Readiness;
use crate::shared::Contention;
use crate::snapshot::{Page, Reading};
use crate::summary::MemorySummary;
use crate::turn::Turn;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_sys::ask_for_short_slices;
use mio::Token;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The time that sockets are served before the links are looked after again.
const TURN: Duration = Duration::from_micros(500);

/// The most orders that are carried out before the sockets have their turns.
const ORDERS_PER_TURN: usize = 8;

/// An event loop, without the state that it works on.
pub(crate) struct Worker {
    /// Its number, from 0.
    pub(crate) number: usize,
    pub(crate) network: Network,
    pub(crate) loop_handles: Arc<LoopHandles>,
    pub(crate) mailbox: Receiver<Order>,
    /// What the first loop pauses the others with.
    pub(crate) pause_handles: Vec<PauseHandle>,
    /// Where the others let themselves be paused.
    pub(crate) safepoint: Option<Safepoint>,
    pub(crate) contention: Contention,
}

/// The loops that an order concerns.
enum Concern {
    /// This one alone.
    This,
    /// Another one alone.
    Other(usize),
    /// Several.
    Several,
}

/// Ends all loops if this one panics: its routes are dead, and nobody would hear of it.
struct Watchdog(Arc<LoopHandles>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(Duration::ZERO);
        }
    }
}

impl Worker {
    /// Relays until the proxy is stopped, then finishes what is open for as long as it was told.
    /// Returns itself and the state; `None` if a loop failed that it was lent to.
    pub(crate) fn run(self, mut loop_state: Box<LoopState>) -> Option<(Self, Box<LoopState>)> {
        let _watchdog = Watchdog(Arc::clone(&self.loop_handles));
        // One that runs before ordinary programs needs none.
        if let Err(error) = ask_for_short_slices() {
            log::debug!("no short turns on the processor: {error}");
        }
        let mut draining_since = None;
        let mut reports = Vec::new();
        loop {
            // Of several requests to stop the shortest counts, also of those that come later.
            let stopped = || self.loop_handles.flags().stopped();
            let stop_at = draining_since.zip(stopped()).map(|(since, drain)| since + drain);
            let deadline = [
                loop_state.fleet.deadline(),
                loop_state.turn.sinks.deadline(),
                loop_state.turn.pipes.deadline(),
                stop_at,
            ];
            let now = match loop_state.turn.reactor.wait(deadline.into_iter().flatten().min()) {
                Ok(now) => now,
                Err(error) => {
                    log::error!("the event loop failed: {error}");
                    self.loop_handles.stop(Duration::ZERO);
                    break;
                }
            };
            loop_state.turn.now = now;
            if let Some(safepoint) = &self.safepoint {
                loop_state = safepoint.pass(loop_state)?;
            }
            self.obey(&mut loop_state);
            serve(&mut loop_state, &mut reports);
            if draining_since.is_none() && stopped().is_some() {
                // The turn began before it was asked to end: what came meanwhile came in time.
                loop_state.turn.now = loop_state.turn.reactor.now();
                draining_since = Some(loop_state.turn.now);
                let LoopState { fleet, turn, .. } = &mut *loop_state;
                fleet.drain(turn);
            }
            loop_state.work();
            loop_state.turn.sinks.flush(now);
            let Turn { pipes, descriptors, .. } = &mut loop_state.turn;
            pipes.rest(now, descriptors);
            if draining_since.is_some() {
                let is_drained =
                    loop_state.turn.reactor.agains() == 0 && loop_state.fleet.is_over();
                let are_drained = self.loop_handles.are_drained(self.number, is_drained);
                if are_drained || stop_at.is_some_and(|at| at <= now) {
                    break;
                }
            }
        }
        Some((self, loop_state))
    }

    /// Carries out what was ordered from outside, and takes what the resolver has found.
    pub(crate) fn obey(&self, loop_state: &mut LoopState) {
        self.network.switch(self.loop_handles.flags().rules_on(), loop_state);
        for _ in 0..ORDERS_PER_TURN {
            let Ok(order) = self.mailbox.try_recv() else { break };
            // To look through all flows of a route takes a good part of a turn.
            let is_long = matches!(order, Order::Flow(_, FlowOrder::List(..)));
            self.take_order(order, loop_state);
            // There may be more, and a wake-up tells of many.
            self.loop_handles.wake(self.number);
            if is_long {
                break;
            }
        }
        while let Some(answer) = loop_state.turn.names.answer() {
            self.network.learn(answer, loop_state);
        }
        while let Some(found) = loop_state.turn.asked.answer(loop_state.turn.now) {
            let LoopState { fleet, turn, .. } = &mut *loop_state;
            for &relay in &found.relays {
                fleet.take_name(relay, &found, turn);
            }
        }
    }

    /// Carries an order out, with the loops that it concerns, or passes it on.
    fn take_order(&self, order: Order, loop_state: &mut LoopState) {
        match self.concern(&order) {
            Concern::This => self.carry_out(order, &mut LoopStates::new(loop_state, &mut [])),
            Concern::Several if self.number == 0 => {
                self.contention.pauses.add();
                let mut paused = pause(&self.pause_handles);
                let mut loop_states = LoopStates::new(loop_state, &mut paused.loop_states);
                // From here on it is one moment for all.
                let now = loop_states.leader().turn.reactor.now();
                loop_states.all().for_each(|loop_state| loop_state.turn.now = now);
                self.carry_out(order, &mut loop_states);
            }
            Concern::Several => self.pass_on(order, 0),
            Concern::Other(number) => self.pass_on(order, number),
        }
    }

    fn pass_on(&self, order: Order, number: usize) {
        if let Err(unsent) = self.loop_handles.send(number, order) {
            let (order, error) = *unsent;
            order.refuse(error);
        }
    }

    fn concern(&self, order: &Order) -> Concern {
        if self.loop_handles.len() == 1 {
            return Concern::This;
        }
        let of = |id| match self.network.sites_of(id) {
            Ok(loop_states) if loop_states.len() > 1 => Concern::Several,
            Ok(loop_states) if loop_states.start != self.number => {
                Concern::Other(loop_states.start)
            }
            // One that is not there is refused here as well as anywhere.
            Ok(_) | Err(_) => Concern::This,
        };
        match order {
            Order::Switch(..) => Concern::Several,
            Order::Add(new, _) | Order::Replace(_, new, ..)
                if self.network.loops_of(&new.route) > 1 =>
            {
                Concern::Several
            }
            Order::Replace(id, ..)
            | Order::Remove(id, ..)
            | Order::Close(id, _)
            | Order::SetProfile(id, ..)
            | Order::SetRule(id, ..)
            | Order::RemoveRule(id, ..) => of(*id),
            Order::Add(..)
            | Order::Routes(_)
            | Order::Read(..)
            | Order::ReadOn(..)
            | Order::Flow(..)
            | Order::AddSink(..) => Concern::This,
        }
    }

    fn carry_out(&self, order: Order, loop_states: &mut LoopStates<'_>) {
        let Self { network, .. } = self;
        let now = loop_states.leader().turn.now;
        match order {
            Order::Add(route, reply) => {
                let added =
                    network.add(*route, loop_states).and_then(|id| network.state(id, loop_states));
                answer(&reply, carried(now, added));
            }
            Order::Replace(id, route, drain, reply) => {
                let began = network.began(id, loop_states);
                let replaced = network.replace(id, *route, drain, loop_states);
                let state = replaced.and_then(|()| Ok((network.state(id, loop_states)?, began?)));
                answer(&reply, carried(now, state));
            }
            Order::Remove(id, drain, reply) => {
                let began = network.began(id, loop_states);
                let removed = network.remove(id, drain, loop_states);
                answer(&reply, carried(now, removed.and(began)));
            }
            Order::Close(id, reply) => {
                let began = network.began(id, loop_states);
                answer(&reply, carried(now, network.close(id, loop_states).and(began)));
            }
            Order::SetProfile(id, profile, reply) => {
                let set = network.set_profile(id, *profile, loop_states);
                answer(&reply, carried(now, set.and_then(|()| network.began(id, loop_states))));
            }
            Order::SetRule(id, direction, rule, reply) => {
                let set = network.set_rule(id, direction, &rule, loop_states);
                answer(&reply, carried(now, set.and_then(|()| network.began(id, loop_states))));
            }
            Order::RemoveRule(id, direction, key, reply) => {
                let removed = network.remove_rule(id, direction, &key, loop_states);
                answer(&reply, carried(now, removed.and_then(|()| network.began(id, loop_states))));
            }
            Order::Switch(on, reply) => {
                self.loop_handles.flags().switch(on);
                loop_states.all().for_each(|loop_state| network.switch(on, loop_state));
                answer(&reply, carried(now, Ok(network.all_began(loop_states))));
            }
            Order::Flow(id, FlowOrder::List(after, reply)) => {
                answer(&reply, network.flows(id, after, loop_states.leader()));
            }
            Order::Flow(id, FlowOrder::Find(flow, reply)) => {
                answer(&reply, network.flow(id, flow, loop_states.leader()));
            }
            Order::Flow(id, FlowOrder::End(flow, ending, reply)) => {
                answer(&reply, network.end_flow(id, flow, ending, loop_states.leader()));
            }
            Order::Routes(reply) => answer(&reply, Ok(network.states(loop_states))),
            Order::Read(relays, reply) => {
                let loop_state = loop_states.leader();
                if loop_state.number == 0 {
                    loop_state.turn.sinks.counters_read();
                }
                answer(&reply, Ok(self.read(loop_state, relays)));
            }
            Order::ReadOn(from, reply) => {
                answer(&reply, Ok(Page::of(loop_states.leader(), from, PAGE_RELAYS)));
            }
            Order::AddSink(mut sink, reply) => {
                let turn = &mut loop_states.leader().turn;
                let epoch = turn.reactor.now().since(Instant::START);
                sink.begin(Clock::wall().saturating_sub(epoch));
                turn.sinks.add(sink);
                answer(&reply, Ok(()));
            }
        }
    }

    /// Reads the counters, of so many relays of this loop.
    pub(crate) fn read(&self, loop_state: &LoopState, relays: usize) -> Reading {
        let at = loop_state.turn.reactor.now();
        let flags = self.loop_handles.flags();
        let memory = self.network.memory();
        let (used, peak, bound) = (memory.used(), memory.peak(), memory.limit());
        Reading {
            at,
            seed: self.network.seed(),
            seconds: at.since(flags.started()).as_secs_f64(),
            workers: self.loop_handles.len(),
            contended: self.contention.counted(),
            events: loop_state.turn.sinks.lines(),
            held_bytes: self.network.held_bytes(),
            memory: MemorySummary { used, peak, bound, waiting: 0 },
            is_draining: flags.stopped().is_some(),
            rules_on: flags.rules_on(),
            past: loop_state.past.clone(),
            page: Page::of(loop_state, 0, relays),
        }
    }
}

/// Lets the sockets have their turns.
pub(crate) fn serve(loop_state: &mut LoopState, reports: &mut Vec<(Token, Readiness)>) {
    let LoopState { fleet, turn, .. } = loop_state;
    reports.clear();
    reports.extend(turn.reactor.reports());
    for &(token, readiness) in reports.iter() {
        if let Some(owner) = turn.reactor.owner(token) {
            fleet.note(owner, readiness, turn);
        }
    }
    // Those who ask once more meanwhile, or are not reached, wait for the next turn: what is
    // due must not wait for them.
    for _ in 0..turn.reactor.agains() {
        let token = turn.reactor.next_again();
        if let Some(owner) = token.and_then(|token| turn.reactor.owner(token)) {
            fleet.serve(owner, turn);
        }
        if turn.reactor.now() > turn.now + TURN {
            break;
        }
    }
}

fn carried<T>(at: Instant, result: Result<T, OrderError>) -> Result<Carried<T>, OrderError> {
    result.map(|outcome| Carried { at, outcome })
}

/// A caller that does not wait any more needs no answer.
fn answer<T>(reply: &Reply<T>, result: Result<T, OrderError>) {
    let _ = reply.try_send(result);
}
