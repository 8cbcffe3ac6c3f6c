//! The server: many connections at once, a file from each.

use super::PIECE;
use crate::accept::Acceptor;
use crate::protocol::file::Received;
use crate::protocol::storage::{Folder, Partial};
use jostle_common::clock::Clock;
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use jostle_console::stop::{STOP, Stop};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

const LISTENER: Token = Token(0);
/// How many pieces of one connection are taken before the others get their turn.
const TURN: usize = 16;

/// How a [`Server`] receives.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// The largest file it accepts, in bytes.
    pub size_max: u64,
    /// How many connections may be open at once; further ones wait in the system's backlog.
    pub clients_max: usize,
    /// After how long a silence a connection is given up.
    pub idle: Duration,
    /// Whether it ends after one file.
    pub once: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { size_max: 4 << 30, clients_max: 64, idle: Duration::from_secs(60), once: false }
    }
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files that were stored.
    pub stored: u64,
    /// Files that stayed incomplete.
    pub failed: u64,
    /// Connections that brought no byte.
    pub empty: u64,
}

/// A server with its listener.
#[derive(Debug)]
pub struct Server<F: Folder> {
    settings: ServerSettings,
    folder: F,
    acceptor: Acceptor,
    poll: Poll,
    connections: BTreeMap<Token, Connection<F::File>>,
    next_token: usize,
    totals: Totals,
}

#[derive(Debug)]
struct Connection<P> {
    stream: TcpStream,
    peer: SocketAddr,
    started: Instant,
    heard: Instant,
    /// Whether the socket may have more to give or to take.
    is_ready: bool,
    phase: Phase<P>,
}

#[derive(Debug)]
enum Phase<P> {
    Receiving { file: Option<P>, hasher: Hasher, size: u64 },
    Answering { line: Vec<u8>, written: usize },
}

/// What a turn of a connection came to.
enum Turn {
    /// It goes on.
    Open,
    /// The stream has ended properly.
    Complete,
    /// It has ended otherwise, for this reason.
    Failed(String),
    /// The answer is written, or nobody wants it any more.
    Closed,
}

impl<F: Folder> Server<F> {
    /// A server that stores what it receives in `folder`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub fn bind(listen: SocketAddr, settings: ServerSettings, folder: F) -> io::Result<Self> {
        let poll = Poll::new()?;
        let acceptor = Acceptor::bind(listen, &poll, LISTENER)?;
        let (connections, totals) = (BTreeMap::new(), Totals::default());
        Ok(Self { settings, folder, acceptor, poll, connections, next_token: 1, totals })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Receives until `stop` is requested, or until one file has come when it was set so.
    /// `on_received` is told of each file.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        mut self,
        stop: &Stop,
        mut on_received: impl FnMut(&Received),
    ) -> io::Result<Totals> {
        let _attached = stop.attach(&self.poll)?;
        let clock = Clock::start();
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; PIECE];
        loop {
            let now = clock.now();
            self.accept(now);
            self.turn(now, &mut buffer, &mut on_received);
            let has_ended = self.totals.stored + self.totals.failed > 0;
            if stop.is_requested() || self.settings.once && has_ended && self.connections.is_empty()
            {
                return Ok(self.totals);
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
                self.connections
                    .get_mut(&token)
                    .into_iter()
                    .for_each(|connection| connection.is_ready = true);
            }
        }
    }

    /// When there is something to do without an event.
    fn deadline(&self) -> Option<Instant> {
        let accept = self.acceptor.deadline().filter(|_| self.has_room());
        let idle = self.settings.idle;
        let due = |connection: &Connection<_>| {
            if connection.is_ready { Instant::START } else { connection.heard + idle }
        };
        self.connections.values().map(due).chain(accept).min()
    }

    fn has_room(&self) -> bool {
        let ended = self.settings.once && self.totals.stored + self.totals.failed > 0;
        self.connections.len() < self.settings.clients_max && !ended
    }

    fn accept(&mut self, now: Instant) {
        while self.has_room() {
            let Some((mut stream, peer)) = self.acceptor.accept(now) else { return };
            let token = Token(self.next_token);
            self.next_token += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
                log::warn!("cannot serve {peer}: {error}");
                continue;
            }
            let phase = Phase::Receiving { file: None, hasher: Hasher::new(), size: 0 };
            let (started, heard) = (now, now);
            let connection = Connection { stream, peer, started, heard, is_ready: true, phase };
            self.connections.insert(token, connection);
        }
    }

    /// Gives each connection that may have something its turn, and gives up the silent ones.
    fn turn(&mut self, now: Instant, buffer: &mut [u8], on_received: &mut impl FnMut(&Received)) {
        let Self { settings, folder, totals, .. } = self;
        self.connections.retain(|_, connection| {
            let mut turn = connection.turn(now, settings, folder, buffer);
            if matches!(turn, Turn::Complete) {
                turn = connection.complete(now, totals, on_received);
            }
            match turn {
                Turn::Open | Turn::Complete => return true,
                Turn::Closed => {}
                Turn::Failed(reason) => connection.fail(reason, now, totals, on_received),
            }
            false
        });
    }
}

