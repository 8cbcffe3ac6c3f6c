//! The directions that a toxic acts on.

use jostle_common::chance::Direction;

/// The directions that a toxic acts on, as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToxicStream {
    text: String,
    /// Up, and down.
    acts: [bool; 2],
}

impl ToxicStream {
    /// Reads `upstream`, `downstream` or `both`, in any case.
    pub(super) fn read(text: &str) -> Option<Self> {
        let acts = match text {
            _ if text.eq_ignore_ascii_case("upstream") => [true, false],
            _ if text.eq_ignore_ascii_case("downstream") => [false, true],
            _ if text.eq_ignore_ascii_case("both") => [true, true],
            _ => return None,
        };
        Some(Self { text: text.to_owned(), acts })
    }

    /// Returns one direction, in Toxiproxy's word.
    pub(super) fn one(direction: Direction) -> Self {
        let (text, acts) = match direction {
            Direction::Up => ("upstream", [true, false]),
            Direction::Down => ("downstream", [false, true]),
        };
        Self { text: text.to_owned(), acts }
    }

    /// Returns both directions.
    pub(super) fn both() -> Self {
        Self { text: "both".to_owned(), acts: [true, true] }
    }

    /// Returns the text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the directions, up first.
    pub fn directions(&self) -> impl Iterator<Item = Direction> + use<> {
        let acts = self.acts;
        Direction::BOTH.into_iter().filter(move |direction| acts[direction.index()])
    }

    /// Returns true if it is one direction alone, as each of Toxiproxy's is.
    pub fn is_one(&self) -> bool {
        self.acts != [true, true]
    }

    /// Returns true if it is the same directions, however they are written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.acts == other.acts
    }
}
