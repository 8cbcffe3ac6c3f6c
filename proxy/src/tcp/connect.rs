//! How connections begin: accepting clients, and connecting to the upstream.

use super::TcpRelay;
use super::connection::{Connection, Stage};
use super::end::End;
use crate::reactor::{Owner, Part, Reactor};
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_sys::is_out_of_descriptors;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Connections accepted before the others have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How long to leave clients in the system's backlog when there are no descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) socket: TcpListener,
    pub(super) token: Token,
    pub(super) paused_until: Option<Instant>,
    again: bool,
}

impl Listening {
    pub(super) const fn new(socket: TcpListener, token: Token) -> Self {
        Self { socket, token, paused_until: None, again: false }
    }

    /// Asks to be called for it in its turn.
    pub(super) fn ask_again(&mut self, reactor: &mut Reactor) {
        if !std::mem::replace(&mut self.again, true) {
            reactor.again(self.token);
        }
    }
}

impl TcpRelay {
    /// Accepts who waits, up to a fair share.
    pub(super) fn accept(&mut self, index: usize, turn: &mut Turn) {
        let Some(listener) = self.listeners.get_mut(index) else { return };
        listener.again = false;
        listener.paused_until = None;
        for _ in 0..ACCEPTS_PER_TURN {
            if !turn.descriptors.take(2) {
                return self.pause_accept(index, turn.now);
            }
            let accepted = self.listeners[index].socket.accept();
            let kept = match accepted {
                Ok((stream, address)) => self.welcome(stream, address, turn),
                Err(error) => {
                    turn.descriptors.give(2);
                    match error.kind() {
                        io::ErrorKind::WouldBlock => return,
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                        _ => {
                            log::debug!("route {}: accepting: {error}", self.route.name);
                            self.counts.accept_failed += 1;
                            // Without descriptors it would fail again at once, and anything else is
                            // as unlikely to pass.
                            return self.pause_accept(index, turn.now);
                        }
                    }
                    continue;
                }
            };
            if let Err(error) = kept {
                turn.descriptors.give(2);
                log::debug!("route {}: a new connection: {error}", self.route.name);
                self.counts.accept_failed += 1;
            }
        }
        self.listeners[index].ask_again(&mut turn.reactor);
    }

    fn pause_accept(&mut self, index: usize, now: Instant) {
        self.counts.accept_paused += 1;
        self.listeners[index].paused_until = Some(now + PAUSE);
    }

    /// Goes on accepting after a pause.
    pub(super) fn retry_accept(&mut self, turn: &mut Turn) {
        for index in 0..self.listeners.len() {
            if self.listeners[index].paused_until.is_some_and(|until| until <= turn.now) {
                self.accept(index, turn);
            }
        }
    }

    fn welcome(
        &mut self,
        mut stream: TcpStream,
        address: SocketAddr,
        turn: &mut Turn,
    ) -> io::Result<()> {
        let index = self.connections.vacant_key();
        let owner = Owner { relay: self.index, part: Part::Client(index) };
        let token =
            turn.reactor.add(&mut stream, owner, Interest::READABLE | Interest::WRITABLE)?;
        prepare(&stream);
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let id = self.last_id;
        self.counts.accepted += 1;
        self.connections.insert(Connection::new(id, address, End::accepted(stream, token)));
        self.by_id.insert(id, index);
        match &mut self.carrier {
            Some(carrier) => carrier.open(turn.now, id),
            None => self.connect(index, turn),
        }
        Ok(())
    }

    /// Begins to connect to the upstream.
    pub(super) fn connect(&mut self, index: usize, turn: &mut Turn) {
        if let Some(resolver) = &turn.resolver {
            self.upstream.refresh(self.index, turn.now, resolver);
        }
        let connection = &mut self.connections[index];
        connection.stage = Stage::Connecting;
        connection.addresses = self.upstream.addresses(connection.client_address).into();
        self.connecting.push_back((turn.now + turn.connect_timeout, index, connection.id));
        self.connect_next(index, turn);
    }

    /// Tries the next of the upstream's addresses; without one the client is refused.
    fn connect_next(&mut self, index: usize, turn: &mut Turn) {
        let connection = &mut self.connections[index];
        while let Some(address) = connection.addresses.pop_front() {
            let owner = Owner { relay: self.index, part: Part::Upstream(index) };
            let begun = TcpStream::connect(address).and_then(|mut stream| {
                let token = turn.reactor.add(
                    &mut stream,
                    owner,
                    Interest::READABLE | Interest::WRITABLE,
                )?;
                Ok((stream, token))
            });
            match begun {
                Ok((stream, token)) => {
                    prepare(&stream);
                    connection.set_upstream(End::connecting(stream, token));
                    return;
                }
                Err(error) => {
                    log::debug!("route {}: connecting to {address}: {error}", self.route.name);
                    if is_out_of_descriptors(&error) {
                        break;
                    }
                    if error.kind() == io::ErrorKind::ConnectionRefused
                        && connection.addresses.is_empty()
                    {
                        self.counts.refused += 1;
                        return self.refuse(index, turn);
                    }
                }
            }
        }
        self.counts.connect_failed += 1;
        self.refuse(index, turn);
    }

    /// The upstream has answered, one way or the other.
    pub(super) fn conclude_connect(&mut self, index: usize, turn: &mut Turn) {
        let connection = &mut self.connections[index];
        let Some(upstream) = connection.source(Direction::Down) else { return };
        let outcome = match upstream.stream.take_error() {
            Ok(None) => upstream.stream.peer_addr().map(drop),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| error.kind());
        match outcome {
            Ok(()) | Err(io::ErrorKind::ConnectionReset) => {
                if outcome.is_err() {
                    // It accepted, and tore the connection down before we looked.
                    upstream.break_off();
                }
                upstream.set_connected();
                connection.stage = Stage::Open;
                connection.addresses.clear();
                self.flush(index, Direction::Up, turn);
                self.serve(index, Direction::Up, turn);
                self.serve(index, Direction::Down, turn);
            }
            // An event too early: it has not been answered yet.
            Err(io::ErrorKind::NotConnected) if !upstream.failed => {}
            Err(kind) => {
                log::debug!("route {}: the upstream: {kind}", self.route.name);
                connection.drop_source(Direction::Down, turn);
                if !connection.addresses.is_empty() {
                    return self.connect_next(index, turn);
                }
                if kind == io::ErrorKind::ConnectionRefused {
                    self.counts.refused += 1;
                } else {
                    self.counts.connect_failed += 1;
                }
                self.refuse(index, turn);
            }
        }
    }

    /// The upstream has not answered in time.
    pub(super) fn time_out(&mut self, index: usize, id: u32, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.id == id && connection.stage == Stage::Connecting {
            self.counts.timed_out += 1;
            connection.drop_source(Direction::Down, turn);
            self.refuse(index, turn);
        }
    }

    /// Tells the client that the upstream is not there, as a host without a listener would: with a
    /// reset.
    fn refuse(&mut self, index: usize, turn: &mut Turn) {
        let connection = &mut self.connections[index];
        connection.stage = Stage::Open;
        match &mut self.carrier {
            Some(carrier) => carrier.reset(turn.now, connection.id, Direction::Down),
            None => self.tear_down(index, Direction::Down, turn),
        }
    }
}

/// Small pieces go at once: the sender has decided how to cut its stream.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("TCP_NODELAY: {error}");
    }
}
