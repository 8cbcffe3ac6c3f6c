//! Sources that nobody knows, and that fall silent.

use super::*;

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
