//! CoDel: drops at the head of a queue that has stood above a target for an interval, faster and
//! faster until it goes below (RFC 8289).

use jostle_common::time::Instant;
use std::time::Duration;

/// The state of CoDel for one queue; the names are those of RFC 8289 §5.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codel {
    target: Duration,
    interval: Duration,
    /// The largest packet seen, in bytes: a queue of no more than this is none.
    packet_max: u64,
    /// The time at which the wait will have been above the target for an interval; `None` while it
    /// is below.
    first_above: Option<Instant>,
    dropping: bool,
    /// The time at which the next packet is dropped while dropping.
    drop_next: Instant,
    /// True if a packet was just dropped, so that the next drop has to be put off from `drop_next`.
    dropped: bool,
    /// The number of packets dropped since dropping began,
    count: u64,
    /// and the count with which it began.
    last_count: u64,
}

impl Codel {
    pub(super) const fn new(target: Duration, interval: Duration) -> Self {
        Self {
            target,
            interval,
            packet_max: 0,
            first_above: None,
            dropping: false,
            drop_next: Instant::START,
            dropped: false,
            count: 0,
            last_count: 0,
        }
    }

    /// Takes on other parameters; what it has seen still counts.
    pub(super) const fn retune(&mut self, target: Duration, interval: Duration) {
        (self.target, self.interval) = (target, interval);
    }

    /// Notes that the queue is empty.
    pub(super) const fn empty(&mut self) {
        self.first_above = None;
        self.dropping = false;
        self.dropped = false;
    }

    /// Returns true if the packet of so many bytes at the head of the queue, which came at `came`,
    /// is dropped at `now` instead of being sent; `behind` are the bytes that stay in the queue.
    pub(super) fn drops(&mut self, now: Instant, came: Instant, bytes: u64, behind: u64) -> bool {
        let stands = self.stands(now, came, bytes, behind);
        if !self.dropping {
            if stands {
                self.begin(now);
            }
            return stands;
        }
        if !stands {
            (self.dropping, self.dropped) = (false, false);
            return false;
        }
        // The RFC drops in a loop and puts the next drop off once the packet behind was found to
        // have waited too long as well. Here each packet is judged alone, so that comes first.
        if std::mem::take(&mut self.dropped) {
            self.drop_next = self.control_law(self.drop_next);
        }
        if now < self.drop_next {
            return false;
        }
        self.count += 1;
        self.dropped = true;
        true
    }

    /// Returns true if the queue has stood above the target for an interval (`dodequeue`).
    fn stands(&mut self, now: Instant, came: Instant, bytes: u64, behind: u64) -> bool {
        self.packet_max = self.packet_max.max(bytes);
        // A queue of one packet is no standing queue: dropping it would leave the link idle.
        if now.since(came) < self.target || behind <= self.packet_max {
            self.first_above = None;
            return false;
        }
        let first_above = *self.first_above.get_or_insert(now + self.interval);
        now >= first_above
    }

