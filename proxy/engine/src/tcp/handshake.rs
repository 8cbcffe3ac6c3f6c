//! The handshake: SYN, SYN-ACK and the acknowledgement, repeated until they cross.
//!
//! The client gives up when nothing came back for as long as Linux waits; its server, which nobody
//! at the sockets waits for, goes on until then. A server may take its time to answer, as one does
//! that is further away than the modelled route reaches: that time is no part of the round trip.

use super::rtt::RTO_MAX;
use jostle_common::time::{Instant, nanos};

/// Repetitions of a SYN before the wait doubles (1 s each; Linux's tcp_syn_linear_timeouts, which
/// adds four to the first).
const LINEAR_REPETITIONS: u32 = 4;

const WAIT_NANOS: u64 = 1_000_000_000;

/// Repetitions of a SYN after which the client waits once more and gives up: Linux's
/// tcp_syn_retries of 6, on top of the linear ones. The tenth goes after 67 s, and the connection
/// has timed out after 131 s (`Documentation/networking/ip-sysctl.rst`).
const REPETITIONS_MAX: u32 = LINEAR_REPETITIONS + 6;

/// A timer that fires again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Repeat {
    at: Instant,
    wait: u64,
    /// The number of times that it has fired.
    count: u32,
}

impl Repeat {
    const fn new(now: Instant) -> Self {
        Self { at: now.plus_nanos(WAIT_NANOS), wait: WAIT_NANOS, count: 0 }
    }

    /// Fires at `now`; the first `linear` waits are alike, then each is twice the one before.
    fn fire(&mut self, now: Instant, linear: u32) {
        self.count += 1;
        if self.count > linear {
            self.wait = (self.wait * 2).min(nanos(RTO_MAX));
        }
        self.at = now.plus_nanos(self.wait);
    }
}

/// The handshake as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientHandshake {
    /// `None` once the connection stands.
    repeat: Option<Repeat>,
}

impl ClientHandshake {
    /// Creates a handshake whose first SYN goes at `now`.
    pub(super) const fn new(now: Instant) -> Self {
        Self { repeat: Some(Repeat::new(now)) }
    }

    /// Creates a handshake that is over.
    pub(super) const fn established() -> Self {
        Self { repeat: None }
    }

    pub(super) const fn is_established(&self) -> bool {
        self.repeat.is_none()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.repeat.map(|repeat| repeat.at)
    }

    /// Returns true if the last repetition had no answer by `now` either.
    pub(super) fn has_given_up(&self, now: Instant) -> bool {
        self.repeat.is_some_and(|repeat| repeat.count >= REPETITIONS_MAX && repeat.at <= now)
    }

    /// Returns true if a SYN is to be sent again at `now`.
    pub(super) fn handle_timer(&mut self, now: Instant) -> bool {
        let Some(repeat) = self.repeat.as_mut().filter(|repeat| repeat.at <= now) else {
            return false;
        };
        repeat.fire(now, LINEAR_REPETITIONS);
        true
    }

    /// Returns how often the SYN was repeated so far; 0 once the connection stands.
    pub(super) fn repetitions(&self) -> u32 {
        self.repeat.map_or(0, |repeat| repeat.count)
    }

    /// Takes in a SYN-ACK; the first one establishes the connection, and this returns the number of
    /// times that the SYN had been repeated.
    pub(super) fn handle_syn_ack(&mut self) -> Option<u32> {
        self.repeat.take().map(|repeat| repeat.count)
    }
}

/// The handshake as its server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerHandshake {
    /// Nothing has come yet.
    Listening,
    /// A SYN has come, and nobody has said whether it is accepted.
    Asked(Asked),
    /// A SYN-ACK is on its way.
    Answered(Answered),
    /// The connection stands.
    Established,
}

/// The server's memory of the SYN that it has yet to answer: the first one that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    at: Instant,
    syn_sent: Instant,
}

/// The server's memory of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    repeat: Repeat,
    /// The time at which the SYN that was answered was sent.
    syn_sent: Instant,
    /// The time at which the answer was sent; `None` once it was sent again, as then it is not
    /// known which one was answered.
    sent: Option<Instant>,
}

