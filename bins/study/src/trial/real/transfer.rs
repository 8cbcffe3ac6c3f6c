//! A file's two endpoints: a server that is ready before the proxy starts, and a client that is let
//! loose on the route.

use super::LOOPBACK;
use crate::subject::Subject;
use crate::trial::{Protocol, Trial};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_common::units::BitRate;
use jostle_console::stop::Stop;
use jostle_endpoints::datagrams::DatagramServer;
use jostle_endpoints::ending::Ending;
use jostle_endpoints::file::{tcp, udp};
use jostle_endpoints::protocol::CHUNK_BYTES;
use jostle_endpoints::protocol::file::{ChunkState, UdpFileReceiver, UdpFileReceiverSettings};
use jostle_endpoints::protocol::saw::SawServer;
use jostle_endpoints::protocol::storage::Memory;
use jostle_endpoints::protocol::timer::Timing;
use jostle_endpoints::saw;
use jostle_endpoints::storage::{Directory, OutputFile};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of a received file in its transfer's own folder, and while it is not complete.
pub(super) const RECEIVED: &str = "received";
const RECEIVED_PART: &str = "received.part";

/// A way to carry a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum FileProtocol {
    /// A TCP stream.
    Tcp,
    /// UDP datagrams that nobody repeats.
    Udp,
    /// Stop-and-wait over UDP.
    Saw,
}

impl FileProtocol {
    /// All of them, in the order of rows.
    pub(crate) const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Saw];

    /// Returns the name in rows and file names.
    pub(crate) const fn name(self) -> &'static str {
        self.protocol().name()
    }

    /// Returns the same among the protocols of trials.
    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
            Self::Saw => Protocol::Saw,
        }
    }

    /// Returns the transport that the proxy relays.
    pub(crate) const fn carrier(self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Udp | Self::Saw => Transport::Udp,
        }
    }
}

/// The settings of a file's transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransferSettings {
    pub(crate) protocol: FileProtocol,
    /// The rate at which plain UDP sends.
    pub(crate) pace: BitRate,
    /// The rule by which stop-and-wait asks again.
    pub(crate) timing: Timing,
    /// The time that the transfer may take before it is stopped. No endpoint gives up on its own
    /// before, whichever end is silent.
    pub(crate) limit: Duration,
}

impl TransferSettings {
    /// Returns the settings of a trial.
    pub(crate) fn of(trial: &Trial, protocol: FileProtocol) -> Self {
        let (pace, timing, limit) = (trial.pace(), trial.timeout(), trial.limit());
        Self { protocol, pace, timing, limit }
    }

    const fn patience(&self) -> Duration {
        self.limit.saturating_mul(2)
    }
}

/// The outcome of a transfer, as its endpoints tell it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    /// From the client's first packet or connect until the file was there, or until the transfer
    /// was given up.
    pub(crate) elapsed: Duration,
    /// The file that arrived, and true if the transfer came to its end; `None` when nothing
    /// arrived.
    pub(crate) received: Option<(PathBuf, bool)>,
    /// The fate of each chunk, where the protocol accounts for them.
    pub(crate) account: Option<Vec<ChunkState>>,
    pub(crate) doubled: Option<u64>,
    pub(crate) late: Option<u64>,
    /// `None` where only the proxy knows.
    pub(crate) retransmissions: Option<u64>,
    /// `None` where the client measures none.
    pub(crate) round_trips: Option<RoundTrips>,
}

impl Outcome {
    /// Creates an outcome of which only the ending is known.
    pub(super) const fn new(ending: Ending) -> Self {
        Self {
            ending,
            elapsed: Duration::ZERO,
            received: None,
            account: None,
            doubled: None,
            late: None,
            retransmissions: None,
            round_trips: None,
        }
    }
}

/// A transfer whose server listens.
pub(crate) struct Transfer<'a> {
    settings: TransferSettings,
    subject: &'a Subject,
    server: Server,
    /// The folder in which received files lie.
    folder: PathBuf,
}

enum Server {
    Tcp(tcp::TcpFileServer<Directory>),
    Udp(udp::UdpFileServer<UdpFileReceiver<Directory>>),
    Saw(DatagramServer<SawServer<Memory>>),
}

impl<'a> Transfer<'a> {
    /// Opens the server of a transfer that puts what it receives into `folder`.
    ///
    /// # Errors
    /// When it cannot listen or write there.
    pub(crate) fn open(
        settings: TransferSettings,
        subject: &'a Subject,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        // Incomplete files are looked at too.
        let directory = || Directory::open(&folder, RECEIVED).map(Directory::keeping_parts);
        let idle = settings.patience();
        let server = match settings.protocol {
            FileProtocol::Tcp => {
                let serving =
                    tcp::TcpFileServerSettings { idle, ..tcp::TcpFileServerSettings::default() };
                Server::Tcp(tcp::TcpFileServer::bind(LOOPBACK, serving, directory()?)?)
            }
            FileProtocol::Udp => {
                let serving =
                    UdpFileReceiverSettings { idle, ..UdpFileReceiverSettings::default() };
                Server::Udp(udp::UdpFileServer::bind(LOOPBACK, serving, directory()?)?)
            }
            FileProtocol::Saw => Server::Saw(saw::serve(LOOPBACK, subject.content.clone(), false)?),
        };
        Ok(Self { settings, subject, server, folder })
    }

