//! Where a route leads: to one server, or to wherever each client asks for.

use super::{HostPort, Transports};
use jostle_forward::{Allowed, Credentials};
use std::fmt;

/// The destination of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// One server, for all clients.
    Upstream(HostPort),
    /// What each client asks for.
    Asked(Forward),
}

impl Destination {
    /// Returns the server that all clients are led to.
    pub const fn upstream(&self) -> Option<&HostPort> {
        match self {
            Self::Upstream(upstream) => Some(upstream),
            Self::Asked(_) => None,
        }
    }

    /// Returns how clients ask, if they do.
    pub const fn forward(&self) -> Option<&Forward> {
        match self {
            Self::Upstream(_) => None,
            Self::Asked(forward) => Some(forward),
        }
    }
}

impl From<HostPort> for Destination {
    fn from(upstream: HostPort) -> Self {
        Self::Upstream(upstream)
    }
}

impl fmt::Display for Destination {
    /// Writes the upstream, or what may be asked for: `127.0.0.1:80`, `any target`,
    /// `*.example.org, 10.0.0.0/8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(upstream) => upstream.fmt(f),
            Self::Asked(forward) if forward.allowed.is_any() => f.write_str("any target"),
            Self::Asked(forward) => f.write_str(&forward.allowed.written().join(", ")),
        }
    }
}

/// The way in which clients ask, and for what they may.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// What they speak.
    pub protocol: ForwardProtocol,
    /// The targets that may be reached. Where it listens says whether those that are not of the
    /// public internet are among them, so [`Allowed::guarded`] is called once that is known.
    pub allowed: Allowed,
    /// The user and password that they must name.
    pub user: Option<Credentials>,
}

/// What clients speak that say where they want to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardProtocol {
    /// SOCKS5 (RFC 1928): connections, and datagrams.
    Socks5,
    /// An HTTP proxy (RFC 9110): tunnels, and requests for `http://`.
    HttpProxy,
}

impl ForwardProtocol {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Socks5, Self::HttpProxy];

    /// Returns the scheme of its listeners.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::HttpProxy => "http-proxy",
        }
    }

    /// Returns what it relays.
    pub const fn transports(self) -> Transports {
        match self {
            Self::Socks5 => Transports::Both,
            Self::HttpProxy => Transports::Tcp,
        }
    }
}

/// The scheme of a listener: what comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// What is relayed to one server.
    Plain(Transports),
    /// What says itself where it wants to go.
    Forward(ForwardProtocol),
}

impl Scheme {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::Plain(Transports::Udp),
        Self::Plain(Transports::Tcp),
        Self::Plain(Transports::Both),
        Self::Forward(ForwardProtocol::Socks5),
        Self::Forward(ForwardProtocol::HttpProxy),
    ];

    /// Finds the one that is written so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// Returns how it is written: `udp`, `tcp`, `both`, `socks5` or `http-proxy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain(transports) => transports.scheme(),
            Self::Forward(protocol) => protocol.scheme(),
        }
    }

    /// Returns what is relayed.
    pub const fn transports(self) -> Transports {
        match self {
            Self::Plain(transports) => transports,
            Self::Forward(protocol) => protocol.transports(),
        }
    }

    /// Returns what clients speak, if they say where they want to go.
    pub const fn forward(self) -> Option<ForwardProtocol> {
        match self {
            Self::Plain(_) => None,
            Self::Forward(protocol) => Some(protocol),
        }
    }
}
