//! Streams of packets in virtual time: when each comes, how large it is and whose it is.

use jostle_common::chance::{Direction, DrawStream};
use jostle_common::ecn::Ecn;
use jostle_common::time::{Instant, nanos};
use jostle_common::units::{BitRate, PacketRate};
use std::time::Duration;

/// A packet to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The time at which it comes; never before the one in front of it.
    pub at: Instant,
    /// Its payload in bytes.
    pub size: u32,
    /// Its flow, from 1.
    pub flow: u32,
    /// What its IP header says of congestion.
    pub ecn: Ecn,
}

/// The rate at which packets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many packets per second, whatever their size.
    Packets(PacketRate),
    /// So many bits of payload per second.
    Bits(BitRate),
}

/// The spread of arrivals in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// At equal gaps.
    Constant,
    /// At exponential gaps with the mean of the pace.
    Poisson,
    /// At equal gaps while on, none while off, by turns, on first.
    OnOff {
        /// The time for which packets come; not zero.
        on: Duration,
        /// The time for which none comes.
        off: Duration,
    },
}

/// A described stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketStream {
    /// Its rate; while on, if it is on and off.
    pub pace: Pace,
    /// The payload of each packet in bytes.
    pub size: u32,
    /// The spread of its packets in time.
    pub spread: Spread,
    /// Its flows, which take turns; at least 1.
    pub flows: u32,
    /// What its IP headers say of congestion.
    pub ecn: Ecn,
}

impl Pace {
    /// Returns the mean gap between two packets of `size` bytes in nanoseconds, as a numerator and
    /// a denominator.
    fn gap(self, size: u32) -> (u128, u128) {
        match self {
            Self::Packets(rate) => (1_000_000_000_000, rate.per_thousand_seconds().into()),
            // An empty packet takes no time at any rate of bits; it counts as one byte.
            Self::Bits(rate) => {
                (u128::from(size.max(1)) * 8_000_000_000, rate.bits_per_second().into())
            }
        }
    }

    /// Creates a stream of packets of `size` bytes per second.
    pub fn packets_per_second(self, size: u32) -> f64 {
        let (numerator, denominator) = self.gap(size);
        1e9 * denominator as f64 / numerator as f64
    }
}

impl PacketStream {
    /// Returns the packets in their order, without end. `seed` and `direction` decide what chance
    /// there is.
    pub fn arrivals(self, seed: u64, direction: Direction) -> impl Iterator<Item = Arrival> {
        let (numerator, denominator) = self.pace.gap(self.size);
        let mean = numerator as f64 / denominator as f64;
        // No route is called so: a name from a command line or a file has no control characters.
        let chance = DrawStream::new(seed, "\u{1}arrivals", direction, "gap");
        let mut elapsed = 0.0;
        (0u64..).map(move |index| {
            let even = (u128::from(index) * numerator / denominator) as u64;
            let at = match self.spread {
                Spread::Constant => even,
                Spread::Poisson => {
                    elapsed += mean * exponential(chance.draw(index, 0, 0).first());
                    elapsed as u64
                }
                Spread::OnOff { on, off } => {
                    even.saturating_add((even / nanos(on)).saturating_mul(nanos(off)))
                }
            };
            let flow = (index % u64::from(self.flows)) as u32 + 1;
            Arrival { at: Instant::from_nanos(at), size: self.size, flow, ecn: self.ecn }
        })
    }
}

/// Turns `bits` into an exponential number of mean 1, by the inverse of its distribution function.
fn exponential(bits: u64) -> f64 {
    // In the middle of the interval that 53 bits name: never 0.
    -libm::log(((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::statistics::Moments;

    fn stream(spread: Spread) -> PacketStream {
        PacketStream {
            pace: Pace::Packets("1000/s".parse().unwrap()),
            size: 1200,
            spread,
            flows: 1,
            ecn: Ecn::NotEct,
        }
    }

    fn times(stream: PacketStream, count: usize) -> Vec<u64> {
        stream.arrivals(7, Direction::Up).take(count).map(|arrival| arrival.at.as_nanos()).collect()
    }

    #[test]
    fn even_gaps_never_drift() {
        let thirds = PacketStream {
            pace: Pace::Packets("3/s".parse().unwrap()),
            ..stream(Spread::Constant)
        };
        assert_eq!(times(thirds, 5), [0, 333_333_333, 666_666_666, 1_000_000_000, 1_333_333_333]);
        let bits = PacketStream {
            pace: Pace::Bits("96kbit/s".parse().unwrap()),
            ..stream(Spread::Constant)
        };
        assert_eq!(times(bits, 3), [0, 100_000_000, 200_000_000]);
    }

    #[test]
    fn a_stream_that_is_on_and_off_pauses_between() {
        let spread = Spread::OnOff { on: Duration::from_millis(2), off: Duration::from_millis(10) };
        let millis: Vec<u64> =
            times(stream(spread), 6).iter().map(|nanos| nanos / 1_000_000).collect();
        assert_eq!(millis, [0, 1, 12, 13, 24, 25]);
    }

    #[test]
    fn poisson_gaps_have_mean_and_deviation_of_the_pace() {
        let times = times(stream(Spread::Poisson), 1_000_001);
        let mut gaps = Moments::default();
        times.windows(2).for_each(|pair| gaps.add((pair[1] - pair[0]) as f64 / 1e6));
        // Their standard error is a thousandth.
        assert!((gaps.mean() - 1.0).abs() < 0.004, "{}", gaps.mean());
        assert!((gaps.sd() - 1.0).abs() < 0.008, "{}", gaps.sd());
    }

    #[test]
    fn flows_take_turns() {
        let stream = PacketStream { flows: 3, ..stream(Spread::Constant) };
        let flows: Vec<u32> =
            stream.arrivals(7, Direction::Up).take(5).map(|arrival| arrival.flow).collect();
        assert_eq!(flows, [1, 2, 3, 1, 2]);
    }
}
