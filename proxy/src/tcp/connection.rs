//! One relayed connection: its two sockets, and the progress that it has made.

use super::asking::Asking;
use super::end::End;
use super::request::Request;
use crate::flow::FlowCounts;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::flow::FlowFacts;
use jostle_engine::memory::Admission;
use jostle_engine::route::Destination;
use jostle_forward::hello::{Heard, HelloReader};
use jostle_forward::socks::AssociationId;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection.
#[derive(Debug)]
pub(super) struct RelayedConnection {
    /// From 1, in the order of appearance; 0 while the client says where it wants to go.
    pub(super) id: u32,
    pub(super) client_address: SocketAddr,
    /// The upstream's address that was tried last.
    pub(super) upstream_address: Option<SocketAddr>,
    pub(super) progress: Progress,
    /// The time at which it was accepted.
    pub(super) since: Instant,
    /// The last time at which one of its sockets had something to say or was written to.
    pub(super) last: Instant,
    /// The time at which to look whether it has been silent for too long.
    pub(super) look: Option<Instant>,
    /// The hops that its client's first packet had left, if that is known.
    pub(super) hops: Option<u8>,
    /// Until when the upstream has to answer, whatever addresses it has.
    pub(super) connect_until: Instant,
    /// Until when the address has to answer that is tried now, if it is not the last.
    pub(super) attempt: Option<Instant>,
    /// The upstream's addresses that are still to be tried.
    pub(super) addresses: VecDeque<SocketAddr>,
    /// What is said of where it wants to go, while it says so.
    pub(super) asking: Option<Box<Asking>>,
    /// The association that it keeps.
    pub(super) association: Option<AssociationId>,
    /// What its client asked for; `None` where all go to one upstream.
    pub(super) request: Option<Box<Request>>,
    /// Set while its bytes cross the links.
    pub(super) carried: bool,
    /// Per direction: how many bytes wait at the receiver's socket that did not cross the links;
    /// they went straight before there were any, and are in front of those that did.
    pub(super) straight: [usize; 2],
    /// Looks for the name of a server in what the client says first, as long as there may be one.
    hello: Option<Box<HelloReader>>,
    /// The name that was found.
    server_name: Option<String>,
    /// What it did, up and down.
    pub(super) counts: [FlowCounts; 2],
    /// Set while its sides, which were told of its end, have a moment to end too.
    pub(super) lingers: bool,
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
            client_address,
            upstream_address: None,
            progress: Progress::Naming,
            since: now,
            last: now,
            look: None,
            hops: None,
            connect_until: now,
            attempt: None,
            addresses: VecDeque::new(),
            asking: None,
            association: None,
            request: None,
            carried: false,
            straight: [0; 2],
            hello: Some(Box::default()),
            server_name: None,
            counts: Default::default(),
            lingers: false,
            _admission: admission,
            ends: [Some(client), None],
        }
    }

    /// Makes another connection of it, of a client that asks for another target at `now`. Its upstream
    /// is gone.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.upstream_address = None;
        self.progress = Progress::Naming;
        (self.since, self.last, self.look) = (now, now, None);
        self.addresses.clear();
        self.request = None;
        self.carried = false;
        self.straight = [0; 2];
        self.hello = Some(Box::default());
        self.server_name = None;
        self.counts = Default::default();
        if let Some(client) = self.source(Direction::Up) {
            client.forget_requests();
            // It waited for room in the name of the connection before.
            client.leave_line();
            client.feed();
        }
    }

    /// Looks at what the client said next. Returns true if it named a server.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> bool {
        let Some(hello) = &mut self.hello else { return false };
        match hello.handle(bytes) {
            Heard::More => return false,
            Heard::Name(name) => self.server_name = Some(name),
            Heard::Nothing => {}
        }
        self.hello = None;
        self.server_name.is_some()
    }

    /// Returns what is known of it, on a route that leads there.
    pub(super) fn facts(&self, destination: &Destination) -> Arc<FlowFacts> {
        let mut facts = FlowFacts::since(self.since).with_client(self.client_address);
        if let Some(Request { target, .. }) = self.request.as_deref() {
            facts = facts.with_target(&target.host.to_plain(), target.port);
        } else if let Some(upstream) = destination.upstream() {
            facts = facts.with_target(&upstream.host, upstream.port);
        }
        if let Some(address) = self.upstream_address {
            facts = facts.with_address(address.ip());
        }
        if let Some(name) = &self.server_name {
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

    /// Returns both ends, the one that writes `direction` and the one that reads it, and what was
    /// counted of that direction; `None` unless both are there.
    pub(super) fn pair(
        &mut self,
        direction: Direction,
    ) -> Option<(&mut End, &mut End, &mut FlowCounts)> {
        let [client, upstream] = &mut self.ends;
        let (client, upstream) = (client.as_mut()?, upstream.as_mut()?);
        let counts = &mut self.counts[direction.index()];
        Some(match direction {
            Direction::Up => (client, upstream, counts),
            Direction::Down => (upstream, client, counts),
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
            turn.reactor.remove(&mut end.stream, end.token);
        }
    }

    /// Returns true if both directions have ended: each side was told so, behind all data.
    pub(super) fn is_over(&self) -> bool {
        self.progress == Progress::Open
            && self.ends.iter().all(|end| end.as_ref().is_some_and(End::has_ended))
    }
}
