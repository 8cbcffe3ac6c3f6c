//! The proxy: all routes of a process on one event loop, or spread over several.

use crate::buffers::Buffers;
use crate::client;
use crate::control::Control;
use crate::descriptors::{DescriptorTable, Descriptors};
use crate::event_log::{EventLog, LogEnd};
use crate::listener::Listener;
use crate::look_ups::LookUps;
use crate::loop_handles::LoopHandles;
use crate::loop_state::{LoopState, LoopStates};
use crate::network::Network;
use crate::orders::{ORDERS_MAX, Prepared, RouteState};
use crate::own::OwnAddresses;
use crate::pause;
use crate::pipes::Pipes;
use crate::reactor::Reactor;
use crate::resolve::Names;
use crate::settings::{Settings, StartError};
use crate::shared::Contention;
use crate::sinks::Sinks;
use crate::snapshot::Reading;
use crate::summary::Summary;
use crate::turn::{Datagrams, LoopOptions, SCRATCH_BYTES, Turn};
use crate::udp::Joiner;
use crate::worker::Worker;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_engine::memory::Memory;
use jostle_sys::{
    Inbox, Outbox, Realtime, is_out_of_descriptors, open_descriptors, raise_descriptor_limit,
    take_precedence,
};
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// A proxy whose listeners are open.
pub struct Proxy {
    network: Network,
    loop_handles: Arc<LoopHandles>,
    clock: Clock,
    listeners: Vec<Listener>,
    /// The loop of the thread that [runs](Self::run) it, and its state.
    first: (Worker, Box<LoopState>),
    others: Vec<OtherLoop>,
}

/// A loop on a thread of its own, which waits to be told to begin.
struct OtherLoop {
    worker: Worker,
    loop_state: Box<LoopState>,
    /// Lets it begin, before ordinary programs or not.
    begin: SyncSender<(Worker, Box<LoopState>, bool)>,
    thread: JoinHandle<Option<(Worker, Box<LoopState>)>>,
    takes_precedence: bool,
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
        let Settings { sinks, on_client, workers, .. } = settings;
        let Settings { spin, connect_timeout, negotiation_timeout, memory, per_source, .. } =
            settings;
        let Settings { amplification, tells_of_upstreams, kept_descriptors, .. } = settings;
        let Settings { splices, runs, coalesce, .. } = settings;
        let loops = workers.clamp(1, Settings::WORKERS_MAX);
        let options = LoopOptions {
            portable,
            runs,
            coalesce,
            connect_timeout,
            negotiation_timeout,
            amplification,
            tells_of_upstreams,
        };
        let limit = raise_descriptor_limit();
        let clock = Clock::start();
        let reactors: io::Result<Vec<Reactor>> =
            (0..loops).map(|_| Reactor::new(clock, portable, spin)).collect();
        let reactors = reactors?;
        let wakers: Vec<_> = reactors.iter().map(Reactor::waker).collect();
        let log = events.map(|file| EventLog::start(file, events_only)).transpose()?;
        let epoch = Clock::wall().saturating_sub(clock.now().since(Instant::START));
        let mut sinks = sinks;
        sinks.iter_mut().for_each(|sink| sink.begin(epoch));
        let contention = Contention::default();
        let open = open_descriptors().unwrap_or(0);
        let table = DescriptorTable::new(limit.saturating_sub(kept_descriptors), open, per_source);
        let mut sinks = Sinks::of_loops(log, sinks, loops, &contention.sinks).into_iter();
        let descriptors = Descriptors::of_loops(table, &wakers, &contention.descriptors);
        let mut descriptors = descriptors.into_iter();
        let mut own = OwnAddresses::of_loops(loops, &contention.addresses).into_iter();
        let mut hooks = client::of_loops(on_client, loops, &contention.clients).into_iter();
        let mut handles = || Some((sinks.next()?, descriptors.next()?, own.next()?, hooks.next()?));
        let loop_state = |(number, reactor): (usize, Reactor)| {
            let (sinks, descriptors, own, on_client) = handles().expect("one for each loop");
            let turn = Turn {
                names: Names::new(reactor.waker()),
                asked: LookUps::new(reactor.waker()),
                reactor,
                sinks,
                on_client,
                descriptors,
                datagrams: Datagrams {
                    inbox: Inbox::new(portable),
                    outbox: Box::new(Outbox::new(portable)),
                    joiner: Joiner::default(),
                },
                own,
                pipes: Pipes::new(splices && !portable, limit / loops),
                scratch: vec![0; SCRATCH_BYTES],
                buffers: Buffers::default(),
                now: Instant::START,
                options,
                called: Vec::new(),
                warned_of_memory: false,
            };
            Box::new(LoopState::new(number, turn))
        };
        let mut loop_states: Vec<Box<LoopState>> =
            reactors.into_iter().enumerate().map(loop_state).collect();
        let memory = Memory::new(memory.max(Settings::MEMORY_LEAST));
        let network = Network::new(seed, memory, loops, &contention.routes);
        let mut first = loop_states.remove(0);
        let mut all = LoopStates::new(&mut first, &mut loop_states);
        for route in routes {
            let prepared = Prepared::at_start(route)?;
            network.start(prepared, &mut all).map_err(|error| match error {
                StartError::Listen { cause, .. } if is_out_of_descriptors(&cause) => {
                    StartError::Descriptors { limit, needed: 2 * limit }
                }
                error => error,
            })?;
        }
        let missing = first.turn.descriptors.missing_for_a_client();
        if missing > 0 {
            return Err(StartError::Descriptors { limit, needed: limit + missing });
        }
        network.refuse_circles()?;
        loop_states.insert(0, first);
        Self::of_sites(network, clock, contention, loop_states)
    }

    /// Makes the loops of these states, and the threads of all but the first.
    fn of_sites(
        network: Network,
        clock: Clock,
        contention: Contention,
        loop_states: Vec<Box<LoopState>>,
    ) -> Result<Self, StartError> {
        let (mut ways, mut mailboxes) = (vec![], vec![]);
        let (mut pause_handles, mut safepoints) = (vec![], vec![]);
        for loop_state in &loop_states {
            let (orders, mailbox) = mpsc::sync_channel(ORDERS_MAX);
            let waker = loop_state.turn.reactor.waker();
            ways.push((orders, Arc::clone(&waker)));
            mailboxes.push(mailbox);
            let (pause_handle, safepoint) = pause::between(waker);
            let is_first = loop_state.number == 0;
            pause_handles.extend((!is_first).then_some(pause_handle));
            safepoints.push((!is_first).then_some(safepoint));
        }
        let loop_handles = Arc::new(LoopHandles::new(ways));
        let mut loops = Vec::new();
        let ends = mailboxes.into_iter().zip(safepoints);
        for (loop_state, (mailbox, safepoint)) in loop_states.into_iter().zip(ends) {
            let worker = Worker {
                number: loop_state.number,
                network: network.clone(),
                loop_handles: Arc::clone(&loop_handles),
                mailbox,
                pause_handles: std::mem::take(&mut pause_handles),
                safepoint,
                contention: contention.clone(),
            };
            loops.push((worker, loop_state));
        }
        let first = loops.remove(0);
        let others: io::Result<Vec<OtherLoop>> = loops.into_iter().map(OtherLoop::new).collect();
        let (listeners, others) = (network.listeners(), others?);
        Ok(Self { network, loop_handles, clock, listeners, first, others })
    }

    /// Returns the sockets that it listened on when it was bound, route by route, UDP first.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Returns the routes that it was bound with.
    pub fn routes(&self) -> Vec<RouteState> {
        self.network.states_at_start()
    }

    /// Returns a handle to change it, to switch its rules or to stop it.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.loop_handles), self.network.clone(), self.clock)
    }

    /// Asks the system to run its loops before ordinary programs: on this thread, which is to
    /// [run](Self::run) it, and on those of the others. Says what this one was granted; the others
    /// are granted the same.
    pub fn take_precedence(&mut self) -> Realtime {
        self.first.1.turn.reactor.take_rests();
        for other in &mut self.others {
            other.takes_precedence = true;
            other.loop_state.turn.reactor.take_rests();
        }
        take_precedence()
    }

    /// Relays on this thread, and those of the other loops, until it is stopped, then finishes what
    /// is open for as long as it was told.
    pub fn run(self) -> Summary {
        let Self { loop_handles, clock, first: (worker, loop_state), others, .. } = self;
        loop_handles.flags().start(clock.now());
        let running: Vec<_> = others.into_iter().map(OtherLoop::begin).collect();
        let mut ended = vec![worker.run(loop_state).expect("nobody borrows from the first loop")];
        for thread in running {
            match thread.join() {
                Ok(one) => ended.extend(one),
                Err(panic) => resume_unwind(panic),
            }
        }
        finish(ended)
    }
}

