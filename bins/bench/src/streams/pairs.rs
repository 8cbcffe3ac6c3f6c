//! Connections through a relay, with both ends in hand.

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
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
        self.pair_from(to, source(to, 0))
    }

    fn pair_from(&self, to: SocketAddr, source: SocketAddr) -> anyhow::Result<Pair> {
        let connect = || {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&source.into())?;
            socket.connect_timeout(&to.into(), PATIENCE)?;
            std::io::Result::Ok(TcpStream::from(socket))
        };
        let mut client = connect().with_context(|| format!("connecting to the relay at {to}"))?;
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

    /// Returns so many. On the loopback network they come from several addresses, as a relay may
    /// bound what one takes.
    ///
    /// # Errors
    /// As [`pair`](Self::pair).
    pub(super) fn pairs(&self, to: SocketAddr, count: usize) -> anyhow::Result<Vec<Pair>> {
        (0..count).map(|nth| self.pair_from(to, source(to, nth))).collect()
    }

    /// Returns the listener, for an event loop.
    pub(super) fn into_listener(self) -> TcpListener {
        self.listener
    }
}

/// The address that the `nth` connection comes from.
fn source(to: SocketAddr, nth: usize) -> SocketAddr {
    /// So many come from each address of the loopback network.
    const OF_EACH: usize = 500;
    let ip = match to.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => {
            let place = u8::try_from(nth / OF_EACH).unwrap_or(u8::MAX);
            Ipv4Addr::new(127, 0, place, 1).into()
        }
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_has_more_than_its_share() {
        let relay = "127.0.0.1:7001".parse().unwrap();
        let of = |nth| source(relay, nth).ip().to_string();
        assert_eq!(
            (of(0), of(499), of(500)),
            ("127.0.0.1".into(), "127.0.0.1".into(), "127.0.1.1".into())
        );
        let elsewhere = "192.0.2.7:7001".parse().unwrap();
        assert_eq!(source(elsewhere, 9_000).ip(), Ipv4Addr::UNSPECIFIED);
    }
}
