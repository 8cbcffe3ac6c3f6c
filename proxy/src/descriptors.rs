//! The descriptors that the process may have open, and which clients have them.
//!
//! A UDP flow takes one, a TCP connection two. When few are left, neither transport can take the
//! last ones from the other, and no address takes all of them.

mod handle;

pub(crate) use handle::Descriptors;

use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Descriptors left for the loop itself, the resolver, logs and whatever else the process does: a
/// share of those it may have, between these.
const RESERVE_SHARE: usize = 4;
const RESERVE_LEAST: usize = 16;
const RESERVE_MOST: usize = 64;

/// Those that are opened for a while besides those that are open when a proxy starts.
const PASSING: usize = 8;

/// This share of all is kept for each transport that is relayed.
const TRANSPORT_SHARE: usize = 4;

/// The time for which what becomes free is left to TCP clients that wait.
const PRECEDENCE: Duration = Duration::from_millis(200);

/// The descriptors of a process.
#[derive(Debug)]
pub(crate) struct DescriptorTable {
    /// The most that may be taken.
    limit: usize,
    taken: usize,
    /// Those that clients have, by transport.
    of_clients: [usize; 2],
    /// The relays, by transport.
    relays: [usize; 2],
    /// The clients of each transport: forged datagrams must not bar an address's connections.
    sources: [Sources; 2],
    /// The most clients of one address, per transport, if that was set.
    per_source: Option<usize>,
    /// Until when TCP clients have precedence.
    tcp_waits_until: Option<Instant>,
    /// How often TCP clients had to wait.
    tcp_waited: u64,
    has_warned: bool,
    has_warned_of_source: bool,
}

/// The number of descriptors that a client of a transport takes.
const fn cost(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 1,
        Transport::Tcp => 2,
    }
}

const fn place(transport: Transport) -> usize {
    matches!(transport, Transport::Tcp) as usize
}

impl DescriptorTable {
    /// Descriptors of a process that may have `limit`, of which `open` are open; `per_source` is
    /// the most clients of one address.
    pub(crate) fn new(limit: usize, open: usize, per_source: Option<usize>) -> Self {
        let reserve = (limit / RESERVE_SHARE).clamp(RESERVE_LEAST, RESERVE_MOST);
        Self {
            limit: limit.saturating_sub(reserve.max(open + PASSING)),
            taken: 0,
            of_clients: [0; 2],
            relays: [0; 2],
            sources: Default::default(),
            per_source,
            tcp_waits_until: None,
            tcp_waited: 0,
            has_warned: false,
            has_warned_of_source: false,
        }
    }

    /// Returns how many more it would have to have for a client of each transport that is relayed.
    pub(crate) fn missing_for_a_client(&self) -> usize {
        let relayed = Transport::ALL.into_iter().filter(|one| self.relays[place(*one)] > 0);
        (self.taken + relayed.map(cost).sum::<usize>()).saturating_sub(self.limit)
    }

    /// Notes that a relay of a transport is there.
    pub(crate) const fn add_relay(&mut self, transport: Transport) {
        self.relays[place(transport)] += 1;
    }

    /// Notes that one is gone.
    pub(crate) const fn remove_relay(&mut self, transport: Transport) {
        self.relays[place(transport)] -= 1;
    }

    /// Takes `amount`, if there is as much.
    pub(crate) const fn take(&mut self, amount: usize) -> bool {
        let enough = self.taken.saturating_add(amount) <= self.limit;
        if enough {
            self.taken += amount;
        }
        enough
    }

    /// Takes `amount` that are open already.
    pub(crate) const fn charge(&mut self, amount: usize) {
        self.taken += amount;
    }

    /// Gives `amount` back.
    pub(crate) const fn give(&mut self, amount: usize) {
        self.taken -= amount;
    }

    /// Returns how many of those that are free are kept for the other transport.
    fn kept_from(&self, transport: Transport) -> usize {
        let other = match transport {
            Transport::Udp => Transport::Tcp,
            Transport::Tcp => Transport::Udp,
        };
        if self.relays[place(other)] == 0 {
            return 0;
        }
        let share = (self.limit / TRANSPORT_SHARE).max(cost(other));
        share.saturating_sub(self.of_clients[place(other)])
    }

    /// Takes what another client of a transport needs, if it may have that.
    pub(crate) fn take_for(&mut self, transport: Transport, now: Instant) -> bool {
        let has_precedence =
            transport == Transport::Tcp || self.tcp_waits_until.is_none_or(|until| until <= now);
        let enough = self.taken + cost(transport) + self.kept_from(transport) <= self.limit;
        if has_precedence && enough {
            self.take_in_place(transport);
        }
        has_precedence && enough
    }

