//! The books of one direction of a relay: where every packet that leaves a link is written down.

use crate::events::{EventLog, Subject};
use crate::lateness::Lateness;
use crate::summary::LinkSummary;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::counters::Counters;
use jostle_engine::link::Link;
use jostle_engine::stage::{Output, Reason};
use std::collections::BTreeMap;

/// What is counted beside the link's own counters.
#[derive(Debug)]
pub(crate) struct Ledger {
    subject: Subject,
    lateness: Lateness,
    /// Datagrams that the kernel dropped before they could be read.
    pub(crate) missed_by_kernel: u64,
    /// Bytes read from the sender.
    pub(crate) bytes_in: u64,
    /// Bytes handed to the receiver's socket.
    pub(crate) bytes_out: u64,
}

impl Ledger {
    pub(crate) fn new(route: &str, protocol: Transport, direction: Direction) -> Self {
        Self {
            subject: Subject { route: route.to_owned(), protocol, direction },
            lateness: Lateness::new(),
            missed_by_kernel: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Writes down a packet that left `link`, and was out of our hands at `released`. Marks leave
    /// no trace.
    pub(crate) fn record(
        &mut self,
        link: &Link,
        output: &Output,
        released: Instant,
        events: &mut EventLog,
    ) {
        let packet = output.packet();
        if packet.is_mark() {
            return;
        }
        if matches!(output, Output::Deliver(_)) {
            self.lateness.record(released.since(packet.at));
        }
        events.record(&self.subject, link, output, released);
    }

    /// The line of the summary, with the link's counters.
    pub(crate) fn summary(&self, counters: &Counters) -> LinkSummary {
        let discarded: BTreeMap<_, _> =
            Reason::ALL.iter().map(|&reason| (reason.name(), counters.discarded(reason))).collect();
        LinkSummary {
            route: self.subject.route.clone(),
            protocol: self.subject.protocol,
            direction: self.subject.direction,
            entered: counters.entered,
            copies: counters.copies,
            delivered: counters.delivered,
            discarded,
            corrupted: counters.corrupted,
            held: counters.held,
            missed_by_kernel: self.missed_by_kernel,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            lateness: self.lateness.summary(),
        }
    }
}
