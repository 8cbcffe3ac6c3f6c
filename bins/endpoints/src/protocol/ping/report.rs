//! The events and results of a client: each answer and each silence, their sums, and the reason of
//! a failure.

use crate::protocol::jitter::Jitter;
use jostle_common::ecn::Ecn;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// An event of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingEvent {
    /// Its answer came, the first or another one.
    Answer {
        /// The request, from 1.
        number: u64,
        /// The attempt at it, from 1.
        attempt: u32,
        /// From sending it until now.
        round_trip: Duration,
        /// What its IP header said of congestion.
        ecn: Ecn,
        /// True if its timeout had passed.
        late: bool,
        /// True if it had been answered before.
        doubled: bool,
    },
    /// Its timeout passed.
    Silence {
        /// The request.
        number: u64,
        /// The attempt at it.
        attempt: u32,
        /// The time for which it was waited for.
        timeout: Duration,
        /// True if the request is tried again.
        again: bool,
    },
    /// Something came back with a wrong CRC; the request that it answered cannot be known.
    Damaged {
        /// Its length in bytes.
        size: usize,
    },
}

/// The counts of a client so far. Sent = received + lost + waiting, and they count datagrams, not
/// requests.
#[derive(Clone, Debug, Default)]
pub struct PingReport {
    /// Requests begun.
    pub requests: u64,
    /// Requests of which an attempt was answered, in time or late.
    pub answered: u64,
    /// Datagrams sent: requests and retries.
    pub sent: u64,
    /// Datagrams whose answer came.
    pub received: u64,
    /// Of those, how many said what of congestion, by the bits of the code point.
    pub said: [u64; 4],
    /// Of those, answers that came when their timeout had passed.
    pub late: u64,
    /// Further answers to the same datagram.
    pub doubled: u64,
    /// Datagrams that came back with a wrong CRC; what they answered counts as lost.
    pub damaged: u64,
    /// Datagrams that were whole and answered nothing that is remembered.
    pub ignored: u64,
    /// Times that the network said that nothing listens.
    pub refused: u64,
    /// Datagrams without an answer whose timeout has not passed.
    pub waiting: u64,
    /// The round trips of the received.
    pub round_trips: RoundTrips,
    /// The jitter: how much they change from one to the next.
    pub jitter: Jitter,
    /// The time at which the first datagram was sent.
    pub started: Option<Instant>,
    /// The time at which the last answer came, or the client gave up.
    pub ended: Option<Instant>,
    /// Events that were not taken in time.
    pub untold: u64,
}

impl PingReport {
    /// Returns the number of datagrams that were not answered in time, nor late.
    pub const fn lost(&self) -> u64 {
        self.sent - self.received - self.waiting
    }

    /// Returns the share of lost datagrams among those whose fate is known; `None` of none.
    pub fn loss(&self) -> Option<f64> {
        let known = self.sent - self.waiting;
        (known > 0).then(|| self.lost() as f64 / known as f64)
    }

    /// Returns the number of datagrams whose answer said this of congestion.
    pub const fn said(&self, ecn: Ecn) -> u64 {
        self.said[ecn.bits() as usize]
    }

    /// Returns the time from the first datagram to the end.
    pub fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_default().since(self.started.unwrap_or_default())
    }
}

/// The reason why a client failed. Loss is a result, not a failure, as long as anything comes
/// back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PingFailure {
    /// Nothing listens where the server should be.
    #[error("connection refused: no server listens at {0}")]
    Refused(SocketAddr),
    /// Nothing came back.
    #[error("no answer from {server} to {sent} datagrams")]
    Silence {
        /// The server that was asked.
        server: SocketAddr,
        /// The number of datagrams that were sent.
        sent: u64,
    },
}
