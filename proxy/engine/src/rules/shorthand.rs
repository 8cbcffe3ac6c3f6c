//! The shorthands of the command line: rules without a file.

use super::drop::BurstLength;
use super::rate::queue::Queue;
use jostle_common::units::{BitRate, ByteSize, Probability, Span};
use std::fmt;
use std::str::FromStr;

/// The rules that the shorthands of the command line ask for in one direction. Each kind of rule
/// reads those that are its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shorthand {
    /// `--drop`: the share of packets lost.
    pub drop: Option<Probability>,
    /// `--burst`: the mean length of bursts of loss; without it each packet is lost on its own.
    pub burst: Option<BurstLength>,
    /// `--mark`: the share of packets marked as having met congestion.
    pub mark: Option<Probability>,
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
    /// `--shape`: how that is distributed.
    pub shape: Option<JitterShape>,
    /// `--jitter-memory`: the half-life of the correlation between successive delays. Not
    /// `--memory`: that is what a proxy may hold.
    pub jitter_memory: Option<Span>,
    /// `--allow-reorder`: whether jitter may let packets overtake each other.
    pub allow_reorder: Option<bool>,
    /// `--reorder`: the share of packets overtaken by the next.
    pub reorder: Option<Probability>,
    /// `--stall`: the bytes of a TCP stream after which it is discarded.
    pub stall: Option<ByteSize>,
    /// `--reset`: the time after the first data at which a TCP connection is reset.
    pub reset: Option<Span>,
}

/// The distribution of a jitter that needs no table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JitterShape {
    /// Even around the delay.
    #[default]
    Uniform,
    /// Gaussian.
    Normal,
    /// A tail behind a least delay.
    Pareto,
    /// A quarter Gaussian and three quarters of that.
    ParetoNormal,
}

impl JitterShape {
    /// All of them, in the order of messages.
    pub const ALL: [Self; 4] = [Self::Uniform, Self::Normal, Self::Pareto, Self::ParetoNormal];

    /// Returns its name, as a profile writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::Pareto => "pareto",
            Self::ParetoNormal => "paretonormal",
        }
    }
}

impl fmt::Display for JitterShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for JitterShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|shape| shape.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no shape \"{text}\"; write one of {names}")
        })
    }
}

impl Shorthand {
    /// Returns these settings, where `own` (those of one direction) says nothing else.
    #[must_use]
    pub fn overridden_by(self, own: Self) -> Self {
        Self {
            drop: own.drop.or(self.drop),
            burst: own.burst.or(self.burst),
            mark: own.mark.or(self.mark),
            duplicate: own.duplicate.or(self.duplicate),
            corrupt: own.corrupt.or(self.corrupt),
            rate: own.rate.or(self.rate),
            queue: own.queue.or(self.queue),
            delay: own.delay.or(self.delay),
            jitter: own.jitter.or(self.jitter),
            shape: own.shape.or(self.shape),
            jitter_memory: own.jitter_memory.or(self.jitter_memory),
            allow_reorder: own.allow_reorder.or(self.allow_reorder),
            reorder: own.reorder.or(self.reorder),
            stall: own.stall.or(self.stall),
            reset: own.reset.or(self.reset),
        }
    }
}
