//! One row's two endpoints: a server that is ready before the proxy starts, and a client that is let loose on the row's route.

use super::finished::{CHUNK_BYTES, Chunk, Transport};
use super::plan::{Cell, Plan};
use super::subject::Subject;
use crate::ending::Ending;
use crate::file::{tcp, udp};
use crate::saw;
use crate::stop::Stop;
use crate::storage::{Directory, Output};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_common::protocol::digest::Digest;
use jostle_common::protocol::file::{Cell as ChunkCell, ReceiverSettings};
use jostle_common::protocol::storage::Source;
use jostle_common::time::Instant;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a received file is called in its row's own folder, and while it is not complete.
const RECEIVED: &str = "received";
const RECEIVED_PART: &str = "received.part";

/// What came of a row, as its endpoints tell it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) ending: Ending,
    /// From the client's first packet or connect until the file was there, or until the row was given up.
    pub(super) elapsed: Duration,
    /// What arrived, and whether the transfer came to its end; `None` when nothing arrived.
    pub(super) received: Option<(PathBuf, bool)>,
    /// What became of each chunk, where the protocol accounts for them.
    pub(super) account: Option<Vec<Chunk>>,
    pub(super) doubled: Option<u64>,
    pub(super) late: Option<u64>,
    /// `None` where only the proxy knows.
    pub(super) retransmissions: Option<u64>,
}

/// The file in memory, read by any number of endpoints.
struct Shared<'a>(&'a Subject);

