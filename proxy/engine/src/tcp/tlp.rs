//! The tail loss probe (RFC 8985 §7): when the last segments of a flight stay unanswered, one more
//! segment asks for an answer, long before the retransmission timeout.

use super::rack::TIMER_SLACK_NANOS;
use super::rtt::MARGIN_MIN;
use jostle_common::time::nanos;

/// Returns the time from the last event to a probe: two round trips, and time for a delayed
/// acknowledgement when a single segment is out.
pub(super) fn timeout(smoothed: u64, out: u32) -> u64 {
    let extra = if out == 1 { nanos(MARGIN_MIN) } else { TIMER_SLACK_NANOS };
    smoothed.saturating_mul(2).saturating_add(extra)
}

/// The probe that is out, if one is: there is one per episode.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    /// The first offset that was never sent when the probe went out, and whether the probe was a
    /// retransmission.
    out: Option<(u64, bool)>,
}

impl Probe {
    /// Returns true if one is out.
    pub(super) const fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// Notes that a probe was sent.
    pub(super) const fn sent(&mut self, next: u64, retransmission: bool) {
        self.out = Some((next, retransmission));
    }

    /// Ends the episode, because recovery took over.
    pub(super) const fn end(&mut self) {
        self.out = None;
    }

    /// Takes in an acknowledgement up to `acknowledged`; `bare` says that it brought nothing at
    /// all. Returns true if the probe turns out to have repaired a loss, which the window has to
    /// answer for.
    pub(super) fn handle_ack(&mut self, acknowledged: u64, bare: bool) -> bool {
        let Some((next, retransmission)) = self.out else { return false };
        if acknowledged < next {
            return false;
        }
        if !retransmission || bare {
            // New data was acknowledged, or both the original and the probe have arrived: nothing
            // was lost.
            self.out = None;
            return false;
        }
        // What was sent after the probe is acknowledged, and no duplicate was reported.
        acknowledged > next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_two_round_trips() {
        assert_eq!(timeout(50_000_000, 2), 102_000_000);
        assert_eq!(timeout(50_000_000, 1), 300_000_000);
    }

    #[test]
    fn a_repaired_loss_is_noticed_when_later_data_is_acknowledged() {
        let mut probe = Probe::default();
        assert!(!probe.handle_ack(1000, false));
        probe.sent(1000, true);
        assert!(!probe.handle_ack(500, false) && probe.is_out());
        assert!(!probe.handle_ack(1000, false) && probe.is_out(), "the repair itself");
        assert!(probe.handle_ack(1001, false));
        probe.end();
        probe.sent(2000, true);
        assert!(!probe.handle_ack(2000, true) && !probe.is_out(), "the original had arrived");
        probe.sent(3000, false);
        assert!(!probe.handle_ack(3000, false) && !probe.is_out(), "new data");
    }
}
