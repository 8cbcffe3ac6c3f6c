//! Holds each packet for a time.
//!
//! When order is kept, the k-th packet in takes the k-th smallest due time. No packet waits longer
//! than the longest drawn delay, and the mean delay is exactly the mean drawn; holding each packet
//! until the one before has gone would raise it.

use super::drawn::{DrawnDelay, Latent};
use super::line::Line;
use super::{Delay, DelaySource, DelayTrace};
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, Tables, of_kind};
use crate::rules::source::{Firsts, Origin};
use crate::stage::{Output, Stage};
use jostle_common::time::{Instant, nanos};
use std::sync::Arc;
use std::time::Duration;

/// A `delay` rule at work.
#[derive(Debug)]
pub(in crate::rules) struct DelayStage {
    origin: Origin,
    delays: Delays,
    line: Line,
    /// No packet to come is due before this: the last due time that was inside when the setting
    /// changed.
    floor: Instant,
    /// The latest due time given so far, which marks wait for.
    latest: Instant,
    /// Set if marks take as long as packets.
    holds_ends: bool,
}

/// The source of a packet's delay.
#[derive(Debug)]
enum Delays {
    /// Each is the same.
    Constant(u64),
    /// Each is drawn on its own, by the packet's number. The mean, which marks take, is next to the
    /// distribution.
    Drawn(DrawnDelay, u64, Firsts),
    /// Drawn by the value of a process that remembers, at the packet's time.
    Remembered(DrawnDelay, u64, Box<Latent>),
    /// Read off a trace.
    Traced(Arc<DelayTrace>),
}

/// The setting of a rule that was removed.
static NONE: Delay = Delay::constant(Duration::ZERO);

impl Delays {
    /// Creates the source of a rule's delays. The distribution was tabulated when the rule was read
    /// or changed, which takes long to do; all its flows share the tables.
    fn new(setting: &Delay, setup: Setup<'_>) -> Self {
        let (drawn, memory) = match &setting.source {
            DelaySource::Trace(trace) => return Self::Traced(Arc::clone(trace)),
            DelaySource::Drawn { memory, .. } => {
                (tabulated(setup.tables).unwrap_or_else(|| DrawnDelay::new(setting)), *memory)
            }
        };
        if drawn.is_constant() {
            return Self::Constant(drawn.at(0));
        }
        let mean = nanos(drawn.mean());
        if memory.is_zero() {
            Self::Drawn(drawn, mean, Firsts::new(setup.origin.source))
        } else {
            Self::Remembered(drawn, mean, Box::new(Latent::new(nanos(memory), setup.origin)))
        }
    }

    const fn are_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// Returns the delay of a packet in nanoseconds.
    #[inline]
    fn of(&mut self, packet: &Packet, origin: Origin) -> u64 {
        match self {
            Self::Constant(delay) => *delay,
            Self::Drawn(drawn, _, firsts) => drawn.at(firsts.of(packet)),
            Self::Remembered(drawn, _, latent) => drawn.at_gaussian(latent.at(packet.at)),
            Self::Traced(trace) => nanos(trace.delay(packet.at.since(origin.epoch))),
        }
    }

    /// Returns the mean in nanoseconds; a trace has none.
    const fn mean(&self) -> Option<u64> {
        match self {
            Self::Constant(mean) | Self::Drawn(_, mean, _) | Self::Remembered(_, mean, _) => {
                Some(*mean)
            }
            Self::Traced(_) => None,
        }
    }

    /// Returns the delay of a mark that comes at `at`: nothing is drawn for it.
    fn of_mark(&self, at: Instant, origin: Origin) -> u64 {
        match self {
            Self::Constant(mean) | Self::Drawn(_, mean, _) | Self::Remembered(_, mean, _) => *mean,
            Self::Traced(trace) => nanos(trace.delay(at.since(origin.epoch))),
        }
    }
}

/// Returns the distribution that was tabulated for the setting. A clone shares its tables.
fn tabulated(tables: &Tables) -> Option<DrawnDelay> {
    tables.as_ref()?.downcast_ref().cloned()
}

