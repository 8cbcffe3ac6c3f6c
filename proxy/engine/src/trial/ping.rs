//! Datagrams that come back.

use super::{Cell, Found, Units, ending};
use crate::simulate::SERVER;
use jostle_common::protocol::ping::{Client, Server};
use jostle_common::protocol::reflector::ReflectorSettings;

/// There is no earlier run to be told from.
const RUN: u32 = 1;

pub(super) fn run(cell: &Cell<'_>) -> Found {
    let settings = cell.trial.ping_client(SERVER, RUN);
    let mut client = Client::new(settings);
    let mut server = Server::new(ReflectorSettings::default());
    let outcome = cell.simulate(&mut client, &mut server);
    let (report, result) = client.into_parts();
    let unanswered = cell.trial.count() - report.answered;
    // Whose answer came back damaged cannot be known; it is one of the unanswered, unless a copy of it came whole.
    let damaged = report.damaged.min(unanswered);
    Found {
        outcome,
        ending: ending(result),
        elapsed: report.elapsed(),
        units: Units {
            intact: report.answered,
            missing: unanswered - damaged,
            damaged,
            intact_bytes: report.answered * settings.size as u64,
        },
        digest_equal: None,
        doubled: Some(report.doubled),
        late: Some(report.late),
        retransmissions: Some(report.sent - report.requests),
        round_trips: Some(report.round_trips),
    }
}
