//! Client and session against each other, over streams that lose, damage, double and delay their
//! lines.

use super::session::LINGER;
use super::*;
use crate::protocol::stream::StreamEndpoint;
use crate::protocol::timer::{CAP, FLOOR};
use bytes::Bytes;
use jostle_common::time::Instant;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn client(messages: &[&[u8]]) -> MessagesClient {
    let mut client = MessagesClient::new(MessagesClientSettings::default());
    messages.iter().for_each(|message| client.push(Bytes::copy_from_slice(message)));
    client.close();
    client
}

fn session() -> Session {
    Session::new(Instant::START, None)
}

fn answer(session: &mut Session, now: Instant, bytes: &[u8]) -> String {
    session.handle(now, bytes);
    let replies: Vec<u8> = std::iter::from_fn(|| session.poll(now)).flatten().collect();
    String::from_utf8(replies).unwrap()
}

fn ack(sequence: u64) -> Bytes {
    Reply::new(ReplyVerdict::Ack, sequence).encode()
}

fn nack(sequence: u64) -> Bytes {
    Reply::new(ReplyVerdict::Nack, sequence).encode()
}

/// The fate of a line in the stream.
#[derive(Clone, Debug)]
enum Fate {
    Pass,
    Lose,
    Double,
    /// Flips these bits, counted modulo the line's.
    Flip(Vec<usize>),
}

fn fate() -> impl Strategy<Value = Fate> {
    let flips = prop::collection::vec(any::<usize>(), 1..4).prop_map(Fate::Flip);
    // A newline is 1 of 20 bytes and more: hit on purpose too.
    let newline = (0usize..8).prop_map(|bit| Fate::Flip(vec![usize::MAX - 7 + bit]));
    prop_oneof![3 => Just(Fate::Pass), 2 => Just(Fate::Lose), 1 => Just(Fate::Double), 2 => flips,
        1 => newline]
}

/// One direction: each line meets the next fate, and arrives after the delay, in order and in
/// pieces of `piece` bytes.
struct Way {
    fates: VecDeque<Fate>,
    delay: Duration,
    under_way: VecDeque<(Instant, Bytes)>,
    newlines: u64,
    sent: u64,
}

impl Way {
    fn new(fates: Vec<Fate>, delay: Duration) -> Self {
        Self { fates: fates.into(), delay, under_way: VecDeque::new(), newlines: 0, sent: 0 }
    }

    fn send(&mut self, now: Instant, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.sent += 1;
            let mut line = line.to_vec();
            let copies = match self.fates.pop_front().unwrap_or(Fate::Pass) {
                Fate::Pass => 1,
                Fate::Lose => 0,
                Fate::Double => 2,
                Fate::Flip(bits) => {
                    let count = line.len() * 8;
                    for bit in bits {
                        // The highest numbers mean the newline.
                        let bit = if bit > usize::MAX - 8 {
                            count - (usize::MAX - bit) - 1
                        } else {
                            bit % count
                        };
                        line[bit / 8] ^= 1 << (bit % 8);
                    }
                    1
                }
            };
            (0..copies)
                .for_each(|_| self.under_way.push_back((now + self.delay, line.clone().into())));
        }
    }

    /// Hands over what has arrived by `now`.
    fn deliver(&mut self, now: Instant, piece: usize, to: &mut dyn StreamEndpoint) -> bool {
        let Some((_, line)) = self.under_way.pop_front_if(|(due, _)| *due <= now) else {
            return false;
        };
        self.newlines += line.iter().filter(|byte| **byte == b'\n').count() as u64;
        line.chunks(piece).for_each(|piece| to.handle(now, piece));
        true
    }
}

