//! What becomes of segments that arrive at the ends of a connection.

use super::{Answering, Connection, Outlet};
use crate::segment::{Data, Segment};
use crate::tcp::event::Event;
use crate::tcp::handshake::ServerHandshake;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;

/// So many bytes in order are handed out at once; fewer wait until all that is due at their time is
/// done, so that those of segments that arrive together are one piece.
const HAND_OUT: u64 = 256 << 10;

impl Connection {
    /// Takes in a segment that crossed the link of `direction` whole, or the segments of a train one
    /// after the other; marked on their way or not.
    pub(in crate::tcp) fn handle(
        &mut self,
        direction: Direction,
        segments: &Segment,
        marked: bool,
        out: &mut Outlet<'_>,
    ) {
        if segments.count() == 1 {
            return self.handle_segment(direction, segments, marked, out);
        }
        for segment in segments.singles() {
            self.handle_segment(direction, &segment, marked, out);
            // Of a connection that is over nothing is left that the others could reach.
            if self.is_closed() {
                return;
            }
        }
    }

    fn handle_segment(
        &mut self,
        direction: Direction,
        segment: &Segment,
        marked: bool,
        out: &mut Outlet<'_>,
    ) {
        // The end that it reaches is no more.
        if self.is_gone(direction.opposite()) {
            return;
        }
        match (direction, segment) {
            (Direction::Up, Segment::Syn { sent }) => self.handle_syn(*sent, out),
            (Direction::Down, Segment::SynAck { echo, .. }) => self.handle_syn_ack(*echo, out),
            (_, Segment::Data(data)) if self.is_reached(direction, out) => {
                self.handle_data(direction, data, marked, out);
            }
            (_, Segment::Ack(ack)) if self.is_reached(direction, out) => {
                out.record(self.half(direction.opposite()).sender.handle_ack(out.now, ack));
                self.transmit(direction.opposite(), out);
            }
            _ => {}
        }
    }

    fn handle_syn(&mut self, sent: Instant, out: &mut Outlet<'_>) {
        if let Answering::WhenTold { lost, .. } = &mut self.answering
            && matches!(self.server, ServerHandshake::Listening | ServerHandshake::Asked(_))
        {
            if self.server.ask(out.now, sent) {
                *lost = self.client.repetitions();
                out.events.push_back(Event::SynReceived { id: out.id });
            }
            return;
        }
        if self.server.handle_syn(out.now, sent) {
            out.send(Direction::Down, Segment::SynAck { sent: out.now, echo: sent });
        }
    }

    /// Answers the SYN that waits for it. Returns false if none does.
    pub(in crate::tcp) fn accept(&mut self, out: &mut Outlet<'_>) -> bool {
        if self.is_gone(Direction::Down) {
            return false;
        }
        let Some(echo) = self.server.accept(out.now) else { return false };
        if let Answering::WhenTold { lost, unneeded } = &mut self.answering {
            *unneeded = self.client.repetitions().saturating_sub(*lost);
        }
        out.send(Direction::Down, Segment::SynAck { sent: out.now, echo });
        true
    }

    fn handle_syn_ack(&mut self, echo: Instant, out: &mut Outlet<'_>) {
        if let Some(mut repetitions) = self.client.handle_syn_ack() {
            if let Answering::WhenTold { unneeded, .. } = self.answering {
                repetitions -= unneeded.min(repetitions);
                out.events.push_back(Event::Connected { id: out.id });
            }
            let rtt = Some(out.now.as_nanos() - echo.as_nanos());
            out.record(rtt);
            self.half(Direction::Up).sender.start(out.now, rtt, repetitions);
        }
        // A repeated SYN-ACK is acknowledged too: the server may have missed the first answer.
        self.half(Direction::Down).receiver.request_ack();
        self.acknowledge(Direction::Down, out);
        self.transmit(Direction::Up, out);
    }

    /// Returns true if the end that a segment of `direction` reaches is established, if only by
    /// this segment.
    fn is_reached(&mut self, direction: Direction, out: &mut Outlet<'_>) -> bool {
        if direction == Direction::Up
            && let Some((rtt, repetitions)) = self.server.handle_acknowledgement(out.now)
        {
            out.record(rtt);
            self.half(Direction::Down).sender.start(out.now, rtt, repetitions);
            out.events.push_back(Event::Established { id: out.id });
            self.transmit(Direction::Down, out);
        }
        self.is_established(direction.opposite())
    }

    fn handle_data(
        &mut self,
        direction: Direction,
        data: &Data,
        marked: bool,
        out: &mut Outlet<'_>,
    ) {
        let half = self.half(direction);
        half.receiver.handle(out.now, data, marked);
        let waiting = half.receiver.in_order() - half.stream.start();
        let is_complete = half.receiver.is_complete();
        if out.hands_out_each || waiting >= HAND_OUT || is_complete {
            self.hand_out(out.id, direction, out.events);
        } else if waiting > 0 && !std::mem::replace(&mut half.is_ready, true) {
            out.ready.push((out.id, direction));
        }
        if is_complete && !std::mem::replace(&mut self.half(direction).ended, true) {
            out.events.push_back(Event::End { id: out.id, direction });
        }
        self.acknowledge(direction, out);
    }

    /// Takes in the mark of a reset that crossed the link of `direction`.
    pub(in crate::tcp) fn handle_reset(&mut self, direction: Direction, out: &mut Outlet<'_>) {
        // A server that never heard of the connection does not hear of its end. One whose SYNs the
        // shell answers has heard of it with the first of them.
        let is_known = match (direction, self.answering) {
            (Direction::Down, _) => true,
            (Direction::Up, Answering::AtOnce) => self.is_established(Direction::Down),
            (Direction::Up, Answering::WhenTold { .. }) => {
                self.server != ServerHandshake::Listening
            }
        };
        if !self.is_gone(direction.opposite()) && is_known {
            for one in Direction::BOTH {
                self.hand_out(out.id, one, out.events);
            }
            out.events.push_back(Event::Reset { id: out.id, direction });
        }
    }
}
