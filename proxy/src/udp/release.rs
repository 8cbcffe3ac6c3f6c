//! The way out: from the link to the sockets, and then each datagram's fate.

use super::UdpRelay;
use super::send::{Way, send};
use crate::fate::{Fate, Loss};
use crate::lane::Lane;
use crate::turn::{Transmit, Turn};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::stage::Output;

/// The outputs for which memory is kept from one pass to the next: many routes have had a burst, and
/// few have one.
const OUTPUTS_KEPT: usize = 1024;

/// The same for those staged for one flow.
const STAGED_KEPT: usize = 64;

impl UdpRelay {
    /// Sends what a link has let go, by flow, and then writes each one's fate down.
    pub(super) fn flush(&mut self, direction: Direction, turn: &mut Turn) {
        let mut outputs = std::mem::take(&mut self.lanes[direction.index()].outputs);
        if !outputs.is_empty() {
            self.stage(&outputs, turn.now);
            self.send_staged(direction, &outputs, &*turn.datagrams.outbox);
            let released = turn.reactor.now();
            let Lane { link, account, .. } = &mut self.lanes[direction.index()];
            for (output, &fate) in outputs.iter().zip(&self.fates) {
                let packet = output.packet();
                if fate == Fate::Delivered {
                    account.written(packet.body.size() as usize);
                }
                account.settle(link, packet, fate, released, &mut turn.sinks);
            }
            outputs.clear();
            outputs.shrink_to(OUTPUTS_KEPT);
            self.fates.clear();
            self.fates.shrink_to(OUTPUTS_KEPT);
        }
        self.lanes[direction.index()].outputs = outputs;
    }

    /// Puts each delivered datagram with its flow, and notes the fates as they are if nothing
    /// happens on the way out.
    fn stage(&mut self, outputs: &[Output], now: Instant) {
        self.fates.clear();
        // Those of one flow often come in a row, and need be looked for once.
        let mut last: Option<(u32, usize)> = None;
        for (place, output) in outputs.iter().enumerate() {
            let (fate, packet) = (Fate::of(output), output.packet());
            let known = last.filter(|(ordinal, _)| *ordinal == packet.flow);
            let found =
                known.map(|(_, index)| index).or_else(|| self.flows.by_ordinal(packet.flow));
            let Some(index) = found else {
                // Only a copy can be late for its flow.
                let orphaned = Fate::Discarded(Loss::Orphaned);
                self.fates.push(if fate == Fate::Delivered { orphaned } else { fate });
                continue;
            };
            if known.is_none() {
                last = Some((packet.flow, index));
                self.flows.touch(index, now);
            }
            let flow = self.flows.get_mut(index).expect("the table of ordinals is exact");
            if packet.copy == 0 {
                flow.inside -= 1;
            }
            if fate == Fate::Delivered {
                if flow.staged.is_empty() {
                    self.dirty.push(index);
                }
                flow.staged.push(place);
            }
            self.fates.push(fate);
        }
    }

    /// Sends what is staged, and corrects the fates of what the system did not take.
    fn send_staged(&mut self, direction: Direction, outputs: &[Output], outbox: &dyn Transmit) {
        for index in self.dirty.drain(..) {
            let flow = self
                .flows
                .get_mut(index)
                .expect("flows are not closed between staging and sending");
            let way = match direction {
                Direction::Up => Way { socket: &flow.socket, to: flow.peer, source: None },
                Direction::Down => {
                    let listener = self.listeners.get_mut(flow.client.listener);
                    let socket = &listener.expect("it outlives its flows").socket;
                    Way { socket, to: Some(flow.client.address), source: flow.client.asked }
                }
            };
            let runs = &mut flow.runs[direction.index()];
            let fates = &mut self.fates;
            let lost = |place: usize, loss| fates[place] = Fate::Discarded(loss);
            self.counts.refused += send(outbox, way, outputs, &flow.staged, runs, lost);
            flow.staged.clear();
            flow.staged.shrink_to(STAGED_KEPT);
        }
    }
}
