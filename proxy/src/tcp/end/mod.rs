//! One of the two sockets of a relayed connection: what it can do now, and what waits at it.
//!
//! A connection at rest costs its two ends and nothing else, so what few ends have is
//! [beside](Waiting) them.

mod early;
mod incoming;
mod outgoing;

use crate::reactor::{Reactor, Readiness};
use bytes::Bytes;
use jostle_engine::memory::Charge;
use jostle_forward::http::Requests;
use jostle_sys::{Pipe, fix_receive_buffer};
use mio::Token;
use mio::net::TcpStream;
use socket2::SockRef;
use std::collections::VecDeque;
use std::time::Duration;

pub(crate) use incoming::{Filled, Found};

/// A socket.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) stream: TcpStream,
    /// The number of its token.
    token: u32,
    /// The bytes read since its sender was last held back, as far as they matter.
    flowed: u32,
    /// What events have said and no call has disproved since.
    ready: Readiness,
    /// Set while the relay waits to be called again for it.
    pub(crate) again: bool,
    /// Set while it is in the line of those that wait for room.
    in_line: bool,
    peer: Peer,
    input: Incoming,
    output: Outgoing,
    /// Whether the receive buffer may not grow; `None` where that cannot be chosen, and no more is
    /// known of the socket than every system tells.
    fixed: Option<bool>,
    /// The reads in a row that found much, up to those that make a bulk transfer.
    large_reads: u8,
    waiting: Option<Box<Waiting>>,
}

/// What waits at a socket: to be read again, or to be written.
#[derive(Debug, Default)]
struct Waiting {
    /// What was read before, and is read again in front of what comes.
    ahead: Bytes,
    /// The requests of a client of an HTTP proxy.
    requests: Option<Box<Requests>>,
    /// A pipe whose bytes are to be written in front of what is pending.
    pipe: Option<FilledPipe>,
    pending: VecDeque<Bytes>,
}

impl Waiting {
    fn is_needless(&self) -> bool {
        self.ahead.is_empty()
            && self.requests.is_none()
            && self.pipe.is_none()
            && self.pending.is_empty()
    }
}

/// A pipe with something in it, and what that costs.
#[derive(Debug)]
struct FilledPipe {
    pipe: Pipe,
    charge: Charge,
}

/// The state of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// It has not answered yet. Nothing is written before that, and our end waits.
    Connecting,
    Connected,
    /// It has torn the connection down: a write, or the end of the connect, said so.
    Broken,
}

/// The state of what comes from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incoming {
    Open,
    /// It was not read for want of room.
    Starved,
    /// It has finished, and all was read.
    Ended,
}

/// The state of what goes to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    Open,
    /// It ends once nothing is pending.
    Ending,
    Ended,
}

impl End {
    /// An accepted socket.
    pub(crate) fn accepted(stream: TcpStream, token: Token) -> Self {
        Self { peer: Peer::Connected, ..Self::connecting(stream, token) }
    }

    /// A socket that is about to connect.
    pub(crate) fn connecting(stream: TcpStream, token: Token) -> Self {
        Self {
            stream,
            token: u32::try_from(token.0).expect("a process has fewer sockets"),
            flowed: 0,
            ready: Readiness::default(),
            again: false,
            in_line: false,
            peer: Peer::Connecting,
            input: Incoming::Open,
            output: Outgoing::Open,
            fixed: None,
            large_reads: 0,
            waiting: None,
        }
    }

    /// Says that its receive buffer can be fixed, and whether it is now.
    pub(crate) const fn with_buffer(mut self, fixed: bool) -> Self {
        self.fixed = Some(fixed);
        self
    }

    /// Returns its token.
    pub(crate) const fn token(&self) -> Token {
        Token(self.token as usize)
    }

    /// Returns what waits at it, to add to that.
    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    /// Lets go of the room for what waits if nothing does.
    fn tidy(&mut self) {
        if self.waiting.as_ref().is_some_and(|waiting| waiting.is_needless()) {
            self.waiting = None;
        }
    }

