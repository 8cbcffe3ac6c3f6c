//! How many datagrams are under way: enough that the relay always has some before it, and not so
//! many that buffers overflow.
//!
//! Datagrams are numbered from 0. What was heard of one tells that all before it have arrived or are
//! lost, so losses make no difference to what is under way. A relay that holds datagrams for a
//! delay has a queue before it and those that it holds: the window is the queue, and what passed in
//! the last such delay.

use jostle_common::time::Instant;
use std::time::Duration;

/// How long after its delay nothing must have been heard for all that is under way to be lost: longer
/// than a relay waits for its processor on a machine that has other work.
const SILENCE: Duration = Duration::from_millis(200);

/// A closed window of numbered datagrams.
#[derive(Clone, Debug)]
pub(super) struct Window {
    queue: u64,
    delay: Duration,
    sent: u64,
    /// All with lower numbers have arrived or are lost.
    passed: u64,
    heard_at: Instant,
    /// What passed in the last whole step as long as the delay.
    passed_per_delay: u64,
    step_began: Instant,
    passed_before_step: u64,
}

impl Window {
    /// Opens a window of `queue` datagrams before a relay that holds each for `delay`.
    pub(super) const fn new(queue: u64, delay: Duration, now: Instant) -> Self {
        Self {
            queue,
            delay,
            sent: 0,
            passed: 0,
            heard_at: now,
            passed_per_delay: 0,
            step_began: now,
            passed_before_step: 0,
        }
    }

    /// Returns the number of the next datagram.
    pub(super) const fn next(&self) -> u64 {
        self.sent
    }

    /// Returns how many datagrams may be sent now.
    pub(super) fn room(&mut self, now: Instant) -> u64 {
        if !self.delay.is_zero() && now.since(self.step_began) >= self.delay {
            self.passed_per_delay = self.passed - self.passed_before_step;
            (self.step_began, self.passed_before_step) = (now, self.passed);
        }
        if now.since(self.heard_at) >= self.delay + SILENCE {
            (self.passed, self.heard_at) = (self.sent, now);
        }
        (self.passed + self.queue + self.passed_per_delay).saturating_sub(self.sent)
    }

    /// Takes note of `count` datagrams that were sent.
    pub(super) const fn sent(&mut self, count: u64) {
        self.sent += count;
    }

    /// Takes note of a datagram that arrived.
    pub(super) fn heard(&mut self, number: u64, now: Instant) {
        // One that was overtaken tells nothing new.
        self.passed = self.passed.max(number + 1).min(self.sent);
        self.heard_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_secs(1);

    fn at(micros: u64) -> Instant {
        START + Duration::from_micros(micros)
    }

    #[test]
    fn it_is_closed_until_something_is_heard() {
        let mut window = Window::new(100, Duration::ZERO, START);
        assert_eq!(window.room(START), 100);
        window.sent(100);
        assert_eq!(window.room(at(10)), 0);
        window.heard(39, at(20));
        assert_eq!((window.room(at(20)), window.next()), (40, 100));
        // The one before it is late or lost: no difference.
        window.heard(38, at(30));
        assert_eq!(window.room(at(30)), 40);
    }

    #[test]
    fn what_nothing_is_heard_of_is_lost() {
        let mut window = Window::new(64, Duration::ZERO, START);
        window.sent(64);
        assert_eq!(window.room(at(199_999)), 0);
        assert_eq!(window.room(at(200_000)), 64);
        let mut held = Window::new(64, Duration::from_millis(50), START);
        held.sent(64);
        assert_eq!((held.room(at(249_999)), held.room(at(250_000))), (0, 64));
    }

    /// A relay of 100,000 a second that holds each for 20 ms, looked at each 100 µs.
    #[test]
    fn a_delay_is_filled_and_the_queue_before_it_stays_short() {
        let delay = Duration::from_millis(20);
        let mut window = Window::new(256, delay, START);
        let (mut relayed, mut queue_most) = (0, 0);
        let mut out = std::collections::VecDeque::new();
        for turn in 0..10_000_u64 {
            let now = at(turn * 100);
            window.sent(window.clone().room(now));
            window.room(now);
            let queued = window.next() - relayed;
            queue_most = queue_most.max(queued);
            for _ in 0..queued.min(10) {
                out.push_back((now + delay, relayed));
                relayed += 1;
            }
            while out.front().is_some_and(|(due, _)| *due <= now) {
                let (_, number) = out.pop_front().unwrap();
                window.heard(number, now);
            }
            // After a fifth of a second it always has one to relay.
            assert!(turn < 2_000 || queued >= 10, "turn {turn}");
        }
        assert!(relayed > 95_000, "{relayed}");
        assert!(queue_most <= 2 * 256 + 10, "{queue_most}");
    }
}
