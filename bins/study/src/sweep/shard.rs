//! A part of a sweep: every n-th cell.

use std::fmt;
use std::str::FromStr;

/// Part `number` of `of`, counted from 1: `3/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u64,
    of: u64,
}

impl Shard {
    /// The whole.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Creates part `number` of `of`; `None` unless 1 ≤ number ≤ of.
    pub const fn new(number: u64, of: u64) -> Option<Self> {
        if number >= 1 && number <= of { Some(Self { number, of }) } else { None }
    }

    /// Returns true if the cell of this index belongs to it.
    pub const fn has(self, index: u64) -> bool {
        index % self.of == self.number - 1
    }

    /// Returns the number of `cells` that belong to it.
    pub const fn share_of(self, cells: u64) -> u64 {
        (cells + self.of - self.number) / self.of
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        parts.and_then(|(number, of)| Self::new(number, of)).ok_or_else(|| {
            format!("\"{text}\" is no part of a whole; write 3/16 for the third of sixteen")
        })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_everything_once() {
        for of in 1..7 {
            let shards: Vec<Shard> =
                (1..=of).map(|number| Shard::new(number, of).unwrap()).collect();
            for cells in 0..20 {
                let shares: u64 = shards.iter().map(|shard| shard.share_of(cells)).sum();
                assert_eq!(shares, cells);
                let counted =
                    (0..cells).map(|index| shards.iter().filter(|shard| shard.has(index)).count());
                assert!(counted.into_iter().all(|count| count == 1));
                let first = (0..cells).filter(|index| shards[0].has(*index)).count() as u64;
                assert_eq!(first, shards[0].share_of(cells));
            }
        }
    }

    #[test]
    fn parts_that_are_none_are_refused() {
        assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
        for text in ["0/4", "5/4", "3", "a/b", "1/0", "-1/4", ""] {
            assert!(text.parse::<Shard>().unwrap_err().contains("3/16"), "{text}");
        }
    }
}
