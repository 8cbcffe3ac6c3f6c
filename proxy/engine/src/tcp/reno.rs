//! Reno's congestion avoidance: one segment more per window, half of it after a loss (RFC 5681).

/// The window after a loss: half, at least two segments.
pub(super) fn reduced(window: u32) -> u32 {
    (window / 2).max(2)
}

/// How many segments must be acknowledged for one segment of growth.
pub(super) const fn growth_interval(window: u32) -> u32 {
    window
}