    /// Takes what another client needs in place of one of the same transport that has just gone.
    pub(crate) const fn take_in_place(&mut self, transport: Transport) {
        self.taken += cost(transport);
        self.of_clients[place(transport)] += cost(transport);
    }

    /// Gives back what a client of a transport had.
    pub(crate) const fn give_for(&mut self, transport: Transport) {
        self.taken -= cost(transport);
        self.of_clients[place(transport)] -= cost(transport);
    }

    /// Returns true if few are left for flows.
    pub(crate) fn is_short_of_flows(&self) -> bool {
        is_short(self.taken + self.kept_from(Transport::Udp), self.limit)
    }

    /// Returns false if an address has as many clients of a transport as it may have: as many as
    /// were set, or half of all while few are left for others.
    pub(crate) fn may_have_another(&mut self, transport: Transport, source: IpAddr) -> bool {
        let (clients, sockets) = self.sources[place(transport)].of(source);
        let enough = match self.per_source {
            Some(most) => clients < most,
            None => !is_too_much(sockets, self.taken, self.limit),
        };
        if !enough && !std::mem::replace(&mut self.has_warned_of_source, true) {
            let most = clients.max(1);
            log::warn!(
                "{source} has {most} {transport} clients and gets no more of the places that are \
                 left; raise the limit (ulimit -n), or state another (--per-source)"
            );
        }
        enough
    }

    /// Notes that a client is there, which has taken what it needs.
    pub(crate) fn add_client(&mut self, transport: Transport, source: IpAddr) {
        self.sources[place(transport)].add(source, cost(transport));
    }

    /// Gives back what a client had that is gone.
    pub(crate) fn remove_client(&mut self, transport: Transport, source: IpAddr) {
        self.sources[place(transport)].remove(source, cost(transport));
        self.give_for(transport);
    }

    /// Notes that TCP clients wait for descriptors.
    pub(crate) fn let_tcp_wait(&mut self, now: Instant) {
        self.tcp_waited += 1;
        self.tcp_waits_until = Some(now + PRECEDENCE);
        self.warn("TCP clients wait");
    }

    /// Returns how often TCP clients had to wait so far.
    pub(crate) const fn tcp_waited(&self) -> u64 {
        self.tcp_waited
    }

    /// Says once that clients are not served for want of descriptors.
    pub(crate) fn warn(&mut self, what: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            log::warn!(
                "{what}: all {} descriptors that clients may have are in use; raise the limit \
                 (ulimit -n)",
                self.limit
            );
        }
    }
}

/// Returns true if one that has `own` of `limit` places, of which `taken` are taken, is to leave
/// the rest to others: few are free, and it has half of all.
const fn is_too_much(own: usize, taken: usize, limit: usize) -> bool {
    is_short(taken, limit) && 2 * own >= limit
}

/// Returns true if at most a quarter is free.
const fn is_short(taken: usize, limit: usize) -> bool {
    4 * taken >= 3 * limit
}

/// The clients by address, with the places that they take.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<IpAddr, (usize, usize)>);

/// Returns true if two addresses count as one.
pub(crate) fn is_same_source(one: IpAddr, other: IpAddr) -> bool {
    network(one) == network(other)
}

/// A host with IPv6 usually has all addresses of a network of 64 bits.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        },
    }
}

impl Sources {
    fn of(&self, source: IpAddr) -> (usize, usize) {
        self.0.get(&network(source)).copied().unwrap_or_default()
    }

    /// Returns true if a source is to leave the rest of `limit` places to others, of which `taken`
    /// are taken.
    pub(crate) fn has_too_much(&self, source: IpAddr, taken: usize, limit: usize) -> bool {
        is_too_much(self.of(source).1, taken, limit)
    }

    /// Adds a client that takes `places`.
    pub(crate) fn add(&mut self, source: IpAddr, places: usize) {
        let (clients, sum) = self.0.entry(network(source)).or_default();
        *clients += 1;
        *sum += places;
    }

