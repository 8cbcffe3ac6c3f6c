//! Reno's congestion avoidance: one segment more per window, half of it after a loss (RFC 5681).

use super::controller::Controller;
use jostle_common::time::Instant;

/// Reno, which keeps no state besides the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reno;

impl Controller for Reno {
    fn growth_interval(&mut self, _: Instant, window: u32, _delivered: u32) -> u32 {
        window
    }

    fn reduced(&mut self, window: u32) -> u32 {
        (window / 2).max(2)
    }
}
