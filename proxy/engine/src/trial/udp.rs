//! A file in datagrams that nobody repeats.

use super::received::{Inbox, sums};
use super::{Cell, Found, ending};
use crate::simulate::SERVER;
use jostle_common::protocol::file::{Receiver, Sender};

/// There is no other transfer to be told from.
const TRANSFER: u64 = 1;

pub(super) fn run(cell: &Cell<'_>) -> Found {
    let inbox = Inbox::new(cell.content);
    let mut sender = Sender::new(cell.trial.udp_sender(SERVER, TRANSFER), cell.content.clone());
    let mut receiver = Receiver::new(cell.trial.udp_receiver(), inbox.clone());
    let outcome = cell.simulate(&mut sender, &mut receiver);
    let (report, result) = sender.into_parts();
    let arrival = report.arrival;
    let counts = arrival.as_ref().map(|arrival| arrival.counts);
    let states = match &arrival {
        Some(arrival) => arrival.cells.iter().map(|cell| cell.state).collect(),
        None => inbox.states(),
    };
    Found {
        outcome,
        ending: ending(result),
        // Not the exchange about the report, nor the wait for chunks that may have been overtaken: the file is there before.
        elapsed: arrival.map(|arrival| arrival.elapsed).unwrap_or_default(),
        units: sums(cell.content, states.into_iter()),
        digest_equal: inbox.is_equal(),
        doubled: counts.map(|counts| counts.doubled),
        late: counts.map(|counts| u64::from(counts.late)),
        retransmissions: Some(0),
        round_trips: None,
    }
}
