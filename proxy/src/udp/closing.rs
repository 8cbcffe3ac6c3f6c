//! Closing flows, and the listeners and second sockets that go with them.

use super::flows::Flow;
use super::stray::Stray;
use super::{UdpPart, UdpRelay};
use crate::descriptors::Descriptors;
use crate::observed::FlowEvent;
use crate::reactor::Reactor;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_sys::datagrams_missed;

impl UdpRelay {
    pub(super) fn close(
        &mut self,
        index: usize,
        reactor: &mut Reactor,
        descriptors: &mut Descriptors,
    ) {
        if self.stray.as_ref().is_some_and(|stray| stray.flow == index) {
            self.close_stray(reactor, descriptors);
        }
        for old in self.old.of_flow(index) {
            self.close_old_with(old, reactor);
            descriptors.give(1);
        }
        self.coalescing.forget(UdpPart::Flow(index));
        let Flow { socket: (mut socket, token), ordinal, mut missed, client, .. } =
            self.flows.remove(index);
        let told = datagrams_missed(&socket, self.portable);
        self.lanes[Direction::Down.index()].missed(&mut missed, told);
        self.lanes.iter_mut().for_each(|lane| lane.link.forget(ordinal));
        self.rebinding.forget(ordinal);
        self.closed.push(ordinal);
        reactor.remove(&mut socket, token);
        descriptors.remove_client(Transport::Udp, client.address.ip());
    }

    pub(super) fn close_stray(&mut self, reactor: &mut Reactor, descriptors: &mut Descriptors) {
        if let Some(Stray { mut socket, token, .. }) = self.stray.take() {
            reactor.remove(&mut socket, token);
            descriptors.give(1);
        }
    }

    /// Closes the flows that have been silent for longer than the route's idle time.
    pub(super) fn close_idle(&mut self, turn: &mut Turn) {
        while let Some((index, last)) = self.flows.oldest()
            && last + self.route.flow_idle() <= turn.now
        {
            let flow = self.flows.get_mut(index).expect("it is in the list");
            if flow.inside > 0 {
                // It is not silent: its packets have yet to come out.
                self.flows.touch(index, turn.now);
            } else {
                self.close(index, &mut turn.reactor, &mut turn.descriptors);
                self.counts.idle += 1;
            }
        }
    }

    /// Closes the flows of retired listeners that have nothing inside, and the listeners that have
    /// no flows.
    pub(super) fn close_retired(&mut self, turn: &mut Turn) {
        for listener in self.listeners.retired() {
            let mut left = false;
            for index in self.flows.indices() {
                let flow = self.flows.get_mut(index).expect("it is one of the indices");
                if flow.client.listener != listener {
                    continue;
                }
                if flow.inside > 0 {
                    left = true;
                } else {
                    self.close(index, &mut turn.reactor, &mut turn.descriptors);
                }
            }
            if !left {
                self.count_missed(listener);
                self.listeners.remove(listener);
            }
        }
    }

    /// Tells who observes flows of those that were closed.
    pub(super) fn tell_of_closed(&mut self, turn: &mut Turn) {
        if turn.sinks.are_observers() {
            let account = &self.lanes[Direction::Up.index()].account;
            for ordinal in &self.closed {
                account.observe(*ordinal, turn.now, FlowEvent::Closed, &mut turn.sinks);
            }
        }
        self.closed.clear();
    }
}
