//! What a relay reports of itself.

use super::TcpRelay;
use crate::relay::RelayReport;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::carrier::Carrier;
use jostle_engine::tcp;

impl TcpRelay {
    /// Returns what it did so far.
    pub(super) fn numbers(&self) -> RelayReport {
        let carrier = self.carriage.carrier();
        let waiting = self.carriage.waiting(&self.connections);
        let paused = self.acceptor.paused();
        let asking = self.askings.len();
        let open = self.connections.len() - asking - self.kept.count;
        let mut counts = self.counts.named(open, waiting, paused);
        if self.askings.are_wanted() {
            counts.extend(self.counts.of_asking(asking));
            counts.insert("associations_open", self.kept.count as u64);
        }
        let mut round_trips = None;
        if let Some((senders, trips)) = carrier.and_then(Carrier::senders) {
            round_trips = (trips.count() > 0).then(|| trips.clone());
            let tcp::Counters { segments, retransmissions, timeouts, .. } = senders;
            counts.extend([
                ("segments", segments),
                ("retransmissions", retransmissions),
                ("timeouts", timeouts),
            ]);
        }
        let link = |direction| carrier.map(|carrier| carrier.link(direction).counters());
        RelayReport {
            route: self.route.name.clone(),
            transport: Transport::Tcp,
            links: Direction::BOTH
                .map(|direction| self.accounts[direction.index()].report(link(direction))),
            counts,
            round_trips,
        }
    }
}
