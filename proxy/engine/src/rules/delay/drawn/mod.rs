//! The delays that a `delay` rule draws: their distribution, and a process that remembers.

mod gaussian;
mod latent;
mod quantiles;
mod shapes;

pub(crate) use gaussian::quantile as gaussian_quantile;
pub(super) use latent::Latent;

use super::{Delay, DelaySource, DelayTrace, Shape};
use jostle_common::chance::below;
use jostle_common::time::nanos;
use quantiles::Quantiles;
use std::sync::Arc;
use std::time::Duration;

/// The distribution of the delay that a `delay` rule draws for a packet, or of the delay that a
/// packet at any time finds in a trace. Neither memory nor kept order is in it: memory leaves it as
/// it is, and kept order narrows what packets see when they come close together.
///
/// ```
/// use jostle_engine::rules::{Delay, DrawnDelay, Shape};
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let drawn = DrawnDelay::new(&Delay::drawn(ms(50), ms(10), Shape::Pareto));
/// assert!(drawn.mean().abs_diff(ms(50)) < Duration::from_nanos(2));
/// assert!(drawn.quantile(0.5) < ms(50), "most are a little faster than the mean, a few are much slower");
/// ```
#[derive(Clone, Debug)]
pub struct DrawnDelay(Distribution);

/// In nanoseconds. Clones share the tables.
#[derive(Clone, Debug)]
enum Distribution {
    Constant(u64),
    /// Evenly from `least` over so many values, less `cut`, but at least 0.
    Uniform {
        least: u64,
        values: u64,
        cut: u64,
    },
    Quantiles(Quantiles),
    /// Evenly from these, which ascend.
    Entries(Arc<[u64]>),
    /// The level up to which each delay reaches, both ascending.
    Steps(Arc<[(u64, u64)]>),
}

/// A level of a distribution: the shares below and above it. Their sum is 1, but near either end
/// only the smaller one is exact.
#[derive(Clone, Copy, Debug)]
struct Level {
    below: f64,
    above: f64,
}

impl DrawnDelay {
    /// Creates the distribution that a rule draws from.
    pub fn new(setting: &Delay) -> Self {
        let (time, jitter, shape) = match &setting.source {
            DelaySource::Drawn { time, jitter, shape, .. } => (nanos(*time), nanos(*jitter), shape),
            DelaySource::Trace(trace) => return Self(Distribution::of_trace(trace)),
        };
        let (mean, sd) = (time as f64, jitter as f64);
        Self(match shape {
            _ if jitter == 0 => Distribution::Constant(time),
            // A profile refuses a jitter above the time; Toxiproxy does not, and what would be
            // below 0 goes at once.
            Shape::Uniform => Distribution::Uniform {
                least: time.saturating_sub(jitter),
                values: jitter.saturating_mul(2).saturating_add(1),
                cut: jitter.saturating_sub(time),
            },
            Shape::Normal => {
                Distribution::Quantiles(Quantiles::new(mean, sd, shapes::cut_normal(mean / sd)))
            }
            Shape::Pareto => Distribution::Quantiles(Quantiles::new(mean, sd, shapes::cut_pareto)),
            Shape::ParetoNormal => {
                Distribution::Quantiles(Quantiles::new(mean, sd, shapes::cut_pareto_normal))
            }
            Shape::Table(entries) => Distribution::of_table(time, jitter, entries),
        })
    }

