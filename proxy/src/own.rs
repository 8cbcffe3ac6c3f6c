//! The addresses that are ours: of this machine, and of the datagram sockets that the proxy listens
//! on.
//!
//! What claims to come from such a socket is forged, for none of them ever sends to another: it
//! would be answered there, and the answer here, for ever.

use crate::shared::{Shared, Waits};
use jostle_forward::{Allowed, Target};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The addresses that the proxy listens on with UDP, as a loop knows them.
#[derive(Debug)]
pub(crate) struct OwnAddresses(Shared<AddressSet>);

impl OwnAddresses {
    /// Makes the handles of so many loops.
    pub(crate) fn of_loops(loops: usize, waits: &Waits) -> Vec<Self> {
        Shared::among(AddressSet::default(), loops, waits).into_iter().map(Self).collect()
    }

    /// Adds one.
    pub(crate) fn add(&mut self, address: SocketAddr) {
        self.0.with(|set| set.add(address));
    }

    /// Removes one that was added.
    pub(crate) fn remove(&mut self, address: SocketAddr) {
        self.0.with(|set| set.remove(address));
    }

    /// Returns true if a datagram from `address` claims to come from one of them.
    pub(crate) fn contain(&self, address: SocketAddr) -> bool {
        self.0.look(|set| set.contain(address))
    }
}

/// The addresses by port.
#[derive(Debug, Default)]
struct AddressSet(BTreeMap<u16, Vec<IpAddr>>);

impl AddressSet {
    fn add(&mut self, address: SocketAddr) {
        self.0.entry(address.port()).or_default().push(address.ip());
    }

    fn remove(&mut self, address: SocketAddr) {
        let Some(of_port) = self.0.get_mut(&address.port()) else { return };
        if let Some(place) = of_port.iter().position(|ip| *ip == address.ip()) {
            of_port.swap_remove(place);
        }
        if of_port.is_empty() {
            self.0.remove(&address.port());
        }
    }

    fn contain(&self, address: SocketAddr) -> bool {
        let of_port = self.0.get(&address.port());
        of_port.is_some_and(|own| own.iter().any(|&at| hears(at, address.ip())))
    }
}

/// Returns true if what is sent to `to` comes to a socket that is bound to `at`, on the same port.
pub(crate) fn hears(at: IpAddr, to: IpAddr) -> bool {
    let (at, to) = (at.to_canonical(), to.to_canonical());
    // What is sent to a wildcard goes to loopback.
    let to = match to {
        IpAddr::V4(to) if to.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(to) if to.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        to => to,
    };
    // An IPv6 wildcard hears IPv4 too, unless the system was told otherwise.
    let hears_family = at.is_ipv6() || to.is_ipv4();
    at == to || (at.is_unspecified() && hears_family && is_of_this_machine(to))
}

/// Returns true if clients may reach a target at an address that it has.
pub(crate) fn may_reach(allowed: &Allowed, target: &Target, address: IpAddr) -> bool {
    allowed.judge_address(target, address).is_ok()
        && (allowed.judge_own(target, address).is_ok() || !is_of_this_machine(address))
}

/// Returns true if an address belongs to this machine: what is sent there leaves from there.
fn is_of_this_machine(ip: IpAddr) -> bool {
    if ip.is_loopback() {
        return true;
    }
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Connecting a datagram socket asks for the way and sends nothing; any port will do.
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_wildcard_hears_all_addresses_of_the_machine() {
        for (at, to, right) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "0.0.0.0", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "127.9.9.9", true),
            ("0.0.0.0", "::ffff:127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("0.0.0.0", "198.51.100.1", false),
            ("::", "127.0.0.1", true),
            ("::", "::1", true),
            ("::1", "::", true),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(hears(ip(at), ip(to)), right, "{to} at {at}");
        }
    }

    #[test]
    fn an_address_of_the_machine_is_one_that_its_own_datagrams_leave_from() {
        assert!(is_of_this_machine(ip("127.0.0.1")));
        assert!(!is_of_this_machine(ip("198.51.100.1")) && !is_of_this_machine(ip("2001:db8::1")));
    }

    #[test]
    fn addresses_are_known_as_long_as_one_listens_there() {
        let mut own = AddressSet::default();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        own.add(address("127.0.0.1:7001"));
        own.add(address("127.0.0.1:7001"));
        own.add(address("0.0.0.0:7002"));
        assert!(own.contain(address("127.0.0.1:7001")) && own.contain(address("127.0.0.5:7002")));
        assert!(own.contain(address("[::ffff:127.0.0.1]:7001")));
        assert!(!own.contain(address("127.0.0.2:7001")) && !own.contain(address("127.0.0.1:7003")));
        own.remove(address("127.0.0.1:7001"));
        assert!(own.contain(address("127.0.0.1:7001")), "another relay listens there too");
        own.remove(address("127.0.0.1:7001"));
        assert!(!own.contain(address("127.0.0.1:7001")));
    }
}
