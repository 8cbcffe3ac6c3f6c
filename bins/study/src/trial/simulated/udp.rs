//! A file in datagrams that are never repeated.

use super::received::Inbox;
use super::{Cell, Ended};
use crate::rows::Row;
use crate::trial::FileResult;
use crate::virtual_time::SERVER;
use jostle_endpoints::protocol::file::{UdpFileReceiver, UdpFileSender};
use jostle_endpoints::protocol::storage::Source;

/// There is no other transfer to be told from.
const TRANSFER: u64 = 1;

pub(super) fn run(cell: &Cell<'_>, row: &mut Row) -> Ended {
    let inbox = Inbox::new(cell.content);
    let mut sender =
        UdpFileSender::new(cell.trial.udp_sender(SERVER, TRANSFER), cell.content.clone());
    let mut receiver = UdpFileReceiver::new(cell.trial.udp_receiver(), inbox.clone());
    let outcome = cell.simulate(&mut sender, &mut receiver);
    let (report, result) = sender.into_parts();
    let ended = Ended::new(outcome, result);
    let arrival = report.arrival;
    let counts = arrival.as_ref().map(|arrival| arrival.counts);
    // Not the exchange about the report, nor the wait for chunks that may have been overtaken: the
    // file is there before.
    let own = arrival.as_ref().map(|arrival| arrival.elapsed).unwrap_or_default();
    let result = FileResult {
        size: cell.content.size(),
        elapsed: ended.elapsed(own),
        equal: inbox.is_equal(),
        chunks: match &arrival {
            Some(arrival) => arrival.cells.iter().map(|cell| cell.state).collect(),
            None => inbox.chunks(),
        },
        doubled: counts.map(|counts| counts.doubled),
        late: counts.map(|counts| u64::from(counts.late)),
        retransmissions: Some(0),
        round_trips: None,
    };
    result.write(row);
    ended
}
