//! Chance as a pure function: what a rule draws for a packet depends on who asks and about which
//! packet, never on what was drawn before.
//!
//! A [`DrawStream`] is a key made from the seed, the route, the direction and the rule. A [`Draw`]
//! is the 128 random bits of one packet in that stream, from [Philox](crate::philox). So a rule
//! that is switched on or off, or dialled up, never changes what another rule does to packet 4711,
//! and any fate can be computed again later.

use crate::philox::{TOGETHER, first_halves, philox4x32};
use crate::units::Probability;
use sha2::{Digest, Sha256};
use std::fmt;

/// The way in which a packet crosses a route.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

impl Direction {
    /// Both directions, up first.
    pub const BOTH: [Self; 2] = [Self::Up, Self::Down];

    /// Returns the other direction.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }

    /// Returns 0 for up, 1 for down: the place in a pair.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns `up` or `down`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Draws a seed from the operating system, for a run that was given none. 53 bits, so that every
/// JSON reader keeps it exactly.
pub fn fresh_seed() -> u64 {
    rand::random::<u64>() >> 11
}

/// Derives a seed from another and a label, so that parts of a job have seeds of their own and the
/// whole needs one.
pub fn derived_seed(seed: u64, label: &str) -> u64 {
    hash("jostle seed", &[&seed.to_le_bytes(), label.as_bytes()]) >> 11
}

fn hash(domain: &str, parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(domain.as_bytes());
    for part in parts {
        // The length in front keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"))
}

/// The key of one rule's draws: a hash of the seed, the route, the direction and the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawStream([u32; 2]);

impl DrawStream {
    /// Creates the stream of `rule` (its name, or its kind and ordinal such as `drop#2`) in one
    /// direction of `route` (its name, or its ordinal).
    pub fn new(seed: u64, route: &str, direction: Direction, rule: &str) -> Self {
        let parts: [&[u8]; 4] =
            [&seed.to_le_bytes(), route.as_bytes(), direction.name().as_bytes(), rule.as_bytes()];
        let key = hash("jostle stream", &parts);
        Self([key as u32, (key >> 32) as u32])
    }

    /// Returns the draw for copy `copy` of packet `number`. `flow` is 0 unless the rule counts per
    /// flow.
    #[inline]
    pub const fn draw(self, number: u64, flow: u32, copy: u32) -> Draw {
        Draw(philox4x32(counter(number, flow, copy), self.0))
    }

    /// Returns the [first](Draw::first) 64 bits of the draws for packet `number` and those that
    /// follow it, for less than each by itself costs.
    #[inline]
    pub fn firsts(self, number: u64, flow: u32, copy: u32) -> [u64; TOGETHER] {
        first_halves(counter(number, flow, copy), self.0)
    }
}

const fn counter(number: u64, flow: u32, copy: u32) -> [u32; 4] {
    [number as u32, (number >> 32) as u32, flow, copy]
}

/// The 128 random bits of one packet under one rule, as two independent numbers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw([u32; 4]);

impl Draw {
    /// Returns the first 64 bits.
    pub const fn first(self) -> u64 {
        self.0[0] as u64 | (self.0[1] as u64) << 32
    }

    /// Returns the second 64 bits, independent of the first.
    pub const fn second(self) -> u64 {
        self.0[2] as u64 | (self.0[3] as u64) << 32
    }

    /// Returns a stream of its own, keyed by the second 64 bits, for a rule that needs more than
    /// 128 bits for a packet.
    pub const fn more(self) -> DrawStream {
        DrawStream([self.0[2], self.0[3]])
    }

    /// Returns true if an event of this probability happens, judged by the first 64 bits: raising
    /// the probability only adds events.
    pub fn hits(self, probability: Probability) -> bool {
        probability.covers(self.first())
    }
}

/// Maps 64 random bits to 0..`bound`, evenly to within 2^-64 (Lemire's multiplication; a rejection
/// loop would make the cost vary).
pub const fn below(bits: u64, bound: u64) -> u64 {
    ((bits as u128 * bound as u128) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_part_of_their_name() {
        let base = DrawStream::new(7, "dns", Direction::Up, "drop");
        for other in [
            DrawStream::new(8, "dns", Direction::Up, "drop"),
            DrawStream::new(7, "web", Direction::Up, "drop"),
            DrawStream::new(7, "dns", Direction::Down, "drop"),
            DrawStream::new(7, "dns", Direction::Up, "drop#2"),
            DrawStream::new(7, "dnsu", Direction::Up, "drop"),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(base, DrawStream::new(7, "dns", Direction::Up, "drop"));
    }

    #[test]
    fn draws_differ_by_number_flow_and_copy() {
        let stream = DrawStream::new(7, "dns", Direction::Up, "drop");
        let base = stream.draw(1, 0, 0);
        for other in [
            stream.draw(2, 0, 0),
            stream.draw(1, 1, 0),
            stream.draw(1, 0, 1),
            stream.draw(1 << 32, 0, 0),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_key_is_kept_over_versions() {
        // A changed value here changes the outcome of every seeded run in the world.
        assert_eq!(
            DrawStream::new(7, "dns", Direction::Up, "drop").draw(4711, 0, 0).first(),
            11_296_640_613_762_089_130
        );
    }

    #[test]
    fn below_reaches_both_ends() {
        assert_eq!(below(0, 10), 0);
        assert_eq!(below(u64::MAX, 10), 9);
        assert_eq!(below(u64::MAX, 1), 0);
    }
}
