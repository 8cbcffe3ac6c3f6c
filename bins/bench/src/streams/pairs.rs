//! Connections through a relay, with both ends in hand.

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long an end waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 1024;

/// One connection through a relay.
#[derive(Debug)]
pub(super) struct Pair {
    /// The end that connected.
    pub(super) client: TcpStream,
    /// The end that was accepted behind the relay.
    pub(super) served: TcpStream,
}

/// The place where a relay leads.
#[derive(Debug)]
pub(super) struct Sink {
    listener: TcpListener,
}

impl Sink {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) fn new(at: SocketAddr) -> anyhow::Result<Self> {
        let listen = || {
            let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            // Of a listener: how long accept waits.
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.bind(&at.into())?;
            socket.listen(BACKLOG)?;
            std::io::Result::Ok(socket)
        };
        let socket = listen().with_context(|| format!("a TCP listener at {at}"))?;
        Ok(Self { listener: socket.into() })
    }

    /// Connects to the relay at `to`, sends a byte each way and returns both ends, which block.
    ///
    /// # Errors
    /// When the relay is not there, or does not connect to the sink within ten seconds.
    pub(super) fn pair(&self, to: SocketAddr) -> anyhow::Result<Pair> {
        let mut client = TcpStream::connect_timeout(&to, PATIENCE)
            .with_context(|| format!("connecting to the relay at {to}"))?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_nodelay(true)?;
        client.write_all(b"a")?;
        let (mut served, _) =
            self.listener.accept().context("waiting for the relay's connection")?;
        served.set_read_timeout(Some(PATIENCE))?;
        served.set_nodelay(true)?;
        let mut byte = [0];
        served.read_exact(&mut byte).context("waiting for the first byte up")?;
        served.write_all(b"b")?;
        client.read_exact(&mut byte).context("waiting for the first byte down")?;
        Ok(Pair { client, served })
    }

    /// Returns so many.
    ///
    /// # Errors
    /// As [`pair`](Self::pair).
    pub(super) fn pairs(&self, to: SocketAddr, count: usize) -> anyhow::Result<Vec<Pair>> {
        (0..count).map(|_| self.pair(to)).collect()
    }

    /// Returns the listener, for an event loop.
    pub(super) fn into_listener(self) -> TcpListener {
        self.listener
    }
}
