//! The proof that a client is where its datagrams say, and the bound on what is sent there before.
//!
//! A sender's address can be forged. A server behind the proxy sees a client of its own machine in
//! each of them, and answers a few bytes with many: whoever forges would aim them at a third. So a
//! source gets no more than a few times what it sent until it has shown that it is there, by sending
//! something later than it was first answered. That is a weak proof, as a forger may guess when that
//! is; but all that is told of a client here is its datagrams. A source on loopback needs none: none
//! comes from outside.

use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// The most sources that are remembered; of those forgotten a proof is wanted anew.
const SOURCES_MAX: usize = 4096;

/// What is known of the sources of a relay that are not on loopback.
#[derive(Debug)]
pub(super) struct Proofs {
    /// The bytes sent per byte received; `None`: any number.
    limit: Option<u32>,
    sources: BTreeMap<IpAddr, Source>,
    /// In the order in which they were first heard of.
    order: VecDeque<IpAddr>,
    /// Those that had to make room for another.
    pub(super) forgotten: u64,
}

#[derive(Debug, Default)]
struct Source {
    received: u64,
    sent: u64,
    /// The time at which something was first sent to it.
    answered: Option<Instant>,
    is_proved: bool,
}

impl Proofs {
    pub(super) const fn new(limit: Option<u32>) -> Self {
        Self { limit, sources: BTreeMap::new(), order: VecDeque::new(), forgotten: 0 }
    }

    /// Takes note of `bytes` that arrived from a source at `at`. Returns true if it needs no further
    /// proof.
    pub(super) fn hear(&mut self, ip: IpAddr, bytes: u64, at: Instant) -> bool {
        let ip = ip.to_canonical();
        if self.limit.is_none() || ip.is_loopback() {
            return true;
        }
        if !self.sources.contains_key(&ip) {
            if self.sources.len() >= SOURCES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.sources.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(ip);
        }
        let source = self.sources.entry(ip).or_default();
        source.received = source.received.saturating_add(bytes);
        source.is_proved |= source.answered.is_some_and(|answered| answered < at);
        source.is_proved
    }

    /// Returns true if `bytes` may be sent to a source at `now`, and counts them if so.
    pub(super) fn may_send(&mut self, ip: IpAddr, bytes: u64, now: Instant) -> bool {
        let Some(limit) = self.limit else { return true };
        let Some(source) = self.sources.get_mut(&ip.to_canonical()) else { return false };
        let sent = source.sent.saturating_add(bytes);
        if !source.is_proved && sent > source.received.saturating_mul(u64::from(limit)) {
            return false;
        }
        source.sent = sent;
        source.answered.get_or_insert(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Instant = Instant::from_millis;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn who_has_not_answered_gets_three_times_what_it_sent() {
        for limit in [1, 3, 10] {
            let mut sources = Proofs::new(Some(limit));
            assert!(!sources.hear(ip(1), 100, AT(0)));
            assert!(!sources.may_send(ip(1), 100 * u64::from(limit) + 1, AT(1)));
            // What was refused is no answer, however often it is asked for.
            assert!(!sources.hear(ip(1), 100, AT(2)));
            assert!(sources.may_send(ip(1), 200 * u64::from(limit), AT(3)));
            assert!(!sources.may_send(ip(1), 1, AT(3)));
            assert!(!sources.may_send(ip(2), 1, AT(3)), "nothing was heard of that one");
            // What was on its way when the answer left proves nothing.
            assert!(!sources.hear(ip(1), 1, AT(3)));
            assert!(sources.hear(ip(1), 1, AT(4)));
            assert!(sources.may_send(ip(1), 1 << 30, AT(4)));
        }
    }

    #[test]
    fn loopback_needs_no_proof_and_without_a_limit_nobody_does() {
        let mut sources = Proofs::new(Some(3));
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(sources.hear(loopback.parse().unwrap(), 1, AT(0)));
        }
        let mut sources = Proofs::new(None);
        assert!(sources.hear(ip(1), 1, AT(0)) && sources.may_send(ip(1), 1 << 30, AT(0)));
    }

    #[test]
    fn the_number_of_sources_is_bounded_and_the_oldest_go_first() {
        let mut sources = Proofs::new(Some(3));
        let nth = |n: usize| IpAddr::from((n as u32).to_be_bytes());
        for n in 1..=SOURCES_MAX + 10 {
            sources.hear(nth(n), 100, AT(0));
        }
        assert_eq!((sources.sources.len(), sources.order.len()), (SOURCES_MAX, SOURCES_MAX));
        assert_eq!(sources.forgotten, 10);
        assert!(!sources.may_send(nth(10), 1, AT(1)) && sources.may_send(nth(11), 300, AT(1)));
    }
}
