//! The shorthands of the command line: rules without a file.

use super::drop::BurstLength;
use super::rate::queue::Queue;
use jostle_common::units::{BitRate, Probability, Span};

/// The rules that the shorthands of the command line ask for in one direction. Each kind of rule
/// reads those that are its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shorthand {
    /// `--drop`: the share of packets lost.
    pub drop: Option<Probability>,
    /// `--burst`: the mean length of bursts of loss; without it each packet is lost on its own.
    pub burst: Option<BurstLength>,
    /// `--duplicate`: the share of packets copied.
    pub duplicate: Option<Probability>,
    /// `--corrupt`: the share of packets with one bit flipped.
    pub corrupt: Option<Probability>,
    /// `--rate`: the speed of the link.
    pub rate: Option<BitRate>,
    /// `--queue`: how much may wait in front of it.
    pub queue: Option<Queue>,
    /// `--delay`: the time to cross the link.
    pub delay: Option<Span>,
    /// `--jitter`: its spread.
    pub jitter: Option<Span>,
    /// `--reorder`: the share of packets overtaken by the next.
    pub reorder: Option<Probability>,
}

impl Shorthand {
    /// Returns these settings, where `own` (those of one direction) says nothing else.
    #[must_use]
    pub fn overridden_by(self, own: Self) -> Self {
        Self {
            drop: own.drop.or(self.drop),
            burst: own.burst.or(self.burst),
            duplicate: own.duplicate.or(self.duplicate),
            corrupt: own.corrupt.or(self.corrupt),
            rate: own.rate.or(self.rate),
            queue: own.queue.or(self.queue),
            delay: own.delay.or(self.delay),
            jitter: own.jitter.or(self.jitter),
            reorder: own.reorder.or(self.reorder),
        }
    }
}
