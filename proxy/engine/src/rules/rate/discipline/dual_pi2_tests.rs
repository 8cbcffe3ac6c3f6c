//! DualPI2 held to the pseudo-code of RFC 9332.

use super::*;
use crate::packet::Body;
use jostle_common::chance::{Direction, DrawStream, below};
use std::time::Duration;

/// A packet: when it came, in nanoseconds, its bytes, and the two bits of ECN.
type Waiting = (u64, u64, u8);

const TARGET: f64 = 0.015;
const RTT_MAX: f64 = 0.100;
const TUPDATE: f64 = 0.015;
const MIN_TH: f64 = 0.0008;
const RANGE: f64 = 0.0004;
const TH_LEN: usize = 1;
const P_LMAX: f64 = 1.0;

#[derive(Default)]
struct RfcQueue {
    packets: VecDeque<Waiting>,
    count: f64,
}

impl RfcQueue {
    /// The wait of the packet at its head.
    fn time(&self, now: u64) -> f64 {
        self.packets.front().map_or(0.0, |packet| (now - packet.0) as f64 / 1e9)
    }

    fn recur(&mut self, likelihood: f64) -> bool {
        self.count += likelihood;
        if self.count > 1.0 {
            self.count -= 1.0;
            return true;
        }
        false
    }
}

/// RFC 9332, appendix A, line by line: enqueue and update of figures 3 and 5 with p′ held within 0
/// and 1, the dequeue with overload of figure 6, and the ramp of figure 7.
struct Rfc {
    k: f64,
    lq: RfcQueue,
    cq: RfcQueue,
    p: f64,
    p_cl: f64,
    p_c: f64,
    prevq: f64,
    /// T of TS-FIFO; `None` is a weighted round robin by bytes, one in ten of them classic.
    shift: Option<f64>,
    credit: i64,
}

impl Rfc {
    fn new(k: f64, shift: Option<f64>) -> Self {
        let (lq, cq) = (RfcQueue::default(), RfcQueue::default());
        Self { k, lq, cq, p: 0.0, p_cl: 0.0, p_c: 0.0, prevq: 0.0, shift, credit: -12_000 }
    }

    fn enqueue(&mut self, packet: Waiting) {
        if packet.2 % 2 == 1 {
            self.lq.packets.push_back(packet);
        } else {
            self.cq.packets.push_back(packet);
        }
    }

    fn scheduler_chooses_lq(&self, now: u64) -> bool {
        match (self.lq.packets.is_empty(), self.cq.packets.is_empty(), self.shift) {
            (true, _, _) => false,
            (_, true, _) => true,
            (_, _, Some(shift)) => self.lq.time(now) + shift >= self.cq.time(now),
            (_, _, None) => self.credit <= 0,
        }
    }

    fn laqm(qdelay: f64) -> f64 {
        if qdelay >= MIN_TH + RANGE {
            1.0
        } else if qdelay > MIN_TH {
            (qdelay - MIN_TH) / RANGE
        } else {
            0.0
        }
    }

    /// The packet that is sent, its bits now, and the arrivals of those that were dropped.
    fn dequeue(&mut self, now: u64) -> (Option<(Waiting, u8)>, Vec<u64>) {
        let p_cmax = (1.0 / (self.k * self.k)).min(1.0);
        let mut dropped = Vec::new();
        while !self.lq.packets.is_empty() || !self.cq.packets.is_empty() {
            let both = !self.lq.packets.is_empty() && !self.cq.packets.is_empty();
            let mut marked = false;
            let pkt;
            if self.scheduler_chooses_lq(now) {
                pkt = self.lq.packets.pop_front().unwrap();
                if self.p_cl < P_LMAX {
                    let p_l_native = if self.lq.packets.len() > TH_LEN {
                        Self::laqm((now - pkt.0) as f64 / 1e9)
                    } else {
                        0.0
                    };
                    let p_l = p_l_native.max(self.p_cl);
                    if self.lq.recur(p_l) {
                        marked = true;
                    }
                } else {
                    if self.lq.recur(self.p_c) {
                        dropped.push(pkt.0);
                        continue;
                    }
                    if self.lq.recur(self.p_cl) {
                        marked = true;
                    }
                }
                self.credit += if both { pkt.1 as i64 } else { 0 };
            } else {
                pkt = self.cq.packets.pop_front().unwrap();
                if self.cq.recur(self.p_c) {
                    if pkt.2 == 0 || self.p_c >= p_cmax {
                        dropped.push(pkt.0);
                        continue;
                    }
                    marked = true;
                }
                self.credit -= if both { 9 * pkt.1 as i64 } else { 0 };
            }
            let bits = if marked { 3 } else { pkt.2 };
            return (Some((pkt, bits)), dropped);
        }
        self.credit = -12_000;
        (None, dropped)
    }

    fn update(&mut self, now: u64) {
        let (alpha, beta) = (0.1 * TUPDATE / (RTT_MAX * RTT_MAX), 0.3 / RTT_MAX);
        let curq = self.cq.time(now).max(self.lq.time(now));
        self.p = self.p + alpha * (curq - TARGET) + beta * (curq - self.prevq);
        self.p = self.p.clamp(0.0, 1.0);
        self.p_cl = (self.k * self.p).min(1.0);
        self.p_c = self.p * self.p;
        self.prevq = curq;
    }
}

/// What there was to see in a run.
#[derive(Debug, Default)]
struct Seen {
    sent: u32,
    low_marked: u32,
    classic_marked: u32,
    dropped: usize,
    p_max: f64,
}

