//! The echo of marks: what a receiver tells its sender of congestion.
//!
//! As RFC 3168 has it, every acknowledgement says so from the first mark on until the sender says
//! that it has answered (CWR). For a sender that answers each mark, they say how many segments came
//! marked (RFC 9768), and one goes at once when that changes (RFC 8257 §3.2).

/// The state of the echo.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Echo {
    /// True if each mark counts.
    accurate: bool,
    /// True while the sender has not answered (ECE).
    congested: bool,
    /// Segments that came marked.
    marked: u64,
    /// True if the last one did.
    last: bool,
}

impl Echo {
    /// Creates the echo for a sender that wants each mark, or the news alone.
    pub(super) fn new(accurate: bool) -> Self {
        Self { accurate, ..Self::default() }
    }

    /// Takes in a segment, which was marked or not, and whose sender has answered the last mark or
    /// not. Returns true if an acknowledgement is due at once.
    pub(super) fn handle(&mut self, marked: bool, answered: bool) -> bool {
        self.congested &= !answered;
        let is_news = marked && !self.congested;
        self.congested |= marked;
        let is_change = std::mem::replace(&mut self.last, marked) != marked;
        self.marked += u64::from(marked);
        if self.accurate { is_change } else { is_news }
    }

    /// Returns true if the sender is to be told of congestion.
    pub(super) const fn is_congested(&self) -> bool {
        self.congested && !self.accurate
    }

    /// Returns the number of segments that came marked, for a sender that wants to know.
    pub(super) const fn marked(&self) -> u64 {
        if self.accurate { self.marked } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_repeated_until_it_is_answered() {
        let mut echo = Echo::new(false);
        assert!(!echo.handle(false, false) && !echo.is_congested());
        assert!(echo.handle(true, false), "the first one is news");
        assert!(!echo.handle(true, false) && !echo.handle(false, false) && echo.is_congested());
        assert!(!echo.handle(false, true) && !echo.is_congested());
        assert!(echo.handle(true, true) && echo.is_congested(), "marked, and answering another");
        assert_eq!(echo.marked(), 0);
    }

    #[test]
    fn an_accurate_echo_counts_and_hurries_at_each_change() {
        let mut echo = Echo::new(true);
        let hurries: Vec<bool> = [false, true, true, false, false, true]
            .map(|marked| echo.handle(marked, false))
            .to_vec();
        assert_eq!(hurries, [false, true, false, true, false, true]);
        assert_eq!((echo.marked(), echo.is_congested()), (3, false));
    }
}
