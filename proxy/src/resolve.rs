//! Names become addresses, never on the event loop: before it starts, and later on a thread of its
//! own.

use crate::own::hears;
use crate::reactor::RelayId;
use jostle_common::time::Instant;
use jostle_engine::route::HostPort;
use mio::Waker;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

/// The age up to which a new flow or connection uses an answer without asking again.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// The age up to which it is used when there is doubt: the upstream refused, or there is no address
/// at all.
const DOUBTED_FOR: Duration = Duration::from_millis(100);

/// The time between questions for a name without an address while no client comes.
const RETRY: Duration = Duration::from_secs(1);

/// The most questions that wait for the resolver. What is not asked now is asked with a later flow.
const QUESTIONS_MAX: usize = 1024;

/// The most look-ups with a patience that are under way at once.
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

/// The destination of a relay, as a name or address and what it resolved to: nothing, as long as
/// the name has no address.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    target: HostPort,
    addresses: Vec<SocketAddr>,
    is_name: bool,
    asked: Instant,
    /// Set while a question is on its way.
    waits: bool,
}

impl Upstream {
    /// Looks up the name, if it is one; blocks.
    pub(crate) fn new(target: &HostPort) -> io::Result<Self> {
        Ok(Self { addresses: resolve(target)?, ..Self::without_address(target) })
    }

    /// Looks up the name, if it is one, for as long as `patience`; blocks. Without an answer in that
    /// time it has no address yet.
    pub(crate) fn within(target: &HostPort, patience: Duration, look_ups: &LookUps) -> Self {
        if target.host.parse::<IpAddr>().is_ok() {
            return Self {
                addresses: resolve(target).unwrap_or_default(),
                ..Self::without_address(target)
            };
        }
        Self { addresses: look_ups.resolve(target, patience), ..Self::without_address(target) }
    }

    /// An upstream whose name has no address yet.
    pub(crate) fn without_address(target: &HostPort) -> Self {
        Self {
            target: target.clone(),
            addresses: Vec::new(),
            is_name: target.host.parse::<IpAddr>().is_err(),
            asked: Instant::START,
            waits: false,
        }
    }

    /// Returns the addresses to try in order: those of the client's own family first, as
    /// `localhost` has one of each.
    pub(crate) fn addresses(&self, client: SocketAddr) -> Vec<SocketAddr> {
        let mut addresses = self.addresses.clone();
        addresses.sort_by_key(|address| address.is_ipv4() != client.is_ipv4());
        addresses
    }

    /// The same upstream with none but this address.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { addresses: vec![address], ..self.clone() }
    }

    /// Returns true if `address` is one of its own.
    pub(crate) fn is_at(&self, address: SocketAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// Returns true if what is sent to it comes to `listener`, as far as the addresses tell.
    pub(crate) fn leads_to(&self, listener: SocketAddr) -> bool {
        self.addresses.iter().any(|&address| leads_to(address, listener))
    }

    /// Asks for the name again, in the background, if the last answer is old.
    pub(crate) fn refresh(&mut self, relay: RelayId, now: Instant, names: &mut Names) {
        let age = if self.addresses.is_empty() { DOUBTED_FOR } else { FRESH_FOR };
        self.ask_if_older(age, relay, now, names);
    }

    /// Asks for the name again because the upstream refused: its address may be another by now.
    pub(crate) fn doubt(&mut self, relay: RelayId, now: Instant, names: &mut Names) {
        self.ask_if_older(DOUBTED_FOR, relay, now, names);
    }

    /// Asks for a name without an address from time to time, so that the first client that could
    /// be served is. Returns when to do so next.
    pub(crate) fn seek(
        &mut self,
        relay: RelayId,
        now: Instant,
        names: &mut Names,
    ) -> Option<Instant> {
        if !self.addresses.is_empty() || !self.is_name {
            return None;
        }
        self.ask_if_older(RETRY, relay, now, names);
        Some(if self.waits { now + RETRY } else { self.asked + RETRY })
    }

    fn ask_if_older(&mut self, age: Duration, relay: RelayId, now: Instant, names: &mut Names) {
        if self.is_name && !self.waits && self.asked + age <= now {
            self.asked = now;
            self.waits = names.ask(relay, self.target.clone());
        }
    }

    /// Takes the answer to a question: none if the name has no address now, and those from before
    /// are kept then.
    pub(crate) fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.waits = false;
        if addresses.is_empty() {
            return;
        }
        if self.addresses.is_empty() {
            log::info!("{} has an address now", self.target);
        }
        self.addresses = addresses;
    }
}

