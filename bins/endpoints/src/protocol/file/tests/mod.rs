//! Sender and receiver against each other, over a wire whose every datagram a test may touch.

mod fates;
mod large;
mod room;
mod strangers;

use super::*;
use crate::protocol::cookie::{Cookie, CookieJar};
use crate::protocol::finishing::{Finishing, RestOfDigest, StoredFile};
use crate::protocol::storage::{Folder, Memory, MemoryFile, MemoryFolder, Partial, Source};
use crate::protocol::{CHUNK, Endpoint};
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use jostle_common::units::BitRate;
use proptest::prelude::*;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

const HOP: Duration = Duration::from_millis(1);

fn server() -> SocketAddr {
    "127.0.0.1:9003".parse().unwrap()
}

fn peer() -> SocketAddr {
    "127.0.0.1:5555".parse().unwrap()
}

fn file(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place * 31 % 251) as u8 | 1).collect()
}

fn sender(size: usize) -> UdpFileSender<Memory> {
    UdpFileSender::new(UdpFileSenderSettings::new(server(), 77), Memory::new(file(size)))
}

fn receiver() -> (UdpFileReceiver<MemoryFolder>, MemoryFolder) {
    let folder = MemoryFolder::default();
    (UdpFileReceiver::new(UdpFileReceiverSettings::default(), folder.clone()), folder)
}

/// The cookie that a receiver with the default settings gives.
fn cookie_of(now: Instant, source: SocketAddr) -> Cookie {
    CookieJar::new(UdpFileReceiverSettings::default().secret).cookie(now, source)
}

/// An announcement from a source that has its cookie.
fn announce(now: Instant, source: SocketAddr, transfer: u64, size: u64) -> bytes::Bytes {
    let cookie = Some(cookie_of(now, source));
    ClientControl::Start { transfer, size, digest: None, cookie }.encode()
}

