//! The server: a session per connection, a set maximum of them at once.

use crate::protocol::messages::{Message, Session, SessionEnd, SessionReport};
use crate::streams::{StreamServer, StreamServerSettings};
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// The settings of a [`MessagesServer`].
#[derive(Clone, Copy, Debug)]
pub struct MessagesServerSettings {
    /// The number of clients that are served at once; the next ones wait until a place is free.
    pub clients_max: usize,
    /// The silence after which a client loses its place; never when `None`.
    pub idle: Option<Duration>,
    /// True if it ends after one session.
    pub once: bool,
}

impl Default for MessagesServerSettings {
    fn default() -> Self {
        Self { clients_max: 8, idle: Some(Duration::from_secs(600)), once: false }
    }
}

/// The totals of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessagesTotals {
    /// Sessions in which a line came.
    pub sessions: u64,
    /// Connections that had long been silent and gave their place to another.
    pub yielded: u64,
    /// The counts of all of them.
    pub counts: SessionReport,
}

/// The peer whose messages they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPeer {
    /// The number of the connection: 1, 2, 3 … in the order in which they got a place.
    pub session: u64,
    /// Its address.
    pub address: SocketAddr,
}

/// The ending of a session (`None`: the server stopped), and its counts.
pub type SessionOver = (Option<SessionEnd>, SessionReport);

/// A server with its listener.
#[derive(Debug)]
pub struct MessagesServer {
    settings: MessagesServerSettings,
    inner: StreamServer,
}

impl MessagesServer {
    /// Listens on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub fn bind(listen: SocketAddr, settings: MessagesServerSettings) -> io::Result<Self> {
        let clients_max = if settings.once { 1 } else { settings.clients_max };
        let listening = StreamServerSettings { clients_max, patience: settings.idle, yields: true };
        Ok(Self { settings, inner: StreamServer::bind(listen, listening)? })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.inner.address()
    }

    /// Serves until `stop` is requested, or until one session is over when it was set so. `tell` is
    /// given messages as they are delivered, and at the end of a session how it ended (`None`
    /// inside when the server stopped) and what it counted.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        self,
        stop: &Stop,
        mut tell: impl FnMut(SessionPeer, Vec<Message>, Option<SessionOver>),
    ) -> io::Result<MessagesTotals> {
        let MessagesServerSettings { idle, once, .. } = self.settings;
        let mut totals = MessagesTotals::default();
        let report = self.inner.run(
            stop,
            |now| Session::new(now, idle),
            |visit| {
                let (messages, report) = (visit.endpoint.take_messages(), *visit.endpoint.report());
                // A connection without a line is a port probe.
                let end =
                    (visit.is_over && report.lines() > 0).then(|| (visit.endpoint.ended(), report));
                if !messages.is_empty() || end.is_some() {
                    tell(
                        SessionPeer { session: visit.ordinal, address: visit.peer },
                        messages,
                        end,
                    );
                }
                if end.is_none() {
                    return ControlFlow::Continue(());
                }
                totals.sessions += 1;
                totals.counts.add(&report);
                if once { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )?;
        Ok(MessagesTotals { yielded: report.yielded, ..totals })
    }
}