/// Runs both to the end in virtual time; returns the end.
fn run(
    client: &mut MessagesClient,
    session: &mut Session,
    ways: &mut [Way; 2],
    piece: usize,
) -> Instant {
    let mut now = Instant::START;
    for _ in 0..1_000_000 {
        loop {
            let [up, down] = &mut *ways;
            let mut moved = up.deliver(now, piece, session) | down.deliver(now, piece, client);
            while let Some(bytes) = client.poll(now) {
                up.send(now, &bytes);
                moved = true;
            }
            while let Some(bytes) = session.poll(now) {
                down.send(now, &bytes);
                moved = true;
            }
            // The end of a stream is never lost.
            if session.is_finished() && !client.is_finished() && ways[1].under_way.is_empty() {
                client.handle_end(now);
            }
            if !moved {
                break;
            }
        }
        let arrivals = ways.iter().filter_map(|way| way.under_way.front()).map(|(due, _)| *due);
        let session_due = session.deadline().filter(|_| !client.is_finished());
        let Some(next) = arrivals.chain(client.deadline()).chain(session_due).min() else {
            if client.is_finished() {
                session.handle_end(now);
            }
            return now;
        };
        now = now.max(next);
    }
    panic!("the exchange does not end");
}

fn said(session: &mut Session) -> Vec<Vec<u8>> {
    let messages = session.take_messages();
    assert!(messages.iter().enumerate().all(|(place, message)| message.sequence == place as u64));
    messages.into_iter().map(|message| message.bytes.to_vec()).collect()
}

#[test]
fn messages_of_every_kind_arrive_in_order_over_a_whole_stream() {
    let long = vec![b'x'; MESSAGE_BYTES_MAX];
    let messages: [&[u8]; 7] =
        [b"hello", b"", b" ", b"na\xc3\xafve", b"\xff\x00\r", b"0 c2912e81 hello", &long];
    let (mut client, mut session) = (client(&messages), session());
    let mut ways = [Way::new(vec![], ms(1)), Way::new(vec![], ms(1))];
    run(&mut client, &mut session, &mut ways, 1000);
    assert_eq!(said(&mut session), messages);
    assert_eq!((client.outcome(), session.ended()), (Some(&Ok(())), Some(SessionEnd::Goodbye)));
    let report = client.report();
    assert_eq!((report.acknowledged, report.sent, report.acks, report.resends), (7, 8, 8, 0));
    assert_eq!(report.round_trips.count(), 8);
    assert_eq!(
        *session.report(),
        SessionReport { delivered: 7, goodbyes: 1, acks: 8, ..SessionReport::default() }
    );
}

#[test]
fn a_hand_written_line_gets_its_reply() {
    let mut session = session();
    assert_eq!(answer(&mut session, at(0), b"0 c2912e81 hello\n"), "ACK 0 e5820718\n");
    assert_eq!(
        answer(&mut session, at(0), b"0 c2912e81 hello\n"),
        "ACK 0 e5820718\n",
        "again, delivered once"
    );
    assert_eq!(
        answer(&mut session, at(0), b"0 c2912e80 hello\nhello?\n"),
        "NACK 1 d0370a2c\nNACK 1 d0370a2c\n"
    );
    assert_eq!(answer(&mut session, at(0), &encode(2, b"early")), "NACK 1 d0370a2c\n");
    assert_eq!(answer(&mut session, at(0), &encode(1, b"second")), "ACK 1 9285378e\n");
    assert_eq!(said(&mut session), [&b"hello"[..], b"second"]);
    let report = *session.report();
    assert_eq!((report.delivered, report.doubled, report.damaged, report.early), (2, 1, 2, 1));
    assert_eq!((report.acks, report.nacks, report.lines()), (3, 3, 6));
}

#[test]
fn a_session_that_said_goodbye_repeats_its_ack_and_delivers_nothing_more() {
    let mut session = session();
    assert_eq!(answer(&mut session, at(0), &encode(0, GOODBYE)), "ACK 0 e5820718\n");
    assert_eq!(answer(&mut session, at(900), &encode(0, GOODBYE)), "ACK 0 e5820718\n");
    assert_eq!(answer(&mut session, at(900), &encode(1, b"more")), "NACK 1 d0370a2c\n");
    assert_eq!(session.deadline(), Some(at(900) + LINGER));
    assert!(session.poll(at(2899)).is_none() && !session.is_finished());
    assert!(session.poll(at(2900)).is_none() && session.is_finished());
    assert_eq!(
        (session.ended(), session.report().goodbyes, said(&mut session).len()),
        (Some(SessionEnd::Goodbye), 1, 0)
    );
}

