//! CoDel: drops at the head of a queue that has stood above a target for an interval, faster and
//! faster until it goes below (RFC 8289); what takes marks is marked instead.

use super::CodelSetting;
use jostle_common::time::Instant;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules::rate) enum Fate {
    /// It goes on as it is.
    Pass,
    /// It goes on and tells its receiver of congestion. Only what takes marks is marked.
    Mark,
    /// It is discarded.
    Drop,
}

/// The state of CoDel for one queue; the names are those of RFC 8289 §5.
#[derive(Clone, Copy, Debug)]
pub(in crate::rules::rate) struct Codel {
    setting: CodelSetting,
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
    pub(in crate::rules::rate) const fn new(setting: CodelSetting) -> Self {
        Self {
            setting,
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
    pub(in crate::rules::rate) const fn retune(&mut self, setting: CodelSetting) {
        self.setting = setting;
    }

    /// Notes that the queue is empty.
    pub(in crate::rules::rate) const fn empty(&mut self) {
        self.first_above = None;
        self.dropping = false;
        self.dropped = false;
    }

    /// Notes that so many packets were dropped for another reason, which makes it drop faster, as in
    /// Linux.
    pub(super) const fn note_dropped(&mut self, packets: u64) {
        self.count += packets;
    }

    /// Judges the packet of so many bytes at the head of the queue, which came at `came` and whose
    /// turn it is at `now`; `behind` are the bytes that stay in the queue.
    pub(in crate::rules::rate) fn judge(
        &mut self,
        now: Instant,
        came: Instant,
        bytes: u64,
        behind: u64,
        takes_marks: bool,
    ) -> Fate {
        let instead = if takes_marks && self.setting.ecn { Fate::Mark } else { Fate::Drop };
        let above = |threshold| takes_marks && now.since(came) > threshold;
        match self.drops(now, came, bytes, behind, instead) {
            true => instead,
            false if self.setting.ce_threshold.is_some_and(above) => Fate::Mark,
            false => Fate::Pass,
        }
    }

    /// Returns true if the packet is dropped, or what is done `instead`.
    fn drops(
        &mut self,
        now: Instant,
        came: Instant,
        bytes: u64,
        behind: u64,
        instead: Fate,
    ) -> bool {
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
        if instead == Fate::Mark {
            // A marked packet is sent, and ends the loop.
            self.drop_next = self.control_law(self.drop_next);
        } else {
            self.dropped = true;
        }
        true
    }

    /// Returns true if the queue has stood above the target for an interval (`dodequeue`).
    fn stands(&mut self, now: Instant, came: Instant, bytes: u64, behind: u64) -> bool {
        self.packet_max = self.packet_max.max(bytes);
        // A queue of one packet is no standing queue: dropping it would leave the link idle.
        if now.since(came) < self.setting.target || behind <= self.packet_max {
            self.first_above = None;
            return false;
        }
        let first_above = *self.first_above.get_or_insert(now + self.setting.interval);
        now >= first_above
    }

    /// Begins to drop. If it did so not long ago, the rate at which it left off is a good one to
    /// begin with.
    fn begin(&mut self, now: Instant) {
        let delta = self.count - self.last_count;
        let recently = now.since(self.drop_next) < self.setting.interval.saturating_mul(16);
        self.count = if delta > 1 && recently { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = self.control_law(now);
        self.dropping = true;
    }

    /// Returns the time that is interval/√count after `from`: in whole numbers the root of
    /// interval²/count.
    fn control_law(&self, from: Instant) -> Instant {
        let interval = u128::from(jostle_common::time::nanos(self.setting.interval));
        let step = (interval * interval / u128::from(self.count.max(1))).isqrt();
        from.plus_nanos(u64::try_from(step).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::codel_rfc::{Rfc, Waiting};
    use super::*;
    use jostle_common::chance::{Direction, DrawStream, below};
    use std::collections::VecDeque;
    use std::time::Duration;

    /// Does the same through [`Codel`].
    fn deque(
        codel: &mut Codel,
        packets: &mut VecDeque<Waiting>,
        now: u64,
        dropped: &mut Vec<Waiting>,
    ) -> Option<(Waiting, bool)> {
        loop {
            let Some(packet) = packets.pop_front() else {
                codel.empty();
                return None;
            };
            let behind = packets.iter().map(|packet| packet.1).sum();
            let [at, came] = [now, packet.0].map(Instant::from_nanos);
            match codel.judge(at, came, packet.1, behind, packet.2) {
                Fate::Drop => dropped.push(packet),
                fate => return Some((packet, fate == Fate::Mark)),
            }
        }
    }

    #[test]
    fn it_does_what_the_rfc_does() {
        // In hundredths: how many senders take marks.
        for (seed, share) in [(1, 0), (2, 0), (3, 0), (4, 50), (5, 100), (6, 90), (7, 50)] {
            let stream = DrawStream::new(seed, "test", Direction::Up, "codel");
            let mut rfc = Rfc::default();
            let mut codel = Codel::new(CodelSetting::DEFAULT);
            let (mut packets, mut dropped) = (VecDeque::new(), Vec::new());
            let (mut sent, mut marked, mut now) = (0, 0, 0u64);
            for step in 0..60_000 {
                let draw = stream.draw(step, 0, 0);
                // Loads of 50 to 150 % by turns of three seconds.
                let load = 50 + (now / 3_000_000_000 * 37 % 101);
                now += 500_000 + below(draw.first(), 1_000_000);
                if below(draw.second(), 200) < load {
                    let takes_marks = below(draw.second() << 20, 100) < share;
                    let packet = (now, 60 + below(draw.first() << 20, 1441), takes_marks);
                    rfc.packets.push_back(packet);
                    rfc.bytes += packet.1;
                    packets.push_back(packet);
                }
                if step % 2 == 1 {
                    let packet = deque(&mut codel, &mut packets, now, &mut dropped);
                    assert_eq!(packet, rfc.deque(now), "seed {seed}, step {step}");
                    sent += u32::from(packet.is_some());
                    marked += u32::from(packet.is_some_and(|(_, marked)| marked));
                }
            }
            // A float's root may differ from the whole number's in the last nanosecond; no packet
            // came just then.
            assert_eq!(dropped, rfc.dropped);
            assert!(sent > 10_000, "{sent} sent");
            assert_eq!(dropped.len() > 100, share < 100, "{} dropped of {share} %", dropped.len());
            assert_eq!(marked > 100, share > 0, "{marked} marked of {share} %");
        }
    }

    #[test]
    fn the_last_packets_worth_is_never_dropped() {
        let mut codel = Codel::new(CodelSetting::DEFAULT);
        for second in 1..1000 {
            let now = Instant::from_secs(second);
            assert_eq!(codel.judge(now, Instant::START, 1000, 1000, false), Fate::Pass);
        }
    }

    #[test]
    fn a_threshold_marks_each_that_waits_longer_and_takes_marks() {
        let threshold = Some(Duration::from_millis(1));
        let mut codel =
            Codel::new(CodelSetting { ce_threshold: threshold, ..CodelSetting::DEFAULT });
        let mut judge = |wait_us: u64, takes_marks| {
            let now = Instant::from_millis(10).plus_nanos(wait_us * 1000);
            codel.judge(now, Instant::from_millis(10), 1000, 0, takes_marks)
        };
        assert_eq!(judge(1000, true), Fate::Pass);
        assert_eq!(judge(1001, true), Fate::Mark);
        assert_eq!(judge(1001, false), Fate::Pass);
    }
}
