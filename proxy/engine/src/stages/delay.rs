//! `delay`: holds each packet for a time, with jitter, in order unless overtaking is asked for.
//!
//! When order is kept, the k-th packet in takes the k-th smallest due time. Nobody is made to wait longer than the longest drawn delay,
//! and the mean delay is exactly the mean drawn; holding each packet until the one before has gone would raise it.

use super::calendar::{Calendar, Due};
use super::jitter::Sampler;
use crate::packet::Packet;
use crate::source::{Origin, Source};
use crate::stage::{Output, Stage};
use jostle_common::profile;
use jostle_common::time::Instant;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

/// Holds packets for a time.
#[derive(Debug)]
pub(crate) struct Delay {
    source: Source,
    sampler: Sampler,
    line: Line,
    /// No packet to come is due before this: the last due time that was inside when the setting changed.
    floor: Instant,
    /// The latest due time given so far, which marks wait for.
    latest: Instant,
    arrivals: u64,
}

/// The packets inside.
#[derive(Debug)]
enum Line {
    /// Every delay is the same: first in, first out; a packet's `at` is its due time.
    Constant(VecDeque<Packet>),
    /// Jitter with order kept: packets in order of arrival, and the due times they will take in turn.
    Ordered(VecDeque<Packet>, Calendar<Instant>),
    /// Jitter that may reorder: a packet's `at` is its due time.
    Free(Calendar<Timed>),
}

/// A packet that leaves at its own due time; ties leave in order of arrival.
#[derive(Debug)]
struct Timed {
    packet: Packet,
    arrival: u64,
}

impl Due for Timed {
    fn due(&self) -> Instant {
        self.packet.at
    }
}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.packet.at, self.arrival).cmp(&(other.packet.at, other.arrival))
    }
}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timed {}

static NONE: profile::Delay = profile::Delay::constant(Duration::ZERO);

impl Delay {
    pub(crate) fn new(setting: &profile::Delay, origin: Origin) -> Self {
        let sampler = Sampler::new(setting);
        let line = Line::for_setting(setting, &sampler);
        Self {
            source: origin.source,
            sampler,
            line,
            floor: Instant::START,
            latest: Instant::START,
            arrivals: 0,
        }
    }

    /// Changes the setting, or removes the delay: packets inside keep their times, later ones queue behind.
    pub(crate) fn retune(&mut self, setting: Option<&profile::Delay>) {
        let setting = setting.unwrap_or(&NONE);
        let inside = self.line.take();
        self.sampler = Sampler::new(setting);
        self.line = Line::for_setting(setting, &self.sampler);
        if let Some(last) = inside.last() {
            self.floor = last.at;
        }
        for packet in inside {
            let due = packet.at;
            self.insert(packet, due);
        }
    }

    /// Takes in a packet that is due to leave at `due`.
    fn insert(&mut self, packet: Packet, due: Instant) {
        self.latest = self.latest.max(due);
        match &mut self.line {
            Line::Constant(packets) => {
                // Written where it stands: a packet that is changed and then moved stalls the processor.
                packets.push_back(packet);
                packets.back_mut().expect("it was just pushed").at = due;
            }
            Line::Ordered(packets, dues) => {
                dues.push(due);
                packets.push_back(packet);
            }
            Line::Free(packets) => {
                self.arrivals += 1;
                packets.push(Timed { packet: packet.moved_to(due), arrival: self.arrivals });
            }
        }
    }
}

impl Line {
    fn for_setting(setting: &profile::Delay, sampler: &Sampler) -> Self {
        if sampler.is_constant() {
            Self::Constant(VecDeque::new())
        } else if setting.reorder {
            Self::Free(Calendar::new())
        } else {
            Self::Ordered(VecDeque::new(), Calendar::new())
        }
    }

    /// Takes out everything in the order in which it would leave, each packet's `at` its due time.
    fn take(&mut self) -> Vec<Packet> {
        match self {
            Self::Constant(packets) => packets.drain(..).collect(),
            Self::Ordered(packets, dues) => {
                packets.drain(..).zip(dues.drain()).map(|(packet, at)| packet.moved_to(at)).collect()
            }
            Self::Free(packets) => packets.drain().map(|timed| timed.packet).collect(),
        }
    }
}

impl Stage for Delay {
    #[inline]
    fn handle(&mut self, packet: Packet) {
        let due = if packet.is_mark() {
            let due = packet.at.plus_nanos(self.sampler.mean());
            // A mark stays behind everything that came before it, also where packets overtake.
            if matches!(self.line, Line::Free(_)) { due.max(self.latest) } else { due }
        } else {
            let bits = match self.sampler {
                Sampler::Constant(_) => 0,
                _ => self.source.draw(&packet).first(),
            };
            packet.at.plus_nanos(self.sampler.sample(bits))
        };
        self.insert(packet, due.max(self.floor));
    }

    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Output> {
        let packet = match &mut self.line {
            Line::Constant(packets) => packets.pop_front_if(|packet| packet.at <= now)?,
            Line::Ordered(packets, dues) => {
                let at = dues.pop(now)?;
                packets.pop_front().expect("there is a due time for each packet").moved_to(at)
            }
            Line::Free(packets) => packets.pop(now)?.packet,
        };
        Some(Output::Deliver(packet))
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        match &self.line {
            Line::Constant(packets) => packets.front().map(|packet| packet.at),
            Line::Ordered(_, dues) => dues.first_due(),
            Line::Free(packets) => packets.first_due(),
        }
    }

    fn held(&self) -> usize {
        match &self.line {
            Line::Constant(packets) | Line::Ordered(packets, _) => packets.len(),
            Line::Free(packets) => packets.len(),
        }
    }
}
