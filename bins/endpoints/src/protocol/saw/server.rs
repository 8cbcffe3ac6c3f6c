//! The server of stop-and-wait: answers each request from the file, and remembers nothing about the
//! client.

use super::plain;
use super::wire::{AMPLIFICATION_MAX, Answer, PADDED_SIZE, Request, Thanks, TooShort, checked};
use crate::protocol::hint::Hint;
use crate::protocol::storage::Source;
use crate::protocol::{
    CHUNK, CHUNK_BYTES, Endpoint, Transmit, chunk_length, chunks_in, is_loopback,
};
use bytes::Bytes;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The most answers that may wait for the socket; more requests are left unanswered, and counted.
const OUTBOX_MAX: usize = 256;
/// The number of last clients that said thanks and are remembered, so that each counts once however
/// often it says so.
const THANKED_MAX: usize = 64;
/// The word that every datagram of ours begins with, but for its last letter.
const WORD: &[u8] = b"SAW";

/// The counts of a server so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SawServerReport {
    /// Valid requests.
    pub requests: u64,
    /// Of those, bare numbers.
    pub plain: u64,
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
    hint: Option<Hint>,
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
            hint: None,
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

    /// Reads a packet into `buffer`. Returns its length and the file's digest, or `None`, counted,
    /// when the request cannot be answered now. Beyond the end a packet is empty.
    fn packet(
        &mut self,
        now: Instant,
        number: u32,
        buffer: &mut [u8; CHUNK],
    ) -> Option<(usize, Digest)> {
        self.report.requests += 1;
        let has_room = self.outbox.len() < OUTBOX_MAX && self.source.refresh(now);
        let digest = self.source.digest().filter(|_| has_room);
        let length = chunk_length(self.source.size(), number);
        let offset = u64::from(number) * CHUNK_BYTES;
        let packet = digest
            .filter(|_| length == 0 || self.source.read_at(offset, &mut buffer[..length]).is_ok());
        self.report.unanswered += u64::from(packet.is_none());
        packet.map(|digest| (length, digest))
    }

    fn handle_request(&mut self, now: Instant, from: SocketAddr, request: Request, size: usize) {
        let mut buffer = [0; CHUNK];
        let Some((length, digest)) = self.packet(now, request.number, &mut buffer) else { return };
        // Beyond the end the answer still tells the size and the digest.
        let data = &buffer[..length];
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
        self.outbox.push_back(Transmit::new(from, payload));
    }

    /// Answers a bare number with the bare packet.
    fn handle_plain(&mut self, now: Instant, from: SocketAddr, number: u32, size: usize) {
        let mut buffer = [0; CHUNK];
        self.report.plain += 1;
        let Some((length, _)) = self.packet(now, number, &mut buffer) else { return };
        if length > size * AMPLIFICATION_MAX && !is_loopback(from) {
            self.report.too_short += 1;
            self.hint = Some(Hint::new(format!(
                "does not answer a bare number from another machine with a packet, since the \
                 sender may be forged; pad the number with blanks to {PADDED_SIZE} bytes"
            )));
            return;
        }
        self.report.answers += 1;
        self.expect_the_end(now, number);
        let payload = Bytes::copy_from_slice(&buffer[..length]);
        self.outbox.push_back(Transmit::new(from, payload));
        if length == 0 {
            // It has asked beyond the end, which is all that its end says.
            self.handle_thanks(from);
        }
    }

    /// Takes in a datagram that is none of ours, unless it was damaged.
    fn handle_other(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], is_whole: bool) {
        let chunks = chunks_in(self.source.size()).unwrap_or(u32::MAX);
        if let Some(number) = plain::number(datagram, chunks) {
            return self.handle_plain(now, from, number, datagram.len());
        }
        self.report.damaged += u64::from(!is_whole);
        self.report.ignored += u64::from(is_whole);
        let alike = datagram.iter().zip(WORD).filter(|(byte, letter)| byte == letter).count();
        // Damage hardly ever hits two of three letters.
        if !datagram.is_empty() && alike < 2 {
            self.hint = Some(Hint::not_understood(
                datagram,
                "ask for a packet by its number from 0 on, as text or as an integer of 4 bytes",
            ));
        }
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
        let body = checked(datagram);
        if let Some(request) = body.and_then(Request::decode) {
            self.handle_request(now, from, request, datagram.len());
        } else if body.and_then(Thanks::decode).is_some() {
            self.handle_thanks(from);
        } else {
            self.handle_other(now, from, datagram, body.is_some());
        }
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.take()
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
    fn a_client_of_bare_numbers_has_finished_when_it_asks_beyond_the_end() {
        let mut server = server();
        let from = "127.0.0.1:7".parse().unwrap();
        for number in 0..=3 {
            server.handle(Instant::START, from, number.to_string().as_bytes());
            assert!(!server.is_finished(), "{number}");
            let sent = server.poll(Instant::START).unwrap().payload.len();
            assert_eq!(sent, if number < 3 { CHUNK } else { 0 });
        }
        assert!(server.is_finished());
        assert_eq!((server.report().plain, server.report().finished), (4, 1));
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
    fn a_bare_number_gets_the_bare_packet_and_an_empty_one_beyond_the_end() {
        let bytes = crate::protocol::storage::generated(2 * CHUNK + 5);
        let mut server = SawServer::new(Memory::new(bytes.clone()), None);
        let mut ask = |from: &str, datagram: &[u8]| {
            server.handle(Instant::START, from.parse().unwrap(), datagram);
            server.poll(Instant::START).map(|transmit| transmit.payload)
        };
        for (number, chunk) in bytes.chunks(CHUNK).chain([&[][..]]).enumerate() {
            for datagram in [number.to_string().as_bytes(), &(number as u32).to_be_bytes()] {
                assert_eq!(ask("127.0.0.1:7777", datagram).unwrap(), chunk, "{number}");
            }
        }
        // To another machine only as much as it sent allows.
        assert_eq!(ask("192.0.2.1:7777", b"0"), None);
        assert_eq!(
            ask("192.0.2.1:7777", &[&b"0"[..], &[b' '; 1400]].concat()).unwrap(),
            &bytes[..CHUNK]
        );
        assert_eq!(ask("192.0.2.1:7777", b"3").unwrap(), "");
        let report = server.report();
        assert_eq!((report.plain, report.requests, report.too_short), (11, 11, 1));
        assert!(server.take_hint().unwrap().to_string().contains("pad the number"));
    }

    #[test]
    fn what_is_no_request_is_told_of_unless_it_was_one() {
        let mut server = server();
        let mut hint = |datagram: &[u8]| {
            server.handle(Instant::START, "127.0.0.1:7777".parse().unwrap(), datagram);
            server.take_hint().map(|hint| hint.to_string())
        };
        assert!(hint(b"packet please").unwrap().contains("\"packet please\"; ask for a packet"));
        let request = Request { number: 1, attempt: 1 }.encode(true);
        assert_eq!(hint(&request), None);
        for place in [0, 1, 2, 3, 7, 700, 1383] {
            let mut damaged = request.to_vec();
            damaged[place] ^= 0x11;
            assert_eq!(hint(&damaged), None, "{place}");
        }
        assert_eq!(hint(b""), None);
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
            // A bare request beyond the end is a request and the end of a client.
            let thanks = if sealed { report.finished } else { 0 };
            prop_assert_eq!(report.damaged + report.ignored + report.requests + thanks, count);
        }
    }
}