impl Source for Shared<'_> {
    fn size(&self) -> u64 {
        self.0.bytes.len() as u64
    }

    fn digest(&self) -> Digest {
        self.0.digest
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let part = start.and_then(|start| self.0.bytes.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A row whose server listens.
pub(super) struct Transfer<'a> {
    server: Server<'a>,
    /// Where what the row receives lies.
    folder: PathBuf,
}

enum Server<'a> {
    Tcp(tcp::Server<Directory>),
    Udp(udp::Server<Directory>),
    Saw(saw::Server<Shared<'a>>),
}

impl<'a> Transfer<'a> {
    /// Opens the server of a row that puts what it receives into `folder`.
    ///
    /// # Errors
    /// When it cannot listen or write there.
    pub(super) fn open(
        plan: &Plan,
        cell: &Cell,
        subject: &'a Subject,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let directory = || Directory::open(&folder, RECEIVED);
        let idle = patience(plan);
        let server = match cell.transport {
            Transport::Tcp => {
                let settings = tcp::ServerSettings { idle, ..tcp::ServerSettings::default() };
                Server::Tcp(tcp::Server::bind(loopback, settings, directory()?)?)
            }
            Transport::Udp => {
                let settings = ReceiverSettings { idle, ..ReceiverSettings::default() };
                Server::Udp(udp::Server::bind(loopback, settings, directory()?)?)
            }
            Transport::Saw => Server::Saw(saw::Server::bind(loopback, Shared(subject), false)?),
        };
        Ok(Self { server, folder })
    }

    /// Where the server listens.
    pub(super) const fn address(&self) -> SocketAddr {
        match &self.server {
            Server::Tcp(server) => server.address(),
            Server::Udp(server) => server.address(),
            Server::Saw(server) => server.address(),
        }
    }

    /// Transfers the file by way of `route`, until it is done or `stop` is requested. `progress` is told how many bytes of the file are
    /// under way.
    ///
    /// # Errors
    /// When the system refuses something: a fault of the machine, not of the network.
    pub(super) fn run(
        self,
        plan: &Plan,
        subject: &Subject,
        route: SocketAddr,
        stop: &Stop,
        progress: &AtomicU64,
    ) -> anyhow::Result<Outcome> {
        // The server outlives its client, however that ends.
        let served = Stop::new();
        let tell = |bytes: u64| progress.store(bytes, Ordering::Relaxed);
        let folder = self.folder;
        let clock = Clock::start();
        let outcome = std::thread::scope(|scope| {
            let client = match self.server {
                Server::Tcp(server) => {
                    scope.spawn(|| server.run(&served, |_| {}));
                    send_tcp(plan, subject, route, stop, tell)
                }
                Server::Udp(server) => {
                    scope.spawn(|| server.run(&served, |_| {}));
                    send_udp(plan, subject, route, stop, tell)
                }
                Server::Saw(server) => {
                    scope.spawn(|| server.run(&served, |_| {}));
                    fetch_saw(&folder, route, stop, tell)
                }
            };
            served.request();
            client
        })?;
        // What has not ended has taken all the time there was.
        let elapsed =
            if outcome.ending.is_done() { outcome.elapsed } else { clock.now().since(Instant::START) };
        Ok(Outcome { elapsed, received: received(&folder), ..outcome })
    }
}

/// No endpoint gives up on its own: the row's limit ends it, whoever is silent.
const fn patience(plan: &Plan) -> Duration {
    plan.limit.saturating_mul(2)
}

/// What lies in a row's folder when it has ended.
fn received(folder: &Path) -> Option<(PathBuf, bool)> {
    [(RECEIVED, true), (RECEIVED_PART, false)]
        .map(|(name, complete)| (folder.join(name), complete))
        .into_iter()
        .find(|(path, _)| path.is_file())
}

fn send_tcp(
    plan: &Plan,
    subject: &Subject,
    route: SocketAddr,
    stop: &Stop,
    tell: impl Fn(u64),
) -> anyhow::Result<Outcome> {
    let settings = tcp::SendSettings { server: vec![route], patience: patience(plan) };
    let sent = tcp::send(&settings, &mut Shared(subject), stop, tell)?;
    Ok(Outcome {
        ending: sent.ending,
        elapsed: sent.elapsed,
        received: None,
        account: None,
        doubled: None,
        late: None,
        retransmissions: None,
    })
}

fn send_udp(
    plan: &Plan,
    subject: &Subject,
    route: SocketAddr,
    stop: &Stop,
    tell: impl Fn(u64),
) -> anyhow::Result<Outcome> {
    let settings = udp::SendSettings { server: vec![route], rate: plan.pace, patience: patience(plan) };
    let sent =
        udp::send(&settings, &mut Shared(subject), stop, |report| tell(report.packets * CHUNK_BYTES as u64))?;
    let arrival = sent.report.arrival;
    let counts = arrival.as_ref().map(|arrival| arrival.counts);
    // Not the exchange about the report, nor the wait for chunks that may have been overtaken: the file is there before.
    let elapsed = arrival.as_ref().map(|arrival| arrival.elapsed).unwrap_or_default();
    Ok(Outcome {
        ending: sent.ending,
        elapsed,
        received: None,
        doubled: counts.map(|counts| counts.doubled),
        late: counts.map(|counts| u64::from(counts.late)),
        account: arrival.map(|arrival| states(&arrival.cells)),
        retransmissions: Some(0),
    })
}

fn states(cells: &[ChunkCell]) -> Vec<Chunk> {
    cells.iter().map(|cell| cell.state).collect()
}

fn fetch_saw(folder: &Path, route: SocketAddr, stop: &Stop, tell: impl Fn(u64)) -> anyhow::Result<Outcome> {
    let settings = saw::FetchSettings { patience: None, ..saw::FetchSettings::new(vec![route]) };
    let output = Output::create(&folder.join(RECEIVED))?;
    let (fetched, output) = saw::fetch(&settings, output, stop, |report| tell(report.bytes))?;
    if fetched.ending.is_done() {
        output.finish().context("the file arrived and cannot be kept")?;
    } else {
        output.abandon();
    }
    let report = fetched.report;
    Ok(Outcome {
        ending: fetched.ending,
        elapsed: report.elapsed(),
        received: None,
        account: None,
        doubled: Some(report.duplicates),
        late: None,
        retransmissions: Some(report.retransmissions),
    })
}
