//! What one event loop has of a proxy: its relays, and what these share while they work.
//!
//! A change is made at the states of all loops that have a part of the route. Each loop carries out
//! what concerns its own state alone; for the rest the others lend theirs (`pause`).

use crate::fleet::Fleet;
use crate::orders::OrderError;
use crate::past::Past;
use crate::turn::Turn;

/// The part of a proxy that one loop works on.
pub(crate) struct LoopState {
    /// The number of the loop, from 0.
    pub(crate) number: usize,
    pub(crate) fleet: Fleet,
    /// What relays did that are gone.
    pub(crate) past: Past,
    pub(crate) turn: Turn,
    /// Set unless the rules are switched off.
    pub(crate) rules_on: bool,
}

impl LoopState {
    pub(crate) fn new(number: usize, turn: Turn) -> Self {
        Self { number, fleet: Fleet::default(), past: Past::default(), turn, rules_on: true }
    }

    /// Serves the sockets that asked for it, such as those from which a relay that goes takes in what
    /// has come so far.
    fn serve_asked(&mut self) {
        let Self { fleet, turn, .. } = self;
        for _ in 0..turn.reactor.agains() {
            let token = turn.reactor.next_again();
            if let Some(owner) = token.and_then(|token| turn.reactor.owner(token)) {
                fleet.serve(owner, turn);
            }
        }
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

/// The states that take part in a change: one, or those of all loops.
pub(crate) struct LoopStates<'a> {
    /// The one whose loop carries it out.
    leader: &'a mut LoopState,
    others: &'a mut [Box<LoopState>],
}

impl<'a> LoopStates<'a> {
    /// The state of the loop that carries the change out, and those that others lent it.
    pub(crate) const fn new(leader: &'a mut LoopState, others: &'a mut [Box<LoopState>]) -> Self {
        Self { leader, others }
    }

    /// Returns that of the loop that carries it out.
    pub(crate) const fn leader(&mut self) -> &mut LoopState {
        self.leader
    }

    /// Returns that of a loop which has a part of what is changed.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn at(&mut self, number: usize) -> Result<&mut LoopState, OrderError> {
        if self.leader.number == number {
            return Ok(self.leader);
        }
        let other = self.others.iter_mut().find(|loop_state| loop_state.number == number);
        other.map(Box::as_mut).ok_or(OrderError::Ended)
    }

    /// Lets relays that were told to go take in what has come so far, if several loops take part:
    /// who gave the order must not find that an old relay takes what was sent after the answer.
    pub(crate) fn take_in(&mut self) {
        if !self.others.is_empty() {
            self.all().for_each(LoopState::serve_asked);
        }
    }

    /// Returns those that take part.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut LoopState> {
        let others = self.others.iter_mut().map(Box::as_mut);
        std::iter::once(&mut *self.leader).chain(others)
    }
}
