//! The sockets of a load: numbered datagrams go out in runs or batches, and are counted as they
//! arrive.

use anyhow::{Context, bail};
use jostle_common::clock::Clock;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_sys::{Inbox, LoadOptions, MESSAGES, Message, Outbox, SLOTS, prepare_load_socket};
use mio::net::UdpSocket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The most datagrams that the kernel makes of one message (`UDP_MAX_SEGMENTS` was 64 until Linux
/// 6.9, and 128 since).
const RUN_MAX: usize = 64;

/// The most bytes that a message holds.
const MESSAGE_BYTES_MAX: usize = 65_507;

/// The number of a datagram that only tries the way.
const PROBE: u64 = u64::MAX;

/// How long the way is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// How datagrams leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bytes of each; at least the eight of its number.
    pub(super) size: usize,
    /// Datagrams that leave with one call, at most.
    pub(super) batch: usize,
    /// As one run that the kernel or the receiver splits (`UDP_SEGMENT`), and not each for itself.
    pub(super) runs: bool,
}

/// The sending side.
#[derive(Debug)]
pub(super) struct Sender {
    sockets: Vec<UdpSocket>,
    turn: usize,
    outbox: Outbox,
    shape: Shape,
    buffer: Vec<u8>,
}

impl Sender {
    /// Opens a socket for each of `flows` flows to a relay.
    ///
    /// # Errors
    /// When one cannot be had.
    pub(super) fn new(to: SocketAddr, flows: usize, mut shape: Shape) -> anyhow::Result<Self> {
        let most =
            if shape.runs { (MESSAGE_BYTES_MAX / shape.size).min(RUN_MAX) } else { MESSAGES };
        shape.batch = shape.batch.clamp(1, most.max(1));
        let sockets = (0..flows.max(1)).map(|_| connected(to)).collect::<anyhow::Result<_>>()?;
        let buffer = vec![b'j'; shape.size * shape.batch];
        Ok(Self { sockets, turn: 0, outbox: Outbox::new(false), shape, buffer })
    }

    /// Returns how many datagrams leave with a call.
    pub(super) const fn batch(&self) -> usize {
        self.shape.batch
    }

    /// Returns how many flows there are.
    pub(super) fn flows(&self) -> usize {
        self.sockets.len()
    }

    /// Sends a batch with the numbers from `first` on, flow after flow, and returns how many went.
    ///
    /// # Errors
    /// When the relay is gone, or the system refuses what it should take.
    pub(super) fn send(&mut self, first: u64) -> anyhow::Result<u64> {
        self.turn = (self.turn + 1) % self.sockets.len();
        let Shape { size, batch, runs } = self.shape;
        for (number, datagram) in (first..).zip(self.buffer.chunks_exact_mut(size)) {
            datagram[..8].copy_from_slice(&number.to_le_bytes());
        }
        let pieces: Vec<IoSlice<'_>> = self.buffer.chunks_exact(size).map(IoSlice::new).collect();
        let message = |pieces| Message { pieces, to: None, source: None, ecn: Ecn::default() };
        let socket = &self.sockets[self.turn];
        let (sent, each) = if runs {
            (self.outbox.send(socket, &[message(&pieces)]), batch)
        } else {
            let messages: Vec<Message<'_>> = pieces.chunks(1).map(message).collect();
            (self.outbox.send(socket, &messages), 1)
        };
        match sent {
            Ok(sent) => Ok((sent * each) as u64),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error).context("sending to the relay"),
        }
    }

    /// Sends datagrams by each flow until `sink` has heard one of each, so that the way is known to
    /// work and the flows to be known.
    ///
    /// # Errors
    /// When nothing arrives.
    pub(super) fn reach(&mut self, sink: &mut Sink) -> anyhow::Result<()> {
        const STEP: Duration = Duration::from_millis(20);
        for flow in 0..self.sockets.len() {
            let before = sink.probes;
            let mut tries = PATIENCE.as_millis() / STEP.as_millis();
            while sink.probes == before {
                if tries == 0 {
                    bail!("nothing arrives by way of the relay");
                }
                tries -= 1;
                self.buffer[..8].copy_from_slice(&PROBE.to_le_bytes());
                // Refused while the relay is not there yet.
                let _ = self.sockets[flow].send(&self.buffer[..self.shape.size]);
                sink.wait(STEP)?;
                sink.read(|_, _| {})?;
            }
        }
        Ok(())
    }
}

fn connected(to: SocketAddr) -> anyhow::Result<UdpSocket> {
    let unspecified = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = bound(SocketAddr::new(unspecified, 0), LoadOptions::default())?;
    socket.connect(to).with_context(|| format!("connecting to {to}"))?;
    Ok(socket)
}

fn bound(at: SocketAddr, options: LoadOptions) -> anyhow::Result<UdpSocket> {
    let open = || {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
        prepare_load_socket(&socket, options)?;
        socket.bind(&at.into())?;
        io::Result::Ok(socket)
    };
    let socket = open().with_context(|| format!("a UDP socket at {at}"))?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// The receiving side.
#[derive(Debug)]
pub(super) struct Sink {
    socket: UdpSocket,
    inbox: Inbox,
    /// Datagrams that have arrived.
    pub(super) arrived: u64,
    probes: u64,
}

impl Sink {
    /// Opens it.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) fn new(at: SocketAddr, options: LoadOptions) -> anyhow::Result<Self> {
        let socket = bound(at, options)?;
        Ok(Self { socket, inbox: Inbox::new(false), arrived: 0, probes: 0 })
    }

    /// Reads what is there, tells the number of the last datagram of each message and its stamp,
    /// and returns whether there was anything.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) fn read(
        &mut self,
        mut told: impl FnMut(u64, Option<Duration>),
    ) -> anyhow::Result<bool> {
        match self.inbox.receive(&self.socket, SLOTS) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("reading at the sink"),
        }
        for received in self.inbox.received() {
            let datagrams = received.datagrams();
            let count = datagrams.len() as u64;
            let last = datagrams.last().and_then(|range| received.bytes[range].first_chunk());
            match last.map(|bytes| u64::from_le_bytes(*bytes)) {
                None | Some(PROBE) => self.probes += count,
                Some(number) => {
                    self.arrived += count;
                    told(number, received.stamp);
                }
            }
        }
        Ok(true)
    }

    /// Waits until there is something to read, for so long at most.
    ///
    /// # Errors
    /// When the system cannot.
    pub(super) fn wait(&self, time: Duration) -> anyhow::Result<()> {
        let timeout = Timespec::try_from(time)?;
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("waiting at the sink"),
        }
    }

    /// Reads on until nothing has come for `silence`.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) fn drain(
        &mut self,
        silence: Duration,
        mut told: impl FnMut(u64, Option<Duration>),
    ) -> anyhow::Result<()> {
        loop {
            self.wait(silence)?;
            if !self.read(&mut told)? {
                return Ok(());
            }
        }
    }
}

/// Returns the calendar time minus the time of the run's clock, to compare stamps with.
pub(super) fn calendar_offset(clock: &Clock) -> Duration {
    // Between two readings the thread may be stopped: the pair that is closest together counts.
    const PAIRS: usize = 100;
    let pair = |_| {
        let (before, wall, after) = (clock.now(), Clock::wall(), clock.now());
        (after.since(before), wall.saturating_sub(before.since(Instant::START)))
    };
    let (_, offset) = (0..PAIRS).map(pair).min().expect("there are some");
    offset
}
