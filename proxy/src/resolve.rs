//! Names become addresses, never on the event loop: before it starts, and later on threads of their
//! own. [`upstream`] is what a relay knows of where it leads.

mod upstream;

pub(crate) use upstream::{Upstream, leads_to};

use crate::reactor::RelayId;
use jostle_engine::route::HostPort;
use mio::Waker;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex};

/// The most questions that wait for the resolver. What is not asked now is asked with a later flow.
const QUESTIONS_MAX: usize = 1024;

/// The most look-ups that are under way at once: names whose servers do not answer hold up no other
/// until there are so many of them.
const LOOK_UPS_MAX: usize = 16;

/// The most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Looks a name up; blocks. There is at least one address in an answer.
pub(crate) fn resolve(target: &HostPort) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port)]);
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (target.host.as_str(), target.port).to_socket_addrs()? {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// What was found for a name.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The relay that asked.
    pub(crate) relay: RelayId,
    /// What it asked for.
    pub(crate) target: HostPort,
    /// None if the name has no address now.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Looks names up on threads of its own, which start with the first questions.
pub(crate) struct Names {
    waker: Arc<Waker>,
    resolver: Option<Resolver>,
}

impl Names {
    /// `waker` tells the loop that there is an answer.
    pub(crate) const fn new(waker: Arc<Waker>) -> Self {
        Self { waker, resolver: None }
    }

    /// Asks for a name. Returns true if there will be an answer: with a full queue the question is
    /// left out, and the next new flow may ask it again.
    fn ask(&mut self, relay: RelayId, target: HostPort) -> bool {
        let resolver = self.resolver.get_or_insert_with(|| Resolver::new(Arc::clone(&self.waker)));
        resolver.ask(relay, target)
    }

    /// Returns the next answer.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.resolver.as_ref()?.next_answer()
    }
}

/// Threads that look names up, as many as there are questions at once.
pub(crate) struct Resolver {
    questions: SyncSender<(RelayId, HostPort)>,
    answers: Receiver<Answer>,
    threads: usize,
    /// The questions without an answer.
    open: Arc<AtomicUsize>,
    asked: Arc<Mutex<Receiver<(RelayId, HostPort)>>>,
    answered: Sender<Answer>,
    waker: Arc<Waker>,
}

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        let (questions, asked) = mpsc::sync_channel(QUESTIONS_MAX);
        let (answered, answers) = mpsc::channel();
        let (open, asked) = (Arc::default(), Arc::new(Mutex::new(asked)));
        Self { questions, answers, threads: 0, open, asked, answered, waker }
    }

    /// Returns the next answer.
    pub(crate) fn next_answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// Asks for a name. Returns true if there will be an answer.
    pub(crate) fn ask(&mut self, relay: RelayId, target: HostPort) -> bool {
        if self.open.load(Ordering::Relaxed) >= self.threads && self.threads < LOOK_UPS_MAX {
            match self.start_thread() {
                Ok(()) => self.threads += 1,
                Err(error) => log::warn!("no thread to look up {target}: {error}"),
            }
        }
        if self.threads == 0 {
            return false;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let asked = self.questions.try_send((relay, target)).is_ok();
        if !asked {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        asked
    }

    /// Starts a thread. It ends with the resolver, or when its current look-up does.
    fn start_thread(&self) -> io::Result<()> {
        let (open, asked) = (Arc::clone(&self.open), Arc::clone(&self.asked));
        let (answered, waker) = (self.answered.clone(), Arc::clone(&self.waker));
        std::thread::Builder::new().name("resolver".into()).spawn(move || {
            let next = || asked.lock().ok()?.recv().ok();
            while let Some((relay, target)) = next() {
                let addresses = resolve(&target).unwrap_or_else(|error| {
                    log::debug!("{target}: {error}; keeping the addresses from before");
                    Vec::new()
                });
                open.fetch_sub(1, Ordering::Relaxed);
                let answer = Answer { relay, target, addresses };
                if answered.send(answer).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }
}
