//! All relays of a loop, when each has something to do, and those that are on their way out.

use crate::look_ups::NameFound;
use crate::reactor::{Owner, Readiness, RelayId};
use crate::relay::{Ending, Relay, RelayReport};
use crate::turn::Turn;
use jostle_common::time::Instant;
use slab::Slab;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// The silence after which a flow may be closed for a TCP client that waits.
const IDLE: Duration = Duration::from_secs(1);

/// The most flows that are closed at once for such clients: there is room for eight.
const EVICTED_AT_ONCE: usize = 16;

/// The relays.
#[derive(Default)]
pub(crate) struct Fleet {
    members: Slab<Member>,
    agenda: Agenda,
    last_serial: u64,
    /// Those to be looked at in the current turn; kept for its memory.
    due: Vec<usize>,
}

struct Member {
    id: RelayId,
    /// The number of its route among all that ever were.
    route: u64,
    relay: Box<dyn Relay>,
    /// The time until which it drains, if it is on its way out.
    leaving: Option<Instant>,
}

impl Fleet {
    /// Returns the identity of the relay that is [added](Self::add) next.
    pub(crate) fn next_id(&self) -> RelayId {
        RelayId { index: self.members.vacant_key(), serial: self.last_serial + 1 }
    }

    /// Adds the relay of a route, by its serial number, that was made with the [next
    /// identity](Self::next_id).
    pub(crate) fn add(&mut self, relay: Box<dyn Relay>, route: u64) -> usize {
        let id = self.next_id();
        self.last_serial = id.serial;
        self.agenda.touch(id.index);
        self.members.insert(Member { id, route, relay, leaving: None })
    }

    /// Returns a relay that is there, to change something about it; it is looked at in this turn.
    pub(crate) fn touch(&mut self, index: usize) -> &mut dyn Relay {
        self.agenda.touch(index);
        &mut *self.members[index].relay
    }

    /// Returns a relay that is there, to look at it.
    pub(crate) fn at(&self, index: usize) -> &dyn Relay {
        &*self.members[index].relay
    }

    /// Returns when the time of a relay's rules began.
    pub(crate) fn began(&self, index: usize) -> Option<Instant> {
        self.members[index].relay.began()
    }

    /// Lets a relay drain until it is over, or until `until`.
    pub(crate) fn leave(&mut self, index: usize, until: Instant, turn: &mut Turn) {
        let member = &mut self.members[index];
        member.leaving = Some(until);
        member.relay.drain(turn);
        self.agenda.touch(index);
    }

    /// Lets all relays drain.
    pub(crate) fn drain(&mut self, turn: &mut Turn) {
        for (index, member) in &mut self.members {
            member.relay.drain(turn);
            self.agenda.touch(index);
        }
    }

