//! Lines that people write, and what they become.

use super::*;
use crate::profile::{Rule, RuleKind};
use crate::rules::{Delay, DrawnDelay};

/// Returns the rules of a translation, and its remarks in one text.
fn translated(line: &str) -> (Vec<String>, String) {
    let translation =
        from_netem(line, JitterOrder::AsInNetem).unwrap_or_else(|error| panic!("{line}: {error}"));
    let profile = Profile::from_json_with(&translation.profile, &|_| Ok("1 2 3".to_owned()));
    let profile = profile.unwrap_or_else(|error| panic!("{line}: {error}"));
    let read = Profile::from_value("", profile.to_value(), &|_| Ok("1 2 3".to_owned()));
    assert_eq!(read.as_ref(), Ok(&profile), "{line}: {}", profile.to_value());
    let rules = translation.profile.lines().filter(|line| line.starts_with("    {"));
    let rules = rules.map(|rule| rule.trim().trim_end_matches(',').to_owned()).collect();
    (rules, translation.remarks.join("\n"))
}

/// What jitter of 10 ms around 100 ms becomes.
const JITTER: &str = r#"{ "rule": "delay", "time": "100ms", "jitter": "10ms", "reorder": true }"#;

#[test]
fn what_tc_shows_of_a_qdisc_is_read_as_what_was_typed() {
    for (shown, typed) in [
        (
            "qdisc netem 1: root refcnt 2 limit 1000 delay 100.0ms 10.0ms 50% loss 50% rate 2Mbit",
            "delay 100ms 10ms 50% loss 50% rate 2mbit limit 1000",
        ),
        ("qdisc netem 1: root refcnt 17 limit 1000 delay 8.0ms  1.0ms", "delay 8ms 1ms"),
        (
            "qdisc netem 8001: dev eth0 root refcnt 2 limit 1000 delay 100ms  10ms loss 1%",
            "tc qdisc add dev eth0 root netem delay 100ms 10ms loss 1%",
        ),
        (
            "qdisc netem 8001: dev lo root refcnt 2 limit 1000 delay 100ms",
            "tc qdisc add dev lo root netem delay 100ms",
        ),
        (
            "qdisc netem 1: root refcnt 17 limit 1000 delay 100us seed 15392644102542209689",
            "delay 100us seed 15392644102542209689",
        ),
        (
            "qdisc netem 800b: parent 1:5 limit 1000 delay 10.0ms  15.0ms 1% loss 10% 6.3% reorder \
             6% 0.6% corrupt 3.4% gap 1",
            "delay 10ms 15ms 1% loss 10% 6.3% reorder 6% 0.6% corrupt 3.4%",
        ),
        (
            "qdisc netem 800c: root refcnt 2 limit 10 loss gemodel p 90% r 10% 1-h 100% 1-k 0%",
            "loss gemodel 90% 10% 100% 0% limit 10",
        ),
        (
            "qdisc netem 1: root refcnt 2 limit 1000 delay 100ms  10ms loss state p13 1% p31 99% \
             p32 0% p23 100% p14 0%",
            "delay 100ms 10ms loss state 1% 99% 0% 100% 0%",
        ),
        (
            "qdisc netem 1: root refcnt 2 limit 1000 rate 1Mbit packetoverhead 10 cellsize 48 \
             celloverhead 5",
            "rate 1mbit 10 48 5",
        ),
        (
            "qdisc netem 1: dev eth0 parent ffff: offloaded refcnt 2 limit 1000 slot 800us 10ms \
             packets 42 bytes 64",
            "slot 800us 10ms packets 42 bytes 64",
        ),
        (
            "qdisc netem 1: dev eth0 root slot distribution 10ms jitter 2ms",
            "slot distribution normal 10ms 2ms",
        ),
        (
            "qdisc noqueue 0: dev lo root refcnt 2\n\
             qdisc netem 8004: dev eth0 root refcnt 2 limit 1000 loss 2%\n \
             Sent 5318 bytes 48 pkt (dropped 0, overlimits 0 requeues 0)\n \
             backlog 0b 0p requeues 0\n",
            "loss 2%",
        ),
    ] {
        let (rules, remarks) = translated(shown);
        assert_eq!(rules, translated(typed).0, "{shown}");
        assert!(!rules.is_empty(), "{shown}");
        let jitter = rules.iter().any(|rule| rule.contains("jitter"));
        assert_eq!(remarks.contains("tc does not show a distribution"), jitter, "{shown}");
    }
    let shown = from_netem("qdisc netem 1: dev lo root delay 1ms", JitterOrder::Kept).unwrap();
    assert!(shown.profile.contains("\"both\""), "it is the loopback device: {}", shown.profile);
}

