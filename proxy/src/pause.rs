//! Pauses: for an order that concerns several loops one carries it out, and the others lend it
//! their states and stand still meanwhile. So the order takes effect everywhere between two turns, at
//! one moment, whole or not at all.
//!
//! The first loop alone pauses the others, so that no two ever wait for each other.

use crate::loop_state::LoopState;
use mio::Waker;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

/// A state on its way to the loop that needs it, and the way back.
pub(crate) struct LentState {
    loop_state: Box<LoopState>,
    back: SyncSender<Box<LoopState>>,
}

/// The request to pause: where to lend the state to.
type PauseRequest = Sender<LentState>;

/// The point between two turns at which a loop lets itself be paused.
pub(crate) struct Safepoint(Receiver<PauseRequest>);

/// What the first loop pauses another one with.
pub(crate) struct PauseHandle {
    requests: Sender<PauseRequest>,
    waker: Arc<Waker>,
}

/// Loops that stand still, and their states. They go on when this goes.
#[derive(Default)]
pub(crate) struct PausedLoops {
    pub(crate) loop_states: Vec<Box<LoopState>>,
    back: Vec<SyncSender<Box<LoopState>>>,
}

/// Makes the two ends for a loop with this waker.
pub(crate) fn between(waker: Arc<Waker>) -> (PauseHandle, Safepoint) {
    let (requests, requested) = mpsc::channel();
    (PauseHandle { requests, waker }, Safepoint(requested))
}

impl Safepoint {
    /// Lends the state to the loop that asks for it, until it comes back. `None`: it will not, as
    /// that loop has failed.
    pub(crate) fn pass(&self, mut loop_state: Box<LoopState>) -> Option<Box<LoopState>> {
        while let Ok(request) = self.0.try_recv() {
            let (back, returned) = mpsc::sync_channel(1);
            let sent = request.send(LentState { loop_state, back });
            // Who asks waits until nobody is left who could still lend.
            drop(request);
            match sent {
                Ok(()) => loop_state = returned.recv().ok()?,
                // Nobody waits for it any more.
                Err(unsent) => loop_state = unsent.0.loop_state,
            }
        }
        Some(loop_state)
    }
}

/// Pauses all loops and waits for their states: no longer than each one's turn takes. Those of
/// loops that have ended are missing.
pub(crate) fn pause(handles: &[PauseHandle]) -> PausedLoops {
    let (lend, lent) = mpsc::channel();
    for PauseHandle { requests, waker } in handles {
        // One that has ended takes no request.
        if requests.send(lend.clone()).is_ok()
            && let Err(error) = waker.wake()
        {
            log::error!("cannot wake an event loop: {error}");
        }
    }
    drop(lend);
    let mut paused = PausedLoops::default();
    for LentState { loop_state, back } in lent {
        paused.loop_states.push(loop_state);
        paused.back.push(back);
    }
    paused
}

impl Drop for PausedLoops {
    fn drop(&mut self) {
        for (loop_state, back) in self.loop_states.drain(..).zip(&self.back) {
            // It waits, and the channel has room for one.
            let _ = back.send(loop_state);
        }
    }
}
