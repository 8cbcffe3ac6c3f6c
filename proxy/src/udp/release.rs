//! The way out: from the link to the sockets, and then each datagram's fate.

use super::UdpRelay;
use super::send::{Way, send};
use crate::fate::{Fate, Loss};
use crate::lane::Lane;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::stage::Output;

/// The outputs for which memory is kept from one pass to the next: many routes have had a burst, and
/// few have one.
const OUTPUTS_KEPT: usize = 1024;

impl UdpRelay {
    /// Sends what a link has let go, in its order, and then writes each one's fate down.
    pub(super) fn flush(&mut self, direction: Direction, turn: &mut Turn) {
        let mut outputs = std::mem::take(&mut self.lanes[direction.index()].outputs);
        if !outputs.is_empty() {
            let mut rest = outputs.as_slice();
            while let Some((before, behind)) = self.split_at_rebinding(direction, rest) {
                self.let_out(direction, before, turn);
                self.rebind_due(behind[0].packet().at, turn);
                rest = behind;
            }
            self.let_out(direction, rest, turn);
            outputs.clear();
            outputs.shrink_to(OUTPUTS_KEPT);
            self.fates.shrink_to(OUTPUTS_KEPT);
        }
        self.lanes[direction.index()].outputs = outputs;
    }

    /// Parts what leaves before the next change of a flow's socket from what leaves behind it, if
    /// there is such a thing.
    fn split_at_rebinding<'a>(
        &self,
        direction: Direction,
        outputs: &'a [Output],
    ) -> Option<(&'a [Output], &'a [Output])> {
        if direction == Direction::Down {
            return None;
        }
        let change = self.rebinding.deadline()?;
        let before = outputs.partition_point(|output| output.packet().at < change);
        let parts = outputs.split_at(before);
        (!parts.1.is_empty()).then_some(parts)
    }

    /// Sends outputs, and writes down what became of each.
    fn let_out(&mut self, direction: Direction, outputs: &[Output], turn: &mut Turn) {
        self.stage(direction, outputs, turn.now);
        self.send_staged(direction, outputs, turn);
        let released = turn.reactor.now();
        let Lane { link, account, .. } = &mut self.lanes[direction.index()];
        for (output, &fate) in outputs.iter().zip(&self.fates) {
            let packet = output.packet();
            if fate == Fate::Delivered {
                account.written(packet.size() as usize);
            }
            account.settle(link, packet, fate, released, &mut turn.sinks);
        }
        self.fates.clear();
    }

    /// Notes which datagrams are to be sent, as runs of one flow after the other, and the fates as they
    /// are if nothing happens on the way out.
    fn stage(&mut self, direction: Direction, outputs: &[Output], now: Instant) {
        self.fates.clear();
        // Those of one flow often come in a row, and need be looked for once.
        let mut last: Option<(u32, usize)> = None;
        for (place, output) in outputs.iter().enumerate() {
            let (fate, packet) = (Fate::of(output), output.packet());
            let known = last.filter(|(ordinal, _)| *ordinal == packet.flow);
            let found =
                known.map(|(_, index)| index).or_else(|| self.flows.by_ordinal(packet.flow));
            let Some(index) = found else {
                // A copy can be late for its flow; any packet, if that was closed by hand.
                let orphaned = Fate::Discarded(Loss::Orphaned);
                self.fates.push(if fate == Fate::Delivered { orphaned } else { fate });
                continue;
            };
            if known.is_none() {
                last = Some((packet.flow, index));
                self.flows.touch(index, now);
            }
            let flow = self.flows.get_mut(index).expect("the table of ordinals is exact");
            if packet.copy() == 0 {
                flow.inside -= 1;
            }
            if fate != Fate::Delivered {
                flow.counts[direction.index()].discarded += 1;
                self.fates.push(fate);
                continue;
            }
            if direction == Direction::Down && !flow.is_proved {
                let receiver = flow.client.address;
                if !self.proofs.may_send(receiver.ip(), packet.size().into(), now) {
                    flow.counts[direction.index()].discarded += 1;
                    self.fates.push(Fate::Discarded(Loss::Amplified));
                    self.alarms.tell_of_amplification(&self.route.name, receiver, now);
                    continue;
                }
            }
            self.fates.push(fate);
            self.staged.push(place);
            match self.runs.last_mut() {
                Some((flow, end)) if *flow == index => *end = self.staged.len(),
                _ => self.runs.push((index, self.staged.len())),
            }
        }
    }

    /// Sends what is staged, and corrects the fates of what the system did not take.
    fn send_staged(&mut self, direction: Direction, outputs: &[Output], turn: &mut Turn) {
        // Whoever merges flows at the other end sees them in the link's order: a flow's datagrams go
        // with one call only as far as no other's are between them.
        let (mut start, mut refused) = (0, 0);
        for (index, end) in self.runs.drain(..) {
            let flow = self
                .flows
                .get_mut(index)
                .expect("flows are not closed between staging and sending");
            let way = match direction {
                Direction::Up => {
                    Way { socket: &flow.socket.0, to: flow.peer, source: None, header: &[] }
                }
                Direction::Down => {
                    let listener = self.listeners.get_mut(flow.client.listener);
                    let socket = &listener.expect("it outlives its flows").socket;
                    let (to, source) = (Some(flow.client.address), flow.client.asked);
                    Way { socket, to, source, header: &flow.header }
                }
            };
            let runs = &mut flow.runs[direction.index()];
            let fates = &mut self.fates;
            let mut failed = 0;
            let lost = |place: usize, loss| {
                fates[place] = Fate::Discarded(loss);
                failed += 1;
            };
            let places = &self.staged[start..end];
            refused += send(&*turn.datagrams.outbox, way, outputs, places, runs, lost);
            let counts = &mut flow.counts[direction.index()];
            counts.delivered += places.len() as u64 - failed;
            counts.discarded += failed;
            start = end;
        }
        self.staged.clear();
        self.staged.shrink_to(OUTPUTS_KEPT);
        self.runs.shrink_to(OUTPUTS_KEPT);
        if refused > 0 {
            self.note_refusals(refused, turn);
        }
    }
}