#[test]
fn a_session_without_a_goodbye_ends_with_its_stream_or_with_silence() {
    let mut left = session();
    left.handle(at(0), b"0 c2912e81 hello");
    left.handle_end(at(0));
    assert!(!left.is_finished(), "its answer is to be sent");
    assert_eq!(left.poll(at(0)).unwrap(), ack(0));
    assert!(left.is_finished());
    assert_eq!((left.ended(), said(&mut left).len()), (Some(SessionEnd::Left), 1));

    let mut silent = Session::new(at(10), Some(ms(500)));
    assert_eq!(answer(&mut silent, at(100), b"0 c29"), "");
    assert_eq!(silent.deadline(), Some(at(600)));
    assert!(silent.poll(at(600)).is_none());
    assert_eq!((silent.ended(), silent.is_finished()), (Some(SessionEnd::Silent), true));
}

#[test]
fn before_the_first_reply_copies_are_spread_out_and_patience_ends() {
    let mut client = client(&[b"hello"]);
    let (mut times, mut now) = (Vec::new(), at(0));
    while !client.is_finished() {
        times.extend(client.poll(now).map(|_| now));
        now = client.deadline().unwrap_or(now);
    }
    assert_eq!(times[..7], [0, 50, 150, 350, 750, 1550, 2550].map(at));
    assert_eq!((times.len(), now), (500, at(1550 + 495_000)));
    assert!(matches!(
        client.outcome(),
        Some(Err(MessagesFailure::Silence { sequence: 0, sends: 500, .. }))
    ));
    assert_eq!((client.report().timeouts, client.report().resends), (499, 499));
}

#[test]
fn a_nack_is_answered_at_once_but_not_one_about_an_earlier_copy() {
    let mut client = client(&[b"one", b"two"]);
    client.poll(at(0)).unwrap();
    client.handle(at(20), &ack(0));
    assert_eq!(
        client.take_acknowledged().map(|it| (it.sequence, it.sends, it.elapsed)),
        Some((0, 1, ms(20)))
    );
    assert_eq!(client.poll(at(20)).unwrap(), encode(1, b"two"));
    // The server's number may be the next one, when it has delivered ours and the ACK was lost.
    client.handle(at(40), &nack(2));
    assert_eq!(client.poll(at(40)).unwrap(), encode(1, b"two"));
    client.handle(at(41), &nack(1));
    assert_eq!(client.poll(at(41)), None, "no round trip is that short");
    client.handle(at(42), &nack(0));
    assert_eq!((client.poll(at(42)), client.report().stale), (None, 1));
    client.handle(at(60), &nack(1));
    assert!(client.poll(at(60)).is_some());
    assert_eq!(
        (client.report().nacks, client.report().resends, client.report().timeouts),
        (4, 2, 0)
    );
}

#[test]
fn replies_without_a_checksum_are_believed_until_one_came_with_it() {
    let mut client = client(&[b"one", b"two"]);
    client.poll(at(0)).unwrap();
    client.handle(at(1), b"ACK 0\r\n");
    assert_eq!(client.report().acknowledged, 1);
    client.poll(at(1)).unwrap();
    client.handle(at(2), &nack(1));
    client.handle(at(3), b"ACK 1\n");
    assert_eq!((client.report().acknowledged, client.report().damaged), (1, 1));
    client.handle(at(4), &ack(1));
    assert_eq!(client.report().acknowledged, 2);
}

