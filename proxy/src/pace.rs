//! Whether events follow each other so fast that it pays to look for the next one without sleeping.

/// A judgement of the last events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rises by two with each event that came soon, falls by one with each that did not.
    credit: u8,
}

impl Default for Pace {
    fn default() -> Self {
        Self { credit: 1 }
    }
}

impl Pace {
    /// After so many that came late nothing is expected any more.
    const CREDIT_MOST: u8 = 8;

    /// Notes whether an event came soon after the one before it.
    pub(crate) const fn note(&mut self, came_soon: bool) {
        self.credit = match (came_soon, self.credit + 2) {
            (true, more) if more <= Self::CREDIT_MOST => more,
            (true, _) => Self::CREDIT_MOST,
            (false, _) => self.credit.saturating_sub(1),
        };
    }

    /// Returns true if more than a third of the last events came soon: one that is met awake spares
    /// half of what looking for one in vain costs.
    pub(crate) const fn is_brisk(self) -> bool {
        self.credit > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_brisk_while_events_keep_coming_and_lame_soon_after() {
        let mut pace = Pace::default();
        assert!(pace.is_brisk(), "the first is not known to be the last");
        pace.note(false);
        assert!(!pace.is_brisk());
        // One in two comes soon: that pays. One in four does not.
        for turn in 0..100 {
            pace.note(turn % 2 == 0);
            assert!(pace.is_brisk(), "{turn}");
        }
        let brisk = (0..400).filter(|turn| {
            pace.note(turn % 4 == 0);
            pace.is_brisk()
        });
        assert!((50..=250).contains(&brisk.count()));
        for _ in 0..100 {
            pace.note(true);
        }
        let lame = (0..).position(|_| {
            pace.note(false);
            !pace.is_brisk()
        });
        assert_eq!(lame, Some(usize::from(Pace::CREDIT_MOST) - 1));
    }
}
