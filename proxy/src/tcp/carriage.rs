//! The links of a relay, and what is under way between them and the sockets.

use super::connections::Connections;
use super::end::End;
use super::outgoing::Leaving;
use crate::account::Account;
use crate::fate::Fate;
use crate::sinks::Sinks;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::carrier::Carrier;
use jostle_engine::packet::Packet;
use jostle_engine::stage::Output;
use jostle_engine::tcp::Event;
use std::collections::VecDeque;
use std::time::Duration;

/// The time after which they are looked at when nothing else happens.
const STARVED_RETRY: Duration = Duration::from_millis(10);

/// The links of a relay, once it has had a rule, and what is under way between them and the
/// sockets.
///
/// They stay when the last rule goes: counters and draws go on where they were when another comes.
#[derive(Debug, Default)]
pub(super) struct Carriage {
    pub(super) carrier: Option<Carrier>,
    /// Set while connections cross the links. When it is not, those still in them leave once
    /// nothing of them is under way.
    pub(super) in_force: bool,
    /// Set while connections may still be in links that are not in force.
    is_emptying: bool,
    /// Ends that were not read for want of room.
    pub(super) starved: VecDeque<(usize, u32, Direction)>,
    /// Bytes that have come out of the links in this pass and are not yet written.
    pub(super) leaving: Vec<Leaving>,
    /// Packets that entered or left the links in this pass and are not yet told of.
    pub(super) crossed: Vec<(Direction, Crossed)>,
    /// Bytes that rules behind the links discarded in this pass.
    pub(super) discards: Vec<(Direction, Packet)>,
}

/// A packet at one end of a link.
#[derive(Debug)]
pub(super) enum Crossed {
    /// It enters; only told to who observes flows.
    In(Box<Packet>),
    /// It has left.
    Out(Output),
}

impl Carriage {
    /// Returns true if new connections are to cross the links.
    pub(super) const fn is_in_force(&self) -> bool {
        self.in_force
    }

    /// Returns the carrier for a connection that is `carried`.
    pub(super) fn of(&mut self, carried: bool) -> Option<&mut Carrier> {
        self.carrier.as_mut().filter(|_| carried)
    }

    /// Returns the carrier, if there ever was a rule.
    pub(super) const fn carrier(&self) -> Option<&Carrier> {
        self.carrier.as_ref()
    }

    /// Lets connections cross the links, and makes these if they are not there yet. Returns true if
    /// connections crossed them before.
    pub(super) fn put_in_force(&mut self, make: impl FnOnce() -> Carrier, observed: bool) -> bool {
        let carrier = self.carrier.get_or_insert_with(make);
        if observed {
            carrier.tell_arrivals();
        }
        std::mem::replace(&mut self.in_force, true)
    }

    /// Lets connections leave the links, and returns the carrier if there is one.
    pub(super) const fn put_out_of_force(&mut self) -> Option<&mut Carrier> {
        self.is_emptying |= std::mem::replace(&mut self.in_force, false);
        self.carrier.as_mut()
    }

    /// Returns true while connections may still be in links that are not in force.
    pub(super) const fn is_emptying(&self) -> bool {
        self.is_emptying && !self.in_force
    }

    /// Notes that no connection is in the links any more.
    pub(super) const fn emptied(&mut self) {
        self.is_emptying = false;
    }

    /// Returns how many sides of connections are not read now for want of room.
    pub(super) fn waiting(&self, connections: &Connections) -> usize {
        let waits = |(index, id, direction): &&(usize, u32, Direction)| {
            let connection = connections.get(*index).filter(|connection| connection.id == *id);
            let end = connection.and_then(|connection| connection.writer(*direction));
            end.is_some_and(End::is_starved)
        };
        self.starved.iter().filter(waits).count()
    }

    /// Lets cross traffic go on up to `now`, and returns when something is due.
    pub(super) fn keep_up(&mut self, now: Instant) -> Option<Instant> {
        let starved = (!self.starved.is_empty()).then(|| now + STARVED_RETRY);
        let kept_up = self.carrier.as_mut().and_then(|carrier| carrier.keep_up(now));
        let due = self.carrier.as_ref().and_then(Carrier::deadline);
        [due, starved, kept_up].into_iter().flatten().min()
    }

    /// Returns true if nothing is in the links.
    pub(super) fn is_drained(&self) -> bool {
        self.carrier.as_ref().is_none_or(Carrier::is_drained)
    }

    /// Writes the fates down that were collected.
    pub(super) fn settle(
        &mut self,
        released: Instant,
        accounts: &mut [Account; 2],
        sinks: &mut Sinks,
    ) {
        let Some(carrier) = &self.carrier else { return };
        for (direction, crossed) in self.crossed.drain(..) {
            let account = &mut accounts[direction.index()];
            match crossed {
                Crossed::In(packet) => account.arrive(&packet, sinks),
                Crossed::Out(output) => {
                    let (link, fate) = (carrier.link(direction), Fate::of(&output));
                    account.settle(link, output.packet(), fate, released, sinks);
                }
            }
        }
        for (direction, packet) in self.discards.drain(..) {
            accounts[direction.index()].discard(carrier.link(direction), &packet, released, sinks);
        }
    }

    /// Takes all that is due out of the links when there are no connections any more, and writes
    /// the fates down.
    pub(super) fn empty(&mut self, turn: &mut Turn, accounts: &mut [Account; 2]) {
        let due = |carrier: &mut Carrier| carrier.poll(turn.now);
        while let Some(event) = self.carrier.as_mut().and_then(due) {
            match event {
                Event::Packet(direction, output) => {
                    self.crossed.push((direction, Crossed::Out(output)));
                }
                Event::Arrived(direction, packet) => {
                    self.crossed.push((direction, Crossed::In(packet)));
                }
                Event::Discarded(direction, packet) => self.discards.push((direction, *packet)),
                _ => {}
            }
        }
        self.settle(turn.reactor.now(), accounts, &mut turn.sinks);
    }
}
