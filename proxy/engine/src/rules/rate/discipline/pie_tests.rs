//! PIE held to the pseudo-code of RFC 8033.

use super::*;
use jostle_common::chance::{Direction, DrawStream, below};
use std::collections::VecDeque;
use std::time::Duration;

const QDELAY_REF: f64 = 0.015;
const MAX_BURST: f64 = 0.150;
const T_UPDATE: f64 = 0.015;
const MEAN_PKTSIZE: u64 = 1500;
const MAX_ECNTH: f64 = 0.1;
const ALPHA: f64 = 0.125;
const BETA: f64 = 1.25;

/// A packet: when it came, in nanoseconds, its bytes, and whether its sender takes marks.
type Waiting = (u64, u64, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Enque,
    Mark,
    Drop,
}

/// RFC 8033, appendix A, statement by statement: delays by timestamps; with ECN (§5.1), the cap
/// of a step (§5.5) and, if asked for, the de-randomisation (§5.4) as in appendix B.
#[derive(Default)]
struct Rfc {
    derandomize: bool,
    queue: VecDeque<Waiting>,
    byte_length: u64,
    current_qdelay: f64,
    qdelay_old: f64,
    drop_prob: f64,
    burst_allowance: f64,
    accu_prob: f64,
}

#[allow(clippy::manual_clamp, reason = "as the RFC writes it")]
impl Rfc {
    fn drop_early(&mut self, random: f64) -> bool {
        if (self.qdelay_old < QDELAY_REF / 2.0 && self.drop_prob < 0.2)
            || self.byte_length <= 2 * MEAN_PKTSIZE
        {
            return false;
        }
        if self.derandomize {
            if self.drop_prob == 0.0 {
                self.accu_prob = 0.0;
            }
            self.accu_prob += self.drop_prob;
            if self.accu_prob < 0.85 {
                return false;
            }
            if self.accu_prob >= 8.5 {
                return true;
            }
        }
        random < self.drop_prob
    }

    fn enque(&mut self, packet: Waiting, random: f64) -> Action {
        if self.drop_prob == 0.0
            && self.current_qdelay < QDELAY_REF / 2.0
            && self.qdelay_old < QDELAY_REF / 2.0
        {
            self.burst_allowance = MAX_BURST;
        }
        if self.burst_allowance == 0.0 && self.drop_early(random) {
            self.accu_prob = 0.0;
            if self.drop_prob < MAX_ECNTH && packet.2 {
                self.push(packet);
                return Action::Mark;
            }
            return Action::Drop;
        }
        self.push(packet);
        Action::Enque
    }

    fn push(&mut self, packet: Waiting) {
        self.byte_length += packet.1;
        self.queue.push_back(packet);
    }

    fn deque(&mut self, now: u64) -> Option<Waiting> {
        let packet = self.queue.pop_front()?;
        self.byte_length -= packet.1;
        // An empty queue has no delay, by whatever means that is found.
        self.current_qdelay =
            if self.queue.is_empty() { 0.0 } else { (now - packet.0) as f64 / 1e9 };
        Some(packet)
    }

    fn calculate_drop_prob(&mut self) {
        let mut p = ALPHA * (self.current_qdelay - QDELAY_REF)
            + BETA * (self.current_qdelay - self.qdelay_old);
        if self.drop_prob < 0.000001 {
            p /= 2048.0;
        } else if self.drop_prob < 0.00001 {
            p /= 512.0;
        } else if self.drop_prob < 0.0001 {
            p /= 128.0;
        } else if self.drop_prob < 0.001 {
            p /= 32.0;
        } else if self.drop_prob < 0.01 {
            p /= 8.0;
        } else if self.drop_prob < 0.1 {
            p /= 2.0;
        }
        if self.drop_prob >= 0.1 && p > 0.02 {
            p = 0.02;
        }
        self.drop_prob += p;
        if self.current_qdelay == 0.0 && self.qdelay_old == 0.0 {
            self.drop_prob *= 0.98;
        }
        if self.drop_prob < 0.0 {
            self.drop_prob = 0.0;
        }
        if self.drop_prob > 1.0 {
            self.drop_prob = 1.0;
        }
        self.qdelay_old = self.current_qdelay;
        // Steps of a float would not end at zero.
        self.burst_allowance = ((self.burst_allowance - T_UPDATE).max(0.0) * 1e9).round() / 1e9;
    }
}

/// What there was to see in a run.
#[derive(Default)]
struct Seen {
    dropped: u32,
    marked: u32,
    sent: u32,
    prob_max: f64,
}