#[test]
fn nonsense_and_numbers_not_sent_yet_change_nothing() {
    let mut client = client(&[b"one"]);
    client.handle(at(0), &ack(0));
    client.poll(at(0)).unwrap();
    client.handle(at(1), &[&ack(1)[..], &ack(u64::MAX), b"\n", &[b'x'; 3000], b"\n"].concat());
    let report = client.report();
    assert_eq!((report.acknowledged, report.senseless, report.damaged, report.acks), (0, 3, 2, 3));
    client.handle(at(2), &ack(0));
    assert_eq!(client.report().acknowledged, 1);
}

#[test]
fn a_connection_that_ends_leaves_at_most_one_message_in_doubt() {
    let mut idle = MessagesClient::new(MessagesClientSettings::default());
    idle.handle_end(at(0));
    assert_eq!(idle.outcome(), Some(&Err(MessagesFailure::Ended { in_doubt: None })));
    let mut busy = client(&[b"one", b"two"]);
    busy.poll(at(0)).unwrap();
    busy.handle(at(1), &ack(0));
    busy.poll(at(1)).unwrap();
    busy.handle_end(at(2));
    assert_eq!(busy.outcome(), Some(&Err(MessagesFailure::Ended { in_doubt: Some(1) })));
    let mut done = client(&[]);
    done.poll(at(0)).unwrap();
    done.handle_end(at(1));
    assert_eq!((done.outcome(), done.report().goodbye_acknowledged), (Some(&Ok(())), false));
}

#[test]
fn the_goodbye_as_a_message_closes_the_client() {
    let mut client = MessagesClient::new(MessagesClientSettings::default());
    for message in [&b"one"[..], GOODBYE, b"never"] {
        client.push(Bytes::copy_from_slice(message));
    }
    assert!(client.is_closed() && !client.has_room());
    let mut session = session();
    run(&mut client, &mut session, &mut [Way::new(vec![], ms(1)), Way::new(vec![], ms(1))], 7);
    assert_eq!(said(&mut session), [b"one"]);
}

#[test]
fn a_round_trip_longer_than_every_backoff_is_learnt() {
    let messages = vec![&b"hello"[..]; 50];
    let (mut client, mut session) = (client(&messages), session());
    let mut ways = [Way::new(vec![], ms(400)), Way::new(vec![], ms(400))];
    let end = run(&mut client, &mut session, &mut ways, 100);
    assert_eq!(session.report().delivered, 50);
    assert!(client.report().resends < 20, "{:?}", client.report());
    assert!(end < at(51 * 800 + 1000), "{end}");
    assert!(client.timer_timeout() <= CAP && client.timer_timeout() >= ms(800) + FLOOR);
}

/// Returns any short line.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>().prop_filter("no newline", |byte| *byte != b'\n'), 0..12)
}

