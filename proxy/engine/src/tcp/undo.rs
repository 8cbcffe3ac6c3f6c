//! Undoing a reduction that was no loss's fault: the Eifel detection (RFC 3522) and response (RFC
//! 4015).
//!
//! When the acknowledgement of a segment that was sent again echoes a timestamp from before it was,
//! the first transmission has arrived: the network had reordered or delayed it.

use jostle_common::time::Instant;

/// The values to go back to.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    /// The window before the reduction.
    pub(super) window: u32,
    /// The slow start threshold before the reduction.
    pub(super) threshold: u32,
    /// The time at which the first segment was sent again.
    retransmitted: Option<Instant>,
}

impl Undo {
    /// Creates the undo of a reduction that begins at this window and threshold; a threshold well
    /// below the window would give away what was known to fit.
    pub(super) fn new(window: u32, threshold: u32) -> Self {
        Self { window, threshold: threshold.max(window - window / 4), retransmitted: None }
    }

    /// Notes that a segment was sent again at `now`.
    pub(super) fn handle_retransmission(&mut self, now: Instant) {
        self.retransmitted.get_or_insert(now);
    }

    /// Returns true if an advancing acknowledgement with this timestamp proves that there was no
    /// loss.
    pub(super) fn is_due(&self, echo: Instant) -> bool {
        self.retransmitted.is_some_and(|at| echo < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_from_before_the_retransmission_is_that_of_the_original() {
        let mut undo = Undo::new(100, 20);
        assert_eq!((undo.window, undo.threshold), (100, 75));
        assert!(!undo.is_due(Instant::START), "nothing was sent again");
        undo.handle_retransmission(Instant::from_millis(50));
        undo.handle_retransmission(Instant::from_millis(60));
        assert!(undo.is_due(Instant::from_millis(49)));
        assert!(!undo.is_due(Instant::from_millis(50)));
    }
}
