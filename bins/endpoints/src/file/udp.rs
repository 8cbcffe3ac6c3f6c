//! System 8, a file over plain UDP: paced, never retransmitted, every chunk accounted for.

use crate::datagrams::{Driver, Ended};
use crate::ending::Ending;
use crate::protocol::Endpoint;
use crate::protocol::file::{
    Failure, NaiveReceiver, NaiveSettings, Received, Receiver, ReceiverReport, ReceiverSettings,
    Sender, SenderReport, SenderSettings,
};
use crate::protocol::storage::{Folder, Source};
use jostle_common::clock::Clock;
use jostle_common::digest::Digest;
use jostle_common::units::BitRate;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A receiving server with its socket.
#[derive(Debug)]
pub struct Server<F: Folder> {
    driver: Driver,
    address: SocketAddr,
    machine: Machine<F>,
}

#[derive(Debug)]
enum Machine<F: Folder> {
    Accounting(Receiver<F>),
    Naive(NaiveReceiver<F>),
}

impl<F: Folder> Server<F> {
    /// A server that stores what it receives in `folder`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(listen: SocketAddr, settings: ReceiverSettings, folder: F) -> io::Result<Self> {
        Self::new(listen, Machine::Accounting(Receiver::new(settings, folder)))
    }

    /// A server that appends bare datagrams from anyone, a file per sender, and takes silence for
    /// the end.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind_naive(listen: SocketAddr, settings: NaiveSettings, folder: F) -> io::Result<Self> {
        Self::new(listen, Machine::Naive(NaiveReceiver::new(settings, folder)))
    }

    fn new(listen: SocketAddr, machine: Machine<F>) -> io::Result<Self> {
        let driver = Driver::bind(listen)?;
        Ok(Self { address: driver.address()?, driver, machine })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Receives until `stop` is requested, or until one file has come when it was set so.
    /// `on_received` is told of each file.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        mut self,
        stop: &Stop,
        mut on_received: impl FnMut(&Received),
    ) -> io::Result<ReceiverReport> {
        let clock = Clock::start();
        match &mut self.machine {
            Machine::Accounting(machine) => {
                self.driver.run(machine, stop, &clock, |machine| {
                    while let Some(received) = machine.next_received() {
                        on_received(&received);
                    }
                })?;
                Ok(*machine.report())
            }
            Machine::Naive(machine) => {
                let ended = self.driver.run(machine, stop, &clock, |machine| {
                    while let Some(received) = machine.next_received() {
                        on_received(&received);
                    }
                })?;
                if ended == Ended::Stopped {
                    // Silence would have ended the files that are open; so does the request to
                    // stop.
                    machine.poll(clock.now() + machine.settings().idle);
                    while let Some(received) = machine.next_received() {
                        on_received(&received);
                    }
                }
                Ok(*machine.report())
            }
        }
    }
}

/// How a file is sent.
#[derive(Clone, Debug)]
pub struct SendSettings {
    /// The server's addresses; the next is tried when nobody listens at one.
    pub server: Vec<SocketAddr>,
    /// The rate of the data datagrams.
    pub rate: BitRate,
    /// After how long without an answer to a control datagram to give up.
    pub patience: Duration,
}

impl SendSettings {
    /// The defaults for a server.
    pub const fn new(server: Vec<SocketAddr>) -> Self {
        Self { server, rate: SenderSettings::RATE, patience: SenderSettings::PATIENCE }
    }
}

/// What was sent, and what came of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The address that answered, or the last that was tried.
    pub server: SocketAddr,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of the file.
    pub digest: Digest,
    /// The counts, and the server's report if it arrived.
    pub report: SenderReport,
    /// How it ended: done means that the report arrived, whatever it says.
    pub ending: Ending,
}

impl Sent {
    /// Whether the server stored exactly what was sent; `None` without its report.
    pub fn is_equal(&self) -> Option<bool> {
        self.report.arrival.as_ref().map(|arrival| arrival.digest == self.digest)
    }
}

/// Sends a file, and waits for the server's report. `each_turn` sees the counts as they grow.
///
/// # Errors
/// When there is no way to the server, or the system refuses to wait for events. A report that does
/// not arrive is an [`Ending`].
pub fn send<F: Source>(
    settings: &SendSettings,
    source: &mut F,
    stop: &Stop,
    mut each_turn: impl FnMut(&SenderReport),
) -> anyhow::Result<Sent> {
    let clock = Clock::start();
    let mut addresses = settings.server.iter().copied().peekable();
    loop {
        let server = addresses.next().ok_or_else(|| anyhow::anyhow!("no address to send to"))?;
        let SendSettings { rate, patience, .. } = *settings;
        let transfer = rand::random();
        let machine = SenderSettings { server, transfer, rate, patience };
        let mut sender = Sender::new(machine, &mut *source);
        let run = Driver::connect(server).and_then(|mut driver| {
            driver.run(&mut sender, stop, &clock, |sender| each_turn(sender.report()))
        });
        let (report, outcome) = sender.into_parts();
        let is_unreachable = run.is_err() || matches!(outcome, Some(Err(Failure::Refused(_))));
        if is_unreachable && report.packets == 0 && addresses.peek().is_some() {
            continue;
        }
        let ending = match (run?, outcome) {
            (_, Some(Ok(()))) => Ending::Done,
            (_, Some(Err(failure))) => Ending::Failed(failure.to_string()),
            (Ended::Stopped | Ended::Finished, None) => Ending::Stopped,
        };
        return Ok(Sent { server, size: source.size(), digest: source.digest(), report, ending });
    }
}