proptest! {
    #[test]
    fn every_message_is_delivered_once_and_in_order_whatever_happens_to_the_lines(
        messages in prop::collection::vec(message(), 0..12),
        up in prop::collection::vec(fate(), 0..120), down in prop::collection::vec(fate(), 0..120),
        delays in (0u64..200, 0u64..200), piece in 1usize..40,
    ) {
        let borrowed: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let (mut client, mut session) = (client(&borrowed), session());
        let mut ways = [Way::new(up, ms(delays.0)), Way::new(down, ms(delays.1))];
        run(&mut client, &mut session, &mut ways, piece);
        prop_assert_eq!(client.outcome(), Some(&Ok(())));
        prop_assert_eq!(said(&mut session), messages.clone());
        // Nothing disappears, and both ends count what the stream carried.
        let (ours, theirs) = (client.report(), session.report());
        prop_assert_eq!((ours.acknowledged, theirs.delivered), (messages.len() as u64,
            messages.len() as u64));
        prop_assert_eq!(ours.sent, ways[0].sent);
        prop_assert_eq!(ours.sent, ours.acknowledged + 1 + ours.resends);
        // The last line may have lost its newline; a session whose goodbye was answered in vain has
        // gone in the end, and counts no more.
        prop_assert!(theirs.lines() <= ways[0].newlines + 1);
        prop_assert!(theirs.lines() >= ways[0].newlines || !ours.goodbye_acknowledged);
        prop_assert_eq!(theirs.acks + theirs.nacks, theirs.lines());
        prop_assert!(ways[1].sent >= theirs.acks + theirs.nacks - 1);
    }

    #[test]
    fn no_bytes_make_either_end_panic_or_hold_more_than_a_line(
        pieces in prop::collection::vec((prop_oneof![
            prop::collection::vec(any::<u8>(), 0..50),
            (0u64..4).prop_map(|n| ack(n).to_vec()), (0u64..4).prop_map(|n| nack(n).to_vec()),
            (0u64..4).prop_map(|n| encode(n, b"x").to_vec()), (0u64..4).prop_map(|n| encode(n,
                GOODBYE).to_vec()),
        ], 0u64..3000), 0..60),
    ) {
        let (mut client, mut session) = (client(&[b"one", b"two"]), Session::new(at(0),
            Some(ms(5000))));
        let mut now = at(0);
        for (piece, wait) in pieces {
            now += ms(wait);
            for end in [&mut client as &mut dyn StreamEndpoint, &mut session] {
                end.handle(now, &piece);
                while end.poll(now).is_some() {}
                prop_assert!(end.is_finished() || end.deadline().is_none_or(|at| at > now));
            }
        }
        client.handle_end(now);
        session.handle_end(now);
        while session.poll(now).is_some() {}
        prop_assert!(client.is_finished() && session.is_finished());
    }
}

#[test]
fn lines_without_newlines_are_taken_after_a_silence() {
    for (checksum, first) in [("c2912e81", 0), ("907060870", 0), ("532", 0), ("0x214", 1)] {
        let mut session = session();
        let line = format!("{first} {checksum} hello");
        assert_eq!(answer(&mut session, at(0), line.as_bytes()), "");
        assert_eq!((session.poll(at(199)), session.deadline()), (None, Some(at(200))));
        assert_eq!(session.poll(at(200)).unwrap(), ack(first), "{line}");
        assert_eq!(session.deadline(), None);
        // Its newline may come after all, and is no line.
        assert_eq!(answer(&mut session, at(300), b"\r\n"), "");
        assert_eq!(answer(&mut session, at(400), b"TCHAU"), "");
        assert_eq!(session.poll(at(600)).unwrap(), ack(first + 1));
        let (said, report) = (session.take_messages(), session.report());
        assert_eq!((said[0].sequence, &said[0].bytes[..], said.len()), (first, &b"hello"[..], 1));
        assert_eq!((report.delivered, report.goodbyes, report.lines()), (1, 1, 2));
        session.poll(at(600) + LINGER);
        assert_eq!(session.ended(), Some(SessionEnd::Goodbye));
    }
    // Part of a line of ours waits for its rest; what cannot be one is refused.
    let mut cut = session();
    assert_eq!(answer(&mut cut, at(0), b"0 c2912e81 hel"), "");
    assert_eq!((cut.poll(at(200)), cut.deadline()), (None, Some(at(2000))));
    let mut begun = session();
    assert_eq!(answer(&mut begun, at(0), b"0 90706"), "");
    assert_eq!((begun.poll(at(1999)), begun.poll(at(2000))), (None, Some(nack(0))));
    let mut alike = session();
    assert_eq!(answer(&mut alike, at(0), b"0 deadbeef hello"), "");
    assert_eq!((alike.poll(at(1999)), alike.poll(at(2000))), (None, Some(nack(0))));
    assert_eq!(answer(&mut cut, at(900), b"lo\n"), String::from_utf8_lossy(&ack(0)));
    assert_eq!(answer(&mut cut, at(900), b"rubbish"), "");
    assert_eq!(cut.poll(at(5000)), None, "a client of ours sends newlines");
    let mut other = session();
    assert_eq!(answer(&mut other, at(0), b"0 531 hello"), "");
    assert_eq!(other.poll(at(200)).unwrap(), nack(0));
    assert_eq!(answer(&mut other, at(300), b"0 532 hello"), "");
    assert_eq!(other.poll(at(500)).unwrap(), ack(0));
}