#[test]
fn jitter_below_zero_is_sent_at_once_as_netem_does() {
    // Mean, deviation, 99th percentile in ms and share at once: what tc's own tables give.
    for (line, mean, sd, p99, at_once) in [
        ("delay 1ms 5ms distribution normal", 2.53, 3.25, 12.6, 0.42),
        ("delay 8ms 20ms distribution pareto", 8.59, 15.6, 88.0, 0.42),
        ("delay 10ms 10ms distribution paretonormal", 9.77, 8.31, 45.8, 0.02),
        ("delay 20ms 30ms distribution pareto", 19.0, 24.6, 140.0, 0.0),
        ("delay 10ms 20ms", 11.25, 9.92, 29.6, 0.25),
        ("delay 10.0ms 15.0ms", 10.42, 8.07, 24.7, 1.0 / 6.0),
        ("delay 0 10ms", 2.5, 3.2275, 9.8, 0.5),
    ] {
        let translation = from_netem(line, JitterOrder::AsInNetem).unwrap();
        let profile = Profile::from_json(&translation.profile).unwrap();
        let RuleKind::Delay(setting) = &profile.up.phases[0].rules[0].kind else {
            panic!("{line}")
        };
        assert!(setting.reorder, "{line}");
        let drawn = DrawnDelay::new(setting);
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let close = |time: Duration, wanted: f64| (millis(time) / wanted - 1.0).abs() < 0.02;
        assert!(close(drawn.mean(), mean), "{line}: mean {}", millis(drawn.mean()));
        assert!(close(drawn.sd(), sd), "{line}: sd {}", millis(drawn.sd()));
        assert!(close(drawn.quantile(0.99), p99), "{line}: p99 {}", millis(drawn.quantile(0.99)));
        let draws = 2000;
        let share = |n: u32| (f64::from(n) + 0.5) / f64::from(draws);
        let zeros = (0..draws).filter(|n| drawn.quantile(share(*n)).is_zero()).count();
        assert!((zeros as f64 / f64::from(draws) - at_once).abs() < 0.005, "{line}: {zeros}");
    }
}

#[test]
fn order_is_kept_where_that_is_asked_for() {
    for (line, reorders) in [
        ("delay 100ms 10ms", true),
        ("delay 100ms 10ms distribution normal", true),
        ("delay 10ms 20ms distribution pareto", true),
        ("delay 100ms 10ms rate 1mbit", false),
        ("delay 100ms", false),
    ] {
        let overtakes = |order| {
            let translation = from_netem(line, order).unwrap();
            let profile = Profile::from_json(&translation.profile).unwrap();
            let is_delay = |rule: &&Rule| rule.kind.name() == "delay";
            let delay = profile.up.rules().find(is_delay).expect(line).kind.clone();
            matches!(delay, RuleKind::Delay(Delay { reorder: true, .. }))
        };
        assert_eq!(overtakes(JitterOrder::AsInNetem), reorders, "{line}");
        assert!(!overtakes(JitterOrder::Kept), "{line}");
    }
}

