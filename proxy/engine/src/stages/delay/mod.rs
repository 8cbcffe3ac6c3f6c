//! `delay`: holds each packet for a time, with jitter, in order unless overtaking is asked for.
//!
//! When order is kept, the k-th packet in takes the k-th smallest due time. Nobody is made to wait
//! longer than the longest drawn delay, and the mean delay is exactly the mean drawn; holding each
//! packet until the one before has gone would raise it.

mod calendar;
mod line;

use crate::delay::{DrawnDelay, Latent};
use crate::packet::Packet;
use crate::profile::trace::DelayTrace;
use crate::profile::{self, DelaySource};
use crate::source::Origin;
use crate::stage::{Output, Stage};
use jostle_common::time::{Instant, nanos};
use line::Line;
use std::sync::Arc;
use std::time::Duration;

/// Holds packets for a time.
#[derive(Debug)]
pub(crate) struct Delay {
    origin: Origin,
    delays: Delays,
    line: Line,
    /// No packet to come is due before this: the last due time that was inside when the setting
    /// changed.
    floor: Instant,
    /// The latest due time given so far, which marks wait for.
    latest: Instant,
}

/// Where the delay of a packet comes from.
#[derive(Debug)]
enum Delays {
    /// Each is drawn on its own, by the packet's number. The mean, which marks take, is beside the
    /// distribution.
    Drawn(DrawnDelay, u64),
    /// Drawn by the value of a process that remembers, at the packet's time.
    Remembered(DrawnDelay, u64, Box<Latent>),
    /// Read off a trace.
    Traced(Arc<DelayTrace>),
}

static NONE: profile::Delay = profile::Delay::constant(Duration::ZERO);

impl Delays {
    fn new(setting: &profile::Delay, origin: Origin) -> Self {
        let drawn = || {
            let drawn = DrawnDelay::new(setting);
            let mean = nanos(drawn.mean());
            (drawn, mean)
        };
        match &setting.source {
            DelaySource::Trace(trace) => Self::Traced(Arc::clone(trace)),
            DelaySource::Drawn { memory: Duration::ZERO, .. } => {
                let (drawn, mean) = drawn();
                Self::Drawn(drawn, mean)
            }
            DelaySource::Drawn { memory, .. } => {
                let (drawn, mean) = drawn();
                Self::Remembered(drawn, mean, Box::new(Latent::new(nanos(*memory), origin)))
            }
        }
    }

    /// The same delays for draws of another origin. What was tabulated, which takes long to do, is
    /// shared.
    fn of_origin(&self, setting: &profile::Delay, origin: Origin) -> Self {
        match (self, &setting.source) {
            (Self::Drawn(drawn, mean), _) => Self::Drawn(drawn.clone(), *mean),
            (Self::Remembered(drawn, mean, _), DelaySource::Drawn { memory, .. }) => {
                Self::Remembered(
                    drawn.clone(),
                    *mean,
                    Box::new(Latent::new(nanos(*memory), origin)),
                )
            }
            _ => Self::new(setting, origin),
        }
    }

    const fn are_constant(&self) -> bool {
        match self {
            Self::Drawn(drawn, _) | Self::Remembered(drawn, ..) => drawn.is_constant(),
            Self::Traced(_) => false,
        }
    }

    /// The delay of a packet in nanoseconds.
    #[inline]
    fn of(&mut self, packet: &Packet, origin: Origin) -> u64 {
        match self {
            Self::Drawn(drawn, _) if drawn.is_constant() => drawn.at(0),
            Self::Drawn(drawn, _) => drawn.at(origin.source.draw(packet).first()),
            Self::Remembered(drawn, _, latent) => drawn.at_gaussian(latent.at(packet.at)),
            Self::Traced(trace) => nanos(trace.delay(packet.at.since(origin.epoch))),
        }
    }

    /// The delay of a mark that comes at `at`: nothing is drawn for it.
    fn of_mark(&self, at: Instant, origin: Origin) -> u64 {
        match self {
            Self::Drawn(_, mean) | Self::Remembered(_, mean, _) => *mean,
            Self::Traced(trace) => nanos(trace.delay(at.since(origin.epoch))),
        }
    }
}

impl Delay {
    pub(crate) fn new(setting: &profile::Delay, origin: Origin) -> Self {
        Self::with(Delays::new(setting, origin), setting, origin)
    }

    /// A delay of the same `setting` for another flow.
    pub(crate) fn of_flow(&self, setting: &profile::Delay, origin: Origin) -> Self {
        Self::with(self.delays.of_origin(setting, origin), setting, origin)
    }

    fn with(delays: Delays, setting: &profile::Delay, origin: Origin) -> Self {
        let line = Line::new(delays.are_constant(), setting.reorder);
        Self { origin, delays, line, floor: Instant::START, latest: Instant::START }
    }

    /// Whether both draw by the same table in memory.
    #[cfg(test)]
    pub(crate) fn shares_tables_with(&self, other: &Self) -> bool {
        match (&self.delays, &other.delays) {
            (
                Delays::Drawn(own, _) | Delays::Remembered(own, ..),
                Delays::Drawn(other, _) | Delays::Remembered(other, ..),
            ) => own.shares_table_with(other),
            _ => false,
        }
    }

    /// Changes the setting, or removes the delay: packets inside keep their times, later ones queue
    /// behind.
    pub(crate) fn retune(&mut self, setting: Option<&profile::Delay>) {
        let setting = setting.unwrap_or(&NONE);
        self.take_on(Delays::new(setting, self.origin), setting);
    }

    /// Changes to the `setting` that `model` has, and shares its tables.
    pub(crate) fn retune_like(&mut self, model: &Self, setting: &profile::Delay) {
        self.take_on(model.delays.of_origin(setting, self.origin), setting);
    }

    fn take_on(&mut self, delays: Delays, setting: &profile::Delay) {
        let inside = self.line.take();
        self.delays = delays;
        self.line = Line::new(self.delays.are_constant(), setting.reorder);
        if let Some(last) = inside.last() {
            self.floor = last.at;
        }
        for packet in inside {
            let due = packet.at;
            self.line.push(packet, due);
        }
    }
}

impl Stage for Delay {
    #[inline]
    fn handle(&mut self, packet: Packet) {
        let due = if packet.is_mark() {
            let due = packet.at.plus_nanos(self.delays.of_mark(packet.at, self.origin));
            // A mark stays behind everything that came before it, also where packets overtake.
            if self.line.may_overtake() { due.max(self.latest) } else { due }
        } else {
            packet.at.plus_nanos(self.delays.of(&packet, self.origin))
        };
        let due = due.max(self.floor);
        self.latest = self.latest.max(due);
        self.line.push(packet, due);
    }

    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Output> {
        self.line.pop(now)
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        self.line.first_due()
    }

    fn held(&self) -> usize {
        self.line.len()
    }
}
