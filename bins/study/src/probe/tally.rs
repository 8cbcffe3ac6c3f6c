//! The effects of a link on a stream, in bounded memory: nothing is kept per packet.

use super::reordering::Reordering;
use super::runs::Runs;
use super::series::Series;
use hdrhistogram::Histogram;
use jostle_common::statistics::Moments;
use jostle_common::time::{Instant, nanos};
use jostle_engine::packet::Packet;
use jostle_engine::stage::Output;
use std::time::Duration;

/// Longer delays count as this.
const DELAY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Packets whose delay is kept for a picture; when there are more, every second is forgotten, and
/// so on.
const SAMPLES_MAX: usize = 1200;
/// Bins of the course over time.
const COURSE_BINS_MAX: usize = 480;
/// Seconds that are told apart: a day.
const SECONDS_MAX: usize = 86_400;

/// The effects of a link on a stream.
#[derive(Debug)]
pub struct Tally {
    entered: u64,
    entered_bytes: u64,
    delivered_bytes: u64,
    duplicates: u64,
    flipped_bits: u64,
    last: Instant,
    runs: Runs,
    reordering: Reordering,
    delays: Histogram<u64>,
    moments: Moments,
    course: Series,
    seconds: Series,
    samples: Vec<Sample>,
    /// About one packet in so many is a sample; a power of two.
    stride: u64,
}

/// The fate of one of many packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Its number.
    pub number: u64,
    /// The time at which it came, in seconds.
    pub at: f64,
    /// The time that it took, in seconds; `None` if it was discarded.
    pub delay: Option<f64>,
}

impl Tally {
    /// Creates a tally for a link that makes `copies`, whose course begins with bins of width
    /// `resolution`.
    pub fn new(copies: bool, resolution: Duration) -> Self {
        Self {
            entered: 0,
            entered_bytes: 0,
            delivered_bytes: 0,
            duplicates: 0,
            flipped_bits: 0,
            last: Instant::START,
            runs: Runs::new(copies),
            reordering: Reordering::default(),
            delays: Histogram::new_with_max(nanos(DELAY_MAX), 3)
                .expect("3 digits of a day are within bounds"),
            moments: Moments::default(),
            course: Series::new(nanos(resolution).max(1), COURSE_BINS_MAX),
            seconds: Series::new(1_000_000_000, SECONDS_MAX),
            samples: Vec::new(),
            stride: 1,
        }
    }

    /// Takes a packet that came in; with it, so many are inside.
    pub(super) fn enter(&mut self, at: Instant, size: u32, held: usize) {
        self.entered += 1;
        self.entered_bytes += u64::from(size);
        self.last = self.last.max(at);
        self.runs.enter();
        for series in [&mut self.course, &mut self.seconds] {
            let bin = series.at(at);
            bin.offered += 1;
            bin.offered_bytes += u64::from(size);
            bin.hold(held as u64);
        }
    }

    /// Takes something that left; without it, so many are inside.
    pub(super) fn leave(&mut self, output: &Output, held: usize) {
        let packet = output.packet();
        self.last = self.last.max(packet.at);
        self.course.at(packet.at).hold(held as u64);
        match output {
            Output::Deliver(packet) => self.deliver(packet),
            Output::Discard(packet, _) => {
                // A discarded copy is no loss: the packet itself may arrive.
                if packet.copy() == 0 {
                    self.runs.lose(packet.number);
                    self.sample(packet, None);
                }
                self.course.at(packet.at).discarded += 1;
                self.seconds.at(packet.at).discarded += 1;
            }
        }
    }

    fn deliver(&mut self, packet: &Packet) {
        let delay = nanos(packet.at.since(packet.entered));
        self.delivered_bytes += u64::from(packet.size());
        self.flipped_bits += u64::from(packet.flipped_bits());
        self.delays.saturating_record(delay);
        self.moments.add(delay as f64 / 1e9);
        // Only the first arrival of a packet has a place in the order.
        if self.runs.deliver(packet.number) {
            self.reordering.arrive(packet.flow, packet.number);
        } else {
            self.duplicates += 1;
        }
        for series in [&mut self.course, &mut self.seconds] {
            let bin = series.at(packet.at);
            bin.delivered += 1;
            bin.delivered_bytes += u64::from(packet.size());
            bin.delay_sum += delay;
            bin.delay_max = bin.delay_max.max(delay);
        }
        if packet.copy() == 0 {
            self.sample(packet, Some(delay as f64 / 1e9));
        }
    }