/// Runs both side by side; of a hundred packets so many are Not-ECT, ECT(0) and the rest ECT(1).
fn beside_the_rfc(seed: u64, k: f64, shift: Option<u64>, shares: [u64; 2]) -> Seen {
    let stream = DrawStream::new(seed, "test", Direction::Up, "dualpi2");
    let scheduler = shift.map_or_else(
        || DualPi2Setting::rfc().scheduler,
        |millis| DualScheduler::TimeShift(Duration::from_millis(millis)),
    );
    let setting = DualPi2Setting { coupling: k, scheduler, ..DualPi2Setting::rfc() };
    let mut rfc = Rfc::new(k, shift.map(|millis| millis as f64 / 1e3));
    let mut queue = DualQueue::new(setting, Instant::START, Instant::START, 0);
    let (mut now, mut ticks, mut seen, mut done) = (0u64, 1u64, Seen::default(), VecDeque::new());
    for step in 0..120_000 {
        let draw = stream.draw(step, 0, 0);
        // A packet in 500 us, at loads of 60 to 140 % by turns of two seconds, with silences.
        let load = 60 + now / 2_000_000_000 * 37 % 81;
        let silence = if step % 50_000 == 49_999 { 2_000_000_000 } else { 0 };
        now += silence + 125_000 + below(draw.first(), 250_000);
        while ticks * 15_000_000 <= now {
            rfc.update(ticks * 15_000_000);
            ticks += 1;
        }
        let at = Instant::from_nanos(now);
        if below(draw.second(), 200) < load {
            let pick = below(draw.second() << 20, 100);
            let bits = match pick {
                _ if pick < shares[0] => 0,
                _ if pick < shares[0] + shares[1] => 2,
                _ => 1,
            };
            let bytes = 60 + below(draw.first() << 20, 1441);
            rfc.enqueue((now, bytes, bits));
            let body = Body::data(vec![0; bytes as usize]);
            let ecn = Ecn::of_tos(bits);
            queue.push(Packet { ecn, flow_number: now, ..Packet::new(1, at, body) });
        }
        if step % 2 == 1 {
            let packet = queue.pop(at, &mut done);
            let (expected, dropped) = rfc.dequeue(now);
            let found = packet.as_ref().map(|packet| (packet.flow_number, packet.ecn.bits()));
            let wanted = expected.map(|(packet, bits)| (packet.0, bits));
            assert_eq!(found, wanted, "seed {seed}, step {step}");
            let gone: Vec<u64> = done.drain(..).map(|output| output.packet().flow_number).collect();
            assert_eq!(gone, dropped, "seed {seed}, step {step}");
            seen.dropped += gone.len();
            seen.sent += u32::from(found.is_some());
            if let Some((packet, 3)) = expected {
                seen.low_marked += u32::from(packet.2 == 1);
                seen.classic_marked += u32::from(packet.2 == 2);
            }
        }
        queue.catch_up(at);
        assert_eq!(queue.base.to_bits(), rfc.p.to_bits(), "seed {seed}, step {step}");
        assert_eq!(queue.low_probability.to_bits(), rfc.p_cl.to_bits());
        assert_eq!(queue.classic_probability.to_bits(), rfc.p_c.to_bits());
        seen.p_max = seen.p_max.max(queue.base);
    }
    seen
}

#[test]
fn it_does_what_the_rfc_does() {
    for (seed, k, shift, shares) in [
        (1, 2.0, None, [30, 30]),
        (2, 2.0, Some(50), [30, 30]),
        (3, 2.0, None, [100, 0]),
        (4, 2.0, None, [0, 0]),
        (5, 1.5, Some(5), [10, 60]),
        (6, 4.0, None, [50, 10]),
    ] {
        let seen = beside_the_rfc(seed, k, shift, shares);
        let classic = shares[0] + shares[1];
        assert!(seen.sent > 40_000 && seen.dropped > 100, "{seed}: {seen:?}");
        assert_eq!(seen.low_marked > 100, classic < 100, "{seed}: {seen:?}");
        assert_eq!(seen.classic_marked > 20, shares[1] > 0, "{seed}: {seen:?}");
        assert!(seen.p_max > 1.0 / k, "{seed}: there was overload: {seen:?}");
    }
}

#[test]
fn the_gains_follow_from_the_round_trip() {
    let rfc = DualPi2Setting::rfc();
    let (alpha, beta) = rfc.gains();
    assert_eq!(rfc.update(), Duration::from_millis(15));
    assert!((alpha - 0.15).abs() < 1e-12 && (beta - 3.0).abs() < 1e-12, "{alpha}, {beta}");
    let near = DualPi2Setting { round_trip: Duration::from_millis(30), ..rfc };
    assert_eq!(near.update(), Duration::from_millis(10), "a third of the round trip");
}

#[test]
fn an_end_of_a_stream_stays_behind_its_packets() {
    let mut queue = DualQueue::new(DualPi2Setting::rfc(), Instant::START, Instant::START, 0);
    let packet = |flow, ecn| {
        let body = Body::data(vec![0; 1000]);
        Packet { ecn, ..Packet::new(flow, Instant::START, body) }
    };
    for (flow, ecn) in [(1, Ecn::Ect0), (2, Ecn::Ect1), (1, Ecn::Ect0), (2, Ecn::Ect1)] {
        queue.push(packet(flow, ecn));
    }
    for flow in [2, 1] {
        queue.push(Packet::new(flow, Instant::START, Body::End));
    }
    let mut done = VecDeque::new();
    let order: Vec<(u32, bool)> = std::iter::from_fn(|| queue.pop(Instant::START, &mut done))
        .map(|packet| (packet.flow, packet.is_mark()))
        .collect();
    let of = |flow| order.iter().filter(move |one| one.0 == flow).map(|one| one.1);
    assert!(of(1).eq([false, false, true]) && of(2).eq([false, false, true]), "{order:?}");
}
