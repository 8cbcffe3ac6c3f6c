//! The messages that wait for answers, and the rules by which an answer belongs to one of them.
//!
//! - An answer that equals a message belongs to the oldest such message without an intact answer;
//!   when there is none, it is a further copy. So when the same text is sent twice, one lost and
//!   the other doubled, both seem to have come back.
//! - An answer that equals no message is damaged. It belongs to the most similar message of the
//!   same length, if no more than one bit per byte differs (two texts of people differ in more);
//!   else to none. A flipped bit that makes one message into another cannot be seen.
//!
//! It remembers the last 4096 messages, and no more than 16 MiB of them.

use bytes::Bytes;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// The number of messages that are remembered.
const MESSAGES_MAX: usize = 4096;
/// The most bytes of them together.
const BYTES_MAX: usize = 16 << 20;

/// The fate of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EchoFate {
    Nothing,
    Damaged,
    Intact,
}

#[derive(Clone, Debug)]
struct SentMessage {
    at: Instant,
    content: Bytes,
    fate: EchoFate,
}

/// The kind of an answer, and the message that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// The first intact answer to a message that was sent then.
    Intact {
        /// The number of the message, from 1.
        number: u64,
        /// The time at which it was sent.
        sent: Instant,
        /// True if a damaged answer had come before.
        again: bool,
    },
    /// A further answer, intact or damaged.
    Doubled {
        /// The number of the message, from 1.
        number: u64,
    },
    /// The first answer to a message, damaged.
    Damaged {
        /// The number of the message, from 1.
        number: u64,
        /// The number of its bits that are flipped.
        bits: u32,
    },
    /// An answer to no message that is remembered.
    Unknown,
}

/// The messages that were sent.
#[derive(Clone, Debug, Default)]
pub struct EchoLedger {
    messages: VecDeque<SentMessage>,
    /// The number of messages that were forgotten: the first remembered has the next number.
    forgotten: u64,
    bytes: usize,
}

impl EchoLedger {
    /// Notes a message sent at `now`, and returns its number, from 1.
    pub fn sent(&mut self, now: Instant, content: Bytes) -> u64 {
        self.bytes += content.len();
        self.messages.push_back(SentMessage { at: now, content, fate: EchoFate::Nothing });
        while self.messages.len() > MESSAGES_MAX
            || self.bytes > BYTES_MAX && self.messages.len() > 1
        {
            self.bytes -= self.messages.pop_front().map_or(0, |message| message.content.len());
            self.forgotten += 1;
        }
        self.forgotten + self.messages.len() as u64
    }

    /// Returns the messages that are remembered, in order.
    pub fn into_messages(self) -> impl Iterator<Item = Bytes> {
        self.messages.into_iter().map(|message| message.content)
    }

    /// Returns the first message to which nothing came back.
    pub fn first_missing(&self) -> Option<&Bytes> {
        let missing = self.messages.iter().find(|message| message.fate == EchoFate::Nothing);
        missing.map(|message| &message.content)
    }

    /// Returns true if an answer holds a message to which nothing came back, and more.
    pub fn is_wrapped(&self, answer: &[u8]) -> bool {
        self.messages.iter().any(|message| {
            let content = &message.content;
            message.fate == EchoFate::Nothing
                && !content.is_empty()
                && content.len() < answer.len()
                && answer.windows(content.len()).any(|part| part == content)
        })
    }

    /// Finds the message that an answer belongs to, and tells if it is intact.
    pub fn recognise(&mut self, answer: &[u8]) -> Recognised {
        let mut twin = None;
        let equal = (self.forgotten + 1..)
            .zip(&mut self.messages)
            .filter(|(_, sent)| sent.content == answer);
        for (number, message) in equal {
            if message.fate == EchoFate::Intact {
                twin = Some(number);
                continue;
            }
            let again = message.fate == EchoFate::Damaged;
            message.fate = EchoFate::Intact;
            return Recognised::Intact { number, sent: message.at, again };
        }
        match twin {
            Some(number) => Recognised::Doubled { number },
            None => self.recognise_damaged(answer),
        }
    }

