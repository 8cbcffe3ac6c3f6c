//! Poisson arrivals: when the next packet of a stream comes that has no memory.

use jostle_common::chance::{Direction, DrawStream};
use jostle_common::time::Instant;

/// The times of arrivals at a mean rate, the same ones for a seed.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    draws: DrawStream,
    number: u64,
    mean_gap_nanos: f64,
    next: Instant,
}

impl Arrivals {
    /// Begins at `start`, with so many a second.
    pub(crate) fn new(seed: u64, per_second: f64, start: Instant) -> Self {
        let draws = DrawStream::new(seed, "load", Direction::Up, "arrivals");
        let mut arrivals = Self { draws, number: 0, mean_gap_nanos: 1e9 / per_second, next: start };
        arrivals.advance();
        arrivals
    }

    /// Returns the time of the next arrival.
    pub(crate) const fn next(&self) -> Instant {
        self.next
    }

    /// Lets those go by that would have come before `now`: the stream has no memory, so from then
    /// on it is as it was.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.next = now;
        self.advance();
    }

    /// Goes on to the arrival after it.
    pub(crate) fn advance(&mut self) {
        // The 53 bits that a float holds, never 0: gaps are exponential, -ln(u) times their mean.
        let bits = self.draws.draw(self.number, 0, 0).first() >> 11;
        let uniform = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
        self.next = self.next.plus_nanos((-libm::log(uniform) * self.mean_gap_nanos) as u64);
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_and_the_spread_of_a_poisson_stream() {
        let mut arrivals = Arrivals::new(7, 50_000.0, Instant::from_secs(1));
        let mut last = Instant::from_secs(1);
        let (mut sum, mut squares) = (0.0, 0.0);
        const COUNT: u64 = 100_000;
        for _ in 0..COUNT {
            let gap = arrivals.next().since(last).as_nanos() as f64 / 20_000.0;
            (sum, squares) = (sum + gap, squares + gap * gap);
            last = arrivals.next();
            arrivals.advance();
        }
        let mean = sum / COUNT as f64;
        let deviation = (squares / COUNT as f64 - mean * mean).sqrt();
        // Both are 1; four standard errors of the mean are 0.0126, of the deviation 0.018.
        assert!((mean - 1.0).abs() < 0.013, "{mean}");
        assert!((deviation - 1.0).abs() < 0.018, "{deviation}");
    }

    #[test]
    fn what_went_by_is_not_made_up_for() {
        let mut arrivals = Arrivals::new(7, 1_000.0, Instant::START);
        arrivals.resume(Instant::from_secs(9));
        let first = arrivals.next();
        arrivals.advance();
        assert!(first > Instant::from_secs(9) && arrivals.next() > first);
        assert!(arrivals.next() < Instant::from_secs(10));
    }
}
