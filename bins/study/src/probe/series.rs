//! Counts over time, in bounded memory: bins that become wider as time goes on.

use jostle_common::time::Instant;

/// A course over time.
#[derive(Clone, Debug)]
pub struct Series {
    width: u64,
    most: usize,
    bins: Vec<Bin>,
}

/// The counts of a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Packets that came.
    pub offered: u64,
    /// Bytes that came.
    pub offered_bytes: u64,
    /// Packets and copies that arrived.
    pub delivered: u64,
    /// Bytes that arrived.
    pub delivered_bytes: u64,
    /// Packets and copies that were discarded.
    pub discarded: u64,
    /// The sum of the delays of what arrived, in nanoseconds.
    pub delay_sum: u64,
    /// The longest of them.
    pub delay_max: u64,
    /// The most packets that were inside.
    pub held_max: u64,
    /// The number of packets inside at the end; `None` if nothing came or went.
    pub held_last: Option<u64>,
}

impl Bin {
    fn absorb(&mut self, other: &Self) {
        self.offered += other.offered;
        self.offered_bytes += other.offered_bytes;
        self.delivered += other.delivered;
        self.delivered_bytes += other.delivered_bytes;
        self.discarded += other.discarded;
        self.delay_sum += other.delay_sum;
        self.delay_max = self.delay_max.max(other.delay_max);
        self.held_max = self.held_max.max(other.held_max);
        self.held_last = other.held_last.or(self.held_last);
    }

    /// Notes that so many packets are inside now.
    pub(super) fn hold(&mut self, held: u64) {
        self.held_max = self.held_max.max(held);
        self.held_last = Some(held);
    }

    /// Returns the mean delay of the packets that arrived, in seconds; `None` if none did.
    pub fn delay_mean(&self) -> Option<f64> {
        (self.delivered > 0).then(|| self.delay_sum as f64 / self.delivered as f64 / 1e9)
    }
}

impl Series {
    /// Creates bins of `width` nanoseconds, at least 1; when more than `most` are needed, twice as
    /// wide, and so on.
    pub(super) const fn new(width: u64, most: usize) -> Self {
        Self { width, most, bins: Vec::new() }
    }

    /// Returns the bin of a time.
    #[inline]
    pub(super) fn at(&mut self, at: Instant) -> &mut Bin {
        let mut index = at.as_nanos() / self.width;
        while index >= self.most as u64 {
            self.widen();
            index = at.as_nanos() / self.width;
        }
        let index = index as usize;
        if index >= self.bins.len() {
            self.bins.resize(index + 1, Bin::default());
        }
        &mut self.bins[index]
    }

    fn widen(&mut self) {
        self.width *= 2;
        for index in 0..self.bins.len().div_ceil(2) {
            let mut bin = self.bins[2 * index];
            if let Some(second) = self.bins.get(2 * index + 1) {
                bin.absorb(&second.clone());
            }
            self.bins[index] = bin;
        }
        self.bins.truncate(self.bins.len().div_ceil(2));
    }

    /// Returns the width of a bin in seconds.
    pub fn width(&self) -> f64 {
        self.width as f64 / 1e9
    }

    /// Returns the bins, from the start on.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_widen_and_keep_their_sums() {
        let mut series = Series::new(10, 4);
        for nanos in 0..100 {
            let bin = series.at(Instant::from_nanos(nanos));
            bin.offered += 1;
            bin.held_max = nanos;
        }
        let offered: Vec<u64> = series.bins().iter().map(|bin| bin.offered).collect();
        assert_eq!((series.width(), offered), (40e-9, vec![40, 40, 20]));
        assert_eq!(series.bins()[1].held_max, 79);
    }
}
