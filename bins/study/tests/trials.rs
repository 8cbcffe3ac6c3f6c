//! Trials in virtual time: against formulas, against each other, and against the parts they are
//! made of.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use jostle_common::statistics::{Z_999, proportion_margin};
use jostle_endpoints::protocol::CHUNK_BYTES;
use jostle_engine::link::Link;
use jostle_engine::profile::no_files;
use jostle_engine::route::CongestionControl;
use jostle_engine::tcp::transfer;
use jostle_study::rows::{LinkCounts, Row};
use jostle_study::trial::simulated::{Content, run};
use jostle_study::trial::{ROUTE, Trial};
use proptest::prelude::*;
use std::time::Duration;

fn trial(seed: u64, settings: &[(&str, &str)]) -> Trial {
    let mut trial = Trial { is_virtual: true, repeat: 1, seed, ..Trial::default() };
    for (name, value) in settings {
        trial.set(name, &(*value).into(), &no_files).unwrap();
    }
    trial.check().unwrap();
    trial
}

/// A trial that carries made-up contents of its size.
fn row(seed: u64, settings: &[(&str, &str)]) -> Row {
    let trial = trial(seed, settings);
    run(&trial, &Content::generated(trial.size().bytes() as usize))
}

fn links(row: &Row) -> [&LinkCounts; 2] {
    let proxy = row.proxy.as_ref().unwrap();
    [&proxy.up, &proxy.down]
}

#[test]
fn stop_and_wait_takes_a_round_trip_per_packet_and_a_timeout_per_loss() {
    const PACKETS: u64 = 20_000;
    const ROUND_TRIP: f64 = 0.02;
    const TIMEOUT: f64 = 0.1;
    let content = Content::generated((PACKETS * CHUNK_BYTES) as usize);
    for (percent, seed) in [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0].into_iter().zip(1..) {
        let loss = format!("{percent}%");
        let trial = trial(
            seed,
            &[
                ("protocol", "saw"),
                ("loss", &loss),
                ("delay", "10ms"),
                ("timeout", "fixed:100ms"),
                ("size", "80000KiB"),
                ("limit", "10h"),
            ],
        );
        let row = run(&trial, &content);
        assert_eq!(
            (row.ok, row.intact, row.digest_equal),
            (true, Some(PACKETS), Some(true)),
            "{row:?}"
        );
        // An attempt fails when the request or the answer is lost.
        let p = percent / 100.0;
        let q = 1.0 - (1.0 - p) * (1.0 - p);
        let expected = ROUND_TRIP + TIMEOUT * q / (1.0 - q);
        let ratio = row.seconds.unwrap() / PACKETS as f64 / expected;
        assert!((0.97..1.03).contains(&ratio), "{loss}: {ratio} of {expected} s");
        // So many attempts fail, give or take four deviations of the negative binomial
        // distribution.
        let failures = PACKETS as f64 * q / (1.0 - q);
        let margin = 4.0 * (PACKETS as f64 * q).sqrt() / (1.0 - q);
        let found = row.retransmissions.unwrap() as f64;
        assert!((found - failures).abs() <= margin, "{loss}: {found} is not {failures}");
        assert_eq!(
            row.rtt_ms.map(|rtt| (rtt.min, rtt.max)),
            Some((Some(20.0), Some(20.0))),
            "{loss}"
        );
    }
}

#[test]
fn a_cell_is_the_same_each_time_and_says_nothing_of_the_machine() {
    for protocol in ["saw", "udp", "tcp", "ping", "messages"] {
        let settings = [
            ("protocol", protocol),
            ("loss", "10%"),
            ("corrupt", "5%"),
            ("delay", "10ms"),
            ("jitter", "5ms"),
        ];
        let [first, second, other] = [7, 7, 8].map(|seed| {
            let row = row(seed, &settings);
            assert!(row.ok && row.is_virtual && row.host.is_empty(), "{row:?}");
            serde_json::to_string(&row).unwrap()
        });
        assert_eq!(first, second);
        assert_ne!(first.replace("\"seed\":7", "\"seed\":8"), other, "another seed, other packets");
        let value: serde_json::Value = serde_json::from_str(&first).unwrap();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "protocol loss delay repeat seed virtual ok error seconds goodput_bps \
            digest_equal intact missing damaged doubled late packets \
            retransmissions rtt_ms proxy version corrupt jitter size host";
        assert_eq!(keys, expected.split_whitespace().collect::<Vec<_>>());
        let read: Row = serde_json::from_str(&first).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), first);
    }
}

