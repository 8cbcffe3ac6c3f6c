//! Something that a person should hear of once, and again only when it has been well in between.

use jostle_common::time::Instant;
use std::time::Duration;

/// The least time from one warning to the next: what comes and goes is told at its pace no more.
const PAUSE: Duration = Duration::from_secs(10);

/// Decides when a warning is due.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    raised: bool,
    /// The time before which nothing is said again.
    quiet_until: Option<Instant>,
    muted: bool,
}

impl Alarm {
    /// Creates one that speaks, or one that never does.
    pub(crate) const fn new(speaks: bool) -> Self {
        Self { raised: false, quiet_until: None, muted: !speaks }
    }

    /// Notes that it is so at `now`. Returns true if that is to be said.
    #[must_use]
    pub(crate) fn raise(&mut self, now: Instant) -> bool {
        let is_news = !std::mem::replace(&mut self.raised, true);
        let speaks = !self.muted && is_news && self.quiet_until.is_none_or(|until| until <= now);
        if speaks {
            self.quiet_until = Some(now + PAUSE);
        }
        speaks
    }

    /// Notes that it is well again.
    pub(crate) const fn clear(&mut self) {
        self.raised = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_until_it_was_well_again_and_not_more_than_every_ten_seconds() {
        let at = Instant::from_secs;
        let mut alarm = Alarm::default();
        assert!(alarm.raise(at(1)));
        assert!(!alarm.raise(at(2)) && !alarm.raise(at(100)), "it is known");
        alarm.clear();
        assert!(alarm.raise(at(101)), "it was well in between");
        alarm.clear();
        assert!(!alarm.raise(at(110)), "that is too soon");
        alarm.clear();
        assert!(alarm.raise(at(111)));
    }
}
