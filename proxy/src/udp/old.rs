//! The sockets that flows left behind when they got fresh ones: each is read until nothing comes any
//! more.

use super::UdpPart;
use crate::reactor::{Owner, Reactor};
use jostle_common::time::Instant;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use slab::Slab;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The most that one flow has: a NAT keeps no longer history, and each is a descriptor.
pub(super) const OF_A_FLOW_MAX: usize = 4;

/// The most that a relay has.
const OLD_MAX: usize = 1024;

/// A socket that a flow left behind.
#[derive(Debug)]
pub(super) struct OldSocket {
    pub(super) socket: UdpSocket,
    pub(super) token: Token,
    /// The flow, by its place.
    pub(super) flow: usize,
    /// Its address.
    pub(super) local: SocketAddr,
    /// True if what comes is delivered.
    pub(super) delivers: bool,
    /// The kernel's drop count of the socket when last told.
    pub(super) missed: u32,
    /// Set while the relay waits to read it again.
    pub(super) again: bool,
    /// When something came last, or it was left.
    pub(super) last: Instant,
    /// From when on its flow leaves from another one.
    pub(super) left: Instant,
    /// Counts those that were left before it.
    age: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct OldSockets {
    all: Slab<OldSocket>,
    /// How many have been left so far.
    count: u64,
    /// No one is over before this.
    next_check: Option<Instant>,
}

impl OldSockets {
    /// Keeps a socket that a flow has left and that nobody watches any more.
    ///
    /// # Errors
    /// When the system does not want to watch it either; it is closed then.
    pub(super) fn keep(
        &mut self,
        old: OldSocketOf,
        relay: usize,
        now: Instant,
        reactor: &mut Reactor,
    ) -> io::Result<()> {
        let OldSocketOf { mut socket, flow, local, delivers, missed, left } = old;
        let owner = Owner { relay, socket: UdpPart::Old(self.all.vacant_key()).key() };
        let token = reactor.add(&mut socket, owner, Interest::READABLE)?;
        self.count += 1;
        let (again, last, age) = (false, now, self.count);
        let kept =
            OldSocket { socket, token, flow, local, delivers, missed, again, last, left, age };
        self.all.insert(kept);
        self.next_check = self.next_check.or(Some(now));
        Ok(())
    }

    /// Returns the place of the flow that left the socket at a place.
    pub(super) fn flow(&self, index: usize) -> Option<usize> {
        self.all.get(index).map(|old| old.flow)
    }

    /// Returns the socket at a place, unless it was closed.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut OldSocket> {
        self.all.get_mut(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OldSocket> {
        self.all.iter().map(|(_, old)| old)
    }

    /// Returns the places of all.
    pub(super) fn indices(&self) -> Vec<usize> {
        self.all.iter().map(|(index, _)| index).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns true if one is to be read again.
    pub(super) fn any_again(&self) -> bool {
        self.all.iter().any(|(_, old)| old.again)
    }

    /// Takes out a socket.
    pub(super) fn remove(&mut self, index: usize) -> OldSocket {
        self.all.remove(index)
    }

    /// Returns the places of those that a flow has, the oldest first.
    pub(super) fn of_flow(&self, flow: usize) -> Vec<usize> {
        let mut found: Vec<(u64, usize)> = self
            .all
            .iter()
            .filter(|(_, old)| old.flow == flow)
            .map(|(index, old)| (old.age, index))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, index)| index).collect()
    }

    /// Returns the place of the oldest.
    pub(super) fn oldest(&self) -> Option<usize> {
        self.all.iter().min_by_key(|(_, old)| old.age).map(|(index, _)| index)
    }

    /// Returns true if there is no room for another.
    pub(super) fn are_full(&self) -> bool {
        self.all.len() >= OLD_MAX
    }

    /// Returns the places of those to which nothing has come for so long, and notes when to look
    /// again.
    pub(super) fn over(&mut self, now: Instant, idle: Duration) -> Vec<usize> {
        if self.next_check.is_none_or(|check| check > now) {
            return Vec::new();
        }
        let is_over = |old: &OldSocket| old.last + idle <= now;
        let over: Vec<usize> =
            self.all.iter().filter(|(_, old)| is_over(old)).map(|(index, _)| index).collect();
        let ends = self.all.iter().filter(|(_, old)| !is_over(old)).map(|(_, old)| old.last + idle);
        self.next_check = ends.min();
        over
    }

    /// Returns when [`over`](Self::over) is to be asked again.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next_check
    }
}

/// What a flow leaves behind.
pub(super) struct OldSocketOf {
    pub(super) socket: UdpSocket,
    pub(super) flow: usize,
    pub(super) local: SocketAddr,
    pub(super) delivers: bool,
    pub(super) missed: u32,
    pub(super) left: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Reactor;
    use jostle_common::clock::Clock;

    #[test]
    fn sockets_are_over_once_nothing_has_come_for_long() {
        let mut reactor = Reactor::new(Clock::start(), true, Duration::ZERO).unwrap();
        let mut old = OldSockets::default();
        let at = Instant::from_millis;
        for (flow, left) in [(7, 0), (8, 10), (7, 20)] {
            let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let local = socket.local_addr().unwrap();
            let left_behind =
                OldSocketOf { socket, flow, local, delivers: true, missed: 0, left: at(left) };
            old.keep(left_behind, 0, at(left), &mut reactor).unwrap();
        }
        let idle = Duration::from_millis(100);
        assert_eq!(old.of_flow(7).len(), 2);
        assert_eq!(old.oldest(), Some(old.of_flow(7)[0]));
        assert_eq!(old.over(at(0), idle), Vec::<usize>::new());
        assert_eq!(old.deadline(), Some(at(100)));
        // Something came to the first.
        let first = old.of_flow(7)[0];
        old.get_mut(first).unwrap().last = at(95);
        assert_eq!(old.over(at(99), idle), Vec::<usize>::new());
        assert_eq!(old.over(at(110), idle), old.of_flow(8));
        old.remove(old.of_flow(8)[0]);
        assert_eq!(old.deadline(), Some(at(120)));
        assert_eq!(old.over(at(120), idle), [old.of_flow(7)[1]]);
        old.remove(old.of_flow(7)[1]);
        assert_eq!(old.over(at(195), idle), [first]);
        old.remove(first);
        assert!(old.is_empty() && old.deadline().is_none() && old.indices().is_empty());
    }
}
