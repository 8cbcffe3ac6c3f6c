//! Meetings of loops: for an order that concerns several of them one carries it out, and the others
//! lend it their states and stand still meanwhile. So the order takes effect everywhere between two
//! turns, at one moment, whole or not at all.
//!
//! The first loop alone calls the others, so that no two ever wait for each other.

use crate::loop_state::LoopState;
use mio::Waker;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

/// A state on its way to the loop that needs it, and the way back.
pub(crate) struct Loan {
    loop_state: Box<LoopState>,
    back: SyncSender<Box<LoopState>>,
}

/// The call to a meeting: where to lend the state to.
type Call = Sender<Loan>;

/// The loop's ear for calls.
pub(crate) struct Ear(Receiver<Call>);

/// What the first loop calls another one with.
pub(crate) struct Caller {
    calls: Sender<Call>,
    waker: Arc<Waker>,
}

/// The states that others have lent. They are given back when this goes.
#[derive(Default)]
pub(crate) struct Lent {
    pub(crate) loop_states: Vec<Box<LoopState>>,
    back: Vec<SyncSender<Box<LoopState>>>,
}

/// Makes the two ends for a loop with this waker.
pub(crate) fn between(waker: Arc<Waker>) -> (Caller, Ear) {
    let (calls, called) = mpsc::channel();
    (Caller { calls, waker }, Ear(called))
}

impl Ear {
    /// Lends the state to whoever calls, until it comes back. `None`: it will not, as that loop has
    /// failed.
    pub(crate) fn attend(&self, mut loop_state: Box<LoopState>) -> Option<Box<LoopState>> {
        while let Ok(call) = self.0.try_recv() {
            let (back, returned) = mpsc::sync_channel(1);
            let sent = call.send(Loan { loop_state, back });
            // Who calls waits until nobody is left who could still lend.
            drop(call);
            match sent {
                Ok(()) => loop_state = returned.recv().ok()?,
                // Nobody waits for it any more.
                Err(unsent) => loop_state = unsent.0.loop_state,
            }
        }
        Some(loop_state)
    }
}

/// Asks all loops for their states, and waits for them: no longer than each one's turn takes. Those
/// of loops that have ended are missing.
pub(crate) fn meet(callers: &[Caller]) -> Lent {
    let (lend, loans) = mpsc::channel();
    for Caller { calls, waker } in callers {
        // One that has ended hears nothing.
        if calls.send(lend.clone()).is_ok()
            && let Err(error) = waker.wake()
        {
            log::error!("cannot wake an event loop: {error}");
        }
    }
    drop(lend);
    let mut lent = Lent::default();
    for Loan { loop_state, back } in loans {
        lent.loop_states.push(loop_state);
        lent.back.push(back);
    }
    lent
}

impl Drop for Lent {
    fn drop(&mut self) {
        for (loop_state, back) in self.loop_states.drain(..).zip(&self.back) {
            // It waits, and the channel has room for one.
            let _ = back.send(loop_state);
        }
    }
}
