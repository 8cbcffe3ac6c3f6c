//! The one kind of table that is hashed: what is looked up for every packet.

use std::hash::{BuildHasherDefault, Hasher};

/// From keys to places in a slab, as numbers of some size.
#[expect(
    clippy::disallowed_types,
    reason = "looked up for every packet; nothing depends on its order"
)]
pub(crate) type Table<K, P = usize> = std::collections::HashMap<K, P>;

/// From numbers that are hashes already, of half the length: there may be many.
#[expect(
    clippy::disallowed_types,
    reason = "looked up for every packet; nothing depends on its order"
)]
pub(crate) type Hashed<V> = std::collections::HashMap<u32, V, BuildHasherDefault<AsItIs>>;

/// Hashes a hash: it stays as it is, in both halves, of which a table takes its bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, hash: u32) {
        self.0 = u64::from(hash) << 32 | u64::from(hash);
    }
}

/// Returns those of a table by number with the lowest numbers above `after`, at most `most` of
/// them and in order, and whether there are more.
pub(crate) fn lowest<P: Copy + Ord>(
    table: &Table<u32, P>,
    after: u32,
    most: usize,
) -> (Vec<(u32, P)>, bool) {
    let above = table.iter().filter(|(number, _)| **number > after);
    let mut found: Vec<(u32, P)> = above.map(|(number, place)| (*number, *place)).collect();
    let more = found.len() > most;
    if more {
        found.select_nth_unstable(most);
        found.truncate(most);
    }
    found.sort_unstable();
    (found, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_each_number_once_and_in_order() {
        // Every third number, so that the places are others.
        let table: Table<u32> = (1..=1000).map(|n| (3 * n, n as usize)).collect();
        let (mut after, mut all, mut pages) = (0, Vec::new(), 0);
        loop {
            let (found, more) = lowest(&table, after, 64);
            assert!(found.len() == 64 || !more);
            after = found.last().map_or(after, |(number, _)| *number);
            all.extend(found);
            pages += 1;
            if !more {
                break;
            }
        }
        assert_eq!(pages, 16);
        assert_eq!(all, (1..=1000).map(|n| (3 * n, n as usize)).collect::<Vec<_>>());
        assert_eq!(lowest(&table, 2997, 64), (vec![(3000, 1000)], false));
        assert_eq!(lowest(&table, 3000, 64), (vec![], false));
        assert_eq!(lowest(&table, u32::MAX, 64), (vec![], false));
    }
}
