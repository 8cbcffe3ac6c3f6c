//! A file over a stream.

use super::received::AppendedFolder;
use super::{Cell, Ended};
use crate::rows::Row;
use crate::trial::FileResult;
use jostle_common::time::Instant;
use jostle_endpoints::protocol::file::{TcpFileReceiver, TcpFileReceiverSettings, TcpFileSender};
use jostle_endpoints::protocol::storage::Source;

pub(super) fn run(cell: &Cell<'_>, row: &mut Row) -> Ended {
    let folder = AppendedFolder::new(cell.content);
    // No endpoint gives up on its own: the trial's limit ends it.
    let receiving = TcpFileReceiverSettings { size_max: u64::MAX, idle: None };
    let mut client = TcpFileSender::new(cell.content.clone(), None);
    let mut server = TcpFileReceiver::new(receiving, Instant::START, folder.clone());
    let mut simulation = cell.stream(&mut client, &mut server);
    let outcome = simulation.run(cell.limits(), |_, _| {});
    let senders = simulation.carrier().senders().map(|(senders, trips)| (senders, trips.clone()));
    drop(simulation);
    let received = folder.received();
    let result = FileResult {
        size: cell.content.size(),
        elapsed: outcome.elapsed,
        equal: received.is_equal(),
        chunks: received.chunks(),
        doubled: None,
        late: None,
        retransmissions: senders.as_ref().map(|(senders, _)| senders.retransmissions),
        round_trips: senders.map(|(_, trips)| trips),
    };
    result.write(row);
    Ended::new(outcome, client.outcome().cloned())
}
