//! The TCP relay of a route: a connection to the upstream for each one accepted, faithful in
//! half-close, reset and refusal.

mod accept;
mod acceptor;
mod addresses;
mod asking;
mod association;
mod beside;
mod carriage;
mod carried;
mod closing;
mod connect;
mod connection;
mod connections;
mod counts;
mod door;
mod end;
mod endings;
mod exchanges;
mod flow_orders;
mod handover;
mod keepalive;
mod next_head;
mod outgoing;
mod part;
mod plain;
mod report;
mod request;
mod restraint;
mod silence;
mod sockets;
mod target;

use crate::account::Account;
use crate::alarm::Alarm;
use crate::flow::{FlowPage, FlowState};
use crate::listener::Opened;
use crate::reactor::{Readiness, RelayId, SocketKey};
use crate::relay::{Ending, Relay, RelayPlan, RelayReport};
use crate::resolve::Upstream;
use crate::route_shared::RoutePart;
use crate::turn::Turn;
use acceptor::Acceptor;
use asking::Askings;
use association::Kept;
use carriage::Carriage;
use connection::Progress;
use connections::Connections;
use counts::TcpCounts;
use door::Door;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::memory::Memory;
use jostle_engine::route::Route;
use keepalive::Keepalive;
use next_head::NextHeads;
use part::TcpPart;
use silence::Silences;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The TCP half of a route.
pub(crate) struct TcpRelay {
    id: RelayId,
    route: Route,
    seed: u64,
    /// The memory that its connections' bytes are charged to.
    memory: Memory,
    acceptor: Acceptor,
    upstream: Upstream,
    carriage: Carriage,
    accounts: [Account; 2],
    connections: Connections,
    /// Which part of its route it is.
    part: RoutePart,
    /// Connections whose upstream has yet to be found or to answer, and until when. All have the same time, so the
    /// first is the earliest.
    connecting: VecDeque<(Instant, usize, u32)>,
    /// Connects to an address that is not the last, and until when they have to be answered.
    attempts: BTreeSet<(Instant, usize, u32)>,
    /// Connections that wait for the name of the upstream.
    nameless: VecDeque<(usize, u32)>,
    /// Connections that a rule closed and whose sides were told so, and until when they are waited
    /// for.
    closing: VecDeque<(Instant, usize, u32)>,
    silences: Silences,
    keepalive: Keepalive,
    /// Clients that say where they want to go.
    askings: Askings,
    next_heads: NextHeads,
    /// The associations that connections keep.
    kept: Kept,
    /// Whether anybody listens.
    door: Door,
    counts: TcpCounts,
    /// Tells that the upstream cannot be reached.
    unreached: Alarm,
    draining: bool,
}

impl TcpRelay {
    pub(crate) fn new(
        plan: RelayPlan<'_>,
        opened: Vec<Opened>,
        turn: &mut Turn,
    ) -> io::Result<Self> {
        let RelayPlan { id, route, seed, upstream, associations, memory, .. } = plan;
        let RelayPlan { rules_on, route_shared, part, .. } = plan;
        let mut acceptor = Acceptor::new(route.idle, turn.options.portable);
        acceptor.add(opened, id.index, &mut turn.reactor)?;
        let account = |direction| Account::new(&route.name, Transport::Tcp, direction);
        let mut relay = Self {
            id,
            route: route.clone(),
            seed,
            memory: memory.clone(),
            acceptor,
            upstream,
            carriage: Carriage::default(),
            accounts: Direction::BOTH.map(account),
            connections: Connections::new(route_shared.clone()),
            part,
            connecting: VecDeque::new(),
            attempts: BTreeSet::new(),
            nameless: VecDeque::new(),
            closing: VecDeque::new(),
            silences: Silences::default(),
            keepalive: Keepalive::default(),
            askings: Askings::default(),
            next_heads: NextHeads::default(),
            kept: Kept { associations: associations.clone(), count: 0 },
            door: Door::default(),
            counts: TcpCounts::default(),
            unreached: Alarm::new(turn.options.tells_of_upstreams),
            draining: false,
        };
        relay.acceptor.set_slow(route.listening.accept.is_some());
        relay.set_silence(route.idle);
        relay.askings.follow(route);
        relay.note_openness();
        relay.apply_rules(rules_on, turn);
        Ok(relay)
    }

