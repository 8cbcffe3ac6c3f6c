//! One relayed connection: its two sockets, and the progress that it has made.

use super::addresses::Addresses;
use super::asking::Asking;
use super::beside::{Beside, Exceptions};
use super::end::End;
use super::request::Request;
use crate::flow::FlowCounts;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::flow::FlowFacts;
use jostle_engine::memory::Admission;
use jostle_engine::route::Destination;
use jostle_forward::hello::Heard;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;

/// A connection. Of one at rest there is no more than this, and a process may have many; what few
/// have, and none for long, is [beside](Beside) it.
#[derive(Debug)]
pub(super) struct RelayedConnection {
    /// From 1, in the order of appearance; 0 while the client says where it wants to go.
    pub(super) id: u32,
    addresses: Addresses,
    pub(super) progress: Progress,
    /// The time at which it was accepted.
    pub(super) since: Instant,
    /// The last time at which one of its sockets had something to say or was written to.
    pub(super) last: Instant,
    /// The hops that its client's first packet had left, if that is known.
    hops: Option<NonZeroU8>,
    /// Set while its bytes cross the links.
    pub(super) carried: bool,
    /// Set once its sockets ask peers that are silent whether they are still there.
    pub(super) asks_peers: bool,
    /// What came, up and down: the bytes, and the packets but for the multiples of 2^32.
    bytes: [u64; 2],
    packets: [u32; 2],
    beside: Option<Box<Beside>>,
    /// Its place in the memory of the route.
    _admission: Admission,
    /// The client, and the upstream; `None` before it is there, and once it is torn down.
    ends: [Option<End>; 2],
}

/// The progress of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The client says where it wants to go, and nothing else is known of it.
    Asking,
    /// It keeps an association, and leads nowhere.
    Associated,
    /// The name of the upstream is being looked up, and nothing is known of it in the links.
    Naming,
    /// Its handshake is crossing the links.
    Opening,
    /// The upstream has yet to answer.
    Connecting,
    /// Both sides are connected.
    Open,
    /// A rule closes it: both sides are told, and what they say is not heard any more.
    Closing,
}

impl Progress {
    /// Returns true while the upstream has yet to be found or to answer.
    pub(super) const fn is_awaited(self) -> bool {
        matches!(self, Self::Naming | Self::Opening | Self::Connecting)
    }
}

impl RelayedConnection {
    pub(super) fn new(
        id: u32,
        client_address: SocketAddr,
        client: End,
        admission: Admission,
        now: Instant,
    ) -> Self {
        Self {
            id,
            addresses: Addresses::new(client_address, None),
            progress: Progress::Naming,
            since: now,
            last: now,
            hops: None,
            carried: false,
            asks_peers: false,
            bytes: [0; 2],
            packets: [0; 2],
            beside: Some(Box::new(Beside::of_new())),
            _admission: admission,
            ends: [Some(client), None],
        }
    }

    /// The same, of which it is known how many hops its client's first packet had left.
    pub(super) fn with_hops(mut self, hops: Option<u8>) -> Self {
        self.hops = hops.and_then(NonZeroU8::new);
        self
    }

    /// Returns the hops that its client's first packet had left, if that is known.
    pub(super) fn hops(&self) -> Option<u8> {
        self.hops.map(NonZeroU8::get)
    }

    /// Returns the client's address.
    pub(super) fn client_address(&self) -> SocketAddr {
        self.addresses.client()
    }

    /// Returns the upstream's address that was tried last.
    pub(super) fn upstream_address(&self) -> Option<SocketAddr> {
        self.addresses.upstream()
    }

    /// Sets the upstream's address. Returns false if it was that before.
    pub(super) fn set_upstream_address(&mut self, address: Option<SocketAddr>) -> bool {
        let is_new = self.upstream_address() != address;
        if is_new {
            self.addresses = Addresses::new(self.client_address(), address);
        }
        is_new
    }

    /// Returns what it has besides, if there is anything.
    pub(super) fn beside(&self) -> Option<&Beside> {
        self.beside.as_deref()
    }

    /// Returns what it has besides, to change it.
    pub(super) fn beside_mut(&mut self) -> &mut Beside {
        self.beside.get_or_insert_default()
    }

