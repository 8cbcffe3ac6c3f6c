//! The receiver of files over UDP from any sender: announced as ours are, or bare chunks, as the
//! simplest program sends them.
//!
//! Damage changes bits and no lengths. So what has the length of a control or a data datagram of
//! ours never begins a bare file; what does is a chunk of a usual size from a sender of whom no
//! announced file is known. A source that may be forged begins none: nothing is kept for it.

use super::control::{CLIENT_CONTROL_SIZE, ClientControl};
use super::data::{Copy, DATA_SIZE};
use super::naive::{NaiveReceiver, NaiveSettings};
use super::received::{ReceivedFile, UdpFileReceiverReport, UdpFileReceiverSettings};
use super::receiver::UdpFileReceiver;
use crate::protocol::hint::Hint;
use crate::protocol::storage::Folder;
use crate::protocol::{Endpoint, Transmit, is_loopback};
use jostle_common::time::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// The time behind a chunk that is shorter than the first, the last of its file, in which chunks
/// that it overtook may still come.
const SETTLE: Duration = Duration::from_millis(500);
/// The silence that ends a bare file whose last chunk is not shorter, or was lost.
const IDLE: Duration = Duration::from_secs(2);
/// The chunk sizes of programs that do not take a power of two: round numbers, and what fits a
/// packet on Ethernet with and without an option or two.
const CHUNK_SIZES: [usize; 6] = [1000, 1400, 1448, 1460, 1472, 1500];

/// What programs send behind the last chunk, in letters of either case and with blanks or signs
/// around it; or nothing at all.
const ENDS: [&[u8]; 5] = [b"", b"END", b"EOF", b"FIN", b"DONE"];
/// The longest of these with what is around it.
const END_BYTES_MAX: usize = 16;

/// Receives files into a [`Folder`], whatever sends them.
#[derive(Debug)]
pub struct AnyFileReceiver<F: Folder> {
    announced: UdpFileReceiver<F>,
    bare: NaiveReceiver<F>,
    hint: Option<Hint>,
}

impl<F: Folder + Clone> AnyFileReceiver<F> {
    /// Creates a receiver that stores what it gets in `folder`.
    pub fn new(settings: UdpFileReceiverSettings, folder: F) -> Self {
        let UdpFileReceiverSettings { size_max, transfers_max, once, .. } = settings;
        let naive =
            NaiveSettings { size_max, transfers_max, idle: IDLE, short: Some(SETTLE), once };
        Self {
            bare: NaiveReceiver::new(naive, folder.clone()),
            announced: UdpFileReceiver::new(settings, folder),
            hint: None,
        }
    }
}

impl<F: Folder> AnyFileReceiver<F> {
    /// Returns the next file that has ended, announced ones first.
    pub fn next_received(&mut self) -> Option<ReceivedFile> {
        self.announced.next_received().or_else(|| self.bare.next_received())
    }

    /// Returns the report so far.
    pub fn report(&self) -> UdpFileReceiverReport {
        let (announced, bare) = (*self.announced.report(), self.bare.report());
        UdpFileReceiverReport {
            data: announced.data + bare.data,
            ignored: announced.ignored + bare.ignored,
            stored: announced.stored + bare.stored,
            failed: announced.failed + bare.failed,
            ..announced
        }
    }

    /// Returns true if a datagram is a chunk of a bare file.
    fn is_bare(&self, from: SocketAddr, datagram: &[u8]) -> bool {
        let is_ours = match datagram.len() {
            DATA_SIZE => Copy::decode(datagram).is_some(),
            CLIENT_CONTROL_SIZE => ClientControl::decode(datagram).is_ok(),
            _ => false,
        };
        match self.bare.chunk_size(from) {
            Some(size) => !is_ours && datagram.len() <= size,
            None => {
                is_chunk_size(datagram.len()) && is_loopback(from) && !self.announced.knows(from)
            }
        }
    }

    /// Makes a remark about a datagram that is neither a chunk nor one of ours.
    fn remark(&mut self, from: SocketAddr, datagram: &[u8]) {
        let may_be_ours = [0, CLIENT_CONTROL_SIZE, DATA_SIZE].contains(&datagram.len());
        if may_be_ours || self.announced.knows(from) || self.bare.chunk_size(from).is_some() {
            return;
        }
        self.hint = Some(if is_chunk_size(datagram.len()) {
            Hint::new(
                "takes bare chunks from another machine with --naive only, since the sender may \
                 be forged",
            )
        } else {
            Hint::not_understood(
                datagram,
                "send a file in chunks of 4096 bytes, or start the server with --naive, which \
                 takes bare datagrams of any size",
            )
        });
    }
}

