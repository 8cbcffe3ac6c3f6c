//! A UDP socket and the loop around it, which runs an endpoint in real time.
//!
//! Timers follow mio, which rounds a wait up to the next millisecond: a timeout of 5 ms or more
//! does not mind, and paced data go in small bursts (a packet per wake-up up to some 30 Mbit/s,
//! then a few), whose mean rate is exact.

use crate::ending::LoopEnd;
use crate::hints::Hints;
use crate::protocol::socks5::{SocksRequest, SocksTarget, datagram_header, payload_at};
use crate::protocol::{Endpoint, Transmit};
use crate::socks::{self, ByProxy};
use crate::way::SocksProxy;
use jostle_common::clock::Clock;
use jostle_common::ecn::Ecn;
use jostle_common::listening::CannotListen;
use jostle_common::time::Instant;
use jostle_console::stop::{STOP, Stop};
use jostle_sys::{Inbox, Message, Outbox, note_ecn};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, IoSlice, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const SOCKET: Token = Token(0);
/// The token of the other source that wakes the loop.
const OTHER: Token = Token(1);
/// The token of the connection that keeps an association with a proxy.
const ASSOCIATION: Token = Token(2);
/// The number of datagrams that are taken in before the clock, the stop request and the progress
/// get their turn.
const BATCH: usize = 64;
/// The longest UDP payload is 65,507 bytes over IPv4.
const DATAGRAM_MAX: usize = 1 << 16;
/// The receive buffer that is asked for; the system may grant less. At 10 Mbit/s it is three
/// seconds of data.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The time that a proxy has to make an association.
const PROXY_PATIENCE: Duration = Duration::from_secs(30);

/// An association with a SOCKS5 proxy.
#[derive(Debug)]
struct Association {
    /// It lasts as long as this does.
    stream: TcpStream,
    /// In front of each datagram to the server.
    header: Vec<u8>,
    /// A datagram with its header; kept for its memory.
    framed: Vec<u8>,
}

/// A UDP socket and the loop around it.
#[derive(Debug)]
pub(super) struct Driver {
    socket: mio::net::UdpSocket,
    /// The only peer, when the socket is connected: then refusals by the network are told.
    peer: Option<SocketAddr>,
    /// The way to it by a proxy, to which the socket is connected then.
    association: Option<Association>,
    poll: Poll,
    /// A datagram that the socket had no room for.
    waiting: Option<Transmit>,
    buffer: Box<[u8]>,
    /// Set if it is told what IP headers say of congestion.
    inbox: Option<Box<Inbox>>,
    hints: Hints,
}

