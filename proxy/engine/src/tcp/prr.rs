//! Proportional rate reduction: spreads the reduction of the window over one round trip of recovery
//! (RFC 6937, with the slow start bound of RFC 9937).

/// A reduction under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Reduction {
    /// The window when the loss was found.
    window_before: u32,
    delivered: u32,
    sent: u32,
}

impl Reduction {
    /// Creates a reduction that begins at this window.
    pub(super) const fn new(window_before: u32) -> Self {
        Self { window_before, delivered: 0, sent: 0 }
    }

    /// Notes a segment sent, new or again.
    pub(super) const fn handle_sent(&mut self) {
        self.sent += 1;
    }

    /// Returns the window after `delivered` more segments arrived. `clean` says that the
    /// acknowledgement advanced and found no new loss.
    pub(super) fn window(
        &mut self,
        in_flight: u32,
        threshold: u32,
        delivered: u32,
        clean: bool,
    ) -> Option<u32> {
        if delivered == 0 || self.window_before == 0 {
            return None;
        }
        self.delivered += delivered;
        let may_send = if in_flight > threshold {
            // Segments sent are to segments arrived as the threshold is to the old window.
            let share = u64::from(threshold) * u64::from(self.delivered);
            let sent_by_now = share.div_ceil(u64::from(self.window_before)) as u32;
            sent_by_now.saturating_sub(self.sent)
        } else {
            // Below the threshold the window grows back as in slow start.
            let owed = self.delivered.saturating_sub(self.sent).max(delivered) + u32::from(clean);
            owed.min(threshold - in_flight)
        };
        // The first retransmission always goes.
        let least = u32::from(self.sent == 0);
        Some(in_flight + may_send.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_in_proportion_to_what_arrives() {
        // From 100 to 70: seven segments go for ten that arrive.
        let mut reduction = Reduction::new(100);
        let mut sent = 0;
        let mut in_flight = 99;
        for _ in 0..29 {
            in_flight -= 1;
            let window = reduction.window(in_flight, 70, 1, false).unwrap();
            while in_flight < window {
                in_flight += 1;
                sent += 1;
                reduction.handle_sent();
            }
        }
        assert!((20..=22).contains(&sent), "{sent} for 29");
    }

    #[test]
    fn grows_back_to_the_threshold_as_in_slow_start() {
        let mut reduction = Reduction::new(100);
        assert_eq!(
            reduction.window(20, 70, 5, true),
            Some(26),
            "5 arrived, one more for a clean advance"
        );
        assert_eq!(reduction.window(69, 70, 5, true), Some(70));
    }

    #[test]
    fn the_first_retransmission_always_goes() {
        let mut reduction = Reduction::new(100);
        assert_eq!(reduction.window(99, 2, 1, false), Some(100));
        assert_eq!(reduction.window(99, 2, 0, false), None, "nothing arrived");
    }
}