/// Returns true for the sizes in which programs cut files; none is that of a datagram of ours.
fn is_chunk_size(size: usize) -> bool {
    (256..=32_768).contains(&size) && size.is_power_of_two() || CHUNK_SIZES.contains(&size)
}

/// Returns true if a datagram says that a bare file is at its end, and is no part of it.
fn is_end(datagram: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let begin = datagram.iter().position(is_letter).unwrap_or(0);
    let end = datagram.iter().rposition(is_letter).map_or(0, |last| last + 1);
    let word = &datagram[begin..end];
    let around = datagram[..begin].iter().chain(&datagram[end..]);
    datagram.len() <= END_BYTES_MAX
        && around.clone().all(|byte| b" \t\r\n\0_-<>[]#!".contains(byte))
        && ENDS.iter().any(|known| word.eq_ignore_ascii_case(known))
        // Signs alone may be music.
        && (!word.is_empty() || datagram.is_empty())
}

impl<F: Folder> Endpoint for AnyFileReceiver<F> {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.is_bare(from, datagram) {
            return if is_end(datagram) {
                self.bare.handle_end(now, from);
            } else {
                self.bare.handle(now, from, datagram);
            };
        }
        self.remark(from, datagram);
        self.announced.handle(now, from, datagram);
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        self.bare.poll(now);
        self.announced.poll(now)
    }

    fn deadline(&self) -> Option<Instant> {
        self.announced.deadline().into_iter().chain(self.bare.deadline()).min()
    }

    fn is_finished(&self) -> bool {
        self.announced.is_finished() || self.bare.is_finished()
    }

    fn handle_stop(&mut self, now: Instant) {
        self.announced.handle_stop(now);
        self.bare.handle_stop(now);
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.take()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChunkDatagram, ServerControl};
    use super::*;
    use crate::protocol::CHUNK;
    use crate::protocol::cookie::Cookie;
    use crate::protocol::storage::{MemoryFolder, generated};
    use jostle_common::digest::Digest;
    use proptest::prelude::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn peer() -> SocketAddr {
        "127.0.0.1:7777".parse().unwrap()
    }

    fn receiver() -> (AnyFileReceiver<MemoryFolder>, MemoryFolder) {
        let folder = MemoryFolder::default();
        let settings = UdpFileReceiverSettings { size_max: 1 << 20, ..Default::default() };
        (AnyFileReceiver::new(settings, folder.clone()), folder)
    }

    fn announcement(cookie: Option<Cookie>) -> bytes::Bytes {
        let digest = Some(Digest::of(b"hello"));
        ClientControl::Start { transfer: 7, size: 5, digest, cookie }.encode()
    }

    fn start() -> bytes::Bytes {
        announcement(None)
    }

    #[test]
    fn bare_chunks_are_a_file_that_ends_with_a_short_one_or_with_silence() {
        for (size, last, ends) in [
            (10_000, 12, 512),
            (2 * CHUNK, 11, 2011),
            // The last chunk is as long as a control datagram of ours, or a data datagram.
            (CHUNK + CLIENT_CONTROL_SIZE, 11, 511),
        ] {
            let (mut receiver, folder) = receiver();
            let bytes = generated(size);
            for (chunk, millis) in bytes.chunks(CHUNK).zip(10..) {
                receiver.handle(at(millis), peer(), chunk);
                assert_eq!(receiver.poll(at(millis)), None, "nothing is answered");
            }
            assert_eq!(
                (size.div_ceil(CHUNK) as u64 + 9, receiver.deadline()),
                (last, Some(at(ends)))
            );
            receiver.poll(at(ends - 1));
            assert!(folder.finished().is_empty(), "{size}");
            receiver.poll(at(ends));
            assert_eq!(folder.finished(), std::slice::from_ref(&bytes));
            let received = receiver.next_received().unwrap();
            assert_eq!((received.bare, received.counts()), (Some(last - 9), None));
            assert_eq!(received.stored.unwrap().1, Digest::of(&bytes));
            assert_eq!((receiver.report().stored, receiver.report().data), (1, last - 9));
            // The next file of the same sender is another one.
            receiver.handle(at(ends), peer(), &bytes[..CHUNK]);
            receiver.handle_stop(at(ends));
            assert_eq!(folder.finished()[1], bytes[..CHUNK]);
        }
        let (mut large, folder) = receiver();
        let bytes = generated(8192 + DATA_SIZE);
        bytes.chunks(8192).for_each(|chunk| large.handle(at(0), peer(), chunk));
        large.poll(at(500));
        assert_eq!(folder.finished(), [bytes]);
    }

    #[test]
    fn an_overtaken_chunk_still_counts_and_is_stored_as_it_came() {
        let (mut receiver, folder) = receiver();
        let bytes = generated(2 * CHUNK + 9);
        let chunks: Vec<_> = bytes.chunks(CHUNK).collect();
        for (millis, chunk) in [(0, chunks[0]), (1, chunks[2]), (400, chunks[1])] {
            receiver.handle(at(millis), peer(), chunk);
        }
        receiver.poll(at(899));
        assert!(folder.finished().is_empty());
        receiver.poll(at(900));
        assert_eq!(folder.finished(), [[chunks[0], chunks[2], chunks[1]].concat()]);
    }

    #[test]
    fn a_word_or_an_empty_datagram_behind_the_last_chunk_ends_a_file() {
        for end in ["", "END", "eof", "EOF\n", "__END__", "<EOF>", "Done\0"] {
            let (mut receiver, folder) = receiver();
            let bytes = generated(2 * CHUNK);
            for chunk in bytes.chunks(CHUNK).chain([end.as_bytes()]) {
                receiver.handle(at(0), peer(), chunk);
            }
            assert_eq!(receiver.deadline(), Some(at(500)), "{end:?}");
            receiver.poll(at(500));
            assert_eq!(folder.finished(), [bytes], "{end:?}");
            assert_eq!(receiver.next_received().unwrap().bare, Some(2));
        }
        for music in ["E", "ENDS", "the end", "\n", "\0\0", "7END", "-----------END-"] {
            let is_word = is_end(music.as_bytes());
            assert_eq!(is_word, music.starts_with("---"), "{music:?}");
        }
        assert!(!is_end(b"-----------------END"));
    }

    #[test]
    fn only_chunks_of_usual_sizes_begin_a_file_and_the_rest_is_told_of() {
        let (mut receiver, folder) = receiver();
        for size in [1, 5, 255, 399, 400, 401, 1199, 4095, 4097, DATA_SIZE, 5000, 65_000] {
            for _ in 0..20 {
                receiver.handle(at(0), peer(), &generated(size));
            }
            let is_ours = [CLIENT_CONTROL_SIZE, DATA_SIZE].contains(&size);
            let hint = receiver.take_hint().map(|hint| hint.to_string());
            assert_eq!(hint.is_none(), is_ours, "{size}");
            assert!(is_ours || hint.unwrap().contains("--naive"));
        }
        receiver.handle_stop(at(0));
        assert!(folder.finished().is_empty() && receiver.next_received().is_none());
        for size in [256, 512, 1000, 1024, 1400, 1472, 2048, 4096, 8192, 32_768] {
            assert!(is_chunk_size(size), "{size}");
        }
    }

    #[test]
    fn a_sender_of_ours_and_one_elsewhere_begin_no_bare_file() {
        let (mut receiver, folder) = receiver();
        receiver.handle(at(0), peer(), &start());
        let proof = receiver.poll(at(0)).unwrap();
        let Ok(ServerControl::Prove { cookie, .. }) = ServerControl::decode(&proof.payload) else {
            panic!("{proof:?}");
        };
        receiver.handle(at(0), peer(), &announcement(Some(cookie)));
        receiver.handle(at(0), peer(), &[7; CHUNK]);
        let elsewhere = "192.0.2.1:7777".parse().unwrap();
        receiver.handle(at(0), elsewhere, &[7; CHUNK]);
        assert!(receiver.take_hint().unwrap().to_string().contains("another machine"));
        receiver.handle_stop(at(0));
        assert!(folder.finished().is_empty());
        // Of one that sends bare chunks an announcement is understood all the same.
        let other = "127.0.0.1:8888".parse().unwrap();
        receiver.handle(at(0), other, &[7; CHUNK]);
        receiver.handle(at(0), other, &start());
        assert!(receiver.poll(at(0)).is_some());
    }

    proptest! {
        #[test]
        fn damage_begins_no_bare_file(bits in prop::collection::vec(any::<prop::sample::Index>(),
            1..30), is_start: bool) {
            let (mut receiver, folder) = receiver();
            let chunk = ChunkDatagram { transfer: 7, number: 0, chunk: b"hello" }.encode();
            let mut damaged = if is_start { start() } else { chunk }.to_vec();
            for bit in bits {
                let bit = bit.index(damaged.len() * 8);
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
            receiver.handle(at(0), peer(), &damaged);
            receiver.handle_stop(at(0));
            prop_assert!(folder.finished().is_empty() && receiver.take_hint().is_none());
        }
    }
}
