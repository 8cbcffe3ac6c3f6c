//! The client of stop-and-wait: one packet in flight, asked for until it arrives.

use super::wire::{Answer, Request, Thanks, TooShort, checked};
use crate::protocol::digest::{Digest, Hasher};
use crate::protocol::rtt::RoundTrips;
use crate::protocol::storage::Sink;
use crate::protocol::timer::{RetransmissionTimer, Timing};
use crate::protocol::{Endpoint, Transmit, chunks_in, is_loopback};
use crate::time::Instant;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How many of a packet's last attempts are remembered for measuring the round trip. With a timeout of at least 5 ms that is a third
/// of a second at the least; an older attempt's answer is as good, but is no sample.
const ATTEMPTS_REMEMBERED: usize = 64;
/// How often a finished client says thanks: each alone may be lost, and nothing depends on them.
const THANKS: u32 = 3;
/// How many refusals in a row end a transfer that has begun: by then the server was gone at each of as many attempts.
const REFUSALS_MAX: u32 = 8;

/// How a [`Client`] asks.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Where the server is.
    pub server: SocketAddr,
    /// How timeouts are found.
    pub timing: Timing,
    /// After how long without any valid answer the client gives up; never when `None`.
    pub patience: Option<Duration>,
    /// How often it has to have asked in vain for a packet before it gives up, however long that takes.
    pub attempts_min: u32,
    /// The largest file it accepts, in bytes.
    pub size_max: u64,
}

impl ClientSettings {
    /// How long a client waits for any valid answer unless told otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(60);
    /// How often it asks at the least unless told otherwise. At 90 % loss each way one attempt in a hundred succeeds, and five hundred
    /// fail together less than once in 150 packets.
    pub const ATTEMPTS_MIN: u32 = 500;
    /// The largest file unless told otherwise.
    pub const SIZE_MAX: u64 = 4 << 30;

    /// The defaults for a server.
    pub const fn new(server: SocketAddr) -> Self {
        Self {
            server,
            timing: Timing::Adaptive,
            patience: Some(Self::PATIENCE),
            attempts_min: Self::ATTEMPTS_MIN,
            size_max: Self::SIZE_MAX,
        }
    }
}

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody listens where the server should be.
    #[error("connection refused: no server listens at {0}")]
    Refused(SocketAddr),
    /// Nothing valid arrived for too long.
    #[error("no valid answer from {server} for {} s, to {attempts} requests", .silence.as_secs())]
    Silence {
        /// Who was asked.
        server: SocketAddr,
        /// How long.
        silence: Duration,
        /// How often the packet in flight was asked for.
        attempts: u32,
    },
    /// The server began to answer with another file.
    #[error("the file changed on the server while it was fetched; fetch it again")]
    Changed,
    /// The file is larger than the client accepts.
    #[error("the file has {size} bytes, more than the limit of {limit}; raise it with --max-size")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// Every packet arrived with a correct CRC, and yet it is not the file.
    #[error("what arrived has the digest {found}, the server's file {expected}")]
    Digest {
        /// What arrived.
        found: Digest,
        /// What the server said.
        expected: Digest,
    },
    /// What arrived cannot be written.
    #[error("cannot write what arrived: {0}")]
    Storage(io::Error),
}

/// What a client has done so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The size of the file in bytes and its digest, as the server says; `None` before the first answer.
    pub file: Option<(u64, Digest)>,
    /// Bytes received in order.
    pub bytes: u64,
    /// Packets received in order.
    pub packets: u64,
    /// Requests sent.
    pub requests: u64,
    /// Of those, how many asked again for a packet.
    pub retransmissions: u64,
    /// Valid answers with a packet that had arrived before.
    pub duplicates: u64,
    /// Datagrams with a wrong CRC.
    pub damaged: u64,
    /// Datagrams that were whole and made no sense.
    pub ignored: u64,
    /// The round trips of all answers to the packet in flight.
    pub round_trips: RoundTrips,
    /// When the first request was sent.
    pub started: Option<Instant>,
    /// When the last packet arrived, or when the client gave up.
    pub ended: Option<Instant>,
}

impl Report {
    /// From the first request to the last packet.
    pub fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_default().since(self.started.unwrap_or_default())
    }
}

/// Fetches a file into a [`Sink`].
#[derive(Debug)]
pub struct Client<S> {
    settings: ClientSettings,
    sink: S,
    hasher: Hasher,
    timer: RetransmissionTimer,
    padded: bool,
    /// The packet in flight.
    number: u32,
    /// Its attempts so far.
    attempt: u32,
    /// When its last attempts were made.
    sent: VecDeque<(u32, Instant)>,
    /// When the next request goes; `None` before the first.
    next: Option<Instant>,
    /// Whether the next request goes because the last one was not answered in time.
    timed_out: bool,
    /// When something valid last arrived, or the first request went.
    heard: Instant,
    refusals: u32,
    thanks: u32,
    outcome: Option<Result<(), Failure>>,
    report: Report,
}

