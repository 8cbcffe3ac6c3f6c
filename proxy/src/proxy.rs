//! The proxy: all routes of a process on one event loop, or spread over several.

use crate::client;
use crate::control::Control;
use crate::crew::Crew;
use crate::descriptors::{DescriptorTable, Descriptors};
use crate::event_log::{EventLog, LogEnd};
use crate::listener::Listener;
use crate::look_ups::LookUps;
use crate::meeting;
use crate::network::Network;
use crate::orders::{ORDERS_MAX, Prepared, RouteState};
use crate::own::OwnAddresses;
use crate::reactor::Reactor;
use crate::resolve::Names;
use crate::settings::{Settings, StartError};
use crate::shared::Contention;
use crate::sinks::Sinks;
use crate::site::{Site, Sites};
use crate::snapshot::Reading;
use crate::summary::Summary;
use crate::turn::{Datagrams, LoopOptions, SCRATCH_BYTES, Turn};
use crate::worker::Worker;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_engine::memory::Memory;
use jostle_sys::{Inbox, Outbox, is_out_of_descriptors, open_descriptors, raise_descriptor_limit};
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// A proxy whose listeners are open.
pub struct Proxy {
    network: Network,
    crew: Arc<Crew>,
    clock: Clock,
    listeners: Vec<Listener>,
    /// The loop of the thread that [runs](Self::run) it, and its site.
    first: (Worker, Box<Site>),
    others: Vec<OtherLoop>,
}

/// A loop on a thread of its own, which waits to be told to begin.
struct OtherLoop {
    worker: Worker,
    site: Box<Site>,
    begin: SyncSender<(Worker, Box<Site>)>,
    thread: JoinHandle<Option<(Worker, Box<Site>)>>,
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
        let loops = workers.clamp(1, Settings::WORKERS_MAX);
        let options = LoopOptions {
            portable,
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
        let site = |(number, reactor): (usize, Reactor)| {
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
                },
                own,
                scratch: vec![0; SCRATCH_BYTES],
                now: Instant::START,
                options,
                called: Vec::new(),
                warned_of_memory: false,
            };
            Box::new(Site::new(number, turn))
        };
        let mut sites: Vec<Box<Site>> = reactors.into_iter().enumerate().map(site).collect();
        let memory = Memory::new(memory.max(Settings::MEMORY_LEAST));
        let network = Network::new(seed, memory, loops, &contention.routes);
        let mut first = sites.remove(0);
        let mut all = Sites::new(&mut first, &mut sites);
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
        sites.insert(0, first);
        Self::of_sites(network, clock, contention, sites)
    }

    /// Makes the loops of these sites, and the threads of all but the first.
    fn of_sites(
        network: Network,
        clock: Clock,
        contention: Contention,
        sites: Vec<Box<Site>>,
    ) -> Result<Self, StartError> {
        let (mut ways, mut mailboxes, mut callers, mut ears) = (vec![], vec![], vec![], vec![]);
        for site in &sites {
            let (orders, mailbox) = mpsc::sync_channel(ORDERS_MAX);
            let waker = site.turn.reactor.waker();
            ways.push((orders, Arc::clone(&waker)));
            mailboxes.push(mailbox);
            let (caller, ear) = meeting::between(waker);
            let is_first = site.number == 0;
            callers.extend((!is_first).then_some(caller));
            ears.push((!is_first).then_some(ear));
        }
        let crew = Arc::new(Crew::new(ways));
        let mut loops = Vec::new();
        for ((site, mailbox), ear) in sites.into_iter().zip(mailboxes).zip(ears) {
            let worker = Worker {
                number: site.number,
                network: network.clone(),
                crew: Arc::clone(&crew),
                mailbox,
                callers: std::mem::take(&mut callers),
                ear,
                contention: contention.clone(),
            };
            loops.push((worker, site));
        }
        let first = loops.remove(0);
        let others: io::Result<Vec<OtherLoop>> = loops.into_iter().map(OtherLoop::new).collect();
        let (listeners, others) = (network.listeners(), others?);
        Ok(Self { network, crew, clock, listeners, first, others })
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
        Control::new(Arc::clone(&self.crew), self.network.clone(), self.clock)
    }

    /// Relays on this thread, and those of the other loops, until it is stopped, then finishes what
    /// is open for as long as it was told.
    pub fn run(self) -> Summary {
        let Self { crew, clock, first: (worker, site), others, .. } = self;
        crew.flags().start(clock.now());
        let running: Vec<_> = others.into_iter().map(OtherLoop::begin).collect();
        let mut ended = vec![worker.run(site).expect("nobody borrows from the first loop")];
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
    fn new((worker, site): (Worker, Box<Site>)) -> io::Result<Self> {
        let (begin, waits) = mpsc::sync_channel::<(Worker, Box<Site>)>(1);
        let name = format!("worker {}", worker.number + 1);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // Without a word it is not needed.
            let (worker, site) = waits.recv().ok()?;
            worker.run(site)
        })?;
        Ok(Self { worker, site, begin, thread })
    }

    /// Lets it relay.
    fn begin(self) -> JoinHandle<Option<(Worker, Box<Site>)>> {
        let Self { worker, site, begin, thread } = self;
        // It waits, or has failed, which its end tells.
        let _ = begin.send((worker, site));
        thread
    }
}

/// Cuts what is still open, and returns what all loops did.
fn finish(mut loops: Vec<(Worker, Box<Site>)>) -> Summary {
    for (_, site) in &mut loops {
        let Site { fleet, turn, .. } = &mut **site;
        fleet.cut(turn);
    }
    let mut readings = loops.iter().map(|(worker, site)| worker.read(site, usize::MAX));
    let mut reading: Reading = readings.next().expect("there is a first loop");
    readings.for_each(|other| reading.join(other));
    let mut summary = reading.summary();
    let LogEnd { lost, left_out, error } = loops[0].1.turn.sinks.finish();
    (summary.events_lost, summary.events_error) = (lost, error);
    summary.events_left_out = left_out;
    summary
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod virtual_time;
