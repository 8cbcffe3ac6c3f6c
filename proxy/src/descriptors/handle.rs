//! The descriptors of a process as one of its loops sees them.

use super::DescriptorTable;
use crate::shared::{Shared, Waits};
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use mio::Waker;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The descriptors of a process, which all loops take from.
#[derive(Debug)]
pub(crate) struct Descriptors {
    table: Shared<DescriptorTable>,
    /// How often TCP clients had waited when this loop last made room for them.
    seen: u64,
    /// What each loop asks in every turn; `None` if there is only one.
    notes: Option<Arc<Notes>>,
}

/// What is asked in every turn, so that nobody locks the table for it.
#[derive(Debug, Default)]
struct Notes {
    is_short_of_flows: AtomicBool,
    tcp_waited: AtomicU64,
    /// Those of all loops: what makes room for a TCP client may be another one's.
    wakers: Vec<Arc<Waker>>,
}

impl Descriptors {
    /// Makes the handles of loops with these wakers.
    pub(crate) fn of_loops(
        table: DescriptorTable,
        wakers: &[Arc<Waker>],
        waits: &Waits,
    ) -> Vec<Self> {
        let note = || Arc::new(Notes { wakers: wakers.to_vec(), ..Notes::default() });
        let notes = (wakers.len() > 1).then(note);
        let tables = Shared::among(table, wakers.len(), waits);
        tables.into_iter().map(|table| Self { table, seen: 0, notes: notes.clone() }).collect()
    }

    /// Changes the table, and notes what all ask.
    fn change<R>(&mut self, act: impl FnOnce(&mut DescriptorTable) -> R) -> R {
        let notes = self.notes.as_deref();
        self.table.with(|table| {
            let result = act(table);
            if let Some(notes) = notes {
                notes.is_short_of_flows.store(table.is_short_of_flows(), Ordering::Relaxed);
                notes.tcp_waited.store(table.tcp_waited(), Ordering::Relaxed);
            }
            result
        })
    }

    /// Returns how many more it would have to have for a client of each transport that is relayed.
    pub(crate) fn missing_for_a_client(&self) -> usize {
        self.table.look(DescriptorTable::missing_for_a_client)
    }

    /// Notes that a relay of a transport is there.
    pub(crate) fn add_relay(&mut self, transport: Transport) {
        self.change(|table| table.add_relay(transport));
    }

    /// Notes that one is gone.
    pub(crate) fn remove_relay(&mut self, transport: Transport) {
        self.change(|table| table.remove_relay(transport));
    }

    /// Takes `amount`, if there is as much.
    pub(crate) fn take(&mut self, amount: usize) -> bool {
        self.change(|table| table.take(amount))
    }

    /// Takes `amount` that are open already.
    pub(crate) fn charge(&mut self, amount: usize) {
        self.change(|table| table.charge(amount));
    }

    /// Gives `amount` back.
    pub(crate) fn give(&mut self, amount: usize) {
        self.change(|table| table.give(amount));
    }

    /// Takes what another client of a transport needs, if it may have that.
    pub(crate) fn take_for(&mut self, transport: Transport, now: Instant) -> bool {
        self.change(|table| table.take_for(transport, now))
    }

    /// Takes what another client needs in place of one of the same transport that has just gone.
    pub(crate) fn take_in_place(&mut self, transport: Transport) {
        self.change(|table| table.take_in_place(transport));
    }

    /// Gives back what a client of a transport had.
    pub(crate) fn give_for(&mut self, transport: Transport) {
        self.change(|table| table.give_for(transport));
    }

    /// Returns true if few are left for flows.
    pub(crate) fn is_short_of_flows(&self) -> bool {
        match &self.notes {
            Some(notes) => notes.is_short_of_flows.load(Ordering::Relaxed),
            None => self.table.look(DescriptorTable::is_short_of_flows),
        }
    }

    /// Returns false if an address has as many clients of a transport as it may have: as many as
    /// were set, or half of all while few are left for others.
    pub(crate) fn may_have_another(&mut self, transport: Transport, source: IpAddr) -> bool {
        self.table.with(|table| table.may_have_another(transport, source))
    }

    /// Notes that a client is there, which has taken what it needs.
    pub(crate) fn add_client(&mut self, transport: Transport, source: IpAddr) {
        self.table.with(|table| table.add_client(transport, source));
    }

    /// Gives back what a client had that is gone.
    pub(crate) fn remove_client(&mut self, transport: Transport, source: IpAddr) {
        self.change(|table| table.remove_client(transport, source));
    }

    /// Notes that TCP clients wait for descriptors: each loop makes room for them.
    pub(crate) fn let_tcp_wait(&mut self, now: Instant) {
        self.change(|table| table.let_tcp_wait(now));
        for waker in self.notes.iter().flat_map(|notes| &notes.wakers) {
            if let Err(error) = waker.wake() {
                log::error!("cannot wake an event loop: {error}");
            }
        }
    }

    /// Returns true once for each time that TCP clients wait.
    pub(crate) fn tcp_waits(&mut self) -> bool {
        let waited = match &self.notes {
            Some(notes) => notes.tcp_waited.load(Ordering::Relaxed),
            None => self.table.look(DescriptorTable::tcp_waited),
        };
        std::mem::replace(&mut self.seen, waited) != waited
    }

    /// Says once that clients are not served for want of descriptors.
    pub(crate) fn warn(&mut self, what: &str) {
        self.table.with(|table| table.warn(what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Tcp, Udp};

    const NOW: Instant = Instant::START;

    fn of_loops(loops: usize) -> Vec<Descriptors> {
        let waker = |_| {
            let poll = mio::Poll::new().unwrap();
            Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap())
        };
        let wakers: Vec<_> = (0..loops).map(waker).collect();
        Descriptors::of_loops(DescriptorTable::new(1024, 8, None), &wakers, &Waits::default())
    }

    #[test]
    fn each_loop_is_told_once_that_clients_wait_and_all_take_from_one_table() {
        for loops in [1, 3] {
            let mut all = of_loops(loops);
            all[0].add_relay(Udp);
            all[0].add_relay(Tcp);
            all[0].let_tcp_wait(NOW);
            for one in &mut all {
                assert!(one.tcp_waits() && !one.tcp_waits(), "{loops}");
            }
            let last = loops - 1;
            let mut taken = 0;
            while all[taken % loops].take(1) {
                assert_eq!(all[last].is_short_of_flows(), 4 * (taken + 1 + 240) >= 3 * 960);
                taken += 1;
            }
            assert_eq!(taken, 1024 - 64, "{loops}");
            all[last].give(1);
            assert!(all[0].take(1) && !all[last].take(1));
        }
    }
}
