//! What one event loop has of a proxy: its relays, and what these share while they work.
//!
//! A change is made at the sites of all loops that have a part of the route. Each loop carries out
//! what concerns its own site alone; for the rest the others lend theirs (`meeting`).

use crate::fleet::Fleet;
use crate::orders::OrderError;
use crate::past::Past;
use crate::turn::Turn;

/// The part of a proxy that one loop works on.
pub(crate) struct Site {
    /// The number of the loop, from 0.
    pub(crate) number: usize,
    pub(crate) fleet: Fleet,
    /// What relays did that are gone.
    pub(crate) past: Past,
    pub(crate) turn: Turn,
    /// Set unless the rules are switched off.
    pub(crate) rules_on: bool,
}

impl Site {
    pub(crate) fn new(number: usize, turn: Turn) -> Self {
        Self { number, fleet: Fleet::default(), past: Past::default(), turn, rules_on: true }
    }

    /// Does what is due.
    pub(crate) fn work(&mut self) {
        let Self { fleet, past, turn, .. } = self;
        fleet.work(turn, |report| past.add(report));
        if turn.descriptors.tcp_waits() {
            fleet.make_room(turn);
        }
    }
}

/// The sites that take part in a change: one, or those of all loops.
pub(crate) struct Sites<'a> {
    /// The one whose loop carries it out.
    leader: &'a mut Site,
    others: &'a mut [Box<Site>],
}

impl<'a> Sites<'a> {
    /// The site of the loop that carries the change out, and those that others lent it.
    pub(crate) const fn new(leader: &'a mut Site, others: &'a mut [Box<Site>]) -> Self {
        Self { leader, others }
    }

    /// Returns that of the loop that carries it out.
    pub(crate) const fn leader(&mut self) -> &mut Site {
        self.leader
    }

    /// Returns that of a loop which has a part of what is changed.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn at(&mut self, number: usize) -> Result<&mut Site, OrderError> {
        if self.leader.number == number {
            return Ok(self.leader);
        }
        let other = self.others.iter_mut().find(|site| site.number == number);
        other.map(Box::as_mut).ok_or(OrderError::Ended)
    }

    /// Returns those that take part.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Site> {
        let others = self.others.iter_mut().map(Box::as_mut);
        std::iter::once(&mut *self.leader).chain(others)
    }
}