impl<P: Partial> Connection<P> {
    fn turn<F>(
        &mut self,
        now: Instant,
        settings: &ServerSettings,
        folder: &mut F,
        buffer: &mut [u8],
    ) -> Turn
    where
        F: Folder<File = P>,
    {
        for _ in 0..TURN {
            if !self.is_ready {
                return if self.heard + settings.idle <= now { self.silent() } else { Turn::Open };
            }
            match self.piece(settings, folder, buffer) {
                Ok(Turn::Open) => self.heard = now,
                Ok(turn) => return turn,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_ready = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if matches!(self.phase, Phase::Answering { .. }) => return Turn::Closed,
                Err(error) => return Turn::Failed(error.to_string()),
            }
        }
        Turn::Open
    }

    /// Reads or writes one piece.
    fn piece<F>(
        &mut self,
        settings: &ServerSettings,
        folder: &mut F,
        buffer: &mut [u8],
    ) -> io::Result<Turn>
    where
        F: Folder<File = P>,
    {
        match &mut self.phase {
            Phase::Receiving { file, hasher, size } => {
                let length = self.stream.read(buffer)?;
                if length == 0 {
                    return Ok(Turn::Complete);
                }
                if *size + length as u64 > settings.size_max {
                    return Ok(Turn::Failed(format!(
                        "more than the {} bytes of --max-size",
                        settings.size_max
                    )));
                }
                let piece = &buffer[..length];
                let file = match file {
                    Some(file) => file,
                    none => none.insert(folder.create()?),
                };
                file.write_at(*size, piece)?;
                hasher.update(piece);
                *size += length as u64;
                Ok(Turn::Open)
            }
            Phase::Answering { line, written } => {
                *written += self.stream.write(&line[*written..])?;
                Ok(if *written == line.len() { Turn::Closed } else { Turn::Open })
            }
        }
    }

    fn silent(&self) -> Turn {
        match &self.phase {
            Phase::Receiving { .. } => Turn::Failed("the sender went silent".to_owned()),
            Phase::Answering { .. } => Turn::Closed,
        }
    }

    /// The stream has ended: gives the file its name, and begins the answer.
    fn complete(
        &mut self,
        now: Instant,
        totals: &mut Totals,
        on_received: &mut impl FnMut(&Received),
    ) -> Turn {
        let Phase::Receiving { file, hasher, size } = &mut self.phase else { return Turn::Closed };
        let Some(file) = file.take() else {
            totals.empty += 1;
            return Turn::Closed;
        };
        let name = match file.finish() {
            Ok(name) => name,
            Err(error) => return Turn::Failed(error.to_string()),
        };
        let (digest, size) = (std::mem::take(hasher).finish(), *size);
        totals.stored += 1;
        self.tell(Ok((name.clone(), digest)), size, now, on_received);
        let line = format!("{name} {size} {digest}\n").into_bytes();
        (self.phase, self.is_ready) = (Phase::Answering { line, written: 0 }, true);
        Turn::Open
    }

    /// Resets the connection: the sender must not take the end of it for success.
    fn fail(
        &mut self,
        reason: String,
        now: Instant,
        totals: &mut Totals,
        on_received: &mut impl FnMut(&Received),
    ) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        let (has_file, size) = match &self.phase {
            Phase::Receiving { file, size, .. } => (file.is_some() || *size > 0, *size),
            Phase::Answering { .. } => (true, 0),
        };
        if has_file {
            totals.failed += 1;
            self.tell(Err(reason), size, now, on_received);
        } else {
            totals.empty += 1;
            log::info!("{}: {reason}", self.peer);
        }
    }

    fn tell(
        &self,
        stored: Result<(String, Digest), String>,
        size: u64,
        now: Instant,
        on_received: &mut impl FnMut(&Received),
    ) {
        let elapsed = now.since(self.started);
        on_received(&Received {
            peer: self.peer,
            stored,
            size,
            sent: None,
            elapsed,
            account: None,
        });
    }
}