impl ServerHandshake {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Answered(answered) => Some(answered.repeat.at),
            Self::Listening | Self::Asked(_) | Self::Established => None,
        }
    }

    /// Takes in a SYN sent at `syn_sent` that is to be answered by [`accept`](Self::accept);
    /// returns true for the first one.
    pub(super) fn ask(&mut self, now: Instant, syn_sent: Instant) -> bool {
        let is_first = *self == Self::Listening;
        if is_first {
            *self = Self::Asked(Asked { at: now, syn_sent });
        }
        is_first
    }

    /// Answers the SYN that waits for it. Returns the time that the SYN-ACK echoes: that at which
    /// the SYN would have been sent had it not waited; `None` if none waits.
    pub(super) fn accept(&mut self, now: Instant) -> Option<Instant> {
        let Self::Asked(Asked { at, syn_sent }) = *self else { return None };
        let syn_sent = syn_sent + now.since(at);
        *self = Self::Answered(Answered { repeat: Repeat::new(now), syn_sent, sent: Some(now) });
        Some(syn_sent)
    }

    /// Takes in a SYN sent at `syn_sent`; returns true if a SYN-ACK is to be sent. A repeated one
    /// is answered again, and puts off the timer.
    pub(super) fn handle_syn(&mut self, now: Instant, syn_sent: Instant) -> bool {
        match self {
            Self::Listening => {
                *self = Self::Answered(Answered {
                    repeat: Repeat::new(now),
                    syn_sent,
                    sent: Some(now),
                });
                true
            }
            Self::Answered(answered) => {
                answered.repeat.at = now.plus_nanos(answered.repeat.wait);
                answered.sent = None;
                answered.syn_sent = answered.syn_sent.max(syn_sent);
                true
            }
            Self::Asked(_) | Self::Established => false,
        }
    }

    /// Returns the time at which the answered SYN was sent, if the SYN-ACK is to be sent again at
    /// `now`.
    pub(super) fn handle_timer(&mut self, now: Instant) -> Option<Instant> {
        let Self::Answered(answered) = self else { return None };
        if answered.repeat.at > now {
            return None;
        }
        answered.repeat.fire(now, 0);
        answered.sent = None;
        Some(answered.syn_sent)
    }

    /// Takes in the client's first segment behind its SYN: the connection stands. The first time it
    /// returns the round-trip time, if it is known, in nanoseconds, and how often the timer had
    /// repeated the SYN-ACK.
    pub(super) fn handle_acknowledgement(&mut self, now: Instant) -> Option<(Option<u64>, u32)> {
        let Self::Answered(answered) = *self else { return None };
        *self = Self::Established;
        let rtt = answered.sent.map(|sent| now.as_nanos() - sent.as_nanos());
        Some((rtt, answered.repeat.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Instant = Instant::from_millis;

    #[test]
    fn a_syn_is_repeated_five_times_each_second_then_ever_more_slowly_and_then_given_up() {
        let mut client = ClientHandshake::new(MS(0));
        let mut seconds = Vec::new();
        while !client.has_given_up(client.deadline().unwrap()) {
            let at = client.deadline().unwrap();
            assert!(!client.handle_timer(at - std::time::Duration::from_nanos(1)));
            assert!(client.handle_timer(at));
            seconds.push(at.as_nanos() / 1_000_000_000);
        }
        assert_eq!(seconds, [1, 2, 3, 4, 5, 7, 11, 19, 35, 67]);
        assert_eq!(client.deadline(), Some(MS(131_000)));
        assert!(!client.has_given_up(MS(130_999)), "an answer may still come");
        assert_eq!(client.handle_syn_ack(), Some(10));
        assert_eq!((client.handle_syn_ack(), client.deadline()), (None, None));
        assert!(!client.has_given_up(MS(1_000_000)), "it stands");
    }

    #[test]
    fn a_syn_ack_waits_two_minutes_at_most_for_its_acknowledgement() {
        let mut server = ServerHandshake::Listening;
        server.handle_syn(MS(0), MS(0));
        let due = |server: &mut ServerHandshake| {
            let at = server.deadline().unwrap();
            assert!(server.handle_timer(at).is_some());
            at.as_nanos() / 1_000_000_000
        };
        let seconds: Vec<u64> = (0..9).map(|_| due(&mut server)).collect();
        assert_eq!(seconds[..6], [1, 3, 7, 15, 31, 63]);
        assert_eq!(seconds[8] - seconds[7], 120, "the longest wait");
    }

    #[test]
    fn a_syn_ack_is_repeated_by_its_timer_and_by_a_repeated_syn() {
        let mut server = ServerHandshake::Listening;
        assert!(server.handle_syn(MS(0), MS(0)));
        assert_eq!(server.deadline(), Some(MS(1000)));
        assert!(server.handle_timer(MS(1000)).is_some());
        assert_eq!(server.deadline(), Some(MS(3000)));
        assert!(server.handle_syn(MS(1500), MS(1400)));
        assert_eq!(server.deadline(), Some(MS(3500)));
        assert_eq!(server.handle_timer(MS(3500)), Some(MS(1400)));
        assert_eq!(server.deadline(), Some(MS(7500)));
        assert_eq!(
            server.handle_acknowledgement(MS(3600)),
            Some((None, 2)),
            "which one was answered?"
        );
        assert_eq!(server.handle_acknowledgement(MS(3700)), None);
        assert!(!server.handle_syn(MS(4000), MS(3900)) && server.deadline().is_none());
    }

    #[test]
    fn the_time_that_a_server_takes_to_answer_is_no_part_of_the_round_trip() {
        let mut server = ServerHandshake::Listening;
        assert_eq!(server.accept(MS(0)), None, "nothing has come");
        assert!(server.ask(MS(300), MS(0)));
        assert!(!server.ask(MS(1300), MS(1000)), "it is known already");
        assert!(!server.handle_syn(MS(1300), MS(1000)) && server.deadline().is_none());
        assert_eq!(server.handle_acknowledgement(MS(1400)), None, "nothing was answered");
        assert_eq!(server.accept(MS(1500)), Some(MS(1200)));
        assert_eq!(server.accept(MS(1501)), None);
        assert_eq!(server.deadline(), Some(MS(2500)));
        assert_eq!(server.handle_acknowledgement(MS(2100)), Some((Some(600_000_000), 0)));
    }

    #[test]
    fn a_handshake_without_repetition_measures_the_round_trip() {
        let mut server = ServerHandshake::Listening;
        assert_eq!(server.handle_acknowledgement(MS(0)), None, "nothing was answered");
        server.handle_syn(MS(10), MS(0));
        assert_eq!(server.handle_acknowledgement(MS(30)), Some((Some(20_000_000), 0)));
    }
}