#[test]
fn the_first_valid_line_settles_checksum_and_first_number() {
    let other = |session: &Session| match session.dialect() {
        Some((Dialect::Other(checksums), first)) => (checksums.to_string(), first),
        other => panic!("{other:?}"),
    };
    let mut session = session();
    assert_eq!(session.dialect(), None);
    let lines = b"1 907060870 hello\n2 3079807684 world\n1 907060870 hello\n2 552 world\n";
    let replies = answer(&mut session, at(0), lines);
    // The copy may show that the documented reply was not understood.
    let documented = [ack(1), nack(2)].concat();
    assert_eq!(replies, format!("{}ACK\nNACK\n", String::from_utf8_lossy(&documented)));
    assert_eq!(answer(&mut session, at(0), b"2 980881731 world\n"), "ACK\n");
    assert_eq!(other(&session), ("CRC-32 of the message, decimal".to_owned(), 1));
    let report = *session.report();
    assert_eq!((report.delivered, report.doubled, report.damaged), (2, 1, 2));
}

/// Sends messages to a server that answers each line as `reply` says, and falls silent then.
fn talk(client: &mut MessagesClient, mut reply: impl FnMut(&[u8]) -> Bytes) {
    let mut now = at(0);
    while !client.is_finished() {
        if let Some(line) = client.poll(now) {
            now += ms(1);
            client.handle(now, &reply(&line));
        } else {
            now = client.deadline().unwrap_or(now);
        }
    }
}

#[test]
fn servers_that_answer_bare_words_are_understood() {
    for (words, hint) in [
        (["ACK\n", "NACK\n"], None),
        (["ACK", "NACK"], Some("answered 3 bytes without a newline")),
        (["ACK 0\n", "NACK 1\n"], None),
    ] {
        let mut client = client(&[b"one", b"two"]);
        let mut lines = Vec::new();
        talk(&mut client, |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            // The second line is refused once.
            let place = usize::from(lines.len() == 2);
            let number = lines.last().unwrap().split(' ').next().unwrap();
            Bytes::from(words[place].replace(['0', '1'], number))
        });
        assert_eq!(client.outcome(), Some(&Ok(())), "{words:?}");
        let report = client.report();
        assert_eq!((report.acknowledged, report.acks, report.nacks), (2, 3, 1));
        assert_eq!((report.sent, report.damaged, report.timeouts), (4, 0, 0), "{lines:?}");
        assert_eq!(client.take_hint().map(|hint| hint.to_string()).as_deref(), hint);
    }
}

#[test]
fn a_server_that_refuses_everything_or_says_something_else_is_told_of_once() {
    for (reply, told) in [
        ("NACK 0\n", "another checksum"),
        ("NACK", "another checksum"),
        ("what?\n", "\"what?\"; a reply is"),
    ] {
        let mut client = client(&[b"hello"]);
        let (mut lines, mut remarks) = (0, Vec::new());
        let mut now = at(0);
        while lines < 20 {
            if client.poll(now).is_some() {
                lines += 1;
                now += ms(1);
                client.handle(now, reply.as_bytes());
            } else {
                now = client.deadline().unwrap();
            }
            remarks.extend(client.take_hint().map(|hint| hint.to_string()));
        }
        assert_eq!(remarks.len(), 1 + usize::from(!reply.ends_with('\n')), "{remarks:?}");
        assert!(remarks.last().unwrap().contains(told), "{reply:?}: {remarks:?}");
    }
}

#[test]
fn a_client_that_begins_elsewhere_is_told_of() {
    let mut session = session();
    assert_eq!(answer(&mut session, at(0), b"5 532 hello\n"), String::from_utf8_lossy(&nack(0)));
    let hint = session.take_hint().unwrap().to_string();
    assert_eq!(hint, "got message 5 first, and waits for 0 or 1");
    assert_eq!((session.report().early, session.take_hint()), (1, None));
}
