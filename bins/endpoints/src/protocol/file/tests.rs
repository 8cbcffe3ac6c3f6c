//! Sender and receiver against each other, over a wire whose every datagram a test may touch.

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
    let arrived = [&expected[..CHUNK], &expected[2 * CHUNK..9 * CHUNK]].concat();
    assert_eq!(arrival.digest, Digest::of(&arrived), "what is missing is not hashed");
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

    fn finish(self, _: RestOfDigest) -> Finishing {
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

fn chunk(transfer: u64, number: u32) -> bytes::Bytes {
    ChunkDatagram { transfer, number, chunk: &[1; CHUNK] }.encode()
}

#[test]
fn a_silent_sender_leaves_no_file_and_its_place_is_free_again() {
    let settings =
        UdpFileReceiverSettings { transfers_max: 1, ..UdpFileReceiverSettings::default() };
    let folder = MemoryFolder::default();
    let mut receiver = UdpFileReceiver::new(settings, folder.clone());
    let start = |transfer| announce(Instant::START, peer(), transfer, 9000);
    let mut ask = |now, datagram: &[u8]| answer(&mut receiver, now, peer(), datagram);
    let accepted = Some(ServerControl::Accept { transfer: 1 });
    assert_eq!(ask(Instant::START, &start(1)), accepted);
    assert_eq!(ask(Instant::START, &chunk(1, 0)), None);
    assert!(matches!(ask(Instant::START, &start(2)), Some(ServerControl::Refuse { .. })));
    assert_eq!(receiver.report().refused, 1);
    let end = Instant::START + settings.idle;
    assert_eq!(receiver.deadline(), Some(end));
    receiver.poll(end);
    assert_eq!(receiver.next_received().unwrap().stored.unwrap_err(), "the sender went silent");
    assert!(folder.finished().is_empty());
    let started = answer(&mut receiver, end, peer(), &start(2));
    assert_eq!(started, Some(ServerControl::Accept { transfer: 2 }));
}

#[test]
fn nothing_is_kept_for_a_source_without_a_cookie_whatever_it_sends() {
    let (mut receiver, folder) = receiver();
    let other: SocketAddr = "192.0.2.9:5555".parse().unwrap();
    for (transfer, cookie) in (0..300).zip(
        [
            None,
            Some(cookie_of(Instant::START, other)),
            Some(CookieJar::new([1; 32]).cookie(Instant::START, peer())),
        ]
        .into_iter()
        .cycle(),
    ) {
        let start = ClientControl::Start { transfer, size: 4 << 30, digest: None, cookie }.encode();
        let Some(ServerControl::Prove { cookie, .. }) =
            answer(&mut receiver, Instant::START, peer(), &start)
        else {
            panic!("{transfer}")
        };
        assert_eq!(cookie, cookie_of(Instant::START, peer()));
        receiver.handle(Instant::START, peer(), &chunk(transfer, 0));
        let done = ClientControl::Done { transfer, page: 0, digest: None }.encode();
        let refused = answer(&mut receiver, Instant::START, peer(), &done);
        assert!(matches!(refused, Some(ServerControl::Refuse { .. })), "{refused:?}");
        assert_eq!((receiver.transfers_open(), receiver.deadline()), (0, None));
    }
    assert_eq!((receiver.report().unproved, receiver.report().stray), (300, 300));
    assert!(folder.finished().is_empty());
}

#[test]
fn announcements_take_no_places_and_are_bounded() {
    let (mut receiver, _) = receiver();
    let source = |number: u64| SocketAddr::from(([127, 0, 0, 1], 10_000 + (number / 16) as u16));
    for number in 0..5000 {
        let start = announce(Instant::START, source(number), number, 4 << 30);
        let accepted = answer(&mut receiver, Instant::START, source(number), &start);
        assert_eq!(accepted, Some(ServerControl::Accept { transfer: number }));
    }
    assert_eq!((receiver.transfers_open(), receiver.report().forgotten), (1024, 5000 - 1024));
    let mut honest = sender(3 * CHUNK);
    run(&mut honest, &mut receiver, clean);
    assert!(matches!(honest.outcome(), Some(Ok(()))));
}

#[test]
fn one_source_gets_its_share_and_not_all_places() {
    for (sources, is_shared) in [
        // On this machine a source is a socket: a proxy makes all clients local.
        (["127.0.0.1:5000", "127.0.0.1:5001"], false),
        (["192.0.2.1:5000", "192.0.2.1:5001"], true),
        (["192.0.2.1:5000", "192.0.2.2:5000"], false),
    ] {
        let (mut receiver, _) = receiver();
        let [first, second] = sources.map(|source| source.parse().unwrap());
        let mut taken = |from, transfer| {
            let start = announce(Instant::START, from, transfer, 9000);
            let accepted = answer(&mut receiver, Instant::START, from, &start);
            receiver.handle(Instant::START, from, &chunk(transfer, 0));
            matches!(accepted, Some(ServerControl::Accept { .. }))
        };
        let share = UdpFileReceiverSettings::default().per_source_max as u64;
        assert!((0..share).all(|transfer| taken(first, transfer)));
        assert!(!taken(first, share) && taken(first, 0), "a repeat is no second file");
        assert_eq!(taken(second, 0), !is_shared, "{sources:?}");
    }
}

#[test]
fn a_sender_that_has_long_been_silent_yields_and_an_active_one_does_not() {
    let settings =
        UdpFileReceiverSettings { transfers_max: 2, ..UdpFileReceiverSettings::default() };
    let mut receiver = UdpFileReceiver::new(settings, MemoryFolder::default());
    let begin = |receiver: &mut UdpFileReceiver<MemoryFolder>, millis, transfer| {
        let now = Instant::from_millis(millis);
        let accepted = answer(receiver, now, peer(), &announce(now, peer(), transfer, 9000));
        receiver.handle(now, peer(), &chunk(transfer, 0));
        matches!(accepted, Some(ServerControl::Accept { .. }))
    };
    assert!(begin(&mut receiver, 0, 1) && begin(&mut receiver, 500, 2));
    // While all are active the next is refused; when one is silent it is left to ask again.
    assert!(!begin(&mut receiver, 600, 3));
    assert_eq!((receiver.report().refused, receiver.report().waiting), (1, 0));
    assert!(!begin(&mut receiver, 9999, 3));
    assert_eq!((receiver.report().refused, receiver.report().waiting), (1, 1));
    // The older of the two is heard again, so the other yields when it has been silent for 10 s.
    receiver.handle(Instant::from_millis(9999), peer(), &chunk(1, 1));
    assert!(!begin(&mut receiver, 10_499, 3) && begin(&mut receiver, 10_500, 3));
    assert_eq!(receiver.report().yielded, 1);
    let yielded = receiver.next_received().unwrap().stored.unwrap_err();
    assert!(yielded.contains("another needed its place"), "{yielded}");
    assert_eq!(receiver.transfers_open(), 2);
}

#[test]
fn a_file_of_which_nothing_arrives_is_reported_and_not_made() {
    let (mut sender, (mut receiver, folder)) = (sender(10 * CHUNK), receiver());
    run(&mut sender, &mut receiver, |datagram| match number(datagram) {
        Some(_) => (vec![], vec![]),
        None => clean(datagram),
    });
    let arrival = sender.report().arrival.clone().unwrap();
    assert_eq!((arrival.counts.missing, &*arrival.name), (10, ""));
    assert_eq!(receiver.next_received().unwrap().stored.unwrap_err(), "nothing of it arrived");
    assert!(folder.finished().is_empty());
}

#[test]
fn a_far_chunk_alone_costs_no_walk_through_the_hole_before_it() {
    let size = (4u64 << 30) - 5;
    let last = (size / CHUNK as u64) as u32;
    let counted = Sparse(std::rc::Rc::default());
    let settings = UdpFileReceiverSettings::default();
    let mut sparse = UdpFileReceiver::new(settings, counted.clone());
    answer(&mut sparse, Instant::START, peer(), &announce(Instant::START, peer(), 1, size));
    let bytes = vec![7; CHUNK - 5];
    let far = ChunkDatagram { transfer: 1, number: last, chunk: &bytes }.encode();
    sparse.handle(Instant::START, peer(), &far);
    let done = ClientControl::Done { transfer: 1, page: 0, digest: None }.encode();
    sparse.handle(Instant::START, peer(), &done);
    sparse.poll(Instant::from_secs(1));
    let (_, digest) = sparse.next_received().unwrap().stored.unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    assert_eq!(counted.0.get(), (size, bytes.len() as u64), "made so long, read so much");
}

/// A folder for one file that holds its last chunk, and counts its size and what is read of it.
#[derive(Clone, Debug)]
struct Sparse(std::rc::Rc<std::cell::Cell<(u64, u64)>>);

impl Folder for Sparse {
    type File = Self;

    fn create(&mut self) -> io::Result<Self> {
        Ok(self.clone())
    }
}

impl Partial for Sparse {
    fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&mut self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(7);
        self.0.set((self.0.get().0, self.0.get().1 + buffer.len() as u64));
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.set((size, 0));
        Ok(())
    }

    fn finish(mut self, rest: RestOfDigest) -> Finishing {
        let stored = |digest| StoredFile { name: "sparse".to_owned(), digest };
        Finishing::ended(rest.read(&mut self).map(stored))
    }
}

