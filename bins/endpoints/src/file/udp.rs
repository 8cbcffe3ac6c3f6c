//! A file over plain UDP, on real sockets: paced, never retransmitted, every chunk accounted for.

use crate::datagrams::{DatagramServer, talk};
use crate::ending::Ending;
use crate::protocol::Endpoint;
use crate::protocol::file::{
    AnyFileReceiver, NaiveReceiver, NaiveSettings, ReceivedFile, UdpFileReceiver,
    UdpFileReceiverReport, UdpFileReceiverSettings, UdpFileSender, UdpFileSenderReport,
    UdpFileSenderSettings,
};
use crate::protocol::storage::{Folder, Source};
use crate::way::Way;
use anyhow::Context as _;
use jostle_common::digest::Digest;
use jostle_common::units::BitRate;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A machine that receives files in datagrams.
pub trait DatagramReceiver: Endpoint {
    /// Returns the next transfer that has ended, in the order in which they did.
    fn next_received(&mut self) -> Option<ReceivedFile>;
    /// Returns the report so far.
    fn report(&self) -> UdpFileReceiverReport;
}

impl<F: Folder> DatagramReceiver for UdpFileReceiver<F> {
    fn next_received(&mut self) -> Option<ReceivedFile> {
        Self::next_received(self)
    }

    fn report(&self) -> UdpFileReceiverReport {
        *Self::report(self)
    }
}

impl<F: Folder> DatagramReceiver for NaiveReceiver<F> {
    fn next_received(&mut self) -> Option<ReceivedFile> {
        Self::next_received(self)
    }

    fn report(&self) -> UdpFileReceiverReport {
        *Self::report(self)
    }
}

impl<F: Folder> DatagramReceiver for AnyFileReceiver<F> {
    fn next_received(&mut self) -> Option<ReceivedFile> {
        Self::next_received(self)
    }

    fn report(&self) -> UdpFileReceiverReport {
        Self::report(self)
    }
}

/// A receiving server with its socket.
#[derive(Debug)]
pub struct UdpFileServer<M>(DatagramServer<M>);

impl<F: Folder> UdpFileServer<UdpFileReceiver<F>> {
    /// Listens on `listen`, and stores what it receives in `folder`; port 0 lets the system pick
    /// one.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(
        listen: SocketAddr,
        settings: UdpFileReceiverSettings,
        folder: F,
    ) -> io::Result<Self> {
        let settings = UdpFileReceiverSettings { secret: rand::random(), ..settings };
        DatagramServer::bind(listen, |_| UdpFileReceiver::new(settings, folder)).map(Self)
    }
}

impl<F: Folder + Clone> UdpFileServer<AnyFileReceiver<F>> {
    /// Listens for senders of ours, and for bare chunks from any other.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind_any(
        listen: SocketAddr,
        settings: UdpFileReceiverSettings,
        folder: F,
    ) -> io::Result<Self> {
        DatagramServer::bind(listen, |_| AnyFileReceiver::new(settings, folder)).map(Self)
    }
}

impl<F: Folder> UdpFileServer<NaiveReceiver<F>> {
    /// Listens for bare datagrams from any sender, a file for each, and takes silence for the end.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind_naive(listen: SocketAddr, settings: NaiveSettings, folder: F) -> io::Result<Self> {
        DatagramServer::bind(listen, |_| NaiveReceiver::new(settings, folder)).map(Self)
    }
}

impl<M: DatagramReceiver> UdpFileServer<M> {
    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.0.address()
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
    ) -> io::Result<UdpFileReceiverReport> {
        let machine = self.0.run(stop, |machine| {
            while let Some(received) = machine.next_received() {
                on_received(&received);
            }
        })?;
        Ok(machine.report())
    }
}

/// The settings for sending a file.
#[derive(Clone, Debug)]
pub struct UdpFileSettings {
    /// The way to the server.
    pub server: Way,
    /// The rate of the data datagrams.
    pub rate: BitRate,
    /// The time without an answer to a control datagram after which it gives up.
    pub patience: Duration,
}

impl UdpFileSettings {
    /// Returns the defaults for a server.
    pub fn new(server: impl Into<Way>) -> Self {
        Self {
            server: server.into(),
            rate: UdpFileSenderSettings::RATE,
            patience: UdpFileSenderSettings::PATIENCE,
        }
    }
}

/// The result of sending a file.
#[derive(Clone, Debug)]
pub struct UdpFileSent {
    /// The address that answered, or the last that was tried.
    pub server: SocketAddr,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of what was sent; `None` when that was not all.
    pub digest: Option<Digest>,
    /// The counts, and the server's report if it arrived.
    pub report: UdpFileSenderReport,
    /// The ending: done means that the report arrived, whatever it says.
    pub ending: Ending,
}

impl UdpFileSent {
    /// Returns true if the server stored exactly what was sent, `None` without its report.
    pub fn is_equal(&self) -> Option<bool> {
        self.report.arrival.as_ref().map(|arrival| Some(arrival.digest) == self.digest)
    }
}

/// Sends a file, and waits for the server's report. `each_turn` sees the counts as they grow.
///
/// # Errors
/// When there is no way to the server, or the system refuses to wait for events. A report that does
/// not arrive is an [`Ending`].
pub fn send<F: Source>(
    settings: &UdpFileSettings,
    source: &mut F,
    stop: &Stop,
    mut each_turn: impl FnMut(&UdpFileSenderReport),
) -> anyhow::Result<UdpFileSent> {
    let UdpFileSettings { server: servers, rate, patience } = settings;
    let server = *servers.first().context("no address to send to")?;
    let (transfer, rate, patience) = (rand::random(), *rate, *patience);
    let machine = UdpFileSenderSettings { server, transfer, rate, patience };
    let sender = UdpFileSender::new(machine, &mut *source);
    let talk = talk(servers, sender, stop, |_: SocketAddr, sender: &mut UdpFileSender<&mut F>| {
        each_turn(sender.report())
    })?;
    let (server, digest) = (talk.server, talk.client.digest());
    let (report, outcome) = talk.client.into_parts();
    let size = source.size();
    Ok(UdpFileSent { server, size, digest, report, ending: Ending::of(outcome) })
}
