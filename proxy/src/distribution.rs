//! Distributions of times that can be subtracted: what fell between two readings.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// A distribution of times in steps of less than one percent: how many fell into each step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// The count of each step that is not empty, by the longest time that falls into it, in
    /// nanoseconds.
    steps: BTreeMap<u64, u64>,
    /// The sum of the times, in seconds.
    sum: f64,
    /// The bounds of all times since the run began, in nanoseconds, where they are known.
    bounds: Option<(u64, u64)>,
}

impl Distribution {
    /// Reads a histogram of nanoseconds; `sum` is that of its times in seconds, if it is known
    /// exactly.
    pub(crate) fn of(
        histogram: &Histogram<u64>,
        sum: Option<f64>,
        bounds: Option<(Duration, Duration)>,
    ) -> Self {
        let steps = histogram.iter_recorded();
        let steps = steps.map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
        let nanos = jostle_common::time::nanos;
        Self {
            steps,
            sum: sum.unwrap_or_else(|| histogram.mean() * histogram.len() as f64 / 1e9),
            bounds: bounds.map(|(least, most)| (nanos(least), nanos(most))),
        }
    }

    /// Returns how many times there are.
    pub fn count(&self) -> u64 {
        self.steps.values().sum()
    }

    /// Returns the sum of the times, in seconds.
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// Returns what has come on top of an `earlier` reading of the same distribution.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let more = |(step, count): (&u64, &u64)| {
            let before = earlier.steps.get(step).copied().unwrap_or(0);
            (*count > before).then(|| (*step, count - before))
        };
        Self {
            steps: self.steps.iter().filter_map(more).collect(),
            sum: (self.sum - earlier.sum).max(0.0),
            bounds: self.bounds,
        }
    }

    /// Adds another distribution.
    pub fn absorb(&mut self, other: &Self) {
        for (step, count) in &other.steps {
            *self.steps.entry(*step).or_default() += count;
        }
        self.sum += other.sum;
        self.bounds = match (self.bounds, other.bounds) {
            (Some((least, most)), Some((less, more))) => Some((least.min(less), most.max(more))),
            (one, other) => one.or(other),
        };
    }

    /// Returns the time that a share of all does not exceed; `None` where there are no times.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        let step = self.steps.iter().find(|(_, count)| {
            passed += **count;
            passed >= rank
        });
        step.map(|(step, _)| {
            // The middle of the step: it is a 256th of the power of two that it lies below, or a
            // nanosecond.
            let width = ((step + 1).next_power_of_two() >> 8).max(1);
            let middle = step - (width - 1) / 2;
            let (least, most) = self.bounds.unwrap_or((0, u64::MAX));
            Duration::from_nanos(middle.clamp(least, most))
        })
    }

    /// Returns how many times fall into each of the classes whose upper bounds are `edges`, in
    /// nanoseconds and in order; the last class has no bound. Times are told apart by steps, so an
    /// edge counts as the [end of its step](Self::edge).
    pub fn classes(&self, edges: &[u64]) -> Vec<u64> {
        let mut classes = vec![0; edges.len() + 1];
        for (step, count) in &self.steps {
            let class = edges.partition_point(|edge| Self::edge(*edge) < *step);
            classes[class] += count;
        }
        classes
    }

    /// Returns the longest time, in nanoseconds, that falls into the same step as this one.
    pub const fn edge(nanos: u64) -> u64 {
        let Some(above) = (nanos | 1).checked_next_power_of_two() else { return u64::MAX };
        // The number is below its power of two unless it is one itself.
        let above = if above == nanos { above << 1 } else { above };
        let width = above >> 8;
        if width <= 1 { nanos } else { nanos | (width - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(micros: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_max(3_600_000_000_000, 2).unwrap();
        micros.into_iter().for_each(|micros| histogram.record(micros * 1000).unwrap());
        histogram
    }

    fn of(micros: impl IntoIterator<Item = u64>) -> Distribution {
        Distribution::of(&histogram(micros), None, None)
    }

    #[test]
    fn what_has_come_on_top_is_told_by_itself() {
        let first = of([10_000; 100]);
        let both = of([10_000; 100].into_iter().chain(40_000..=41_000));
        let second = both.since(&first);
        assert_eq!(second.count(), 1001);
        for (share, is) in [(0.5, 40.5), (0.99, 40.99), (0.0, 40.0), (1.0, 41.0)] {
            let millis = second.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((millis / is - 1.0).abs() < 0.005, "{share}: {millis}");
        }
        assert!((second.sum() - 40.5405).abs() < 0.4, "{}", second.sum());
        let nothing = both.since(&both);
        assert_eq!((nothing.count(), nothing.quantile(0.5)), (0, None));
        let mut sum = first;
        sum.absorb(&second);
        assert_eq!((sum.count(), sum.quantile(0.5)), (both.count(), both.quantile(0.5)));
    }

    #[test]
    fn a_constant_is_told_exactly() {
        let constant = Duration::from_millis(40);
        let told =
            Distribution::of(&histogram([40_000; 9]), Some(0.36), Some((constant, constant)));
        assert_eq!(told.quantile(0.5), Some(constant));
        assert_eq!(told.sum(), 0.36);
    }

    #[test]
    fn edges_are_the_histograms_own() {
        let histogram = histogram([]);
        let tens = (0..12).flat_map(|power| [1, 2, 5].map(|first| first * 10_u64.pow(power)));
        for nanos in tens.chain([0, 127, 128, 255, 256, 257, 511, 512, 65_535, 65_536]) {
            assert_eq!(Distribution::edge(nanos), histogram.highest_equivalent(nanos), "{nanos}");
        }
    }

    #[test]
    fn classes_hold_what_is_not_above_their_edge() {
        let edges = [1_000_000, 20_000_000, 50_000_000];
        let told = of([500, 1_000, 1_100, 20_000, 49_000, 50_000, 51_000]);
        assert_eq!(told.classes(&edges), [2, 2, 2, 1]);
        assert_eq!(Distribution::default().classes(&edges), [0; 4]);
    }
}
