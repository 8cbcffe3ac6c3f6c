//! A link that works and fails by turns: spans of time, fixed or drawn, that depend on the seed and
//! on nothing that passes.

use super::source::{Origin, Source};
use jostle_common::chance::Draw;
use jostle_common::time::{Instant, nanos};
use std::time::Duration;

/// The number of rounds of drawn spans, on average, that lie between two times at which they are
/// drawn anew: no search for a time is longer.
const BLOCK_ROUNDS: u64 = 1 << 16;

/// Alternating spans of time in which something is up or down.
///
/// Drawn spans come in blocks of time, each with draws of its own and begun in the stationary
/// state. An exponential span that is cut off where a block ends says nothing about what follows,
/// so this shows only in one span of many thousands; and a time far from the start is found without
/// drawing all that went before.
#[derive(Debug)]
pub(crate) struct Sojourns {
    source: Source,
    epoch: Instant,
    mean: Means,
    random: bool,
    /// True if the very first span is up, whatever the draws say.
    starts_up: bool,
    block: u64,
    /// The span looked at last, by its place in its block.
    index: u64,
    is_up: bool,
    end: Instant,
}

/// The lengths of the spans, the mean ones if they are drawn, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Means {
    up: u64,
    down: u64,
}

impl Means {
    const fn round(self) -> u64 {
        let round = self.up.saturating_add(self.down);
        if round == 0 { 1 } else { round }
    }

    const fn block(self) -> u64 {
        self.round().saturating_mul(BLOCK_ROUNDS)
    }
}

impl Sojourns {
    /// Starts with a span that is up. Spans that are drawn are exponential, with these means.
    pub(crate) fn starting_up(up: Duration, down: Duration, random: bool, origin: Origin) -> Self {
        let mean = Means { up: nanos(up), down: nanos(down) };
        Self::new(origin, mean, random, true)
    }

    /// Creates drawn spans in their stationary state: at the start it is down with the probability
    /// down/(up + down). An exponential span that has begun before has as much before it as a new
    /// one.
    pub(crate) fn stationary(up: Duration, down: Duration, origin: Origin) -> Self {
        let mean = Means { up: nanos(up), down: nanos(down) };
        Self::new(origin, mean, true, false)
    }

    fn new(origin: Origin, mean: Means, random: bool, starts_up: bool) -> Self {
        let Origin { source, epoch } = origin;
        let mut sojourns = Self {
            source,
            epoch,
            mean,
            random,
            starts_up,
            block: 0,
            index: 0,
            is_up: true,
            end: epoch,
        };
        if random {
            sojourns.begin_block(0);
        } else {
            sojourns.end = epoch.plus_nanos(sojourns.length());
        }
        sojourns
    }

    /// Returns its state at `at`, which never goes back, as true if it is up, and the time at which
    /// that state ends.
    #[inline]
    pub(crate) fn at(&mut self, at: Instant) -> (bool, Instant) {
        if at >= self.end {
            self.go_to(at);
        }
        (self.is_up, self.end)
    }

    fn go_to(&mut self, at: Instant) {
        if self.random {
            let block = nanos(at.since(self.epoch)) / self.mean.block();
            if block > self.block {
                self.begin_block(block);
            }
        } else {
            // Whole rounds are skipped at once.
            let rounds = (at.as_nanos() - self.end.as_nanos()) / self.mean.round();
            self.end = self.end.plus_nanos(rounds * self.mean.round());
        }
        // Time ends where it saturates.
        while at >= self.end && self.end.as_nanos() < u64::MAX {
            self.index += 1;
            self.is_up = !self.is_up;
            self.end = self.within_block(self.end.plus_nanos(self.length()));
        }
    }

    /// Goes to the first span of a block.
    fn begin_block(&mut self, block: u64) {
        (self.block, self.index) = (block, 0);
        // The first span's length takes the first half of its draw, so the second is free.
        let uniform = self.draw().second() as f64 / 18_446_744_073_709_551_616.0;
        let (up, down) = (self.mean.up as f64, self.mean.down as f64);
        self.is_up = (self.starts_up && block == 0) || uniform * (up + down) >= down;
        let begin = self.epoch.plus_nanos(block.saturating_mul(self.mean.block()));
        self.end = self.within_block(begin.plus_nanos(self.length()));
    }