#[test]
fn lines_become_the_rules_that_were_asked_for() {
    let cases: &[(&str, &[&str])] = &[
        ("delay 100ms", &[r#"{ "rule": "delay", "time": "100ms" }"#]),
        ("latency 20ms", &[r#"{ "rule": "delay", "time": "20ms" }"#]),
        ("delay 250", &[r#"{ "rule": "delay", "time": "250us" }"#]),
        ("delay 100ms 10ms", &[JITTER]),
        ("delay 100ms 10ms 25%", &[JITTER]),
        (
            "delay 100ms 10ms rate 1mbit",
            &[
                r#"{ "rule": "delay", "time": "100ms", "jitter": "10ms" }"#,
                r#"{ "rule": "rate", "limit": "1Mbit/s", "queue": "1000 packets", "overhead": 42 }"#,
            ],
        ),
        (
            "delay 100ms 20ms distribution normal",
            &[
                r#"{ "rule": "delay", "time": "100ms", "jitter": "20ms", "shape": "normal", "reorder": true }"#,
            ],
        ),
        (
            "delay 100ms 20ms distribution pareto",
            &[
                r#"{ "rule": "delay", "time": "100ms", "jitter": "20ms", "shape": "pareto", "reorder": true }"#,
            ],
        ),
        (
            "delay 100ms 20ms distribution paretonormal",
            &[
                r#"{ "rule": "delay", "time": "100ms", "jitter": "20ms", "shape": "paretonormal", "reorder": true }"#,
            ],
        ),
        (
            "delay 100ms 20ms distribution experimental",
            &[
                r#"{ "rule": "delay", "time": "100ms", "jitter": "20ms", "shape": "table", "table": "experimental.dist", "reorder": true }"#,
            ],
        ),
        ("loss 1%", &[r#"{ "rule": "drop", "chance": "1%" }"#]),
        ("loss random 0.3%", &[r#"{ "rule": "drop", "chance": "0.3%" }"#]),
        ("drop 2", &[r#"{ "rule": "drop", "chance": "2%" }"#]),
        ("loss 0%", &[]),
        ("loss 100% 50%", &[r#"{ "rule": "drop", "chance": "100%" }"#]),
        ("loss 1% 25%", &[r#"{ "rule": "drop", "burst": { "mean": "1%", "length": 1.3468 } }"#]),
        (
            "loss random 20% 50%",
            &[r#"{ "rule": "drop", "burst": { "mean": "20%", "length": 2.5 } }"#],
        ),
        (
            "loss gemodel 1% 10% 70% 0.1%",
            &[
                r#"{ "rule": "drop", "gilbert_elliott": { "p": "1%", "r": "10%", "loss_bad": "70%", "loss_good": "0.1%" } }"#,
            ],
        ),
        (
            "loss gemodel 1%",
            &[
                r#"{ "rule": "drop", "gilbert_elliott": { "p": "1%", "r": "99%", "loss_bad": "100%", "loss_good": "0%" } }"#,
            ],
        ),
        (
            "loss state 1% 20% 10% 50% 0.5%",
            &[
                r#"{ "rule": "drop", "four_state": { "p13": "1%", "p31": "20%", "p32": "10%", "p23": "50%", "p14": "0.5%" } }"#,
            ],
        ),
        (
            "loss state 5%",
            &[
                r#"{ "rule": "drop", "four_state": { "p13": "5%", "p31": "95%", "p32": "0%", "p23": "100%", "p14": "0%" } }"#,
            ],
        ),
        ("loss 1% ecn", &[r#"{ "rule": "mark", "chance": "1%" }"#]),
        (
            "loss gemodel 1% 99% ecn",
            &[
                r#"{ "rule": "mark", "gilbert_elliott": { "p": "1%", "r": "99%", "loss_bad": "100%", "loss_good": "0%" } }"#,
            ],
        ),
        ("corrupt 0.1%", &[r#"{ "rule": "corrupt", "chance": "0.1%" }"#]),
        ("duplicate 1%", &[r#"{ "rule": "duplicate", "chance": "1%" }"#]),
        (
            "delay 10ms reorder 25% 50%",
            &[
                r#"{ "rule": "reorder", "chance": "25%", "ahead": true }"#,
                r#"{ "rule": "delay", "time": "10ms" }"#,
            ],
        ),
        (
            "gap 5 delay 10ms reorder 100%",
            &[
                r#"{ "rule": "reorder", "chance": "20%", "ahead": true }"#,
                r#"{ "rule": "delay", "time": "10ms" }"#,
            ],
        ),
        (
            "rate 1mbit",
            &[r#"{ "rule": "rate", "limit": "1Mbit/s", "queue": "1000 packets", "overhead": 42 }"#],
        ),
        (
            "rate 5kbit 20 100 5 limit 50",
            &[
                r#"{ "rule": "rate", "limit": "4761bit/s", "queue": "50 packets", "overhead": 112 }"#,
            ],
        ),
        (
            "rate 100mbit -14",
            &[
                r#"{ "rule": "rate", "limit": "100Mbit/s", "queue": "1000 packets", "overhead": 28 }"#,
            ],
        ),
        (
            "slot 800us 10ms packets 42 bytes 64k",
            &[r#"{ "rule": "batch", "window": "5.4ms", "packets": 42, "bytes": "65536B" }"#],
        ),
        ("slot distribution normal 10ms 2ms", &[r#"{ "rule": "batch", "window": "10ms" }"#]),
        (
            "tc qdisc add dev eth0 root netem delay 50ms seed 7",
            &[r#"{ "rule": "delay", "time": "50ms" }"#],
        ),
        (
            "sudo tc qdisc change dev eth0 parent 1:1 handle 10: netem loss 5%",
            &[r#"{ "rule": "drop", "chance": "5%" }"#],
        ),
        (
            "limit 100000 rate 10mbit delay 40ms 5ms distribution normal corrupt 1% dup 2% loss 3%",
            &[
                r#"{ "rule": "duplicate", "chance": "2%" }"#,
                r#"{ "rule": "drop", "chance": "3%" }"#,
                r#"{ "rule": "corrupt", "chance": "1%" }"#,
                r#"{ "rule": "delay", "time": "40ms", "jitter": "5ms", "shape": "normal" }"#,
                r#"{ "rule": "rate", "limit": "10Mbit/s", "queue": "100000 packets", "overhead": 42 }"#,
            ],
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(translated(line).0, *expected, "{line}");
    }
    assert!(cases.len() >= 25);
}

#[test]
fn remarks_say_what_netem_would_really_have_done() {
    for (line, expected) in [
        ("loss 1% 25%", "netem loses 0.00024% of the packets"),
        ("loss 5% 25%", "netem loses 0.19% of the packets"),
        ("loss 0.3% 25%", "netem loses less than 0.0001% of the packets"),
        ("delay 10ms reorder 25% 50%", "netem sends ahead 6.9% of the packets"),
        ("duplicate 1% 50%", "does not send it to the kernel"),
        ("duplicate 10% 50% loss 5% 25%", "netem copies 0.11% of the packets"),
        ("duplicate 1% loss 1%", "arrives exactly once"),
        ("corrupt 1% 25%", "netem damages 0.00024% of the packets"),
        ("corrupt 1%", "loss by another name"),
        (
            "loss gemodel 1% 10% 70% 0.1%",
            "This gemodel loses 6.5% of the packets. It stays bad for 10.0 packets",
        ),
        ("loss state 1% 20% 10% 50% 0.5%", "loses 5.2% of the packets, within bursts 3.3 in a row"),
        ("loss 1% ecn", "marks packets whose sender takes marks"),
        ("loss 1%", "up to 64 KiB as one"),
        ("delay 100ms 10ms 25%", "delay correlation (25%) does nothing"),
        ("delay 100ms 10ms", "overtake each other"),
        ("delay 100ms 10ms", "a standard deviation of 5.774ms"),
        ("delay 100ms 10ms rate 1mbit", "With a rate netem's jitter does not reorder"),
        (
            "delay 10ms 20ms",
            "sends those packets at once: 25% of them. So it is here, by a table in place: the \
             mean delay is 11.25ms, its standard deviation 9.922ms",
        ),
        ("delay 10ms 10ms dist normal", "15.8% of them"),
        ("delay 100ms 20ms distribution pareto", "no long tail"),
        ("delay 100ms 20ms distribution experimental", "experimental.dist is tc's"),
        ("delay 100ms", "drops whatever is above 10000 packets/s (121 Mbit/s of full frames)"),
        ("delay 250", "without a unit"),
        ("rate 1mbit", "limit of 1000 packets is 12s of full frames at 1 Mbit/s"),
        ("rate 1mbit", "whole Ethernet frames"),
        ("rate 5kbit 20 100 5", "cells of 100 bytes that take 105"),
        ("gap 5 delay 10ms reorder 100%", "one packet in 5.0"),
        ("slot 800us 10ms", "from 800us to 10ms"),
        ("loss 1% seed 7", "--seed 7"),
        ("loss 1%", "leaves one interface"),
        ("tc qdisc add dev lo root netem loss 1%", "loopback"),
    ] {
        let (_, remarks) = translated(line);
        assert!(remarks.contains(expected), "{line}: {expected:?} is not in\n{remarks}");
    }
    let (_, remarks) = translated("tc qdisc add dev eth0 root netem rate 1mbit 14");
    assert!(!remarks.contains("reorder") && !remarks.contains("correlation"), "{remarks}");
}

#[test]
fn the_profile_is_json_with_the_line_and_the_remarks_in_about() {
    let translation =
        from_netem("tc qdisc add dev lo root   netem  delay 5ms", JitterOrder::Kept).unwrap();
    assert!(
        translation
            .profile
            .ends_with("\n  \"both\": [\n    { \"rule\": \"delay\", \"time\": \"5ms\" }\n  ]\n}\n")
    );
    let value: Value = serde_json::from_str(&translation.profile).unwrap();
    let about = value["about"].as_str().unwrap();
    assert!(
        about.starts_with("Translated from netem: tc qdisc add dev lo root netem delay 5ms. "),
        "{about}"
    );
    assert!(translation.remarks.iter().all(|remark| about.contains(remark.as_str())));
}

#[test]
fn mistakes_name_the_option_and_the_remedy() {
    for (line, expected) in [
        ("", "the line is empty; write delay 100ms 10ms loss 1%, say"),
        ("delay", "delay: its value is missing; write delay 100ms, say"),
        ("delay soon", "delay: \"soon\" is not a time; write 100ms, say (s, ms, us, ns)"),
        ("delay 100ms 10m", "delay: \"10m\" is not a time; write 100ms, say (s, ms, us, ns)"),
        ("loss lots", "loss: \"lots\" is not a percentage; write 1%, say"),
        ("loss 101%", "loss: \"101%\" is more than 100%; write 0% to 100%"),
        ("loss gemodel", "loss gemodel: its value is missing; write loss gemodel 1%, say"),
        (
            "loss gemodel 0 0",
            "loss gemodel: with p and r of 0 its state never changes; write gemodel 1% 20%, say",
        ),
        (
            "loss state 60% 20% 10% 50% 60%",
            "loss state: P13 and P14 leave the same state and are more than 100% together; write \
             smaller ones",
        ),
        (
            "loss 5% 100%",
            "loss: a correlation of 100% repeats one draw for ever; write less, 90% say",
        ),
        ("loss 1% loss 2%", "loss: it is here a second time; write it once"),
        ("drop 1% loss 2%", "loss: it is here a second time; write it once"),
        (
            "rate 50%",
            "rate: \"50%\" is a share of the device's speed, which is not known here; write the \
             rate itself, 10mbit say",
        ),
        ("rate 0", "rate: a rate of 0 is no limit at all in netem; leave it out"),
        ("rate 1mbit 0 48 -48", "rate: its cells would take no time; write a larger cell overhead"),
        (
            "reorder 25%",
            "reorder: netem lets packets jump ahead of a delay, and there is none; add delay 10ms, \
             say",
        ),
        ("delay 10ms gap 5", "gap: it belongs to reorder, and there is none; add reorder 25%, say"),
        ("ecn", "ecn: it marks instead of losing, and there is no loss; add loss 1%, say"),
        (
            "delay 10ms distribution normal",
            "distribution: there is no jitter to distribute; write delay 100ms 10ms, say",
        ),
        (
            "delay 10ms 2ms distribution ../../etc/passwd",
            "distribution: \"../../etc/passwd\" is not the name of a distribution; write normal, \
             pareto or paretonormal, say",
        ),
        ("slot 10ms 1ms", "slot: its longest time is shorter than its shortest; swap them"),
        (
            "jitter 5ms",
            "jitter: netem has no such option; write limit, delay, distribution, loss, ecn, \
             corrupt, duplicate, reorder, gap, rate, slot or seed",
        ),
        (
            "tc qdisc add dev eth0 root tbf rate 1mbit",
            "tc: no netem is in this command; write tc qdisc add dev eth0 root netem …",
        ),
        (
            "ip netem delay 5ms",
            "ip: in front of netem belongs tc qdisc add dev eth0 root, or nothing; leave it out",
        ),
        (
            "limit many",
            "limit: \"many\" is not a number; write 1000, say (k and m are 1024 and 1024·1024)",
        ),
    ] {
        assert_eq!(
            from_netem(line, JitterOrder::AsInNetem).unwrap_err().to_string(),
            expected,
            "{line}"
        );
    }
}

mod properties {
    use super::*;
    use crate::profile::Profile;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use std::cell::Cell;

    const PHRASES: [&str; 36] = [
        "delay 100ms 10ms 25%",
        "delay 1ns",
        "delay 1000000s 1000000s",
        "delay 3 7 99.999%",
        "delay 1234567ns 1s",
        "delay 3333us 77ms",
        "delay 0",
        "loss 99.999% 50%",
        "loss 0.000001% 25%",
        "loss gemodel 0% 0.001%",
        "loss gemodel 100%",
        "loss state 100%",
        "loss state 1% 50% 50% 100% 99%",
        "loss state 0.001% 0.001% 99% 0.001%",
        "ecn",
        "corrupt 100% 100%",
        "corrupt 0.000000001%",
        "duplicate 0.01% 99.9%",
        "reorder 25% 50%",
        "reorder 0.0000001%",
        "gap 5",
        "gap 18446744073709551615",
        "rate 1bit",
        "rate 9999999tbit 2147483647",
        "rate 10mbit -2147483648 2147483647 2147483647",
        "rate 1kbit 0 48 -47",
        "slot 1ns",
        "slot 0 1000000s packets 1 bytes 99999g",
        "slot distribution normal 10ms 1ms",
        "distribution normal",
        "distribution pareto",
        "distribution experimental",
        "distribution uniform",
        "limit 0",
        "limit 99999999999999999999g",
        "seed 18446744073709551615",
    ];

    #[test]
    fn any_line_is_refused_or_becomes_a_valid_profile() {
        let lines = prop::sample::subsequence(&PHRASES[..], 1..7).prop_shuffle();
        let translated = Cell::new(0);
        let seen = TestRunner::new(ProptestConfig::with_cases(2_000)).run(&lines, |phrases| {
            if let Ok(translation) = from_netem(&phrases.join(" "), JitterOrder::AsInNetem) {
                translated.set(translated.get() + 1);
                let table = |_: &str| Ok("0".to_owned());
                prop_assert!(Profile::from_json_with(&translation.profile, &table).is_ok());
                prop_assert!(!translation.remarks.is_empty());
            }
            Ok(())
        });
        assert_eq!(seen, Ok(()));
        assert!(translated.get() > 200, "{} lines were netem's", translated.get());
    }

    proptest! {
        #[test]
        fn no_text_at_all_does_harm(line in "\\PC{0,60}") {
            let _ = from_netem(&line, JitterOrder::Kept);
        }
    }
}
