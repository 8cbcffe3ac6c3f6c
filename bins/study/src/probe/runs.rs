//! Losses and their runs, by packet number, though fates become known out of order.

use std::collections::VecDeque;

/// Runs up to this length are told apart.
const LENGTHS: usize = 4096;
/// The number of packets that may wait for the fate of an earlier one: 16 MiB. Beyond that the
/// earlier one counts as not lost.
const UNDECIDED_MAX: usize = 1 << 24;
/// The number of packets during which a lost original may still be replaced by a copy.
const COPY_PATIENCE: usize = 1 << 16;

/// The state of a packet's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    /// The original is gone; a copy may still come.
    Lost,
    Delivered,
}

/// Counts of losses, and of losses in a row.
#[derive(Debug)]
pub struct Runs {
    /// Fates from packet `front` on.
    fates: VecDeque<Fate>,
    front: u64,
    /// True if copies are made, which may replace a lost original.
    copies: bool,
    current: u64,
    lost: u64,
    settled: u64,
    count: u64,
    longest: u64,
    lengths: Vec<u64>,
}

impl Runs {
    pub(super) fn new(copies: bool) -> Self {
        Self {
            fates: VecDeque::new(),
            front: 1,
            copies,
            current: 0,
            lost: 0,
            settled: 0,
            count: 0,
            longest: 0,
            lengths: vec![0; LENGTHS + 1],
        }
    }

    /// Takes the next packet; its number is one more than that of the last.
    pub(super) fn enter(&mut self) {
        self.fates.push_back(Fate::Unknown);
        if self.fates.len() > UNDECIDED_MAX {
            self.settle_front();
        }
    }

    /// Takes the delivery of a packet or a copy of it. Returns true if it is the first to be
    /// delivered.
    pub(super) fn deliver(&mut self, number: u64) -> bool {
        // What was settled without being known is no loss, and its first copy is here.
        let Some(fate) = self.fate(number) else { return !self.copies };
        let first = *fate != Fate::Delivered;
        *fate = Fate::Delivered;
        self.settle();
        first
    }

    /// Takes the discarding of a packet's original.
    pub(super) fn lose(&mut self, number: u64) {
        if let Some(fate) = self.fate(number)
            && *fate == Fate::Unknown
        {
            *fate = Fate::Lost;
            self.settle();
        }
    }

    /// Ends the stream: nothing follows.
    pub(super) fn finish(&mut self) {
        while !self.fates.is_empty() {
            self.settle_front();
        }
        self.end_run();
    }

    fn fate(&mut self, number: u64) -> Option<&mut Fate> {
        self.fates.get_mut(usize::try_from(number.checked_sub(self.front)?).ok()?)
    }

    fn settle(&mut self) {
        while let Some(fate) = self.fates.front() {
            // Runs are counted in the order of packets, so each waits for the fates of those before
            // it.
            let known = match fate {
                Fate::Unknown => false,
                // Where there are copies, a loss is certain only when no copy is waited for any
                // more.
                Fate::Lost => !self.copies || self.fates.len() > COPY_PATIENCE,
                Fate::Delivered => true,
            };
            if !known {
                return;
            }
            self.settle_front();
        }
    }

    fn settle_front(&mut self) {
        let Some(fate) = self.fates.pop_front() else { return };
        self.front += 1;
        self.settled += 1;
        if fate == Fate::Lost {
            self.lost += 1;
            self.current += 1;
        } else {
            self.end_run();
        }
    }

    fn end_run(&mut self) {
        if self.current > 0 {
            self.count += 1;
            self.longest = self.longest.max(self.current);
            self.lengths[(self.current as usize).min(LENGTHS + 1) - 1] += 1;
            self.current = 0;
        }
    }

    /// Returns the number of packets of which nothing arrived.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the number of runs of losses.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns the length of the longest run.
    pub const fn longest(&self) -> u64 {
        self.longest
    }

    /// Returns the mean length of a run; 0 of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.lost as f64 / self.count as f64 }
    }

    /// Returns the number of runs of each length, from 1; the last number counts all that are
    /// longer.
    pub fn lengths(&self) -> &[u64] {
        let used = self.lengths.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        &self.lengths[..used]
    }

    /// Returns the factor by which the correlation of successive losses widens the variance of
    /// their share, estimated from the runs.
    pub fn inflation(&self) -> f64 {
        let p = self.lost as f64 / (self.settled.max(1)) as f64;
        if p == 0.0 || p == 1.0 {
            return 1.0;
        }
        // Of N packets lost - count follow another loss.
        let both = (self.lost - self.count) as f64 / self.settled as f64;
        let lambda = ((both - p * p) / (p * (1.0 - p))).clamp(-0.999, 0.999);
        (1.0 + lambda) / (1.0 - lambda)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_number_not_by_time() {
        let mut runs = Runs::new(false);
        (1..=8).for_each(|_| runs.enter());
        // Losses are known at once, deliveries later and in any order: 1, 4 and 7 arrive.
        [2, 3, 5, 6, 8].into_iter().for_each(|number| runs.lose(number));
        assert!(runs.deliver(4) && runs.deliver(1) && runs.deliver(7));
        runs.finish();
        assert_eq!(
            (runs.lost(), runs.count(), runs.longest(), runs.lengths()),
            (5, 3, 2, &[1, 2][..])
        );
        assert!((runs.mean() - 5.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_copy_replaces_a_lost_original_and_only_the_first_counts() {
        let mut runs = Runs::new(true);
        (1..=3).for_each(|_| runs.enter());
        runs.lose(1);
        assert!(runs.deliver(2) && runs.deliver(1) && !runs.deliver(1));
        runs.lose(3);
        runs.finish();
        assert_eq!((runs.lost(), runs.lengths()), (1, &[1][..]));
    }
}