    /// Cuts the end of a drawn span to that of its block: spans end with it, if not before.
    fn within_block(&self, end: Instant) -> Instant {
        if !self.random {
            return end;
        }
        end.min(self.epoch.plus_nanos(self.mean.block().saturating_mul(self.block + 1)))
    }

    const fn draw(&self) -> Draw {
        self.source.draw_at(self.block << 32 | self.index)
    }

    /// Returns the length of the present span, at least a nanosecond.
    fn length(&self) -> u64 {
        let mean = if self.is_up { self.mean.up } else { self.mean.down };
        if !self.random {
            return mean.max(1);
        }
        // 2^-53 · (k + ½): never 0, whose logarithm is none.
        let uniform = ((self.draw().first() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
        ((-libm::log(uniform) * mean as f64) as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::{Direction, DrawStream};

    fn origin(seed: u64) -> Origin {
        Origin::of_link(DrawStream::new(seed, "test", Direction::Up, "outage"))
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn fixed_spans_alternate_also_behind_a_long_silence() {
        let at = |millis: u64| {
            let origin = Origin { epoch: Instant::START + 10 * MS, ..origin(1) };
            let mut spans = Sojourns::starting_up(3 * MS, 2 * MS, false, origin);
            let (is_up, end) = spans.at(Instant::from_millis(millis));
            (is_up, end.as_nanos() / 1_000_000)
        };
        assert_eq!(
            [at(10), at(12), at(13), at(14), at(15)],
            [(true, 13), (true, 13), (false, 15), (false, 15), (true, 18)]
        );
        assert_eq!(
            [at(1_000_000_010), at(1_000_000_014)],
            [(true, 1_000_000_013), (false, 1_000_000_015)]
        );
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
        assert!(
            walk(500).iter().zip(fine.iter().step_by(500)).all(|(coarse, fine)| coarse == fine)
        );
        // 50,000 rounds of 40 ms: the share of time has an sd of about sqrt(2·30²·10²/40⁴/50000)·…
        // < 0.2 %.
        let down = fine.iter().filter(|is_up| !**is_up).count() as f64 / fine.len() as f64;
        assert!((0.243..0.257).contains(&down), "{down}");
    }

    #[test]
    fn a_time_far_away_is_found_at_once_and_is_the_same_for_all() {
        // A day is 1,300 blocks of spans of a millisecond; asking every ten minutes jumps over
        // most.
        let spans = || Sojourns::stationary(MS, MS / 10, origin(3));
        let mut steady = spans();
        let times = (0..144u64).map(|index| Instant::from_secs(600 * index + 7));
        assert!(times.clone().all(|at| steady.at(at) == spans().at(at)));
        let up = times.filter(|at| spans().at(*at).0).count();
        // 131 expected, sd 3.4.
        assert!((115..=143).contains(&up), "{up}");
    }

    #[test]
    fn spans_that_have_not_been_drawn_anew_are_as_long_as_others() {
        let mut spans = Sojourns::stationary(3 * MS, MS, origin(4));
        let (mut at, mut lengths) = (Instant::START, [(0u64, 0u64); 2]);
        // Four blocks: 65,536 rounds each.
        while at < Instant::from_secs(4 * 262) {
            let (is_up, end) = spans.at(at);
            let sum = &mut lengths[usize::from(is_up)];
            *sum = (sum.0 + 1, sum.1 + nanos(end.since(at)));
            at = end;
        }
        for ((count, sum), mean) in lengths.into_iter().zip([1e6, 3e6]) {
            assert!((260_000..264_500).contains(&count), "{count}");
            // Exponential: sd = mean; four of them.
            let found = sum as f64 / count as f64;
            assert!(
                (found / mean - 1.0).abs() < 4.0 / libm::sqrt(count as f64),
                "{found} for {mean}"
            );
        }
    }

    #[test]
    fn the_stationary_state_at_the_start_is_down_in_its_share_of_runs() {
        let down = (0..20_000)
            .filter(|seed| !Sojourns::stationary(30 * MS, 10 * MS, origin(*seed)).is_up)
            .count();
        // 5,000 expected, sd 61; four of them.
        assert!((4756..=5244).contains(&down), "{down}");
    }
}
