//! The way to the upstream: connecting to one of its addresses, and what comes of that.

use super::connection::{Progress, RelayedConnection};
use super::end::End;
use super::request::failure_of;
use super::sockets::{Wanted, begin_connect, prepare, stream_interest};
use super::{TcpPart, TcpRelay};
use crate::observed::FlowEvent;
use crate::reactor::Owner;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::route::Route;
use jostle_forward::Failure;
use jostle_sys::is_out_of_descriptors;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io;

/// The most hops that are left to begin with: a circle is closed after so many connections.
const HOPS_MAX: u8 = 64;

/// The most that is read of a client before its upstream has answered.
const EARLY_BYTES: usize = 16 << 10;

/// The cause that is told when nobody listens at the upstream.
const REFUSED: &str = "nobody listens there; is the server running?";

impl TcpRelay {
    /// Begins the way to the upstream: across the links, if there are rules.
    pub(super) fn begin(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        connection.progress = Progress::Opening;
        connection.carried = self.carriage.is_in_force();
        // An event may have told of bytes while it waited for a name.
        if let Some(client) = connection.source(Direction::Up).filter(|end| end.is_readable()) {
            client.ask_again(&mut turn.reactor);
        }
        let (id, carried) = (connection.id, connection.carried);
        // Where it is going to lead, as far as that is known: rules choose by it.
        let leads_to = match connection.request() {
            Some(request) => request.first_address(),
            None => self.upstream.first_address(connection.client_address()),
        };
        connection.set_upstream_address(leads_to);
        self.tell_of_client(index, turn);
        if carried {
            self.begin_time(turn.now);
        }
        match self.carriage.of(carried) {
            Some(carrier) => {
                let facts = self.connections.at(index).facts(&self.route.destination);
                carrier.open_known(turn.now, id, &facts);
            }
            None => self.connect(index, turn),
        }
    }

    /// Tells the links what is known of a connection.
    pub(super) fn tell_facts(&mut self, index: usize, turn: &Turn) {
        let connection = self.connections.at(index);
        let (id, carried) = (connection.id, connection.carried);
        if let Some(carrier) = self.carriage.of(carried) {
            let facts = self.connections.at(index).facts(&self.route.destination);
            carrier.tell(turn.now, id, &facts);
        }
    }

    /// Tells who observes flows of a client.
    fn tell_of_client(&mut self, index: usize, turn: &mut Turn) {
        if !turn.sinks.are_observers() {
            return;
        }
        let connection = self.connections.at(index);
        let (id, client, carried) =
            (connection.id, connection.client_address(), connection.carried);
        let end = connection.source(Direction::Up);
        if let Some(Ok(listener)) = end.map(|end| end.stream.local_addr()) {
            let crossing = self.crossing(carried);
            self.observe(id, FlowEvent::Opened { client, listener, crossing }, turn);
        }
        if let Some(request) = self.connections.get(index).and_then(RelayedConnection::request) {
            self.observe(id, FlowEvent::AskedFor(&request.target), turn);
        }
    }

    pub(super) fn give_up_at(&mut self, until: Instant, index: usize, id: u32) {
        self.connecting.push_back((until, index, id));
    }

    /// Begins to connect to the upstream.
    pub(super) fn connect(&mut self, index: usize, turn: &mut Turn) {
        self.upstream.refresh(self.id, turn.now, &mut turn.names);
        let connection = self.connections.at(index);
        if connection.hops().is_some_and(|hops| hops <= 1) {
            self.counts.looped += 1;
            return self.refuse(index, Failure::General, "it leads back here", turn);
        }
        connection.progress = Progress::Connecting;
        let to_try = match connection.request_mut() {
            Some(request) => request.take_addresses(),
            None => self.upstream.addresses(connection.client_address()).into(),
        };
        let (until, id) = (turn.now + turn.options.connect_timeout, connection.id);
        let beside = connection.beside_mut();
        (beside.to_try, beside.connect_until) = (to_try, Some(until));
        self.give_up_at(until, index, id);
        self.connect_next(index, turn);
    }

