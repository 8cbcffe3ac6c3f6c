//! What a client tells: acknowledged messages, its counts, and the reason of a failure.

use bytes::Bytes;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::time::Duration;

/// The reason why not every message was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessagesFailure {
    /// No `ACK` came for too long.
    #[error("no ACK for message {sequence} for {} s, sent {sends} times: it may have been \
             delivered or not", .silence.as_secs())]
    Silence {
        /// The message in flight.
        sequence: u64,
        /// The time for which it was in flight.
        silence: Duration,
        /// The number of times that it was sent.
        sends: u32,
    },
    /// The connection ended.
    #[error("the connection ended before every message was acknowledged{}", doubt(*.in_doubt))]
    Ended {
        /// The message in flight, of which it is unknown here whether it was delivered.
        in_doubt: Option<u64>,
    },
}

fn doubt(sequence: Option<u64>) -> String {
    sequence.map_or_else(String::new, |sequence| {
        format!("; message {sequence} was in flight and may have been delivered or not")
    })
}

/// A message whose `ACK` has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its number.
    pub sequence: u64,
    /// The bytes of the message.
    pub message: Bytes,
    /// The number of times that it was sent.
    pub sends: u32,
    /// From its first sending to its `ACK`.
    pub elapsed: Duration,
}

/// The counts of a client so far. Every line that came is in one of `acks`, `nacks` and `damaged`.
#[derive(Clone, Debug, Default)]
pub struct MessagesReport {
    /// Messages whose `ACK` has come, the goodbye not counted.
    pub acknowledged: u64,
    /// True if the goodbye's `ACK` has come.
    pub goodbye_acknowledged: bool,
    /// Lines sent.
    pub sent: u64,
    /// Of those, lines that repeated a message.
    pub resends: u64,
    /// Resends because no reply came in time.
    pub timeouts: u64,
    /// `ACK`s that came.
    pub acks: u64,
    /// `NACK`s that came.
    pub nacks: u64,
    /// Of both, those about a message that had been acknowledged before.
    pub stale: u64,
    /// Of both, those about a message that was not sent yet.
    pub senseless: u64,
    /// Lines with a wrong checksum, or that are no reply.
    pub damaged: u64,
    /// The round trips of messages that were sent once: of others it is unknown which copy was
    /// answered (Karn's rule).
    pub round_trips: RoundTrips,
    /// The time at which the first line was sent.
    pub started: Option<Instant>,
    /// The time at which it ended.
    pub ended: Option<Instant>,
}

impl MessagesReport {
    /// Returns the time from the first line to the end.
    pub fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_default().since(self.started.unwrap_or_default())
    }
}
