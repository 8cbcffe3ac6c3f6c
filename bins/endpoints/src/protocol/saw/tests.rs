//! Client and server against each other, datagram by datagram.

use super::client::REFUSALS_MAX;
use super::*;
use crate::protocol::CHUNK;
use crate::protocol::Endpoint;
use crate::protocol::storage::Memory;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use std::time::Duration;

const LOCAL: &str = "127.0.0.1:9001";
const FAR: &str = "192.0.2.1:9001";

fn client(server: &str) -> SawClient<Vec<u8>> {
    SawClient::new(SawClientSettings::new(server.parse().unwrap()), Vec::new())
}

fn file(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place * 31 % 251) as u8).collect()
}

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Exchanges without loss: every request is answered a millisecond later. Returns the time at the
/// end.
fn run(client: &mut SawClient<Vec<u8>>, server: &mut SawServer<Memory>, peer: &str) -> Instant {
    let (mut now, asker) = (Instant::START, peer.parse().unwrap());
    for _ in 0..10_000 {
        let Some(request) = client.poll(now) else { return now };
        now += Duration::from_millis(1);
        server.handle(now, asker, &request.payload);
        while let Some(answer) = server.poll(now) {
            assert_eq!(answer.to, asker);
            client.handle(now, request.to, &answer.payload);
        }
    }
    panic!("the exchange does not end");
}

#[test]
fn files_of_every_shape_arrive_whole() {
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 10 * CHUNK, 10 * CHUNK + 100] {
        let (mut client, mut server) =
            (client(LOCAL), SawServer::new(Memory::new(file(size)), None));
        run(&mut client, &mut server, "127.0.0.1:5555");
        assert!(client.is_finished() && matches!(client.outcome(), Some(Ok(()))), "{size}");
        let (report, received, _) = client.into_parts();
        assert_eq!(received, file(size), "{size}");
        assert_eq!(report.packets, size.div_ceil(CHUNK) as u64, "{size}");
        assert_eq!(report.requests, report.packets.max(1), "{size}");
        assert_eq!(report.round_trips.count(), report.requests);
        assert_eq!((report.retransmissions, report.duplicates, report.damaged), (0, 0, 0));
        assert_eq!(server.report().finished, 1, "three thanks are one client");
    }
}

#[test]
fn a_server_on_another_machine_is_asked_with_padding() {
    let (mut client, mut server) = (client(FAR), SawServer::new(Memory::new(file(9000)), None));
    run(&mut client, &mut server, "198.51.100.7:5555");
    assert!(matches!(client.outcome(), Some(Ok(()))));
    assert_eq!(server.report().too_short, 0);
}

#[test]
fn a_client_behind_a_relay_learns_to_pad() {
    // The client sees a relay on its own machine; the server sees a stranger.
    let (mut client, mut server) = (client(LOCAL), SawServer::new(Memory::new(file(9000)), None));
    run(&mut client, &mut server, "198.51.100.7:5555");
    assert!(matches!(client.outcome(), Some(Ok(()))));
    assert_eq!((server.report().too_short, client.report().retransmissions), (1, 1));
}

/// Returns the times at which unanswered requests go, and the time at which the client gives up.
fn unanswered(settings: SawClientSettings) -> (Vec<Instant>, Instant) {
    let mut client = SawClient::new(settings, Vec::new());
    let mut times = Vec::new();
    let mut now = Instant::START;
    while !client.is_finished() {
        if client.poll(now).is_some() {
            times.push(now);
        }
        now = client.deadline().unwrap_or(now);
    }
    assert!(matches!(client.outcome(), Some(Err(SawFailure::Silence { .. }))));
    assert_eq!(client.report().retransmissions, times.len() as u64 - 1);
    (times, now)
}

#[test]
fn an_unanswered_request_is_repeated_with_backoff_until_patience_ends() {
    let settings = SawClientSettings::new(LOCAL.parse().unwrap());
    let (times, end) = unanswered(settings.clone());
    assert_eq!(times[..5], [at(0), at(50), at(150), at(350), at(550)]);
    assert_eq!((times.len(), end), (500, at(350 + 200 * 497)), "the last one is waited for");
    let brief =
        SawClientSettings { patience: Some(Duration::from_secs(1)), attempts_min: 0, ..settings };
    let (times, end) = unanswered(brief);
    assert_eq!((times.len(), end), (7, at(1000)));
}

