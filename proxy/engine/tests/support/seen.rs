//! What was seen of a rule that loses packets, and whether it agrees with a chain.

use super::fit::{Losses, Runs};

/// The p-value below which a fit is red.
pub(crate) const P_LEAST: f64 = 1e-4;

/// What was seen of a rule.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) packets: u64,
    pub(crate) lost: u64,
    pub(crate) losses: Runs,
    arrivals: Runs,
    /// The run at hand: how long it is, and of what.
    run: u64,
    was_lost: Option<bool>,
    /// How many runs have begun.
    begun: u64,
}

impl Seen {
    /// Notes the fate of the next packet. Of successive runs each `nth` is counted: where they depend
    /// on each other, those far apart do not.
    pub(crate) fn packet(&mut self, lost: bool, nth: u64) {
        self.packets += 1;
        self.lost += u64::from(lost);
        if self.was_lost == Some(lost) {
            self.run += 1;
            return;
        }
        // The first run began before there was anything to see.
        if let Some(was_lost) =
            self.was_lost.filter(|_| self.begun > 1 && (self.begun / 2).is_multiple_of(nth))
        {
            let runs = if was_lost { &mut self.losses } else { &mut self.arrivals };
            let length = self.run as usize;
            runs.resize(runs.len().max(length), 0);
            runs[length - 1] += 1;
        }
        (self.was_lost, self.run) = (Some(lost), 1);
        self.begun += 1;
    }

    pub(crate) fn mean(&self) -> f64 {
        self.lost as f64 / self.packets as f64
    }

    /// What does not agree with the chain.
    pub(crate) fn faults(&self, chain: &Losses) -> Vec<String> {
        let mut faults = Vec::new();
        let (mean, margin) = (chain.mean(), chain.margin(self.packets as f64));
        if (self.mean() - mean).abs() > margin {
            faults.push(format!("loss {} for {mean} ± {margin}", self.mean()));
        }
        for (name, lost, runs) in
            [("losses", true, &self.losses), ("arrivals", false, &self.arrivals)]
        {
            let p = chain.fit(lost, runs);
            if p < P_LEAST {
                faults.push(format!("runs of {name}: p = {p:.1e}"));
            }
        }
        faults
    }
}
