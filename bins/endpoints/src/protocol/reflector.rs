//! Answers each datagram with itself: the server of ping, and of echo over UDP. The IP header of an
//! answer says of congestion what that of the datagram said, so who sent it learns of marks.
//!
//! Two services that answer whatever comes, once set on each other by a datagram with a forged
//! sender, talk for ever (CVE-1999-0103). So nothing is answered that comes from the port of such a
//! service: from a port below 1024, where echo (7), daytime (13), quote of the day (17), chargen
//! (19), time (37), DNS (53), TFTP (69) and NTP (123) live and no client has its own (a NAT keeps
//! it so too, RFC 4787 REQ-3); from the ports of ours that answer anything; and from the very port
//! number that the server itself has. What goes round in a circle all the same, between services
//! at other ports or by way of a relay, ends by [`Repeats`]. An answer is as long as what it
//! answers, so no host can be flooded with more than the forger sends.

use super::hint::Hint;
use super::repeats::Repeats;
use super::{Endpoint, Transmit};
use bytes::Bytes;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The port of ping unless told otherwise.
pub const PING_PORT: u16 = 1234;
/// The port of echo unless told otherwise.
pub const ECHO_PORT: u16 = 9002;
/// Below it no client has its port.
const CLIENT_PORT_MIN: u16 = 1024;
/// The most answers that may wait for the socket; more datagrams are left unanswered, and counted.
const OUTBOX_MAX: usize = 256;
/// The most datagrams that may wait to be told of; the caller takes them after each batch, which is
/// smaller.
const MESSAGES_MAX: usize = 256;

/// The settings of a [`Reflector`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ReflectorSettings {
    /// The port it listens on.
    pub port: u16,
    /// The silence behind the first datagram after which it ends; never when `None`.
    pub once: Option<Duration>,
    /// True if [`Reflector::next_message`] tells what was answered.
    pub tell: bool,
}

/// The counts of a reflector so far. Received = answered + refused + circling + unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReflectorReport {
    /// Datagrams that came.
    pub received: u64,
    /// Answers made.
    pub answered: u64,
    /// The bytes in them.
    pub bytes: u64,
    /// Datagrams from the port of another service.
    pub refused: u64,
    /// Datagrams left unanswered because they had come so often that they may go round for ever.
    pub circling: u64,
    /// Datagrams left unanswered because too many answers waited.
    pub unanswered: u64,
}

/// A datagram that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReflectedMessage {
    /// The address that it came from.
    pub from: SocketAddr,
    /// The bytes that it carried; not to be printed without escaping.
    pub payload: Bytes,
}

/// Answers each datagram with itself.
#[derive(Debug)]
pub struct Reflector {
    settings: ReflectorSettings,
    repeats: Repeats,
    outbox: VecDeque<Transmit>,
    messages: VecDeque<ReflectedMessage>,
    ends: Option<Instant>,
    finished: bool,
    hint: Option<Hint>,
    report: ReflectorReport,
}

impl Reflector {
    /// Creates a reflector that has seen nothing.
    pub fn new(settings: ReflectorSettings) -> Self {
        let (outbox, messages) = (VecDeque::new(), VecDeque::new());
        Self {
            settings,
            repeats: Repeats::default(),
            outbox,
            messages,
            ends: None,
            finished: false,
            hint: None,
            report: ReflectorReport::default(),
        }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &ReflectorReport {
        &self.report
    }

    /// Returns the next datagram that was answered, in order, when it was set to tell.
    pub fn next_message(&mut self) -> Option<ReflectedMessage> {
        self.messages.pop_front()
    }

    /// Returns true if another service may sit at that port, so that an answer could start an
    /// endless exchange.
    const fn is_service(&self, port: u16) -> bool {
        port < CLIENT_PORT_MIN
            || port == PING_PORT
            || port == ECHO_PORT
            || port == self.settings.port
    }
}

impl Endpoint for Reflector {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.handle_marked(now, from, Ecn::NotEct, datagram);
    }

    fn hears_marks(&self) -> bool {
        true
    }

    fn handle_marked(&mut self, now: Instant, from: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        self.report.received += 1;
        if self.is_service(from.port()) {
            self.report.refused += 1;
            self.hint = Some(Hint::new(
                "answers nothing from a port of another service, or two that answer anything would \
                 talk for ever; let the client take a free port above 1023",
            ));
            return;
        }
        if self.outbox.len() >= OUTBOX_MAX {
            self.report.unanswered += 1;
            return;
        }
        if self.repeats.is_circling(now, from, datagram) {
            self.report.circling += 1;
            return;
        }
        let payload = Bytes::copy_from_slice(datagram);
        self.report.answered += 1;
        self.report.bytes += payload.len() as u64;
        if self.settings.tell && self.messages.len() < MESSAGES_MAX {
            self.messages.push_back(ReflectedMessage { from, payload: payload.clone() });
        }
        self.outbox.push_back(Transmit { to: from, payload, ecn });
        self.ends = self.settings.once.map(|silence| now + silence);
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        self.finished |= self.ends.is_some_and(|ends| ends <= now);
        self.outbox.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        if self.outbox.is_empty() {
            self.ends.filter(|_| !self.finished)
        } else {
            Some(Instant::START)
        }
    }

