//! The fate of every chunk of a file without an account of it: judged by the bytes.

use super::ChunkState;
use crate::protocol::CHUNK;

/// Returns the fate of each chunk of `original`, judged by what was received. What ends within a
/// chunk has not brought it, and a hole of zeros is no damage.
pub fn compared(original: &[u8], received: &[u8]) -> Vec<ChunkState> {
    let chunks = original.chunks(CHUNK).enumerate();
    chunks
        .map(|(number, chunk)| {
            let start = number * CHUNK;
            match received.get(start..start + chunk.len()) {
                Some(same) if same == chunk => ChunkState::Intact,
                Some(other) if other.iter().any(|byte| *byte != 0) => ChunkState::Damaged,
                _ => ChunkState::Missing,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_judged_by_their_bytes() {
        use ChunkState::{Damaged, Intact, Missing};
        let original: Vec<u8> = (0..10_000u32).map(|n| n as u8 | 1).collect();
        let mut received = original.clone();
        assert_eq!(compared(&original, &received), [Intact; 3]);
        received[5000] ^= 4;
        received.truncate(9_000);
        assert_eq!(compared(&original, &received), [Intact, Damaged, Missing]);
        received[..4096].fill(0);
        assert_eq!(compared(&original, &received), [Missing, Damaged, Missing]);
        assert_eq!(compared(&original, &[]), [Missing; 3]);
    }
}
