//! Finds out that a datagram goes round in a circle: the same one from the same source, again and
//! again.
//!
//! Two services that answer anything with itself, set on each other by one forged datagram, send it
//! to and fro for ever. Each sees what it has answered come back. A client may well send the same
//! datagram often; but if every so many-th copy stays unanswered, a client hardly notices, and
//! whatever goes round ends: each copy left unanswered is one that circles no more.

use jostle_common::time::Instant;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

/// Of the copies of a datagram from one source, the number that is answered in a row.
pub const REPEATS_MAX: u32 = 16_384;
/// The number of different datagrams that are watched for each source.
const WATCHED: usize = 64;
/// A datagram that has not come for so long is watched no more.
const FORGET: Duration = Duration::from_secs(10);
/// The number of sources that are watched; beyond, the one that was silent longest is forgotten.
const SOURCES_MAX: usize = 1024;

/// A datagram that is watched.
#[derive(Clone, Copy, Debug)]
struct WatchedDatagram {
    hash: u64,
    seen: u32,
    last: Instant,
}

/// The datagrams of one source.
#[derive(Debug)]
struct WatchedSource {
    datagrams: Vec<WatchedDatagram>,
    last: Instant,
}

/// Counts how often the same datagrams come from the same sources, within bounds.
#[derive(Debug, Default)]
pub struct Repeats {
    sources: BTreeMap<SocketAddr, WatchedSource>,
}

impl Repeats {
    /// Counts a datagram. Returns true if it should stay unanswered, lest it go round for ever.
    pub fn is_circling(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&from) {
            self.forget_oldest();
        }
        let source = self
            .sources
            .entry(from)
            .or_insert_with(|| WatchedSource { datagrams: Vec::new(), last: now });
        source.last = now;
        source.is_circling(now, hash(datagram))
    }

    fn forget_oldest(&mut self) {
        let oldest = self.sources.iter().min_by_key(|(_, source)| source.last);
        if let Some(oldest) = oldest.map(|(address, _)| *address) {
            self.sources.remove(&oldest);
        }
    }
}

impl WatchedSource {
    fn is_circling(&mut self, now: Instant, hash: u64) -> bool {
        let new = WatchedDatagram { hash, seen: 1, last: now };
        let Some(found) = self.datagrams.iter_mut().find(|watched| watched.hash == hash) else {
            let is_free = |watched: &WatchedDatagram| watched.last + FORGET <= now;
            if self.datagrams.len() < WATCHED {
                self.datagrams.push(new);
            } else if let Some(place) = self.datagrams.iter().position(is_free) {
                self.datagrams[place] = new;
            }
            // Else it is watched when another is not any more: what circles comes again.
            return false;
        };
        let is_forgotten = found.last + FORGET <= now;
        found.seen = if is_forgotten { 1 } else { found.seen + 1 };
        found.last = now;
        if found.seen <= REPEATS_MAX {
            return false;
        }
        found.seen = 0;
        true
    }
}

/// Hashes a datagram. Whoever makes two that are alike only makes ours believe in a circle of what
/// he sends himself.
fn hash(datagram: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(datagram);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u16) -> SocketAddr {
        ([127, 0, 0, 1], number).into()
    }

    #[test]
    fn each_copy_beyond_a_number_in_a_row_stays_unanswered_and_nothing_else() {
        let mut repeats = Repeats::default();
        let mut unanswered = 0;
        for round in 0..3 * (REPEATS_MAX + 1) {
            let now = Instant::from_millis(u64::from(round));
            unanswered += u32::from(repeats.is_circling(now, source(1), b"same"));
            assert!(!repeats.is_circling(now, source(2), &round.to_be_bytes()), "others");
        }
        assert_eq!(unanswered, 3);
    }

    #[test]
    fn what_circles_ends_however_many_there_are() {
        for circling in [1u32, 2, 63, 64, 200] {
            let mut repeats = Repeats::default();
            let mut alive: Vec<_> = (0..circling).collect();
            let mut rounds = 0u64;
            while !alive.is_empty() {
                rounds += 1;
                assert!(rounds < 200_000, "{circling} go round for ever");
                let now = Instant::from_millis(rounds * 10);
                alive.retain(|datagram| {
                    !repeats.is_circling(now, source(1), &datagram.to_be_bytes())
                });
            }
            assert!(rounds >= u64::from(REPEATS_MAX), "{circling} ended after {rounds} rounds");
        }
    }

    #[test]
    fn a_datagram_that_comes_now_and_then_is_always_answered() {
        let mut repeats = Repeats::default();
        for round in 0..2 * REPEATS_MAX {
            let now = Instant::from_secs(u64::from(round) * 11);
            assert!(!repeats.is_circling(now, source(1), b"hourly"));
            for other in 0..WATCHED as u32 {
                assert!(!repeats.is_circling(now, source(1), &(round << 8 | other).to_be_bytes()));
            }
        }
    }

    #[test]
    fn sources_and_datagrams_are_bounded() {
        let mut repeats = Repeats::default();
        for number in 0..3000u16 {
            for datagram in 0..100u32 {
                let now = Instant::from_millis(number.into());
                repeats.is_circling(now, source(number), &datagram.to_be_bytes());
            }
        }
        assert_eq!(repeats.sources.len(), SOURCES_MAX);
        assert!(repeats.sources.values().all(|source| source.datagrams.len() == WATCHED));
        assert!(repeats.sources.contains_key(&source(2999)));
        assert!(!repeats.sources.contains_key(&source(0)));
    }
}
