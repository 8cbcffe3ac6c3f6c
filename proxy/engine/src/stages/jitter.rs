//! The delays that a `delay` rule draws: constant, uniform, or normal.

use super::normal::CutNormal;
use jostle_common::chance::below;
use jostle_common::profile::{Delay, DelaySource, Shape};
use jostle_common::time::nanos;

/// Turns 64 random bits into a delay in nanoseconds.
#[derive(Clone, Debug)]
pub(super) enum Sampler {
    Constant(u64),
    /// Evenly from `least` over so many values.
    Uniform {
        least: u64,
        values: u64,
    },
    Normal(Box<CutNormal>),
}

impl Sampler {
    pub(super) fn new(setting: &Delay) -> Self {
        let DelaySource::Drawn { time, jitter, shape, .. } = &setting.source else { todo!("traces") };
        let (time, jitter) = (nanos(*time), nanos(*jitter).min(nanos(*time)));
        match shape {
            _ if jitter == 0 => Self::Constant(time),
            Shape::Uniform => Self::Uniform { least: time - jitter, values: 2 * jitter + 1 },
            Shape::Pareto | Shape::ParetoNormal | Shape::Table(_) => todo!("shapes"),
            Shape::Normal => Self::Normal(Box::new(CutNormal::new(time as f64, jitter as f64))),
        }
    }

    /// Whether every delay is the same.
    pub(super) const fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// The mean delay in nanoseconds.
    pub(super) fn mean(&self) -> u64 {
        match self {
            Self::Constant(time) => *time,
            Self::Uniform { least, values } => *least + *values / 2,
            Self::Normal(normal) => normal.mean() as u64,
        }
    }

    /// The delay for these random bits.
    pub(super) fn sample(&self, bits: u64) -> u64 {
        match self {
            Self::Constant(time) => *time,
            Self::Uniform { least, values } => least + below(bits, *values),
            Self::Normal(normal) => normal.sample(bits) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn uniform_reaches_both_ends_and_no_further() {
        let delay = |shape| Delay::drawn(Duration::from_nanos(100), Duration::from_nanos(40), shape);
        let sampler = Sampler::new(&delay(Shape::Uniform));
        assert_eq!((sampler.sample(0), sampler.sample(u64::MAX), sampler.mean()), (60, 140, 100));
        let normal = Sampler::new(&delay(Shape::Normal));
        assert!(normal.sample(0) < 5 && normal.sample(u64::MAX) > 195 && normal.mean() == 100);
    }
}