/// How many of the first `count` packets from the client are lost.
fn lost_of_the_first(count: u64, loss: &str, seed: u64) -> u64 {
    let pings =
        row(seed, &[("protocol", "ping"), ("up-loss", loss), ("count", &count.to_string())]);
    assert_eq!(links(&pings)[0].entered, count);
    pings.missing.unwrap()
}

#[test]
fn what_a_low_rate_loses_a_higher_one_loses_too() {
    for seed in 0..3 {
        let mut before = [0; 4];
        for count in 1..=150 {
            let lost = ["1%", "5%", "20%", "60%"].map(|loss| lost_of_the_first(count, loss, seed));
            // Whether packet `count` is lost, at each rate.
            let is_lost: Vec<u64> =
                lost.iter().zip(before).map(|(now, before)| now - before).collect();
            assert!(
                is_lost.is_sorted() && is_lost.iter().all(|lost| *lost <= 1),
                "{seed}, {count}: {is_lost:?}"
            );
            before = lost;
        }
        assert!(before.is_sorted_by(|low, high| low < high), "{seed}: {before:?}");
    }
}

#[test]
fn every_protocol_meets_the_same_draws() {
    for seed in 0..5 {
        for loss in ["2%", "20%"] {
            for protocol in ["saw", "udp", "tcp", "messages"] {
                let row = row(seed, &[("protocol", protocol), ("up-loss", loss), ("delay", "5ms")]);
                let up = links(&row)[0];
                assert!(up.entered > 15, "{protocol}");
                let expected = lost_of_the_first(up.entered, loss, seed);
                assert_eq!(up.discarded_total(), expected, "{protocol}, {loss}, seed {seed}");
            }
        }
    }
}

