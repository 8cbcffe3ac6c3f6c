//! The sockets of a relay, by the numbers that it gives them.

use crate::reactor::SocketKey;

/// A socket of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpPart {
    /// A listening socket.
    Listener(usize),
    /// The client's side of a connection.
    Client(usize),
    /// The upstream's side of a connection.
    Upstream(usize),
    /// A look whether the upstream refuses connections.
    Look,
}

impl TcpPart {
    pub(super) const fn key(self) -> SocketKey {
        SocketKey(match self {
            Self::Listener(index) => 3 * index,
            Self::Client(index) => 3 * index + 1,
            Self::Upstream(index) => 3 * index + 2,
            Self::Look => usize::MAX,
        })
    }

    pub(super) const fn of(SocketKey(key): SocketKey) -> Self {
        match key % 3 {
            _ if key == usize::MAX => Self::Look,
            0 => Self::Listener(key / 3),
            1 => Self::Client(key / 3),
            _ => Self::Upstream(key / 3),
        }
    }
}
