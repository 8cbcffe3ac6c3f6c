//! Names become addresses, never on the event loop: before it starts, and later on a thread of its
//! own.

use crate::reactor::RelayId;
use jostle_common::time::Instant;
use jostle_engine::route::HostPort;
use mio::Waker;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

/// The age up to which a new flow or connection uses an answer without asking again.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// The most questions that wait for the resolver. What is not asked now is asked with a later flow.
const QUESTIONS_MAX: usize = 1024;

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

/// The destination of a relay, as a name or address and what it resolved to.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    target: HostPort,
    addresses: Vec<SocketAddr>,
    is_name: bool,
    asked: Instant,
}

impl Upstream {
    /// Looks up the name, if it is one; blocks.
    pub(crate) fn new(target: &HostPort) -> io::Result<Self> {
        let is_name = target.host.parse::<IpAddr>().is_err();
        Ok(Self {
            target: target.clone(),
            addresses: resolve(target)?,
            is_name,
            asked: Instant::START,
        })
    }

    /// Returns the addresses to try in order: those of the client's own family first, as
    /// `localhost` has one of each.
    pub(crate) fn addresses(&self, client: SocketAddr) -> Vec<SocketAddr> {
        let mut addresses = self.addresses.clone();
        addresses.sort_by_key(|address| address.is_ipv4() != client.is_ipv4());
        addresses
    }

    /// Returns true if what is sent to it comes to `listener`, as far as the addresses tell.
    pub(crate) fn leads_to(&self, listener: SocketAddr) -> bool {
        self.addresses.iter().any(|&address| leads_to(address, listener))
    }

    /// Asks for the name again, in the background, if the last answer is old.
    pub(crate) fn refresh(&mut self, relay: RelayId, now: Instant, names: &mut Names) {
        if self.is_name && self.asked + FRESH_FOR <= now {
            self.asked = now;
            names.ask(relay, self.target.clone());
        }
    }

    /// Takes the answer to [`refresh`](Self::refresh).
    pub(crate) fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses;
    }
}

/// Returns true if what is sent to `address` comes to `listener`, as far as the addresses tell.
fn leads_to(address: SocketAddr, listener: SocketAddr) -> bool {
    let (to, at) = (address.ip(), listener.ip());
    // A wildcard hears loopback, and what is sent to a wildcard goes to loopback.
    let same = to == at
        || (at.is_unspecified() && to.is_loopback())
        || (to.is_unspecified() && (at.is_loopback() || at.is_unspecified()));
    address.port() == listener.port() && same
}

/// Looks names up on a thread of its own, which starts with the first question.
pub(crate) struct Names {
    waker: Arc<Waker>,
    resolver: Option<Resolver>,
}

impl Names {
    /// `waker` tells the loop that there is an answer.
    pub(crate) const fn new(waker: Arc<Waker>) -> Self {
        Self { waker, resolver: None }
    }

    fn ask(&mut self, relay: RelayId, target: HostPort) {
        if self.resolver.is_none() {
            match Resolver::start(Arc::clone(&self.waker)) {
                Ok(resolver) => self.resolver = Some(resolver),
                Err(error) => return log::warn!("names keep their addresses, no thread: {error}"),
            }
        }
        // With a full queue the question is left out; the next new flow may ask it again.
        let _ = self.resolver.as_ref().map(|resolver| resolver.questions.try_send((relay, target)));
    }

    /// Returns the next answer: for which relay, and the addresses.
    pub(crate) fn answer(&self) -> Option<(RelayId, Vec<SocketAddr>)> {
        self.resolver.as_ref()?.answers.try_recv().ok()
    }
}

struct Resolver {
    questions: SyncSender<(RelayId, HostPort)>,
    answers: Receiver<(RelayId, Vec<SocketAddr>)>,
}

impl Resolver {
    /// Starts the thread. It ends with the resolver, or when its current look-up does.
    fn start(waker: Arc<Waker>) -> io::Result<Self> {
        let (questions, asked) = mpsc::sync_channel::<(RelayId, HostPort)>(QUESTIONS_MAX);
        let (answered, answers) = mpsc::channel();
        std::thread::Builder::new().name("resolver".into()).spawn(move || {
            for (relay, target) in asked {
                match resolve(&target) {
                    Ok(addresses) => {
                        if answered.send((relay, addresses)).is_err() || waker.wake().is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        log::debug!("{target}: {error}; keeping the addresses from before")
                    }
                }
            }
        })?;
        Ok(Self { questions, answers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_look_up() {
        let upstream = Upstream::new(&HostPort { host: "::1".into(), port: 53 }).unwrap();
        assert!(!upstream.is_name);
        assert_eq!(
            upstream.addresses("127.0.0.1:1".parse().unwrap()),
            ["[::1]:53".parse().unwrap()]
        );
    }

    #[test]
    fn the_client_s_family_comes_first() {
        let mut upstream = Upstream::new(&HostPort { host: "127.0.0.1".into(), port: 53 }).unwrap();
        let (four, six): (SocketAddr, SocketAddr) =
            ("127.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap());
        upstream.set_addresses(vec![six, four]);
        assert_eq!(upstream.addresses("127.0.0.1:1".parse().unwrap()), [four, six]);
        assert_eq!(upstream.addresses("[::1]:1".parse().unwrap()), [six, four]);
    }
}