    /// Tries the next of the upstream's addresses; without one the client is refused.
    fn connect_next(&mut self, index: usize, turn: &mut Turn) {
        // One less than the client's, as behind a router: so whatever goes round a circle of proxies
        // dies out.
        let hops = self.connections.at(index).hops().map(|hops| hops.min(HOPS_MAX) - 1);
        let restrained = self.carriage.is_in_force() && !turn.options.portable;
        let early = self.read_early(index, turn);
        let wanted = Wanted { hops, restrained, speaks: early > 0 };
        let (mut failure, mut cause) = (Failure::General, "there is no address".to_owned());
        while let Some(address) = self.connections.at(index).next_address() {
            if self.connections.at(index).set_upstream_address(Some(address)) {
                self.tell_facts(index, turn);
            }
            let owner = Owner { relay: self.id.index, socket: TcpPart::Upstream(index).key() };
            let begun = begin_connect(address, wanted).and_then(|(socket, restrained)| {
                let mut stream = TcpStream::from_std(socket.into());
                let local = stream.local_addr().ok();
                if local == Some(address) {
                    // Where nobody listens a socket may by chance get the very port that it connects
                    // to, and is then connected to itself.
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                let token = turn.reactor.add(&mut stream, owner, stream_interest())?;
                Ok((stream, token, local, restrained))
            });
            match begun {
                Ok((stream, token, local, restrained)) => {
                    let portable = turn.options.portable;
                    prepare(&SockRef::from(&stream), self.silences.limit(), portable);
                    let mut end = End::connecting(stream, token);
                    if !turn.options.portable {
                        end = end.with_buffer(restrained);
                    }
                    let connection = self.connections.at(index);
                    let id = connection.id;
                    connection.set_upstream(end);
                    self.share_time(index, turn);
                    if let Some(local) = local {
                        self.observe(id, FlowEvent::Reached { local, upstream: address }, turn);
                    }
                    if early > 0 {
                        self.write_early(index, early, turn);
                    }
                    return;
                }
                Err(error) => {
                    log::debug!("route {}: connecting to {address}: {error}", self.route.name);
                    (failure, cause) = (failure_of(error.kind()), error.to_string());
                    if is_out_of_descriptors(&error) {
                        turn.descriptors.warn("TCP clients are refused");
                        break;
                    }
                    if error.kind() == io::ErrorKind::ConnectionRefused
                        && !self.connections.at(index).has_next_address()
                    {
                        self.counts.refused += 1;
                        return self.refuse(index, Failure::ConnectionRefused, REFUSED, turn);
                    }
                }
            }
        }
        self.counts.connect_failed += 1;
        self.refuse(index, failure, &cause, turn);
    }

    /// Reads into the buffer of the loop what a client has said already. What crosses links, or comes
    /// behind a request, has its time.
    fn read_early(&mut self, index: usize, turn: &mut Turn) -> usize {
        let connection = self.connections.at(index);
        let is_plain = !connection.carried && connection.request().is_none();
        let is_known = cfg!(target_os = "linux") && !turn.options.portable;
        let client = connection.source(Direction::Up);
        // What was read for an address that did not answer is to be written first.
        let Some(client) = client.filter(|client| is_plain && is_known && !client.is_readable())
        else {
            return 0;
        };
        client.read_early(&mut turn.scratch[..EARLY_BYTES])
    }

    /// Writes what was read early to the upstream, if that has answered already, as one on this machine
    /// has. Otherwise it is read again when it has.
    fn write_early(&mut self, index: usize, count: usize, turn: &mut Turn) {
        let Some((client, upstream)) = self.connections.at(index).pair(Direction::Up) else {
            return;
        };
        let result = upstream.write_early(&turn.scratch[..count]);
        if let Ok(written @ 1..) = result {
            if self.open(index, turn) {
                self.pass_on(index, Direction::Up, count, written, turn);
            }
            return;
        }
        client.put_ahead(self.memory.hold(&turn.scratch[..count]));
        if let Err(error) = result {
            self.conclude(index, Err(error.kind()), turn);
        }
    }

    /// Gives the address that is tried its share of the time that is left, so that one which never
    /// answers leaves some to the others.
    fn share_time(&mut self, index: usize, turn: &Turn) {
        let connection = self.connections.at(index);
        let id = connection.id;
        let beside = connection.beside_mut();
        let others = u32::try_from(beside.to_try.len()).unwrap_or(u32::MAX);
        let Some(end) = beside.connect_until.filter(|_| others > 0) else { return };
        let until = turn.now + end.since(turn.now) / others.saturating_add(1);
        beside.attempt = Some(until);
        self.attempts.insert((until, index, id));
    }

    /// Forgets until when an address had to answer.
    pub(super) fn forget_attempt(&mut self, index: usize, id: u32, attempt: Option<Instant>) {
        if let Some(until) = attempt {
            self.attempts.remove(&(until, index, id));
        }
    }

    /// The address that is tried has answered.
    fn end_attempt(&mut self, index: usize) {
        let connection = self.connections.at(index);
        let (id, attempt) = (connection.id, connection.take_attempt());
        self.forget_attempt(index, id, attempt);
    }

    /// Tries the next address where one has not answered in its share of the time.
    pub(super) fn end_attempts(&mut self, turn: &mut Turn) {
        while let Some(&attempt) = self.attempts.first().filter(|(until, ..)| *until <= turn.now) {
            self.attempts.remove(&attempt);
            let (_, index, id) = attempt;
            let Some(connection) = self.connections.get_same(index, id) else { continue };
            connection.beside_mut().attempt = None;
            if connection.progress == Progress::Connecting {
                connection.drop_source(Direction::Down, turn);
                self.connect_next(index, turn);
            }
        }
    }

    /// The upstream has answered, one way or the other.
    pub(super) fn conclude_connect(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let Some(upstream) = connection.source(Direction::Down) else { return };
        let Some(outcome) = upstream.outcome() else { return };
        self.conclude(index, outcome.map_err(|error| error.kind()), turn);
    }

    /// An attempt to connect has come to an end.
    fn conclude(&mut self, index: usize, outcome: Result<(), io::ErrorKind>, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let Some(upstream) = connection.source(Direction::Down) else { return };
        match outcome {
            Ok(()) | Err(io::ErrorKind::ConnectionReset) => {
                if outcome.is_err() {
                    // It accepted, and tore the connection down before we looked.
                    upstream.break_off();
                }
                if self.open(index, turn) {
                    self.flush(index, Direction::Up, turn);
                    self.serve_direction(index, Direction::Up, turn);
                    self.serve_direction(index, Direction::Down, turn);
                }
            }
            Err(kind) => {
                log::debug!("route {}: the upstream: {kind}", self.route.name);
                self.end_attempt(index);
                let connection = self.connections.at(index);
                connection.drop_source(Direction::Down, turn);
                if connection.has_next_address() {
                    return self.connect_next(index, turn);
                }
                if kind == io::ErrorKind::ConnectionRefused {
                    self.counts.refused += 1;
                    return self.refuse(index, Failure::ConnectionRefused, REFUSED, turn);
                }
                self.counts.connect_failed += 1;
                self.refuse(index, failure_of(kind), &kind.to_string(), turn);
            }
        }
    }

    /// Lets bytes pass, now that the upstream is there. Returns false if the client is gone.
    fn open(&mut self, index: usize, turn: &mut Turn) -> bool {
        self.end_attempt(index);
        let connection = self.connections.at(index);
        let Some(upstream) = connection.source(Direction::Down) else { return false };
        upstream.set_connected();
        self.unreached.clear();
        connection.progress = Progress::Open;
        connection.forget_addresses();
        let (id, carried) = (connection.id, connection.carried);
        self.observe(id, FlowEvent::Connected, turn);
        // Across the links the answer takes its time; the client is told when it is there.
        let carrier = self.carriage.of(carried);
        let crosses = carrier.is_some_and(|carrier| carrier.accept(turn.now, id));
        crosses || self.tell_success(index, turn)
    }

    /// Forgets until when those are waited for that have come to an end of it, as far as they are the
    /// first: a time must not be kept for each connection that was opened of late.
    pub(super) fn forget_connected(&mut self) {
        while let Some(&(_, index, id)) = self.connecting.front() {
            let connection = self.connections.get_same(index, id);
            if connection.is_some_and(|connection| connection.progress.is_awaited()) {
                return;
            }
            self.connecting.pop_front();
            // Those that wait for a name do so in the same order.
            if self.nameless.front() == Some(&(index, id)) {
                self.nameless.pop_front();
            }
        }
    }

    /// The upstream has not answered in time, or its name was not found.
    pub(super) fn time_out(&mut self, index: usize, id: u32, turn: &mut Turn) {
        // Those that wait for a name do so in the same order.
        if self.nameless.front() == Some(&(index, id)) {
            self.nameless.pop_front();
        }
        let Some(connection) = self.connections.get_same(index, id) else { return };
        let cause = match connection.progress {
            Progress::Naming => "the look-up of its name takes too long",
            Progress::Connecting => "it does not answer",
            _ => return,
        };
        self.counts.timed_out += 1;
        connection.drop_source(Direction::Down, turn);
        self.refuse(index, Failure::TimedOut, cause, turn);
    }

    /// Tells the client that the upstream is not there, as a host without a listener would: with a
    /// reset, which crosses the links, or, if it has asked for it, with an answer once that is
    /// across. The next client may find it elsewhere.
    fn refuse(&mut self, index: usize, failure: Failure, cause: &str, turn: &mut Turn) {
        if let Some(request) = self.connections.at(index).request_mut() {
            // Where clients go is not this proxy's to judge, so nobody is warned of it.
            log::debug!("route {}: cannot reach {}: {cause}", self.route.name, request.target);
            request.fail(failure);
        } else if self.unreached.raise(turn.now) {
            let Route { name, destination, .. } = &self.route;
            log::warn!("route {name}: cannot reach tcp://{destination}: {cause}");
        }
        self.upstream.doubt(self.id, turn.now, &mut turn.names);
        if failure == Failure::ConnectionRefused {
            self.door_was_refused(turn);
        }
        let connection = self.connections.at(index);
        connection.progress = Progress::Open;
        match self.carriage.of(connection.carried) {
            Some(carrier) => carrier.reset(turn.now, connection.id, Direction::Down),
            None => self.tear_down(index, Direction::Down, turn),
        }
    }
}
