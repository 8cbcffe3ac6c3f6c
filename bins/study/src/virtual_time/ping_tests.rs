//! Ping's counts, compared with what the links did to its datagrams.

use super::*;
use jostle_common::ecn::Ecn;
use jostle_common::statistics::{Z_999, proportion_margin};
use jostle_endpoints::protocol::ping::{PingClient, PingClientSettings, PingPace, PingReport};
use jostle_endpoints::protocol::reflector::{Reflector, ReflectorSettings};
use jostle_engine::stage::Reason;

fn ping(
    change: impl FnOnce(&mut PingClientSettings),
    profile: &str,
    seed: u64,
) -> (PingReport, Outcome) {
    let profile = Profile::from_json(profile).unwrap();
    let mut settings = PingClientSettings { tell: false, ..PingClientSettings::new(SERVER, 7) };
    change(&mut settings);
    let mut client = PingClient::new(settings);
    let mut server = Reflector::new(ReflectorSettings::default());
    let outcome = Simulation::new(&mut client, &mut server, &profile, seed, "ping")
        .run(Limits::default(), |_, _| {});
    assert!(outcome.is_finished(), "{outcome:?}");
    let (report, ending) = client.into_parts();
    assert_eq!(ending, Some(Ok(())));
    assert_eq!(report.sent, outcome.up.entered);
    (report, outcome)
}

fn at_an_interval(count: u64) -> impl FnOnce(&mut PingClientSettings) {
    move |settings| {
        settings.pace = PingPace::Interval(Duration::from_millis(1));
        (settings.retries, settings.count) = (0, Some(count));
    }
}