    /// Returns the address at which the server listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        match &self.server {
            Server::Tcp(server) => server.address(),
            Server::Udp(server) => server.address(),
            Server::Saw(server) => server.address(),
        }
    }

    /// Transfers the file by way of `route`, until it is done or `stop` is requested. `tell` hears
    /// how many bytes of the file are under way.
    ///
    /// # Errors
    /// When the system refuses something: a fault of the machine, not of the network.
    pub(crate) fn run(
        self,
        route: SocketAddr,
        stop: &Stop,
        tell: impl Fn(u64),
    ) -> anyhow::Result<Outcome> {
        // The server outlives its client, however that ends.
        let served = Stop::new();
        let Self { settings, subject, server, folder } = self;
        let clock = Clock::start();
        let outcome = std::thread::scope(|scope| {
            let client = match server {
                Server::Tcp(server) => {
                    scope.spawn(|| server.run(&served, |_| {}));
                    send_tcp(&settings, subject, route, stop, tell)
                }
                Server::Udp(server) => {
                    scope.spawn(|| server.run(&served, |_| {}));
                    send_udp(&settings, subject, route, stop, tell)
                }
                Server::Saw(server) => {
                    scope.spawn(|| server.run(&served, |_| {}));
                    fetch_saw(&settings, &folder, route, stop, tell)
                }
            };
            served.request();
            client
        })?;
        // What has not ended has taken all the time there was.
        let elapsed = if outcome.ending.is_done() {
            outcome.elapsed
        } else {
            clock.now().since(Instant::START)
        };
        Ok(Outcome { elapsed, received: received(&folder), ..outcome })
    }
}

/// Returns the file that lies in a transfer's folder when it has ended.
pub(super) fn received(folder: &Path) -> Option<(PathBuf, bool)> {
    [(RECEIVED, true), (RECEIVED_PART, false)]
        .map(|(name, complete)| (folder.join(name), complete))
        .into_iter()
        .find(|(path, _)| path.is_file())
}

fn send_tcp(
    settings: &TransferSettings,
    subject: &Subject,
    route: SocketAddr,
    stop: &Stop,
    tell: impl Fn(u64),
) -> anyhow::Result<Outcome> {
    let sending = tcp::TcpFileSettings { server: route.into(), patience: settings.patience() };
    let sent = tcp::send(&sending, &mut subject.content.clone(), stop, tell)?;
    Ok(Outcome { elapsed: sent.elapsed, ..Outcome::new(sent.ending) })
}

fn send_udp(
    settings: &TransferSettings,
    subject: &Subject,
    route: SocketAddr,
    stop: &Stop,
    tell: impl Fn(u64),
) -> anyhow::Result<Outcome> {
    let sending = udp::UdpFileSettings {
        server: route.into(),
        rate: settings.pace,
        patience: settings.patience(),
    };
    let sent = udp::send(&sending, &mut subject.content.clone(), stop, |report| {
        tell(report.packets * CHUNK_BYTES)
    })?;
    let arrival = sent.report.arrival;
    let counts = arrival.as_ref().map(|arrival| arrival.counts);
    // Not the exchange about the report, nor the wait for chunks that may have been overtaken: the
    // file is there before.
    let elapsed = arrival.as_ref().map(|arrival| arrival.elapsed).unwrap_or_default();
    Ok(Outcome {
        elapsed,
        doubled: counts.map(|counts| counts.doubled),
        late: counts.map(|counts| u64::from(counts.late)),
        account: arrival.map(|arrival| arrival.cells.iter().map(|cell| cell.state).collect()),
        retransmissions: Some(0),
        ..Outcome::new(sent.ending)
    })
}

fn fetch_saw(
    settings: &TransferSettings,
    folder: &Path,
    route: SocketAddr,
    stop: &Stop,
    tell: impl Fn(u64),
) -> anyhow::Result<Outcome> {
    let defaults = saw::FetchSettings::new(vec![route]);
    let asking = saw::FetchSettings { timing: settings.timing, patience: None, ..defaults };
    let output = OutputFile::create(&folder.join(RECEIVED))?;
    let (fetched, output) = saw::fetch(&asking, output, stop, |report| tell(report.bytes))?;
    if fetched.ending.is_done() {
        output.finish().context("the file arrived and cannot be kept")?;
    } else {
        output.abandon();
    }
    let report = fetched.report;
    Ok(Outcome {
        elapsed: report.elapsed(),
        doubled: Some(report.duplicates),
        retransmissions: Some(report.retransmissions),
        round_trips: Some(report.round_trips),
        ..Outcome::new(fetched.ending)
    })
}