/// Gives packets that wait the times of another mean delay: the first one goes now, and without
/// another one all do.
fn move_on(inside: &mut [Packet], now: Instant, before: u64, after: Option<u64>) {
    for (index, packet) in inside.iter_mut().enumerate() {
        let moved = after.filter(|_| index > 0).map_or(now, |after| {
            Instant::from_nanos(packet.at.as_nanos().saturating_sub(before)).plus_nanos(after)
        });
        packet.at = moved.max(now);
    }
}

impl DelayStage {
    pub(super) fn new(setting: &Delay, setup: Setup<'_>) -> Self {
        let delays = Delays::new(setting, setup);
        let line = Line::new(delays.are_constant(), setting.reorder);
        let (floor, latest) = (Instant::START, Instant::START);
        let holds_ends = setting.holds_ends;
        Self { origin: setup.origin, delays, line, floor, latest, holds_ends }
    }
}

impl DelayStage {
    /// Returns the time at which a packet is due to leave that comes now.
    #[inline(always)]
    fn due(&mut self, packet: &Packet) -> Instant {
        if packet.is_mark() {
            return self.due_of_mark(packet.at);
        }
        let delay = match &mut self.delays {
            Delays::Constant(delay) => *delay,
            drawn => drawn.of(packet, self.origin),
        };
        packet.at.plus_nanos(delay)
    }

    fn due_of_mark(&self, at: Instant) -> Instant {
        let delay = if self.holds_ends { self.delays.of_mark(at, self.origin) } else { 0 };
        let due = at.plus_nanos(delay);
        // A mark stays behind everything that came before it, also where packets overtake.
        let may_overtake = self.line.may_overtake() || !self.holds_ends;
        if may_overtake { due.max(self.latest) } else { due }
    }
}

impl HoldingRule for DelayStage {
    /// Changes the setting, or removes the delay: packets inside keep their times, later ones queue
    /// behind. Where ends are not held, as by Toxiproxy, what is inside follows the change.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, setup: Setup<'_>) {
        let is_removed = setting.is_none();
        let setting = of_kind(setting).unwrap_or(&NONE);
        let mut inside = self.line.take();
        let follows = (!self.holds_ends).then(|| self.delays.mean()).flatten();
        // Its time goes on from when it began.
        self.delays = Delays::new(setting, Setup { origin: self.origin, ..setup });
        self.line = Line::new(self.delays.are_constant(), setting.reorder);
        self.holds_ends = setting.holds_ends;
        if let Some(before) = follows {
            let after = if is_removed { None } else { self.delays.mean() };
            move_on(&mut inside, now, before, after);
            self.latest = inside.last().map_or(self.latest, |last| last.at);
        }
        if let Some(last) = inside.last() {
            self.floor = last.at;
        }
        for mut packet in inside {
            let due = packet.at;
            self.line.push(&mut packet, due);
        }
    }

    #[inline(always)]
    fn take(&mut self, packet: &mut Packet) -> Option<Instant> {
        let due = self.due(packet).max(self.floor);
        self.latest = self.latest.max(due);
        self.line.push(packet, due);
        self.line.first_due()
    }

    #[inline(always)]
    fn give(&mut self, now: Instant, next: &mut Option<Instant>) -> Option<Output> {
        self.line.pop(now, next)
    }

    fn takes_run(&mut self, _: &Packet) -> bool {
        // Where ends are not held, a change moves the first packet inside apart from the others.
        self.line.is_constant() && self.holds_ends
    }

    #[cfg(test)]
    fn shares_tables(&self, tables: &Tables) -> bool {
        match (&self.delays, tabulated(tables)) {
            (Delays::Drawn(own, ..) | Delays::Remembered(own, ..), Some(other)) => {
                own.shares_table_with(&other)
            }
            _ => false,
        }
    }
}

impl Stage for DelayStage {
    fn handle(&mut self, mut packet: Packet) {
        self.take(&mut packet);
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        self.give(now, &mut None)
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        self.line.first_due()
    }

    fn held(&self) -> usize {
        self.line.packets()
    }
}
