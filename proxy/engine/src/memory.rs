//! The memory that what is held may take: one account for a lane, its route and the process.
//!
//! What is charged is what is held. [`Memory::charge`] ties bytes to their account: they are given
//! back when the last slice of them goes, however many packets share them. A [`Charge`] is an
//! amount for what is no bytes.

use crate::payload::Payload;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that one process holds at most unless told otherwise: 1 GiB.
pub const LIMIT_DEFAULT: u64 = 1 << 30;

/// One direction of a connection holds at most this share of what is to spare when it asks for
/// more, so that connections that stand still never take all of it: of 1 GiB a hundred leave as
/// much as a transfer at 100 Mbit/s over 100 ms needs.
const SHARE: u64 = 32;

/// Less than this share of the whole is little.
const SHORT: u64 = 8;

/// This share of the whole is kept back for the floors of connections.
const RESERVE: u64 = 4;

/// This share of the whole is kept back from the floors, for connections to come.
const RESERVE_TO_ADMIT: u64 = 16;

/// The bytes that each direction of a connection may hold whatever the others hold, as long as the
/// reserve is enough for all of them.
pub const FLOOR: u64 = 64 << 10;

/// The bytes that each direction may always hold: they are paid for when the connection is
/// [admitted](Memory::admit). Two segments, or a stream would trickle.
const FLOOR_LEAST: u64 = 4 << 10;

/// The memory that a connection costs before it holds anything: the least floor of both directions,
/// and what it consists of.
const CONNECTION_BYTES: u64 = 2 * FLOOR_LEAST + (8 << 10);

/// The memory that bytes cost besides themselves: the allocator's headers and rounding, and the
/// count of those who share them.
const BUFFER_BYTES: u64 = 128;

/// A bound on the bytes that are held, shared by its clones. Bytes taken from a part are taken from
/// the whole too, and those that a part still holds when its last clone goes are given back.
#[derive(Clone, Debug)]
pub struct Memory(Arc<MemoryAccount>);

#[derive(Debug)]
struct MemoryAccount {
    limit: u64,
    /// The bytes of it that are kept back for the floors of connections.
    reserve: u64,
    used: AtomicU64,
    /// The most that was ever held.
    peak: AtomicU64,
    /// The connections that were admitted.
    connections: AtomicU64,
    /// The memory that this one is a part of.
    whole: Option<Memory>,
}

