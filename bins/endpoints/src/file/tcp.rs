//! A file over TCP, on real sockets: many senders at once, and one.

use crate::ending::Ending;
use crate::protocol::file::{
    ReceivedFile, StoredLine, TcpFileReceiver, TcpFileReceiverSettings, TcpFileSender,
};
use crate::protocol::storage::{Folder, Source};
use crate::streams::{Connection, StreamServer, StreamServerSettings, Visit};
use crate::way::Way;
use anyhow::Context as _;
use jostle_common::clock::Clock;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// The settings of a [`TcpFileServer`].
#[derive(Clone, Copy, Debug)]
pub struct TcpFileServerSettings {
    /// The largest file it accepts, in bytes.
    pub size_max: u64,
    /// The most connections that may be open at once; further ones wait in the system's backlog.
    pub clients_max: usize,
    /// The silence after which a connection is given up.
    pub idle: Duration,
    /// True if it ends after one file.
    pub once: bool,
}

impl Default for TcpFileServerSettings {
    fn default() -> Self {
        Self { size_max: 4 << 30, clients_max: 64, idle: Duration::from_secs(60), once: false }
    }
}

/// The totals of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFileTotals {
    /// Files that were stored.
    pub stored: u64,
    /// Files that stayed incomplete.
    pub failed: u64,
    /// Connections that brought no byte.
    pub empty: u64,
    /// Connections that had long been silent and gave their place to another.
    pub yielded: u64,
}

/// A server with its listener.
#[derive(Debug)]
pub struct TcpFileServer<F> {
    settings: TcpFileServerSettings,
    folder: F,
    server: StreamServer,
}

impl<F: Folder + Clone> TcpFileServer<F> {
    /// Listens on `listen`, and stores what it receives in `folder`; port 0 lets the system pick
    /// one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub fn bind(
        listen: SocketAddr,
        settings: TcpFileServerSettings,
        folder: F,
    ) -> io::Result<Self> {
        let TcpFileServerSettings { clients_max, idle, .. } = settings;
        let listening = StreamServerSettings { clients_max, patience: Some(idle), yields: true };
        Ok(Self { settings, folder, server: StreamServer::bind(listen, listening)? })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Receives until `stop` is requested, or until one file has come when it was set so.
    /// `on_received` is told of each file.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        self,
        stop: &Stop,
        mut on_received: impl FnMut(&ReceivedFile),
    ) -> io::Result<TcpFileTotals> {
        let Self { settings, folder, server } = self;
        let TcpFileServerSettings { size_max, idle, once, .. } = settings;
        let receiving = TcpFileReceiverSettings { size_max, idle: Some(idle) };
        let mut totals = TcpFileTotals::default();
        let open = |now| TcpFileReceiver::new(receiving, now, folder.clone());
        let watch = |Visit { peer, endpoint, is_over, .. }: Visit<'_, TcpFileReceiver<F>>| {
            if let Some(received) = endpoint.take_received() {
                totals.stored += u64::from(received.stored.is_ok());
                totals.failed += u64::from(received.stored.is_err());
                on_received(&ReceivedFile::over_tcp(peer, received));
            }
            totals.empty += u64::from(is_over && !endpoint.has_data());
            let is_enough = once && totals.stored + totals.failed > 0;
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let yielded = server.run(stop, open, watch)?.yielded;
        Ok(TcpFileTotals { yielded, ..totals })
    }
}

/// The settings for sending a file.
#[derive(Clone, Debug)]
pub struct TcpFileSettings {
    /// The way to the server.
    pub server: Way,
    /// The time without any progress after which it gives up.
    pub patience: Duration,
}

impl TcpFileSettings {
    /// Returns the defaults for a server.
    pub fn new(server: impl Into<Way>) -> Self {
        Self { server: server.into(), patience: Duration::from_secs(60) }
    }
}

/// The result of sending a file.
#[derive(Clone, Debug)]
pub struct TcpFileSent {
    /// The address that was connected to, or the last that was tried.
    pub server: SocketAddr,
    /// The bytes given to the connection.
    pub bytes: u64,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of what was sent; `None` when that was not all.
    pub digest: Option<Digest>,
    /// The server's line, if it came.
    pub stored: Option<StoredLine>,
    /// From the first attempt to connect until the server's line.
    pub elapsed: Duration,
    /// The ending: done means that the server stored what was sent.
    pub ending: Ending,
}

/// Sends a file, and waits for the server's line. `each_piece` is told how many bytes were given to
/// the connection.
///
/// # Errors
/// When the file is empty, which over TCP looks like a port probe, or when the system refuses to
/// wait for events. A file that does not arrive is an [`Ending`].
pub fn send<F: Source>(
    settings: &TcpFileSettings,
    source: &mut F,
    stop: &Stop,
    mut each_piece: impl FnMut(u64),
) -> anyhow::Result<TcpFileSent> {
    anyhow::ensure!(
        source.size() > 0,
        "an empty file cannot be sent over TCP: the stream is the bare file"
    );
    let TcpFileSettings { server: servers, patience } = settings;
    let mut server = *servers.first().context("no address to send to")?;
    let (clock, patience) = (Clock::start(), *patience);
    let mut sender = TcpFileSender::new(&mut *source, Some(patience));
    let ending = match Connection::open(servers, patience, Some(patience), stop, clock, &mut server)
    {
        Ok(mut connection) => {
            connection.drive(&mut sender, |_, sender| {
                each_piece(sender.sent());
                None
            })?;
            Ending::of(sender.outcome().cloned())
        }
        Err(ending) => ending,
    };
    Ok(TcpFileSent {
        server,
        bytes: sender.sent(),
        digest: sender.digest(),
        stored: sender.stored().cloned(),
        size: source.size(),
        elapsed: clock.now().since(Instant::START),
        ending,
    })
}
