//! The associations of a SOCKS5 route, between its two relays: the connections of the one begin and
//! end them, and the other asks them who may send.

use crate::reactor::RelayId;
use crate::turn::Turn;
use jostle_forward::socks::{AssociationId, AssociationLimits, Associations, Sender};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most associations of a route. Each has a connection, so descriptors bound them too.
const LIMITS: AssociationLimits = AssociationLimits { per_address: 2048, in_all: 4096 };

/// The associations of a route. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct SharedAssociations(Arc<Mutex<Inner>>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) list: Associations,
    /// The relay of the datagrams, which is told when one ends.
    reader: Option<RelayId>,
}

impl Default for SharedAssociations {
    fn default() -> Self {
        let list = Associations::new(LIMITS);
        Self(Arc::new(Mutex::new(Inner { list, reader: None })))
    }
}

impl SharedAssociations {
    /// Looks at them, for a moment: both relays are on the same loop.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is whole whatever a panicking holder did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which relay has the datagrams.
    pub(crate) fn are_read_by(&self, relay: RelayId) {
        self.lock().reader = Some(relay);
    }

    /// Begins one, unless there are too many.
    pub(crate) fn begin(&self, address: IpAddr, sender: &Sender) -> Option<AssociationId> {
        self.lock().list.begin(address, sender)
    }

    /// Ends one, and lets the relay of the datagrams look after its flows in this turn.
    pub(crate) fn end(&self, id: AssociationId, turn: &mut Turn) {
        let mut inner = self.lock();
        inner.list.end(id);
        if inner.list.has_ended() {
            turn.called.extend(inner.reader);
        }
    }
}
