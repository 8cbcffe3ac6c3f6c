//! The clients that a proxy meets, as it tells of them.

use crate::shared::{Lock, Waits};
use jostle_common::transport::Transport;
use std::net::SocketAddr;

/// Is told of each new client, on the event loop: it must not block. Of several loops one tells it
/// after the other.
pub type ClientHook = Box<dyn FnMut(NewClient<'_>) + Send>;

/// Makes the hooks of so many loops of one.
pub(crate) fn of_loops(
    hook: Option<ClientHook>,
    loops: usize,
    waits: &Waits,
) -> Vec<Option<ClientHook>> {
    match hook {
        Some(hook) if loops > 1 => {
            let lock = Lock::new(hook, waits);
            let shared = |lock: Lock<ClientHook>| -> ClientHook {
                Box::new(move |client| (lock.lock())(client))
            };
            (0..loops).map(|_| Some(shared(lock.clone()))).collect()
        }
        Some(hook) => vec![Some(hook)],
        None => (0..loops).map(|_| None).collect(),
    }
}

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
