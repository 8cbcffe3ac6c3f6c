//! HyStart: leaves slow start before the queue overflows (Ha and Rhee, "Taming the elephants",
//! Computer Networks 55, 2011).
//!
//! Two signs that the path is full, each per round: acknowledgements come as one train longer than
//! half a round trip, or the round-trip time has grown by an eighth. Constants are Linux's.

use jostle_common::time::Instant;

/// Below this window there is nothing to tame.
const WINDOW_LEAST: u32 = 16;

/// Samples per round whose minimum is the round's delay.
const SAMPLES: u32 = 8;

/// Growth of the delay that ends slow start: an eighth of the least, within these bounds, in
/// nanoseconds.
const DELAY_GROWTH: (u64, u64) = (4_000_000, 16_000_000);

/// The longest gap within a train of acknowledgements, in nanoseconds.
const TRAIN_GAP: u64 = 2_000_000;

/// The time by which a train may be longer because receivers collect segments: that of four of
/// them, of 64 KiB, at most 1 ms.
const TRAIN_SLACK_MAX: u64 = 1_000_000;
const TRAIN_SLACK_BYTES: u64 = 4 * 65_536;

/// The watch over one slow start.
#[derive(Clone, Debug, Default)]
pub(super) struct HyStart {
    found: bool,
    /// The time at which the round began, and the offset whose acknowledgement ends it.
    round: Option<(Instant, u64)>,
    last_ack: Instant,
    /// The least round-trip time in this round.
    round_rtt: Option<u64>,
    samples: u32,
}

/// The facts known when an acknowledgement comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) now: Instant,
    /// Everything before this offset has arrived.
    pub(super) acknowledged: u64,
    /// The first offset that was never sent.
    pub(super) next: u64,
    /// The round-trip time of the latest segment that arrived, in nanoseconds.
    pub(super) rtt: u64,
    /// The least round-trip time, in nanoseconds.
    pub(super) least_rtt: u64,
    /// Bytes per second at which a sender would pace.
    pub(super) pacing_rate: u64,
}

impl HyStart {
    /// Starts over after a timeout at `now`; all that was sent, up to `next`, is one round.
    pub(super) fn reset(&mut self, now: Instant, next: u64) {
        *self = Self { round: Some((now, next)), last_ack: now, ..Self::default() };
    }

    /// Returns true if slow start should end now, at this window. It does so once.
    pub(super) fn handle_ack(&mut self, window: u32, sight: &Sight) -> bool {
        if self.found {
            return false;
        }
        // Rounds are counted below the least window too, so that they begin with the first
        // acknowledgement of a flight.
        let began = match self.round {
            Some((began, end)) if sight.acknowledged <= end => began,
            _ => self.begin_round(sight),
        };
        if window < WINDOW_LEAST {
            return false;
        }
        // Both keep account of every acknowledgement, so neither is skipped.
        self.found = self.train_is_long(began, sight) | self.delay_has_grown(sight);
        self.found
    }

    fn begin_round(&mut self, sight: &Sight) -> Instant {
        self.round = Some((sight.now, sight.next));
        self.last_ack = sight.now;
        self.round_rtt = None;
        self.samples = 0;
        sight.now
    }

    fn train_is_long(&mut self, began: Instant, sight: &Sight) -> bool {
        // After a pause the acknowledgements are no longer of the round's train.
        if sight.now.as_nanos() - self.last_ack.as_nanos() > TRAIN_GAP {
            return false;
        }
        self.last_ack = sight.now;
        let slack = TRAIN_SLACK_BYTES.saturating_mul(1_000_000_000) / sight.pacing_rate.max(1);
        // A train as long as one way of the path, half a round trip, has filled it.
        let limit = (sight.least_rtt + slack.min(TRAIN_SLACK_MAX)) / 2;
        sight.now.as_nanos() - began.as_nanos() > limit
    }

    fn delay_has_grown(&mut self, sight: &Sight) -> bool {
        let rtt = self.round_rtt.map_or(sight.rtt, |least| least.min(sight.rtt));
        self.round_rtt = Some(rtt);
        if self.samples < SAMPLES {
            self.samples += 1;
            return false;
        }
        rtt > sight.least_rtt + (sight.least_rtt / 8).clamp(DELAY_GROWTH.0, DELAY_GROWTH.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Feeds acknowledgements (milliseconds, round-trip time in milliseconds) of one round; returns
    /// the index of the one that ends slow start.
    fn ended(acks: &[(u64, u64)], window: u32) -> Option<usize> {
        let mut watch = HyStart::default();
        acks.iter().position(|(at, rtt)| {
            let sight = Sight {
                now: Instant::from_millis(*at),
                acknowledged: 1,
                next: 1_000_000,
                rtt: rtt * MS,
                least_rtt: 100 * MS,
                pacing_rate: 1_000_000,
            };
            watch.handle_ack(window, &sight)
        })
    }

    #[test]
    fn a_train_of_half_a_round_trip_ends_slow_start() {
        let train: Vec<(u64, u64)> = (0..80).map(|ack| (ack, 100)).collect();
        // (100 ms + 1 ms)/2 = 50.5 ms.
        assert_eq!(ended(&train, 16), Some(51));
        assert_eq!(ended(&train, 15), None);
        let gaps: Vec<(u64, u64)> = (0..80).map(|ack| (ack * 3, 100)).collect();
        assert_eq!(ended(&gaps, 16), None);
    }

    #[test]
    fn grown_delay_ends_slow_start_after_eight_samples() {
        // The threshold is 100/8 = 12.5 ms.
        let grown: Vec<(u64, u64)> = (0..20).map(|ack| (ack * 3, 113)).collect();
        assert_eq!(ended(&grown, 16), Some(8));
        let less: Vec<(u64, u64)> = (0..20).map(|ack| (ack * 3, 112)).collect();
        assert_eq!(ended(&less, 16), None);
    }

    #[test]
    fn each_round_counts_anew() {
        let mut watch = HyStart::default();
        for round in 0..10u64 {
            for ack in 0..40 {
                let sight = Sight {
                    now: Instant::from_millis(round * 100 + ack),
                    acknowledged: round * 10 + 1,
                    next: round * 10 + 10,
                    rtt: 100 * MS,
                    least_rtt: 100 * MS,
                    pacing_rate: 1_000_000,
                };
                assert!(!watch.handle_ack(100, &sight), "round {round}, acknowledgement {ack}");
            }
        }
    }
}
