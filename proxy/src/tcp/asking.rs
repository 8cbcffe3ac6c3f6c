//! Clients that say where they want to go: from the greeting to the whole request.
//!
//! Until then a client is no connection yet: it has no number, nothing of it is in the links, and
//! nobody is told of it. Then its [target](super::target) is looked up and judged, the modelled
//! handshake crosses the links, the target is connected to, and the client is answered. From there
//! on it is a connection like any other.

use super::TcpRelay;
use super::connection::Progress;
use super::end::Found;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::http1::{BodyFraming, RequestFraming};
use jostle_common::time::Instant;
use jostle_engine::route::{Forward, ForwardProtocol, Route};
use jostle_forward::{Credentials, Progress as Heard, http, socks};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The most clients of a relay that say where they want to go at once. When there is no place the
/// one goes that has been at it for longest.
const PLACES: usize = 8192;

/// The time that a client has before it makes room for others for want of descriptors.
const UNDISTURBED_FOR: Duration = Duration::from_secs(1);

/// The most that is read of a client at a time: what stands behind its request stays below that.
const READ_BYTES: usize = 8 << 10;

/// Reads that a client gets before the others have their turn.
const READS_PER_TURN: usize = 2;

/// A client that says where it wants to go.
#[derive(Debug)]
pub(super) struct Asking {
    negotiation: Negotiation,
    /// Its number among all that ever asked.
    serial: u64,
    /// Set once it has said anything.
    heard: bool,
}

#[derive(Debug)]
enum Negotiation {
    Socks(socks::Negotiation),
    Http(Box<http::Negotiation>),
}

impl Negotiation {
    fn new(protocol: ForwardProtocol, user: Option<Credentials>) -> Self {
        match protocol {
            ForwardProtocol::Socks5 => Self::Socks(socks::Negotiation::new(user)),
            ForwardProtocol::HttpProxy => Self::Http(Box::new(http::Negotiation::new(user))),
        }
    }

    fn handle(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Heard {
        match self {
            Self::Socks(negotiation) => negotiation.handle(bytes, answer),
            Self::Http(negotiation) => negotiation.handle(bytes, answer),
        }
    }

    /// Returns what there is besides the request that was heard.
    fn into_negotiated(self) -> Negotiated {
        match self {
            Self::Socks(mut negotiation) => Negotiated {
                protocol: ForwardProtocol::Socks5,
                body: RequestFraming::of_body(BodyFraming::Length(0)),
                rest: negotiation.rest(),
            },
            Self::Http(mut negotiation) => Negotiated {
                protocol: ForwardProtocol::HttpProxy,
                body: negotiation.body(),
                rest: negotiation.rest(),
            },
        }
    }
}

/// What a client said besides its request.
pub(super) struct Negotiated {
    pub(super) protocol: ForwardProtocol,
    /// The framing of the body behind a request of HTTP.
    pub(super) body: RequestFraming,
    /// The bytes behind the request that were read already.
    pub(super) rest: Vec<u8>,
}

/// The clients of a relay that say where they want to go, and those that wait for a name.
#[derive(Debug, Default)]
pub(super) struct Askings {
    /// What they speak, for whom, and where they may go; `None` where all go to one upstream.
    forward: Option<Forward>,
    /// Set while others than this machine can reach the listeners.
    is_open: bool,
    /// Those that have a place, and until when. All have the same time, so the first is the
    /// earliest; some may have found it already.
    waiting: VecDeque<(Instant, usize, u64)>,
    last_serial: u64,
    /// How many have a place.
    count: usize,
    /// Connections that wait for a name.
    unnamed: BTreeMap<String, Vec<(usize, u32)>>,
}

impl Askings {
    /// Takes over what a route says.
    pub(super) fn follow(&mut self, route: &Route) {
        self.forward = route.destination.forward().cloned();
        self.guard();
    }

    /// Notes whether others than this machine can reach the listeners.
    pub(super) fn set_open(&mut self, is_open: bool) {
        self.is_open = is_open;
        self.guard();
    }

    fn guard(&mut self) {
        if let Some(forward) = &mut self.forward {
            forward.allowed = std::mem::take(&mut forward.allowed).guarded(self.is_open);
        }
    }

    /// Returns what clients speak and where they may go; `None` where all go to one upstream.
    pub(super) const fn forward(&self) -> Option<&Forward> {
        self.forward.as_ref()
    }

    /// Returns true if clients say where they want to go.
    pub(super) const fn are_wanted(&self) -> bool {
        self.forward.is_some()
    }

    /// Returns how many clients have a place.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Returns when the first of them has had its time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|(until, ..)| *until)
    }

    /// Notes that a connection waits for a name.
    pub(super) fn await_name(&mut self, name: &str, index: usize, id: u32) {
        self.unnamed.entry(name.to_owned()).or_default().push((index, id));
    }

    /// Takes the connections that wait for a name.
    pub(super) fn take_awaiting(&mut self, name: &str) -> Vec<(usize, u32)> {
        self.unnamed.remove(name).unwrap_or_default()
    }

