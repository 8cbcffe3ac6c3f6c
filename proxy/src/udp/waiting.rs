//! The datagrams whose target's name is being looked up: a few, for a while.

use super::flows::FlowClient;
use super::intake::ReadAt;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_forward::Host;
use jostle_sys::Received;
use std::collections::VecDeque;
use std::time::Duration;

/// The most datagrams that wait in a relay, and their bytes: as many as a client sends before it
/// hears anything, times some clients.
const DATAGRAMS_MAX: usize = 256;
const BYTES_MAX: usize = 256 << 10;

/// The time after which nobody needs the answer any more: clients repeat questions of a name server
/// after five seconds, and handshakes sooner.
const PATIENCE: Duration = Duration::from_secs(5);

/// A datagram that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WaitingDatagram {
    pub(super) client: FlowClient,
    /// The hops that it had left, when the socket was asked to tell.
    pub(super) hops: Option<u8>,
    pub(super) ecn: Ecn,
    pub(super) payload: Vec<u8>,
}

impl WaitingDatagram {
    /// Returns it as if it had just been read.
    pub(super) const fn as_received(&self, now: Instant) -> (ReadAt, Received<'_>) {
        let Self { hops, ecn, .. } = *self;
        let received = Received {
            bytes: self.payload.as_slice(),
            segment: None,
            from: None,
            asked: None,
            hops,
            ecn,
            stamp: None,
            missed: None,
            buffer: None,
        };
        (ReadAt::unstamped(now), received)
    }
}

/// All of them, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    datagrams: VecDeque<(Instant, WaitingDatagram)>,
    bytes: usize,
}

impl Waiting {
    /// Adds one that came at `now`. Returns false if there is no room.
    pub(super) fn add(&mut self, now: Instant, datagram: WaitingDatagram) -> bool {
        let bytes = self.bytes + datagram.payload.len();
        if self.datagrams.len() >= DATAGRAMS_MAX || bytes > BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.datagrams.push_back((now, datagram));
        true
    }

    /// Takes those of a name, in their order.
    pub(super) fn take(&mut self, name: &str) -> Vec<WaitingDatagram> {
        let is_its = |datagram: &WaitingDatagram| {
            let host = datagram.client.target.as_ref().map(|target| &target.host);
            matches!(host, Some(Host::Name(its)) if its == name)
        };
        let all = std::mem::take(&mut self.datagrams).into_iter();
        let (taken, left): (Vec<_>, Vec<_>) = all.partition(|(_, one)| is_its(one));
        self.datagrams = left.into();
        self.account(taken)
    }

    /// Takes those that have waited too long at `now`.
    pub(super) fn take_late(&mut self, now: Instant) -> Vec<WaitingDatagram> {
        let late = self.datagrams.iter().take_while(|(at, _)| *at + PATIENCE <= now).count();
        let taken = self.datagrams.drain(..late).collect();
        self.account(taken)
    }

    /// Takes all.
    pub(super) fn take_all(&mut self) -> Vec<WaitingDatagram> {
        let taken = std::mem::take(&mut self.datagrams).into();
        self.account(taken)
    }

    /// Returns when the first of them has waited too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.datagrams.front().map(|(at, _)| *at + PATIENCE)
    }

    /// Returns true if there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    fn account(&mut self, taken: Vec<(Instant, WaitingDatagram)>) -> Vec<WaitingDatagram> {
        self.bytes -= taken.iter().map(|(_, datagram)| datagram.payload.len()).sum::<usize>();
        taken.into_iter().map(|(_, datagram)| datagram).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(name: &str, number: u8, length: usize) -> WaitingDatagram {
        let client = FlowClient {
            address: ([127, 0, 0, 1], 9).into(),
            listener: 0,
            asked: None,
            target: Some(format!("{name}:7").parse().unwrap()),
        };
        let payload = vec![number; length];
        WaitingDatagram { client, hops: None, ecn: Ecn::NotEct, payload }
    }

    fn numbers(taken: &[WaitingDatagram]) -> Vec<u8> {
        taken.iter().map(|datagram| datagram.payload[0]).collect()
    }

    const AT: fn(u64) -> Instant = Instant::from_millis;

    #[test]
    fn an_answer_frees_those_of_its_name_in_their_order() {
        let mut waiting = Waiting::default();
        for (number, name) in ["a", "b", "a", "c"].into_iter().enumerate() {
            assert!(waiting.add(AT(number as u64), datagram(name, number as u8, 10)));
        }
        assert_eq!(waiting.deadline(), Some(AT(5000)));
        assert_eq!(numbers(&waiting.take("a")), [0, 2]);
        assert_eq!((waiting.deadline(), waiting.bytes), (Some(AT(5001)), 20));
        assert!(waiting.take("a").is_empty());
        assert!(numbers(&waiting.take_late(AT(5000))).is_empty());
        assert_eq!(numbers(&waiting.take_late(AT(5001))), [1]);
        assert_eq!(numbers(&waiting.take_all()), [3]);
        assert!(waiting.is_empty() && waiting.bytes == 0 && waiting.deadline().is_none());
    }

    #[test]
    fn its_room_is_bounded_in_datagrams_and_in_bytes() {
        for (length, most) in [(1, DATAGRAMS_MAX), (2000, BYTES_MAX / 2000), (65_000, 4)] {
            let mut waiting = Waiting::default();
            let added = (0..1000).filter(|_| waiting.add(AT(0), datagram("a", 1, length)));
            assert_eq!(added.count(), most, "of {length} bytes");
            waiting.take_all();
            assert!(waiting.add(AT(0), datagram("a", 1, length)));
        }
    }
}
