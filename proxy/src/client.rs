//! The clients that a proxy meets, as it tells of them.

use jostle_common::transport::Transport;
use std::net::SocketAddr;

/// Is told of each new client, on the event loop: it must not block.
pub type ClientHook = Box<dyn FnMut(NewClient<'_>) + Send>;

/// A client that a route has not got yet: the first datagram of a flow has come, or a connection
/// was accepted. Whether there is room for it, and an upstream, is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewClient<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The transport.
    pub transport: Transport,
    /// Where it speaks from.
    pub address: SocketAddr,
}