impl OtherLoop {
    fn new((worker, loop_state): (Worker, Box<LoopState>)) -> io::Result<Self> {
        let (begin, waits) = mpsc::sync_channel::<(Worker, Box<LoopState>, bool)>(1);
        let name = format!("worker {}", worker.number + 1);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // Without a word it is not needed.
            let (worker, loop_state, takes_precedence) = waits.recv().ok()?;
            if takes_precedence {
                log::debug!("worker {}: {:?}", worker.number + 1, take_precedence());
            }
            worker.run(loop_state)
        })?;
        Ok(Self { worker, loop_state, begin, thread, takes_precedence: false })
    }

    /// Lets it relay.
    fn begin(self) -> JoinHandle<Option<(Worker, Box<LoopState>)>> {
        let Self { worker, loop_state, begin, thread, takes_precedence } = self;
        // It waits, or has failed, which its end tells.
        let _ = begin.send((worker, loop_state, takes_precedence));
        thread
    }
}

/// Cuts what is still open, and returns what all loops did.
fn finish(mut loops: Vec<(Worker, Box<LoopState>)>) -> Summary {
    for (_, loop_state) in &mut loops {
        let LoopState { fleet, turn, .. } = &mut **loop_state;
        fleet.cut(turn);
    }
    let mut readings = loops.iter().map(|(worker, loop_state)| worker.read(loop_state, usize::MAX));
    let mut reading: Reading = readings.next().expect("there is a first loop");
    readings.for_each(|other| reading.join(other));
    let mut summary = reading.summary();
    let LogEnd { lost, left_out, error } = loops[0].1.turn.sinks.finish();
    (summary.events_lost, summary.events_error) = (lost, error);
    summary.events_left_out = left_out;
    summary
}

#[cfg(test)]
mod runs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod virtual_time;
