//! tc's tables of distributions as short lists, for jitter that reaches below zero: what a table
//! puts there netem sends at once, and a delay rule with a table does the same.
//!
//! An entry is a deviation from the mean in 8192nds of the jitter. tc's files hold 4096 or more of
//! them; as few as there are here, at the middles of equal shares, give their mean, deviation and
//! percentiles to a percent or two.

use crate::rules::gaussian_quantile;

/// The entries of a list.
const ENTRIES: usize = 500;
/// The jitter in units of entries (`NETEM_DIST_SCALE`).
const SCALE: f64 = 8192.0;
/// The tail index of tc's Pareto distribution (`netem/pareto.c`).
const TAIL: f64 = 3.0;

/// A distribution that tc knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distribution {
    /// Even over ± jitter: what there is without a table.
    Even,
    Normal,
    Pareto,
    ParetoNormal,
}

impl Distribution {
    /// Returns its entries in ascending order.
    pub(super) fn list(self) -> Vec<i16> {
        let share = |entry: usize| (entry as f64 + 0.5) / ENTRIES as f64;
        (0..ENTRIES).map(|entry| whole(self.deviation(share(entry)))).collect()
    }

    /// Returns the deviation, in units of the jitter, that a share of the packets stays below.
    fn deviation(self, share: f64) -> f64 {
        match self {
            Self::Even => 2.0 * share - 1.0,
            Self::Normal => gaussian_quantile(share),
            // Mean 3/2 and deviation √(3/4), as tc shifts and scales it.
            Self::Pareto => 4.0 / 3.0 * (libm::pow(1.0 - share, -1.0 / TAIL) - 1.5),
            Self::ParetoNormal => {
                let part = |one: Self| f64::from(whole(one.deviation(share))) / SCALE;
                0.25 * part(Self::Normal) + 0.75 * part(Self::Pareto)
            }
        }
    }
}

/// Rounds to an entry; the tables stop at the ends of 16 bits, four times the jitter.
fn whole(deviation: f64) -> i16 {
    libm::round(deviation * SCALE).clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

/// The delays that a list gives around a time, with what is below zero at zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// In seconds.
    pub(super) mean: f64,
    pub(super) sd: f64,
    /// The share that is sent at once.
    pub(super) at_once: f64,
}

impl Spread {
    /// Computes it for a time and a jitter in seconds.
    pub(super) fn of(list: &[i16], time: f64, jitter: f64) -> Self {
        let count = list.len() as f64;
        let delays =
            || list.iter().map(|entry| (time + jitter * f64::from(*entry) / SCALE).max(0.0));
        let mean = delays().fold(0.0, |sum, delay| sum + delay) / count;
        let squares = delays().fold(0.0, |sum, delay| sum + (delay - mean) * (delay - mean));
        let at_once = delays().filter(|delay| *delay == 0.0).count() as f64 / count;
        Self { mean, sd: libm::sqrt(squares / count), at_once }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_spread_delays_as_the_files_of_tc_do() {
        // Mean, deviation and share at once, computed from the .dist files of iproute2 6.
        for (distribution, time, jitter, mean, sd, at_once) in [
            (Distribution::Normal, 1.0, 5.0, 2.532, 3.25, 0.421),
            (Distribution::Normal, 8.0, 20.0, 12.6, 14.267, 0.345),
            (Distribution::Pareto, 8.0, 20.0, 8.59, 15.619, 0.421),
            (Distribution::Pareto, 1.0, 5.0, 1.662, 3.649, 0.594),
            (Distribution::Pareto, 20.0, 30.0, 18.995, 24.59, 0.0),
            (Distribution::ParetoNormal, 8.0, 20.0, 9.573, 15.039, 0.383),
            (Distribution::ParetoNormal, 10.0, 10.0, 9.768, 8.313, 0.021),
            (Distribution::Even, 10.0, 20.0, 11.25, 9.922, 0.25),
            (Distribution::Even, 10.0, 15.0, 10.417, 8.069, 0.167),
        ] {
            let spread = Spread::of(&distribution.list(), time, jitter);
            let close = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.005;
            assert!(close(spread.mean, mean), "{distribution:?} {time} {jitter}: {spread:?}");
            assert!(close(spread.sd, sd), "{distribution:?} {time} {jitter}: {spread:?}");
            assert!((spread.at_once - at_once).abs() < 0.005, "{distribution:?}: {spread:?}");
        }
    }
}
