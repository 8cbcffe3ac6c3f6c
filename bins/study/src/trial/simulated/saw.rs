//! A file by stop-and-wait.

use super::received::Appended;
use super::{Cell, Ended};
use crate::rows::Row;
use crate::trial::FileResult;
use crate::virtual_time::SERVER;
use jostle_endpoints::protocol::saw::{SawClient, SawServer};
use jostle_endpoints::protocol::storage::Source;

pub(super) fn run(cell: &Cell<'_>, row: &mut Row) -> Ended {
    let mut client = SawClient::new(cell.trial.saw_client(SERVER), Appended::new(cell.content));
    let mut server = SawServer::new(cell.content.clone(), None);
    let outcome = cell.simulate(&mut client, &mut server);
    let (report, received, result) = client.into_parts();
    let ended = Ended::new(outcome, result);
    let result = FileResult {
        size: cell.content.size(),
        elapsed: ended.elapsed(report.elapsed()),
        equal: received.is_equal(),
        chunks: received.chunks(),
        doubled: Some(report.duplicates),
        late: None,
        retransmissions: Some(report.retransmissions),
        round_trips: Some(report.round_trips),
    };
    result.write(row);
    ended
}
