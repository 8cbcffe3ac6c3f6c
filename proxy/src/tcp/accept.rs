//! Accepting clients.

use super::connection::RelayedConnection;
use super::end::End;
use super::sockets::{asks_later, inherits, prepare, stream_interest};
use super::{TcpPart, TcpRelay};
use crate::client::NewClient;
use crate::reactor::Owner;
use crate::turn::Turn;
use jostle_common::transport::Transport;
use jostle_engine::memory::Admission;
use jostle_sys::{hops_of_client, is_out_of_descriptors};
use mio::net::TcpStream;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Connections accepted before the others have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// The most turns of accepting before a listening socket is closed: enough for a backlog of 4096,
/// the system's usual maximum.
const LAST_ACCEPTS: usize = 64;

impl TcpRelay {
    /// Accepts waiting clients, up to a fair share.
    pub(super) fn accept(&mut self, index: usize, turn: &mut Turn) {
        if let Some(wait) = self.route.listening.accept {
            return self.accept_slowly(index, wait, turn);
        }
        if self.accept_some(index, ACCEPTS_PER_TURN, turn) {
            self.acceptor.ask_again(index, &mut turn.reactor);
        }
    }

    /// Closes the listening sockets at all other addresses. Clients that have connected already are
    /// taken in first: closing would reset them.
    pub(super) fn keep_listening(&mut self, addresses: &[SocketAddr], turn: &mut Turn) {
        self.take_in_waiting(addresses, turn);
        for index in self.acceptor.others(addresses) {
            self.acceptor.remove(index, &mut turn.reactor);
        }
    }

    /// Takes in all clients that have connected at the sockets at all other addresses.
    pub(super) fn take_in_waiting(&mut self, addresses: &[SocketAddr], turn: &mut Turn) {
        for index in self.acceptor.others(addresses) {
            let mut turns = 0..LAST_ACCEPTS;
            while turns.next().is_some() && self.accept_some(index, ACCEPTS_PER_TURN, turn) {}
        }
    }

    /// Accepts one client that has waited for the time that each has to, and lets the next begin to
    /// wait.
    fn accept_slowly(&mut self, index: usize, wait: Duration, turn: &mut Turn) {
        let is_due = match self.acceptor.paused_until(index) {
            Some(until) if until > turn.now => return,
            until => until.is_some(),
        };
        if !self.acceptor.begin(index) {
            return;
        }
        if is_due {
            self.accept_some(index, 1, turn);
        }
        // It may have been paused for want of something.
        if self.acceptor.paused_until(index).is_none() && self.acceptor.is_waited_for(index) {
            self.acceptor.pause_until(index, turn.now + wait);
        }
    }

    /// Accepts some, no more than `most`; returns true if there may be more.
    fn accept_some(&mut self, index: usize, most: usize, turn: &mut Turn) -> bool {
        if !self.acceptor.begin(index) {
            return false;
        }
        for _ in 0..most {
            let Some(admission) = self.memory.admit() else {
                turn.warn_of_memory(&self.memory);
                self.pause_accept(index, turn);
                return false;
            };
            if !turn.descriptors.take_for(Transport::Tcp, turn.now) {
                // An event tells of the next client.
                if self.acceptor.is_waited_for(index) {
                    if self.crowd_out(turn) {
                        continue;
                    }
                    turn.descriptors.let_tcp_wait(turn.now);
                    self.pause_accept(index, turn);
                }
                return false;
            }
            let kept = match self.acceptor.accept(index) {
                Ok((stream, address))
                    if !turn.descriptors.may_have_another(Transport::Tcp, address.ip()) =>
                {
                    self.turn_away(stream, turn);
                    continue;
                }
                Ok((stream, address)) => {
                    let route = &self.route.name;
                    turn.greet(NewClient { route, transport: Transport::Tcp, address });
                    let restrained = self.acceptor.restrains(index);
                    self.welcome(stream, address, admission, restrained, turn)
                }
                Err(error) => {
                    turn.descriptors.give_for(Transport::Tcp);
                    match error.kind() {
                        io::ErrorKind::WouldBlock => return false,
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                        _ => {
                            log::debug!("route {}: accepting: {error}", self.route.name);
                            self.counts.accept_failed += 1;
                            if is_out_of_descriptors(&error) {
                                turn.descriptors.let_tcp_wait(turn.now);
                            }
                            // Without descriptors it would fail again at once, and anything else is
                            // as unlikely to pass.
                            self.pause_accept(index, turn);
                            return false;
                        }
                    }
                    continue;
                }
            };
            if let Err(error) = kept {
                turn.descriptors.give_for(Transport::Tcp);
                log::debug!("route {}: a new connection: {error}", self.route.name);
                self.counts.accept_failed += 1;
            }
        }
        true
    }

    /// Resets a client whose address has its share of all places.
    fn turn_away(&mut self, stream: TcpStream, turn: &mut Turn) {
        self.counts.turned_away += 1;
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        drop(stream);
        turn.descriptors.give_for(Transport::Tcp);
    }

    fn pause_accept(&mut self, index: usize, turn: &Turn) {
        self.counts.accept_paused += 1;
        self.acceptor.pause(index, turn.now);
    }

    /// Goes on accepting after a pause.
    pub(super) fn retry_accept(&mut self, turn: &mut Turn) {
        for index in self.acceptor.rested(turn.now) {
            self.accept(index, turn);
        }
    }

    fn welcome(
        &mut self,
        mut stream: TcpStream,
        address: SocketAddr,
        admission: Admission,
        restrained: bool,
        turn: &mut Turn,
    ) -> io::Result<()> {
        let index = self.connections.next_index();
        let owner = Owner { relay: self.id.index, socket: TcpPart::Client(index).key() };
        let token = turn.reactor.add(&mut stream, owner, stream_interest())?;
        if !inherits(turn.options.portable) {
            prepare(&SockRef::from(&stream), self.silences.limit(), turn.options.portable);
        }
        self.counts.accepted += 1;
        turn.descriptors.add_client(Transport::Tcp, address.ip());
        let mut client = End::accepted(stream, token);
        if !turn.options.portable {
            client = client.with_buffer(restrained);
        }
        let now = turn.now;
        if asks_later(turn.options.portable) {
            self.keepalive.await_one(now);
        }
        let hops = hops_of_client(&SockRef::from(&client.stream));
        let make = |id| RelayedConnection::new(id, address, client, admission, now).with_hops(hops);
        if self.askings.are_wanted() {
            self.connections.add_unnumbered(make(0));
            self.begin_asking(index, turn);
            return Ok(());
        }
        let id = self.connections.add(make);
        self.connections.at(index).set_look(self.silences.watch(turn.now, index, id));
        self.upstream.refresh(self.id, turn.now, &mut turn.names);
        if self.upstream.is_awaited() {
            self.nameless.push_back((index, id));
            self.give_up_at(now + turn.options.connect_timeout, index, id);
        } else {
            self.begin(index, turn);
        }
        Ok(())
    }
}