    /// Returns the mean delay.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(libm::round(self.moments().0) as u64)
    }

    /// Returns the standard deviation.
    pub fn sd(&self) -> Duration {
        Duration::from_nanos(libm::round(self.moments().1) as u64)
    }

    /// Returns the delay that a share `p` of packets, 0 to 1, does not exceed.
    pub fn quantile(&self, p: f64) -> Duration {
        Duration::from_nanos(self.at(level(p)))
    }

    /// Returns the delay at the level `bits`/2^64 of the distribution: random bits draw one.
    #[inline]
    pub(crate) fn at(&self, bits: u64) -> u64 {
        match &self.0 {
            Distribution::Constant(time) => *time,
            Distribution::Uniform { least, values, cut } => {
                least.saturating_add(below(bits, *values)).saturating_sub(*cut)
            }
            Distribution::Quantiles(quantiles) => quantiles.at(bits),
            Distribution::Entries(entries) => entries[below(bits, entries.len() as u64) as usize],
            Distribution::Steps(steps) => {
                let step = steps.partition_point(|(reach, _)| *reach < bits);
                steps[step.min(steps.len() - 1)].1
            }
        }
    }

    /// Returns the delay at the level of a standard Gaussian's value.
    pub(crate) fn at_gaussian(&self, z: f64) -> u64 {
        // Taken from the nearer end, where a float is finest.
        let bits = level(gaussian::cdf(-z.abs()));
        self.at(if z < 0.0 { bits } else { !bits })
    }

    /// Returns true if both read the same table in memory.
    #[cfg(test)]
    pub(crate) fn shares_table_with(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Distribution::Quantiles(own), Distribution::Quantiles(other)) => {
                own.is_shared_with(other)
            }
            (Distribution::Entries(own), Distribution::Entries(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    /// Returns true if every packet has the same delay.
    pub(crate) const fn is_constant(&self) -> bool {
        matches!(self.0, Distribution::Constant(_))
    }

    /// Returns the mean and the standard deviation in nanoseconds.
    fn moments(&self) -> (f64, f64) {
        match &self.0 {
            Distribution::Constant(time) => (*time as f64, 0.0),
            Distribution::Uniform { values, cut, .. } if *cut > 0 => {
                // The part above 0 of a width w is p long: its mean is p²/2w, that of its square
                // p³/3w.
                let width = *values as f64 - 1.0;
                let part = width - *cut as f64;
                let (mean, square) = (part * part / width / 2.0, part * part * part / width / 3.0);
                (mean, libm::sqrt((square - mean * mean).max(0.0)))
            }
            Distribution::Uniform { least, values, .. } => {
                let values = *values as f64;
                (*least as f64 + (values - 1.0) / 2.0, libm::sqrt((values * values - 1.0) / 12.0))
            }
            Distribution::Quantiles(quantiles) => quantiles.moments(),
            Distribution::Entries(entries) => weighted(entries.iter().map(|entry| (1.0, *entry))),
            Distribution::Steps(steps) => {
                let mut last = 0;
                weighted(steps.iter().map(|(reach, delay)| {
                    (((reach - std::mem::replace(&mut last, *reach)) as f64), *delay)
                }))
            }
        }
    }
}

impl Distribution {
    /// Computes the delays of a table by netem's formula, but never below 0.
    fn of_table(time: u64, jitter: u64, entries: &[i16]) -> Self {
        let delay = |entry: &i16| {
            let nanos = i128::from(time) + i128::from(jitter) * i128::from(*entry) / 8192;
            u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
        };
        let mut delays: Vec<u64> = entries.iter().map(delay).collect();
        delays.sort_unstable();
        Self::Entries(delays.into())
    }

    /// Collects each delay of a trace with the share of the time in which it holds.
    fn of_trace(trace: &DelayTrace) -> Self {
        let ends = trace.steps().iter().skip(1).map(|(from, _)| *from).chain([trace.period()]);
        let mut spans: Vec<(u64, u64)> = trace
            .steps()
            .iter()
            .zip(ends)
            .map(|((from, delay), end)| (nanos(*delay), nanos(end - *from)))
            .collect();
        spans.sort_unstable();
        let period = u128::from(nanos(trace.period()).max(1));
        let mut sum = 0u128;
        let steps = spans.into_iter().map(|(delay, span)| {
            // A step reaches up to the level of its share and of all shorter delays.
            sum += u128::from(span);
            (u64::try_from((sum << 64) / period).unwrap_or(u64::MAX), delay)
        });
        Self::Steps(steps.collect())
    }
}

/// Returns the 64 bits of a level from 0 to 1.
fn level(p: f64) -> u64 {
    // A conversion stays within the bounds of its type.
    (p * 18_446_744_073_709_551_616.0) as u64
}

/// Computes the mean and the standard deviation of weighted values.
fn weighted(values: impl Iterator<Item = (f64, u64)>) -> (f64, f64) {
    let (mut weight_sum, mut mean, mut squares) = (0.0, 0.0, 0.0);
    // West, CACM 1979.
    for (weight, value) in values {
        weight_sum += weight;
        let step = value as f64 - mean;
        mean += step * weight / weight_sum;
        squares += weight * step * (value as f64 - mean);
    }
    (mean, libm::sqrt(squares / weight_sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn drawn(time: Duration, jitter: Duration, shape: Shape) -> DrawnDelay {
        DrawnDelay::new(&Delay::drawn(time, jitter, shape))
    }

    #[test]
    fn mean_and_sd_are_those_stated() {
        for (time, jitter, shape, sd) in [
            (50.0, 0.0, Shape::Uniform, 0.0),
            (50.0, 30.0, Shape::Uniform, 30.0 / f64::sqrt(3.0)),
            (50.0, 10.0, Shape::Normal, 10.0),
            (50.0, 28.5, Shape::Normal, 28.5),
            (50.0, 10.0, Shape::Pareto, 10.0),
            (50.0, 72.0, Shape::Pareto, 72.0),
            (50.0, 36.0, Shape::ParetoNormal, 36.0),
            (3.6e6, 1.0, Shape::ParetoNormal, 1.0),
        ] {
            let drawn = drawn(MS.mul_f64(time), MS.mul_f64(jitter), shape.clone());
            assert!(
                drawn.mean().abs_diff(MS.mul_f64(time)).as_nanos() <= 1,
                "{shape:?}: {:?}",
                drawn.mean()
            );
            // Between the entries of a table the normal and its like run straight: two parts in
            // 10^5 at most.
            assert!(
                drawn.sd().abs_diff(MS.mul_f64(sd)).as_nanos() as f64 <= sd * 20.0,
                "{shape:?}: {:?}",
                drawn.sd()
            );
        }
    }

    #[test]
    fn a_jitter_wider_than_the_time_is_cut_at_0() {
        let drawn = drawn(10 * MS, 30 * MS, Shape::Uniform);
        assert_eq!(drawn.quantile(1.0), 40 * MS);
        // A third of -20 to 40 ms is below 0.
        assert_eq!(drawn.quantile(0.33), Duration::ZERO);
        assert!(drawn.quantile(0.34) > Duration::ZERO);
        assert!(drawn.quantile(0.5).abs_diff(10 * MS).as_nanos() <= 1);
        // 40²/120 ms and, of the square, 40³/180 ms².
        let (mean, square) = (40.0 * 40.0 / 120.0, 40.0 * 40.0 * 40.0 / 180.0);
        let sd = f64::sqrt(square - mean * mean);
        assert!((drawn.mean().as_secs_f64() * 1e3 - mean).abs() < 1e-5);
        assert!((drawn.sd().as_secs_f64() * 1e3 - sd).abs() < 1e-5);
    }

    #[test]
    fn delays_stay_in_their_ranges() {
        let range = |jitter: f64, shape| {
            let drawn = drawn(50 * MS, MS.mul_f64(jitter), shape);
            [0.0, 1.0].map(|p| drawn.quantile(p).as_nanos() as f64 / 1e6)
        };
        assert_eq!(range(30.0, Shape::Uniform), [20.0, 80.0]);
        // The largest jitter that the profile accepts comes near 0, and the bound is not too
        // strict.
        for (shape, most) in
            [(Shape::Normal, 0.57), (Shape::Pareto, 1.44), (Shape::ParetoNormal, 0.72)]
        {
            let [least, _] = range(50.0 * most, shape.clone());
            assert!((0.0..0.2).contains(&least), "{shape:?} begins at {least} ms");
        }
        let [least, greatest] = range(10.0, Shape::Pareto);
        assert!(
            (least - (50.0 - 6.928)).abs() < 0.01 && (greatest - (50.0 + 121.24)).abs() < 0.01,
            "{least} {greatest}"
        );
        let [least, greatest] = range(25.0, Shape::Normal);
        assert!(least < 0.001 && greatest > 99.999 && greatest <= 100.001, "{least} {greatest}");
    }

    #[test]
    fn a_table_is_read_as_netem_reads_it_but_never_goes_below_zero() {
        let table = drawn(10 * MS, 8 * MS, Shape::Table(vec![8192, -16384, 0, 4096].into()));
        let at = |p| table.quantile(p).as_micros();
        assert_eq!([at(0.0), at(0.24), at(0.26), at(0.6), at(1.0)], [0, 0, 10_000, 14_000, 18_000]);
        assert_eq!(table.mean(), Duration::from_micros(10_500), "of what is drawn: -6 ms became 0");
        let squares: f64 = [10.5f64, 0.5, 3.5, 7.5].iter().map(|step| step * step).sum();
        assert!((table.sd().as_nanos() as f64 - (squares / 4.0).sqrt() * 1e6).abs() < 1.0);
    }

    #[test]
    fn a_trace_counts_each_delay_by_its_time() {
        let trace = DelayTrace::parse("0 20\n100 60\n125 40\n200 0").unwrap();
        let found = DrawnDelay::new(&Delay {
            source: DelaySource::Trace(Arc::new(trace)),
            reorder: false,
            holds_ends: true,
            path: None,
        });
        // 20 ms for 100 ms, 40 for 75, 60 for 25.
        assert_eq!(found.mean(), Duration::from_micros(32_500));
        assert_eq!(
            [0.0, 0.49, 0.51, 0.87, 0.88, 1.0].map(|p| found.quantile(p).as_millis()),
            [20, 20, 40, 40, 60, 60]
        );
    }
}
