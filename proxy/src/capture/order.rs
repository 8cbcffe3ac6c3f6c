//! Records in the order of their times, with comments that may become known after them.
//!
//! A packet is written at the time at which it came in, with what became of it, which is known
//! later. So records wait for a moment, and those whose packet is still inside a little longer;
//! both is bounded, and what is known later is in the event log.

use super::note::PacketKey;
use crate::table::Table;
use jostle_common::time::Instant;
use slab::Slab;
use std::collections::BTreeMap;
use std::time::Duration;

/// The interface of a record: a side of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Client, Self::Server];

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A record of the capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) at: Instant,
    pub(super) side: Side,
    pub(super) bytes: Vec<u8>,
    pub(super) length: u32,
    /// Empty if there is nothing to say.
    pub(super) comment: String,
    /// The packet whose fate is still to come.
    pub(super) awaits: Option<PacketKey>,
}

/// The time that a record waits for those in front of it: the kernel's stamps of arrivals are older
/// than the turn that reads them.
const WAIT: Duration = Duration::from_millis(20);

/// The longest that a record waits for its packet's fate.
const WAIT_FOR_FATE: Duration = Duration::from_secs(5);

/// The most bytes that wait.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// What a record costs besides its bytes.
const RECORD_BYTES: usize = 200;

/// The records that wait.
#[derive(Debug, Default)]
pub(super) struct Order {
    records: Slab<Record>,
    by_time: BTreeMap<(Instant, u64), usize>,
    awaiting: Table<PacketKey>,
    added: u64,
    bytes: usize,
    newest: Instant,
}

impl Order {
    /// Adds a record.
    pub(super) fn add(&mut self, record: Record) {
        self.added += 1;
        self.bytes += record.bytes.len() + RECORD_BYTES;
        self.newest = self.newest.max(record.at);
        let (at, awaits) = (record.at, record.awaits);
        let place = self.records.insert(record);
        self.by_time.insert((at, self.added), place);
        if let Some(key) = awaits {
            self.awaiting.insert(key, place);
        }
    }

    /// Says more about a packet whose record waits; with `is_over` nothing more will be said.
    pub(super) fn comment(&mut self, key: &PacketKey, text: &str, is_over: bool) {
        let Some(&place) = self.awaiting.get(key) else { return };
        let record = &mut self.records[place];
        record.comment.push_str(text);
        if is_over {
            record.awaits = None;
            self.awaiting.remove(key);
        }
    }

    /// Returns the next record that waits no longer. With `is_idle` nothing else is to be expected
    /// at the moment, so what awaits no fate goes.
    pub(super) fn next(&mut self, is_idle: bool) -> Option<Record> {
        let (&(at, _), &place) = self.by_time.first_key_value()?;
        let waits_for_fate = self.records[place].awaits.is_some();
        let patience = if waits_for_fate { WAIT_FOR_FATE } else { WAIT };
        let is_due = at + patience <= self.newest
            || is_idle && !waits_for_fate
            || self.bytes > WAITING_BYTES_MAX;
        if is_due { self.pop() } else { None }
    }

    /// Returns the first record.
    pub(super) fn pop(&mut self) -> Option<Record> {
        let (_, place) = self.by_time.pop_first()?;
        let record = self.records.remove(place);
        self.bytes -= record.bytes.len() + RECORD_BYTES;
        if let Some(key) = &record.awaits {
            self.awaiting.remove(key);
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::Direction;
    use jostle_common::transport::Transport;

    fn key(number: u64) -> PacketKey {
        let (route, transport, direction) = (0, Transport::Udp, Direction::Up);
        PacketKey { route, transport, direction, number }
    }

    fn record(ms: u64, awaits: Option<u64>) -> Record {
        let (bytes, comment) = (vec![0; 100], ms.to_string());
        let at = Instant::from_millis(ms);
        Record { at, side: Side::Client, bytes, length: 100, comment, awaits: awaits.map(key) }
    }

    fn all(order: &mut Order, is_idle: bool) -> Vec<String> {
        std::iter::from_fn(|| order.next(is_idle)).map(|record| record.comment).collect()
    }

    #[test]
    fn records_come_in_the_order_of_their_times() {
        let mut order = Order::default();
        [30, 10, 20, 45].into_iter().for_each(|ms| order.add(record(ms, None)));
        assert_eq!(all(&mut order, false), ["10", "20"], "20 ms behind the newest");
        assert_eq!(all(&mut order, true), ["30", "45"]);
        assert_eq!(order.bytes, 0);
    }

    #[test]
    fn a_fate_is_waited_for_but_not_for_ever() {
        let mut order = Order::default();
        order.add(record(10, Some(1)));
        order.add(record(12, Some(2)));
        order.add(record(100, None));
        assert_eq!(all(&mut order, true), [""; 0]);
        order.comment(&key(1), ", dropped", true);
        assert_eq!(all(&mut order, false), ["10, dropped"]);
        order.comment(&key(1), "unheard", true);
        order.add(record(5013, None));
        assert_eq!(all(&mut order, false), ["12", "100"]);
        order.comment(&key(2), "too late", true);
        assert_eq!(all(&mut order, true), ["5013"]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = Order::default();
        for number in 0..300_000 {
            order.add(record(10, Some(number)));
            while order.next(false).is_some() {}
        }
        assert!(order.bytes > WAITING_BYTES_MAX * 9 / 10 && order.bytes <= WAITING_BYTES_MAX);
        assert_eq!(order.records.len(), order.awaiting.len());
    }
}