    fn sample(&mut self, packet: &Packet, delay: Option<f64>) {
        if !is_sample(packet.number, self.stride) {
            return;
        }
        self.samples.push(Sample {
            number: packet.number,
            at: packet.entered.as_secs_f64(),
            delay,
        });
        if self.samples.len() > SAMPLES_MAX {
            // Too many: half of them stay, and half as many are taken from now on.
            self.stride *= 2;
            let stride = self.stride;
            self.samples.retain(|sample| is_sample(sample.number, stride));
        }
    }

    pub(super) fn finish(&mut self) {
        self.runs.finish();
    }

    /// Returns the number of packets that came in.
    pub const fn entered(&self) -> u64 {
        self.entered
    }

    /// Returns the number of their bytes.
    pub const fn entered_bytes(&self) -> u64 {
        self.entered_bytes
    }

    /// Returns the number of bytes that went out, those of copies included.
    pub const fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes
    }

    /// Returns the number of outputs of packets that had already arrived.
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Returns the number of bits that were flipped in what went out.
    pub const fn flipped_bits(&self) -> u64 {
        self.flipped_bits
    }

    /// Returns the time at which the last packet came in or out.
    pub const fn last(&self) -> Instant {
        self.last
    }

    /// Returns the losses and their runs.
    pub const fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Returns the reordering of the packets that arrived.
    pub const fn reordering(&self) -> &Reordering {
        &self.reordering
    }

    /// Returns the mean and standard deviation of the delays, in seconds.
    pub const fn delay_moments(&self) -> &Moments {
        &self.moments
    }

    /// Returns the delay in seconds that a share `q` of the arrivals did not exceed, to three
    /// digits; `None` if nothing arrived.
    pub fn delay_quantile(&self, q: f64) -> Option<f64> {
        (!self.delays.is_empty()).then(|| self.delays.value_at_quantile(q) as f64 / 1e9)
    }

    /// Returns the shortest and the longest delay in seconds, to three digits; `None` if nothing
    /// arrived.
    pub fn delay_range(&self) -> Option<(f64, f64)> {
        (!self.delays.is_empty())
            .then(|| (self.delays.min() as f64 / 1e9, self.delays.max() as f64 / 1e9))
    }

    /// Returns the course over the whole time, for a picture.
    pub const fn course(&self) -> &Series {
        &self.course
    }

    /// Returns the course second by second; two by two beyond a day, and so on.
    pub const fn seconds(&self) -> &Series {
        &self.seconds
    }

    /// Returns some packets, evenly chosen by number.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

/// Returns true if a packet is among one in `stride`. Scattered by its number (multiplied by the
/// golden ratio, Knuth, "The art of computer programming", 6.4): a rule that treats every second
/// packet alike must not show as one that treats all alike.
const fn is_sample(number: u64, stride: u64) -> bool {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) & (stride - 1) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Pace, PacketStream, Spread, run};
    use jostle_common::chance::Direction;
    use jostle_common::ecn::Ecn;
    use jostle_engine::link::{Link, LinkKey};
    use jostle_engine::profile::Profile;

    #[test]
    fn samples_are_few_and_no_pattern_hides_in_them() {
        let profile =
            Profile::from_json(r#"{ "up": [ { "rule": "drop", "every": 2 } ] }"#).unwrap();
        let key = LinkKey { seed: 7, route: "1".into(), direction: Direction::Up };
        let pace = Pace::Packets("1000/s".parse().unwrap());
        let (spread, ecn) = (Spread::Constant, Ecn::NotEct);
        let stream = PacketStream { pace, size: 100, spread, flows: 1, ecn };
        let mut tally = Tally::new(false, Duration::from_millis(1));
        let arrivals = stream.arrivals(7, Direction::Up).take(100_000);
        run(&mut Link::new(key, &profile.up), arrivals, &mut tally, |_, _| {});
        let lost = tally.samples().iter().filter(|sample| sample.delay.is_none()).count();
        let all = tally.samples().len();
        assert!((SAMPLES_MAX / 4..=SAMPLES_MAX).contains(&all), "{all}");
        assert!((all * 2 / 5..=all * 3 / 5).contains(&lost), "{lost} of {all}");
        assert_eq!((tally.runs().lost(), tally.runs().longest()), (50_000, 1));
        assert_eq!(
            tally.seconds().bins()[..100].iter().map(|bin| bin.delivered).sum::<u64>(),
            50_000
        );
    }
}
