//! How long before a deadline a loop that sleeps has to be woken.
//!
//! The timer goes off on time, and the thread runs some tens of microseconds later: the processor
//! may have to leave a sleep of its own, which takes the longer the deeper it is. So the margin
//! follows how late the wake-ups are that the loop has seen; one in a hundred may be later.

use std::time::Duration;

/// How many times the least margin it may be.
const MOST: u32 = 4;

/// The step up with each wake-up that was later than the margin. Down it goes by a hundredth of it
/// with each that was not: in balance one in a hundred is later.
const UP: Duration = Duration::from_nanos(10_000);
const DOWN: Duration = Duration::from_nanos(UP.as_nanos() as u64 / 99);

/// The time before a deadline at which a loop is woken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Margin {
    /// What it is at least.
    least: Duration,
    now: Duration,
}

impl Margin {
    /// A margin of at least so much; none at all of zero.
    pub(crate) const fn new(least: Duration) -> Self {
        Self { least, now: least }
    }

    /// Returns the time before a deadline at which to wake.
    pub(crate) const fn get(self) -> Duration {
        self.now
    }

    /// Notes how late the loop woke by its timer.
    pub(crate) fn note(&mut self, late: Duration) {
        let most = self.least * MOST;
        self.now = if late > most {
            // Then another thread had the processor: no margin is of any use against that.
            self.now
        } else if late > self.now {
            (self.now + UP).min(most)
        } else {
            self.now.saturating_sub(DOWN).max(self.least)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::{Direction, DrawStream};

    const LEAST: Duration = Duration::from_micros(50);

    /// Takes so many wake-ups, evenly late up to `most`, and returns the margin.
    fn after(margin: &mut Margin, most: Duration, wake_ups: u64) -> Duration {
        let draws = DrawStream::new(7, "test", Direction::Up, "late");
        for number in 0..wake_ups {
            let nanos = draws.draw(number, 0, 0).first() % most.as_nanos() as u64;
            margin.note(Duration::from_nanos(nanos));
        }
        margin.get()
    }

    #[test]
    fn one_wake_up_in_a_hundred_is_later_than_the_margin() {
        let most = Duration::from_micros(150);
        let mut margin = Margin::new(LEAST);
        let shares: Vec<_> = (0..50).map(|_| after(&mut margin, most, 200)).collect();
        // 148.5 µs, give or take what the last step did.
        let mean = shares[10..].iter().sum::<Duration>() / 40;
        assert!((140..=155).contains(&mean.as_micros()), "{mean:?}");
    }

    #[test]
    fn it_falls_again_and_never_below_the_least() {
        let mut margin = Margin::new(LEAST);
        assert!(after(&mut margin, Duration::from_micros(150), 500) > 2 * LEAST);
        assert_eq!(after(&mut margin, Duration::from_micros(40), 2_000), LEAST);
    }

    #[test]
    fn it_has_a_bound_and_learns_nothing_from_other_programs() {
        let mut margin = Margin::new(LEAST);
        for _ in 0..1_000 {
            margin.note(Duration::from_millis(4));
        }
        assert_eq!(margin.get(), LEAST);
        for _ in 0..1_000 {
            margin.note(LEAST * MOST);
            assert!(margin.get() <= LEAST * MOST);
        }
        assert!(margin.get() > LEAST * MOST - UP);
    }

    #[test]
    fn who_never_spins_has_none() {
        let mut margin = Margin::new(Duration::ZERO);
        (0..100).for_each(|_| margin.note(Duration::from_micros(30)));
        assert_eq!(margin.get(), Duration::ZERO);
    }
}
