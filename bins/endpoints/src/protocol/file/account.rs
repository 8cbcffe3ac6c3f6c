//! The fate of every chunk of a file.

use crate::protocol::chunk_length;

/// The state of a chunk's content, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkState {
    /// No copy arrived: a hole.
    #[default]
    Missing,
    /// An undamaged copy arrived.
    Intact,
    /// Only damaged copies arrived; the first is kept.
    Damaged,
}

/// One chunk in the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkFate {
    /// The state of its content.
    pub state: ChunkState,
    /// True if its first copy arrived after a chunk of a higher number.
    pub late: bool,
    /// True if more than one copy arrived.
    pub doubled: bool,
}

impl ChunkFate {
    /// Returns the half byte that stands for it in a report: 0 missing, 1 intact, 2 damaged; +4
    /// late; +8 doubled.
    pub const fn code(self) -> u8 {
        self.state as u8 | (self.late as u8) << 2 | (self.doubled as u8) << 3
    }

    /// Reads the half byte.
    pub const fn from_code(code: u8) -> Self {
        let state = match code & 3 {
            1 => ChunkState::Intact,
            2 => ChunkState::Damaged,
            _ => ChunkState::Missing,
        };
        Self { state, late: code & 4 != 0, doubled: code & 8 != 0 }
    }
}

/// The sums over all chunks: intact + missing + damaged = chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ChunkCounts {
    /// The number of chunks of the file.
    pub chunks: u32,
    /// Chunks of which an undamaged copy arrived.
    pub intact: u32,
    /// Chunks of which no copy arrived.
    pub missing: u32,
    /// Chunks of which only damaged copies arrived.
    pub damaged: u32,
    /// Copies beyond each chunk's first, over all chunks.
    pub doubled: u64,
    /// Chunks whose first copy arrived after a chunk of a higher number.
    pub late: u32,
    /// Damaged datagrams that no longer told their number: they belong to chunks that are counted
    /// as missing, or to further copies.
    pub unknown: u64,
}

/// Returns the number of bytes of a file of `size` bytes that stand in intact chunks.
pub fn intact_bytes(size: u64, cells: impl Iterator<Item = ChunkFate>) -> u64 {
    let intact = (0..).zip(cells).filter(|(_, cell)| cell.state == ChunkState::Intact);
    intact.map(|(number, _)| chunk_length(size, number) as u64).sum()
}

/// The decision on a copy's content: to be written, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Write,
    Skip,
}

/// The account of one file. Its memory grows with the highest chunk that arrived, three bytes per
/// chunk.
#[derive(Clone, Debug)]
pub struct ChunkAccount {
    cells: Vec<ChunkFate>,
    counts: ChunkCounts,
}

impl ChunkAccount {
    /// Creates the account of a file of so many chunks, none of which has arrived.
    pub fn new(chunks: u32) -> Self {
        Self {
            cells: Vec::new(),
            counts: ChunkCounts { chunks, missing: chunks, ..ChunkCounts::default() },
        }
    }

    /// Returns the sums.
    pub const fn counts(&self) -> ChunkCounts {
        self.counts
    }