    /// Lets go of the room for what it has besides if there is nothing in it.
    pub(super) fn tidy(&mut self) {
        if self.beside.as_ref().is_some_and(|beside| beside.is_needless()) {
            self.beside = None;
        }
    }

    /// Returns what its client asked for, if that is how it knows where to go.
    pub(super) fn request(&self) -> Option<&Request> {
        self.beside()?.request.as_deref()
    }

    /// Returns what its client asked for, to change it.
    pub(super) fn request_mut(&mut self) -> Option<&mut Request> {
        self.beside.as_mut()?.request.as_deref_mut()
    }

    /// Returns what is said of where it wants to go, while it says so.
    pub(super) fn asking(&self) -> Option<&Asking> {
        self.beside()?.asking.as_deref()
    }

    /// Takes the next address of the upstream to try.
    pub(super) fn next_address(&mut self) -> Option<SocketAddr> {
        self.beside.as_mut()?.to_try.pop_front()
    }

    /// Returns true if there is another address to try.
    pub(super) fn has_next_address(&self) -> bool {
        self.beside().is_some_and(|beside| !beside.to_try.is_empty())
    }

    /// Forgets the addresses that are still to be tried.
    pub(super) fn forget_addresses(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.to_try = VecDeque::new();
        }
        self.tidy();
    }

    /// Sets the time at which to look whether it has been silent for too long.
    pub(super) fn set_look(&mut self, look: Option<Instant>) {
        if look.is_some() || self.beside().is_some_and(|beside| beside.look.is_some()) {
            self.beside_mut().look = look;
            self.tidy();
        }
    }

    /// Sets until when the head of its next request has to be whole; `None`: it does not come now.
    pub(super) fn set_head_until(&mut self, until: Option<Instant>) {
        if until.is_some() || self.head_until().is_some() {
            self.beside_mut().head_until = until;
            self.tidy();
        }
    }

    /// Returns until when the head of its next request has to be whole, while that comes.
    pub(super) fn head_until(&self) -> Option<Instant> {
        self.beside()?.head_until
    }

    /// Returns true while it looks for the name of a server in what the client says.
    pub(super) fn listens(&self) -> bool {
        self.beside().is_some_and(|beside| beside.hello.is_some())
    }

    /// Takes the time until when the address has to answer that is tried now.
    pub(super) fn take_attempt(&mut self) -> Option<Instant> {
        self.beside.as_mut()?.attempt.take()
    }

    /// Makes another connection of it, of a client that asks for another target at `now`. Its upstream
    /// is gone.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.set_upstream_address(None);
        self.progress = Progress::Naming;
        (self.since, self.last) = (now, now);
        (self.carried, self.asks_peers) = (false, false);
        (self.bytes, self.packets) = ([0; 2], [0; 2]);
        *self.beside_mut() = Beside::of_new();
        if let Some(client) = self.source(Direction::Up) {
            client.forget_requests();
            // It waited for room in the name of the connection before.
            client.leave_line();
            client.feed();
        }
    }

    /// Looks at what the client said next. Returns true if it named a server.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> bool {
        let Some(beside) = &mut self.beside else { return false };
        let Some(hello) = &mut beside.hello else { return false };
        match hello.handle(bytes) {
            Heard::More => return false,
            Heard::Name(name) => beside.server_name = Some(name.into()),
            Heard::Nothing => {}
        }
        beside.hello = None;
        let is_named = beside.server_name.is_some();
        self.tidy();
        is_named
    }

    /// Counts bytes that came.
    pub(super) const fn came(&mut self, direction: Direction, bytes: usize) {
        self.bytes[direction.index()] += bytes as u64;
    }

    /// Counts a packet that left a link, or went straight.
    pub(super) fn left(&mut self, direction: Direction, is_copy: bool, is_delivered: bool) {
        let direction = direction.index();
        let packets = self.packets[direction].checked_add(u32::from(!is_copy));
        self.packets[direction] = packets.unwrap_or(0);
        if packets.is_none() || is_copy || !is_delivered {
            let exceptions = &mut self.beside_mut().exceptions[direction];
            exceptions.packets += u64::from(packets.is_none()) << 32;
            exceptions.copies += u64::from(is_copy);
            exceptions.discarded += u64::from(!is_delivered);
        }
    }

    /// Takes what was written to a receiver's socket out of what waited there that did not cross the
    /// links, and returns how much of it that was.
    pub(super) fn went_straight(&mut self, direction: Direction, written: usize) -> usize {
        let Some(beside) = &mut self.beside else { return 0 };
        let straight = &mut beside.straight[direction.index()];
        let went = written.min(*straight);
        *straight -= went;
        went
    }

    /// Forgets what waits that did not cross the links: from now on nothing does.
    pub(super) fn forget_straight(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.straight = [0; 2];
        }
        self.tidy();
    }

    /// Returns what it did, up and down.
    pub(super) fn counts(&self) -> [FlowCounts; 2] {
        let exceptions = self.beside().map_or_else(Default::default, |beside| beside.exceptions);
        Direction::BOTH.map(|direction| {
            let index = direction.index();
            let Exceptions { packets, copies, discarded } = exceptions[index];
            let packets = packets + u64::from(self.packets[index]);
            let delivered = packets + copies - discarded;
            FlowCounts { packets, bytes: self.bytes[index], delivered, discarded }
        })
    }

    /// Returns what is known of it, on a route that leads there.
    pub(super) fn facts(&self, destination: &Destination) -> Arc<FlowFacts> {
        let mut facts = FlowFacts::since(self.since).with_client(self.client_address());
        if let Some(Request { target, .. }) = self.request() {
            facts = facts.with_target(&target.host.to_plain(), target.port);
        } else if let Some(upstream) = destination.upstream() {
            facts = facts.with_target(&upstream.host, upstream.port);
        }
        if let Some(address) = self.upstream_address() {
            facts = facts.with_address(address.ip());
        }
        if let Some(name) = self.beside().and_then(|beside| beside.server_name.as_deref()) {
            facts = facts.with_server_name(name);
        }
        Arc::new(facts)
    }

    /// Returns the end that writes `direction`, to look at it.
    pub(super) const fn writer(&self, direction: Direction) -> Option<&End> {
        self.ends[direction.index()].as_ref()
    }

    /// Returns the end that writes `direction`.
    pub(super) const fn source(&mut self, direction: Direction) -> Option<&mut End> {
        self.ends[direction.index()].as_mut()
    }

    /// Returns the end that reads `direction`.
    pub(super) const fn target(&mut self, direction: Direction) -> Option<&mut End> {
        self.ends[direction.opposite().index()].as_mut()
    }

    /// Returns both ends, the one that writes `direction` and the one that reads it; `None` unless
    /// both are there.
    pub(super) fn pair(&mut self, direction: Direction) -> Option<(&mut End, &mut End)> {
        let [client, upstream] = &mut self.ends;
        let (client, upstream) = (client.as_mut()?, upstream.as_mut()?);
        Some(match direction {
            Direction::Up => (client, upstream),
            Direction::Down => (upstream, client),
        })
    }

    /// Returns true if bytes wait for the end that reads `direction`.
    pub(super) fn is_blocked(&self, direction: Direction) -> bool {
        self.ends[direction.opposite().index()].as_ref().is_some_and(End::is_blocked)
    }

    /// Puts the upstream's end in.
    pub(super) fn set_upstream(&mut self, end: End) {
        self.ends[1] = Some(end);
    }

    /// Closes the end that writes `direction`.
    pub(super) fn drop_source(&mut self, direction: Direction, turn: &mut Turn) {
        if let Some(mut end) = self.ends[direction.index()].take() {
            if let Some(pipe) = end.take_pipe() {
                turn.pipes.give(pipe, turn.now, &mut turn.descriptors);
            }
            let token = end.token();
            turn.reactor.remove_closing(&mut end.stream, token);
        }
    }

    /// Returns true if both directions have ended: each side was told so, behind all data.
    pub(super) fn is_over(&self) -> bool {
        self.progress == Progress::Open
            && self.ends.iter().all(|end| end.as_ref().is_some_and(End::has_ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This is what a connection at rest takes, besides its places in two tables.
    #[test]
    fn a_connection_at_rest_is_small() {
        let ends = 2 * size_of::<Option<End>>();
        let size = size_of::<RelayedConnection>();
        assert!(size <= 80 + ends, "{size} with {ends} of the ends");
    }
}