#[test]
fn missing_chunks_only_become_more() {
    // Where the announcement is lost and repeated, chunk 1 is not packet 2.
    let seeds = (0..40).filter(|seed| lost_of_the_first(1, "40%", *seed) == 0);
    let mut compared = 0;
    for seed in seeds {
        let rows = ["0%", "1%", "2%", "5%", "10%", "20%", "40%"].map(|loss| {
            row(seed, &[("protocol", "udp"), ("up-loss", loss), ("delay", "5ms"), ("size", "1MiB")])
        });
        let missing = rows.each_ref().map(|row| row.missing.unwrap());
        assert!(missing.is_sorted() && missing[0] == 0 && missing[6] > 60, "{seed}: {missing:?}");
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn a_file_over_tcp_takes_the_time_of_the_model_and_that_of_the_answer() {
    const LIMIT: Duration = Duration::from_secs(3600);
    for (control, name) in [(CongestionControl::Cubic, "cubic"), (CongestionControl::Reno, "reno")]
    {
        for loss in ["0%", "1%", "5%", "20%"] {
            for seed in 0..10 {
                let settings = [
                    ("protocol", "tcp"),
                    ("tcp", name),
                    ("up-loss", loss),
                    ("delay", "15ms"),
                    ("rate", "20Mbit/s"),
                    ("size", "300KiB"),
                ];
                let trial = trial(seed, &settings);
                let row = row(seed, &settings);
                let links = Link::both(&trial.weather().unwrap(), seed, ROUTE);
                let direct = transfer(links, control, 300 << 10, LIMIT);
                let arrived = direct.time.unwrap().as_secs_f64();
                let answered = row.seconds.unwrap() - arrived;
                // A segment with the line takes 15 ms and its time at 20 Mbit/s, behind an
                // acknowledgement or two.
                assert!(
                    (0.015..0.0152).contains(&answered),
                    "{name}, {loss}, seed {seed}: {answered}"
                );
                // What follows are probes for the last acknowledgements.
                let probes = row.retransmissions.unwrap() - direct.counters.retransmissions;
                assert!(probes <= 2, "{name}, {loss}, seed {seed}: {probes}");
                assert_eq!((row.intact, row.digest_equal), (Some(75), Some(true)));
                // Acknowledgements that are under way then add samples; a SYN takes its time at 20
                // Mbit/s, twice.
                let trips = row.rtt_ms.unwrap();
                assert!(
                    trips.samples > direct.round_trips.count() && direct.round_trips.count() > 50
                );
                assert!(
                    (30.0..30.1).contains(&trips.min.unwrap()),
                    "{name}, {loss}, seed {seed}: {trips:?}"
                );
            }
        }
    }
}

#[test]
fn a_large_file_over_tcp_waits_for_room_and_arrives() {
    let row = row(7, &[("protocol", "tcp"), ("delay", "100ms"), ("size", "40MiB")]);
    assert_eq!((row.ok, row.intact), (true, Some(10_240)), "{:?}", row.error);
    assert!(row.seconds.unwrap() > 1.5, "{:?}", row.seconds);
}

#[test]
fn a_file_over_a_raw_stream_loses_what_the_stream_loses() {
    let whole = row(7, &[("protocol", "tcp"), ("tcp", "raw"), ("delay", "5ms")]);
    assert_eq!(
        (whole.ok, whole.digest_equal, whole.retransmissions),
        (true, Some(true), None),
        "{whole:?}"
    );
    for seed in 0..5 {
        let torn =
            row(seed, &[("protocol", "tcp"), ("tcp", "raw"), ("up-loss", "5%"), ("size", "1MiB")]);
        let error = torn.error.unwrap();
        assert_eq!((torn.ok, torn.digest_equal), (false, Some(false)));
        assert_eq!(error, "the server stored something else than was sent");
        assert!(
            torn.missing.unwrap() > 0 && torn.damaged.unwrap() > 0,
            "what follows a hole is out of place"
        );
        let silent = row(seed, &[("protocol", "tcp"), ("tcp", "raw"), ("down-loss", "100%")]);
        assert_eq!(silent.error.unwrap(), "the server did not say that it stored the file");
        assert_eq!((silent.intact, silent.digest_equal), (Some(16), Some(true)));
    }
}

#[test]
fn ping_loses_what_both_ways_lose_and_what_comes_back_damaged() {
    const COUNT: f64 = 20_000.0;
    for (loss, corrupt, seed) in [(0.01, 0.0, 1), (0.1, 0.0, 2), (0.3, 0.05, 3)] {
        let (share, damage) = (loss.to_string(), corrupt.to_string());
        let row = row(
            seed,
            &[
                ("protocol", "ping"),
                ("loss", &share),
                ("down-corrupt", &damage),
                ("delay", "10ms"),
                ("count", "20000"),
            ],
        );
        let (up, both) = (1.0 - loss, (1.0 - loss) * (1.0 - loss));
        let expected = [both * (1.0 - corrupt), 1.0 - up + up * loss, both * corrupt];
        for (found, expected) in [row.intact, row.missing, row.damaged].into_iter().zip(expected) {
            let found = found.unwrap() as f64 / COUNT;
            let margin = proportion_margin(expected, COUNT, 0.0, Z_999);
            assert!(
                (found - expected).abs() <= margin,
                "{loss}, {corrupt}: {found} is not {expected}"
            );
        }
        let answered = row.rtt_ms.unwrap();
        assert_eq!((Some(answered.samples), answered.max), (row.intact, Some(20.0)));
    }
}

#[test]
fn messages_are_delivered_once_and_in_order_whatever_carries_them() {
    for seed in 0..5 {
        for tcp in ["raw", "cubic", "reno"] {
            let settings = [
                ("protocol", "messages"),
                ("tcp", tcp),
                ("loss", "15%"),
                ("corrupt", "10%"),
                ("delay", "10ms"),
            ];
            let few = row(seed, &settings);
            assert_eq!(
                (few.ok, few.intact, few.missing, few.damaged),
                (true, Some(100), Some(0), Some(0))
            );
            let sent_again = few.retransmissions.unwrap();
            assert!(sent_again > if tcp == "raw" { 50 } else { 0 }, "{tcp}: {sent_again}");
            // A model loses no byte of what was sent, so whatever is sent again comes double.
            let doubled = few.doubled.unwrap();
            assert!(
                doubled > 0 && doubled <= sent_again && (tcp == "raw" || doubled == sent_again),
                "{few:?}"
            );
        }
        let many = row(
            seed,
            &[("protocol", "messages"), ("count", "3000"), ("delay", "1ms"), ("size", "10KiB")],
        );
        assert_eq!((many.intact, many.retransmissions), (Some(3000), Some(0)));
        // A round trip each, and one for the goodbye.
        assert_eq!(many.seconds, Some(3001.0 * 0.002));
        assert_eq!(many.goodput_bps, Some((3000.0 * 10_240.0 * 8.0 / 6.002f64).round() as u64));
    }
}

#[test]
fn what_cannot_end_is_ended() {
    // Stop-and-wait and datagrams go on until the limit; a handshake is given up as by Linux.
    let in_time = "not done after 1h";
    let given_up = [
        ("saw", "cubic", 3600.0, in_time),
        ("udp", "cubic", 3600.0, in_time),
        ("tcp", "cubic", 131.0, "the connection broke after "),
        ("tcp", "reno", 131.0, "the connection broke after "),
        ("messages", "cubic", 131.0, "the connection ended before every message"),
    ];
    for (protocol, tcp, seconds, error) in given_up {
        for seed in [1, 7] {
            let parameters =
                [("protocol", protocol), ("tcp", tcp), ("loss", "100%"), ("delay", "1ms")];
            let row = row(seed, &parameters);
            let text = row.error.as_deref().unwrap_or_default();
            assert!(!row.ok && text.starts_with(error), "{protocol}, {tcp}: {text}");
            assert_eq!(
                (row.seconds, row.intact, row.goodput_bps),
                (Some(seconds), Some(0), Some(0))
            );
            assert_eq!((row.digest_equal, row.damaged), (None, Some(0)), "{protocol}, {tcp}");
        }
    }
    let pings = row(7, &[("protocol", "ping"), ("loss", "100%"), ("limit", "500ms")]);
    assert_eq!((pings.error.as_deref(), pings.missing), (Some("not done after 500ms"), Some(100)));
    let endless = row(7, &[("protocol", "saw"), ("loss", "100%"), ("timeout", "fixed:1us")]);
    let error = "not done after 5 million packets, the most of a virtual trial";
    assert_eq!((endless.error.as_deref(), endless.packets), (Some(error), Some(5_000_000)));
}

#[test]
fn a_connection_that_opens_into_a_burst_of_packets_gives_up_or_gets_through() {
    // With a mean of 1000 packets a burst outlives the eleven SYNs of a handshake: whoever opens
    // into one has timed out, whoever does not has hours less to wait than the limit.
    let mut ends = [0; 2];
    for seed in 1..=60 {
        let row = row(
            seed,
            &[
                ("protocol", "tcp"),
                ("loss", "20%"),
                ("burst", "1000"),
                ("delay", "5ms"),
                ("size", "20KiB"),
            ],
        );
        let seconds = row.seconds.unwrap();
        assert!(seconds < 1200.0, "{seed}: {seconds} s");
        assert!(row.ok || row.error.as_ref().unwrap().contains("timed out"), "{row:?}");
        ends[usize::from(row.ok)] += 1;
    }
    // Each way begins in a burst once in five.
    assert!((8..40).contains(&ends[0]) && ends[0] + ends[1] == 60, "{ends:?}");
}

#[test]
fn what_arrived_before_the_end_is_told() {
    let cut = |protocol| {
        row(
            7,
            &[
                ("protocol", protocol),
                ("delay", "10ms"),
                ("limit", "210ms"),
                ("size", "4MiB"),
                ("rate", "100Mbit/s"),
            ],
        )
    };
    // Ten round trips and a bit; a datagram of 4152 bytes every 3.3 ms from 40 to 200 ms.
    for (protocol, least, most) in [("saw", 10, 10), ("udp", 48, 49), ("tcp", 250, 900)] {
        let row = cut(protocol);
        assert_eq!(
            (row.ok, row.digest_equal, row.seconds),
            (false, Some(false), Some(0.21)),
            "{protocol}"
        );
        let intact = row.intact.unwrap();
        assert!(
            (least..=most).contains(&intact) && intact + row.missing.unwrap() == 1024,
            "{protocol}: {row:?}"
        );
        assert_eq!(row.goodput_bps, Some((intact as f64 * 4096.0 * 8.0 / 0.21).round() as u64));
    }
}

#[test]
fn what_does_not_run_in_virtual_time_says_so() {
    let mut trial = trial(7, &[]);
    trial.set("protocol", &"http".into(), &no_files).unwrap();
    assert_eq!(
        run(&trial, &Content::generated(1)).error.unwrap(),
        "http runs on real sockets only"
    );
}

#[test]
fn the_size_of_a_file_is_that_of_its_contents() {
    let trial = trial(7, &[("file", "song.mp3")]);
    let row = run(&trial, &Content::new(vec![7; 5000]));
    assert_eq!((row.ok, row.intact, row.more["size"].as_u64()), (true, Some(2), Some(5000)));
}

fn protocol() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        Just(("saw", "cubic")),
        Just(("udp", "cubic")),
        Just(("tcp", "cubic")),
        Just(("tcp", "reno")),
        Just(("tcp", "raw")),
        Just(("ping", "cubic")),
        Just(("messages", "raw")),
        Just(("messages", "cubic")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn nothing_disappears(
        (protocol, tcp) in protocol(), seed: u64, loss in 0u32..50, duplicate in 0u32..30, corrupt in 0u32..30, reorder in 0u32..30,
        delay in 0u32..50, jitter in 0u32..20, size in 24u32..60_000, limit in prop_oneof![1u32..3000, Just(3_600_000)],
    ) {
        let share = |percent: u32| format!("{percent}%");
        let (delay, jitter) = (format!("{}ms", delay + jitter), format!("{jitter}ms"));
        let row = row(seed, &[
            ("protocol", protocol), ("tcp", tcp), ("loss", &share(loss)), ("duplicate", &share(duplicate)),
            ("corrupt", &share(corrupt)), ("reorder", &share(reorder)), ("delay", &delay), ("jitter", &jitter),
            ("size", &format!("{size}B")), ("count", "30"), ("limit", &format!("{limit}ms")),
        ]);
        let [up, down] = links(&row);
        for link in [up, down] {
            prop_assert_eq!(link.entered + link.copies, link.delivered + link.discarded_total() + link.held);
            prop_assert!(link.corrupted <= link.delivered && link.missed_by_kernel == 0);
        }
        prop_assert_eq!(row.packets, Some(up.entered + down.entered));
        let units = if ["ping", "messages"].contains(&protocol) { 30 } else { u64::from(size).div_ceil(CHUNK_BYTES) };
        prop_assert_eq!(row.intact.unwrap() + row.missing.unwrap() + row.damaged.unwrap(), units);
        prop_assert_eq!(row.ok, row.error.is_none());
        prop_assert!(row.seconds.unwrap_or(0.0) < f64::from(limit) / 1e3 + 1e-9);
        if row.ok && ["saw", "tcp"].contains(&protocol) {
            prop_assert_eq!((row.digest_equal, row.intact), (Some(true), Some(units)));
        }
        if row.digest_equal == Some(true) {
            prop_assert_eq!(row.missing, Some(0));
        }
    }
}
