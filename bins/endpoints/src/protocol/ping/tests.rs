//! The client against answers made by hand, in virtual time.

use super::client::REQUESTS_MAX;
use super::*;
use crate::protocol::timer::Timing;
use crate::protocol::{Endpoint, Transmit};
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;

const RUN: u32 = 77;

fn server() -> SocketAddr {
    "127.0.0.1:1234".parse().unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn client(change: impl FnOnce(&mut PingClientSettings)) -> PingClient {
    let mut settings = PingClientSettings::new(server(), RUN);
    change(&mut settings);
    PingClient::new(settings)
}

fn answer(client: &mut PingClient, now: Instant, number: u64, attempt: u32) {
    client.handle(now, server(), &Ping { run: RUN, number, attempt }.encode(56));
}

fn asked(transmit: Option<Transmit>) -> Option<(u64, u32)> {
    transmit.map(|transmit| {
        let ping = Ping::decode(&transmit.payload).unwrap();
        assert_eq!((transmit.to, ping.run), (server(), RUN));
        (ping.number, ping.attempt)
    })
}

/// Polls at each deadline until `end`; returns the attempts and the times at which they went.
fn run(client: &mut PingClient, end: Instant) -> Vec<(u64, u64, u32)> {
    let mut sent = Vec::new();
    while let Some(now) = client.deadline().filter(|due| *due <= end) {
        while let Some((number, attempt)) = asked(client.poll(now)) {
            sent.push((now.as_nanos() / 1_000_000, number, attempt));
        }
    }
    sent
}

#[test]
fn silence_makes_the_timeout_grow_and_ends_in_giving_up() {
    let mut client = client(|settings| settings.count = Some(2));
    let sent = run(&mut client, at(10_000));
    let first = [(0, 1, 1), (50, 1, 2), (150, 1, 3), (350, 1, 4)];
    let second = [(550, 2, 1), (750, 2, 2), (950, 2, 3), (1150, 2, 4)];
    assert_eq!(sent, [first, second].concat(), "50 ms, doubled up to fourfold");
    let silences = std::iter::from_fn(|| client.next_event()).filter(|event| {
        matches!(event, PingEvent::Silence { number: 1, again, attempt,
            .. } if *again == (*attempt < 4))
    });
    assert_eq!(silences.count(), 4);
    let (report, outcome) = client.into_parts();
    assert_eq!(outcome, Some(Err(PingFailure::Silence { server: server(), sent: 8 })));
    assert_eq!((report.requests, report.sent, report.lost(), report.loss()), (2, 8, 8, Some(1.0)));
    assert_eq!(report.elapsed(), ms(1150 + 3000), "stragglers had their time");
}

#[test]
fn late_and_doubled_answers_belong_to_the_datagram_they_answer() {
    let mut client = client(|settings| settings.count = Some(1));
    assert_eq!(run(&mut client, at(60)), [(0, 1, 1), (50, 1, 2)]);
    answer(&mut client, at(70), 1, 1);
    answer(&mut client, at(72), 1, 1);
    assert!(!client.is_finished(), "the second attempt may still be answered");
    answer(&mut client, at(80), 1, 2);
    let report = client.report().clone();
    assert_eq!((report.requests, report.answered, report.sent, report.received), (1, 1, 2, 2));
    assert_eq!((report.late, report.doubled, report.lost(), report.waiting), (1, 1, 0, 0));
    assert_eq!(
        (report.round_trips.most(), report.round_trips.least()),
        (Some(ms(70)), Some(ms(30)))
    );
    assert_eq!(client.poll(at(80)), None);
    assert!(client.is_finished());
    let silence = PingEvent::Silence { number: 1, attempt: 1, timeout: ms(50), again: true };
    let told = |attempt, millis, late, doubled| PingEvent::Answer {
        number: 1,
        attempt,
        round_trip: ms(millis),
        ecn: Ecn::NotEct,
        late,
        doubled,
    };
    let expected =
        [silence, told(1, 70, true, false), told(1, 72, false, true), told(2, 30, false, false)];
    assert!(std::iter::from_fn(|| client.next_event()).eq(expected));
}

#[test]
fn an_answer_that_comes_while_a_retry_is_due_spares_it() {
    let mut client = client(|settings| settings.count = Some(1));
    assert_eq!(asked(client.poll(at(0))), Some((1, 1)));
    answer(&mut client, at(51), 1, 1);
    assert_eq!(asked(client.poll(at(51))), None, "the timeout passed, but the answer was first");
    assert_eq!((client.report().sent, client.report().late), (1, 1));
}

#[test]
fn at_an_interval_requests_go_whatever_is_answered_and_are_not_repeated() {
    let mut client = client(|settings| {
        (settings.pace, settings.retries, settings.count) =
            (PingPace::Interval(ms(10)), 0, Some(100));
    });
    let sent = run(&mut client, at(5_000));
    assert!(sent.iter().copied().eq((0..100).map(|n| (n * 10, n + 1, 1))));
    assert_eq!(client.report().lost(), 100);
}

#[test]
fn a_client_that_slept_catches_up_a_little() {
    let mut client = client(|settings| {
        (settings.pace, settings.retries, settings.count) = (PingPace::Interval(ms(1)), 0, None);
    });
    assert_eq!(asked(client.poll(at(0))), Some((1, 1)));
    let mut burst = 0;
    while client.poll(at(1000)).is_some() {
        burst += 1;
    }
    assert_eq!(burst, 5, "4 ms, and the one that is due now");
}

#[test]
fn a_window_is_kept_full() {
    let mut client = client(|settings| {
        (settings.pace, settings.count) = (PingPace::Answers { window: 3 }, Some(5))
    });
    let numbers = |client: &mut PingClient| -> Vec<u64> {
        std::iter::from_fn(|| asked(client.poll(at(1)))).map(|(number, _)| number).collect()
    };
    assert_eq!(numbers(&mut client), [1, 2, 3]);
    answer(&mut client, at(1), 2, 1);
    assert_eq!(numbers(&mut client), [4]);
    [1, 3, 4].into_iter().for_each(|number| answer(&mut client, at(1), number, 1));
    assert_eq!(numbers(&mut client), [5]);
    answer(&mut client, at(1), 5, 1);
    assert!(numbers(&mut client).is_empty());
    assert!(client.is_finished() && client.report().lost() == 0);
}

#[test]
fn a_deadline_ends_the_run_and_calls_nothing_lost_that_may_still_come() {
    let mut client = client(|settings| {
        (settings.pace, settings.retries) = (PingPace::Interval(ms(40)), 0);
        (settings.count, settings.deadline) = (None, Some(ms(100)));
        settings.timing = Timing::Fixed(ms(50));
    });
    assert_eq!(run(&mut client, at(79)), [(0, 1, 1), (40, 2, 1)]);
    answer(&mut client, at(79), 2, 1);
    assert_eq!(run(&mut client, at(5_000)), [(80, 3, 1)]);
    let (report, outcome) = client.into_parts();
    assert_eq!(outcome, Some(Ok(())));
    assert_eq!((report.sent, report.received, report.lost(), report.waiting), (3, 1, 1, 1));
    assert_eq!((report.loss(), report.elapsed()), (Some(0.5), ms(100)));
}

#[test]
fn a_refusal_ends_it_at_once_before_any_answer_and_after_eight_in_a_row_later() {
    let mut fresh = client(|_| {});
    fresh.poll(at(0));
    fresh.handle_refusal(at(1), "127.0.0.1:9".parse().unwrap());
    assert!(!fresh.is_finished(), "another peer's refusal");
    fresh.handle_refusal(at(1), server());
    assert_eq!(fresh.into_parts().1, Some(Err(PingFailure::Refused(server()))));

    let mut begun = client(|_| {});
    begun.poll(at(0));
    answer(&mut begun, at(1), 1, 1);
    for refusal in 0..8 {
        assert!(!begun.is_finished(), "{refusal}");
        begun.handle_refusal(at(2), server());
    }
    assert!(begun.is_finished());
}

#[test]
fn strangers_and_earlier_runs_are_ignored() {
    let mut client = client(|_| {});
    client.poll(at(0));
    let good = Ping { run: RUN, number: 1, attempt: 1 };
    client.handle(at(1), "127.0.0.1:9".parse().unwrap(), &good.encode(56));
    for wrong in [
        Ping { run: RUN + 1, ..good },
        Ping { number: 0, ..good },
        Ping { number: 2, ..good },
        Ping { number: u64::MAX, ..good },
        Ping { attempt: 0, ..good },
        Ping { attempt: 2, ..good },
        Ping { attempt: u32::MAX, ..good },
    ] {
        client.handle(at(1), server(), &wrong.encode(56));
    }
    assert_eq!((client.report().ignored, client.report().received), (8, 0));
    let mut damaged = good.encode(56).to_vec();
    damaged[30] ^= 1;
    client.handle(at(1), server(), &damaged);
    assert_eq!(
        (client.report().damaged, client.next_event()),
        (1, Some(PingEvent::Damaged { size: 56 }))
    );
}

#[test]
fn what_is_remembered_is_bounded_and_forgotten_answers_are_ignored() {
    let mut client = client(|settings| {
        (settings.pace, settings.count) = (PingPace::Interval(Duration::from_nanos(1)), None);
        (settings.timing, settings.retries) = (Timing::Fixed(ms(1000)), 0);
    });
    for nanos in 0..REQUESTS_MAX as u64 + 10 {
        client.poll(Instant::from_nanos(nanos));
    }
    answer(&mut client, at(1), 10, 1);
    assert_eq!((client.report().ignored, client.report().received), (1, 0));
    answer(&mut client, at(1), 11, 1);
    let report = client.report();
    assert_eq!((report.ignored, report.received), (1, 1));
    assert_eq!(
        (report.lost(), report.waiting),
        (10, REQUESTS_MAX as u64 - 1),
        "the forgotten are lost"
    );
}

proptest! {
    #[test]
    fn every_datagram_is_in_one_account(
        steps in prop::collection::vec((0u64..40, 0u64..6, 0u32..4, 0u8..8), 0..200),
        interval in prop::option::of(1u64..30), window in 1u32..4, retries in 0u32..3,
        count in 1u64..8,
    ) {
        let mut client = client(|settings| {
            settings.pace = interval.map_or(PingPace::Answers { window },
                |interval| PingPace::Interval(ms(interval)));
            (settings.retries, settings.count) = (retries, Some(count));
        });
        let mut now = at(0);
        for (wait, number, attempt, act) in steps {
            now += ms(wait);
            match act {
                0..=3 => while client.poll(now).is_some() {},
                4..=6 => answer(&mut client, now, number, attempt),
                _ => client.handle(now, server(), &[act; 30]),
            }
            let report = client.report();
            prop_assert!(report.received + report.waiting <= report.sent);
            prop_assert!(report.answered <= report.requests && report.late <= report.received);
            prop_assert!(report.requests <= count && report.sent <= count * u64::from(retries + 1));
        }
        run(&mut client, at(1_000_000));
        prop_assert!(client.is_finished());
        prop_assert_eq!((client.report().requests, client.report().waiting), (count, 0));
    }
}
