//! The server of stop-and-wait: answers each request from the file, and remembers nothing about the
//! client.

use super::wire::{AMPLIFICATION_MAX, Answer, Request, Thanks, TooShort, checked};
use crate::protocol::storage::Source;
use crate::protocol::{
    CHUNK, CHUNK_BYTES, Endpoint, Transmit, chunk_length, chunks_in, is_loopback,
};
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The most answers that may wait for the socket; more requests are left unanswered, and counted.
const OUTBOX_MAX: usize = 256;
/// The number of last clients that said thanks and are remembered, so that each counts once however
/// often it says so.
const THANKED_MAX: usize = 64;

/// The counts of a server so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SawServerReport {
    /// Valid requests.
    pub requests: u64,
    /// Answers made.
    pub answers: u64,
    /// Clients that said they have the whole file.
    pub finished: u64,
    /// Datagrams with a wrong CRC.
    pub damaged: u64,
    /// Datagrams that were whole and made no sense.
    pub ignored: u64,
    /// Requests from other machines that were too short to be answered.
    pub too_short: u64,
    /// Requests left unanswered: the file could not be read, or too many answers waited.
    pub unanswered: u64,
}

/// Serves the packets of a [`Source`].
#[derive(Debug)]
pub struct SawServer<F> {
    source: F,
    outbox: VecDeque<Transmit>,
    thanked: VecDeque<SocketAddr>,
    /// The time without a request after which the server ends, once the last packet was asked for;
    /// never when `None`.
    once: Option<Duration>,
    ends: Option<Instant>,
    finished: bool,
    report: SawServerReport,
}

