//! Whether anybody listens: the listening sockets of a route with `"open": "with upstream"` are
//! closed while its upstream refuses connections, or while an outage cuts it.
//!
//! A socket that stops to listen stays bound, so that its port is not given to anybody who does not
//! ask for it, and the kernel refuses who connects (RST). That is Linux's way; elsewhere the socket
//! goes on listening, which is said once.

use super::sockets::{Wanted, begin_connect};
use super::{TcpPart, TcpRelay};
use crate::reactor::{Owner, Reactor};
use crate::turn::Turn;
use jostle_common::time::Instant;
use mio::net::TcpStream;
use mio::{Interest, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The time between two looks at an upstream that does not refuse.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// The time from a refusal to the next look: doubled each time, up to [`LOOK_EACH`].
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The time after which a look that nobody answers is given up: it says nothing.
const LOOK_FOR: Duration = Duration::from_secs(3);

/// The door of a relay.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// Set while nobody listens.
    is_closed: bool,
    /// Set if the upstream refused the last look.
    refuses: bool,
    look: Option<Look>,
    /// The time of the next look; `None`: at once.
    next: Option<Instant>,
    /// The time to wait after a refusal.
    wait: Option<Duration>,
}

/// A connect that only sees whether it is taken.
#[derive(Debug)]
struct Look {
    stream: TcpStream,
    token: Token,
    until: Instant,
    /// The addresses still to be tried.
    addresses: VecDeque<SocketAddr>,
}

impl Door {
    fn end_look(&mut self, turn: &mut Turn) -> Option<VecDeque<SocketAddr>> {
        let Look { mut stream, token, addresses, .. } = self.look.take()?;
        turn.reactor.remove(&mut stream, token);
        turn.descriptors.give(1);
        Some(addresses)
    }

    /// Notes what a look at the upstream saw; `None`: nothing that says whether it refuses.
    fn saw(&mut self, now: Instant, refuses: Option<bool>) {
        self.refuses = refuses.unwrap_or(self.refuses);
        let wait = if self.refuses {
            let wait = self.wait.map_or(LOOK_AGAIN, |wait| wait * 2).min(LOOK_EACH);
            *self.wait.insert(wait)
        } else {
            self.wait = None;
            LOOK_EACH
        };
        self.next = Some(now + wait);
    }
}

impl TcpRelay {
    /// Opens or closes the door as it is to be now, and returns when to come again.
    pub(super) fn mind_door(&mut self, turn: &mut Turn) -> Option<Instant> {
        if !self.route.listening.with_upstream || self.draining {
            self.door.end_look(turn);
            self.door.refuses = false;
            (self.door.next, self.door.wait) = (None, None);
            self.set_door(true, turn);
            return None;
        }
        if self.door.look.as_ref().is_some_and(|look| look.until <= turn.now) {
            self.door.end_look(turn);
            self.door.saw(turn.now, None);
        }
        if self.door.look.is_none() && self.door.next.is_none_or(|next| next <= turn.now) {
            self.upstream.refresh(self.id, turn.now, &mut turn.names);
            let addresses = self.upstream.known().into();
            self.look_at(addresses, None, turn);
        }
        let cut = self.carriage.of(true).map(|carrier| carrier.is_cut_at(turn.now));
        let (is_cut, until) = cut.unwrap_or((false, None));
        self.set_door(!is_cut && !self.door.refuses, turn);
        let look = match &self.door.look {
            Some(look) => Some(look.until),
            None => self.door.next,
        };
        look.into_iter().chain(until).min()
    }

    /// Begins to connect to the first of these addresses that can be tried; `refused` is what those
    /// before came to.
    fn look_at(
        &mut self,
        mut addresses: VecDeque<SocketAddr>,
        mut refused: Option<bool>,
        turn: &mut Turn,
    ) {
        while let Some(address) = addresses.pop_front() {
            if !turn.descriptors.take(1) {
                return self.door.saw(turn.now, None);
            }
            let owner = Owner { relay: self.id.index, socket: TcpPart::Look.key() };
            match begin_look(address, owner, &mut turn.reactor) {
                Ok((stream, token)) => {
                    let until = turn.now + LOOK_FOR;
                    self.door.look = Some(Look { stream, token, until, addresses });
                    return;
                }
                Err(error) => {
                    turn.descriptors.give(1);
                    refused = (error.kind() == io::ErrorKind::ConnectionRefused).then_some(true);
                }
            }
        }
        self.door.saw(turn.now, refused);
    }

    /// Takes the answer to a look.
    pub(super) fn conclude_look(&mut self, turn: &mut Turn) {
        let Some(look) = &self.door.look else { return };
        let outcome = match look.stream.take_error() {
            // A socket may by chance get the very port that it connects to, where nobody listens.
            Ok(None) => look.stream.peer_addr().and_then(|peer| {
                let is_itself = peer == look.stream.local_addr()?;
                if is_itself { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
            }),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| error.kind());
        if outcome == Err(io::ErrorKind::NotConnected) {
            // An event too early.
            return;
        }
        let addresses = self.door.end_look(turn).unwrap_or_default();
        match outcome {
            Ok(()) => self.door.saw(turn.now, Some(false)),
            Err(kind) => {
                let refused = (kind == io::ErrorKind::ConnectionRefused).then_some(true);
                self.look_at(addresses, refused, turn);
            }
        }
    }

    /// Notes that the upstream refused a client.
    pub(super) fn door_was_refused(&mut self, turn: &mut Turn) {
        if self.route.listening.with_upstream && !self.door.refuses {
            self.door.end_look(turn);
            self.door.saw(turn.now, Some(true));
        }
    }

    fn set_door(&mut self, open: bool, turn: &mut Turn) {
        if self.door.is_closed != open {
            return;
        }
        self.door.is_closed = !open;
        if open {
            return self.acceptor.open(&mut turn.reactor);
        }
        self.counts.listener_closed += 1;
        // Who has connected already is taken in: closing would reset them.
        self.take_in_waiting(&[], turn);
        self.acceptor.close();
    }
}

fn begin_look(
    address: SocketAddr,
    owner: Owner,
    reactor: &mut Reactor,
) -> io::Result<(TcpStream, Token)> {
    let (socket, _) = begin_connect(address, Wanted::default())?;
    let mut stream = TcpStream::from_std(socket.into());
    let token = reactor.add(&mut stream, owner, Interest::WRITABLE)?;
    Ok((stream, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_further_apart_the_longer_an_upstream_refuses() {
        let mut door = Door::default();
        let mut now = Instant::START;
        let mut waits = Vec::new();
        for _ in 0..8 {
            door.saw(now, Some(true));
            let next = door.next.unwrap();
            waits.push(next.since(now).as_millis());
            now = next;
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        // What says nothing changes nothing.
        door.saw(now, None);
        assert!(door.refuses);
        door.saw(now, Some(false));
        assert_eq!((door.refuses, door.next.unwrap().since(now)), (false, LOOK_EACH));
        door.saw(now, Some(true));
        assert_eq!(door.next.unwrap().since(now), LOOK_AGAIN);
    }
}