impl Memory {
    /// Makes a memory of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self::with(limit, limit / RESERVE, None)
    }

    /// Makes a part of it that holds at most `limit` bytes.
    pub fn part(&self, limit: u64) -> Self {
        Self::with(limit, limit / RESERVE, Some(self.clone()))
    }

    /// Makes a part of it that holds at most `limit` bytes, none of them of connections.
    pub fn part_without_connections(&self, limit: u64) -> Self {
        Self::with(limit, 0, Some(self.clone()))
    }

    fn with(limit: u64, reserve: u64, whole: Option<Self>) -> Self {
        let [used, peak, connections] = [0; 3].map(AtomicU64::new);
        Self(Arc::new(MemoryAccount { limit, reserve, used, peak, connections, whole }))
    }

    /// Returns the bytes that it holds at most.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Returns the bytes held now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Returns the most bytes that were ever held.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// Returns the bytes that may still be taken without touching the reserve for the floors of
    /// connections.
    pub fn spare(&self) -> u64 {
        self.least(|account| account.limit - account.reserve)
    }

    /// Returns how much less is held than `bound` says, where that is least.
    fn least(&self, bound: impl Fn(&MemoryAccount) -> u64) -> u64 {
        self.chain().map(|part| bound(&part.0).saturating_sub(part.used())).min().unwrap_or(0)
    }

    /// Returns the floor of each direction of a connection: a smaller one where the reserve is not
    /// enough for so many.
    fn floor(&self) -> u64 {
        let of = |account: &MemoryAccount| {
            let directions = 2 * account.connections.load(Ordering::Relaxed).max(1);
            account.reserve / directions
        };
        let floor = self.chain().map(|part| of(&part.0)).min().unwrap_or(0);
        floor.clamp(FLOOR_LEAST, FLOOR)
    }

    /// Returns the bytes that one direction of a connection may take on top of those that it holds.
    pub fn room(&self, held: u64) -> u64 {
        let left = self.least(|account| account.limit - account.limit / RESERVE_TO_ADMIT);
        let floor = self.floor().saturating_sub(held).min(left);
        let share = (self.floor() + self.spare() / SHARE).saturating_sub(held).min(self.spare());
        floor.max(share).max(FLOOR_LEAST.saturating_sub(held))
    }

    /// Returns true if so little is left that connections may be held back which would not be by
    /// themselves.
    pub fn is_short(&self) -> bool {
        self.spare() < self.0.limit / SHORT
    }

    /// Returns true if as many bytes may be held in pieces of their own, with as much `beside`
    /// them. Exact on one thread, which is how an event loop uses it.
    pub fn has_room(&self, bytes: usize, beside: u64) -> bool {
        bytes as u64 + BUFFER_BYTES + beside <= self.spare()
    }

    /// Takes what `bytes` cost until the last slice of them goes. They must be all of what was
    /// allocated for them.
    pub fn charge(&self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let charge = Charge::new(self, bytes.len() as u64 + BUFFER_BYTES);
        Bytes::from_owner(ChargedBytes { bytes, _charge: charge })
    }

    /// Copies bytes that are to be held, and takes what they cost until the last slice goes.
    pub fn hold(&self, bytes: &[u8]) -> Bytes {
        self.charge(Bytes::copy_from_slice(bytes))
    }

    /// Makes bytes the payload of packets, and takes what they cost until the last slice of them
    /// goes. They must be all of what was allocated for them.
    ///
    /// # Panics
    /// When they are more than a [`Payload`] has.
    pub fn payload(&self, bytes: Bytes) -> Payload {
        let cost = bytes.len() as u64 + BUFFER_BYTES;
        let charge = (!bytes.is_empty()).then(|| Charge::new(self, cost));
        Payload::charged(bytes, charge)
    }

    /// Takes what a connection costs, and makes a place for its floors, until the return value
    /// goes. `None`: there is no room for another one.
    pub fn admit(&self) -> Option<Admission> {
        if self.least(|account| account.limit) < CONNECTION_BYTES {
            return None;
        }
        for part in self.chain() {
            part.0.connections.fetch_add(1, Ordering::Relaxed);
        }
        self.take(CONNECTION_BYTES);
        Some(Admission(self.clone()))
    }

    /// Takes `bytes`, whatever is left.
    fn take(&self, bytes: u64) {
        for part in self.chain() {
            let used = part.0.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if used > part.peak() {
                part.0.peak.fetch_max(used, Ordering::Relaxed);
            }
        }
    }

    /// Gives back `bytes` that were taken.
    fn give_back(&self, bytes: u64) {
        for part in self.chain() {
            part.0.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Returns this bound, and all those that it is a part of.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |part| part.0.whole.as_ref())
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(LIMIT_DEFAULT)
    }
}

/// An amount taken from a memory until this goes.
#[derive(Debug)]
pub struct Charge {
    memory: Memory,
    bytes: u64,
}

impl Charge {
    /// Takes `bytes` from `memory`, whatever is left.
    pub fn new(memory: &Memory, bytes: u64) -> Self {
        memory.take(bytes);
        Self { memory: memory.clone(), bytes }
    }

