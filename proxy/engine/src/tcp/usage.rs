//! The use of the congestion window: one that its application does not fill says nothing about the
//! network and must not grow (RFC 7661; the test is Linux's).

/// The part of the window that was used lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    limited: bool,
    /// The most segments that were out in this round.
    out_max: u32,
    /// The offset whose acknowledgement ends the round.
    round_end: u64,
}

impl Usage {
    /// Notes, after sending, how many segments are out, whether the window (and not the
    /// application) stopped the sender, and the offsets of the round.
    pub(super) const fn note(&mut self, out: u32, limited: bool, acknowledged: u64, next: u64) {
        if acknowledged >= self.round_end || limited || (!self.limited && out > self.out_max) {
            self.limited = limited;
            self.out_max = out;
            self.round_end = next;
        }
    }

    /// Returns true if a window of so many segments may grow. In slow start it may grow to twice
    /// what was used.
    pub(super) const fn may_grow(&self, window: u32, in_slow_start: bool) -> bool {
        self.limited || (in_slow_start && window < self.out_max.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut usage = Usage::default();
        usage.note(3, false, 0, 3);
        assert!(!usage.may_grow(10, false) && !usage.may_grow(10, true));
        assert!(usage.may_grow(5, true), "slow start may double what was used");
        usage.note(10, true, 1, 13);
        assert!(usage.may_grow(10, false));
        usage.note(2, false, 5, 15);
        assert!(usage.may_grow(10, false), "the same round");
        usage.note(2, false, 13, 16);
        assert!(!usage.may_grow(10, false));
    }
}
