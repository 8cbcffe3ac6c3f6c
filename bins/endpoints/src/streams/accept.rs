//! A TCP listener on an event loop: takes in what waits, and tries again later when the process has
//! no descriptor left.

use crate::accept_errors::AcceptErrors;
use jostle_common::listening::CannotListen;
use jostle_common::time::Instant;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;

/// A listener, and the time at which it is worth asking.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    address: SocketAddr,
    /// The time to try: the listener was readable and is not known to be empty.
    at: Option<Instant>,
    errors: AcceptErrors,
}

impl Acceptor {
    /// Listens on `listen`, for a loop whose events carry `token`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken; the error names it.
    pub(super) fn bind(listen: SocketAddr, poll: &Poll, token: Token) -> io::Result<Self> {
        let named = |error: io::Error| {
            let cause = CannotListen(&error);
            io::Error::new(error.kind(), format!("cannot listen on tcp://{listen}: {cause}"))
        };
        let mut listener = TcpListener::bind(listen).map_err(named)?;
        poll.registry().register(&mut listener, token, Interest::READABLE)?;
        let (address, at) = (listener.local_addr()?, None);
        Ok(Self { listener, address, at, errors: AcceptErrors::default() })
    }

    /// Returns the address that it listens on.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Notes that the listener was readable.
    pub(super) const fn note(&mut self, now: Instant) {
        self.at = Some(now);
    }

    /// Returns the time to ask for connections; `None`: not before an event.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Returns the next connection that waits. When the process has no descriptor left,
    /// connections wait until it has.
    pub(super) fn accept(&mut self, now: Instant) -> Option<(TcpStream, SocketAddr)> {
        while self.at.is_some_and(|at| at <= now) {
            match self.listener.accept() {
                Ok(accepted) => return Some(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.at = None,
                Err(error) => {
                    if let Some(wait) = self.errors.judge(&error) {
                        self.at = Some(now + wait);
                    }
                }
            }
        }
        None
    }
}