impl<S: Sink> Client<S> {
    /// A client that will fetch the server's file into `sink`.
    pub fn new(settings: ClientSettings, sink: S) -> Self {
        Self {
            padded: !is_loopback(settings.server),
            timer: RetransmissionTimer::new(settings.timing),
            settings,
            sink,
            hasher: Hasher::new(),
            number: 0,
            attempt: 0,
            sent: VecDeque::new(),
            next: None,
            timed_out: false,
            heard: Instant::START,
            refusals: 0,
            thanks: 0,
            outcome: None,
            report: Report::default(),
        }
    }

    /// What it has done so far.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// How it ended, if it has.
    pub const fn outcome(&self) -> Option<&Result<(), Failure>> {
        self.outcome.as_ref()
    }

    /// The report, the sink, and how it ended, if it has.
    pub fn into_parts(self) -> (Report, S, Option<Result<(), Failure>>) {
        (self.report, self.sink, self.outcome)
    }

    fn end(&mut self, now: Instant, outcome: Result<(), Failure>) {
        self.report.ended = Some(now);
        self.thanks = if outcome.is_ok() { THANKS } else { 0 };
        self.outcome = Some(outcome);
    }

    fn handle_answer(&mut self, now: Instant, answer: &Answer<'_>) {
        self.heard = now;
        self.refusals = 0;
        let file = *self.report.file.get_or_insert((answer.size, answer.digest));
        if file != (answer.size, answer.digest) {
            return self.end(now, Err(Failure::Changed));
        }
        if answer.size > self.settings.size_max || chunks_in(answer.size).is_none() {
            let limit = self.settings.size_max;
            return self.end(now, Err(Failure::TooLarge { size: answer.size, limit }));
        }
        if answer.number != self.number {
            self.report.duplicates += u64::from(answer.number < self.number);
            self.report.ignored += u64::from(answer.number > self.number);
            return self.timer.reset();
        }
        self.timer.reset();
        if let Some((_, sent)) = self.sent.iter().find(|(attempt, _)| *attempt == answer.attempt) {
            let round_trip = now.since(*sent);
            self.report.round_trips.record(round_trip);
            self.timer.sample(round_trip);
        }
        self.accept(now, answer, file.1);
    }

    /// Takes the packet in flight, and goes on to the next one.
    fn accept(&mut self, now: Instant, answer: &Answer<'_>, expected: Digest) {
        if let Err(error) = self.sink.append(answer.data) {
            return self.end(now, Err(Failure::Storage(error)));
        }
        self.hasher.update(answer.data);
        self.report.bytes += answer.data.len() as u64;
        self.report.packets += u64::from(!answer.data.is_empty());
        if self.report.bytes == answer.size {
            let found = std::mem::take(&mut self.hasher).finish();
            let whole = found == expected;
            return self.end(now, if whole { Ok(()) } else { Err(Failure::Digest { found, expected }) });
        }
        self.number += 1;
        self.attempt = 0;
        self.sent.clear();
        self.ask_again(now);
    }

    fn ask_again(&mut self, now: Instant) {
        self.next = Some(now);
        self.timed_out = false;
    }

    fn request(&mut self, now: Instant) -> Transmit {
        if self.timed_out {
            self.timer.back_off();
        }
        // A late answer to an attempt 2^32 attempts ago is no worse a sample than none.
        self.attempt = self.attempt.wrapping_add(1);
        self.report.requests += 1;
        self.report.retransmissions += u64::from(self.attempt > 1);
        if self.sent.len() == ATTEMPTS_REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((self.attempt, now));
        self.next = Some(now + self.timer.timeout());
        self.timed_out = true;
        let request = Request { number: self.number, attempt: self.attempt };
        Transmit { to: self.settings.server, payload: request.encode(self.padded) }
    }

    fn gives_up_at(&self) -> Option<Instant> {
        let by_time = self.heard + self.settings.patience?;
        match self.settings.attempts_min {
            0 => Some(by_time),
            // The last attempt is waited for like every other.
            least => (self.attempt >= least).then(|| by_time.max(self.next.unwrap_or_default())),
        }
    }
}

