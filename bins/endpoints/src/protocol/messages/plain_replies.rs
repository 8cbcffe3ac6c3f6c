//! The replies of a server that answers `ACK` or `NACK` and no number: one for each line, in order.

use super::wire::{Reply, ReplyVerdict};
use std::collections::VecDeque;

/// The most lines without a reply that are remembered; behind them bare replies mean nothing.
const UNANSWERED_MAX: usize = 4096;

/// The lines that bare replies may answer.
#[derive(Debug, Default)]
pub(super) struct PlainReplies {
    /// The numbers of the lines that were sent and have no reply, in order.
    unanswered: VecDeque<u64>,
    /// True if replies carry numbers, so that a bare one is a damaged one.
    has_ended: bool,
}

impl PlainReplies {
    /// Returns true if replies may be bare.
    pub(super) const fn is_open(&self) -> bool {
        !self.has_ended
    }

    /// Takes in that a line with this number was sent.
    pub(super) fn sent(&mut self, sequence: u64) {
        if self.has_ended || self.unanswered.len() == UNANSWERED_MAX {
            return self.end();
        }
        self.unanswered.push_back(sequence);
    }

    /// Takes in that a reply with a number came.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        self.unanswered = VecDeque::new();
    }

    /// Returns true if a text is a bare reply to some line.
    pub(super) fn is_reply(&self, text: &[u8]) -> bool {
        verdict(text).is_some() && !self.unanswered.is_empty()
    }

    /// Reads a bare reply, to the first line that has none.
    pub(super) fn read(&mut self, text: &[u8]) -> Option<Reply> {
        let verdict = verdict(text)?;
        let sequence = self.unanswered.pop_front()?;
        Some(Reply { verdict, sequence, is_checked: false })
    }
}

fn verdict(text: &[u8]) -> Option<ReplyVerdict> {
    [ReplyVerdict::Ack, ReplyVerdict::Nack]
        .into_iter()
        .find(|verdict| text.trim_ascii().eq_ignore_ascii_case(verdict.word().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_answer_lines_in_order_until_one_has_a_number() {
        let mut plain = PlainReplies::default();
        assert_eq!(plain.read(b"ACK"), None, "nothing was sent");
        [0, 0, 1].into_iter().for_each(|sequence| plain.sent(sequence));
        let mut read = |text: &[u8]| plain.read(text).map(|reply| (reply.verdict, reply.sequence));
        assert_eq!(read(b"nack "), Some((ReplyVerdict::Nack, 0)));
        assert_eq!((read(b"ACK 0"), read(b"OK")), (None, None));
        assert_eq!(read(b"ACK"), Some((ReplyVerdict::Ack, 0)));
        plain.end();
        assert!(!plain.is_reply(b"ACK") && !plain.is_open());
        plain.sent(2);
        assert_eq!(plain.read(b"ACK"), None);
        let mut many = PlainReplies::default();
        (0..=UNANSWERED_MAX as u64).for_each(|sequence| many.sent(sequence));
        assert!(many.unanswered.is_empty() && !many.is_open());
    }
}