    /// Returns the amount.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the memory that it is taken from.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes more or gives back, so that `bytes` are taken.
    pub fn set(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.memory.take(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.memory.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

/// The place of a connection that was [admitted](Memory::admit).
#[derive(Debug)]
pub struct Admission(Memory);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.give_back(CONNECTION_BYTES);
        for part in self.0.chain() {
            part.0.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Bytes, and what they cost.
struct ChargedBytes {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_charged_until_the_last_slice_of_them_goes() {
        let memory = Memory::new(1 << 20);
        let run = memory.hold(&[7; 10_000]);
        let survivor = run.slice(5000..5001);
        drop(run);
        assert_eq!(memory.used(), 10_000 + BUFFER_BYTES, "one byte keeps all of them");
        assert_eq!(survivor, [7][..]);
        drop(survivor);
        assert_eq!((memory.used(), memory.peak()), (0, 10_000 + BUFFER_BYTES));
        assert_eq!((memory.hold(&[]).len(), memory.used()), (0, 0));
        let run = memory.payload(Bytes::from_static(&[7; 10_000]));
        let survivor = run.slice(5000..5001);
        drop(run);
        let bytes = survivor.to_bytes();
        drop(survivor);
        assert_eq!((bytes.len(), memory.used()), (1, 10_000 + BUFFER_BYTES), "it is still held");
        drop(bytes);
        assert_eq!((memory.payload(Bytes::new()).len(), memory.used()), (0, 0));
    }

    #[test]
    fn a_part_takes_from_the_whole_and_is_bounded_by_both() {
        let whole = Memory::new(100_000);
        let (one, other) = (whole.part(60_000), whole.part(60_000));
        assert_eq!((one.spare(), whole.spare()), (45_000, 75_000), "a quarter is kept back");
        let mut held = Charge::new(&one, 45_000);
        assert_eq!((one.spare(), other.spare(), whole.used()), (0, 30_000, 45_000));
        assert!(!one.has_room(0, 0) && other.has_room(29_000, 1000 - BUFFER_BYTES));
        assert!(!other.has_room(29_000, 1001 - BUFFER_BYTES));
        held.set(20_000);
        assert_eq!((one.spare(), other.spare(), whole.used()), (25_000, 45_000, 20_000));
        drop(held);
        assert_eq!((whole.used(), whole.peak()), (0, 45_000));
    }

    #[test]
    fn what_a_part_holds_is_given_back_to_the_whole() {
        let whole = Memory::new(100_000);
        let route = whole.part(100_000);
        let lane = route.part_without_connections(100_000);
        assert_eq!(lane.spare(), 75_000);
        let held = lane.hold(&[7; 70]);
        drop((route, lane));
        assert_eq!(whole.used(), 70 + BUFFER_BYTES, "it is still held");
        drop(held);
        assert_eq!(whole.used(), 0);
    }

    #[test]
    fn each_connection_has_its_floor_and_none_takes_all() {
        const LIMIT: u64 = 64 << 20;
        for (connections, newcomer) in [(1, FLOOR + LIMIT / 46), (100, FLOOR)] {
            let memory = Memory::new(LIMIT);
            let admitted: Vec<Admission> =
                (0..connections).filter_map(|_| memory.admit()).collect();
            let mut held: Vec<Charge> = admitted.iter().map(|_| Charge::new(&memory, 0)).collect();
            for _ in 0..200 {
                for one in &mut held {
                    one.set(one.bytes() + memory.room(one.bytes()));
                }
            }
            assert!(memory.room(0) >= newcomer, "{} after {connections}", memory.room(0));
            assert!(memory.used() <= LIMIT);
            assert_eq!(memory.is_short(), connections > 1);
            drop((held, admitted));
            assert_eq!(memory.used(), 0);
        }
    }

    /// However many connections take what they can, in whatever order they come: no more is held
    /// than the limit, and each can hold its least floor.
    #[test]
    fn the_limit_holds_for_any_number_of_connections() {
        for limit in [16 << 20, 64 << 20] {
            let memory = Memory::new(limit);
            let mut connections = Vec::new();
            while let Some(admission) = memory.admit() {
                // Both directions, and those that came before ask again.
                let directions = [(); 2].map(|()| Charge::new(&memory, 0));
                connections.push((admission, directions));
                let last = connections.len().saturating_sub(3);
                for (_, directions) in &mut connections[last..] {
                    for one in directions {
                        let room = memory.room(one.bytes());
                        assert!(one.bytes() + room >= FLOOR_LEAST);
                        one.set(one.bytes() + room);
                    }
                }
                // The least floors are charged twice: when paid for, and when used.
                let paid = 2 * FLOOR_LEAST * connections.len() as u64;
                assert!(memory.used() - paid <= limit, "{} connections", connections.len());
            }
            let least = limit / RESERVE_TO_ADMIT / CONNECTION_BYTES;
            assert!(connections.len() as u64 > least, "{}", connections.len());
        }
    }
}
