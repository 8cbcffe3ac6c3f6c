//! Drives protocols over byte streams on TCP sockets, in real time: one conversation, or a server
//! of many.

use crate::accept::Acceptor;
use crate::protocol::stream::StreamEndpoint;
use bytes::{Buf, Bytes};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::{STOP, Stop};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// How much is read at once: it bounds what an endpoint answers before its answers are sent.
pub const PIECE: usize = 16 * 1024;
/// How many steps of one conversation are taken before the others, the clock and the stop request
/// get their turn.
pub const TURN: usize = 32;
const LISTENER: Token = Token(0);

/// A connected socket, and the endpoint that speaks through it.
#[derive(Debug)]
pub struct Conversation<E> {
    stream: TcpStream,
    endpoint: E,
    /// What the socket had no room for. Until it has, nothing is read: a peer that does not read is
    /// not listened to.
    waiting: Bytes,
    can_read: bool,
    can_write: bool,
    /// How long a peer may leave what we write unread; for ever when `None`.
    patience: Option<Duration>,
    /// When something was last written, or there was nothing to write.
    written: Instant,
}

/// What a step of a conversation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something moved, and there may be more.
    Moved,
    /// Nothing moves before an event or the deadline.
    Waits,
    /// The endpoint has finished and all is sent, or the connection broke and the endpoint was
    /// told.
    Over,
}

impl<E: StreamEndpoint> Conversation<E> {
    /// A conversation over a connected socket, which is registered for both interests.
    pub fn new(now: Instant, stream: TcpStream, endpoint: E, patience: Option<Duration>) -> Self {
        // A line is a packet; without this each would wait for the last one's acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!("cannot set TCP_NODELAY: {error}");
        }
        let (waiting, written) = (Bytes::new(), now);
        Self { stream, endpoint, waiting, can_read: true, can_write: true, patience, written }
    }

    /// The endpoint.
    pub const fn endpoint(&mut self) -> &mut E {
        &mut self.endpoint
    }

    /// The endpoint, at the end; the socket is closed.
    pub fn into_endpoint(self) -> E {
        self.endpoint
    }

    /// Takes in that the socket may have more to give or to take.
    pub const fn ready(&mut self) {
        (self.can_read, self.can_write) = (true, true);
    }

    /// When there is something to do without an event.
    pub fn deadline(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return if self.can_read { Some(Instant::START) } else { self.endpoint.deadline() };
        }
        if self.can_write {
            Some(Instant::START)
        } else {
            self.patience.map(|patience| self.written + patience)
        }
    }

    /// Writes or reads one piece. The endpoint may have something to tell after each.
    pub fn step(&mut self, now: Instant, buffer: &mut [u8]) -> Step {
        if self.waiting.is_empty() {
            self.written = now;
            self.waiting = self.endpoint.poll(now).unwrap_or_default();
        }
        if !self.waiting.is_empty() {
            return self.write(now);
        }
        if self.endpoint.is_finished() {
            return Step::Over;
        }
        if !self.can_read {
            return Step::Waits;
        }
        match self.stream.read(buffer) {
            Ok(0) => {
                self.can_read = false;
                self.endpoint.handle_end(now);
                Step::Moved
            }
            Ok(length) => {
                self.endpoint.handle(now, &buffer[..length]);
                Step::Moved
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.can_read = false;
                Step::Waits
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Moved,
            Err(error) => self.broken(now, &error.to_string()),
        }
    }

    fn write(&mut self, now: Instant) -> Step {
        if !self.can_write {
            let is_over = self.patience.is_some_and(|patience| self.written + patience <= now);
            return if is_over { self.broken(now, "the peer does not read") } else { Step::Waits };
        }
        match self.stream.write(&self.waiting) {
            Ok(length) => {
                self.waiting.advance(length);
                self.written = now;
                Step::Moved
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.can_write = false;
                Step::Waits
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Moved,
            Err(error) => self.broken(now, &error.to_string()),
        }
    }

    fn broken(&mut self, now: Instant, reason: &str) -> Step {
        log::debug!("the connection broke: {reason}");
        self.endpoint.handle_end(now);
        Step::Over
    }
}

/// Where a conversation of a server stands, for whoever watches.
#[derive(Debug)]
pub struct Visit<'a, E> {
    /// Which one: 1, 2, 3 … in the order in which they were accepted.
    pub ordinal: u64,
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// The endpoint.
    pub endpoint: &'a mut E,
    /// Whether this is the last that is seen of it: it is over, or the server stops.
    pub is_over: bool,
}