    /// Begins to drop. If it did so not long ago, the rate at which it left off is a good one to
    /// begin with.
    fn begin(&mut self, now: Instant) {
        let delta = self.count - self.last_count;
        let recently = now.since(self.drop_next) < self.interval.saturating_mul(16);
        self.count = if delta > 1 && recently { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = self.control_law(now);
        self.dropping = true;
    }

    /// Returns the time that is interval/√count after `from`: in whole numbers the root of
    /// interval²/count.
    fn control_law(&self, from: Instant) -> Instant {
        let interval = u128::from(jostle_common::time::nanos(self.interval));
        let step = (interval * interval / u128::from(self.count.max(1))).isqrt();
        from.plus_nanos(u64::try_from(step).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::{Direction, DrawStream, below};
    use std::collections::VecDeque;

    /// The queue of RFC 8289 §5, word for word: times in nanoseconds, packets as (arrival, bytes).
    #[derive(Default)]
    struct Rfc {
        packets: VecDeque<(u64, u64)>,
        bytes: u64,
        maxpacket: u64,
        first_above_time: u64,
        drop_next: u64,
        count: u64,
        lastcount: u64,
        dropping: bool,
        dropped: Vec<(u64, u64)>,
    }

    const TARGET: u64 = 5_000_000;
    const INTERVAL: u64 = 100_000_000;

    impl Rfc {
        fn control_law(t: u64, count: u64) -> u64 {
            t + (INTERVAL as f64 / (count as f64).sqrt()) as u64
        }

        fn dodequeue(&mut self, now: u64) -> (Option<(u64, u64)>, bool) {
            let Some(p) = self.packets.pop_front() else {
                self.first_above_time = 0;
                return (None, false);
            };
            self.bytes -= p.1;
            self.maxpacket = self.maxpacket.max(p.1);
            let mut ok_to_drop = false;
            if now - p.0 < TARGET || self.bytes <= self.maxpacket {
                self.first_above_time = 0;
            } else if self.first_above_time == 0 {
                self.first_above_time = now + INTERVAL;
            } else if now >= self.first_above_time {
                ok_to_drop = true;
            }
            (Some(p), ok_to_drop)
        }

        fn deque(&mut self, now: u64) -> Option<(u64, u64)> {
            let (mut p, mut ok_to_drop) = self.dodequeue(now);
            if self.dropping {
                if !ok_to_drop {
                    self.dropping = false;
                }
                while now >= self.drop_next && self.dropping {
                    self.dropped.extend(p);
                    self.count += 1;
                    (p, ok_to_drop) = self.dodequeue(now);
                    if ok_to_drop {
                        self.drop_next = Self::control_law(self.drop_next, self.count);
                    } else {
                        self.dropping = false;
                    }
                }
            } else if ok_to_drop {
                self.dropped.extend(p);
                (p, _) = self.dodequeue(now);
                self.dropping = true;
                let delta = self.count - self.lastcount;
                self.count = 1;
                if delta > 1 && now.saturating_sub(self.drop_next) < 16 * INTERVAL {
                    self.count = delta;
                }
                self.drop_next = Self::control_law(now, self.count);
                self.lastcount = self.count;
            }
            p
        }
    }

    /// Does the same through [`Codel`].
    fn deque(
        codel: &mut Codel,
        packets: &mut VecDeque<(u64, u64)>,
        now: u64,
        dropped: &mut Vec<(u64, u64)>,
    ) -> Option<(u64, u64)> {
        loop {
            let Some(packet) = packets.pop_front() else {
                codel.empty();
                return None;
            };
            let behind = packets.iter().map(|packet| packet.1).sum();
            let [at, came] = [now, packet.0].map(Instant::from_nanos);
            if !codel.drops(at, came, packet.1, behind) {
                return Some(packet);
            }
            dropped.push(packet);
        }
    }

    #[test]
    fn it_does_what_the_rfc_does() {
        for seed in 1..=5 {
            let stream = DrawStream::new(seed, "test", Direction::Up, "codel");
            let mut rfc = Rfc::default();
            let mut codel =
                Codel::new(Duration::from_nanos(TARGET), Duration::from_nanos(INTERVAL));
            let (mut packets, mut dropped) = (VecDeque::new(), Vec::new());
            let (mut sent, mut now) = (0, 0u64);
            for step in 0..60_000 {
                let draw = stream.draw(step, 0, 0);
                // Loads of 50 to 150 % by turns of three seconds.
                let load = 50 + (now / 3_000_000_000 * 37 % 101);
                now += 500_000 + below(draw.first(), 1_000_000);
                if below(draw.second(), 200) < load {
                    let packet = (now, 60 + below(draw.first() << 20, 1441));
                    rfc.packets.push_back(packet);
                    rfc.bytes += packet.1;
                    packets.push_back(packet);
                }
                if step % 2 == 1 {
                    let packet = deque(&mut codel, &mut packets, now, &mut dropped);
                    assert_eq!(packet, rfc.deque(now), "seed {seed}, step {step}");
                    sent += u32::from(packet.is_some());
                }
            }
            // A float's root may differ from the whole number's in the last nanosecond; no packet
            // came just then.
            assert_eq!(dropped, rfc.dropped);
            assert!(dropped.len() > 100 && sent > 10_000, "{} dropped, {sent} sent", dropped.len());
        }
    }

    #[test]
    fn the_last_packets_worth_is_never_dropped() {
        let mut codel = Codel::new(Duration::from_millis(5), Duration::from_millis(100));
        let mut dropped = 0;
        for second in 1..1000 {
            let now = Instant::from_secs(second);
            dropped += u32::from(codel.drops(now, Instant::START, 1000, 1000));
        }
        assert_eq!(dropped, 0);
    }
}
