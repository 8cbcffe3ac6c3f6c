//! Sender and receiver against each other, over a wire whose every datagram a test may touch.

use super::*;
use crate::protocol::storage::{Folder, Memory, MemoryFile, MemoryFolder, Partial};
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

/// Lets the two talk, a millisecond per hop, until both have nothing more to say. `touch` gets each
/// datagram from the sender, and says what arrives of it: now, and later (after the sender's next
/// one).
fn run<F: Folder>(
    sender: &mut UdpFileSender<Memory>,
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

#[test]
fn every_fate_is_told_and_holes_stay_in_place() {
    let (mut sender, (mut receiver, folder)) = (sender(10 * CHUNK), receiver());
    run(&mut sender, &mut receiver, |datagram| {
        let whole = datagram.to_vec();
        let mut damaged = whole.clone();
        damaged.get_mut(1000).into_iter().for_each(|byte| *byte ^= 1);
        match number(datagram) {
            Some(1 | 9) => (vec![], vec![]),
            Some(2) => (vec![damaged], vec![]),
            Some(3) => (vec![damaged.clone(), whole, damaged], vec![]),
            Some(4) => (vec![], vec![whole]),
            Some(6) => (vec![whole.clone()], vec![whole]),
            _ => (vec![whole], vec![]),
        }
    });
    let arrival = sender.report().arrival.clone().unwrap();
    let counts = ChunkCounts {
        chunks: 10,
        intact: 7,
        missing: 2,
        damaged: 1,
        doubled: 3,
        late: 1,
        unknown: 0,
    };
    assert_eq!(arrival.counts, counts);
    let codes: String = arrival.cells.iter().map(|cell| format!("{:x}", cell.code())).collect();
    assert_eq!(codes, "1029519110");
    let mut expected = file(10 * CHUNK);
    expected[CHUNK..2 * CHUNK].fill(0);
    expected[9 * CHUNK..].fill(0);
    // The header of a data datagram has 28 bytes.
    expected[2 * CHUNK + 1000 - 28] ^= 1;
    assert_eq!(folder.finished(), [expected.clone()]);
    assert_eq!(arrival.digest, Digest::of(&expected));
}

#[test]
fn control_datagrams_are_repeated_and_data_are_not() {
    let (mut sender, (mut receiver, folder)) = (sender(20 * CHUNK), receiver());
    let mut controls = 0;
    run(&mut sender, &mut receiver, |datagram| {
        let is_control = datagram.len() < CONTROL_SIZE_MAX;
        controls += u32::from(is_control);
        let lost = is_control && controls % 4 != 0;
        if lost { (vec![], vec![]) } else { clean(datagram) }
    });
    assert_eq!(sender.report().packets, 20);
    assert!(controls >= 8, "{controls}");
    assert_eq!(folder.finished(), [file(20 * CHUNK)]);
}

#[test]
fn a_damaged_datagram_without_a_number_is_known_by_its_sender() {
    let (mut sender, (mut receiver, _)) = (sender(3 * CHUNK), receiver());
    run(&mut sender, &mut receiver, |datagram| {
        let mut datagram = datagram.to_vec();
        if number(&datagram) == Some(1) {
            datagram[5] ^= 1;
            datagram[DATA_SIZE - 5] ^= 1;
        }
        (vec![datagram], vec![])
    });
    let counts = sender.report().arrival.as_ref().unwrap().counts;
    assert_eq!((counts.intact, counts.missing, counts.damaged, counts.unknown), (2, 1, 0, 1));
}

#[test]
fn chunks_that_come_after_the_sender_is_done_still_count() {
    let (mut sender, (mut receiver, folder)) = (sender(3 * CHUNK), receiver());
    run(&mut sender, &mut receiver, |datagram| {
        // The last chunk is overtaken by the datagram that says all is done.
        if number(datagram) == Some(2) {
            (vec![], vec![datagram.to_vec()])
        } else {
            clean(datagram)
        }
    });
    assert_eq!(sender.report().arrival.as_ref().unwrap().counts.intact, 3);
    assert_eq!(folder.finished(), [file(3 * CHUNK)]);
}

#[test]
fn a_server_that_is_not_there_or_silent_is_named() {
    let mut refused = sender(1);
    refused.poll(Instant::START);
    refused.handle_refusal(Instant::START, server());
    assert!(matches!(refused.outcome(), Some(Err(UdpFileFailure::Refused(_)))));

    let mut silent = sender(1);
    let mut now = Instant::START;
    while !silent.is_finished() {
        silent.poll(now);
        now = silent.deadline().unwrap_or(now);
    }
    assert!(matches!(silent.outcome(), Some(Err(UdpFileFailure::Silence { .. }))));
    assert_eq!(now, Instant::START + UdpFileSenderSettings::PATIENCE);
}

#[test]
fn a_file_beyond_the_limit_is_refused_with_the_reason() {
    let settings = UdpFileReceiverSettings { size_max: 100, ..UdpFileReceiverSettings::default() };
    let mut receiver = UdpFileReceiver::new(settings, MemoryFolder::default());
    let mut sender = sender(101);
    run(&mut sender, &mut receiver, clean);
    let Some(Err(UdpFileFailure::Rejected { reason, .. })) = sender.outcome() else { panic!() };
    assert_eq!(reason, "the file has 101 bytes, the server takes 100");
    assert_eq!((sender.report().packets, receiver.report().refused), (0, 1));
}

/// A folder on a disk that is full after so many bytes.
struct Full(u64);

#[derive(Debug)]
struct FullFile(MemoryFile, u64);

impl Folder for Full {
    type File = FullFile;

    fn create(&mut self) -> io::Result<FullFile> {
        Ok(FullFile(MemoryFolder::default().create()?, self.0))
    }
}

impl Partial for FullFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(offset, bytes)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }

    fn finish(self) -> io::Result<String> {
        panic!("a file that could not be stored gets no name")
    }
}