    fn recognise_damaged(&mut self, answer: &[u8]) -> Recognised {
        let alike = (self.forgotten + 1..)
            .zip(&mut self.messages)
            .filter(|(_, message)| message.content.len() == answer.len());
        let measured = alike.map(|(number, message)| {
            // Of two that are equally similar, the one that is still missed.
            let rank = (
                differing_bits(&message.content, answer),
                message.fate == EchoFate::Intact,
                number,
            );
            (rank, message)
        });
        match measured.min_by_key(|(rank, _)| *rank) {
            Some(((bits, _, number), message)) if bits as usize <= answer.len() => {
                match message.fate {
                    EchoFate::Nothing => {
                        message.fate = EchoFate::Damaged;
                        Recognised::Damaged { number, bits }
                    }
                    EchoFate::Damaged | EchoFate::Intact => Recognised::Doubled { number },
                }
            }
            _ => Recognised::Unknown,
        }
    }
}

fn differing_bits(one: &[u8], other: &[u8]) -> u32 {
    one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ledger(messages: &[&'static str]) -> EchoLedger {
        let mut ledger = EchoLedger::default();
        for (number, message) in (1..).zip(messages) {
            assert_eq!(
                ledger.sent(Instant::from_secs(number), Bytes::from_static(message.as_bytes())),
                number
            );
        }
        ledger
    }

    const fn intact(number: u64) -> Recognised {
        Recognised::Intact { number, sent: Instant::from_secs(number), again: false }
    }

    #[test]
    fn answers_are_recognised_by_their_content() {
        let mut ledger = ledger(&["hello", "world", "", "hello"]);
        for (answer, expected) in [
            ("world", intact(2)),
            ("world", Recognised::Doubled { number: 2 }),
            ("hello", intact(1)),
            ("hello", intact(4)),
            ("hello", Recognised::Doubled { number: 4 }),
            ("", intact(3)),
            ("", Recognised::Doubled { number: 3 }),
            ("goodbye", Recognised::Unknown),
        ] {
            assert_eq!(ledger.recognise(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn a_damaged_answer_belongs_to_the_most_similar_message_that_is_open() {
        let mut ledger = ledger(&["attack at dawn", "retreat by sea", "attack at noon"]);
        assert_eq!(ledger.recognise(b"attack at noon"), intact(3));
        assert_eq!(ledger.recognise(b"attack!at dawn"), Recognised::Damaged { number: 1, bits: 1 });
        assert_eq!(ledger.recognise(b"Attack!at dawn"), Recognised::Doubled { number: 1 });
        let again = Recognised::Intact { number: 1, sent: Instant::from_secs(1), again: true };
        assert_eq!(ledger.recognise(b"attack at dawn"), again, "the intact copy wins");
        assert_eq!(ledger.recognise(b"something else"), Recognised::Unknown);
        assert_eq!(
            ledger.recognise(b"attack at nooN"),
            Recognised::Doubled { number: 3 },
            "a damaged copy"
        );
        assert_eq!(
            ledger.recognise(b"retreat by se"),
            Recognised::Unknown,
            "damage keeps the length"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut ledger = EchoLedger::default();
        let big = Bytes::from(vec![0; 60_000]);
        for number in 1..=500 {
            assert_eq!(ledger.sent(Instant::START, big.clone()), number);
        }
        assert!(ledger.bytes <= BYTES_MAX && ledger.messages.len() == BYTES_MAX / 60_000);
        for _ in 0..MESSAGES_MAX {
            ledger.sent(Instant::START, Bytes::new());
        }
        assert_eq!((ledger.messages.len(), ledger.bytes, ledger.forgotten), (MESSAGES_MAX, 0, 500));
        assert_eq!(ledger.recognise(&big), Recognised::Unknown);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_damage_of_the_right_message(
            places in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
        ) {
            let mut ledger = EchoLedger::default();
            // Codes in which any two messages differ in many bits.
            let messages: Vec<Vec<u8>> =
                (0..20u8).map(|n| n.wrapping_mul(73).to_be_bytes().repeat(8)).collect();
            for message in &messages {
                ledger.sent(Instant::START, message.clone().into());
            }
            for (number, place) in (1..).zip(places) {
                let mut answer = messages[number as usize - 1].clone();
                let bit = place.index(answer.len() * 8);
                answer[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(ledger.recognise(&answer), Recognised::Damaged { number, bits: 1 });
            }
        }
    }
}