    /// Removes one.
    pub(crate) fn remove(&mut self, source: IpAddr, places: usize) {
        let key = network(source);
        if let Some((clients, sum)) = self.0.get_mut(&key) {
            *clients -= 1;
            *sum -= places;
            if *clients == 0 {
                self.0.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Tcp, Udp};

    const NOW: Instant = Instant::START;

    fn source(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn descriptors(limit: usize, relays: &[Transport]) -> DescriptorTable {
        let mut descriptors = DescriptorTable::new(limit, 8, None);
        relays.iter().for_each(|relay| descriptors.add_relay(*relay));
        descriptors
    }

    fn fill(descriptors: &mut DescriptorTable, transport: Transport, source: IpAddr) -> usize {
        let mut clients = 0;
        while descriptors.may_have_another(transport, source)
            && descriptors.take_for(transport, NOW)
        {
            descriptors.add_client(transport, source);
            clients += 1;
        }
        clients
    }

    #[test]
    fn a_few_are_left_for_the_process() {
        for (limit, open, left) in
            [(64, 8, 48), (80, 9, 60), (1024, 9, 960), (64, 30, 26), (20, 8, 4), (10, 9, 0)]
        {
            let descriptors = DescriptorTable::new(limit, open, None);
            assert_eq!(descriptors.limit, left, "{limit}");
        }
        for (limit, relays, missing) in [
            (20, vec![Tcp], 0),
            (19, vec![Udp, Tcp], 0),
            (17, vec![Tcp], 1),
            (17, vec![Udp], 0),
            (16, vec![Udp], 1),
            (10, vec![Udp, Tcp], 3),
        ] {
            assert_eq!(descriptors(limit, &relays).missing_for_a_client(), missing, "{limit}");
        }
    }

    #[test]
    fn no_transport_takes_what_is_kept_for_the_other() {
        let places = 1024 - 64;
        let mut descriptors = descriptors(1024, &[Udp, Tcp]);
        let flows: usize = (1..=9).map(|one| fill(&mut descriptors, Udp, source(one))).sum();
        assert_eq!(flows, places * 3 / 4);
        let connections: usize = (1..=9).map(|one| fill(&mut descriptors, Tcp, source(one))).sum();
        assert_eq!(connections, places / 4 / 2);
        // What a flow gives back is a flow's again, unless TCP has less than its share.
        descriptors.remove_client(Udp, source(1));
        assert!(!descriptors.take_for(Tcp, NOW) && descriptors.take_for(Udp, NOW));
    }

    #[test]
    fn what_becomes_free_is_left_to_tcp_clients_that_wait() {
        let mut descriptors = descriptors(1024, &[Udp, Tcp]);
        fill(&mut descriptors, Udp, source(1));
        descriptors.let_tcp_wait(NOW);
        descriptors.remove_client(Udp, source(1));
        assert!(!descriptors.take_for(Udp, NOW + Duration::from_millis(199)));
        assert!(descriptors.take_for(Tcp, NOW + Duration::from_millis(199)));
        assert!(descriptors.take_for(Udp, NOW + Duration::from_millis(200)));
        assert_eq!(descriptors.tcp_waited(), 1);
    }

    #[test]
    fn one_address_does_not_take_all_and_many_do() {
        for transport in [Udp, Tcp] {
            let places = (1024 - 64) / cost(transport);
            let mut descriptors = descriptors(1024, &[transport]);
            let hog = fill(&mut descriptors, transport, source(1));
            assert_eq!(hog, places * 3 / 4, "{transport:?}");
            let others: usize =
                (2..=9).map(|one| fill(&mut descriptors, transport, source(one))).sum();
            assert_eq!(hog + others, places);
            for _ in 0..places / 2 {
                descriptors.remove_client(transport, source(1));
            }
            assert!(descriptors.may_have_another(transport, source(1)), "there is enough again");
        }
    }

    #[test]
    fn a_number_that_was_set_holds_whatever_is_left() {
        let mut descriptors = DescriptorTable::new(1024, 9, Some(5));
        assert_eq!(fill(&mut descriptors, Tcp, source(1)), 5);
        assert_eq!(fill(&mut descriptors, Tcp, source(1)), 0);
        assert_eq!(fill(&mut descriptors, Udp, source(1)), 5);
        assert_eq!(fill(&mut descriptors, Udp, source(2)), 5);
        descriptors.remove_client(Tcp, source(1));
        assert_eq!(fill(&mut descriptors, Tcp, source(1)), 1);
        // Of IPv6 a network counts, and a mapped address is the one it stands for.
        for (one, other) in [("2001:db8::1", "2001:db8::9:1"), ("::ffff:9.9.9.9", "9.9.9.9")] {
            let [one, other] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(fill(&mut descriptors, Tcp, one), 5);
            assert_eq!(fill(&mut descriptors, Tcp, other), 0, "{other}");
        }
        assert_eq!(fill(&mut descriptors, Tcp, "2001:db8:0:1::1".parse().unwrap()), 5);
    }
}
