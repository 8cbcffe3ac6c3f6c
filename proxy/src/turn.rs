//! The resources that the relays of a loop share while they work.

use crate::buffers::Buffers;
use crate::client::{ClientHook, NewClient};
use crate::descriptors::Descriptors;
use crate::look_ups::LookUps;
use crate::own::OwnAddresses;
use crate::pipes::Pipes;
use crate::reactor::{Reactor, RelayId};
use crate::resolve::Names;
use crate::sinks::Sinks;
use crate::udp::Joiner;
use jostle_common::time::Instant;
use jostle_engine::memory::Memory;
use jostle_sys::{Inbox, Message, Outbox};
use mio::net::UdpSocket;
use std::io;
use std::time::Duration;

/// The shared resources of a loop. A method that needs one or two of them borrows these alone.
pub(crate) struct Turn {
    /// The sockets of the loop.
    pub(crate) reactor: Reactor,
    /// Looks names up.
    pub(crate) names: Names,
    /// Looks up what clients ask for.
    pub(crate) asked: LookUps,
    /// The sinks of fates.
    pub(crate) sinks: Sinks,
    /// Is told of new clients.
    pub(crate) on_client: Option<ClientHook>,
    /// The descriptors left to the process.
    pub(crate) descriptors: Descriptors,
    /// The ways in and out of datagrams.
    pub(crate) datagrams: Datagrams,
    /// The addresses that the proxy listens on with UDP.
    pub(crate) own: OwnAddresses,
    /// The pipes by which bulk transfers pass.
    pub(crate) pipes: Pipes,
    /// The buffer that streams are read into.
    pub(crate) scratch: Vec<u8>,
    /// The buffers that streams are read into which cross links.
    pub(crate) buffers: Buffers,
    /// The time at which this turn began. What a turn reads arrived before or during it.
    pub(crate) now: Instant,
    pub(crate) options: LoopOptions,
    /// The relays that others of their route have something for.
    pub(crate) called: Vec<RelayId>,
    /// Set once it was said that the memory for streams is short.
    pub(crate) warned_of_memory: bool,
}

impl Turn {
    /// Tells of a new client, if anyone listens.
    pub(crate) fn greet(&mut self, client: NewClient<'_>) {
        if let Some(hook) = &mut self.on_client {
            hook(client);
        }
    }

    /// Says once that the memory for streams is short, if it is.
    pub(crate) fn warn_of_memory(&mut self, memory: &Memory) {
        if memory.is_short() && !std::mem::replace(&mut self.warned_of_memory, true) {
            log::warn!(
                "{} MiB wait for receivers that do not read; from now on each connection holds \
                 less, 64 KiB each way at least",
                memory.used() >> 20
            );
        }
    }
}

/// The ways in and out of datagrams.
pub(crate) struct Datagrams {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Box<dyn Transmit>,
    /// Makes runs of datagrams that come one by one.
    pub(crate) joiner: Joiner,
}

/// Hands datagrams to the system.
pub(crate) trait Transmit: Send {
    /// Returns true if a run of datagrams can go as one message.
    fn takes_runs(&self) -> bool;

    /// Sends messages from the first on and returns how many went; an error speaks of the first.
    fn send(&self, socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize>;
}

impl Transmit for Outbox {
    fn takes_runs(&self) -> bool {
        Self::takes_runs(*self)
    }

    fn send(&self, socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
        Self::send(*self, socket, messages)
    }
}

/// Settings that hold for all relays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopOptions {
    /// Keep to what every system has.
    pub(crate) portable: bool,
    /// Let datagrams that come as a run cross as one.
    pub(crate) runs: bool,
    /// How long datagrams that keep coming fast may wait to be read together.
    pub(crate) coalesce: Duration,
    /// The time that an upstream has to answer a TCP connect.
    pub(crate) connect_timeout: Duration,
    /// The most bytes that an unproved UDP client gets per byte from it.
    pub(crate) amplification: Option<u32>,
    /// The time that a client has to say where it wants to go.
    pub(crate) negotiation_timeout: Duration,
    /// Warn of upstreams that cannot be reached.
    pub(crate) tells_of_upstreams: bool,
}

/// The size of the buffer that streams are read into: larger than the socket buffers, so that one
/// read usually empties them.
pub(crate) const SCRATCH_BYTES: usize = 256 << 10;
