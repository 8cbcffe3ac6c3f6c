//! The listening sockets of a TCP relay, and when they are left alone for want of descriptors.

use super::TcpPart;
use super::restraint::Restraint;
use super::sockets::{inherits, prepare};
use crate::listener::{BACKLOG, Opened};
use crate::reactor::{Owner, Reactor};
use jostle_common::time::Instant;
use jostle_sys::is_readable;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use slab::Slab;
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// The clients that may wait while each waits for its turn: Linux lets one more wait than this.
const SLOW_BACKLOG: i32 = 0;

/// The time that clients are left in the system's backlog when there are no descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket.
#[derive(Debug)]
struct AcceptSocket {
    socket: TcpListener,
    token: Token,
    address: SocketAddr,
    paused_until: Option<Instant>,
    /// Set while the relay waits to be called again for it.
    again: bool,
    restraint: Restraint,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Acceptor {
    sockets: Slab<AcceptSocket>,
    /// Set while clients are to be restrained.
    restrains: bool,
    /// Set while clients wait to be accepted one after the other.
    slow: bool,
    /// Set while nobody listens.
    closed: bool,
    /// The limit to the silence of those that are accepted.
    silence: Option<Duration>,
    /// Keep to what every system has.
    portable: bool,
}

impl Acceptor {
    /// An acceptor of connections whose silence has a limit.
    pub(super) fn new(silence: Option<Duration>, portable: bool) -> Self {
        Self { silence, portable, ..Self::default() }
    }

    /// Sets the limit to the silence of those that are accepted from now on.
    pub(super) fn set_silence(&mut self, limit: Option<Duration>) {
        if std::mem::replace(&mut self.silence, limit) == limit || !inherits(self.portable) {
            return;
        }
        #[cfg(target_os = "linux")]
        for (_, listener) in &self.sockets {
            // Without a limit the option is zero, as it is to begin with.
            let set = SockRef::from(&listener.socket).set_tcp_user_timeout(limit);
            if let Err(error) = set {
                log::debug!("TCP_USER_TIMEOUT: {error}");
            }
        }
    }

    /// Adds sockets, all or none.
    pub(super) fn add(
        &mut self,
        opened: Vec<Opened>,
        relay: usize,
        reactor: &mut Reactor,
    ) -> io::Result<()> {
        let mut added = Vec::new();
        for Opened { address, socket, .. } in opened {
            // One that is taken over may not listen at present, or leave few waiting.
            let listens = if self.closed { Ok(()) } else { socket.listen(self.backlog()) };
            if let Err(error) = listens {
                log::debug!("listening on {address}: {error}");
            }
            let mut socket = TcpListener::from_std(socket.into());
            let index = self.sockets.vacant_key();
            let owner = Owner { relay, socket: TcpPart::Listener(index).key() };
            match reactor.add(&mut socket, owner, Interest::READABLE) {
                Ok(token) => {
                    let mut restraint = Restraint::default();
                    restraint.set(&SockRef::from(&socket), self.restrains);
                    if inherits(self.portable) {
                        prepare(&SockRef::from(&socket), self.silence, false);
                    }
                    let (paused_until, again) = (None, false);
                    added.push(self.sockets.insert(AcceptSocket {
                        socket,
                        token,
                        address,
                        paused_until,
                        again,
                        restraint,
                    }));
                }
                Err(error) => {
                    added.into_iter().for_each(|index| self.remove(index, reactor));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Returns the addresses of the sockets.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(_, listener)| listener.address).collect()
    }

    /// Restrains the clients that come from now on, or lets them go.
    pub(super) fn restrain(&mut self, on: bool) {
        self.restrains = on;
        for (_, listener) in &mut self.sockets {
            listener.restraint.set(&SockRef::from(&listener.socket), on);
        }
    }

    const fn backlog(&self) -> i32 {
        if self.slow { SLOW_BACKLOG } else { BACKLOG }
    }

    /// Leaves few clients in the backlog from now on, or as many as the system lets.
    pub(super) fn set_slow(&mut self, on: bool) {
        if std::mem::replace(&mut self.slow, on) != on && !self.closed {
            self.listen();
        }
    }

    fn listen(&self) {
        for (_, listener) in &self.sockets {
            if let Err(error) = SockRef::from(&listener.socket).listen(self.backlog()) {
                log::warn!("cannot listen on {} any more: {error}", listener.address);
            }
        }
    }

    /// Lets all sockets listen again.
    pub(super) fn open(&mut self, reactor: &mut Reactor) {
        self.closed = false;
        self.listen();
        let indices: Vec<usize> = self.sockets.iter().map(|(index, _)| index).collect();
        indices.into_iter().for_each(|index| self.ask_again(index, reactor));
    }

    /// Lets no socket listen, and all keep their ports.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, listener) in &self.sockets {
            // On Linux a listening socket that is shut down stays bound.
            if let Err(error) = SockRef::from(&listener.socket).shutdown(Shutdown::Both) {
                log::warn!("{} goes on listening: {error}", listener.address);
            }
        }
    }

