//! Opening the sockets that a route listens on.

use crate::resolve::resolve;
use crate::settings::StartError;
use jostle_common::transport::Transport;
use jostle_engine::route::{Forward, HostPort, Route};
use jostle_forward::Allowed;
use jostle_sys::{DatagramOptions, note_hops, prepare_datagram_socket};
use serde::Serialize;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Connections that may wait to be accepted; the system's maximum (net.core.somaxconn, usually
/// 4096) caps it.
pub(crate) const BACKLOG: i32 = 65_535;

/// Times that a port is picked anew when another socket of the same route cannot have it.
const PORT_ATTEMPTS: usize = 64;

/// Returns what the clients of a route may ask for that listens at these addresses: from beyond
/// this machine nothing that is private, unless it is listed itself.
pub(crate) fn allowed_at(
    forward: &Forward,
    addresses: impl IntoIterator<Item = SocketAddr>,
) -> Allowed {
    let is_open = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
    forward.allowed.clone().guarded(addresses.into_iter().any(is_open))
}

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
    pub(crate) address: SocketAddr,
    pub(crate) socket: Socket,
    /// The kernel's drop count of a UDP socket that was open before.
    pub(crate) missed: u32,
    /// The part of the route that it is for, of several on one port.
    pub(crate) nth: usize,
}

/// The addresses that a route listens on, looked up beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    addresses: Vec<IpAddr>,
    /// Set if no socket that is open already is to be kept.
    afresh: bool,
}

/// All listening sockets of a route.
#[derive(Debug, Default)]
pub(crate) struct ListeningSet {
    /// Those just opened.
    pub(crate) opened: Vec<(Transport, Opened)>,
    /// Those that were open already.
    pub(crate) kept: Vec<(Transport, SocketAddr)>,
}

impl Wanted {
    /// Looks up what the route listens on; may block.
    pub(crate) fn new(route: &Route) -> Result<Self, StartError> {
        Ok(Self { addresses: addresses(route)?, afresh: false })
    }

    /// The same with sockets of its own, whatever is open already.
    pub(crate) fn afresh(self) -> Self {
        Self { afresh: true, ..self }
    }

    /// Opens all sockets of a route, on one port number, but for those that are `open` already:
    /// at each address one for each of so many loops.
    pub(crate) fn open(
        &self,
        route: &Route,
        open: &[(Transport, SocketAddr)],
        portable: bool,
        loops: usize,
    ) -> Result<ListeningSet, StartError> {
        let listens = |transport: &Transport| match transport {
            Transport::Udp => route.transport.has_udp(),
            Transport::Tcp => route.transport.has_tcp(),
        };
        let transports: Vec<Transport> = Transport::ALL.into_iter().filter(listens).collect();
        let open: Vec<(Transport, SocketAddr)> = open
            .iter()
            .filter(|(_, address)| !self.afresh && [0, address.port()].contains(&route.listen.port))
            .copied()
            .collect();
        // With a socket kept, the port is settled.
        let port = open.first().map_or(route.listen.port, |(_, address)| address.port());
        let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match self.open_on_one_port(route, port, &transports, &open, (portable, loops)) {
                Ok(listening) => return Ok(listening),
                Err(failure)
                    if attempts > 0 && failure.cause.kind() == io::ErrorKind::AddrInUse => {}
                Err(Failure { transport, address, cause }) => {
                    let address = format!("{transport}://{address}");
                    return Err(StartError::Listen { route: route.name.clone(), address, cause });
                }
            }
        }
    }

    fn open_on_one_port(
        &self,
        route: &Route,
        mut port: u16,
        transports: &[Transport],
        open: &[(Transport, SocketAddr)],
        (portable, loops): (bool, usize),
    ) -> Result<ListeningSet, Failure> {
        let mut listening = ListeningSet::default();
        for &ip in &self.addresses {
            for &transport in transports {
                let address = SocketAddr::new(ip, port);
                if open.contains(&(transport, address)) {
                    listening.kept.push((transport, address));
                    continue;
                }
                let any = !listening.opened.is_empty() || !listening.kept.is_empty();
                match open_some(transport, address, portable, loops) {
                    Ok(some) => {
                        port = some[0].address.port();
                        listening.opened.extend(some.into_iter().map(|one| (transport, one)));
                    }
                    Err(cause) if is_missing_ipv6(&route.listen, address, &cause) && any => {
                        log::warn!("not listening on {transport}://{address}: {cause}");
                    }
                    Err(cause) => return Err(Failure { transport, address, cause }),
                }
            }
        }
        Ok(listening)
    }
}

