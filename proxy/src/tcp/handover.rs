//! The handover of connections into the links when a route gets its first rule, and out of them
//! when it loses the last one: with bytes in flight, none of them lost or out of order.

use super::TcpRelay;
use super::connection::Progress;
use crate::observed::{Crossing, FlowEvent};
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::carrier::Carrier;
use jostle_engine::profile::Profile;

impl TcpRelay {
    /// Puts the rules of the route in force, or none if they are switched off. Streams stay with
    /// their links while rules are only switched off, so that they can be switched on again.
    pub(super) fn apply_rules(&mut self, rules_on: bool, turn: &mut Turn) {
        let none = Profile::default();
        let profile = if rules_on { &self.route.profile } else { &none };
        let set = |carrier: &mut Carrier, profile: &Profile| {
            for direction in Direction::BOTH {
                carrier.set_timeline(turn.now, direction, profile.timeline(direction));
            }
        };
        self.acceptor.restrain(!self.route.profile.is_empty() && !turn.options.portable);
        if self.route.profile.is_empty() {
            if let Some(carrier) = self.carriage.put_out_of_force() {
                set(carrier, &none);
            }
            return;
        }
        let (route, seed, memory, part) = (&self.route, self.seed, &self.memory, self.part);
        let make = || {
            let name = route.drawn_as();
            let mut carrier = Carrier::new(profile, route.tcp, seed, name, memory.clone());
            carrier.answer_handshakes();
            carrier.number_from(part.numbers_from());
            carrier
        };
        if let Some(carrier) = self.carriage.of(true) {
            set(carrier, profile);
        }
        if !self.carriage.put_in_force(make, turn.sinks.are_observers()) {
            self.adopt_connections(turn);
        }
    }

    /// Lets the time of the rules begin with the first connection, if several loops may have the
    /// route: then it is the same on all of them. Of other routes the first packet lets it begin.
    pub(super) fn begin_time(&mut self, now: Instant) {
        if self.route.workers.are_several()
            && let Some(carrier) = self.carriage.of(true)
        {
            carrier.begin(self.connections.route_shared().begin(now));
        }
    }

    /// Lets all connections cross the links from the next byte on.
    fn adopt_connections(&mut self, turn: &mut Turn) {
        for index in self.connections.indices() {
            let connection = self.connections.at(index);
            let id = connection.id;
            if matches!(
                connection.progress,
                Progress::Asking | Progress::Naming | Progress::Associated
            ) {
                // It begins in the links.
                continue;
            }
            // One that had not left the links yet is still in them.
            if !std::mem::replace(&mut connection.carried, true) {
                let ended = Direction::BOTH.map(|direction| {
                    connection.source(direction).is_some_and(|source| source.is_read_out())
                });
                for direction in Direction::BOTH {
                    // What waits at a receiver's socket comes before all that crosses the links.
                    let waiting = connection.target(direction).map_or(0, |end| end.pending_bytes());
                    if waiting > 0 {
                        connection.beside_mut().straight[direction.index()] = waiting;
                    }
                }
                self.observe(id, FlowEvent::Crosses(self.crossing(true)), turn);
                let facts = self.connections.at(index).facts(&self.route.destination);
                self.begin_time(turn.now);
                let carrier = self.carriage.of(true).expect("it was just put in force");
                carrier.adopt_known(turn.now, id, &facts);
                for direction in Direction::BOTH.into_iter().filter(|one| ended[one.index()]) {
                    // The receiver knows it already; the links are told that nothing will come.
                    carrier.finish(turn.now, id, direction);
                }
            }
            self.ask_again(index, Direction::Up, turn);
            self.ask_again(index, Direction::Down, turn);
        }
    }

    /// Takes those connections out of the links of which nothing is under way there.
    pub(super) fn release_connections(&mut self, turn: &mut Turn) {
        if !self.carriage.is_emptying() {
            return;
        }
        let mut all_left = true;
        for index in self.connections.indices() {
            let connection = self.connections.at(index);
            let id = connection.id;
            let Some(carrier) = self.carriage.of(connection.carried) else { continue };
            // Until then its sockets are not read, so that nothing overtakes what is in the links.
            if !carrier.release(turn.now, id) {
                all_left = false;
                continue;
            }
            let connection = self.connections.at(index);
            connection.carried = false;
            connection.forget_straight();
            self.observe(id, FlowEvent::Crosses(Crossing::Straight), turn);
            let connection = self.connections.at(index);
            for direction in Direction::BOTH {
                // One that waited for room in the links waits no more.
                if let Some(source) = connection.source(direction) {
                    source.feed();
                    source.fix_buffer(false);
                }
            }
            self.ask_again(index, Direction::Up, turn);
            self.ask_again(index, Direction::Down, turn);
        }
        if all_left {
            self.carriage.emptied();
        }
    }
}