impl<S: Sink> Endpoint for Client<S> {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.outcome.is_some() || from != self.settings.server {
            self.report.ignored += 1;
            return;
        }
        let Some(body) = checked(datagram) else {
            self.report.damaged += 1;
            return;
        };
        if let Some(answer) = Answer::decode(body) {
            return self.handle_answer(now, &answer);
        }
        match TooShort::decode(body) {
            Some(refused) if !self.padded && refused.number == self.number => {
                self.padded = true;
                self.heard = now;
                self.ask_again(now);
            }
            _ => self.report.ignored += 1,
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        if self.outcome.is_some() {
            self.thanks = self.thanks.checked_sub(1)?;
            return Some(Transmit { to: self.settings.server, payload: Thanks.encode() });
        }
        let Some(next) = self.next else {
            self.report.started = Some(now);
            self.heard = now;
            return Some(self.request(now));
        };
        if self.gives_up_at().is_some_and(|at| at <= now) {
            let (server, attempts) = (self.settings.server, self.attempt);
            self.end(now, Err(Failure::Silence { server, silence: now.since(self.heard), attempts }));
            return None;
        }
        (next <= now).then(|| self.request(now))
    }

    fn deadline(&self) -> Option<Instant> {
        if self.outcome.is_some() {
            return (self.thanks > 0).then_some(Instant::START);
        }
        let Some(next) = self.next else { return Some(Instant::START) };
        Some(self.gives_up_at().map_or(next, |at| next.min(at)))
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some() && self.thanks == 0
    }