/// Look-ups that are waited for no longer than a caller's patience, each on a thread of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct LookUps(Arc<AtomicUsize>);

impl LookUps {
    /// Looks a name up, and gives up waiting after `patience`. The thread ends with the look-up;
    /// with many that hang no more are begun.
    fn resolve(&self, target: &HostPort, patience: Duration) -> Vec<SocketAddr> {
        let under_way = Arc::clone(&self.0);
        if under_way.fetch_add(1, Ordering::Relaxed) >= LOOK_UPS_MAX {
            under_way.fetch_sub(1, Ordering::Relaxed);
            return Vec::new();
        }
        let (found, answer) = mpsc::sync_channel(1);
        let asked = target.clone();
        let thread = std::thread::Builder::new().name("look-up".into()).spawn(move || {
            let addresses = resolve(&asked).unwrap_or_default();
            under_way.fetch_sub(1, Ordering::Relaxed);
            // Nobody may wait for it any more.
            let _ = found.send(addresses);
        });
        if thread.is_err() {
            self.0.fetch_sub(1, Ordering::Relaxed);
            return Vec::new();
        }
        answer.recv_timeout(patience).unwrap_or_default()
    }
}

/// Returns true if what is sent to `address` comes to `listener`, as far as the addresses tell.
fn leads_to(address: SocketAddr, listener: SocketAddr) -> bool {
    address.port() == listener.port() && hears(listener.ip(), address.ip())
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

    /// Asks for a name. Returns true if there will be an answer: with a full queue the question is
    /// left out, and the next new flow may ask it again.
    fn ask(&mut self, relay: RelayId, target: HostPort) -> bool {
        if self.resolver.is_none() {
            match Resolver::start(Arc::clone(&self.waker)) {
                Ok(resolver) => self.resolver = Some(resolver),
                Err(error) => log::warn!("names keep their addresses, no thread: {error}"),
            }
        }
        let Some(resolver) = &self.resolver else { return false };
        resolver.questions.try_send((relay, target)).is_ok()
    }

    /// Returns the next answer: for which relay, and the addresses, if there are any.
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
                let addresses = resolve(&target).unwrap_or_else(|error| {
                    log::debug!("{target}: {error}; keeping the addresses from before");
                    Vec::new()
                });
                if answered.send((relay, addresses)).is_err() || waker.wake().is_err() {
                    return;
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

    #[test]
    fn a_name_is_asked_for_when_it_is_old_and_at_once_when_there_is_doubt() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let mut names = Names::new(waker);
        let (relay, ms) = (RelayId { index: 0, serial: 1 }, Instant::from_millis);
        let nowhere = HostPort { host: "no-such-host.invalid".into(), port: 9 };
        let mut upstream = Upstream::without_address(&nowhere);
        // Waits for the answer if a question was asked, and takes it.
        let mut answered = |upstream: &mut Upstream, names: &Names| {
            let asked = upstream.waits;
            while asked && upstream.waits {
                poll.poll(&mut mio::Events::with_capacity(1), None).unwrap();
                while let Some((_, addresses)) = names.answer() {
                    upstream.set_addresses(addresses);
                }
            }
            asked
        };
        // Without an address it asks each second, and with each client that comes.
        assert_eq!(upstream.seek(relay, ms(1000), &mut names), Some(ms(2000)));
        assert!(answered(&mut upstream, &names) && upstream.addresses.is_empty());
        assert_eq!(upstream.seek(relay, ms(1500), &mut names), Some(ms(2000)));
        assert!(!answered(&mut upstream, &names));
        upstream.refresh(relay, ms(1050), &mut names);
        assert!(!answered(&mut upstream, &names), "it has just been asked");
        upstream.refresh(relay, ms(1100), &mut names);
        assert!(answered(&mut upstream, &names));
        // With one, the answer is good for a while, unless the upstream refuses.
        let known = vec!["127.0.0.1:9".parse().unwrap()];
        upstream.set_addresses(known.clone());
        assert_eq!(upstream.seek(relay, ms(5000), &mut names), None);
        upstream.refresh(relay, ms(5000), &mut names);
        assert!(!answered(&mut upstream, &names));
        upstream.doubt(relay, ms(5000), &mut names);
        assert!(answered(&mut upstream, &names));
        assert_eq!(upstream.addresses, known, "no answer takes no address away");
        upstream.refresh(relay, ms(10_000), &mut names);
        assert!(answered(&mut upstream, &names));
    }
}
