//! The destination of a relay: its name, the addresses that are known of it, and when to ask again.

use super::{Names, resolve};
use crate::own::hears;
use crate::reactor::RelayId;
use jostle_common::time::Instant;
use jostle_engine::route::HostPort;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The age up to which a new flow or connection uses an answer without asking again.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// The age up to which it is used when there is doubt: the upstream refused, or there is no address
/// at all.
const DOUBTED_FOR: Duration = Duration::from_millis(100);

/// The time between questions for a name without an address while no client comes.
const RETRY: Duration = Duration::from_secs(1);

/// The destination of a relay, as a name or address and what it resolved to: nothing, as long as
/// the name has no address.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// `None` where each client says where it wants to go: there is nobody to relay to otherwise.
    target: Option<HostPort>,
    addresses: Vec<SocketAddr>,
    is_name: bool,
    /// The time of the last question.
    asked: Option<Instant>,
    /// Set while a question is on its way.
    waits: bool,
    /// Set once there was an answer, whatever it was.
    answered: bool,
}

impl Upstream {
    /// Looks up the name, if it is one; blocks.
    pub(crate) fn new(target: &HostPort) -> io::Result<Self> {
        Ok(Self {
            addresses: resolve(target)?,
            asked: Some(Instant::START),
            answered: true,
            ..Self::unasked(target)
        })
    }

    /// An upstream whose name was looked up in vain.
    pub(crate) fn without_address(target: &HostPort) -> Self {
        Self { asked: Some(Instant::START), answered: true, ..Self::unasked(target) }
    }

    /// An upstream whose name, if it is one, is yet to be looked up: its relay asks for it when it
    /// begins. What is no name, or `localhost`, has its addresses now.
    pub(crate) fn unasked(target: &HostPort) -> Self {
        let addresses = match target.host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            // It names this machine, whatever the system's tables say (RFC 6761, 6.3).
            Err(_) if target.host == "localhost" => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            Err(_) => Vec::new(),
        };
        Self {
            target: Some(target.clone()),
            is_name: addresses.is_empty(),
            addresses: addresses.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect(),
            asked: None,
            waits: false,
            answered: false,
        }
    }

    /// The destination of a relay whose clients say where they want to go.
    pub(crate) const fn asked_for() -> Self {
        Self {
            target: None,
            addresses: Vec::new(),
            is_name: false,
            asked: None,
            waits: false,
            answered: true,
        }
    }

    /// Takes over what is known of the same name.
    pub(crate) fn or_as_known(self, known: Option<&Self>) -> Self {
        match known {
            Some(known) if known.target == self.target && self.addresses.is_empty() => {
                // Questions of another relay are answered there.
                Self { waits: false, ..known.clone() }
            }
            _ => self,
        }
    }

    /// Returns true if it leads to `target`.
    pub(crate) fn is_for(&self, target: &HostPort) -> bool {
        self.target.as_ref() == Some(target)
    }

    /// Returns true while there is no address, and an answer that may bring one is still to come.
    pub(crate) const fn is_awaited(&self) -> bool {
        self.addresses.is_empty() && self.is_name && (self.waits || !self.answered)
    }

    /// Returns the addresses that are known of it.
    pub(crate) fn known(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Returns the addresses to try in order: those of the client's own family first, as
    /// `localhost` has one of each.
    pub(crate) fn addresses(&self, client: SocketAddr) -> Vec<SocketAddr> {
        let mut addresses = self.addresses.clone();
        addresses.sort_by_key(|address| address.is_ipv4() != client.is_ipv4());
        addresses
    }

    /// Returns the one of them that is tried first.
    pub(crate) fn first_address(&self, client: SocketAddr) -> Option<SocketAddr> {
        let own = self.addresses.iter().find(|address| address.is_ipv4() == client.is_ipv4());
        own.or_else(|| self.addresses.first()).copied()
    }

    /// The same upstream with what `other` knows of it, if that leads to the same name.
    pub(crate) fn knowing(self, other: Option<&Self>) -> Self {
        let known = other.filter(|other| other.target == self.target);
        known.filter(|known| !known.addresses.is_empty()).cloned().unwrap_or(self)
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
        Some(if self.waits { now + RETRY } else { self.asked.unwrap_or(now) + RETRY })
    }

    fn ask_if_older(&mut self, age: Duration, relay: RelayId, now: Instant, names: &mut Names) {
        if self.is_name && !self.waits && self.asked.is_none_or(|asked| asked + age <= now) {
            self.asked = Some(now);
            let target = self.target.clone();
            self.waits = target.is_some_and(|target| names.ask(relay, target));
        }
    }

    /// Takes the answer to a question: none if the name has no address now, and those from before
    /// are kept then.
    pub(crate) fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.waits = false;
        let first = !std::mem::replace(&mut self.answered, true);
        if addresses.is_empty() {
            return;
        }
        if let Some(target) = self.target.as_ref().filter(|_| self.addresses.is_empty() && !first) {
            log::info!("{target} has an address now");
        }
        self.addresses = addresses;
    }
}

/// Returns true if what is sent to `address` comes to `listener`, as far as the addresses tell.
pub(crate) fn leads_to(address: SocketAddr, listener: SocketAddr) -> bool {
    address.port() == listener.port() && hears(listener.ip(), address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Waker;
    use std::sync::Arc;

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
    fn what_needs_no_look_up_is_known_at_once_and_a_name_is_awaited() {
        let unasked = |host: &str| Upstream::unasked(&HostPort { host: host.into(), port: 53 });
        let local = unasked("localhost");
        assert!(!local.is_awaited() && !unasked("192.0.2.1").is_awaited());
        assert_eq!(
            local.addresses("[::1]:1".parse().unwrap()),
            ["[::1]:53".parse().unwrap(), "127.0.0.1:53".parse().unwrap()]
        );
        for client in ["[::1]:1", "127.0.0.1:1"].map(|text| text.parse().unwrap()) {
            let first = local.addresses(client).first().copied();
            assert_eq!(local.first_address(client), first);
        }
        let mut named = unasked("host.example");
        assert!(
            named.is_awaited() && named.is_for(&HostPort { host: "host.example".into(), port: 53 })
        );
        named.set_addresses(Vec::new());
        assert!(!named.is_awaited(), "it has none, which is known");
        named.set_addresses(vec!["192.0.2.1:53".parse().unwrap()]);
        assert!(!unasked("host.example").or_as_known(Some(&named)).is_awaited());
        assert!(unasked("other.example").or_as_known(Some(&named)).is_awaited());
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
                while let Some(answer) = names.answer() {
                    upstream.set_addresses(answer.addresses);
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
