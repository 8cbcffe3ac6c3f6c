//! What few connections have, and none for long.

use super::asking::Asking;
use super::request::Request;
use jostle_common::time::Instant;
use jostle_forward::hello::HelloReader;
use jostle_forward::socks::AssociationId;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What a connection has besides: at its beginning, if its client asked for a target, or while it
/// crosses links.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The time at which to look whether it has been silent for too long.
    pub(super) look: Option<Instant>,
    /// Until when the upstream has to answer, whatever addresses it has.
    pub(super) connect_until: Option<Instant>,
    /// Until when the address has to answer that is tried now, if it is not the last.
    pub(super) attempt: Option<Instant>,
    /// The upstream's addresses that are still to be tried.
    pub(super) to_try: VecDeque<SocketAddr>,
    /// What is said of where it wants to go, while it says so.
    pub(super) asking: Option<Box<Asking>>,
    /// Until when the head of its next request has to be whole, while that comes.
    pub(super) head_until: Option<Instant>,
    /// Set while its sides, which were told of its end, have a moment to end too.
    pub(super) lingers: bool,
    /// The association that it keeps.
    pub(super) association: Option<AssociationId>,
    /// What its client asked for; `None` where all go to one upstream.
    pub(super) request: Option<Box<Request>>,
    /// Per direction: how many bytes wait at the receiver's socket that did not cross the links;
    /// they went straight before there were any, and are in front of those that did.
    pub(super) straight: [usize; 2],
    /// Looks for the name of a server in what the client says first, as long as there may be one.
    pub(super) hello: Option<HelloReader>,
    /// The name that was found.
    pub(super) server_name: Option<Box<str>>,
    /// What became of its packets, up and down, where that is not what becomes of most.
    pub(super) exceptions: [Exceptions; 2],
}

/// Packets that are counted seldom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exceptions {
    /// Those that came, in multiples of 2^32.
    pub(super) packets: u64,
    pub(super) copies: u64,
    pub(super) discarded: u64,
}

impl Beside {
    /// What a connection has at its beginning.
    pub(super) fn of_new() -> Self {
        Self { hello: Some(HelloReader::default()), ..Self::default() }
    }

    /// Returns true if there is nothing in it.
    pub(super) fn is_needless(&self) -> bool {
        let Self { look, to_try, asking, association, request, .. } = self;
        let asks = asking.is_some() || association.is_some() || request.is_some();
        let hears = self.hello.is_some() || self.server_name.is_some();
        let counts = self.exceptions != [Exceptions::default(); 2] || self.straight != [0; 2];
        let waits = look.is_some() || self.attempt.is_some() || self.head_until.is_some();
        !(asks || hears || counts || waits || self.lingers || !to_try.is_empty())
    }
}