    fn handle_refusal(&mut self, now: Instant, to: SocketAddr) {
        self.refusals += 1;
        let begun = self.report.file.is_some();
        if self.outcome.is_none() && to == self.settings.server && (!begun || self.refusals >= REFUSALS_MAX) {
            self.end(now, Err(Failure::Refused(to)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::*;
    use crate::protocol::CHUNK;
    use crate::protocol::storage::Memory;

    const LOCAL: &str = "127.0.0.1:9001";
    const FAR: &str = "192.0.2.1:9001";

    fn client(server: &str) -> Client<Vec<u8>> {
        Client::new(ClientSettings::new(server.parse().unwrap()), Vec::new())
    }

    fn file(size: usize) -> Vec<u8> {
        (0..size).map(|place| (place * 31 % 251) as u8).collect()
    }

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// One exchange without loss: every request is answered a millisecond later. Returns the time at the end.
    fn run(client: &mut Client<Vec<u8>>, server: &mut Server<Memory>, peer: &str) -> Instant {
        let (mut now, asker) = (Instant::START, peer.parse().unwrap());
        for _ in 0..10_000 {
            let Some(request) = client.poll(now) else { return now };
            now += Duration::from_millis(1);
            server.handle(now, asker, &request.payload);
            while let Some(answer) = server.poll(now) {
                assert_eq!(answer.to, asker);
                client.handle(now, request.to, &answer.payload);
            }
        }
        panic!("the exchange does not end");
    }

    #[test]
    fn files_of_every_shape_arrive_whole() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 10 * CHUNK, 10 * CHUNK + 100] {
            let (mut client, mut server) = (client(LOCAL), Server::new(Memory::new(file(size)), None));
            run(&mut client, &mut server, "127.0.0.1:5555");
            assert!(client.is_finished() && matches!(client.outcome(), Some(Ok(()))), "{size}");
            let (report, received, _) = client.into_parts();
            assert_eq!(received, file(size), "{size}");
            assert_eq!(report.packets, size.div_ceil(CHUNK) as u64, "{size}");
            assert_eq!(report.requests, report.packets.max(1), "{size}");
            assert_eq!(report.round_trips.count(), report.requests);
            assert_eq!((report.retransmissions, report.duplicates, report.damaged), (0, 0, 0));
            assert_eq!(server.report().finished, 1, "three thanks are one client");
        }
    }

    #[test]
    fn a_server_on_another_machine_is_asked_with_padding() {
        let (mut client, mut server) = (client(FAR), Server::new(Memory::new(file(9000)), None));
        run(&mut client, &mut server, "198.51.100.7:5555");
        assert!(matches!(client.outcome(), Some(Ok(()))));
        assert_eq!(server.report().too_short, 0);
    }

    #[test]
    fn a_client_behind_a_relay_learns_to_pad() {
        // The client sees a relay on its own machine; the server sees a stranger.
        let (mut client, mut server) = (client(LOCAL), Server::new(Memory::new(file(9000)), None));
        run(&mut client, &mut server, "198.51.100.7:5555");
        assert!(matches!(client.outcome(), Some(Ok(()))));
        assert_eq!((server.report().too_short, client.report().retransmissions), (1, 1));
    }

    /// When requests go that nobody answers, and when the client gives up.
    fn unanswered(settings: ClientSettings) -> (Vec<Instant>, Instant) {
        let mut client = Client::new(settings, Vec::new());
        let mut times = Vec::new();
        let mut now = Instant::START;
        while !client.is_finished() {
            if client.poll(now).is_some() {
                times.push(now);
            }
            now = client.deadline().unwrap_or(now);
        }
        assert!(matches!(client.outcome(), Some(Err(Failure::Silence { .. }))));
        assert_eq!(client.report().retransmissions, times.len() as u64 - 1);
        (times, now)
    }

    #[test]
    fn an_unanswered_request_is_repeated_with_backoff_until_patience_ends() {
        let settings = ClientSettings::new(LOCAL.parse().unwrap());
        let (times, end) = unanswered(settings.clone());
        assert_eq!(times[..5], [at(0), at(50), at(150), at(350), at(550)]);
        assert_eq!((times.len(), end), (500, at(350 + 200 * 497)), "the last one is waited for");
        let brief = ClientSettings { patience: Some(Duration::from_secs(1)), attempts_min: 0, ..settings };
        let (times, end) = unanswered(brief);
        assert_eq!((times.len(), end), (7, at(1000)));
    }

    #[test]
    fn a_late_answer_to_the_first_attempt_is_a_true_sample() {
        let (mut client, mut server) = (client(LOCAL), Server::new(Memory::new(file(9000)), None));
        let peer = "127.0.0.1:5555".parse().unwrap();
        let first = client.poll(at(0)).unwrap();
        let second = client.poll(at(50)).unwrap();
        for request in [&first, &second] {
            server.handle(at(60), peer, &request.payload);
        }
        let answers: Vec<_> = std::iter::from_fn(|| server.poll(at(60))).collect();
        client.handle(at(80), first.to, &answers[0].payload);
        assert_eq!(client.report().round_trips.least(), Some(Duration::from_millis(80)));
        client.handle(at(81), first.to, &answers[1].payload);
        assert_eq!((client.report().duplicates, client.report().packets), (1, 1));
    }

    #[test]
    fn damage_strangers_and_nonsense_are_counted_and_ignored() {
        let (mut client, mut server) = (client(LOCAL), Server::new(Memory::new(file(9000)), None));
        let request = client.poll(at(0)).unwrap();
        server.handle(at(1), "127.0.0.1:5555".parse().unwrap(), &request.payload);
        let answer = server.poll(at(1)).unwrap().payload;
        let mut damaged = answer.to_vec();
        damaged[100] ^= 4;
        client.handle(at(2), request.to, &damaged);
        client.handle(at(2), "127.0.0.1:6666".parse().unwrap(), &answer);
        client.handle(at(2), request.to, &request.payload);
        client.handle(at(2), request.to, &[]);
        assert_eq!((client.report().damaged, client.report().ignored, client.report().packets), (2, 2, 0));
        client.handle(at(2), request.to, &answer);
        assert_eq!(client.report().packets, 1);
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let mut client = client(LOCAL);
        let peer = "127.0.0.1:5555".parse().unwrap();
        for contents in [file(9000), vec![1; 9000]] {
            let request = client.poll(at(0)).unwrap();
            let mut server = Server::new(Memory::new(contents), None);
            server.handle(at(0), peer, &request.payload);
            client.handle(at(0), request.to, &server.poll(at(0)).unwrap().payload);
        }
        assert!(matches!(client.outcome(), Some(Err(Failure::Changed))));
        assert!(client.is_finished(), "no thanks for that");
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_before_a_byte_is_kept() {
        let digest = Digest::of(b"");
        for size in [ClientSettings::SIZE_MAX + 1, u64::MAX] {
            let mut client = client(LOCAL);
            let request = client.poll(at(0)).unwrap();
            let data = [0; CHUNK];
            let answer = Answer { number: 0, attempt: 1, size, digest, data: &data };
            client.handle(at(1), request.to, &answer.encode());
            assert!(matches!(client.outcome(), Some(Err(Failure::TooLarge { .. }))));
            assert_eq!(client.report().bytes, 0);
        }
    }

    #[test]
    fn a_file_with_another_digest_is_no_success() {
        let mut client = client(LOCAL);
        let request = client.poll(at(0)).unwrap();
        let answer = Answer { number: 0, attempt: 1, size: 3, digest: Digest::of(b"abd"), data: b"abc" };
        client.handle(at(1), request.to, &answer.encode());
        assert!(matches!(client.outcome(), Some(Err(Failure::Digest { .. }))));
    }

    #[test]
    fn a_refusal_ends_it_at_once_before_the_first_answer_and_later_only_when_repeated() {
        let mut early = client(LOCAL);
        let to = early.poll(at(0)).unwrap().to;
        early.handle_refusal(at(1), to);
        assert!(matches!(early.outcome(), Some(Err(Failure::Refused(_)))));

        let mut late = client(LOCAL);
        let mut server = Server::new(Memory::new(file(9000)), None);
        let request = late.poll(at(0)).unwrap();
        server.handle(at(1), "127.0.0.1:5555".parse().unwrap(), &request.payload);
        late.handle(at(1), to, &server.poll(at(1)).unwrap().payload);
        for _ in 1..REFUSALS_MAX {
            late.handle_refusal(at(2), to);
        }
        assert!(late.outcome().is_none());
        late.handle_refusal(at(2), to);
        assert!(late.is_finished());
    }
}