/// How a [`Server`] listens.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// How many connections may be open at once; further ones wait in the system's backlog.
    pub clients_max: usize,
    /// How long a peer may leave answers unread; for ever when `None`.
    pub patience: Option<Duration>,
}

/// A server of many conversations, with its listener.
#[derive(Debug)]
pub struct Server<E> {
    settings: ServerSettings,
    acceptor: Acceptor,
    poll: Poll,
    conversations: BTreeMap<Token, (SocketAddr, Conversation<E>)>,
    accepted: usize,
}

impl<E: StreamEndpoint> Server<E> {
    /// A server on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub fn bind(listen: SocketAddr, settings: ServerSettings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let acceptor = Acceptor::bind(listen, &poll, LISTENER)?;
        Ok(Self { settings, acceptor, poll, conversations: BTreeMap::new(), accepted: 0 })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Serves each connection with an endpoint made by `open`, until `stop` is requested or `watch`
    /// breaks off. `watch` sees an endpoint after each step in which something moved, and once more
    /// at its end.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        mut self,
        stop: &Stop,
        mut open: impl FnMut(Instant) -> E,
        mut watch: impl FnMut(Visit<'_, E>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let _attached = stop.attach(&self.poll)?;
        let clock = Clock::start();
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; PIECE];
        loop {
            let now = clock.now();
            self.accept(now, &mut open);
            if stop.is_requested() {
                self.close(&mut watch);
                return Ok(());
            }
            if self.turn(now, &mut buffer, &mut watch).is_break() {
                return Ok(());
            }
            let wait = self.deadline().map(|deadline| deadline.since(clock.now()));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => events.iter().for_each(|event| self.note(clock.now(), event.token())),
            }
        }
    }

    fn note(&mut self, now: Instant, token: Token) {
        match token {
            LISTENER => self.acceptor.note(now),
            STOP => {}
            token => {
                if let Some((_, conversation)) = self.conversations.get_mut(&token) {
                    conversation.ready();
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let accept = self.acceptor.deadline().filter(|_| self.has_room());
        self.conversations
            .values()
            .filter_map(|(_, conversation)| conversation.deadline())
            .chain(accept)
            .min()
    }

    fn has_room(&self) -> bool {
        self.conversations.len() < self.settings.clients_max
    }

    fn accept(&mut self, now: Instant, open: &mut impl FnMut(Instant) -> E) {
        while self.has_room() {
            let Some((mut stream, peer)) = self.acceptor.accept(now) else { return };
            self.accepted += 1;
            let token = Token(self.accepted);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
                log::warn!("cannot serve {peer}: {error}");
                continue;
            }
            let conversation = Conversation::new(now, stream, open(now), self.settings.patience);
            self.conversations.insert(token, (peer, conversation));
        }
    }

    /// Gives each conversation its turn.
    fn turn(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        watch: &mut impl FnMut(Visit<'_, E>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        self.conversations.retain(|token, (peer, conversation)| {
            for _ in 0..TURN {
                if flow.is_break() {
                    return true;
                }
                let step = conversation.step(now, buffer);
                if step == Step::Waits {
                    return true;
                }
                let is_over = step == Step::Over;
                let endpoint = conversation.endpoint();
                flow = watch(Visit { ordinal: token.0 as u64, peer: *peer, endpoint, is_over });
                if is_over {
                    return false;
                }
            }
            true
        });
        flow
    }

    /// Ends what is open.
    fn close(&mut self, watch: &mut impl FnMut(Visit<'_, E>) -> ControlFlow<()>) {
        for (token, (peer, mut conversation)) in std::mem::take(&mut self.conversations) {
            let endpoint = conversation.endpoint();
            let _ = watch(Visit { ordinal: token.0 as u64, peer, endpoint, is_over: true });
        }
    }
}
