//! The names that clients ask for: what is known of them, and who waits for the answer.
//!
//! Nothing is looked up twice within a second, whoever asks and whatever the answer was. An answer is
//! good for a few seconds; a connection that begins later asks anew.

use crate::reactor::RelayId;
use jostle_common::time::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The age up to which addresses are used without asking again.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// The age up to which it is known that there are none.
const MISSING_FOR: Duration = Duration::from_secs(1);

/// The most names that are known at once. One that is forgotten early is looked up again.
const NAMES_MAX: usize = 1024;

/// The most relays that wait for one name: those of the same clients' routes.
const WAITING_MAX: usize = 64;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its addresses, at least one.
    Addresses(Vec<IpAddr>),
    /// It has none.
    Nothing,
    /// The answer is on its way, and the relay will be told.
    Awaited,
    /// Too much is asked at once.
    Busy,
}

/// What is known of all names.
#[derive(Debug, Default)]
pub(crate) struct Lookups(BTreeMap<String, Lookup>);

#[derive(Debug)]
struct Lookup {
    /// The time of the question, and then of the answer.
    at: Instant,
    /// `None` as long as there is no answer.
    addresses: Option<Vec<IpAddr>>,
    waiting: Vec<RelayId>,
}

impl Lookup {
    fn is_fresh(&self, now: Instant) -> bool {
        match &self.addresses {
            None => true,
            Some(addresses) => {
                let age = if addresses.is_empty() { MISSING_FOR } else { FRESH_FOR };
                now < self.at + age
            }
        }
    }
}

impl Lookups {
    /// Returns what is known of a name. If that is nothing or old, `ask` asks for it, and says
    /// whether it could.
    pub(crate) fn find(
        &mut self,
        name: &str,
        relay: RelayId,
        now: Instant,
        ask: impl FnOnce() -> bool,
    ) -> Found {
        if let Some(known) = self.0.get_mut(name).filter(|known| known.is_fresh(now)) {
            return match &known.addresses {
                Some(addresses) if addresses.is_empty() => Found::Nothing,
                Some(addresses) => Found::Addresses(addresses.clone()),
                None if known.waiting.contains(&relay) => Found::Awaited,
                None if known.waiting.len() >= WAITING_MAX => Found::Busy,
                None => {
                    known.waiting.push(relay);
                    Found::Awaited
                }
            };
        }
        if !self.has_room(name, now) || !ask() {
            return Found::Busy;
        }
        let waiting = vec![relay];
        self.0.insert(name.to_owned(), Lookup { at: now, addresses: None, waiting });
        Found::Awaited
    }

    /// Takes an answer: no addresses if there are none. Returns the relays that wait for it.
    pub(crate) fn answer(
        &mut self,
        name: &str,
        addresses: Vec<IpAddr>,
        now: Instant,
    ) -> Vec<RelayId> {
        let Some(known) = self.0.get_mut(name) else { return Vec::new() };
        known.at = now;
        known.addresses = Some(addresses);
        std::mem::take(&mut known.waiting)
    }

    /// Makes room for a name, if there is none in place of one that is old.
    fn has_room(&mut self, name: &str, now: Instant) -> bool {
        if self.0.len() < NAMES_MAX || self.0.contains_key(name) {
            return true;
        }
        self.0.retain(|_, known| known.is_fresh(now));
        if self.0.len() < NAMES_MAX {
            return true;
        }
        // Whatever was asked less than a second ago may not be asked again yet.
        let known = self
            .0
            .iter()
            .filter(|(_, known)| known.addresses.is_some() && known.at + MISSING_FOR <= now);
        let oldest = known.min_by_key(|(_, known)| known.at).map(|(name, _)| name.clone());
        oldest.is_some_and(|name| self.0.remove(&name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const AT: fn(u64) -> Instant = Instant::from_millis;

    fn relay(index: usize) -> RelayId {
        RelayId { index, serial: 1 }
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn nothing_is_asked_twice_in_a_second_and_all_who_wait_are_told() {
        for (addresses, found, age) in [
            (vec![], Found::Nothing, 1000),
            (vec![ip(1), ip(2)], Found::Addresses(vec![ip(1), ip(2)]), 5000),
        ] {
            let (mut lookups, asked) = (Lookups::default(), Cell::new(0));
            let mut find = |lookups: &mut Lookups, index, at| {
                let ask = || {
                    asked.set(asked.get() + 1);
                    true
                };
                lookups.find("a.example", relay(index), AT(at), ask)
            };
            for (index, at) in [(1, 0), (1, 10), (2, 20), (2, 60_000)] {
                assert_eq!(find(&mut lookups, index, at), Found::Awaited);
            }
            let told = lookups.answer("a.example", addresses, AT(60_000));
            assert_eq!(told, [relay(1), relay(2)]);
            for at in [60_000, 60_001, 60_000 + age - 1] {
                assert_eq!(find(&mut lookups, 3, at), found);
            }
            assert_eq!(asked.get(), 1);
            assert_eq!(find(&mut lookups, 3, 60_000 + age), Found::Awaited);
            assert_eq!(asked.get(), 2);
        }
        assert!(Lookups::default().answer("never.asked", vec![ip(1)], AT(0)).is_empty());
    }

    #[test]
    fn names_are_bounded_and_young_ones_stay() {
        let mut lookups = Lookups::default();
        let name = |n: usize| format!("n{n}.example");
        for n in 0..NAMES_MAX {
            assert_eq!(lookups.find(&name(n), relay(1), AT(0), || true), Found::Awaited);
        }
        let mut find = |n: usize, at| lookups.find(&name(n), relay(1), AT(at), || true);
        assert_eq!(find(NAMES_MAX, 1), Found::Busy, "none of them has an answer");
        let told = lookups.answer(&name(3), vec![ip(1)], AT(100));
        assert_eq!(told, [relay(1)]);
        let mut find = |n: usize, at| lookups.find(&name(n), relay(1), AT(at), || true);
        assert_eq!(find(NAMES_MAX, 1099), Found::Busy);
        assert_eq!(find(NAMES_MAX, 1100), Found::Awaited);
        assert_eq!(find(3, 1101), Found::Busy, "it was forgotten");
        assert_eq!(lookups.0.len(), NAMES_MAX);
        let mut refused = Lookups::default();
        assert_eq!(refused.find("a", relay(1), AT(0), || false), Found::Busy);
        assert_eq!(refused.find("a", relay(1), AT(0), || true), Found::Awaited);
    }

    #[test]
    fn as_many_wait_as_may() {
        let mut lookups = Lookups::default();
        for index in 0..WAITING_MAX {
            assert_eq!(lookups.find("a", relay(index), AT(0), || true), Found::Awaited);
        }
        assert_eq!(lookups.find("a", relay(WAITING_MAX), AT(0), || true), Found::Busy);
        assert_eq!(lookups.find("a", relay(0), AT(0), || true), Found::Awaited, "it waits already");
    }
}
