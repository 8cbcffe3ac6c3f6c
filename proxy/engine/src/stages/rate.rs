//! `rate`: serialises packets one after the other at a rate, with a bounded tail-drop queue in front.

use crate::packet::Packet;
use crate::source::Origin;
use crate::stage::{Output, Reason, Stage};
use jostle_common::profile::{self, Queue, RateSource};
use jostle_common::time::{Instant, nanos};
use jostle_common::units::BitRate;
use std::collections::VecDeque;
use std::time::Duration;

const QUEUE_TIME_DEFAULT: Duration = Duration::from_millis(100);
const QUEUE_PACKETS_DEFAULT: u64 = 10;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Serialises packets.
#[derive(Debug)]
pub(crate) struct Rate {
    /// `None` once the rule was removed: what waits goes as soon as the packet in service has gone.
    setting: Option<Setting>,
    in_service: Option<InService>,
    waiting: VecDeque<Packet>,
    /// The sum of the waiting packets' sizes, overhead included.
    waiting_bytes: u64,
    refused: VecDeque<Packet>,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    limit: BitRate,
    queue: Queue,
    overhead: u32,
}

impl Setting {
    fn of(setting: &profile::Rate) -> Self {
        let RateSource::Limit(limit) = setting.source else { todo!("traces") };
        Self { limit, queue: setting.queue, overhead: setting.overhead }
    }
}

#[derive(Debug)]
struct InService {
    /// Its `at` is when it is due to leave.
    packet: Packet,
    end: End,
}

/// When a transmission ends: a nanosecond and a fraction of one, whose denominator is the rate in bits per second. Carrying the
/// fraction keeps the rate exact over any number of packets.
#[derive(Clone, Copy, Debug)]
struct End {
    nanos: u64,
    fraction: u64,
}

impl End {
    /// The first whole nanosecond at which the transmission is over.
    const fn due(self) -> Instant {
        Instant::from_nanos(self.nanos.saturating_add((self.fraction > 0) as u64))
    }
}

impl Rate {
    pub(crate) fn new(setting: &profile::Rate, _origin: Origin) -> Self {
        Self {
            setting: Some(Setting::of(setting)),
            in_service: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            refused: VecDeque::new(),
        }
    }

    /// Changes the setting, or removes the limit: the packet in service keeps its end, waiting ones go at the new rate.
    pub(crate) fn retune(&mut self, setting: Option<&profile::Rate>) {
        self.setting = setting.map(Setting::of);
        if let Some(service) = &mut self.in_service {
            // The fraction's denominator changes with the rate: the next transmission starts on a whole nanosecond.
            service.end = End { nanos: service.end.due().as_nanos(), fraction: 0 };
        }
        // So may the overhead.
        self.waiting_bytes = self.waiting.iter().map(|packet| self.bytes(packet)).sum();
    }

    /// The bytes a packet takes on the link.
    fn bytes(&self, packet: &Packet) -> u64 {
        let overhead = self.setting.map_or(0, |setting| setting.overhead);
        if packet.is_mark() { 0 } else { u64::from(packet.size) + u64::from(overhead) }
    }

    fn start(&mut self, packet: Packet, from: End) {
        let end = match self.setting {
            None => from,
            Some(setting) => {
                let rate = setting.limit.bits_per_second();
                // A packet of a gigabyte would still fit 64 bits; saturation only keeps the arithmetic total.
                let work =
                    (self.bytes(&packet) * 8).saturating_mul(NANOS_PER_SECOND).saturating_add(from.fraction);
                End { nanos: from.nanos.saturating_add(work / rate), fraction: work % rate }
            }
        };
        let service = self.in_service.insert(InService { packet, end });
        service.packet.at = end.due();
    }

    /// Whether the queue has no room for a packet that arrives at `now` while `service` is under way.
    fn refuses(&self, packet: &Packet, service: &InService) -> bool {
        let Some(setting) = self.setting else { return false };
        let too_long =
            |bound: Duration| self.wait_exceeds(bound, setting.limit, service.packet.at.since(packet.at));
        let waiting = self.waiting.len() as u64;
        match setting.queue {
            Queue::Default => waiting >= QUEUE_PACKETS_DEFAULT && too_long(QUEUE_TIME_DEFAULT),
            Queue::Time(bound) => too_long(bound),
            Queue::Bytes(bound) => self.waiting_bytes + self.bytes(packet) > bound.bytes(),
            Queue::Packets(bound) => waiting >= bound,
        }
    }

    /// Whether the wait until transmission starts (the rest of the packet in service, then all that wait) is longer than `bound`;
    /// multiplied out by the rate, so that nothing is rounded.
    fn wait_exceeds(&self, bound: Duration, limit: BitRate, rest: Duration) -> bool {
        let rate = u128::from(limit.bits_per_second());
        let queued = u128::from(self.waiting_bytes * 8) * u128::from(NANOS_PER_SECOND);
        queued + u128::from(nanos(rest)) * rate > u128::from(nanos(bound)) * rate
    }
}

impl Stage for Rate {
    #[inline]
    fn handle(&mut self, mut packet: Packet) {
        let Some(service) = &self.in_service else {
            let from = End { nanos: packet.at.as_nanos(), fraction: 0 };
            return self.start(packet, from);
        };
        if !packet.is_mark() && self.refuses(&packet, service) {
            packet.trace.choose();
            return self.refused.push_back(packet);
        }
        self.waiting_bytes += self.bytes(&packet);
        self.waiting.push_back(packet);
    }

    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Output> {
        if let Some(packet) = self.refused.pop_front() {
            return Some(Output::Discard(packet, Reason::QueueFull));
        }
        let service = self.in_service.take_if(|service| service.packet.at <= now)?;
        if let Some(next) = self.waiting.pop_front() {
            self.waiting_bytes -= self.bytes(&next);
            self.start(next, service.end);
        }
        Some(Output::Deliver(service.packet))
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        let refused = self.refused.front().map(|packet| packet.at);
        refused.or_else(|| self.in_service.as_ref().map(|service| service.packet.at))
    }

    fn held(&self) -> usize {
        self.waiting.len() + self.refused.len() + usize::from(self.in_service.is_some())
    }
}