    /// Returns until when a socket is left alone.
    pub(super) fn paused_until(&self, index: usize) -> Option<Instant> {
        self.sockets.get(index).and_then(|listener| listener.paused_until)
    }

    /// Returns true if the clients of a socket are restrained.
    pub(super) fn restrains(&self, index: usize) -> bool {
        self.sockets.get(index).is_some_and(|listener| listener.restraint.is_on())
    }

    /// Returns the number of sockets whose clients are left in the backlog now.
    pub(super) fn paused(&self) -> usize {
        self.sockets.iter().filter(|(_, listener)| listener.paused_until.is_some()).count()
    }

    /// Returns second handles of the sockets at these addresses.
    pub(super) fn share(&self, addresses: &[SocketAddr]) -> io::Result<Vec<Opened>> {
        let listeners = self.sockets.iter().map(|(_, listener)| listener);
        listeners
            .filter(|listener| addresses.contains(&listener.address))
            .map(|listener| {
                let socket = SockRef::from(&listener.socket).try_clone()?;
                Ok(Opened { address: listener.address, socket, missed: 0, nth: 0 })
            })
            .collect()
    }

    /// Returns the places of the sockets at all other addresses.
    pub(super) fn others(&self, addresses: &[SocketAddr]) -> Vec<usize> {
        let others = self.sockets.iter().filter(|(_, one)| !addresses.contains(&one.address));
        others.map(|(index, _)| index).collect()
    }

    /// Closes a socket.
    pub(super) fn remove(&mut self, index: usize, reactor: &mut Reactor) {
        let mut listener = self.sockets.remove(index);
        reactor.remove(&mut listener.socket, listener.token);
    }

    /// Asks to be called for a socket in its turn.
    pub(super) fn ask_again(&mut self, index: usize, reactor: &mut Reactor) {
        if let Some(listener) = self.sockets.get_mut(index)
            && !std::mem::replace(&mut listener.again, true)
        {
            reactor.again(listener.token);
        }
    }

    /// Begins a turn of accepting; false if the socket is gone.
    pub(super) fn begin(&mut self, index: usize) -> bool {
        let is_closed = self.closed;
        let Some(listener) = self.sockets.get_mut(index) else { return false };
        listener.again = false;
        if is_closed {
            return false;
        }
        listener.paused_until = None;
        true
    }

    /// Accepts a client.
    pub(super) fn accept(&self, index: usize) -> io::Result<(TcpStream, SocketAddr)> {
        self.sockets.get(index).ok_or(io::ErrorKind::WouldBlock)?.socket.accept()
    }

    /// Returns true if a client waits in the backlog.
    pub(super) fn is_waited_for(&self, index: usize) -> bool {
        self.sockets.get(index).is_some_and(|listener| is_readable(&listener.socket))
    }

    /// Leaves clients in the backlog for a while.
    pub(super) fn pause(&mut self, index: usize, now: Instant) {
        self.pause_until(index, now + PAUSE);
    }

    /// Leaves clients in the backlog up to a time.
    pub(super) fn pause_until(&mut self, index: usize, until: Instant) {
        if let Some(listener) = self.sockets.get_mut(index) {
            (listener.paused_until, listener.again) = (Some(until), false);
        }
    }

    /// Returns the places of those whose pause is over.
    pub(super) fn rested(&self, now: Instant) -> Vec<usize> {
        let rested =
            |listener: &AcceptSocket| listener.paused_until.is_some_and(|until| until <= now);
        self.sockets.iter().filter(|(_, one)| rested(one)).map(|(index, _)| index).collect()
    }

    /// Returns when the next pause is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sockets.iter().filter_map(|(_, listener)| listener.paused_until).min()
    }
}
