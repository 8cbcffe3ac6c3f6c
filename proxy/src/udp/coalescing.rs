//! When to read a socket next to which datagrams keep coming fast: adaptive coalescing, as network
//! cards have it for their interrupts.
//!
//! A relay that is as fast as its senders finds one or two datagrams with each read, and pays for a
//! read, a send and a look at its sockets each time; one that is faster looks for the next in vain.
//! If they wait for some tens of microseconds while the loop sleeps, a read finds many, which leave
//! as one message. What does not keep coming does not wait, and neither does what waits for an
//! answer: its rate falls as soon as it is held up.

use super::UdpPart;
use jostle_common::time::Instant;
use std::time::Duration;

/// The least rate at which datagrams have to come, per second.
const RATE_LEAST: u64 = 100_000;

/// The fewest reads in the time of a wait that are worth to be made one.
const READS_LEAST: u32 = 2;

/// The time over which a rate is taken.
const SAMPLE: Duration = Duration::from_millis(2);

/// The time after which it is tried again with a sender that was slowed down by it, or one whose
/// rate fell within [`SOON`].
const PAUSE: Duration = Duration::from_millis(100);

/// What ends before this was no use: bursts, or answers that were waited for.
const SOON: Duration = Duration::from_millis(10);

/// The number of samples, one behind the other, that show that a sender is slowed down.
const SLOW_SAMPLES: u32 = 2;

/// What is read later than after so many waits was held up by something else.
const LATE: u32 = 4;

/// The most sockets that are read at intervals. Each has a good part of what one thread relays.
const PACED_MAX: usize = 16;

/// Decides when the sockets of a relay are read: those that report something at once, and those to
/// which much comes at intervals. It is told of each read.
#[derive(Debug)]
pub(super) struct Coalescing {
    /// The interval; zero if there is to be none.
    wait: Duration,
    /// The socket whose rate is being taken. The others have their turn later: one that is read
    /// often soon does.
    sampled: Option<(UdpPart, Sample)>,
    paced: Vec<Paced>,
    /// No other socket is read at intervals before this.
    pause_until: Instant,
}

/// What was read from a socket since a time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    since: Instant,
    reads: u32,
    datagrams: u64,
}

/// A socket that is read at intervals.
#[derive(Debug)]
struct Paced {
    part: UdpPart,
    since: Instant,
    /// The datagrams that came each second before.
    rate_before: u64,
    sample: Sample,
    /// The number of samples, one behind the other, that were slower than before.
    slow: u32,
    /// When it was last read, and the datagrams since.
    read: Instant,
    datagrams: u64,
}

/// When to read a socket next that has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRead {
    /// When it reports something.
    Reported,
    /// At this time, and it is to report nothing from now on.
    FirstAt(Instant),
    /// At this time.
    At(Instant),
    /// When it reports something, which it is to do from now on.
    ReportedAgain,
}

impl Sample {
    const fn new(since: Instant) -> Self {
        Self { since, reads: 0, datagrams: 0 }
    }

    const fn count(&mut self, datagrams: u64) {
        self.reads += 1;
        self.datagrams += datagrams;
    }

    /// Returns the datagrams per second up to `now`, once that is some time.
    fn rate(&self, now: Instant) -> Option<u64> {
        let nanos = now.since(self.since).as_nanos() as u64;
        (nanos >= SAMPLE.as_nanos() as u64).then(|| self.datagrams * 1_000_000_000 / nanos)
    }
}

impl Coalescing {
    /// Creates one that lets datagrams wait for so long.
    pub(super) const fn new(wait: Duration) -> Self {
        Self { wait, sampled: None, paced: Vec::new(), pause_until: Instant::START }
    }

    /// Notes that so many datagrams were read from a socket.
    pub(super) fn read(&mut self, part: UdpPart, datagrams: usize) {
        let datagrams = datagrams as u64;
        if let Some(paced) = self.paced.iter_mut().find(|paced| paced.part == part) {
            paced.sample.count(datagrams);
            paced.datagrams += datagrams;
        } else if let Some((_, sample)) = self.sampled.as_mut().filter(|(of, _)| *of == part) {
            sample.count(datagrams);
        }
    }

