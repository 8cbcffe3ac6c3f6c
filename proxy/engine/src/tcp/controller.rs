//! The contract of congestion control: how a window grows beyond slow start, and what a loss leaves
//! of it.

use super::hystart::Sight;
use jostle_common::time::Instant;
use std::fmt::Debug;

/// A congestion control. Windows are in segments, and belong to the caller.
pub(super) trait Controller: Debug + Send {
    /// Takes in a sample of the round-trip time; `slow_start` is the window if it is in slow start.
    /// Returns true if slow start ends there.
    fn sample(&mut self, _: Sight, _slow_start: Option<u32>) -> bool {
        false
    }

    /// Returns the number of segments that must be acknowledged for one segment of growth, now that
    /// `delivered` more are.
    fn growth_interval(&mut self, now: Instant, window: u32, delivered: u32) -> u32;

    /// Returns the window after a loss at this one, at least two segments.
    fn reduced(&mut self, window: u32) -> u32;

    /// Takes in that `delivered` segments arrived, of which so many were `marked`, when everything
    /// before `acknowledged` had arrived and everything before `next` had been sent.
    fn acknowledged(&mut self, _acknowledged: u64, _next: u64, _delivered: u32, _marked: u32) {}

    /// Returns the window after marks at this one, at least two segments; those who do not count
    /// them answer as to a loss.
    fn marked(&mut self, window: u32) -> u32 {
        self.reduced(window)
    }

    /// Starts over after a timeout at `now`, when everything up to `next` had been sent.
    fn time_out(&mut self, _now: Instant, _next: u64) {}

    /// Notes that nothing was sent for `idle` nanoseconds before `now`.
    fn pause(&mut self, _now: Instant, _idle: u64) {}
}
