//! Streams of the modelled TCP, which come on one line by turns.

use super::FLOWS_MAX;
use crate::packet::CrossPacket;
use crate::route::CongestionControl;
use crate::rules::source::Source;
use crate::segment::Data;
use crate::tcp::Bulk;
use jostle_common::chance::below;
use jostle_common::time::{Instant, nanos};
use jostle_common::units::BitRate;
use std::time::Duration;

/// Streams begin within this time, or they would all grow and lose as one.
const SPREAD: Duration = Duration::from_millis(100);

/// What streams have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    pub(super) model: CongestionControl,
    pub(super) back: Duration,
    pub(super) access: BitRate,
}

/// The streams of a rule.
#[derive(Debug)]
pub(super) struct Streams {
    common: Common,
    streams: Vec<Stream>,
    /// The stream whose turn is next.
    turn: usize,
    /// The time at which the line has sent what it has.
    free: Instant,
    /// The time of the last event.
    clock: Instant,
}

/// A place at which one stream follows another when that has given up.
#[derive(Debug)]
struct Stream {
    starts: Instant,
    given_up: u32,
    /// `None` before it starts.
    bulk: Option<Bulk>,
}

impl Streams {
    /// Creates streams of which the first begins at `from`, and the others soon after.
    pub(super) fn new(common: Common, count: u32, from: Instant, source: Source) -> Self {
        let mut all = Self {
            common,
            streams: Vec::new(),
            turn: 0,
            free: Instant::START,
            clock: Instant::START,
        };
        all.set_count(count, from, source);
        all
    }

    /// Lets there be so many streams; those that are new begin at `from` or soon after.
    fn set_count(&mut self, count: u32, from: Instant, source: Source) {
        self.streams.truncate(count as usize);
        for index in self.streams.len() as u32..count.min(FLOWS_MAX) {
            let spread = match index {
                0 => 0,
                _ => below(source.draw_at(u64::from(index)).first(), nanos(SPREAD)),
            };
            let starts = from.plus_nanos(spread);
            self.streams.push(Stream { starts, given_up: 0, bulk: None });
        }
    }

    /// Takes on what streams have in common now, and their number.
    pub(super) fn retune(&mut self, common: Common, count: u32, now: Instant, source: Source) {
        self.common = common;
        self.set_count(count, now, source);
        // A stream keeps its control for its life.
        self.clock = self.clock.max(now);
    }

    /// Returns the time of the next event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let sending = self.streams.iter().any(Stream::is_ready).then(|| self.free.max(self.clock));
        let events = self.streams.iter().filter_map(|stream| match &stream.bulk {
            None => Some(stream.starts),
            Some(bulk) => bulk.deadline(),
        });
        events.chain(sending).min()
    }

    /// Does what is due at or before `now`, up to the next segment that is sent, with its time.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(Instant, CrossPacket)> {
        loop {
            let at = self.deadline().filter(|at| *at <= now)?;
            self.clock = self.clock.max(at);
            self.streams.iter_mut().for_each(|stream| stream.work(self.clock, self.common));
            if self.free <= self.clock
                && let Some((index, data)) = self.next_segment()
            {
                let size = data.wire_size();
                let time = u128::from(size) * 8_000_000_000
                    / u128::from(self.common.access.bits_per_second());
                self.free = self.clock.plus_nanos(u64::try_from(time).unwrap_or(u64::MAX).max(1));
                let sender = (index as u32, self.streams[index].given_up);
                return Some((
                    self.clock,
                    CrossPacket { place: 0, size, sender, data: Some(data) },
                ));
            }
        }
    }

    fn next_segment(&mut self) -> Option<(usize, Data)> {
        let count = self.streams.len();
        for index in (self.turn..count).chain(0..self.turn.min(count)) {
            let Some(bulk) = self.streams[index].bulk.as_mut().filter(|bulk| bulk.is_ready())
            else {
                continue;
            };
            if let Some(data) = bulk.poll(self.clock) {
                self.turn = (index + 1) % count;
                return Some((index, data));
            }
        }
        None
    }

    /// Takes in a segment that has crossed the link at `at`; returns the bytes that it added.
    pub(super) fn arrived(&mut self, at: Instant, packet: &CrossPacket) -> u64 {
        self.clock = self.clock.max(at);
        let (index, given_up) = packet.sender;
        let stream = self.streams.get_mut(index as usize);
        let stream = stream.filter(|stream| stream.given_up == given_up);
        match (stream.and_then(|stream| stream.bulk.as_mut()), &packet.data) {
            (Some(bulk), Some(data)) => bulk.arrive(at, data, self.common.back),
            _ => 0,
        }
    }
}

impl Stream {
    fn is_ready(&self) -> bool {
        self.bulk.as_ref().is_some_and(Bulk::is_ready)
    }

    /// Does what is due at `now`.
    fn work(&mut self, now: Instant, common: Common) {
        let Some(bulk) = &mut self.bulk else {
            if self.starts <= now {
                self.bulk = Some(Bulk::new(common.model, now));
            }
            return;
        };
        if bulk.deadline().is_some_and(|due| due <= now) {
            bulk.work(now, common.back);
        }
        if bulk.has_given_up() {
            // Whoever transfers in bulk tries again.
            self.bulk = Some(Bulk::new(common.model, now));
            self.given_up += 1;
        }
    }
}
