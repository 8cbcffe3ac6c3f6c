//! A file over a byte stream: the stream is the bare file, and its end is the file's end.
//!
//! When the file is complete and has its name, the receiver answers one line, `NAME SIZE SHA256`. A
//! reset means that the file is incomplete: it stays apart. A connection without a byte is a port
//! probe and leaves nothing.

mod receiver;
mod sender;

pub use receiver::{TcpFileReceived, TcpFileReceiver, TcpFileReceiverSettings};
pub use sender::{TcpFileFailure, TcpFileSender};

use jostle_common::digest::Digest;

/// The bytes that are read or written at once.
const PIECE: usize = 64 << 10;

/// The receiver's line about the file that it stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// The name that the receiver gave the file; not to be printed without escaping.
    pub name: String,
    /// The number of bytes that it stored.
    pub size: u64,
    /// The digest of what it stored, in hex digits.
    pub digest: String,
}

impl StoredLine {
    /// Writes the line of a file that has its name.
    fn encode(name: &str, size: u64, digest: Digest) -> String {
        format!("{name} {size} {digest}\n")
    }

    /// Reads a line with its newline; a name may contain spaces.
    fn decode(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (rest, digest) = line.rsplit_once(' ')?;
        let (name, size) = rest.rsplit_once(' ')?;
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (size, digest) = (size.parse().ok()?, digest.to_ascii_lowercase());
        is_digest.then(|| Self { name: name.to_owned(), size, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::storage::{Memory, MemoryFolder};
    use crate::protocol::stream::StreamEndpoint;
    use jostle_common::time::Instant;
    use std::time::Duration;

    #[test]
    fn an_answer_is_a_name_a_size_and_a_digest() {
        let digest = Digest::of(b"").to_string();
        let line = StoredLine::encode("my song.mp3", 12, Digest::of(b""));
        assert_eq!(line, format!("my song.mp3 12 {digest}\n"));
        assert_eq!(
            StoredLine::decode(line.as_bytes()),
            Some(StoredLine { name: "my song.mp3".to_owned(), size: 12, digest: digest.clone() })
        );
        for wrong in [
            "",
            "\n",
            "x 1\n",
            &format!("x 1 {digest}"),
            &format!("x y {digest}\n"),
            "x 1 abc\n",
            "x 1 \u{fc}\n",
        ] {
            assert_eq!(StoredLine::decode(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(StoredLine::decode(b"\xff 1 2\n"), None);
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_secs(seconds)
    }

    fn receiver(folder: &MemoryFolder, size_max: u64) -> TcpFileReceiver<MemoryFolder> {
        let settings = TcpFileReceiverSettings { size_max, idle: Some(Duration::from_secs(60)) };
        TcpFileReceiver::new(settings, at(0), folder.clone())
    }

    #[test]
    fn a_file_crosses_and_is_answered_when_it_has_its_name() {
        let folder = MemoryFolder::default();
        let content = Memory::generated(200_000);
        let mut sender = TcpFileSender::new(content.clone(), Some(Duration::from_secs(60)));
        let mut receiver = receiver(&folder, 1 << 30);
        while let Some(piece) = sender.poll(at(1)) {
            receiver.handle(at(1), &piece);
        }
        assert!(sender.has_said_all() && !sender.is_finished() && folder.finished().is_empty());
        receiver.handle_end(at(2));
        assert_eq!(folder.finished(), [content.bytes().to_vec()]);
        let answer = receiver.poll(at(2)).unwrap();
        assert!(receiver.is_finished() && !receiver.must_reset());
        assert_eq!(receiver.take_received().unwrap().stored.unwrap().1, content.digest());
        let (head, rest) = answer.split_at(10);
        sender.handle(at(3), head);
        assert!(!sender.is_finished());
        sender.handle(at(3), rest);
        assert_eq!((sender.outcome(), sender.sent()), (Some(&Ok(())), 200_000));
        assert_eq!(sender.stored().unwrap().size, 200_000);
    }

    #[test]
    fn what_is_incomplete_stays_apart_and_a_probe_is_nothing() {
        let folder = MemoryFolder::default();
        let mut broken = receiver(&folder, 1 << 30);
        broken.handle(at(1), b"half");
        broken.handle_break(at(2), "Connection reset by peer");
        let received = broken.take_received().unwrap();
        assert_eq!((received.stored.unwrap_err(), received.size).0, "Connection reset by peer");
        let mut silent = receiver(&folder, 1 << 30);
        silent.handle(at(1), b"half");
        assert_eq!((silent.poll(at(60)), silent.is_finished()), (None, false));
        assert_eq!((silent.poll(at(61)), silent.must_reset()), (None, true));
        assert_eq!(silent.take_received().unwrap().stored.unwrap_err(), "the sender went silent");
        let mut large = receiver(&folder, 4);
        large.handle(at(1), b"music");
        let received = large.take_received().unwrap();
        assert!(received.stored.unwrap_err().contains("--max-size") && large.must_reset());
        let mut probe = receiver(&folder, 1 << 30);
        probe.handle_end(at(1));
        assert!(probe.is_finished() && probe.take_received().is_none() && !probe.must_reset());
        assert!(folder.finished().is_empty());
    }

    #[test]
    fn only_the_right_answer_is_success() {
        let ended = |answer: &[u8]| {
            let mut sender = TcpFileSender::new(Memory::new(&b"music"[..]), None);
            assert_eq!(sender.poll(at(0)).unwrap(), "music");
            sender.handle(at(1), answer);
            sender.handle_end(at(1));
            sender.outcome().unwrap().clone().map_err(|failure| failure.to_string())
        };
        let digest = Digest::of(b"music");
        assert_eq!(ended(format!("x.mp3 5 {digest}\n").as_bytes()), Ok(()));
        assert!(ended(format!("x.mp3 4 {digest}\n").as_bytes()).unwrap_err().contains("else"));
        for silence in [&b""[..], b"sorry\n", b"x.mp3 5"] {
            assert!(ended(silence).unwrap_err().contains("did not say"));
        }
    }

    #[test]
    fn a_sender_says_how_far_it_came() {
        let sender =
            || TcpFileSender::new(Memory::generated(100_000), Some(Duration::from_secs(9)));
        let failed = |mut sender: TcpFileSender<Memory>, reason: &str| {
            sender.handle_break(at(5), reason);
            sender.outcome().unwrap().clone().unwrap_err().to_string()
        };
        let mut early = sender();
        early.poll(at(0));
        assert_eq!(failed(early, "x"), "the connection broke after 65536 bytes: x");
        let mut late = sender();
        while late.poll(at(0)).is_some() {}
        assert_eq!(failed(late, "x"), "no answer from the server: x");
        let mut silent = sender();
        while silent.poll(at(0)).is_some() {}
        assert_eq!((silent.deadline(), silent.poll(at(9))), (Some(at(9)), None));
        let failure = silent.outcome().unwrap().clone().unwrap_err().to_string();
        assert_eq!(failure, "no answer from the server: nothing moved for 9s");
    }
}