    /// Returns every chunk in order.
    pub fn cells(&self) -> impl Iterator<Item = ChunkFate> + '_ {
        (0..self.counts.chunks).map(|number| self.cell(number))
    }

    /// Returns one chunk; a missing one beyond the end.
    pub fn cell(&self, number: u32) -> ChunkFate {
        self.cells.get(number as usize).copied().unwrap_or_default()
    }

    /// Returns the number of chunks up to the last that arrived; behind it all are missing.
    pub(super) fn known(&self) -> u32 {
        self.cells.len() as u32
    }

    /// Counts a copy of chunk `number`, which must be in the file.
    pub(super) fn note(&mut self, number: u32, intact: bool) -> Keep {
        let place = number as usize;
        let overtaken = place < self.cells.len();
        if !overtaken {
            self.cells.resize(place + 1, ChunkFate::default());
        }
        let cell = &mut self.cells[place];
        let before = cell.state;
        if before == ChunkState::Missing {
            cell.late = overtaken;
            self.counts.late += u32::from(overtaken);
            self.counts.missing -= 1;
        } else {
            cell.doubled = true;
            self.counts.doubled += 1;
        }
        match (before, intact) {
            (ChunkState::Intact, _) | (ChunkState::Damaged, false) => return Keep::Skip,
            (ChunkState::Missing, false) => {
                cell.state = ChunkState::Damaged;
                self.counts.damaged += 1;
            }
            (ChunkState::Missing | ChunkState::Damaged, true) => {
                cell.state = ChunkState::Intact;
                self.counts.intact += 1;
                self.counts.damaged -= u32::from(before == ChunkState::Damaged);
            }
        }
        Keep::Write
    }

    /// Counts a damaged datagram that no longer tells its number.
    pub(super) const fn note_unknown(&mut self) {
        self.counts.unknown += 1;
    }

    /// Returns the half bytes of the chunks from `start` on, at most `count` of them, two in a
    /// byte.
    pub(super) fn packed(&self, start: u32, count: u32) -> Vec<u8> {
        let end = start.saturating_add(count).min(self.counts.chunks);
        let code = |number| if number < end { self.cell(number).code() } else { 0 };
        (start..end).step_by(2).map(|number| code(number) << 4 | code(number + 1)).collect()
    }
}

/// Reads half bytes, the high one of each byte first.
pub(super) fn unpacked(packed: &[u8]) -> impl Iterator<Item = ChunkFate> + '_ {
    packed
        .iter()
        .flat_map(|byte| [ChunkFate::from_code(byte >> 4), ChunkFate::from_code(byte & 15)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_intact_copy_wins_whenever_it_comes() {
        let mut account = ChunkAccount::new(3);
        assert_eq!(account.note(1, false), Keep::Write);
        assert_eq!(account.note(1, false), Keep::Skip);
        assert_eq!(account.note(1, true), Keep::Write);
        assert_eq!(account.note(1, false), Keep::Skip);
        assert_eq!(account.note(0, true), Keep::Write);
        let ChunkCounts { intact, missing, damaged, doubled, late, .. } = account.counts();
        assert_eq!((intact, missing, damaged, doubled, late), (2, 1, 0, 3, 1));
        assert_eq!(account.packed(0, 100), [0x59, 0x00]);
    }

    #[test]
    fn the_last_chunk_counts_with_its_own_length() {
        let cells = [1, 0, 2, 9].map(ChunkFate::from_code);
        assert_eq!(intact_bytes(3 * 4096 + 5, cells.into_iter()), 4096 + 5);
        assert_eq!(intact_bytes(3 * 4096, cells.into_iter()), 4096);
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_cells(chunks in 1u32..50,
            copies in prop::collection::vec((any::<u32>(), any::<bool>()), 0..200)) {
            let mut account = ChunkAccount::new(chunks);
            for (number, intact) in &copies {
                account.note(number % chunks, *intact);
            }
            let counts = account.counts();
            let count = |state| account.cells().filter(|cell| cell.state == state).count() as u32;
            prop_assert_eq!(counts.intact, count(ChunkState::Intact));
            prop_assert_eq!(counts.missing, count(ChunkState::Missing));
            prop_assert_eq!(counts.damaged, count(ChunkState::Damaged));
            prop_assert_eq!(counts.late as usize, account.cells().filter(|cell| cell.late).count());
            prop_assert_eq!(counts.intact + counts.missing + counts.damaged, chunks);
            prop_assert_eq!(counts.doubled + u64::from(counts.intact + counts.damaged),
                copies.len() as u64);
            let packed = account.packed(0, chunks);
            prop_assert!(unpacked(&packed).take(chunks as usize).eq(account.cells()));
        }

        #[test]
        fn every_code_is_read_as_it_was_written(code in 0u8..16) {
            if code & 3 != 3 {
                prop_assert_eq!(ChunkFate::from_code(code).code(), code);
            }
        }
    }
}