    /// Keeps the receive buffer at its size, or lets it grow with the speed of reading.
    pub(crate) fn fix_buffer(&mut self, fixed: bool) {
        if self.fixed == Some(!fixed) {
            self.fixed = Some(fixed);
            if let Err(error) = fix_receive_buffer(&SockRef::from(&self.stream), fixed) {
                log::debug!("{:?}: {error}", self.token());
            }
        }
    }

    /// Notes what an event said.
    pub(crate) const fn note(&mut self, readiness: Readiness) {
        self.ready.readable |= readiness.readable | readiness.failed;
        self.ready.writable |= readiness.writable;
        self.ready.failed |= readiness.failed;
        self.ready.ended |= readiness.ended;
        self.ready.urgent |= readiness.urgent;
    }

    /// Returns true if an event said that it failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.ready.failed
    }

    /// Puts it into the line of those that wait for room. Returns false if it is there already.
    pub(crate) const fn stand_in_line(&mut self) -> bool {
        !std::mem::replace(&mut self.in_line, true)
    }

    /// Takes it out of that line.
    pub(crate) const fn leave_line(&mut self) {
        self.in_line = false;
    }

    /// Asks to be called for it in its turn.
    pub(crate) fn ask_again(&mut self, reactor: &mut Reactor) {
        if !std::mem::replace(&mut self.again, true) {
            reactor.again(self.token());
        }
    }

    /// Returns true if a write said that the peer has torn the connection down.
    pub(crate) fn is_broken(&self) -> bool {
        self.peer == Peer::Broken
    }

    /// Returns how an attempt to connect ended: `None` if it has not ended yet.
    ///
    /// # Errors
    /// The reason why there is no connection.
    pub(crate) fn outcome(&self) -> Option<std::io::Result<()>> {
        let told = self.ready.writable || self.ready.failed || self.ready.ended;
        if self.fixed.is_some() && cfg!(target_os = "linux") {
            // An event tells all, and that there is no error (epoll_ctl(2), EPOLLERR).
            return match (told, self.ready.failed || self.ready.ended) {
                (false, _) => None,
                (true, false) => Some(Ok(())),
                (true, true) => Some(match self.stream.take_error() {
                    Ok(None) => Ok(()),
                    Ok(Some(error)) | Err(error) => Err(error),
                }),
            };
        }
        match self.stream.take_error() {
            Ok(None) => match self.stream.peer_addr() {
                // An event too early: it has not been answered yet.
                Err(error)
                    if error.kind() == std::io::ErrorKind::NotConnected && !self.ready.failed =>
                {
                    None
                }
                result => Some(result.map(drop)),
            },
            Ok(Some(error)) | Err(error) => Some(Err(error)),
        }
    }

    /// Notes that it is connected.
    pub(crate) fn set_connected(&mut self) {
        if self.peer == Peer::Connecting {
            self.peer = Peer::Connected;
        }
        self.ready.writable = true;
    }

    /// Returns true if the head of its client's next request has begun to come, and is not whole.
    pub(crate) fn hears_request(&self) -> bool {
        let requests = self.waiting.as_ref().and_then(|waiting| waiting.requests.as_deref());
        requests.is_some_and(Requests::is_hearing)
    }

    /// Notes that the peer has torn the connection down; what it wrote before is still to be read.
    pub(crate) fn break_off(&mut self) {
        self.peer = Peer::Broken;
        self.ready.readable = true;
        if let Some(waiting) = &mut self.waiting {
            waiting.pending.clear();
            if let Some(FilledPipe { charge, .. }) = &mut waiting.pipe {
                charge.set(0);
            }
        }
    }

    /// Makes the close of this socket a reset (RST instead of FIN).
    pub(crate) fn reset_on_close(&self) {
        if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            log::debug!("{:?}: {error}", self.token());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two of these are most of what a connection at rest takes. In builds with assertions mio's
    /// socket is larger than its descriptor.
    #[test]
    fn an_end_is_small() {
        let beside = (size_of::<TcpStream>() - 4).next_multiple_of(8);
        assert!(size_of::<Option<End>>() <= 32 + beside, "{}", size_of::<Option<End>>());
    }
}