    /// Notes whether others than this machine can reach the listeners. One that listens no more
    /// keeps what was so.
    fn note_openness(&mut self) {
        let addresses = self.acceptor.addresses();
        if !addresses.is_empty() {
            let is_open = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
            self.askings.set_open(addresses.iter().any(is_open));
        }
    }

    /// Moves what can be moved in `direction`, up to a fair share.
    fn serve_direction(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.progress == Progress::Closing {
            self.ignore(index, direction, turn);
        } else if connection.progress == Progress::Asking {
            self.negotiate(index, turn);
        } else if connection.progress == Progress::Associated {
            self.watch_association(index, turn);
        } else if connection.carried {
            self.take_in(index, direction, turn);
        } else {
            self.copy(index, direction, turn);
        }
        if direction == Direction::Up && self.askings.are_wanted() {
            self.time_next_head(index, turn);
        }
    }

    /// Writes what is pending in `direction`.
    fn flush(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(target) = connection.target(direction) else { return };
        let written = target.flush();
        let broken = target.is_broken();
        if let Some(pipe) = target.take_spent_pipe() {
            turn.pipes.give(pipe, turn.now, &mut turn.descriptors);
        }
        self.accounts[direction.index()].written(written);
        let crossed = written - connection.went_straight(direction, written);
        if connection.progress == Progress::Closing {
            return self.conclude_closing(index, turn);
        }
        match self.carriage.of(connection.carried) {
            Some(carrier) if crossed > 0 => {
                carrier.consumed(turn.now, connection.id, direction, crossed);
                self.resume(index, direction, turn);
            }
            Some(_) => {}
            None => self.copy(index, direction, turn),
        }
        if broken {
            // What its peer wrote before it tore the connection down, and then the reset, are to be
            // read.
            self.ask_again(index, direction.opposite(), turn);
        } else {
            self.close_if_over(index, turn);
        }
    }

    /// Asks to be called again for the end that writes `direction`.
    fn ask_again(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if let Some(end) = connection.source(direction) {
            end.ask_again(&mut turn.reactor);
        }
    }
}

impl Relay for TcpRelay {
    /// Notes what an event said about one of the sockets, and asks to be called for it in its turn.
    fn note(&mut self, socket: SocketKey, readiness: Readiness, turn: &mut Turn) {
        let (index, direction) = match TcpPart::of(socket) {
            TcpPart::Listener(index) => {
                return self.acceptor.ask_again(index, &mut turn.reactor);
            }
            TcpPart::Look => return self.conclude_look(turn),
            TcpPart::Client(index) => (index, Direction::Up),
            TcpPart::Upstream(index) => (index, Direction::Down),
        };
        let connection = self.connections.get_mut(index);
        if let Some(end) = connection.and_then(|connection| connection.source(direction)) {
            end.note(readiness);
            end.ask_again(&mut turn.reactor);
        }
    }

    fn serve(&mut self, socket: SocketKey, turn: &mut Turn) {
        let (index, direction) = match TcpPart::of(socket) {
            TcpPart::Listener(index) => return self.accept(index, turn),
            TcpPart::Look => return self.conclude_look(turn),
            TcpPart::Client(index) => (index, Direction::Up),
            TcpPart::Upstream(index) => (index, Direction::Down),
        };
        let Some(connection) = self.connections.get_mut(index) else { return };
        let progress = connection.progress;
        connection.last = turn.now;
        let Some(end) = connection.source(direction) else { return };
        end.again = false;
        if progress == Progress::Connecting && direction == Direction::Down {
            // Whatever the event was, the connect has come to an end.
            return self.conclude_connect(index, turn);
        }
        if end.wants_to_write() {
            self.flush(index, direction.opposite(), turn);
        }
        self.serve_direction(index, direction, turn);
    }