    /// Returns when to read a socket next that had no more at `now`.
    pub(super) fn next_read(&mut self, part: UdpPart, now: Instant) -> NextRead {
        if self.wait.is_zero() {
            return NextRead::Reported;
        }
        match self.paced.iter().position(|paced| paced.part == part) {
            Some(place) => self.go_on(place, now),
            None => self.begin(part, now),
        }
    }

    /// Decides whether it pays to read a socket at intervals.
    fn begin(&mut self, part: UdpPart, now: Instant) -> NextRead {
        let Some((_, sample)) = self.sampled.filter(|(of, _)| *of == part) else {
            // One that is not read any more makes room.
            let is_free = |(_, sample): &(UdpPart, Sample)| now >= sample.since + 2 * SAMPLE;
            if now >= self.pause_until && self.sampled.as_ref().is_none_or(is_free) {
                self.sampled = Some((part, Sample::new(now)));
            }
            return NextRead::Reported;
        };
        let Some(rate) = sample.rate(now) else { return NextRead::Reported };
        self.sampled = None;
        let elapsed = now.since(sample.since);
        let gains = self.wait * sample.reads >= elapsed * READS_LEAST;
        let may_begin = now >= self.pause_until && self.paced.len() < PACED_MAX;
        if rate < RATE_LEAST || !gains || !may_begin {
            return NextRead::Reported;
        }
        NextRead::FirstAt(self.pace(part, rate, now))
    }

    /// Decides whether it still pays.
    fn go_on(&mut self, place: usize, now: Instant) -> NextRead {
        // Around the least rate it is not to begin and end all the time.
        let least = self.datagrams_at(RATE_LEAST / 2).max(1);
        let paced = &mut self.paced[place];
        let fell = std::mem::take(&mut paced.datagrams) < least;
        let was_late = now > paced.read + LATE * self.wait;
        paced.read = now;
        if was_late {
            // Something else had the processor: that tells nothing about the sender.
            paced.sample = Sample::new(now);
        }
        // Who waits for answers sends less if these are late.
        if let Some(rate) = paced.sample.rate(now) {
            paced.sample = Sample::new(now);
            let is_slow = rate < paced.rate_before / 8 * 7;
            paced.slow = if is_slow { paced.slow + 1 } else { 0 };
        }
        let slowed = paced.slow >= SLOW_SAMPLES;
        if !fell && !slowed {
            return NextRead::At(now + self.wait);
        }
        if slowed || now < paced.since + SOON {
            self.pause_until = now + PAUSE;
        }
        self.paced.swap_remove(place);
        NextRead::ReportedAgain
    }

    /// Returns how many datagrams come during a wait at so many per second.
    fn datagrams_at(&self, rate: u64) -> u64 {
        (u128::from(rate) * self.wait.as_nanos() / 1_000_000_000) as u64
    }

    /// Notes that a socket cannot be made to report again. Returns when to read it next.
    pub(super) fn keep(&mut self, part: UdpPart, now: Instant) -> Instant {
        self.pace(part, 0, now)
    }

    /// Reads a socket at intervals from `now` on. Returns when to read it first.
    fn pace(&mut self, part: UdpPart, rate_before: u64, now: Instant) -> Instant {
        self.paced.push(Paced {
            part,
            since: now,
            rate_before,
            sample: Sample::new(now),
            slow: 0,
            read: now,
            datagrams: 0,
        });
        now + self.wait
    }

    /// Forgets a socket that is closed, or of which the relay could not do what was decided.
    pub(super) fn forget(&mut self, part: UdpPart) {
        self.paced.retain(|paced| paced.part != part);
        self.sampled = self.sampled.filter(|(of, _)| *of != part);
    }

