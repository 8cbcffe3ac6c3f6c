//! The orders about single connections: telling of them, and ending one.

use super::TcpRelay;
use super::connection::{Progress, RelayedConnection};
use crate::flow::{FLOWS_PER_PAGE, FlowId, FlowPage, FlowState};
use crate::relay::Ending;
use crate::turn::Turn;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;

impl TcpRelay {
    /// Returns a page of the connections whose numbers are larger than `after`.
    pub(super) fn page(&self, after: u32, now: Instant) -> FlowPage {
        let (found, more) = self.connections.lowest(after, FLOWS_PER_PAGE);
        let next = found.last().filter(|_| more).map(|(id, _)| *id);
        let flows = found.iter().filter_map(|(_, index)| self.state_at(*index as usize, now));
        FlowPage { flows: flows.collect(), next }
    }

    /// Returns the connection with this number.
    pub(super) fn state(&self, id: u32, now: Instant) -> Option<FlowState> {
        self.state_at(self.connections.place(id)?, now)
    }

    fn state_at(&self, index: usize, now: Instant) -> Option<FlowState> {
        let connection = self.connections.get(index).filter(is_going_on)?;
        let &RelayedConnection { id, .. } = connection;
        let carrier = self.carriage.carrier().filter(|_| connection.carried);
        Some(FlowState {
            id: FlowId { number: id, transport: Transport::Tcp },
            client: connection.client_address(),
            target: connection.request().map(|request| request.target.clone()),
            upstream: connection.upstream_address(),
            age: now.since(connection.since),
            idle: now.since(connection.last),
            counts: connection.counts(),
            local: None,
            rebinds: 0,
            round_trip: carrier.and_then(|carrier| carrier.round_trip(id)),
        })
    }

    /// Ends the connection with this number towards both sides. Returns false if there is none, or
    /// it is ending already.
    pub(super) fn end(&mut self, id: u32, ending: Ending, turn: &mut Turn) -> bool {
        let Some(index) = self.connections.place(id) else { return false };
        let Some(connection) = self.connections.get(index).filter(is_going_on) else {
            return false;
        };
        if let Some(carrier) = self.carriage.of(connection.carried) {
            carrier.abandon(turn.now, id);
        }
        match ending {
            Ending::Close => {
                self.counts.closed_by_hand += 1;
                self.close_gently(index, turn);
                // One that does not take what it was handed is not waited for.
                self.let_linger(index, id, turn);
            }
            Ending::Reset => {
                self.counts.reset_by_hand += 1;
                self.give_up(index, turn);
            }
        }
        true
    }
}

/// Returns true unless a connection is about to be gone, and its number with it.
fn is_going_on(connection: &&RelayedConnection) -> bool {
    connection.progress != Progress::Closing
}