    fn work(&mut self, turn: &mut Turn) -> Option<Instant> {
        self.dispatch(turn);
        self.release_connections(turn);
        while let Some(&(at, index, id)) = self.connecting.front()
            && at <= turn.now
        {
            self.connecting.pop_front();
            self.time_out(index, id, turn);
        }
        self.end_attempts(turn);
        self.end_asking(turn);
        self.end_slow_heads(turn);
        self.end_closing(turn);
        self.retry_accept(turn);
        self.retry_starved(turn);
        self.cut_silent(turn);
        self.keep_alive(turn);
        self.forget_connected();
        let connecting = self.connecting.front().map(|(at, ..)| *at);
        let attempt = self.attempts.first().map(|(at, ..)| *at);
        let closing = self.closing.front().map(|(at, ..)| *at);
        let carried = self.carriage.keep_up(turn.now);
        let sought = self.upstream.seek(self.id, turn.now, &mut turn.names);
        let (resting, silent) = (self.acceptor.deadline(), self.silences.deadline());
        let door = self.mind_door(turn);
        let (asking, head) = (self.askings.deadline(), self.next_heads.deadline());
        let timers = [carried, connecting, attempt, closing, resting, silent, asking, head];
        timers.into_iter().chain([sought, door, self.keepalive.deadline()]).flatten().min()
    }

    fn follow(&mut self, route: &Route, rules_on: bool, turn: &mut Turn) {
        self.route = route.clone();
        self.set_silence(route.idle);
        self.askings.follow(route);
        self.acceptor.set_slow(route.listening.accept.is_some());
        self.apply_rules(rules_on, turn);
    }

    fn set_upstream(&mut self, upstream: Upstream) {
        self.upstream = upstream;
    }

    fn set_addresses(&mut self, addresses: Vec<SocketAddr>, turn: &mut Turn) {
        self.upstream.set_addresses(addresses);
        for (index, id) in std::mem::take(&mut self.nameless) {
            let connection = self.connections.get_same(index, id);
            if connection.is_some_and(|connection| connection.progress == Progress::Naming) {
                self.begin(index, turn);
            }
        }
    }

    fn take_name(&mut self, name: &str, addresses: &[IpAddr], turn: &mut Turn) {
        self.take_found(name, addresses, turn);
    }

    fn listen(&mut self, opened: Vec<Opened>, turn: &mut Turn) -> io::Result<()> {
        self.acceptor.add(opened, self.id.index, &mut turn.reactor)?;
        self.note_openness();
        Ok(())
    }

    fn share(&mut self, addresses: &[SocketAddr]) -> io::Result<Vec<Opened>> {
        self.acceptor.share(addresses)
    }

    fn listen_only(&mut self, addresses: &[SocketAddr], turn: &mut Turn) {
        self.keep_listening(addresses, turn);
        self.end_associations_but(addresses, turn);
        self.note_openness();
    }

    /// Stops listening; what is connected goes on.
    fn drain(&mut self, turn: &mut Turn) {
        self.draining = true;
        self.keep_listening(&[], turn);
        self.end_silent_asking(turn);
        self.end_idle_exchanges(turn);
        self.end_associations_but(&[], turn);
    }

    fn is_over(&self) -> bool {
        self.draining && self.connections.len() == 0 && self.carriage.is_drained()
    }

    fn flows(&self, after: u32, now: Instant) -> FlowPage {
        self.page(after, now)
    }

    fn flow(&self, number: u32, now: Instant) -> Option<FlowState> {
        self.state(number, now)
    }

    fn end_flow(&mut self, number: u32, ending: Ending, turn: &mut Turn) -> bool {
        self.end(number, ending, turn)
    }

    /// Ends what is still connected.
    fn cut(&mut self, ending: Ending, turn: &mut Turn) {
        for index in self.acceptor.others(&[]) {
            self.acceptor.remove(index, &mut turn.reactor);
        }
        for index in self.connections.indices() {
            self.counts.cut += 1;
            match ending {
                Ending::Reset => self.give_up(index, turn),
                Ending::Close => self.close(index, turn),
            }
        }
        self.carriage.empty(turn, &mut self.accounts);
    }

    fn began(&self) -> Option<Instant> {
        self.carriage.carrier()?.link(Direction::Up).epoch()
    }

    fn report(&self) -> RelayReport {
        self.numbers()
    }
}