    /// Ends it for all sockets, and returns those that are to report again.
    pub(super) fn end(&mut self) -> Vec<UdpPart> {
        self.wait = Duration::ZERO;
        self.sampled = None;
        self.paced.drain(..).map(|paced| paced.part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_micros(50);
    const PART: UdpPart = UdpPart::Listener(0);

    /// A socket in virtual time: what arrives is read when it is said to be, in a few microseconds.
    struct Socket {
        now: Instant,
        /// When each datagram arrived that was not read yet.
        waiting: Vec<Instant>,
        /// When it is read next, unless it reports.
        read_at: Option<Instant>,
        reads: u64,
        datagrams: u64,
        longest: Duration,
    }

    impl Socket {
        const READ: Duration = Duration::from_micros(3);

        fn new() -> Self {
            let (now, waiting, longest) = (Instant::START, Vec::new(), Duration::ZERO);
            Self { now, waiting, read_at: None, reads: 0, datagrams: 0, longest }
        }

        /// Lets a datagram come at a time.
        fn arrive(&mut self, at: Instant, coalescing: &mut Coalescing) {
            self.run(at, coalescing);
            self.waiting.push(at);
        }

        /// Reads up to a time.
        fn run(&mut self, until: Instant, coalescing: &mut Coalescing) {
            loop {
                let reported = self.waiting.first().map(|first| self.now.max(*first));
                let Some(at) = self.read_at.or(reported).filter(|at| *at <= until) else { return };
                let at = at.max(self.now);
                let longest = self.waiting.first().map(|first| at.since(*first));
                self.longest = self.longest.max(longest.unwrap_or_default());
                self.now = at + Self::READ;
                let count = self.waiting.len();
                self.waiting.clear();
                self.reads += 1;
                self.datagrams += count as u64;
                coalescing.read(PART, count);
                self.read_at = match coalescing.next_read(PART, at) {
                    NextRead::Reported | NextRead::ReportedAgain => None,
                    NextRead::At(at) | NextRead::FirstAt(at) => Some(at),
                };
            }
        }
    }

    /// Lets bursts of `burst` come at so many datagrams per second for `millis`.
    fn stream(
        socket: &mut Socket,
        coalescing: &mut Coalescing,
        (rate, burst): (u64, u64),
        millis: u64,
    ) {
        let begin = socket.now;
        for number in 0..rate * millis / 1000 {
            let nanos = number / burst * burst * 1_000_000_000 / rate;
            socket.arrive(begin + Duration::from_nanos(nanos), coalescing);
        }
        socket.run(begin + Duration::from_millis(millis), coalescing);
    }

    /// Sends `window` datagrams, one behind the other, and again so long after the last one was
    /// read. Returns how many were read in `millis`.
    fn exchange(coalescing: &mut Coalescing, window: u32, answer: Duration, millis: u64) -> u64 {
        let mut socket = Socket::new();
        let end = Instant::from_millis(millis);
        let mut at = Instant::from_millis(1);
        while at < end {
            let before = socket.datagrams;
            for nth in 0..window {
                socket.arrive(at + nth * Socket::READ, coalescing);
            }
            let last = at + window * Socket::READ;
            while socket.datagrams < before + u64::from(window) {
                socket.run(socket.read_at.unwrap_or(last), coalescing);
            }
            at = socket.now + answer;
        }
        socket.datagrams
    }

    #[test]
    fn what_keeps_coming_fast_is_read_many_at_a_time_and_waits_no_longer_than_it_may() {
        for traffic in [(120_000, 1), (300_000, 1), (300_000, 8)] {
            let (mut coalescing, mut socket) = (Coalescing::new(WAIT), Socket::new());
            stream(&mut socket, &mut coalescing, traffic, 100);
            let a_read = socket.datagrams / socket.reads;
            let at_a_wait = traffic.0 * 50 / 1_000_000;
            assert!(a_read >= at_a_wait * 3 / 4, "{traffic:?}: {a_read} of {at_a_wait}");
            assert!(socket.longest <= WAIT + Socket::READ, "{traffic:?}: {:?}", socket.longest);
            assert_eq!(socket.datagrams, traffic.0 / 10, "{traffic:?}: all are read");
        }
    }

    #[test]
    fn slower_traffic_never_waits() {
        for traffic in [(1_000, 1), (50_000, 1), (98_000, 1), (98_000, 8), (20_000, 400)] {
            let (mut coalescing, mut socket) = (Coalescing::new(WAIT), Socket::new());
            stream(&mut socket, &mut coalescing, traffic, 1000);
            assert!(socket.longest <= Socket::READ, "{traffic:?}: {:?}", socket.longest);
            assert!(coalescing.paced.is_empty());
        }
    }

    #[test]
    fn it_ends_with_the_first_wait_that_finds_little() {
        let (mut coalescing, mut socket) = (Coalescing::new(WAIT), Socket::new());
        stream(&mut socket, &mut coalescing, (300_000, 1), 20);
        assert_eq!(coalescing.paced.len(), 1);
        socket.run(socket.now + Duration::from_micros(101), &mut coalescing);
        assert!(coalescing.paced.is_empty() && socket.read_at.is_none());
        // A slow stream behind it does not wait, and a fast one does so soon.
        socket.longest = Duration::ZERO;
        stream(&mut socket, &mut coalescing, (50_000, 1), 20);
        assert!(socket.longest <= Socket::READ);
        stream(&mut socket, &mut coalescing, (300_000, 1), 20);
        assert_eq!(coalescing.paced.len(), 1);
    }

    #[test]
    fn who_waits_for_answers_is_hardly_slowed_down() {
        for (window, answer) in [(1, 4), (4, 10), (8, 15), (16, 50), (32, 100)] {
            let answer = Duration::from_micros(answer);
            let alone = exchange(&mut Coalescing::new(Duration::ZERO), window, answer, 1000);
            assert!(alone > 100_000, "it is fast enough to be tried with: {alone}");
            let tried = exchange(&mut Coalescing::new(WAIT), window, answer, 1000);
            assert!(tried < alone, "it was tried");
            assert!(tried * 100 >= alone * 95, "{window}: {tried} of {alone}");
        }
    }

    #[test]
    fn reads_that_find_many_anyway_need_no_wait() {
        let mut coalescing = Coalescing::new(WAIT);
        for micros in (0..100_000).step_by(40) {
            coalescing.read(PART, 12);
            let next = coalescing.next_read(PART, Instant::START + Duration::from_micros(micros));
            assert_eq!(next, NextRead::Reported);
        }
    }

    #[test]
    fn several_sockets_are_found_and_no_more_than_have_much() {
        let mut coalescing = Coalescing::new(WAIT);
        let mut waits = [false; 20];
        for micros in 0..100_000u64 {
            let now = Instant::START + Duration::from_micros(micros);
            for (index, waits) in waits.iter_mut().enumerate() {
                // Two have 250,000 a second each, the others 5,000.
                let interval = if index < 2 { 4 } else { 200 };
                if !*waits && micros % interval == index as u64 % interval {
                    let part = UdpPart::Flow(index);
                    coalescing.read(part, 1);
                    *waits = matches!(coalescing.next_read(part, now), NextRead::FirstAt(_));
                }
            }
        }
        assert_eq!(waits.iter().filter(|waits| **waits).count(), 2);
        assert!(waits[0] && waits[1]);
    }

    #[test]
    fn a_socket_that_was_late_to_be_read_is_not_taken_for_slow() {
        let (mut coalescing, mut socket) = (Coalescing::new(WAIT), Socket::new());
        stream(&mut socket, &mut coalescing, (300_000, 1), 20);
        let mut at = socket.now;
        for _ in 0..100 {
            // As much as a window has, and then nothing until it is read.
            coalescing.read(PART, 60);
            at += 10 * WAIT;
            assert!(matches!(coalescing.next_read(PART, at), NextRead::At(_)));
        }
    }

    #[test]
    fn zero_is_never() {
        let (mut coalescing, mut socket) = (Coalescing::new(Duration::ZERO), Socket::new());
        stream(&mut socket, &mut coalescing, (300_000, 1), 50);
        assert!(socket.longest <= Socket::READ);
        assert!(coalescing.end().is_empty());
    }
}
