//! A TCP server of lines: many clients on one loop, each line answered in its turn.
//!
//! A client that does not read its answers is not read either: at most a line,
//! [`ANSWERS_BYTES_MAX`] and the answers to one more piece of 4 KiB are held for it.

use crate::accept::Acceptor;
use crate::protocol::lines::{Line, Lines, Overlong};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::{STOP, Stop};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

const LISTENER: Token = Token(0);
/// How much is read at once: in the worst case as many empty lines.
const PIECE: usize = 4 * 1024;
/// How many pieces of one connection are taken before the others get their turn.
const TURN: usize = 16;
/// When so many bytes of answers wait for a client, its next lines wait too.
pub const ANSWERS_BYTES_MAX: usize = 64 * 1024;

/// How a [`Server`] serves.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// The longest line in bytes, newline included.
    pub line_bytes_max: usize,
    /// What becomes of a longer one.
    pub overlong: Overlong,
    /// How many clients may be connected at once; further ones wait in the system's backlog.
    pub clients_max: usize,
    /// After how long a silence a connection is closed.
    pub idle: Duration,
    /// Whether it ends after one client.
    pub once: bool,
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that were taken.
    pub connections: u64,
    /// Lines that came, those that were too long included.
    pub lines: u64,
    /// Connections that were closed because of their silence.
    pub idle: u64,
}

/// A server with its listener.
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    acceptor: Acceptor,
    poll: Poll,
    connections: BTreeMap<Token, Connection>,
    next_token: usize,
    totals: Totals,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    heard: Instant,
    lines: Lines,
    /// Answers that the socket has not taken yet.
    answers: Vec<u8>,
    can_read: bool,
    can_write: bool,
    /// Whether the client has ended its half of the stream.
    has_ended: bool,
}

impl Server {
    /// A server on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub fn bind(listen: SocketAddr, settings: ServerSettings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let acceptor = Acceptor::bind(listen, &poll, LISTENER)?;
        let (connections, totals) = (BTreeMap::new(), Totals::default());
        Ok(Self { settings, acceptor, poll, connections, next_token: 1, totals })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Serves until `stop` is requested, or until one client has gone when it was set so. `answer`
    /// appends what a line of a client is answered with.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        mut self,
        stop: &Stop,
        mut answer: impl FnMut(SocketAddr, Line<'_>, &mut Vec<u8>),
    ) -> io::Result<Totals> {
        let _attached = stop.attach(&self.poll)?;
        let clock = Clock::start();
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; PIECE];
        loop {
            let now = clock.now();
            self.accept(now);
            self.turn(now, &mut buffer, &mut answer);
            let is_done =
                self.settings.once && self.totals.connections > 0 && self.connections.is_empty();
            if stop.is_requested() || is_done {
                return Ok(self.totals);
            }
            let wait = self.deadline().map(|deadline| deadline.since(clock.now()));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.acceptor.note(clock.now()),
                    STOP => {}
                    token => {
                        if let Some(connection) = self.connections.get_mut(&token) {
                            connection.can_read |= event.is_readable();
                            connection.can_write |= event.is_writable();
                        }
                    }
                }
            }
        }
    }

    /// When there is something to do without an event.
    fn deadline(&self) -> Option<Instant> {
        let accept = self.acceptor.deadline().filter(|_| self.has_room());
        let idle = self.settings.idle;
        let due = |connection: &Connection| {
            if connection.is_ready() { Instant::START } else { connection.heard + idle }
        };
        self.connections.values().map(due).chain(accept).min()
    }

    fn has_room(&self) -> bool {
        let is_enough = self.settings.once && self.totals.connections > 0;
        self.connections.len() < self.settings.clients_max && !is_enough
    }

    fn accept(&mut self, now: Instant) {
        while self.has_room() {
            let Some((mut stream, peer)) = self.acceptor.accept(now) else { return };
            // An answer wants to be there at once; one that waits for more costs no more than that.
            let _ = stream.set_nodelay(true);
            let token = Token(self.next_token);
            self.next_token += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
                log::warn!("cannot serve {peer}: {error}");
                continue;
            }
            self.totals.connections += 1;
            let lines = Lines::new(self.settings.line_bytes_max, self.settings.overlong);
            let (answers, has_ended) = (Vec::new(), false);
            let (can_read, can_write) = (true, true);
            let connection = Connection {
                stream,
                peer,
                heard: now,
                lines,
                answers,
                can_read,
                can_write,
                has_ended,
            };
            self.connections.insert(token, connection);
        }
    }

    /// Gives each connection that may have something its turn, and closes the silent ones.
    fn turn(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        answer: &mut impl FnMut(SocketAddr, Line<'_>, &mut Vec<u8>),
    ) {
        let Self { settings, totals, connections, .. } = self;
        connections.retain(|_, connection| {
            if !connection.is_ready() {
                let is_idle = connection.heard + settings.idle <= now;
                totals.idle += u64::from(is_idle);
                return !is_idle;
            }
            connection.heard = now;
            let mut tell = |peer, line: Line<'_>, answers: &mut Vec<u8>| {
                totals.lines += 1;
                answer(peer, line, answers);
            };
            let turn = connection.turn(buffer, &mut tell);
            turn.unwrap_or_else(|error| {
                log::debug!("{}: {error}", connection.peer);
                false
            })
        });
    }
}

impl Connection {
    /// Whether its socket may have something to give or to take that is wanted.
    fn is_ready(&self) -> bool {
        self.wants_to_write() || self.wants_to_read()
    }

    fn wants_to_write(&self) -> bool {
        self.can_write && !self.answers.is_empty()
    }

    fn wants_to_read(&self) -> bool {
        self.can_read && !self.has_ended && self.answers.len() < ANSWERS_BYTES_MAX
    }

    /// Reads and writes some pieces. False when all is said.
    fn turn(
        &mut self,
        buffer: &mut [u8],
        answer: &mut impl FnMut(SocketAddr, Line<'_>, &mut Vec<u8>),
    ) -> io::Result<bool> {
        for _ in 0..TURN {
            if self.wants_to_write() {
                match ready(|| self.stream.write(&self.answers))? {
                    Some(written) => drop(self.answers.drain(..written)),
                    None => self.can_write = false,
                }
            }
            if self.wants_to_read() {
                match ready(|| self.stream.read(buffer))? {
                    None => self.can_read = false,
                    Some(0) => self.end(answer),
                    Some(length) => {
                        let Self { lines, answers, peer, .. } = self;
                        lines.push(&buffer[..length], |line| answer(*peer, line, answers));
                    }
                }
            }
            if self.has_ended && self.answers.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end(&mut self, answer: &mut impl FnMut(SocketAddr, Line<'_>, &mut Vec<u8>)) {
        self.has_ended = true;
        if let Some(rest) = self.lines.finish() {
            answer(self.peer, Line::Whole(&rest), &mut self.answers);
        }
    }
}

/// What a socket gave or took; `None` when it was not ready.
fn ready(mut act: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match act() {
            Ok(length) => return Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