    /// Returns true if no draining relay has anything left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.members.iter().all(|(_, member)| member.relay.is_over())
    }

    /// Passes an event on.
    pub(crate) fn note(&mut self, owner: Owner, readiness: Readiness, turn: &mut Turn) {
        if let Some(member) = self.members.get_mut(owner.relay) {
            member.relay.note(owner.socket, readiness, turn);
        }
    }

    /// Lets a socket have its turn.
    pub(crate) fn serve(&mut self, owner: Owner, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(owner.relay) else { return };
        member.relay.serve(owner.socket, turn);
        self.agenda.touch(owner.relay);
    }

    /// Returns true if a relay is still there.
    pub(crate) fn has(&self, id: RelayId) -> bool {
        self.members.get(id.index).is_some_and(|member| member.id == id)
    }

    /// Passes on what the resolver found for a relay that may be gone.
    pub(crate) fn set_addresses(
        &mut self,
        id: RelayId,
        addresses: Vec<SocketAddr>,
        turn: &mut Turn,
    ) {
        if let Some(member) = self.members.get_mut(id.index).filter(|member| member.id == id) {
            member.relay.set_addresses(addresses, turn);
            self.agenda.touch(id.index);
        }
    }

    /// Passes on what was found for a name that clients of a relay asked for.
    pub(crate) fn take_name(&mut self, id: RelayId, found: &NameFound, turn: &mut Turn) {
        if let Some(member) = self.members.get_mut(id.index).filter(|member| member.id == id) {
            member.relay.take_name(&found.name, &found.addresses, turn);
            self.agenda.touch(id.index);
        }
    }

    /// Does what is due. `gone` is told what those did that have left.
    pub(crate) fn work(&mut self, turn: &mut Turn, mut gone: impl FnMut(RelayReport)) {
        self.touch_called(turn);
        self.work_due(turn, &mut gone);
        // What connections did concerns the datagrams of their associations.
        if self.touch_called(turn) {
            self.work_due(turn, &mut gone);
        }
    }

    /// Wants those looked at that others of their route have called. Returns true if there are any.
    fn touch_called(&mut self, turn: &mut Turn) -> bool {
        let mut any = false;
        for id in turn.called.drain(..) {
            if self.members.get(id.index).is_some_and(|member| member.id == id) {
                self.agenda.touch(id.index);
                any = true;
            }
        }
        any
    }

    fn work_due(&mut self, turn: &mut Turn, gone: &mut impl FnMut(RelayReport)) {
        let mut due = std::mem::take(&mut self.due);
        self.agenda.take_due(turn.now, &mut due);
        for &index in &due {
            let Some(member) = self.members.get_mut(index) else { continue };
            let mut next = member.relay.work(turn);
            if let Some(until) = member.leaving {
                if until <= turn.now || member.relay.is_over() {
                    gone(self.remove(index, Ending::Reset, turn));
                    continue;
                }
                next = Some(next.map_or(until, |at| at.min(until)));
            }
            self.agenda.set(index, next);
        }
        self.due = due;
    }

    /// Closes UDP flows that are idle, the longest-silent first, for TCP clients that wait for
    /// their descriptors.
    pub(crate) fn make_room(&mut self, turn: &mut Turn) {
        for _ in 0..EVICTED_AT_ONCE {
            let idle = self.members.iter().filter_map(|(index, member)| {
                member.relay.idle_since().map(|since| (since, index))
            });
            match idle.min() {
                Some((since, index)) if since + IDLE <= turn.now => {
                    self.members[index].relay.close_idlest(turn);
                }
                _ => return,
            }
        }
    }

    /// Returns when something is due next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.agenda.first()
    }

    /// Cuts a relay, and returns what it did.
    pub(crate) fn remove(&mut self, index: usize, ending: Ending, turn: &mut Turn) -> RelayReport {
        self.agenda.set(index, None);
        let mut member = self.members.remove(index);
        member.relay.cut(ending, turn);
        let report = member.relay.report();
        turn.descriptors.remove_relay(report.transport);
        report
    }

    /// Returns what `most` relays did that are there, each with its route's serial number, from a
    /// place on and those on their way out included, and the place of the next one, if there is
    /// one.
    pub(crate) fn reports(
        &self,
        from: usize,
        most: usize,
    ) -> (Vec<(u64, RelayReport)>, Option<usize>) {
        let mut members = self.members.iter().filter(|(index, _)| *index >= from);
        let report = |(_, member): (usize, &Member)| (member.route, member.relay.report());
        let reports = members.by_ref().take(most).map(report);
        (reports.collect(), members.next().map(|(index, _)| index))
    }

    /// Cuts all relays.
    pub(crate) fn cut(&mut self, turn: &mut Turn) {
        for (_, member) in &mut self.members {
            member.relay.cut(Ending::Reset, turn);
        }
    }
}

/// The times at which relays have something to do.
#[derive(Debug, Default)]
struct Agenda {
    times: BTreeSet<(Instant, usize)>,
    of_relay: Vec<Option<Instant>>,
    /// Those to be looked at in this turn whatever the time.
    touched: Vec<usize>,
}

impl Agenda {
    /// Wants a relay looked at in this turn.
    fn touch(&mut self, relay: usize) {
        if self.touched.last() != Some(&relay) {
            self.touched.push(relay);
        }
    }

    /// Fills `due` with those to be looked at now, each once.
    fn take_due(&mut self, now: Instant, due: &mut Vec<usize>) {
        due.clear();
        due.append(&mut self.touched);
        due.extend(self.times.range(..=(now, usize::MAX)).map(|(_, relay)| relay));
        due.sort_unstable();
        due.dedup();
    }

    /// Sets when a relay is to be looked at.
    fn set(&mut self, relay: usize, at: Option<Instant>) {
        if self.of_relay.len() <= relay {
            self.of_relay.resize(relay + 1, None);
        }
        if self.of_relay[relay] == at {
            return;
        }
        if let Some(old) = std::mem::replace(&mut self.of_relay[relay], at) {
            self.times.remove(&(old, relay));
        }
        if let Some(at) = at {
            self.times.insert((at, relay));
        }
    }

    /// Returns when the next relay is due.
    fn first(&self) -> Option<Instant> {
        self.times.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_that_is_due_or_touched_comes_once() {
        let mut agenda = Agenda::default();
        agenda.set(3, Some(Instant::from_millis(5)));
        agenda.set(1, Some(Instant::from_millis(7)));
        agenda.set(1, Some(Instant::from_millis(4)));
        agenda.touch(3);
        agenda.touch(2);
        assert_eq!(agenda.first(), Some(Instant::from_millis(4)));
        let mut due = vec![9];
        agenda.take_due(Instant::from_millis(5), &mut due);
        assert_eq!(due, [1, 2, 3]);
        agenda.set(1, None);
        agenda.take_due(Instant::from_millis(5), &mut due);
        assert_eq!(due, [3], "it stays due until it is set anew");
    }
}
