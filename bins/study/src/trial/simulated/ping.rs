//! Datagrams that come back.

use super::{Cell, Ended};
use crate::rows::Row;
use crate::virtual_time::SERVER;
use jostle_common::time::Instant;
use jostle_endpoints::protocol::ping::PingClient;
use jostle_endpoints::protocol::reflector::{Reflector, ReflectorSettings};

/// There is no earlier run to be told from.
const RUN: u32 = 1;

pub(super) fn run(cell: &Cell<'_>, row: &mut Row) -> Ended {
    let mut client = PingClient::new(cell.trial.ping_client(SERVER, RUN));
    let mut server = Reflector::new(ReflectorSettings::default());
    let outcome = cell.simulate(&mut client, &mut server);
    let (mut report, result) = client.into_parts();
    let ended = Ended::new(outcome, result);
    report.ended = Some(report.started.unwrap_or(Instant::START) + ended.elapsed(report.elapsed()));
    cell.trial.write_ping(row, &report);
    ended
}
