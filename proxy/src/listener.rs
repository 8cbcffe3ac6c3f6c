//! Opening the sockets that a route listens on.

use crate::resolve::resolve;
use crate::settings::StartError;
use jostle_common::transport::Transport;
use jostle_engine::route::{HostPort, Route};
use jostle_sys::{DatagramOptions, prepare_datagram_socket};
use serde::Serialize;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Connections that may wait to be accepted; the system's maximum (net.core.somaxconn, usually
/// 4096) caps it.
const BACKLOG: i32 = 65_535;

/// How often a port is picked anew when another socket of the same route cannot have it.
const PORT_ATTEMPTS: usize = 64;

/// A socket that a proxy listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// The route's name.
    pub route: String,
    /// The transport.
    pub protocol: Transport,
    /// Where, with the port that the system picked if the route asked for port 0.
    pub address: SocketAddr,
}

impl fmt::Display for Listener {
    /// The ready line: `listening dns udp://127.0.0.1:5353`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listening {} {}://{}", self.route, self.protocol, self.address)
    }
}

/// An open socket, not yet in the event loop.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) protocol: Transport,
    pub(crate) address: SocketAddr,
    pub(crate) socket: Socket,
}

/// Opens all sockets of a route, on one port number.
pub(crate) fn open(route: &Route, portable: bool) -> Result<Vec<Opened>, StartError> {
    let protocols: Vec<Transport> = [Transport::Udp, Transport::Tcp]
        .into_iter()
        .filter(|protocol| match protocol {
            Transport::Udp => route.transport.has_udp(),
            Transport::Tcp => route.transport.has_tcp(),
        })
        .collect();
    let addresses = addresses(route)?;
    let mut attempts = if route.listen.port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match open_on_one_port(&route.listen, &addresses, &protocols, portable) {
            Ok(opened) => return Ok(opened),
            Err(failure) if attempts > 0 && failure.cause.kind() == io::ErrorKind::AddrInUse => {}
            Err(Failure { protocol, address, cause }) => {
                let address = format!("{protocol}://{address}");
                return Err(StartError::Listen { route: route.name.clone(), address, cause });
            }
        }
    }
}

/// `localhost` is both loopback addresses, whatever the system's tables say.
fn addresses(route: &Route) -> Result<Vec<IpAddr>, StartError> {
    if route.listen.host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let resolved = resolve(&route.listen).map_err(|cause| StartError::Resolve {
        route: route.name.clone(),
        address: route.listen.to_string(),
        cause,
    })?;
    Ok(resolved.into_iter().map(|address| address.ip()).collect())
}

struct Failure {
    protocol: Transport,
    address: SocketAddr,
    cause: io::Error,
}

fn open_on_one_port(
    listen: &HostPort,
    addresses: &[IpAddr],
    protocols: &[Transport],
    portable: bool,
) -> Result<Vec<Opened>, Failure> {
    let mut port = listen.port;
    let mut opened: Vec<Opened> = Vec::new();
    for &ip in addresses {
        for &protocol in protocols {
            let address = SocketAddr::new(ip, port);
            match open_one(protocol, address, portable) {
                Ok(one) => {
                    port = one.address.port();
                    opened.push(one);
                }
                Err(cause) if is_missing_ipv6(listen, address, &cause) && !opened.is_empty() => {
                    log::warn!("not listening on {protocol}://{address}: {cause}");
                }
                Err(cause) => return Err(Failure { protocol, address, cause }),
            }
        }
    }
    Ok(opened)
}

/// A machine without IPv6 still has a `localhost`.
fn is_missing_ipv6(listen: &HostPort, address: SocketAddr, error: &io::Error) -> bool {
    listen.host == "localhost" && address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse
}

fn open_one(protocol: Transport, address: SocketAddr, portable: bool) -> io::Result<Opened> {
    let kind = match protocol {
        Transport::Udp => Type::DGRAM,
        Transport::Tcp => Type::STREAM,
    };
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    match protocol {
        Transport::Udp => {
            let asked_address = address.ip().is_unspecified();
            let options = DatagramOptions { portable, asked_address, ipv6: address.is_ipv6() };
            prepare_datagram_socket(&socket, options)?;
            socket.bind(&address.into())?;
        }
        Transport::Tcp => {
            socket.set_nonblocking(true)?;
            // Connections of a proxy that just ended linger in TIME_WAIT; they must not keep the
            // next one from its port.
            #[cfg(unix)]
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
        }
    }
    let address = socket.local_addr()?.as_socket().expect("an IP socket has an IP address");
    Ok(Opened { protocol, address, socket })
}