#[test]
fn a_late_answer_to_the_first_attempt_is_a_true_sample() {
    let (mut client, mut server) = (client(LOCAL), SawServer::new(Memory::new(file(9000)), None));
    let peer = "127.0.0.1:5555".parse().unwrap();
    let first = client.poll(at(0)).unwrap();
    let second = client.poll(at(50)).unwrap();
    for request in [&first, &second] {
        server.handle(at(60), peer, &request.payload);
    }
    let answers: Vec<_> = std::iter::from_fn(|| server.poll(at(60))).collect();
    client.handle(at(80), first.to, &answers[0].payload);
    assert_eq!(client.report().round_trips.least(), Some(Duration::from_millis(80)));
    client.handle(at(81), first.to, &answers[1].payload);
    assert_eq!((client.report().duplicates, client.report().packets), (1, 1));
}

#[test]
fn damage_strangers_and_nonsense_are_counted_and_ignored() {
    let (mut client, mut server) = (client(LOCAL), SawServer::new(Memory::new(file(9000)), None));
    let request = client.poll(at(0)).unwrap();
    server.handle(at(1), "127.0.0.1:5555".parse().unwrap(), &request.payload);
    let answer = server.poll(at(1)).unwrap().payload;
    let mut damaged = answer.to_vec();
    damaged[100] ^= 4;
    client.handle(at(2), request.to, &damaged);
    client.handle(at(2), "127.0.0.1:6666".parse().unwrap(), &answer);
    client.handle(at(2), request.to, &request.payload);
    client.handle(at(2), request.to, &[]);
    assert_eq!(
        (client.report().damaged, client.report().ignored, client.report().packets),
        (2, 2, 0)
    );
    client.handle(at(2), request.to, &answer);
    assert_eq!(client.report().packets, 1);
}

#[test]
fn a_changed_file_is_noticed() {
    let mut client = client(LOCAL);
    let peer = "127.0.0.1:5555".parse().unwrap();
    for contents in [file(9000), vec![1; 9000]] {
        let request = client.poll(at(0)).unwrap();
        let mut server = SawServer::new(Memory::new(contents), None);
        server.handle(at(0), peer, &request.payload);
        client.handle(at(0), request.to, &server.poll(at(0)).unwrap().payload);
    }
    assert!(matches!(client.outcome(), Some(Err(SawFailure::Changed))));
    assert!(client.is_finished(), "no thanks for that");
}

#[test]
fn a_file_that_is_too_large_is_refused_before_a_byte_is_kept() {
    let digest = Digest::of(b"");
    for size in [SawClientSettings::SIZE_MAX + 1, u64::MAX] {
        let mut client = client(LOCAL);
        let request = client.poll(at(0)).unwrap();
        let data = [0; CHUNK];
        let answer = Answer { number: 0, attempt: 1, size, digest, data: &data };
        client.handle(at(1), request.to, &answer.encode());
        assert!(matches!(client.outcome(), Some(Err(SawFailure::TooLarge { .. }))));
        assert_eq!(client.report().bytes, 0);
    }
}

#[test]
fn a_file_with_another_digest_is_no_success() {
    let mut client = client(LOCAL);
    let request = client.poll(at(0)).unwrap();
    let answer =
        Answer { number: 0, attempt: 1, size: 3, digest: Digest::of(b"abd"), data: b"abc" };
    client.handle(at(1), request.to, &answer.encode());
    assert!(matches!(client.outcome(), Some(Err(SawFailure::Digest { .. }))));
}

#[test]
fn a_refusal_ends_it_at_once_before_the_first_answer_and_later_only_when_repeated() {
    let mut early = client(LOCAL);
    let to = early.poll(at(0)).unwrap().to;
    early.handle_refusal(at(1), to);
    assert!(matches!(early.outcome(), Some(Err(SawFailure::Refused(_)))));

    let mut late = client(LOCAL);
    let mut server = SawServer::new(Memory::new(file(9000)), None);
    let request = late.poll(at(0)).unwrap();
    server.handle(at(1), "127.0.0.1:5555".parse().unwrap(), &request.payload);
    late.handle(at(1), to, &server.poll(at(1)).unwrap().payload);
    for _ in 1..REFUSALS_MAX {
        late.handle_refusal(at(2), to);
    }
    assert!(late.outcome().is_none());
    late.handle_refusal(at(2), to);
    assert!(late.is_finished());
}
