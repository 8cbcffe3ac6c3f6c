//! A link that works and fails by turns: spans of time, fixed or drawn, that depend on the seed and on nothing that passes.

use crate::source::{Origin, Source};
use jostle_common::profile::Outage;
use jostle_common::time::{Instant, nanos};
use std::time::Duration;

/// Alternating spans of time in which something is up or down.
#[derive(Debug)]
pub(crate) struct Sojourns {
    source: Source,
    mean: Means,
    random: bool,
    /// The span looked at last.
    index: u64,
    is_up: bool,
    end: Instant,
}

/// How long the spans are, on average if they are drawn, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Means {
    up: u64,
    down: u64,
}

impl Sojourns {
    /// The spans of an outage, which begin with one that is up. Drawn spans are exponential.
    pub(crate) fn starting_up(outage: &Outage, origin: Origin) -> Self {
        let mean = Means { up: nanos(outage.up), down: nanos(outage.down) };
        Self::new(origin, mean, outage.random, true)
    }

    /// Drawn spans in their stationary state: at the start it is down with the probability down/(up + down). An exponential span that has
    /// begun before has as much before it as a new one.
    pub(crate) fn stationary(up: Duration, down: Duration, origin: Origin) -> Self {
        let mean = Means { up: nanos(up), down: nanos(down) };
        // The first span's length takes the first half of its draw, so the second is free.
        let uniform = origin.source.draw_at(0).second() as f64 / 18_446_744_073_709_551_616.0;
        let is_up = uniform * (mean.up as f64 + mean.down as f64) >= mean.down as f64;
        Self::new(origin, mean, true, is_up)
    }

    fn new(origin: Origin, mean: Means, random: bool, is_up: bool) -> Self {
        let Origin { source, epoch } = origin;
        let mut sojourns = Self { source, mean, random, index: 0, is_up, end: epoch };
        sojourns.end = epoch.plus_nanos(sojourns.length());
        sojourns
    }

    /// Whether it is up at `at`, which never goes back, and when that ends.
    pub(crate) fn at(&mut self, at: Instant) -> (bool, Instant) {
        if at >= self.end && !self.random {
            // Whole rounds are skipped at once.
            let round = self.mean.up.saturating_add(self.mean.down);
            let rounds = (at.as_nanos() - self.end.as_nanos()) / round;
            self.end = self.end.plus_nanos(rounds * round);
        }
        // Time ends where it saturates.
        while at >= self.end && self.end.as_nanos() < u64::MAX {
            self.index += 1;
            self.is_up = !self.is_up;
            self.end = self.end.plus_nanos(self.length());
        }
        (self.is_up, self.end)
    }

    /// The length of the span at hand, at least a nanosecond.
    fn length(&self) -> u64 {
        let mean = if self.is_up { self.mean.up } else { self.mean.down };
        if !self.random {
            return mean.max(1);
        }
        // 2^-53 · (k + ½): never 0, whose logarithm is none.
        let uniform =
            ((self.source.draw_at(self.index).first() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
        ((-libm::log(uniform) * mean as f64) as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::{Direction, Stream};

    fn origin(seed: u64) -> Origin {
        Origin::of_link(Stream::new(seed, "test", Direction::Up, "outage"))
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn fixed_spans_alternate_also_behind_a_long_silence() {
        let at = |millis: u64| {
            let outage = Outage { up: 3 * MS, down: 2 * MS, random: false, hold: false };
            let origin = Origin { epoch: Instant::START + 10 * MS, ..origin(1) };
            let mut spans = Sojourns::starting_up(&outage, origin);
            let (is_up, end) = spans.at(Instant::from_millis(millis));
            (is_up, end.as_nanos() / 1_000_000)
        };
        assert_eq!(
            [at(10), at(12), at(13), at(14), at(15)],
            [(true, 13), (true, 13), (false, 15), (false, 15), (true, 18)]
        );
        assert_eq!([at(1_000_000_010), at(1_000_000_014)], [(true, 1_000_000_013), (false, 1_000_000_015)]);
    }

    #[test]
    fn drawn_spans_have_their_means_and_do_not_depend_on_when_they_are_asked_for() {
        let walk = |step: u64| {
            let mut spans = Sojourns::stationary(30 * MS, 10 * MS, origin(2));
            (0..2_000_000u64 / step)
                .map(|index| spans.at(Instant::from_millis(index * step)).0)
                .collect::<Vec<_>>()
        };
        let fine = walk(1);
        assert!(walk(500).iter().zip(fine.iter().step_by(500)).all(|(coarse, fine)| coarse == fine));
        // 50,000 rounds of 40 ms: the share of time has an sd of about sqrt(2·30²·10²/40⁴/50000)·… < 0.2 %.
        let down = fine.iter().filter(|is_up| !**is_up).count() as f64 / fine.len() as f64;
        assert!((0.243..0.257).contains(&down), "{down}");
    }

    #[test]
    fn the_stationary_state_at_the_start_is_down_in_its_share_of_runs() {
        let down =
            (0..20_000).filter(|seed| !Sojourns::stationary(30 * MS, 10 * MS, origin(*seed)).is_up).count();
        // 5,000 expected, sd 61; four of them.
        assert!((4756..=5244).contains(&down), "{down}");
    }
}
