//! A client's connection: made to the first address that lets us in, then driven until its endpoint
//! has finished.

use super::conversation::{Conversation, Step, silence};
use super::{PIECE_BYTES_MAX, TURN};
use crate::ending::{Ending, LoopEnd};
use crate::hints::Hints;
use crate::protocol::socks5::{SocksRequest, SocksTarget};
use crate::protocol::stream::StreamEndpoint;
use crate::socks::{self, ByProxy};
use crate::way::Way;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::{Attached, Stop};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

const SOCKET: Token = Token(0);
const INPUT: Token = Token(1);

/// A connection that stands.
#[derive(Debug)]
pub struct Connection {
    server: SocketAddr,
    poll: Poll,
    conversation: Conversation,
    clock: Clock,
    stop: Stop,
    /// A poll has one waker, so it is attached as long as the connection lives.
    _attached: Attached,
}

impl Connection {
    /// Connects to the first of `servers` that lets us in, or by their proxy; each may take as long
    /// as `connect`.
    /// `tried` is the address that was tried last. What is written may stay unread for `patience`.
    ///
    /// # Errors
    /// The ending of the last attempt, when none of them does.
    pub fn open(
        servers: &Way,
        connect: Duration,
        patience: Option<Duration>,
        stop: &Stop,
        clock: Clock,
        tried: &mut SocketAddr,
    ) -> Result<Self, Ending> {
        let made = |server, (poll, stream, _attached)| {
            let conversation = Conversation::new(clock.now(), stream, patience);
            Self { server, poll, conversation, clock, stop: stop.clone(), _attached }
        };
        if let Some((proxy, target)) = servers.proxy() {
            let request = SocksRequest::Connect(target.clone());
            let (SocksTarget { host, port }, server) = (target, *tried);
            return match socks::ask(proxy, &request, connect, stop, clock) {
                Ok(Some(ByProxy { poll, stream, attached, .. })) => {
                    Ok(made(server, (poll, stream, attached)))
                }
                Ok(None) => Err(Ending::Stopped),
                Err(error) => {
                    Err(Ending::Failed(format!("cannot connect to {host} port {port} {error}")))
                }
            };
        }
        let mut last = Ending::Failed("no address to connect to".to_owned());
        for &address in servers.iter() {
            *tried = address;
            let failed = |reason: String| {
                Ending::Failed(format!("cannot connect to tcp://{address}: {reason}"))
            };
            match establish(address, connect, stop, clock) {
                Ok(Some(connected)) => return Ok(made(address, connected)),
                Ok(None) => return Err(Ending::Stopped),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    last = failed(silence(connect));
                }
                Err(error) => last = failed(error.to_string()),
            }
        }
        Err(last)
    }

    /// Lets `source` wake the loop too, for a watcher that reads from it.
    ///
    /// # Errors
    /// When the system cannot wait for it.
    pub fn watch(&self, source: &mut impl Source) -> io::Result<()> {
        self.poll.registry().register(source, INPUT, Interest::READABLE)
    }

    /// Drives `endpoint` until it has finished or the user stops it. `each_step` sees it before
    /// the first step and after each, and says when it wants to see it again at the latest.
    ///
    /// # Errors
    /// When the system refuses to wait for events. What the network does is the endpoint's to know.
    pub fn drive<E: StreamEndpoint>(
        &mut self,
        endpoint: &mut E,
        each_step: impl FnMut(Instant, &mut E) -> Option<Instant>,
    ) -> io::Result<LoopEnd> {
        self.run(&mut WatchedStream { endpoint, each_step })
    }

    /// Returns true if the peer ended its stream before the socket had taken everything that the
    /// endpoint said.
    pub fn is_cut_short(&self) -> bool {
        self.conversation.is_cut_short()
    }

    /// Runs the loop, which is compiled once for all endpoints.
    fn run(&mut self, driven: &mut dyn DrivenStream) -> io::Result<LoopEnd> {
        let Self { server, poll, conversation, clock, stop, .. } = self;
        let mut events = Events::with_capacity(8);
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        loop {
            let mut wake = driven.watch(clock.now());
            for _ in 0..TURN {
                if stop.is_requested() {
                    return Ok(LoopEnd::Stopped);
                }
                let step = conversation.step(*clock, driven.endpoint(), &mut buffer);
                if let Some(hint) = driven.endpoint().take_hint() {
                    Hints::tell_of_server(*server, &hint);
                }
                wake = driven.watch(clock.now());
                // A client that has finished needs nothing more to be sent.
                if step == Step::Over || driven.endpoint().is_finished() {
                    return Ok(LoopEnd::Finished);
                }
                if step == Step::Waits {
                    break;
                }
            }
            let deadline = conversation.deadline(driven.endpoint()).into_iter().chain(wake).min();
            let wait = deadline.map(|deadline| deadline.since(clock.now()));
            match poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            if events.iter().any(|event| event.token() == SOCKET) {
                conversation.ready();
            }
        }
    }
}

/// An endpoint and its watcher, whatever their types.
trait DrivenStream {
    fn endpoint(&mut self) -> &mut dyn StreamEndpoint;
    fn watch(&mut self, now: Instant) -> Option<Instant>;
}

struct WatchedStream<'a, E, W> {
    endpoint: &'a mut E,
    each_step: W,
}

impl<E: StreamEndpoint, W: FnMut(Instant, &mut E) -> Option<Instant>> DrivenStream
    for WatchedStream<'_, E, W>
{
    fn endpoint(&mut self) -> &mut dyn StreamEndpoint {
        self.endpoint
    }

    fn watch(&mut self, now: Instant) -> Option<Instant> {
        (self.each_step)(now, self.endpoint)
    }
}

/// Waits until a connection stands; `None` when the user stopped it.
pub(crate) fn establish(
    server: SocketAddr,
    patience: Duration,
    stop: &Stop,
    clock: Clock,
) -> io::Result<Option<(Poll, TcpStream, Attached)>> {
    let mut stream = TcpStream::connect(server)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
    let attached = stop.attach(&poll)?;
    let mut events = Events::with_capacity(8);
    let until = clock.now() + patience;
    loop {
        if stop.is_requested() {
            return Ok(None);
        }
        // A connection that failed wakes the poll too, and leaves its reason here.
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        // Only a connection that stands has a peer.
        if stream.peer_addr().is_ok() {
            return Ok(Some((poll, stream, attached)));
        }
        let left = until.since(clock.now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
}
