//! A file by stop-and-wait.

use super::received::Appended;
use super::{Cell, Found, ending};
use crate::simulate::SERVER;
use jostle_common::protocol::saw::{Client, Server};

pub(super) fn run(cell: &Cell<'_>) -> Found {
    let mut client = Client::new(cell.trial.saw_client(SERVER), Appended::new(cell.content));
    let mut server = Server::new(cell.content.clone(), None);
    let outcome = cell.simulate(&mut client, &mut server);
    let (report, received, result) = client.into_parts();
    Found {
        outcome,
        ending: ending(result),
        elapsed: report.elapsed(),
        units: received.units(),
        digest_equal: received.is_equal(),
        doubled: Some(report.duplicates),
        late: None,
        retransmissions: Some(report.retransmissions),
        round_trips: Some(report.round_trips),
    }
}
