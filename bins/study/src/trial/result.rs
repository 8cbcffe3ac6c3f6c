//! The outcome of a trial, in the terms of its row: the same words for real sockets and for virtual
//! time.

use super::Trial;
use crate::rows::{Row, goodput_bps};
use jostle_common::statistics::RoundTripMs;
use jostle_common::statistics::RoundTrips;
use jostle_endpoints::protocol::file::{ChunkFate, ChunkState, intact_bytes};
use jostle_endpoints::protocol::messages::{self, Message, SessionReport};
use jostle_endpoints::protocol::ping;
use std::time::Duration;

/// The fate of a file.
#[derive(Clone, Debug, Default)]
pub struct FileResult {
    /// Its size in bytes.
    pub size: u64,
    /// The time that it took, or until it was given up.
    pub elapsed: Duration,
    /// True if the received bytes are the file; `None` when nothing arrived.
    pub equal: Option<bool>,
    /// The fate of each chunk.
    pub chunks: Vec<ChunkState>,
    /// Copies beyond each chunk's first, where they were counted.
    pub doubled: Option<u64>,
    /// Chunks whose first copy arrived after a later chunk, where they were counted.
    pub late: Option<u64>,
    /// Packets that repeated an earlier one, where the endpoints know.
    pub retransmissions: Option<u64>,
    /// The round trips, where the client measures them.
    pub round_trips: Option<RoundTrips>,
}

impl FileResult {
    /// Writes it into its row.
    pub fn write(&self, row: &mut Row) {
        let of = |state| self.chunks.iter().filter(|chunk| **chunk == state).count() as u64;
        let cells = self.chunks.iter().map(|&state| ChunkFate { state, ..ChunkFate::default() });
        write_time(row, self.elapsed, intact_bytes(self.size, cells));
        row.digest_equal = self.equal;
        row.intact = Some(of(ChunkState::Intact));
        row.missing = Some(of(ChunkState::Missing));
        row.damaged = Some(of(ChunkState::Damaged));
        (row.doubled, row.late) = (self.doubled, self.late);
        row.retransmissions = self.retransmissions;
        row.rtt_ms = self.round_trips.as_ref().map(RoundTripMs::from);
    }
}

impl Trial {
    /// Writes what came of its pings into their row: a request is intact when it was answered, and
    /// damaged when nothing but a damaged answer came. Requests that were never begun are missing.
    pub fn write_ping(&self, row: &mut Row, report: &ping::PingReport) {
        write_time(row, report.elapsed(), report.answered * self.size().bytes());
        let silent = self.count().saturating_sub(report.answered);
        let damaged = report.damaged.min(silent);
        row.intact = Some(report.answered);
        row.damaged = Some(damaged);
        row.missing = Some(silent - damaged);
        (row.doubled, row.late) = (Some(report.doubled), Some(report.late));
        row.retransmissions = Some(report.sent - report.requests);
        row.rtt_ms = Some(RoundTripMs::from(&report.round_trips));
    }

    /// Writes what came of its messages into their row. `taken` is what the server delivered,
    /// `session` what it counted: `doubled` are whole lines of messages that had been delivered
    /// before.
    pub fn write_messages(
        &self,
        row: &mut Row,
        report: &messages::MessagesReport,
        taken: &Taken,
        session: &SessionReport,
    ) {
        write_time(row, report.elapsed(), taken.intact * self.size().bytes());
        let absent = self.count().saturating_sub(taken.intact);
        let damaged = taken.strange.min(absent);
        row.intact = Some(taken.intact);
        row.damaged = Some(damaged);
        row.missing = Some(absent - damaged);
        row.doubled = Some(session.doubled);
        row.retransmissions = Some(report.resends);
        row.rtt_ms = Some(RoundTripMs::from(&report.round_trips));
    }
}

/// The messages of a trial that a server delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Messages that came in their turn, as they were sent.
    pub intact: u64,
    /// All others.
    pub strange: u64,
}

impl Taken {
    /// Takes the next message.
    pub fn take(&mut self, trial: &Trial, message: &Message) {
        let number = self.intact + self.strange;
        if message.sequence == number
            && number < trial.count()
            && message.bytes == trial.message(number)
        {
            self.intact += 1;
        } else {
            self.strange += 1;
        }
    }

    /// Returns true if every message was delivered once and in order, and nothing else.
    pub fn is_whole(&self, trial: &Trial) -> bool {
        self.intact == trial.count() && self.strange == 0
    }
}

