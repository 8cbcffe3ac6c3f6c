//! The queue of RFC 8289 §5, to hold others to it.

use std::collections::VecDeque;

/// A packet: when it came, its bytes, and whether its sender takes marks.
pub(super) type Waiting = (u64, u64, bool);

/// The queue of RFC 8289 §5, word for word, with the marks of Linux's: times in nanoseconds.
#[derive(Default)]
pub(super) struct Rfc {
    pub(super) packets: VecDeque<Waiting>,
    pub(super) bytes: u64,
    maxpacket: u64,
    first_above_time: u64,
    drop_next: u64,
    pub(super) count: u64,
    lastcount: u64,
    dropping: bool,
    pub(super) dropped: Vec<Waiting>,
}

const TARGET: u64 = 5_000_000;
const INTERVAL: u64 = 100_000_000;

impl Rfc {
    fn control_law(t: u64, count: u64) -> u64 {
        t + (INTERVAL as f64 / (count as f64).sqrt()) as u64
    }

    fn dodequeue(&mut self, now: u64) -> (Option<Waiting>, bool) {
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

    /// Returns the packet that is sent, and whether it is marked.
    pub(super) fn deque(&mut self, now: u64) -> Option<(Waiting, bool)> {
        let (mut p, mut ok_to_drop) = self.dodequeue(now);
        let takes_marks = |p: Option<Waiting>| p.is_some_and(|p| p.2);
        let mut marked = false;
        if self.dropping {
            if !ok_to_drop {
                self.dropping = false;
            }
            while now >= self.drop_next && self.dropping {
                self.count += 1;
                if takes_marks(p) {
                    marked = true;
                    self.drop_next = Self::control_law(self.drop_next, self.count);
                    break;
                }
                self.dropped.extend(p);
                (p, ok_to_drop) = self.dodequeue(now);
                if ok_to_drop {
                    self.drop_next = Self::control_law(self.drop_next, self.count);
                } else {
                    self.dropping = false;
                }
            }
        } else if ok_to_drop {
            if takes_marks(p) {
                marked = true;
            } else {
                self.dropped.extend(p);
                (p, _) = self.dodequeue(now);
            }
            self.dropping = true;
            let delta = self.count - self.lastcount;
            self.count = 1;
            if delta > 1 && now.saturating_sub(self.drop_next) < 16 * INTERVAL {
                self.count = delta;
            }
            self.drop_next = Self::control_law(now, self.count);
            self.lastcount = self.count;
        }
        p.map(|p| (p, marked))
    }
}
