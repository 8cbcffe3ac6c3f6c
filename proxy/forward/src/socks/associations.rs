//! Who may send datagrams, and for how long.
//!
//! An association lives as long as the connection that asked for it, and its datagrams come from
//! that connection's address (RFC 1928, section 7): from the port that the client said, or else
//! from the port of its first datagram. Several clients of one address may leave their ports open,
//! as browsers on one machine do, and then nothing tells whose port is whose. So the address has as
//! many such ports as it has such associations; when one ends, its ports keep their places in the
//! order in which they are heard again.

use crate::target::Host;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Where a client said that it will send from: as a rule `0.0.0.0:0`, which says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The host.
    pub host: Host,
    /// The port; 0 if it is not known yet.
    pub port: u16,
}

/// The most associations that there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssociationLimits {
    /// Of clients of one address.
    pub per_address: usize,
    /// In all.
    pub in_all: usize,
}

/// Identifies an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssociationId(u64);

/// The answer to who a datagram's sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may send.
    Admitted,
    /// No association is its own.
    Stranger,
}

/// The associations of a route.
#[derive(Clone, Debug)]
pub struct Associations {
    limits: AssociationLimits,
    /// The address of each, and the port if it was said.
    open: BTreeMap<AssociationId, (IpAddr, Option<u16>)>,
    clients: BTreeMap<IpAddr, Client>,
    last_id: u64,
    ended: Vec<SocketAddr>,
}

/// The associations of one address.
#[derive(Clone, Debug, Default)]
struct Client {
    /// The ports that were said, and by how many.
    said: BTreeMap<u16, usize>,
    /// The associations, and those of them without a port of their own.
    open: usize,
    unsaid: usize,
    /// The ports of first datagrams; true for those heard since such an association ended.
    learned: BTreeMap<u16, bool>,
    /// How many of those were heard since.
    heard: usize,
}

impl Sender {
    /// Returns the port that a client of `address` is held to, if it said one. Another address than
    /// its own is one behind a NAT, which changes ports too.
    fn port_at(&self, address: IpAddr) -> Option<u16> {
        let is_its = match &self.host {
            Host::Address(said) => said.is_unspecified() || *said == address,
            Host::Name(_) => false,
        };
        (is_its && self.port != 0).then_some(self.port)
    }
}

impl Associations {
    /// Makes an empty list.
    pub const fn new(limits: AssociationLimits) -> Self {
        Self {
            limits,
            open: BTreeMap::new(),
            clients: BTreeMap::new(),
            last_id: 0,
            ended: Vec::new(),
        }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins one for a client whose connection comes from `address`. Returns `None` if the address
    /// or the list has as many as it may have.
    pub fn begin(&mut self, address: IpAddr, sender: &Sender) -> Option<AssociationId> {
        let address = address.to_canonical();
        let has = self.clients.get(&address).map_or(0, |client| client.open);
        if has >= self.limits.per_address || self.open.len() >= self.limits.in_all {
            return None;
        }
        self.last_id += 1;
        let (id, port) = (AssociationId(self.last_id), sender.port_at(address));
        self.open.insert(id, (address, port));
        let client = self.clients.entry(address).or_default();
        client.open += 1;
        match port {
            Some(port) => *client.said.entry(port).or_default() += 1,
            None => client.unsaid += 1,
        }
        Some(id)
    }

    /// Ends one; who may not send any more is told by [`take_ended`](Self::take_ended).
    pub fn end(&mut self, id: AssociationId) {
        let Some((address, port)) = self.open.remove(&id) else { return };
        let Some(client) = self.clients.get_mut(&address) else { return };
        client.open -= 1;
        let mut ended: Vec<u16> = match port {
            Some(port) => {
                client.forget_said(port);
                vec![port]
            }
            None => client.end_unsaid(self.limits.per_address),
        };
        ended.retain(|port| !client.has(*port));
        if client.open == 0 {
            self.clients.remove(&address);
        }
        self.ended.extend(ended.into_iter().map(|port| SocketAddr::new(address, port)));
    }

    /// Ends all.
    pub fn end_all(&mut self) {
        let all: Vec<AssociationId> = self.open.keys().copied().collect();
        all.into_iter().for_each(|id| self.end(id));
    }

    /// Judges the sender of a datagram, and takes its port for that of an association which has
    /// none yet.
    pub fn admit(&mut self, from: SocketAddr) -> Admission {
        let (address, port) = (from.ip().to_canonical(), from.port());
        let Some(client) = self.clients.get_mut(&address) else { return Admission::Stranger };
        if client.said.contains_key(&port) || client.learned.get(&port) == Some(&true) {
            return Admission::Admitted;
        }
        if client.heard >= client.unsaid {
            return Admission::Stranger;
        }
        client.learned.insert(port, true);
        client.heard += 1;
        if client.heard == client.unsaid {
            // All places are taken: who was not heard since is the one whose association ended.
            let gone = client.learned.extract_if(.., |_, heard| !*heard);
            let gone: Vec<u16> = gone.map(|(port, _)| port).collect();
            let gone = gone.into_iter().filter(|port| !client.has(*port));
            self.ended.extend(gone.map(|port| SocketAddr::new(address, port)));
        }
        Admission::Admitted
    }

    /// Takes the senders that may not send any more, with their addresses in canonical form.
    pub fn take_ended(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.ended)
    }

    /// Returns true if there are senders to [take](Self::take_ended).
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }
}

impl Client {
    fn has(&self, port: u16) -> bool {
        self.said.contains_key(&port) || self.learned.contains_key(&port)
    }

    /// Takes note that an association without a port of its own has ended. Returns the ports that
    /// end with it.
    fn end_unsaid(&mut self, most: usize) -> Vec<u16> {
        self.unsaid -= 1;
        self.heard = 0;
        if self.unsaid == 0 {
            return std::mem::take(&mut self.learned).into_keys().collect();
        }
        self.learned.values_mut().for_each(|heard| *heard = false);
        let over = self.learned.len().saturating_sub(most);
        let gone: Vec<u16> = self.learned.keys().copied().take(over).collect();
        gone.iter().for_each(|port| _ = self.learned.remove(port));
        gone
    }

    fn forget_said(&mut self, port: u16) {
        if let Some(count) = self.said.get_mut(&port) {
            *count -= 1;
            if *count == 0 {
                self.said.remove(&port);
            }
        }
    }
}

#[cfg(test)]
mod tests;