impl Driver {
    /// Opens a socket that listens on `address`.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let named = |error: io::Error| {
            let cause = CannotListen(&error);
            io::Error::new(error.kind(), format!("cannot listen on udp://{address}: {cause}"))
        };
        Self::new(mio::net::UdpSocket::bind(address).map_err(named)?, None)
    }

    /// Opens a socket that talks to `server` only.
    ///
    /// # Errors
    /// When there is no way to that address.
    pub(super) fn connect(server: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = if server.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = mio::net::UdpSocket::bind(any)?;
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot reach udp://{server}: {error}"))
        };
        socket.connect(server).map_err(named)?;
        Self::new(socket, Some(server))
    }

    /// Makes an association with a proxy, for datagrams to and from `server`. Returns `None` when
    /// the user stopped it.
    ///
    /// # Errors
    /// When the proxy makes none.
    pub(super) fn associate(
        (proxy, target): (&SocksProxy, &SocksTarget),
        server: SocketAddr,
        stop: &Stop,
        clock: Clock,
    ) -> io::Result<Option<Self>> {
        let made = socks::ask(proxy, &SocksRequest::Associate, PROXY_PATIENCE, stop, clock);
        let named = |error: io::Error| {
            let SocksTarget { host, port } = target;
            io::Error::new(error.kind(), format!("cannot reach {host} port {port} {error}"))
        };
        let Some(ByProxy { poll, mut stream, bound, .. }) = made.map_err(named)? else {
            return Ok(None);
        };
        poll.registry().deregister(&mut stream)?;
        let mut driver = Self::connect(bound)?;
        driver.peer = Some(server);
        driver.poll.registry().register(&mut stream, ASSOCIATION, Interest::READABLE)?;
        let header = datagram_header(target);
        driver.association = Some(Association { stream, header, framed: Vec::new() });
        Ok(Some(driver))
    }

    fn new(mut socket: mio::net::UdpSocket, peer: Option<SocketAddr>) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        // A smaller buffer than asked for is no error; the system's own limit stands.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        let (buffer, hints) = (vec![0; DATAGRAM_MAX].into(), Hints::default());
        let (association, inbox) = (None, None);
        Ok(Self { socket, peer, association, poll, waiting: None, buffer, inbox, hints })
    }

    /// Lets `source` wake the loop too, for a watcher that reads from it.
    ///
    /// # Errors
    /// When the system cannot wait for it.
    pub(super) fn watch(&self, source: &mut dyn Source) -> io::Result<()> {
        self.poll.registry().register(source, OTHER, Interest::READABLE)
    }

    /// Ends [`Self::watch`], so that another loop can.
    ///
    /// # Errors
    /// When it was not watched.
    pub(super) fn release(&self, source: &mut dyn Source) -> io::Result<()> {
        self.poll.registry().deregister(source)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Runs `endpoint` until it is finished or `stop` is requested; `each_turn` sees it at least
    /// once per wake-up.
    ///
    /// # Errors
    /// When the system refuses to wait for events. What the network refuses is the endpoint's to
    /// know.
    pub(super) fn drive<E: Endpoint>(
        &mut self,
        endpoint: &mut E,
        stop: &Stop,
        clock: &Clock,
        each_turn: impl FnMut(&mut E),
    ) -> io::Result<LoopEnd> {
        self.run(&mut WatchedEndpoint { endpoint, each_turn }, stop, clock)
    }

    /// Runs the loop, which is compiled once for all endpoints.
    fn run(
        &mut self,
        driven: &mut dyn DrivenDatagrams,
        stop: &Stop,
        clock: &Clock,
    ) -> io::Result<LoopEnd> {
        let _attached = stop.attach(&self.poll)?;
        if driven.endpoint().hears_marks() {
            self.hear_marks()?;
        }
        let mut events = Events::with_capacity(8);
        loop {
            self.check_association()?;
            self.send_due(driven.endpoint(), clock);
            let drained = self.receive(driven.endpoint(), clock);
            driven.watch();
            let endpoint = driven.endpoint();
            if let (Some(server), Some(hint)) = (self.peer, endpoint.take_hint()) {
                Hints::tell_of_server(server, &hint);
            }
            // Its last datagram may still wait for room in the socket.
            if endpoint.is_finished() && self.waiting.is_none() {
                return Ok(LoopEnd::Finished);
            }
            if stop.is_requested() {
                return Ok(LoopEnd::Stopped);
            }
            // mio tells of an edge only, so after a full batch the loop must come back by itself.
            let wait =
                if drained { self.wait(endpoint, clock.now()) } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => debug_assert!(
                    events
                        .iter()
                        .all(|event| [SOCKET, OTHER, ASSOCIATION, STOP].contains(&event.token()))
                ),
            }
        }
    }

    /// Asks to be told what IP headers say of congestion.
    fn hear_marks(&mut self) -> io::Result<()> {
        let ipv6 = self.address()?.is_ipv6();
        note_ecn(&socket2::SockRef::from(&self.socket), ipv6);
        self.inbox = Some(Inbox::new(false).into());
        Ok(())
    }

    /// Makes sure that the association stands: the proxy says nothing on its connection but that it
    /// has ended.
    ///
    /// # Errors
    /// When it has.
    fn check_association(&mut self) -> io::Result<()> {
        let Some(association) = &mut self.association else { return Ok(()) };
        match association.stream.read(&mut [0; 64]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Ok(length) if length > 0 => Ok(()),
            _ => Err(io::Error::other("the SOCKS5 proxy has ended the association")),
        }
    }

    /// Returns the time for which there is nothing to do. A full socket waits for its event,
    /// whatever is due.
    fn wait(&self, endpoint: &dyn Endpoint, now: Instant) -> Option<Duration> {
        if self.waiting.is_some() {
            return None;
        }
        endpoint.deadline().map(|deadline| deadline.since(now))
    }

    /// Sends what is due, until the socket is full.
    fn send_due(&mut self, endpoint: &mut dyn Endpoint, clock: &Clock) {
        for _ in 0..BATCH {
            let Some(transmit) = self.waiting.take().or_else(|| endpoint.poll(clock.now())) else {
                return;
            };
            let mut sent = self.send(&transmit);
            if self.refused(&sent, endpoint, clock) {
                // The error was an earlier datagram's: this one was not sent.
                sent = self.send(&transmit);
            }
            match sent {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting = Some(transmit);
                    return;
                }
                // As good as lost on the way: the protocols live with that.
                Err(error) => log::debug!("cannot send to {}: {error}", transmit.to),
            }
        }
    }

    fn send(&mut self, transmit: &Transmit) -> io::Result<usize> {
        let payload: &[u8] = match &mut self.association {
            Some(Association { header, framed, .. }) => {
                framed.clear();
                framed.extend_from_slice(header);
                framed.extend_from_slice(&transmit.payload);
                framed
            }
            None => &transmit.payload,
        };
        if transmit.ecn.takes_marks() {
            let (to, pieces) = (Some(transmit.to), [IoSlice::new(payload)]);
            let (to, source, ecn) = (to.filter(|_| self.peer.is_none()), None, transmit.ecn);
            let message = Message { pieces: &pieces, to, source, ecn };
            return Outbox::new(false).send(&self.socket, &[message]);
        }
        match self.peer {
            Some(_) => self.socket.send(payload),
            None => self.socket.send_to(payload, transmit.to),
        }
    }

    /// Takes in up to a batch of datagrams, and sends what they give rise to. Returns true if
    /// there are no more.
    fn receive(&mut self, endpoint: &mut dyn Endpoint, clock: &Clock) -> bool {
        for _ in 0..BATCH {
            if self.waiting.is_some() {
                // Answers pile up in the kernel's queue of requests, not in ours of answers.
                return true;
            }
            let received = self.read();
            if self.refused(&received, endpoint, clock) {
                continue;
            }
            match received {
                Ok((length, from, ecn)) => {
                    // The kernel lets only the peer through, but may write its address with another
                    // scope.
                    let from = self.peer.unwrap_or(from);
                    let datagram = &self.buffer[..length];
                    let payload = match self.association {
                        // What has no header is not the proxy's.
                        Some(_) => match payload_at(datagram) {
                            Some(at) => &datagram[at..],
                            None => continue,
                        },
                        None => datagram,
                    };
                    endpoint.handle_marked(clock.now(), from, ecn, payload);
                    if self.peer.is_none()
                        && let Some(hint) = endpoint.take_hint()
                    {
                        self.hints.tell(clock.now(), from, &hint);
                    }
                    self.send_due(endpoint, clock);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => log::debug!("cannot receive: {error}"),
            }
        }
        false
    }

    /// Reads a datagram into the buffer.
    fn read(&mut self) -> io::Result<(usize, SocketAddr, Ecn)> {
        let Some(inbox) = &mut self.inbox else {
            let (length, from) = self.socket.recv_from(&mut self.buffer)?;
            return Ok((length, from, Ecn::NotEct));
        };
        inbox.receive(&self.socket, 1)?;
        let received = inbox.received().next().ok_or(io::ErrorKind::WouldBlock)?;
        let from = received.from.or(self.peer).ok_or(io::ErrorKind::InvalidData)?;
        self.buffer[..received.bytes.len()].copy_from_slice(received.bytes);
        Ok((received.bytes.len(), from, received.ecn))
    }

    /// Returns true if a call reported that an earlier datagram was refused; the endpoint is told.
    fn refused<T>(
        &self,
        result: &io::Result<T>,
        endpoint: &mut dyn Endpoint,
        clock: &Clock,
    ) -> bool {
        let is_refusal =
            matches!(result, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
        if let (true, Some(peer)) = (is_refusal, self.peer) {
            endpoint.handle_refusal(clock.now(), peer);
        }
        is_refusal
    }
}

/// An endpoint and its watcher, whatever their types.
trait DrivenDatagrams {
    fn endpoint(&mut self) -> &mut dyn Endpoint;
    fn watch(&mut self);
}

struct WatchedEndpoint<'a, E, W> {
    endpoint: &'a mut E,
    each_turn: W,
}

impl<E: Endpoint, W: FnMut(&mut E)> DrivenDatagrams for WatchedEndpoint<'_, E, W> {
    fn endpoint(&mut self) -> &mut dyn Endpoint {
        self.endpoint
    }

    fn watch(&mut self) {
        (self.each_turn)(self.endpoint);
    }
}