#[test]
fn loss_is_what_both_links_lose_together() {
    const COUNT: u64 = 200_000;
    for (loss, seeds) in [(0.01, 1..4), (0.1, 4..7), (0.4, 7..10)] {
        for seed in seeds {
            let profile = format!(
                r#"{{ "both": [ {{ "rule": "drop", "chance": {loss} }}, {{ "rule": "delay", "time": "20ms", "jitter": "10ms" }} ] }}"#
            );
            let (report, outcome) = ping(at_an_interval(COUNT), &profile, seed);
            assert_eq!((report.sent, report.waiting), (COUNT, 0));
            assert_eq!(
                report.lost(),
                outcome.up.discarded_total() + outcome.down.discarded_total()
            );
            let (expected, found) = (1.0 - (1.0 - loss) * (1.0 - loss), report.loss().unwrap());
            let margin = proportion_margin(expected, COUNT as f64, 0.0, Z_999);
            assert!(
                (found - expected).abs() < margin,
                "{loss}, seed {seed}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn doubled_late_and_damaged_answers_agree_with_the_links() {
    let profile = r#"{ "up": [ { "rule": "duplicate", "chance": "10%" } ],
        "down": [ { "rule": "corrupt", "chance": "5%" }, { "rule": "delay", "time": "30ms", "jitter": "30ms", "reorder": true } ] }"#;
    let (report, outcome) = ping(at_an_interval(50_000), profile, 7);
    assert_eq!(outcome.up.copies + report.sent, outcome.down.delivered, "every copy is answered");
    assert_eq!(report.damaged, outcome.down.corrupted);
    assert_eq!(report.received + report.doubled + report.damaged, outcome.down.delivered);
    // Of a datagram without a copy 5 % are damaged, of one with a copy 0.25 %.
    let expected = 0.9 * 0.05 + 0.1 * 0.0025;
    let margin = proportion_margin(expected, 50_000.0, 0.0, Z_999);
    assert!((report.loss().unwrap() - expected).abs() < margin, "{:?}", report.loss());
    assert!(report.late > 0 && report.late < report.received);
}

#[test]
fn marks_of_both_ways_come_back_and_who_takes_none_loses_as_much() {
    const COUNT: u64 = 20_000;
    let profile = r#"{ "both": [ { "rule": "mark", "chance": "20%" }, { "rule": "delay", "time": "5ms" } ] }"#;
    let run = |ecn| {
        let settings = |settings: &mut PingClientSettings| {
            at_an_interval(COUNT)(settings);
            settings.ecn = ecn;
        };
        ping(settings, profile, 7)
    };
    let expected = COUNT as f64 * (1.0 - 0.8 * 0.8);
    let margin = COUNT as f64 * proportion_margin(0.36, COUNT as f64, 0.0, Z_999);
    for ecn in [Ecn::Ect0, Ecn::Ect1] {
        let (report, outcome) = run(ecn);
        let marked = outcome.up.ecn.marked + outcome.down.ecn.marked;
        assert_eq!((report.received, report.said(Ecn::Ce)), (COUNT, marked));
        assert_eq!((report.said(ecn), report.said(Ecn::NotEct)), (COUNT - marked, 0));
        assert!((marked as f64 - expected).abs() < margin, "{marked} is not {expected}");
    }
    let (report, outcome) = run(Ecn::NotEct);
    let lost = outcome.up.discarded(Reason::Mark) + outcome.down.discarded(Reason::Mark);
    assert_eq!((report.lost(), report.said(Ecn::NotEct)), (lost, COUNT - lost));
    assert!((lost as f64 - expected).abs() < margin, "{lost} is not {expected}");
}

#[test]
fn round_trips_are_those_of_the_links() {
    let profile = r#"{ "up": [ { "rule": "delay", "time": "10ms" } ], "down": [ { "rule": "delay", "time": "30ms" } ] }"#;
    for size in [24, 56, 1400] {
        let (report, outcome) = ping(|settings| settings.size = size, profile, 7);
        let trips = &report.round_trips;
        let forty = Some(Duration::from_millis(40));
        assert_eq!(
            (trips.least(), trips.mean(), trips.most(), trips.percentile(50.0)),
            (forty, forty, forty, forty)
        );
        assert_eq!(
            (trips.deviation(), report.jitter.estimate()),
            (Some(Duration::ZERO), Duration::ZERO)
        );
        assert_eq!((report.requests, report.sent, report.late, report.lost()), (10, 10, 0, 0));
        assert_eq!(outcome.elapsed, Duration::from_millis(400), "as fast as answers come");
    }
}

#[test]
fn jitter_is_the_mean_difference_of_successive_round_trips() {
    // Uniform over ±9 ms one way; the mean difference of two such draws is a third of the width, 6
    // ms. At 100 ms apart none queue.
    let profile = r#"{ "up": [ { "rule": "delay", "time": "20ms", "jitter": "9ms" } ] }"#;
    let estimates: Vec<f64> = (0..60)
        .map(|seed| {
            let settings = |settings: &mut PingClientSettings| {
                settings.pace = PingPace::Interval(Duration::from_millis(100));
                (settings.retries, settings.count) = (0, Some(200));
            };
            ping(settings, profile, seed).0.jitter.estimate().as_secs_f64() * 1e3
        })
        .collect();
    let mean = estimates.iter().sum::<f64>() / estimates.len() as f64;
    assert!((5.5..6.5).contains(&mean), "{mean} ms");
}

#[test]
fn retries_answer_every_request_and_a_flood_keeps_the_window_full() {
    let profile = r#"{ "both": [ { "rule": "drop", "chance": "20%" }, { "rule": "delay", "time": "10ms" } ] }"#;
    let slow = ping(|settings| (settings.count, settings.retries) = (Some(1000), 30), profile, 7);
    let fast = ping(
        |settings| {
            (settings.count, settings.retries) = (Some(1000), 30);
            settings.pace = PingPace::Answers { window: 64 };
        },
        profile,
        7,
    );
    for (report, outcome) in [&slow, &fast] {
        assert_eq!((report.requests, report.answered), (1000, 1000));
        assert_eq!(report.lost(), outcome.up.discarded_total() + outcome.down.discarded_total());
        // An attempt fails with 0.36, so 1000 requests take 1563 attempts, with a standard
        // deviation of 30.
        assert!((1465..1661).contains(&report.sent), "{}", report.sent);
    }
    assert!(slow.1.elapsed > 20 * fast.1.elapsed, "{:?} {:?}", slow.1.elapsed, fast.1.elapsed);
}