impl<F: Source> SawServer<F> {
    /// Creates a server of `source`. With `once` it ends when a client has the whole file: when one
    /// says so, or after so long a silence behind a request for the last packet.
    pub fn new(source: F, once: Option<Duration>) -> Self {
        let (outbox, thanked) = (VecDeque::new(), VecDeque::new());
        Self {
            source,
            outbox,
            thanked,
            once,
            ends: None,
            finished: false,
            report: SawServerReport::default(),
        }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &SawServerReport {
        &self.report
    }

    /// Returns the file it serves.
    pub const fn source(&self) -> &F {
        &self.source
    }

    fn handle_request(&mut self, now: Instant, from: SocketAddr, request: Request, size: usize) {
        self.report.requests += 1;
        let is_ready = self.outbox.len() < OUTBOX_MAX && self.source.refresh(now);
        let Some(digest) = self.source.digest().filter(|_| is_ready) else {
            self.report.unanswered += 1;
            return;
        };
        let mut buffer = [0; CHUNK];
        // Beyond the end this is empty, and the answer still tells the size and the digest.
        let data = &mut buffer[..chunk_length(self.source.size(), request.number)];
        let offset = u64::from(request.number) * CHUNK_BYTES;
        if !data.is_empty() && self.source.read_at(offset, data).is_err() {
            self.report.unanswered += 1;
            return;
        }
        let Request { number, attempt } = request;
        let answer = Answer { number, attempt, size: self.source.size(), digest, data };
        let mut payload = answer.encode();
        // The sender may be forged: its owner must not get more than a small multiple of what came.
        if payload.len() > size * AMPLIFICATION_MAX && !is_loopback(from) {
            self.report.too_short += 1;
            payload = TooShort { number, attempt }.encode();
        } else {
            self.report.answers += 1;
            self.expect_the_end(now, number);
        }
        self.outbox.push_back(Transmit { to: from, payload });
    }

    /// Sets the end, with `once`: when the last packet was asked for, or a request shows that a
    /// client is still fetching.
    fn expect_the_end(&mut self, now: Instant, number: u32) {
        let is_last =
            chunks_in(self.source.size()).is_none_or(|chunks| number >= chunks.saturating_sub(1));
        if self.ends.is_some() || is_last {
            self.ends = self.once.map(|silence| now + silence);
        }
    }

    fn handle_thanks(&mut self, from: SocketAddr) {
        if self.thanked.contains(&from) {
            return;
        }
        if self.thanked.len() == THANKED_MAX {
            self.thanked.pop_front();
        }
        self.thanked.push_back(from);
        self.report.finished += 1;
        self.finished |= self.once.is_some();
    }
}

impl<F: Source> Endpoint for SawServer<F> {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(body) = checked(datagram) else {
            self.report.damaged += 1;
            return;
        };
        if let Some(request) = Request::decode(body) {
            self.handle_request(now, from, request, datagram.len());
        } else if Thanks::decode(body).is_some() {
            self.handle_thanks(from);
        } else {
            self.report.ignored += 1;
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::storage::Memory;
    use proptest::prelude::*;

    fn server() -> SawServer<Memory> {
        SawServer::new(Memory::new(vec![9; 3 * CHUNK]), Some(Duration::from_secs(5)))
    }

    fn ask(server: &mut SawServer<Memory>, from: &str, number: u32, padded: bool) -> Transmit {
        let request = Request { number, attempt: 1 }.encode(padded);
        server.handle(Instant::START, from.parse().unwrap(), &request);
        server.poll(Instant::START).unwrap()
    }

    #[test]
    fn nobody_elsewhere_gets_more_than_three_times_what_came() {
        let mut server = server();
        for (from, padded, whole) in [
            ("127.0.0.1:7", false, true),
            ("[::1]:7", false, true),
            ("192.0.2.1:7", true, true),
            ("192.0.2.1:7", false, false),
            ("[2001:db8::1]:7", false, false),
        ] {
            let sent = Request { number: 0, attempt: 1 }.encode(padded).len();
            let answer = ask(&mut server, from, 0, padded).payload;
            assert_eq!(answer.len() > 4096, whole, "{from}");
            assert!(
                whole && from.contains("1]:7")
                    || from.starts_with("127")
                    || answer.len() <= 3 * sent,
                "{from}"
            );
        }
        assert_eq!((server.report().answers, server.report().too_short), (3, 2));
    }

    #[test]
    fn packets_beyond_the_end_are_empty() {
        let mut server = server();
        for number in [3, 4, u32::MAX] {
            let transmit = ask(&mut server, "127.0.0.1:7", number, false);
            let answer = Answer::decode(checked(&transmit.payload).unwrap()).unwrap();
            assert_eq!((answer.data, answer.size), (&[][..], 3 * 4096));
        }
    }

    #[test]
    fn once_ends_with_thanks_or_with_silence_behind_the_last_packet() {
        let from = "127.0.0.1:7".parse().unwrap();
        let mut thanked = server();
        thanked.handle(Instant::START, from, &Thanks.encode());
        assert!(thanked.is_finished());

        let mut silent = server();
        ask(&mut silent, "127.0.0.1:7", 1, false);
        assert_eq!(silent.deadline(), None, "it waits for the last packet");
        ask(&mut silent, "127.0.0.1:7", 2, false);
        assert_eq!(silent.deadline(), Some(Instant::from_secs(5)));
        assert_eq!(silent.poll(Instant::from_secs(5)), None);
        assert!(silent.is_finished());

        let mut for_ever = SawServer::new(Memory::new(Vec::new()), None);
        for_ever.handle(Instant::START, from, &Thanks.encode());
        assert!(!for_ever.is_finished());
    }

    #[test]
    fn answers_that_wait_are_bounded() {
        let mut server = server();
        let request = Request { number: 0, attempt: 1 }.encode(false);
        for _ in 0..OUTBOX_MAX + 10 {
            server.handle(Instant::START, "127.0.0.1:7".parse().unwrap(), &request);
        }
        assert_eq!((server.outbox.len(), server.report().unanswered), (OUTBOX_MAX, 10));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(datagrams: Vec<Vec<u8>>, sealed: bool) {
            let mut server = server();
            let count = datagrams.len() as u64;
            for datagram in datagrams {
                let datagram = match sealed {
                true => crate::protocol::wire::seal(datagram),
                false => datagram.into(),
            };
                server.handle(Instant::START, "127.0.0.1:7".parse().unwrap(), &datagram);
            }
            let report = server.report();
            prop_assert_eq!(report.damaged + report.ignored + report.requests + report.finished,
                count);
        }
    }
}