#[test]
fn a_full_disk_is_told_to_the_sender_at_once() {
    let mut receiver =
        UdpFileReceiver::new(UdpFileReceiverSettings::default(), Full(5 * CHUNK as u64));
    let mut sender = sender(100 * CHUNK);
    run(&mut sender, &mut receiver, clean);
    let Some(Err(UdpFileFailure::Rejected { reason, .. })) = sender.outcome() else { panic!() };
    assert!(reason.contains("no storage space"), "{reason}");
    assert!(sender.report().packets < 10);
    assert!(receiver.next_received().unwrap().stored.is_err());
}

#[test]
fn a_silent_sender_leaves_no_file_and_its_place_is_free_again() {
    let settings =
        UdpFileReceiverSettings { transfers_max: 1, ..UdpFileReceiverSettings::default() };
    let folder = MemoryFolder::default();
    let mut receiver = UdpFileReceiver::new(settings, folder.clone());
    let start =
        |transfer| ClientControl::Start { transfer, size: 9000, digest: Digest::of(b"") }.encode();
    receiver.handle(Instant::START, peer(), &start(1));
    receiver.handle(
        Instant::START,
        peer(),
        &ChunkDatagram { transfer: 1, number: 0, chunk: &[1; CHUNK] }.encode(),
    );
    receiver.handle(Instant::START, peer(), &start(2));
    assert_eq!(receiver.report().refused, 1);
    let end = Instant::START + settings.idle;
    assert_eq!(receiver.poll(Instant::START).map(|_| ()), Some(()));
    assert_eq!(receiver.poll(Instant::START).map(|_| ()), Some(()));
    assert_eq!(receiver.deadline(), Some(end));
    receiver.poll(end);
    assert_eq!(receiver.next_received().unwrap().stored.unwrap_err(), "the sender went silent");
    assert!(folder.finished().is_empty());
    receiver.handle(end, peer(), &start(2));
    assert_eq!((receiver.report().refused, receiver.transfers_open()), (1, 1));
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
            let datagram = match kind {
                0 => ClientControl::Start { transfer: 1, size: u64::from(value) << (value % 30),
                    digest: Digest::of(b"") }.encode(),
                1 => ClientControl::Done { transfer: 1, page: value }.encode(),
                2 => ChunkDatagram { transfer: 1, number: value % 9, chunk: &noise }.encode(),
                3 => ChunkDatagram { transfer: 1, number: value, chunk: &[3; CHUNK] }.encode(),
                4 => crate::protocol::wire::seal(noise),
                _ => noise.into(),
            };
            let now = Instant::from_millis(at * 10);
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