    fn is_finished(&self) -> bool {
        self.finished && self.outbox.is_empty()
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::repeats::REPEATS_MAX;
    use proptest::prelude::*;

    fn reflector() -> Reflector {
        Reflector::new(ReflectorSettings {
            port: 40_000,
            once: Some(Duration::from_secs(2)),
            tell: true,
        })
    }

    #[test]
    fn any_datagram_comes_back_as_it_is_to_whoever_sent_it() {
        let mut server = reflector();
        for (from, payload) in
            [("127.0.0.1:50000", &b""[..]), ("[2001:db8::1]:1024", &[0xff; 65_507])]
        {
            let from = from.parse().unwrap();
            server.handle(Instant::START, from, payload);
            let transmit = server.poll(Instant::START).unwrap();
            assert_eq!((transmit.to, &transmit.payload[..]), (from, payload));
            assert_eq!(
                server.next_message(),
                Some(ReflectedMessage { from, payload: transmit.payload })
            );
        }
        assert_eq!(server.poll(Instant::START), None);
        let expected = ReflectorReport {
            received: 2,
            answered: 2,
            bytes: 65_507,
            ..ReflectorReport::default()
        };
        assert_eq!(*server.report(), expected);
    }

    #[test]
    fn an_answer_says_of_congestion_what_was_heard() {
        let mut server = reflector();
        for ecn in Ecn::ALL {
            let from = "127.0.0.1:50000".parse().unwrap();
            server.handle_marked(Instant::START, from, ecn, &[ecn.bits()]);
            assert_eq!(server.poll(Instant::START).unwrap().ecn, ecn);
        }
    }

    #[test]
    fn nothing_is_answered_that_may_come_from_another_service() {
        let mut server = reflector();
        for port in [0, 7, 13, 17, 19, 37, 53, 69, 123, 1023, 1234, 9002, 40_000] {
            server.handle(Instant::START, ([192, 0, 2, 1], port).into(), b"loop");
            assert_eq!(server.poll(Instant::START), None, "{port}");
        }
        assert_eq!((server.report().refused, server.report().answered), (13, 0));
        for port in [1024, 1233, 1235, 9001, 9003, 39_999, 40_001, 65_535] {
            server.handle(Instant::START, ([192, 0, 2, 1], port).into(), b"ping");
            assert!(server.poll(Instant::START).is_some(), "{port}");
        }
    }

    #[test]
    fn two_reflectors_set_on_each_other_fall_silent() {
        let addresses: [SocketAddr; 2] =
            ["192.0.2.1:1234".parse().unwrap(), "192.0.2.2:9002".parse().unwrap()];
        let mut servers = addresses.map(|address| {
            Reflector::new(ReflectorSettings {
                port: address.port(),
                ..ReflectorSettings::default()
            })
        });
        servers[0].handle(Instant::START, addresses[1], b"forged");
        servers[1].handle(Instant::START, addresses[0], b"forged");
        assert!(servers.iter_mut().all(|server| server.poll(Instant::START).is_none()));
    }

    #[test]
    fn two_reflectors_at_any_ports_end_what_one_forged_datagram_began() {
        let addresses: [SocketAddr; 2] =
            ["192.0.2.1:5001".parse().unwrap(), "192.0.2.2:5002".parse().unwrap()];
        let mut servers = addresses.map(|address| {
            let port = address.port();
            Reflector::new(ReflectorSettings { port, ..ReflectorSettings::default() })
        });
        let (mut at, mut now) = (0, Instant::START);
        let mut flying = Some(Bytes::from_static(b"forged"));
        let mut hops = 0u32;
        while let Some(datagram) = flying.take() {
            hops += 1;
            assert!(hops < 2 * REPEATS_MAX + 3, "it goes round for ever");
            now += Duration::from_millis(20);
            servers[at].handle(now, addresses[1 - at], &datagram);
            flying = servers[at].poll(now).map(|transmit| transmit.payload);
            at = 1 - at;
        }
        let reports = servers.map(|server| *server.report());
        assert_eq!(reports.map(|report| report.circling).iter().sum::<u64>(), 1);
    }

    #[test]
    fn once_ends_with_silence_behind_the_last_datagram() {
        let mut server = reflector();
        assert_eq!(server.deadline(), None);
        for secs in [1, 2] {
            server.handle(Instant::from_secs(secs), "127.0.0.1:50000".parse().unwrap(), b"x");
            server.poll(Instant::from_secs(secs));
        }
        assert_eq!((server.deadline(), server.is_finished()), (Some(Instant::from_secs(4)), false));
        assert_eq!(server.poll(Instant::from_secs(4)), None);
        assert!(server.is_finished());
    }

    proptest! {
        #[test]
        fn what_waits_is_bounded_and_every_datagram_is_counted(
            ports in prop::collection::vec(any::<u16>(), 0..600),
        ) {
            let mut server = reflector();
            for port in &ports {
                server.handle(Instant::START, ([127, 0, 0, 1], *port).into(), b"x");
            }
            let report = *server.report();
            prop_assert!(server.outbox.len() <= OUTBOX_MAX);
            prop_assert!(server.messages.len() <= MESSAGES_MAX);
            prop_assert_eq!(report.received, ports.len() as u64);
            let unanswered = report.refused + report.circling + report.unanswered;
            prop_assert_eq!(report.answered + unanswered, report.received);
        }
    }
}
