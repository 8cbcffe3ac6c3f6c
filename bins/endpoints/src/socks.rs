//! The way by a SOCKS5 proxy on real sockets: connecting to it, and the negotiation as its bytes
//! come. Streams and datagrams begin alike here.

use crate::protocol::socks5::{SocksClient, SocksError, SocksRequest, SocksTarget};
use crate::streams::establish;
use crate::way::SocksProxy;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::{Attached, Stop};
use mio::net::TcpStream;
use mio::{Events, Poll};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

/// The most bytes that a proxy's answer has: that with a name of 255.
const ANSWER_BYTES_MAX: usize = 4 + 1 + 255 + 2;

/// A connection to a proxy that has done what it was asked for.
pub(crate) struct ByProxy {
    pub(crate) poll: Poll,
    pub(crate) stream: TcpStream,
    pub(crate) attached: Attached,
    /// Where the proxy is bound, with its own address if it names none.
    pub(crate) bound: SocketAddr,
}

/// Asks the first of the proxy's addresses that lets us in; each may take as long as `patience`.
/// Returns `None` when the user stopped it.
///
/// # Errors
/// The reason of the last attempt, or what the proxy answered.
pub(crate) fn ask(
    proxy: &SocksProxy,
    request: &SocksRequest,
    patience: Duration,
    stop: &Stop,
    clock: Clock,
) -> io::Result<Option<ByProxy>> {
    let mut last = io::Error::other("the proxy has no address");
    for &address in &proxy.addresses {
        let until = clock.now() + patience;
        let connected = match establish(address, patience, stop, clock) {
            Ok(connected) => connected,
            Err(error) => {
                last = named(address, &error);
                continue;
            }
        };
        let Some((mut poll, mut stream, attached)) = connected else { return Ok(None) };
        let mut client = SocksClient::new(request.clone(), proxy.login.clone());
        let negotiated = negotiate(&mut client, &mut stream, &mut poll, until, stop, clock);
        let Some(mut bound) = negotiated.map_err(|error| named(address, &error))? else {
            return Ok(None);
        };
        if bound.ip().is_unspecified() {
            bound.set_ip(address.ip());
        }
        return Ok(Some(ByProxy { poll, stream, attached, bound }));
    }
    Err(last)
}

fn named(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("by socks5://{address}: {error}"))
}

/// Connects to `target` by a proxy, for those who run on tokio.
///
/// # Errors
/// When the proxy cannot be reached, or does not connect.
pub(crate) async fn connect(
    proxy: &SocksProxy,
    target: SocksTarget,
) -> io::Result<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(proxy.addresses.as_slice()).await?;
    let mut client = SocksClient::new(SocksRequest::Connect(target), proxy.login.clone());
    let (mut unsent, mut buffer) = (Vec::new(), [0; ANSWER_BYTES_MAX]);
    loop {
        unsent.extend(client.take_output());
        let moved = if unsent.is_empty() {
            stream.readable().await?;
            stream.try_read(&mut buffer[..client.wants().min(ANSWER_BYTES_MAX)])
        } else {
            stream.writable().await?;
            stream.try_write(&unsent)
        };
        match moved {
            Ok(length) if !unsent.is_empty() => drop(unsent.drain(..length)),
            Ok(0) => return Err(closed()),
            Ok(length) => {
                let bound = client.handle(&buffer[..length]);
                if bound.map_err(|error: SocksError| io::Error::other(error))?.is_some() {
                    return Ok(stream);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn closed() -> io::Error {
    let problem = "the SOCKS5 proxy closed the connection before it answered";
    io::Error::new(io::ErrorKind::UnexpectedEof, problem)
}

/// Negotiates until the proxy has done what it was asked for; `None` when the user stopped it.
fn negotiate(
    client: &mut SocksClient,
    stream: &mut TcpStream,
    poll: &mut Poll,
    until: Instant,
    stop: &Stop,
    clock: Clock,
) -> io::Result<Option<SocketAddr>> {
    let mut events = Events::with_capacity(8);
    let (mut unsent, mut buffer) = (Vec::new(), [0; ANSWER_BYTES_MAX]);
    while !stop.is_requested() {
        unsent.extend(client.take_output());
        let moved = match unsent.as_slice() {
            [] => stream.read(&mut buffer[..client.wants().min(ANSWER_BYTES_MAX)]),
            bytes => stream.write(bytes),
        };
        match moved {
            Ok(length) if !unsent.is_empty() => drop(unsent.drain(..length)),
            Ok(0) => return Err(closed()),
            Ok(length) => {
                let failed = |error: SocksError| io::Error::other(error);
                if let Some(bound) = client.handle(&buffer[..length]).map_err(failed)? {
                    return Ok(Some(bound));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = until.since(clock.now());
                if left.is_zero() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
                }
                match poll.poll(&mut events, Some(left)) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                    _ => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
