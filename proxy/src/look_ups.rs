//! The names that clients ask for: looked up off the loop, each at most once a second, whoever
//! asks.
//!
//! What clients ask for has threads of its own, so that a name that hangs holds up no upstream's.

use crate::reactor::RelayId;
use crate::resolve::{Answer, Resolver};
use jostle_common::time::Instant;
use jostle_engine::route::HostPort;
use mio::Waker;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// The time for which an answer is used.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// The time for which it is known that a name has no address.
const VAIN_FOR: Duration = Duration::from_secs(1);

/// The most names that are known, or asked for.
const NAMES_MAX: usize = 4096;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookedUp {
    /// Its addresses; none if it has none.
    Found(Vec<IpAddr>),
    /// The relay is told once there is an answer.
    Awaited,
    /// Too many names are asked for.
    Busy,
}

/// A name that was asked for.
#[derive(Debug)]
enum Known {
    /// These relays wait for the answer.
    Asked(Vec<RelayId>),
    Found {
        at: Instant,
        addresses: Vec<IpAddr>,
    },
}

impl Known {
    fn is_fresh(&self, now: Instant) -> bool {
        match self {
            Self::Asked(_) => true,
            Self::Found { at, addresses } => {
                *at + if addresses.is_empty() { VAIN_FOR } else { FRESH_FOR } > now
            }
        }
    }
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameFound {
    /// The relays that asked.
    pub(crate) relays: Vec<RelayId>,
    pub(crate) name: String,
    /// None if it has none.
    pub(crate) addresses: Vec<IpAddr>,
}

/// All names that were asked for of late.
pub(crate) struct LookUps {
    waker: Arc<Waker>,
    resolver: Option<Resolver>,
    names: BTreeMap<String, Known>,
    /// Those that were found, in the order of the answers.
    found: VecDeque<(Instant, String)>,
}

impl LookUps {
    /// `waker` tells the loop that there is an answer.
    pub(crate) const fn new(waker: Arc<Waker>) -> Self {
        Self { waker, resolver: None, names: BTreeMap::new(), found: VecDeque::new() }
    }

    /// Returns what is known of a name, and asks for it if that is old.
    pub(crate) fn look_up(&mut self, name: &str, relay: RelayId, now: Instant) -> LookedUp {
        // It names this machine, whatever the system's tables say (RFC 6761, 6.3).
        if name == "localhost" || name.ends_with(".localhost") {
            return LookedUp::Found(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        self.forget_old(now);
        match self.names.get_mut(name).filter(|known| known.is_fresh(now)) {
            Some(Known::Found { addresses, .. }) => return LookedUp::Found(addresses.clone()),
            Some(Known::Asked(relays)) => {
                if !relays.contains(&relay) {
                    relays.push(relay);
                }
                return LookedUp::Awaited;
            }
            None => {}
        }
        if self.names.len() >= NAMES_MAX && !self.names.contains_key(name) {
            return LookedUp::Busy;
        }
        let resolver = self.resolver.get_or_insert_with(|| Resolver::new(Arc::clone(&self.waker)));
        if !resolver.ask(relay, HostPort { host: name.to_owned(), port: 0 }) {
            return LookedUp::Busy;
        }
        self.names.insert(name.to_owned(), Known::Asked(vec![relay]));
        LookedUp::Awaited
    }

    /// Returns the next answer.
    pub(crate) fn answer(&mut self, now: Instant) -> Option<NameFound> {
        let Answer { target, addresses, .. } = self.resolver.as_ref()?.next_answer()?;
        let mut addresses: Vec<IpAddr> =
            addresses.into_iter().map(|address| address.ip().to_canonical()).collect();
        addresses.dedup();
        let name = target.host;
        let found = Known::Found { at: now, addresses: addresses.clone() };
        let asked = self.names.insert(name.clone(), found);
        self.found.push_back((now, name.clone()));
        let relays = match asked {
            Some(Known::Asked(relays)) => relays,
            _ => Vec::new(),
        };
        Some(NameFound { relays, name, addresses })
    }

    /// Forgets what was found too long ago.
    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.found.front()
            && *at + FRESH_FOR <= now
        {
            let Some((at, name)) = self.found.pop_front() else { return };
            // It may have been asked for again.
            let is_that = |known: &Known| matches!(known, Known::Found { at: of, .. } if *of == at);
            if self.names.get(&name).is_some_and(is_that) {
                self.names.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: RelayId = RelayId { index: 0, serial: 1 };
    const OTHER: RelayId = RelayId { index: 1, serial: 2 };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Waits for the answer to a question that was asked.
    fn answer(poll: &mut mio::Poll, names: &mut LookUps, now: Instant) -> NameFound {
        loop {
            if let Some(found) = names.answer(now) {
                return found;
            }
            poll.poll(&mut mio::Events::with_capacity(1), None).unwrap();
        }
    }

    #[test]
    fn no_name_is_asked_for_twice_within_a_second_whoever_asks() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let mut names = LookUps::new(waker);
        let ask = |names: &mut LookUps, relay, now| names.look_up("no.such.invalid", relay, now);
        assert_eq!(ask(&mut names, RELAY, at(0)), LookedUp::Awaited);
        assert_eq!(ask(&mut names, RELAY, at(1)), LookedUp::Awaited);
        assert_eq!(ask(&mut names, OTHER, at(2)), LookedUp::Awaited);
        let found = answer(&mut poll, &mut names, at(10));
        assert_eq!(found.relays, [RELAY, OTHER], "each is told once");
        assert!(found.addresses.is_empty() && found.name == "no.such.invalid");
        assert_eq!(ask(&mut names, RELAY, at(1009)), LookedUp::Found(Vec::new()));
        assert!(names.answer(at(1009)).is_none(), "nothing was asked");
        assert_eq!(ask(&mut names, RELAY, at(1010)), LookedUp::Awaited);
        assert_eq!(answer(&mut poll, &mut names, at(1020)).relays, [RELAY]);
    }

    #[test]
    fn what_is_known_is_bounded_and_forgotten() {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let mut names = LookUps::new(waker);
        for number in 0..NAMES_MAX {
            let name = number.to_string();
            names.names.insert(name.clone(), Known::Found { at: at(0), addresses: Vec::new() });
            names.found.push_back((at(0), name));
        }
        assert_eq!(names.look_up("one.more.invalid", RELAY, at(4999)), LookedUp::Busy);
        assert_eq!(names.look_up("one.more.invalid", RELAY, at(5000)), LookedUp::Awaited);
        assert_eq!((names.names.len(), names.found.len()), (1, 0));
    }

    #[test]
    fn this_machine_needs_no_look_up() {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let mut names = LookUps::new(waker);
        let here = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        for name in ["localhost", "a.localhost"] {
            assert_eq!(names.look_up(name, RELAY, at(0)), LookedUp::Found(here.to_vec()));
        }
        assert!(names.resolver.is_none());
    }
}