impl ListeningSet {
    /// Takes out what was opened for a transport and the `nth` part of the route.
    pub(crate) fn take(&mut self, transport: Transport, nth: usize) -> Vec<Opened> {
        let (these, others) = std::mem::take(&mut self.opened)
            .into_iter()
            .partition(|(of, one)| *of == transport && one.nth == nth);
        self.opened = others;
        let these: Vec<(Transport, Opened)> = these;
        these.into_iter().map(|(_, opened)| opened).collect()
    }

    /// Returns the addresses kept of a transport.
    pub(crate) fn kept(&self, transport: Transport) -> Vec<SocketAddr> {
        let these = self.kept.iter().filter(|(of, _)| *of == transport);
        these.map(|(_, address)| *address).collect()
    }

    /// Returns all of them, UDP first, as the route `name` has them.
    pub(crate) fn listeners(&self, name: &str) -> Vec<Listener> {
        let opened = self.opened.iter().filter(|(_, one)| one.nth == 0);
        let opened = opened.map(|(transport, one)| (*transport, one.address));
        let mut all: Vec<(Transport, SocketAddr)> =
            self.kept.iter().copied().chain(opened).collect();
        all.sort_by_key(|(transport, _)| *transport == Transport::Tcp);
        all.into_iter()
            .map(|(protocol, address)| Listener { route: name.to_owned(), protocol, address })
            .collect()
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
    transport: Transport,
    address: SocketAddr,
    cause: io::Error,
}

/// A machine without IPv6 still has a `localhost`.
fn is_missing_ipv6(listen: &HostPort, address: SocketAddr, error: &io::Error) -> bool {
    listen.host == "localhost" && address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse
}

/// Lets a byte of urgent data stay in its place in the stream: the kernel would take it out, and
/// lose it when the next one comes. Sockets that are accepted have this from their listener.
pub(crate) fn keep_urgent_bytes(socket: &Socket) -> io::Result<()> {
    socket.set_out_of_band_inline(true)
}

/// Lets the system pick a port, which belongs to the socket that is returned with it: another that
/// reuses addresses can be bound there too as long as neither listens.
fn pick_port(address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    let address = socket.local_addr()?.as_socket().expect("an IP socket has an IP address");
    Ok((socket, address))
}

/// Opens sockets at one address, for so many loops: the kernel parts the clients among them by
/// their addresses and ports.
fn open_some(
    transport: Transport,
    address: SocketAddr,
    portable: bool,
    loops: usize,
) -> io::Result<Vec<Opened>> {
    // By itself, so that a port that somebody else has is not taken for one to be shared.
    let first = open_one(transport, address, portable, false)?;
    let mut all = vec![first];
    for nth in 1..loops {
        let next = beside(&all[0], transport, portable)?;
        all.push(Opened { nth, ..next });
    }
    Ok(all)
}

/// Opens another socket at the address of one that is open, for another loop.
pub(crate) fn beside(one: &Opened, transport: Transport, portable: bool) -> io::Result<Opened> {
    share_port(&one.socket)?;
    open_one(transport, one.address, portable, true)
}

#[cfg(unix)]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "one port has one socket on this system"))
}

fn open_one(
    transport: Transport,
    address: SocketAddr,
    portable: bool,
    shares_port: bool,
) -> io::Result<Opened> {
    let kind = match transport {
        Transport::Udp => Type::DGRAM,
        Transport::Tcp => Type::STREAM,
    };
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if shares_port {
        share_port(&socket)?;
    }
    match transport {
        Transport::Udp => {
            let asked_address = address.ip().is_unspecified();
            let ipv6 = address.is_ipv6();
            let options = DatagramOptions { portable, asked_address, ipv6, hops: true };
            prepare_datagram_socket(&socket, options)?;
            socket.bind(&address.into())?;
        }
        Transport::Tcp => {
            socket.set_nonblocking(true)?;
            // Connections of a proxy that just ended linger in TIME_WAIT; they must not keep the
            // next one from its port.
            #[cfg(unix)]
            socket.set_reuse_address(true)?;
            keep_urgent_bytes(&socket)?;
            if !portable && let Err(error) = note_hops(&socket) {
                log::debug!("TCP_SAVE_SYN: {error}");
            }
            // A port that the system picked for a socket is lost to it once it stops to listen; one
            // that it asked for stays.
            let picked = if cfg!(target_os = "linux") && address.port() == 0 {
                Some(pick_port(address)?)
            } else {
                None
            };
            let address = picked.as_ref().map_or(address, |(_, address)| *address);
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
        }
    }
    let address = socket.local_addr()?.as_socket().expect("an IP socket has an IP address");
    Ok(Opened { address, socket, missed: 0, nth: 0 })
}