/// A file whose digest nobody knows before it has been read.
#[derive(Debug)]
struct Unread(Memory);

impl Source for Unread {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn a_file_is_announced_before_it_is_read_and_its_digest_follows() {
    for size in [0, 1, 10 * CHUNK + 100] {
        let (mut receiver, folder) = receiver();
        let source = Unread(Memory::new(file(size)));
        let settings = UdpFileSenderSettings::new(server(), 77);
        let mut sender = UdpFileSender::new(settings, source);
        run(&mut sender, &mut receiver, |datagram| {
            if let Ok(ClientControl::Start { digest, .. }) = ClientControl::decode(datagram) {
                assert_eq!(digest.is_some(), size == 0);
            }
            clean(datagram)
        });
        assert_eq!(sender.digest(), Some(Digest::of(&file(size))));
        let received = receiver.next_received().unwrap();
        assert_eq!((received.sent, received.is_equal()), (sender.digest(), true));
        assert_eq!(folder.finished(), [file(size)]);
    }
}

#[test]
fn a_server_that_never_takes_its_own_cookies_is_given_up() {
    let mut sender = sender(1);
    let mut now = Instant::START;
    for number in 0u64..100_000 {
        if let Some(transmit) = sender.poll(now) {
            assert_eq!(transmit.payload.len(), CLIENT_CONTROL_SIZE);
            let cookie = CookieJar::new([0; 32]).cookie(Instant::from_secs(number * 60), peer());
            let prove = ServerControl::Prove { transfer: 77, cookie }.encode();
            now += HOP;
            sender.handle(now, server(), &prove);
        }
        if sender.is_finished() {
            break;
        }
    }
    assert!(matches!(sender.outcome(), Some(Err(UdpFileFailure::Silence { .. }))));
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