/// Lets the two talk, a millisecond per hop, until both have nothing more to say. `touch` gets each
/// datagram from the sender, and says what arrives of it: now, and later (after the sender's next
/// one).
fn run<F: Folder, S: Source>(
    sender: &mut UdpFileSender<S>,
    receiver: &mut UdpFileReceiver<F>,
    mut touch: impl FnMut(&[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>),
) -> Instant {
    let mut now = Instant::START;
    let mut later = Vec::new();
    for _ in 0..100_000 {
        while let Some(transmit) = sender.poll(now) {
            assert_eq!(transmit.to, server());
            let (arrives, held) = touch(&transmit.payload);
            for datagram in arrives.into_iter().chain(std::mem::replace(&mut later, held)) {
                receiver.handle(now + HOP, peer(), &datagram);
            }
        }
        while let Some(transmit) = receiver.poll(now + HOP) {
            sender.handle(now + HOP + HOP, transmit.to, &[]);
            sender.handle(now + HOP + HOP, server(), &transmit.payload);
        }
        if sender.is_finished() {
            return now;
        }
        now = (now + HOP)
            .max(sender.deadline().into_iter().chain(receiver.deadline()).min().unwrap_or(now));
    }
    panic!("it does not end");
}

fn clean(datagram: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    (vec![datagram.to_vec()], Vec::new())
}

fn number(datagram: &[u8]) -> Option<u32> {
    Copy::decode(datagram).map(|copy| copy.number)
}

#[test]
fn files_of_every_shape_arrive_whole_and_are_reported_so() {
    for size in [0, 1, CHUNK, CHUNK + 1, 10 * CHUNK + 100, 4000 * CHUNK] {
        let (mut sender, (mut receiver, folder)) = (sender(size), receiver());
        run(&mut sender, &mut receiver, clean);
        assert!(matches!(sender.outcome(), Some(Ok(()))), "{size}: {:?}", sender.outcome());
        assert_eq!(folder.finished(), [file(size)], "{size}");
        let chunks = size.div_ceil(CHUNK) as u32;
        let arrival = sender.report().arrival.clone().unwrap();
        assert_eq!(
            arrival.counts,
            ChunkCounts { chunks, intact: chunks, ..ChunkCounts::default() }
        );
        assert_eq!((arrival.cells.len() as u32, arrival.digest), (chunks, Digest::of(&file(size))));
        assert_eq!(sender.report().packets, u64::from(chunks), "data are sent once");
        let received = receiver.next_received().unwrap();
        assert!(received.is_equal() && received.counts() == Some(arrival.counts));
        assert!(
            receiver.next_received().is_none() && receiver.transfers_open() == 0,
            "goodbye was heard"
        );
    }
}

#[test]
fn data_go_at_their_rate() {
    let (mut sender, (mut receiver, _)) = (sender(305 * CHUNK), receiver());
    run(&mut sender, &mut receiver, clean);
    let elapsed = sender.report().arrival.as_ref().unwrap().elapsed.as_secs_f64();
    let expected = 304.0 * DATA_SIZE as f64 * 8.0 / 10e6;
    assert!((expected..expected + 0.006).contains(&elapsed), "{elapsed} s instead of {expected} s");
}

/// What a receiver answers to one datagram.
fn answer<F: Folder>(
    receiver: &mut UdpFileReceiver<F>,
    now: Instant,
    from: SocketAddr,
    datagram: &[u8],
) -> Option<ServerControl> {
    receiver.handle(now, from, datagram);
    let answer = receiver.poll(now)?;
    assert_eq!((answer.to, receiver.poll(now)), (from, None));
    assert!(answer.payload.len() <= 3 * datagram.len());
    Some(ServerControl::decode(&answer.payload).unwrap())
}

#[test]
fn once_ends_when_the_sender_has_its_report() {
    let settings = UdpFileReceiverSettings { once: true, ..UdpFileReceiverSettings::default() };
    let mut receiver = UdpFileReceiver::new(settings, MemoryFolder::default());
    assert!(!receiver.is_finished());
    run(&mut sender(3 * CHUNK), &mut receiver, clean);
    receiver.poll(Instant::from_secs(1));
    assert!(receiver.is_finished());
}

#[test]
fn bare_datagrams_are_appended_until_silence() {
    let folder = MemoryFolder::default();
    let settings = NaiveSettings { size_max: 10_000, ..NaiveSettings::default() };
    let mut receiver = NaiveReceiver::new(settings, folder.clone());
    let other: SocketAddr = "[::1]:6666".parse().unwrap();
    for (millis, from, bytes) in [
        (0, peer(), &b"one "[..]),
        (100, other, b"other"),
        (900, peer(), b""),
        (1900, peer(), b"two"),
    ] {
        receiver.handle(Instant::from_millis(millis), from, bytes);
    }
    assert_eq!(receiver.deadline(), Some(Instant::from_millis(2100)));
    receiver.poll(Instant::from_millis(2100));
    receiver.poll(Instant::from_millis(3900));
    assert_eq!(folder.finished(), [b"other".to_vec(), b"one two".to_vec()]);
    let received = receiver.next_received().unwrap();
    assert_eq!(received.stored.unwrap().1, Digest::of(b"other"));

    for _ in 0..3 {
        receiver.handle(Instant::from_secs(9), peer(), &[7; 4096]);
    }
    receiver.poll(Instant::from_secs(11));
    receiver.next_received();
    assert!(receiver.next_received().unwrap().stored.is_err(), "12288 bytes are over the limit");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_datagrams_make_a_receiver_panic(datagrams in prop::collection::vec((any::<Vec<u8>>(),
        0usize..6, any::<u32>()), 0..40)) {
        let (mut receiver, _) = receiver();
        let mut naive = NaiveReceiver::new(NaiveSettings::default(), MemoryFolder::default());
        for (at, (noise, kind, value)) in (0..).zip(datagrams) {
            let now = Instant::from_millis(at * 10);
            let datagram = match kind {
                0 => announce(now, peer(), 1, u64::from(value) << (value % 30)),
                1 => ClientControl::Done { transfer: 1, page: value, digest: None }.encode(),
                2 => ChunkDatagram { transfer: 1, number: value % 9, chunk: &noise }.encode(),
                3 => ChunkDatagram { transfer: 1, number: value, chunk: &[3; CHUNK] }.encode(),
                4 => crate::protocol::wire::seal(noise),
                _ => noise.into(),
            };
            receiver.handle(now, peer(), &datagram);
            naive.handle(now, peer(), &datagram);
            receiver.poll(now);
            let (arrived, announced) = receiver.progress();
            prop_assert!(arrived <= announced);
        }
    }

    #[test]
    fn no_datagrams_make_a_sender_panic(datagrams in prop::collection::vec((any::<Vec<u8>>(),
        0usize..4, any::<u32>()), 0..40)) {
        let mut sender = sender(3 * CHUNK);
        for (at, (noise, kind, value)) in (0..).zip(datagrams) {
            let now = Instant::from_millis(at * 10);
            sender.poll(now);
            let counts = ChunkCounts { chunks: value % 5, ..ChunkCounts::default() };
            let page = ReportPage { page: value % 2, counts, nanos: 1, digest: Digest::of(b""),
                name: String::new(), map: noise.clone() };
            let datagram = match kind {
                0 => ServerControl::Accept { transfer: 77 }.encode(),
                1 => ServerControl::Report { transfer: 77, page }.encode(),
                2 => crate::protocol::wire::seal(noise),
                _ => noise.into(),
            };
            sender.handle(now, server(), &datagram);
        }
    }
}

#[test]
fn the_default_rate_is_ten_megabits() {
    assert_eq!(Some(UdpFileSenderSettings::RATE), BitRate::new(10_000_000));
}
