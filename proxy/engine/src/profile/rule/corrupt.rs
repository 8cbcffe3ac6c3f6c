//! `corrupt`: which bits are flipped.

use jostle_common::units::Probability;
use std::ops::Range;

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