/// Runs both side by side over random arrivals at loads of `least` to `least` + 100 %.
fn beside_the_rfc(seed: u64, derandomize: bool, share: u64, least: u64) -> Seen {
    let stream = DrawStream::new(seed, "test", Direction::Up, "pie");
    let mut rfc = Rfc { derandomize, burst_allowance: MAX_BURST, ..Rfc::default() };
    let mut pie =
        Pie::new(PieSetting { derandomize, ..PieSetting::rfc() }, Instant::START, Instant::START);
    let (mut packets, mut queued) = (VecDeque::<Waiting>::new(), 0);
    let (mut now, mut ticks, mut seen) = (0u64, 1u64, Seen::default());
    for step in 0..120_000 {
        let draw = stream.draw(step, 0, 0);
        // By turns of three seconds, with silences of two.
        let turn = now / 3_000_000_000;
        let load = least + turn * 37 % 101;
        let silence = if step % 40_000 == 39_999 { 2_000_000_000 } else { 0 };
        now += silence + 500_000 + below(draw.first(), 1_000_000);
        while ticks * 15_000_000 <= now {
            rfc.calculate_drop_prob();
            ticks += 1;
        }
        if below(draw.second(), 200) < load {
            let takes_marks = below(draw.second() << 20, 100) < share;
            let packet = (now, 60 + below(draw.first() << 20, 1441), takes_marks);
            let random = stream.draw(step, 1, 0).first();
            let uniform = (random >> 11) as f64 / (1u64 << 53) as f64;
            let fate = pie.judge(Instant::from_nanos(now), queued, takes_marks, || random);
            let action = match fate {
                Fate::Pass => Action::Enque,
                Fate::Mark => Action::Mark,
                Fate::Drop => Action::Drop,
            };
            assert_eq!(action, rfc.enque(packet, uniform), "seed {seed}, step {step}");
            seen.dropped += u32::from(fate == Fate::Drop);
            seen.marked += u32::from(fate == Fate::Mark);
            if fate != Fate::Drop {
                packets.push_back(packet);
                queued += packet.1;
            }
        }
        if step % 2 == 1 {
            let packet = packets.pop_front();
            if let Some((came, bytes, _)) = packet {
                queued -= bytes;
                let [at, came] = [now, came].map(Instant::from_nanos);
                pie.sent(at, came, packets.is_empty());
                seen.sent += 1;
            }
            assert_eq!(packet, rfc.deque(now), "seed {seed}, step {step}");
        }
        pie.catch_up(Instant::from_nanos(now));
        assert_eq!(pie.drop_prob.to_bits(), rfc.drop_prob.to_bits(), "seed {seed}, step {step}");
        assert_eq!(pie.burst_allowance, (rfc.burst_allowance * 1e9).round() as u64);
        seen.prob_max = seen.prob_max.max(pie.drop_prob);
    }
    seen
}

#[test]
fn it_does_what_the_rfc_does() {
    for (seed, derandomize, share, least) in [
        (1, false, 0, 50),
        (2, false, 100, 50),
        (3, false, 50, 50),
        (4, true, 0, 50),
        (5, true, 50, 50),
        (6, false, 100, 30),
        (7, true, 100, 30),
    ] {
        let Seen { dropped, marked, sent, prob_max } =
            beside_the_rfc(seed, derandomize, share, least);
        assert!(sent > 30_000, "{sent} sent");
        assert!(dropped > 200, "{dropped} dropped at seed {seed}");
        assert_eq!(marked > 40, share > 0, "{marked} marked at seed {seed}");
        assert!(prob_max > MAX_ECNTH, "{prob_max}: the bound of marks was passed");
    }
}

#[test]
fn the_first_burst_passes_untouched() {
    // At 8 Mbit/s, 1000 bytes a millisecond, and twice as many that come.
    let setting = PieSetting::rfc();
    let mut pie = Pie::new(setting, Instant::START, Instant::START);
    let first = (0u64..2000).find(|number| {
        let now = Instant::from_nanos(number * 500_000);
        if number % 2 == 1 {
            pie.sent(now, Instant::from_nanos(number / 2 * 500_000), false);
        }
        // The smallest draw: any probability drops it.
        pie.judge(now, number * 500, false, || 0) == Fate::Drop
    });
    let first = Duration::from_nanos(first.unwrap() * 500_000);
    assert!(first >= Duration::from_millis(150), "{first:?}");
    assert!(first <= Duration::from_millis(200), "{first:?}: the allowance ends");
}

#[test]
fn a_day_of_silence_takes_no_longer_than_a_minute_and_leaves_nothing() {
    let mut pie = Pie::new(PieSetting::rfc(), Instant::START, Instant::START);
    pie.drop_prob = 1.0;
    let day = Instant::from_secs(86_400);
    assert_eq!(pie.judge(day, 1 << 20, false, || 0), Fate::Pass);
    assert_eq!((pie.drop_prob, pie.burst_allowance), (0.0, 150_000_000));
}
