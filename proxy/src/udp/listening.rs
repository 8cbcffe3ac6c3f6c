//! The listening sockets of a UDP relay.

use super::UdpPart;
use crate::listener::Opened;
use crate::reactor::{Owner, Reactor};
use mio::net::UdpSocket;
use mio::{Interest, Token};
use slab::Slab;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;

/// A listening socket. The answers of its flows leave from it.
#[derive(Debug)]
pub(super) struct UdpListener {
    pub(super) socket: UdpSocket,
    pub(super) token: Token,
    address: SocketAddr,
    /// The kernel's drop count of the socket when last told.
    pub(super) missed: u32,
    /// Set when another relay has it too, and counts what the kernel drops once this one drains.
    pub(super) shared: bool,
    /// Set while the relay waits to read it again.
    pub(super) again: bool,
    /// Set when it takes nothing any more, and is there for what its flows have inside.
    retired: bool,
}

impl UdpListener {
    /// Returns its address.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct UdpListeners(Slab<UdpListener>);

impl UdpListeners {
    /// Adds sockets, all or none.
    pub(super) fn add(
        &mut self,
        opened: Vec<Opened>,
        relay: usize,
        reactor: &mut Reactor,
    ) -> io::Result<()> {
        let mut added = Vec::new();
        for Opened { address, socket, missed, .. } in opened {
            let mut socket = UdpSocket::from_std(socket.into());
            let index = self.0.vacant_key();
            let owner = Owner { relay, socket: UdpPart::Listener(index).key() };
            match reactor.add(&mut socket, owner, Interest::READABLE) {
                Ok(token) => {
                    let [shared, again, retired] = [false; 3];
                    let listener =
                        UdpListener { socket, token, address, missed, shared, again, retired };
                    added.push(self.0.insert(listener));
                }
                Err(error) => {
                    for index in added {
                        let mut listener = self.0.remove(index);
                        reactor.remove(&mut listener.socket, listener.token);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Returns second handles of the sockets at these addresses.
    pub(super) fn share(&mut self, addresses: &[SocketAddr]) -> io::Result<Vec<Opened>> {
        let mut shared = Vec::new();
        for (_, listener) in &mut self.0 {
            if !listener.retired && addresses.contains(&listener.address) {
                let socket = SockRef::from(&listener.socket).try_clone()?;
                let (address, missed) = (listener.address, listener.missed);
                shared.push(Opened { address, socket, missed, nth: 0 });
                listener.shared = true;
            }
        }
        Ok(shared)
    }

    /// Stops reading the sockets at all other addresses.
    pub(super) fn retire_others(&mut self, addresses: &[SocketAddr], reactor: &mut Reactor) {
        for (_, listener) in &mut self.0 {
            if !listener.retired && !addresses.contains(&listener.address) {
                listener.retired = true;
                listener.again = false;
                reactor.remove(&mut listener.socket, listener.token);
            }
        }
    }

    /// Returns the places of those that are retired.
    pub(super) fn retired(&self) -> Vec<usize> {
        let retired = self.0.iter().filter(|(_, listener)| listener.retired);
        retired.map(|(index, _)| index).collect()
    }

    pub(super) fn is_retired(&self, index: usize) -> bool {
        self.0.get(index).is_none_or(|listener| listener.retired)
    }

    /// Returns the places of all.
    pub(super) fn all(&self) -> Vec<usize> {
        self.0.iter().map(|(index, _)| index).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &UdpListener> {
        self.0.iter().map(|(_, listener)| listener)
    }

    /// Returns the addresses of those that are read.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let read = self.iter().filter(|listener| !listener.retired);
        read.map(|listener| listener.address)
    }

    /// Returns the places of those that are read.
    pub(super) fn indices(&self) -> Vec<usize> {
        let read = self.0.iter().filter(|(_, listener)| !listener.retired);
        read.map(|(index, _)| index).collect()
    }

    /// Returns the socket at a place, unless it was closed.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut UdpListener> {
        self.0.get_mut(index)
    }

    /// Returns true if one is to be read again.
    pub(super) fn any_again(&self) -> bool {
        self.0.iter().any(|(_, listener)| listener.again)
    }

    /// Closes one that is retired.
    pub(super) fn remove(&mut self, index: usize) {
        self.0.remove(index);
    }

    /// Closes all.
    pub(super) fn close(&mut self, reactor: &mut Reactor) {
        self.retire_others(&[], reactor);
        self.0.clear();
    }
}
