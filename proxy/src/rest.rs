//! The sleep that a loop owes which runs before ordinary programs.
//!
//! A system gives such threads no more than a share, and stops them for the rest of it. Linux stops
//! one for 50 ms after 950 ms: by the bandwidth of real-time threads (`sched_rt_runtime_us`,
//! sched(7)), which since 6.12 only kernels with `CONFIG_RT_GROUP_SCHED` limit, and since then by the
//! fair server, which gives a processor to ordinary threads that have waited for it so long. Many
//! short rests, which others can use, keep both away.

use jostle_common::time::Instant;
use std::time::Duration;

/// The shortest wait that is slept through instead of being spun through for the sake of a rest.
pub(crate) const REST_LEAST: Duration = Duration::from_micros(15);

/// The part of a sleep in which the processor is at work: the thread is put to sleep and woken.
const REST_COST: Duration = Duration::from_micros(10);

/// What may be owed before a rest is due.
const REST_LATER: Duration = Duration::from_micros(100);

/// The most that is owed: work that took all the time is not made up for by sleeping.
const REST_MOST: Duration = Duration::from_millis(1);

/// The sleep that a loop owes: an eighth of the time that it was awake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// The time up to which it is known how long it was awake.
    seen: Instant,
    owed: Duration,
}

impl Rest {
    /// A loop that is awake from now on.
    pub(crate) const fn since(now: Instant) -> Self {
        Self { seen: now, owed: Duration::ZERO }
    }

    /// Returns true if it has been awake for too long, which it was up to `now`.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        self.owed = (self.owed + now.since(self.seen) / 8).min(REST_MOST);
        self.seen = now;
        self.owed > REST_LATER
    }

    /// Notes that it slept from then on.
    pub(crate) fn slept(&mut self, time: Duration) {
        let rested = time.saturating_sub(REST_COST);
        self.owed = self.owed.saturating_sub(rested);
        self.seen += rested;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_rests_when_it_is_due_is_awake_for_eight_ninths_of_the_time() {
        let (mut rest, mut rested) = (Rest::since(Instant::START), 0);
        let (mut now, step) = (Instant::START, Duration::from_micros(10));
        for _ in 0..100_000 {
            now += step;
            if rest.is_due(now) {
                rest.slept(step + REST_COST);
                now += step + REST_COST;
                rested += step.as_micros();
            }
        }
        let total = now.since(Instant::START).as_micros();
        assert!((total * 10 / 91..=total * 10 / 89).contains(&rested), "{rested} of {total}");
        // A long sleep is no reason never to sleep again.
        rest.slept(Duration::from_secs(60));
        now += Duration::from_secs(60);
        assert!(!rest.is_due(now + Duration::from_micros(770)));
        assert!(rest.is_due(now + Duration::from_micros(900)));
        assert!(rest.is_due(now + Duration::from_secs(60)));
        rest.slept(REST_MOST + REST_COST);
        assert_eq!(rest.owed, Duration::ZERO, "no more than so much is made up for");
    }
}