    /// Gives a client a place.
    fn begin(&mut self, index: usize, until: Instant) -> Option<Asking> {
        let Forward { protocol, user, .. } = self.forward.as_ref()?;
        self.last_serial += 1;
        self.waiting.push_back((until, index, self.last_serial));
        self.count += 1;
        let negotiation = Negotiation::new(*protocol, user.clone());
        Some(Asking { negotiation, serial: self.last_serial, heard: false })
    }
}

impl TcpRelay {
    /// Lets a client that has come say where it wants to go.
    pub(super) fn begin_asking(&mut self, index: usize, turn: &mut Turn) {
        if self.askings.len() >= PLACES
            && let Some((oldest, _)) = self.oldest_asking()
        {
            self.counts.crowded_out += 1;
            self.close(oldest, turn);
        }
        let until = turn.now + turn.options.negotiation_timeout;
        let asking = self.askings.begin(index, until);
        let connection = self.connections.at(index);
        connection.progress = Progress::Asking;
        connection.beside_mut().asking = asking.map(Box::new);
    }

    /// Reads what a client says, and answers.
    pub(super) fn negotiate(&mut self, index: usize, turn: &mut Turn) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(index) else { return };
            let Some(mut asking) = connection.beside_mut().asking.take() else { return };
            let Some(client) = connection.source(Direction::Up) else { return };
            if !client.is_readable() {
                connection.beside_mut().asking = Some(asking);
                return;
            }
            let found = client.read(&mut turn.scratch[..READ_BYTES]);
            let Found::Bytes(count) = found else {
                connection.beside_mut().asking = Some(asking);
                if found != Found::Nothing {
                    self.counts.left_early += 1;
                    self.close(index, turn);
                }
                return;
            };
            asking.heard = true;
            let mut answer = Vec::new();
            let heard = asking.negotiation.handle(&turn.scratch[..count], &mut answer);
            // A client that does not even take these few bytes does not read.
            let is_told = answer.is_empty() || client.say(&answer);
            match heard {
                _ if !is_told => {
                    connection.beside_mut().asking = Some(asking);
                    self.counts.left_early += 1;
                    return self.give_up(index, turn);
                }
                Heard::More => connection.beside_mut().asking = Some(asking),
                Heard::Asked(asked) => {
                    self.askings.count -= 1;
                    let negotiated = asking.negotiation.into_negotiated();
                    return self.take_request(index, negotiated, asked, turn);
                }
                Heard::Refused(why) => {
                    connection.beside_mut().asking = Some(asking);
                    self.counts.refuse(why);
                    return self.close_gently(index, turn);
                }
            }
        }
        self.ask_again(index, Direction::Up, turn);
    }

    /// Ends the time of those who have not said in it where they want to go.
    pub(super) fn end_asking(&mut self, turn: &mut Turn) {
        while let Some(&(until, index, serial)) = self.askings.waiting.front() {
            let is_there = self.is_asking(index, serial);
            if is_there && until > turn.now {
                return;
            }
            self.askings.waiting.pop_front();
            if is_there {
                self.counts.negotiation_timed_out += 1;
                self.close(index, turn);
            }
        }
    }

    /// Closes the clients that have said nothing; those who have begun may go on.
    pub(super) fn end_silent_asking(&mut self, turn: &mut Turn) {
        for (_, index, serial) in self.askings.waiting.clone() {
            if !self.is_asking(index, serial) {
                continue;
            }
            // It may have spoken before it was heard.
            if let Some(client) = self.connections.at(index).source(Direction::Up) {
                client.look();
            }
            self.negotiate(index, turn);
            if self.is_asking(index, serial) {
                let asking = self.connections.at(index).asking();
                if asking.is_some_and(|asking| !asking.heard) {
                    self.close(index, turn);
                }
            }
        }
    }

    fn is_asking(&self, index: usize, serial: u64) -> bool {
        let connection = self.connections.get(index);
        let asking = connection.and_then(|connection| connection.asking());
        asking.is_some_and(|asking| asking.serial == serial)
            && connection.is_some_and(|connection| connection.progress == Progress::Asking)
    }

    /// Returns the client that has been asking for longest, and until when it may.
    fn oldest_asking(&mut self) -> Option<(usize, Instant)> {
        while let Some(&(until, index, serial)) = self.askings.waiting.front() {
            if self.is_asking(index, serial) {
                return Some((index, until));
            }
            self.askings.waiting.pop_front();
        }
        None
    }

    /// Makes room for a client that waits: the one goes that has been asking for longest, if it had
    /// time enough. Returns false if none has.
    pub(super) fn crowd_out(&mut self, turn: &mut Turn) -> bool {
        let Some((oldest, until)) = self.oldest_asking() else { return false };
        if until.since(turn.now) + UNDISTURBED_FOR > turn.options.negotiation_timeout {
            return false;
        }
        self.counts.crowded_out += 1;
        self.close(oldest, turn);
        true
    }

    /// Notes that a client that was asking is asked no more.
    pub(super) const fn leave_asking(&mut self, asking: Option<&Asking>) {
        if asking.is_some() {
            self.askings.count -= 1;
        }
    }
}
