//! The two ends that talk in a trial.

use jostle_engine::route::Transports;

/// A client and a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Our own endpoints.
    Protocol(Protocol),
    /// Anyone's programs.
    Commands(Commands),
}

impl Default for Job {
    fn default() -> Self {
        Self::Protocol(Protocol::Saw)
    }
}

impl Job {
    /// Returns the name in rows.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Protocol(protocol) => protocol.name(),
            Self::Commands(_) => "commands",
        }
    }

    /// Returns the protocol, when the endpoints are ours.
    pub const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Protocol(protocol) => Some(*protocol),
            Self::Commands(_) => None,
        }
    }

    /// Returns the transports that are relayed.
    pub const fn transport(&self) -> Transports {
        match self {
            Self::Protocol(protocol) => protocol.transport(),
            Self::Commands(commands) => match commands.over {
                Some(over) => over,
                None => Transports::Tcp,
            },
        }
    }
}

/// A protocol whose endpoints are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A file over a TCP stream.
    Tcp,
    /// A file in UDP datagrams that are never repeated.
    Udp,
    /// A file by stop-and-wait over UDP.
    Saw,
    /// Datagrams that come back.
    Ping,
    /// Checked messages over TCP.
    Messages,
    /// A file by HTTP.
    Http,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Tcp, Self::Udp, Self::Saw, Self::Ping, Self::Messages, Self::Http];

    /// Returns the name in rows and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Saw => "saw",
            Self::Ping => "ping",
            Self::Messages => "messages",
            Self::Http => "http",
        }
    }

    /// Returns the protocol of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// Returns the transport that carries it.
    pub const fn transport(self) -> Transports {
        match self {
            Self::Tcp | Self::Messages | Self::Http => Transports::Tcp,
            Self::Udp | Self::Saw | Self::Ping => Transports::Udp,
        }
    }

    /// Returns true if it carries a file.
    pub const fn carries_file(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Saw | Self::Http)
    }

    /// Returns true if it runs in virtual time.
    pub const fn runs_virtually(self) -> bool {
        !matches!(self, Self::Http)
    }
}

/// Anyone's programs, as command lines of a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// The client; it talks to `$JOSTLE_PROXY`.
    pub client: String,
    /// The server; it listens on `$JOSTLE_SERVER`. Empty when one runs already.
    pub server: String,
    /// The address of a server that runs already, instead of one that is started.
    pub upstream: Option<String>,
    /// The program that judges: its status 0 is success.
    pub check: Option<String>,
    /// The transports that are relayed; TCP unless stated.
    pub over: Option<Transports>,
}
