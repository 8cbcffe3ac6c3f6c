//! Meetings of loops: for an order that concerns several of them one carries it out, and the others
//! lend it their sites and stand still meanwhile. So the order takes effect everywhere between two
//! turns, at one moment, whole or not at all.
//!
//! The first loop alone calls the others, so that no two ever wait for each other.

use crate::site::Site;
use mio::Waker;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

/// A site on its way to the loop that needs it, and the way back.
pub(crate) struct Loan {
    site: Box<Site>,
    back: SyncSender<Box<Site>>,
}

/// The call to a meeting: where to lend the site to.
type Call = Sender<Loan>;

/// The loop's ear for calls.
pub(crate) struct Ear(Receiver<Call>);

/// What the first loop calls another one with.
pub(crate) struct Caller {
    calls: Sender<Call>,
    waker: Arc<Waker>,
}

/// The sites that others have lent. They are given back when this goes.
#[derive(Default)]
pub(crate) struct Lent {
    pub(crate) sites: Vec<Box<Site>>,
    back: Vec<SyncSender<Box<Site>>>,
}

/// Makes the two ends for a loop with this waker.
pub(crate) fn between(waker: Arc<Waker>) -> (Caller, Ear) {
    let (calls, called) = mpsc::channel();
    (Caller { calls, waker }, Ear(called))
}

impl Ear {
    /// Lends the site to whoever calls, until it comes back. `None`: it will not, as that loop has
    /// failed.
    pub(crate) fn attend(&self, mut site: Box<Site>) -> Option<Box<Site>> {
        while let Ok(call) = self.0.try_recv() {
            let (back, returned) = mpsc::sync_channel(1);
            match call.send(Loan { site, back }) {
                Ok(()) => site = returned.recv().ok()?,
                // Nobody waits for it any more.
                Err(unsent) => site = unsent.0.site,
            }
        }
        Some(site)
    }
}

/// Asks all loops for their sites, and waits for them: no longer than each one's turn takes. Those
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
    for Loan { site, back } in loans {
        lent.sites.push(site);
        lent.back.push(back);
    }
    lent
}

impl Drop for Lent {
    fn drop(&mut self) {
        for (site, back) in self.sites.drain(..).zip(&self.back) {
            // It waits, and the channel has room for one.
            let _ = back.send(site);
        }
    }
}