fn write_time(row: &mut Row, elapsed: Duration, bytes: u64) {
    row.seconds = (!elapsed.is_zero()).then_some(elapsed.as_secs_f64());
    row.goodput_bps = row.seconds.and_then(|seconds| goodput_bps(bytes, seconds));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Job, Protocol};
    use jostle_common::time::Instant;

    fn trial(protocol: Protocol, count: u64) -> Trial {
        Trial { job: Job::Protocol(protocol), count: Some(count), ..Trial::default() }
    }

    #[test]
    fn a_file_is_counted_in_chunks() {
        use ChunkState::{Damaged, Intact, Missing};
        let result = FileResult {
            size: 3 * 4096 + 5,
            elapsed: Duration::from_secs(2),
            equal: Some(false),
            chunks: vec![Intact, Missing, Damaged, Intact],
            late: Some(1),
            ..FileResult::default()
        };
        let mut row = Trial::default().row();
        result.write(&mut row);
        assert_eq!((row.intact, row.missing, row.damaged), (Some(2), Some(1), Some(1)));
        assert_eq!((row.seconds, row.goodput_bps), (Some(2.0), Some((4096 + 5) * 4)));
        assert_eq!(
            (row.late, row.doubled, row.rtt_ms, row.digest_equal),
            (Some(1), None, None, Some(false))
        );
    }

    #[test]
    fn a_ping_is_counted_in_requests() {
        let trial = trial(Protocol::Ping, 10);
        let mut report = ping::PingReport {
            requests: 9,
            sent: 9,
            answered: 6,
            received: 6,
            damaged: 1,
            late: 2,
            doubled: 3,
            started: Some(Instant::START),
            ended: Some(Instant::START + Duration::from_secs(1)),
            ..ping::PingReport::default()
        };
        let mut row = trial.row();
        trial.write_ping(&mut row, &report);
        assert_eq!((row.intact, row.damaged, row.missing), (Some(6), Some(1), Some(3)));
        assert_eq!((row.late, row.doubled, row.goodput_bps), (Some(2), Some(3), Some(6 * 56 * 8)));
        // Copies of damaged answers are no further requests.
        report.damaged = 20;
        trial.write_ping(&mut row, &report);
        assert_eq!((row.intact, row.damaged, row.missing), (Some(6), Some(4), Some(0)));
    }

    #[test]
    fn messages_are_counted_as_delivered() {
        let trial = trial(Protocol::Messages, 4);
        let mut taken = Taken::default();
        for sequence in 0..3 {
            let bytes =
                if sequence == 1 { "something else".into() } else { trial.message(sequence) };
            taken.take(&trial, &Message { sequence, bytes });
        }
        let mut row = trial.row();
        let session = SessionReport { doubled: 2, ..SessionReport::default() };
        trial.write_messages(&mut row, &messages::MessagesReport::default(), &taken, &session);
        assert_eq!((row.intact, row.damaged, row.missing), (Some(2), Some(1), Some(1)));
        assert_eq!((row.doubled, row.seconds, row.goodput_bps), (Some(2), None, None));
        assert!(!taken.is_whole(&trial));
    }

    #[test]
    fn only_all_messages_once_and_in_order_are_whole() {
        let trial = trial(Protocol::Messages, 3);
        let message = |sequence| Message { sequence, bytes: trial.message(sequence) };
        let taken = |sequences: &[u64]| {
            let mut taken = Taken::default();
            sequences.iter().for_each(|&sequence| taken.take(&trial, &message(sequence)));
            (taken.intact, taken.is_whole(&trial))
        };
        assert_eq!((taken(&[0, 1, 2]), taken(&[0, 1])), ((3, true), (2, false)));
        for wrong in [&[0, 2, 1][..], &[0, 1, 1, 2], &[0, 1, 2, 2], &[0, 1, 2, 3]] {
            assert!(!taken(wrong).1, "{wrong:?}");
        }
    }

    #[test]
    fn made_up_messages_are_no_goodbye_and_no_flipped_bit_cuts_them() {
        use jostle_endpoints::protocol::messages::{GOODBYE, fits};
        let size = Some(jostle_common::units::ByteSize::new(GOODBYE.len() as u64));
        let trial = Trial { size, ..trial(Protocol::Messages, 30) };
        assert_eq!(
            (trial.message(0).as_ref(), trial.message(25).as_ref()),
            (&b"abcde"[..], &b"zabcd"[..])
        );
        for message in (0..30).map(|number| trial.message(number)) {
            assert!(fits(&message) && message != GOODBYE);
            assert!(message.iter().all(|letter| (0..8).all(|bit| letter ^ 1 << bit != b'\n')));
        }
    }
}
