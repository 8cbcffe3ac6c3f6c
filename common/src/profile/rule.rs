//! The rules of a profile, as valid values.

use crate::units::{BitRate, ByteSize, Probability, Span};
use std::ops::Range;
use std::time::Duration;

/// One rule of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Who the rule is, in its draws, in counters and in events: its `name`, or its kind and ordinal among its kind (`drop`, `drop#2`).
    pub key: String,
    /// How many rules of the same kind stand before it in this direction.
    pub ordinal: u32,
    /// What it does.
    pub kind: RuleKind,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// Loses packets.
    Drop(Drop),
    /// Flips bits.
    Corrupt(Corrupt),
    /// Holds packets for a time.
    Delay(Delay),
    /// Makes copies.
    Duplicate(Duplicate),
    /// Lets later packets overtake.
    Reorder(Reorder),
    /// Serialises packets at a rate, with a queue in front.
    Rate(Rate),
}

impl RuleKind {
    /// The name of the kind, as written in a profile.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drop(_) => "drop",
            Self::Corrupt(_) => "corrupt",
            Self::Delay(_) => "delay",
            Self::Duplicate(_) => "duplicate",
            Self::Reorder(_) => "reorder",
            Self::Rate(_) => "rate",
        }
    }
}

/// Which packets are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drop {
    /// Each packet on its own, with this probability.
    Chance(Probability),
    /// Bursts of geometrically distributed length.
    Burst {
        /// The share of all packets that is lost.
        mean: Probability,
        /// The mean number of packets in a burst, at least 1.
        length: f64,
    },
    /// The Gilbert–Elliott model: a good and a bad state with a loss probability each (Elliott 1963).
    GilbertElliott {
        /// The probability, per packet, to go from good to bad.
        p: Probability,
        /// The probability, per packet, to go from bad to good.
        r: Probability,
        /// The probability of loss in the bad state.
        loss_bad: Probability,
        /// The probability of loss in the good state.
        loss_good: Probability,
    },
    /// Each n-th packet: the n-th, the 2n-th …
    Every(u64),
}

impl Drop {
    /// Bursts of `length` packets on average that lose a share `mean` of all.
    ///
    /// # Errors
    /// When no such bursts exist: the field that is wrong (`length` or `mean`), and the problem.
    pub fn burst(mean: Probability, length: f64) -> Result<Self, (&'static str, String)> {
        if !(1.0..=1e6).contains(&length) {
            return Err((
                "length",
                format!("a burst of {length} packets is none; write a mean length from 1 to 1000000"),
            ));
        }
        // Between two bursts at least one packet arrives.
        let most = length / (length + 1.0);
        if mean.as_f64() > most {
            let most = (most * 1000.0).floor() / 10.0;
            let problem = format!(
                "bursts of {length} packets cannot lose more than {most}%; write a longer burst or a lower mean"
            );
            return Err(("mean", problem));
        }
        Ok(Self::Burst { mean, length })
    }
}

/// Which bits are flipped.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrupt {
    /// How often, and how many bits.
    pub flips: Flips,
    /// The bytes of the payload that may be hit; all of them when `None`.
    pub range: Option<Range<u64>>,
}

/// How bits are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flips {
    /// With this probability exactly so many distinct bits.
    Bits {
        /// The probability that a packet is hit.
        chance: Probability,
        /// How many distinct bits are flipped then.
        bits: u32,
    },
    /// Each bit on its own, with this probability.
    Rate(Probability),
}

/// How long packets are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// The mean of the drawn delay.
    pub time: Duration,
    /// The spread: half-width for uniform, standard deviation for normal.
    pub jitter: Duration,
    /// How the spread is distributed.
    pub shape: Shape,
    /// Whether jitter may let a packet overtake another.
    pub reorder: bool,
}

/// The standard deviation of a Gaussian cut at ± time reaches time/√3 = 0.577·time only when it has become the even distribution.
const NORMAL_JITTER_MAX: f64 = 0.57;

impl Delay {
    /// Checks that no packet would have to arrive before it was sent; the error is the problem with the jitter.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { time, jitter, .. } = *self;
        match self.shape {
            Shape::Uniform if jitter > time => Err(format!(
                "{} of jitter around {} would be before the packet came; write a jitter of at most the time",
                Span(jitter),
                Span(time)
            )),
            Shape::Normal if jitter > time.mul_f64(NORMAL_JITTER_MAX) => Err(format!(
                "a normal jitter of {} does not fit between 0 and twice {}; write at most 57% of the time",
                Span(jitter),
                Span(time)
            )),
            _ => Ok(()),
        }
    }
}

/// The distribution of jitter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Even over time ± jitter.
    #[default]
    Uniform,
    /// Gaussian with sd jitter, cut symmetrically at 0 and 2·time.
    Normal,
}

/// How packets are copied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duplicate {
    /// The probability that a packet is copied.
    pub chance: Probability,
    /// How many copies are made beside the original.
    pub copies: u32,
}

/// How packets are overtaken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// The probability that a packet is held back.
    pub chance: Probability,
    /// How many later packets pass it.
    pub behind: u32,
    /// The longest it waits for them.
    pub at_most: Duration,
}

impl Reorder {
    /// The longest hold-back unless told otherwise.
    pub const AT_MOST_DEFAULT: Duration = Duration::from_millis(50);
}

/// How fast packets are serialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The rate.
    pub limit: BitRate,
    /// How much may wait in front.
    pub queue: Queue,
    /// Bytes counted per packet on top of its size.
    pub overhead: u32,
}

/// The bound of a queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Queue {
    /// 100 ms or 10 packets, whichever is more: at 56 kbit/s 100 ms would not hold one full packet.
    Default,
    /// The longest wait until transmission starts.
    Time(Duration),
    /// The most bytes waiting.
    Bytes(ByteSize),
    /// The most packets waiting.
    Packets(u64),
}
