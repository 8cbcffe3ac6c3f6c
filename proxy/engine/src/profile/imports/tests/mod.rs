//! Lines that people write for other tools, and what they become.

use super::*;
use crate::profile::netem::Translation;
use crate::profile::{Profile, no_files};
use jostle_common::setting::SettingError;
use proptest::prelude::*;
use serde_json::{Value, json};

type Translated = Result<Translation, SettingError>;

/// A tool's name, and what reads its lines.
type Tool = (&'static str, fn(&str) -> Translated);

const TOOLS: [Tool; 5] = [
    ("tcset", from_tcset),
    ("comcast", from_comcast),
    ("throttle", |line| from_throttle(line, &no_files)),
    ("cdp", from_cdp),
    ("quic-sim", from_quic_sim),
];

/// Returns the profile of a translation without its `about`, and the remarks in one text. It is
/// checked and written as it reads.
fn read(line: &str, translated: Translated) -> (Value, String) {
    let translation = translated.unwrap_or_else(|error| panic!("{line}: {error}"));
    let profile =
        Profile::from_json(&translation.profile).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(profile.to_text(), translation.profile, "{line}: it is canonical");
    profile.check().unwrap();
    let mut value: Value = serde_json::from_str(&translation.profile).unwrap();
    let about = value.as_object_mut().unwrap().remove("about").unwrap();
    for remark in &translation.remarks {
        assert!(about.as_str().unwrap().contains(remark.as_str()), "{line}: {remark}");
        assert!(remark.ends_with('.'), "{remark}");
    }
    (value, translation.remarks.join("\n"))
}

/// Checks lines, what they become and what is said of it.
fn become_profiles(reader: impl Fn(&str) -> Translated, cases: &[(&str, Value, &str)]) {
    for (line, expected, said) in cases {
        let (value, remarks) = read(line, reader(line));
        // Each quantity has one spelling, whatever it is.
        let expected = Profile::from_value("", expected.clone(), &no_files).unwrap();
        assert_eq!(value, expected.to_value(), "{line}");
        assert!(remarks.contains(said), "{line}: {remarks}");
    }
}

/// Checks lines that are refused, and how.
fn are_refused(reader: impl Fn(&str) -> Translated, cases: &[(&str, &str)]) {
    for (line, problem) in cases {
        match reader(line) {
            Ok(translation) => panic!("{line}: {}", translation.profile),
            Err(error) => assert_eq!(error.to_string(), *problem, "{line}"),
        }
    }
}

fn delay(time: &str) -> Value {
    json!({ "rule": "delay", "time": time })
}

fn drop(chance: &str) -> Value {
    json!({ "rule": "drop", "chance": chance })
}

/// A rate as netem has it.
fn netem_rate(limit: &str) -> Value {
    json!({ "rule": "rate", "limit": limit, "queue": "1000 packets", "overhead": 42 })
}

#[test]
fn tcset_lines_become_what_tc_is_told() {
    let up = |rules: &[Value]| json!({ "up": rules });
    become_profiles(
        from_tcset,
        &[
            (
                "tcset eth0 --rate 100Kbps --delay 100ms --loss 0.1%",
                up(&[drop("0.1%"), delay("100ms"), netem_rate("100kbit/s")]),
                "HTB class with netem inside",
            ),
            ("eth0 --delay 100", up(&[delay("100ms")]), "those of a round trip"),
            ("# tcset eth0 --delay 10sec", up(&[delay("10s")]), "one direction"),
            ("tcset eth0 --delay=0.5min", up(&[delay("30s")]), "\"up\""),
            ("sudo tcset -d eth0 --delay '250 usecs'", up(&[delay("250us")]), "\"up\""),
            (
                "tcset eth0 --delay 1MS --direction incoming",
                json!({ "down": [delay("1ms")] }),
                "\"down\"",
            ),
            (
                "tcset eth0 --direction outgoing --rate 200Kbps --network 192.168.0.0/24\n\
                 tcset eth0 --direction incoming --rate 1Mbps --network 192.168.0.0/24",
                json!({ "up": [netem_rate("200kbit/s")], "down": [netem_rate("1Mbit/s")] }),
                "--network is left out",
            ),
            ("tcset eth0 --rate 0.25Mbps", up(&[netem_rate("250kbit/s")]), "whole Ethernet frames"),
            ("tcset eth0 --rate '2 Mbits per second'", up(&[netem_rate("2Mbit/s")]), "HTB"),
            ("tcset eth0 --rate 1Kibps", up(&[netem_rate("1.024kbit/s")]), "HTB"),
            (
                "tcset eth0 --rate 1Gbit/s --limit 50",
                up(&[
                    json!({ "rule": "rate", "limit": "1Gbit/s", "queue": "50 packets", "overhead": 42 }),
                ]),
                "holds 50",
            ),
            ("tcset eth0 --loss 1.5", up(&[drop("1.5%")]), "\"up\""),
            (
                "tcset eth0 --duplicate 2% --corrupt 0.5%",
                up(&[
                    json!({ "rule": "duplicate", "chance": "2%" }),
                    json!({ "rule": "corrupt", "chance": "0.5%" }),
                ]),
                "\"up\"",
            ),
            (
                "tcset eth0 --delay 10ms --reordering 25%",
                up(&[json!({ "rule": "reorder", "chance": "25%", "ahead": true }), delay("10ms")]),
                "\"up\"",
            ),
            (
                "tcset eth0 --delay 10ms --port 8080 --exclude-dst-network 10.0.0.3 --add --ipv6",
                up(&[delay("10ms")]),
                "--port, --exclude-dst-network is left out",
            ),
            (
                r#"{ "eth0": { "outgoing": { "dst-network=192.168.0.10/32, dst-port=8080, protocol=ip":
                    { "filter_id": "800::800", "delay": "10.0ms", "loss": "0.01%", "rate": "250Kbps" } },
                    "incoming": { "protocol=ip": { "filter_id": "800::800", "delay": "1.0ms", "loss": 0.02, "rate": "500Kbps" } } } }"#,
                json!({
                    "up": [drop("0.01%"), delay("10ms"), netem_rate("250kbit/s")],
                    "down": [drop("0.02%"), delay("1ms"), netem_rate("500kbit/s")],
                }),
                "dst-network=192.168.0.10/32, dst-port=8080 is left out",
            ),
            (
                r#"{ "eth0": { "outgoing": {}, "incoming": { "protocol=ip": { "delay": "3ms" } } } }"#,
                json!({ "down": [delay("3ms")] }),
                "\"down\"",
            ),
        ],
    );
    let (value, remarks) = read("", from_tcset("tcset eth0 --delay 100ms --delay-distro 20"));
    let jitter = &value["up"][0];
    assert_eq!((&jitter["time"], &jitter["jitter"]), (&json!("100ms"), &json!("20ms")));
    assert_eq!(jitter["shape"], "normal");
    assert!(remarks.contains("netem"), "{remarks}");
    are_refused(
        from_tcset,
        &[
            (
                "",
                "tcset: nothing is to be done; write --rate 10Mbps, --delay 100ms or --loss 1%, say",
            ),
            (
                "tcset eth0",
                "tcset: nothing is to be done; write --rate 10Mbps, --delay 100ms or --loss 1%, say",
            ),
            (
                "tcset eth0 --rate 100",
                "--rate: \"100\" has no unit, and tcset wants one; write 10Mbps, say",
            ),
            (
                "tcset eth0 --rate 10MB/s",
                "--rate: \"10MB/s\" is not a rate in bits; write 10Mbps or 250Kbps, say",
            ),
            ("tcset eth0 --rate 7bps", "--rate: tcset takes 8bps at least"),
            ("tcset eth0 --delay soon", "--delay: \"soon\" is not a time; write 100ms, say"),
            ("tcset eth0 --delay 61min", "--delay: tcset takes 60min at most"),
            ("tcset eth0 --loss 101", "--loss: 101 is no share; write 0 to 100"),
            (
                "tcset eth0 --reordering 5%",
                "reordering: reordering needs a delay to skip; write --delay 10ms, say",
            ),
            (
                "tcset eth0 --delay 1ms --direction both",
                "--direction: tcset has no direction \"both\"; write outgoing or incoming",
            ),
            (
                "tcset eth0 --delay 1ms --delay-distribution even",
                "--delay-distribution: tcset has no distribution \"even\"; write normal, pareto or paretonormal",
            ),
            ("tcset eth0 eth1 --delay 1ms", "eth1: tcset reads one device; leave this out"),
            ("tcdel eth0 --all", "tcdel: only tcset sets rules up; leave the others out"),
            (
                "tcset --import-setting f.json",
                "--import-setting: the rules are in that file; give its text, as what tcshow prints",
            ),
            ("tcset eth0 --delay 1ms --delay", "--delay: it takes a value; write --delay 10, say"),
            (
                "tcset eth0 --delay 1ms; tcset eth0 --loss 1% --add",
                "tcset: a second rule for outgoing packets: a route has one upstream, so translate the one that is meant alone",
            ),
            (
                r#"{ "eth0": { "up": {} } }"#,
                "eth0.up: tcset knows outgoing and incoming alone; write one of them",
            ),
            (
                r#"{ "eth0": { "outgoing": { "p": { "speed": "1Mbps" } } } }"#,
                "eth0.outgoing[\"p\"].speed: tcshow prints no such key; it has delay, delay-distro, loss, duplicate, corrupt, reorder, limit and rate",
            ),
            (
                r#"{ "eth0": [] }"#,
                "eth0: here belongs an object, as tcshow prints it: device, direction, filter, settings",
            ),
        ],
    );
}

#[test]
fn comcast_lines_become_what_tc_is_told() {
    let up = |rules: &[Value]| json!({ "up": rules });
    become_profiles(
        from_comcast,
        &[
            (
                "comcast --device=eth0 --latency=250 --target-bw=1000 --default-bw=1000000 \
                 --packet-loss=10% --target-addr=8.8.8.8,10.0.0.0/24 --target-proto=tcp,udp,icmp \
                 --target-port=80,22,1000:2000",
                up(&[drop("10%"), delay("250ms"), netem_rate("1Mbit/s")]),
                "--default-bw is left out",
            ),
            ("--latency=250", up(&[delay("250ms")]), "one way"),
            ("comcast -latency 40", up(&[delay("40ms")]), "\"up\""),
            ("$ sudo comcast --latency 40 --dry-run", up(&[delay("40ms")]), "\"up\""),
            ("/go/bin/comcast -packet-loss 5", up(&[drop("5%")]), "\"up\""),
            ("comcast --packet-loss=0.1%", up(&[drop("0.1%")]), "\"up\""),
            (
                "comcast --packet-loss=0.126",
                up(&[drop("0.13%")]),
                "rounds the loss to two decimals: 0.126% is 0.13%",
            ),
            ("comcast --target-bw=56", up(&[netem_rate("56kbit/s")]), "limit of 1000 packets"),
            (
                "comcast --latency=-1 --target-bw=750",
                up(&[netem_rate("750kbit/s")]),
                "Ethernet frames",
            ),
            ("comcast --latency=0 --packet-loss=2", up(&[drop("2%")]), "\"up\""),
            ("comcast --latency=1 --latency=2", up(&[delay("2ms")]), "\"up\""),
            ("comcast --latency=5 --device eth1", up(&[delay("5ms")]), "what leaves the machine"),
            (
                "comcast --latency=5 --target-port=80",
                up(&[delay("5ms")]),
                "--target-port is left out",
            ),
            ("comcast --latency=5 --target-proto=udp", up(&[delay("5ms")]), "--target-proto"),
            (
                "comcast --latency=500 --target-bw=50 --packet-loss=2",
                up(&[drop("2%"), delay("500ms"), netem_rate("50kbit/s")]),
                "2 %".trim_end_matches(" %"),
            ),
        ],
    );
    are_refused(
        from_comcast,
        &[
            (
                "comcast",
                "comcast: nothing is to be done; write --latency=250, --target-bw=1000 or --packet-loss=10%",
            ),
            (
                "comcast --latency=250ms",
                "--latency: \"250ms\" is not a whole number; write 25, say",
            ),
            (
                "comcast --target-bw=0",
                "--target-bw: tc refuses a rate of 0; write 1000 for 1 Mbit/s, or leave it out",
            ),
            (
                "comcast --packet-loss=much",
                "--packet-loss: \"much\" is not a percentage; write 1, say",
            ),
            ("comcast --packet-loss=200", "--packet-loss: 200 is no share; write 0 to 100"),
            (
                "comcast --stop",
                "--stop: that sets nothing up, so no profile is like it; leave it out",
            ),
            (
                "comcast eth0",
                "eth0: comcast reads nothing behind a word that is no option; leave it out",
            ),
            (
                "comcast --jitter=5",
                "--jitter=5: comcast has no such option; it has device, latency, target-bw, default-bw, packet-loss, target-addr, target-port, target-proto, dry-run, stop or version",
            ),
            ("comcast --latency", "--latency: it takes a value; write --latency 10, say"),
            ("comcast --latency=5; ls", "comcast: 2 commands are here; translate one at a time"),
        ],
    );
}

#[test]
fn throttle_lines_become_what_tc_is_told() {
    let file = |name: &str| match name {
        "config.json" => Ok(r#"{ "up": 330, "down": 200, "rtt": 1000 }"#.to_owned()),
        other => no_files(other),
    };
    let reader = |line: &str| from_throttle(line, &file);
    let line = |up: &str, down: &str, half: &str| {
        json!({
            "both": [delay(half)], "up": [netem_rate(up)], "down": [netem_rate(down)],
        })
    };
    let same = |limit: &str, half: &str| json!({ "both": [delay(half), netem_rate(limit)] });
    become_profiles(
        reader,
        &[
            (
                "throttle --up 330 --down 780 --rtt 200",
                line("330kbit/s", "780kbit/s", "100ms"),
                "netem",
            ),
            ("throttle 3g", line("768kbit/s", "1.6Mbit/s", "75ms"), "netem"),
            ("throttle --profile 3gfast", line("768kbit/s", "1.6Mbit/s", "37.5ms"), "netem"),
            ("throttle --profile=3gslow", same("400kbit/s", "100ms"), "netem"),
            ("2g", line("256kbit/s", "280kbit/s", "200ms"), "netem"),
            ("npx @sitespeed.io/throttle cable", line("1Mbit/s", "5Mbit/s", "7ms"), "netem"),
            ("LOG_THROTTLE=true throttle dsl", line("384kbit/s", "1.5Mbit/s", "12.5ms"), "netem"),
            ("throttle 4g --log", same("9Mbit/s", "42.5ms"), "netem"),
            ("throttle lte", same("12Mbit/s", "17.5ms"), "netem"),
            ("throttle edge", line("200kbit/s", "240kbit/s", "210ms"), "netem"),
            ("throttle dial", line("30kbit/s", "49kbit/s", "30ms"), "netem"),
            ("throttle fois", line("5Mbit/s", "20Mbit/s", "1ms"), "netem"),
            ("throttle 3gem", same("400kbit/s", "100ms"), "netem"),
            (
                "throttle --profile 3gslow --packetLoss 5",
                json!({ "both": [drop("5%"), delay("100ms"), netem_rate("400kbit/s")] }),
                "of each direction which has a speed",
            ),
            ("throttle --rtt 200 --localhost", json!({ "both": [delay("100ms")] }), ""),
            ("throttle --rtt 300", json!({ "both": [delay("150ms")] }), ""),
            (
                "throttle --rtt 300 --packetLoss 1",
                json!({ "both": [delay("150ms")] }),
                "loses nothing",
            ),
            (
                "throttle --down 780 --rtt 200",
                json!({ "down": [delay("100ms"), netem_rate("780kbit/s")] }),
                "nothing in the other",
            ),
            ("throttle --config config.json", line("330kbit/s", "200kbit/s", "500ms"), "--config"),
            (
                r#"{ "up": 330, "down": 780, "rtt": 200 }"#,
                line("330kbit/s", "780kbit/s", "100ms"),
                "netem",
            ),
            ("throttle 3gslow --up 9", same("400kbit/s", "100ms"), "nothing but --packetLoss"),
        ],
    );
    are_refused(
        reader,
        &[
            (
                "throttle",
                "throttle: at least one of --up, --down and --rtt is needed; write 3gfast, or --up 330 --down 780 --rtt 200",
            ),
            (
                "throttle 5g",
                "5g: throttle has no such profile; it has 3g, 3gfast, 3gslow, 2g, cable, dsl, 3gem, 4g, lte, edge, dial or fois",
            ),
            (
                "throttle --up 330kbit",
                "--up: \"330kbit\" is not a whole number, which throttle needs: kbit/s for --up and --down, milliseconds for --rtt; write 200, say",
            ),
            (
                "throttle --up 3.5",
                "--up: \"3.5\" is not a whole number, which throttle needs: kbit/s for --up and --down, milliseconds for --rtt; write 200, say",
            ),
            (
                "throttle --up 330 --packetLoss 5%",
                "--packetLoss: throttle takes a bare number; leave the % out",
            ),
            ("throttle --up 1 --up 2", "--up: it is here twice; leave one out"),
            (
                "throttle --stop",
                "stop: that sets nothing up, so no profile is like it; leave it out",
            ),
            (
                "throttle --localhost",
                "--rtt: throttle needs it for --localhost; write --rtt 200, say",
            ),
            (
                "throttle --config no.json",
                "--config: \"no.json\" cannot be looked up here; write its lines as a list, or put the profile into a file beside it",
            ),
            (
                "throttle -up 5",
                "-up: throttle has no such option; it has up, down, rtt, packetLoss, profile, config, localhost, log, stop, help or version",
            ),
            (
                r#"{ "upload": 5 }"#,
                "upload: throttle reads no such key; it reads up, down, rtt, packetLoss and localhost",
            ),
        ],
    );
}

#[test]
fn conditions_of_chrome_become_lines() {
    let rate = |limit: &str| json!({ "rule": "rate", "limit": limit });
    let line = |up: &str, down: &str, half: &str| json!({ "up": [rate(up), delay(half)], "down": [rate(down), delay(half)] });
    let same = |limit: &str, half: &str| json!({ "both": [rate(limit), delay(half)] });
    become_profiles(
        from_cdp,
        &[
            ("Slow 3G", same("500kbit/s", "200ms"), "5 times the round trip and 0.8 of the speeds"),
            ("3g", same("500kbit/s", "200ms"), "round trip of 400 ms"),
            ("Fast 3G", line("750kbit/s", "1.6Mbit/s", "75ms"), "3.75 times"),
            ("\"Slow 4G\"", line("750kbit/s", "1.6Mbit/s", "75ms"), "0.9 of the speeds"),
            ("fast 4g", line("1.5Mbit/s", "9Mbit/s", "30ms"), "2.75 times"),
            ("mobileSlow4G", line("750kbit/s", "1.6384Mbit/s", "75ms"), "packets that are delayed"),
            ("mobileRegular3G", same("700kbit/s", "150ms"), "round trip of 300 ms"),
            ("desktopDense4G", same("10.24Mbit/s", "20ms"), "packet by packet"),
            ("Offline", json!({ "both": [drop("100%")] }), "ERR_INTERNET_DISCONNECTED"),
            (
                r#"{ "offline": false, "latency": 100, "downloadThroughput": 93750, "uploadThroughput": 31250 }"#,
                line("250kbit/s", "750kbit/s", "50ms"),
                "bytes per second",
            ),
            (
                r#"{ "id": 7, "method": "Network.emulateNetworkConditions",
                     "params": { "offline": false, "latency": 5, "downloadThroughput": -1, "uploadThroughput": -1 } }"#,
                json!({ "both": [delay("2.5ms")] }),
                "the head of its response",
            ),
            (
                r#"{ "offline": false, "latency": 0, "downloadThroughput": 125000, "uploadThroughput": 0,
                     "packetLoss": 2.5, "packetQueueLength": 30 }"#,
                json!({
                    "up": [drop("2.5%")],
                    "down": [json!({ "rule": "rate", "limit": "1Mbit/s", "queue": "30 packets" }), drop("2.5%")],
                }),
                "for WebRTC alone",
            ),
            (
                r#"{ "latency": 0, "downloadThroughput": 125000, "packetQueueLength": 0 }"#,
                json!({ "down": [json!({ "rule": "rate", "limit": "1Mbit/s", "queue": "1m" })] }),
                "every queue has a bound",
            ),
            (
                r#"{ "latency": 40, "packetReordering": true, "connectionType": "cellular3g" }"#,
                json!({ "both": [delay("20ms")] }),
                "packetReordering is left out",
            ),
            (
                r#"{ "latency": 562.5, "downloadThroughput": 180000, "uploadThroughput": 84375 }"#,
                line("675kbit/s", "1.44Mbit/s", "281.25ms"),
                "write from-cdp 'Slow 4G'",
            ),
            (
                r#"{ "matchedNetworkConditions": [ { "urlPattern": "", "latency": 20, "downloadThroughput": -1, "uploadThroughput": -1 } ] }"#,
                json!({ "both": [delay("10ms")] }),
                "shares one line",
            ),
            (
                r#"{ "offline": true, "latency": 20 }"#,
                json!({ "both": [drop("100%")] }),
                "time out",
            ),
        ],
    );
    are_refused(
        from_cdp,
        &[
            (
                "5G",
                "5G: DevTools and Lighthouse have no preset of that name; write offline, 3G, Slow 3G, Slow 4G, Fast 3G, Fast 4G, mobileSlow4G, mobileRegular3G or desktopDense4G, or the parameters as JSON",
            ),
            ("No throttling", "No throttling: nothing is throttled then, so no profile is needed"),
            ("{}", "nothing is throttled; write a latency in ms, or a throughput in bytes/s"),
            (r#"{ "latency": "5ms" }"#, "latency: it is a number in the protocol; write one"),
            (r#"{ "latency": -5 }"#, "latency: -5 ms is no latency; write 0 to 3600000"),
            (r#"{ "offline": 1 }"#, "offline: write true or false"),
            (
                r#"{ "latency": 5, "packetLoss": 101 }"#,
                "packetLoss: 101 is no share; write 0 to 100",
            ),
            (
                r#"{ "latency": 5, "packetQueueLength": 1.5 }"#,
                "packetQueueLength: it is a number of packets, and 0 for no bound; write 50, say",
            ),
            (
                r#"{ "download": 5 }"#,
                "download: the protocol has no such parameter; it has offline, latency, downloadThroughput, uploadThroughput, connectionType, packetLoss, packetQueueLength or packetReordering",
            ),
            (
                r#"{ "method": "Page.navigate", "params": {} }"#,
                "method: that sets no conditions; write Network.emulateNetworkConditions",
            ),
            (
                r#"{ "method": "Network.emulateNetworkConditions" }"#,
                "params: the message has no parameters; write them as an object",
            ),
            (
                r#"{ "method": "Network.emulateNetworkConditions", "params": { "latency": [] } }"#,
                "params.latency: it is a number in the protocol; write one",
            ),
            (
                r#"{ "matchedNetworkConditions": [ { "urlPattern": "*.png", "latency": 5 } ] }"#,
                "matchedNetworkConditions: a route has one set of conditions for all requests; leave one with an empty urlPattern",
            ),
        ],
    );
}

/// The rules of the line that every scenario has.
fn p2p(limit: &str, packets: u32, one_way: &str) -> Vec<Value> {
    let queue = format!("{packets} packets");
    vec![json!({ "rule": "rate", "limit": limit, "queue": queue, "overhead": 30 }), delay(one_way)]
}

#[test]
fn scenarios_of_the_quic_network_simulator_become_profiles() {
    const LINE: &str = "--delay=15ms --bandwidth=10Mbps --queue=25";
    let line = || p2p("10Mbit/s", 26, "15ms");
    let both = || json!({ "both": line() });
    let with = |up: &[Value], down: &[Value]| {
        let mut value = json!({ "both": line() });
        for (name, rules) in [("up", up), ("down", down)] {
            if !rules.is_empty() {
                value[name] = rules.into();
            }
        }
        value
    };
    let corrupt = |chance: &str| json!({ "rule": "corrupt", "chance": chance, "bytes": 1, "where": { "offset": 0, "length": 51 } });
    let list = |packets: &[u64]| json!({ "rule": "drop", "packets": packets });
    let cuts = |both: &str| {
        let (on, off) = (json!({ "for": "10s" }), json!({ "for": "2s", both: [drop("100%")] }));
        json!([on, off, {}])
    };
    let case = |name: &str, more: &str| format!("{name} {LINE} {more}");
    let cross = |fields: Value| {
        let mut down = vec![fields];
        down.extend(line());
        json!({ "up": line(), "down": down })
    };
    let cases = [
        (case("simple-p2p", ""), both(), "26 wait here"),
        (
            "simple-p2p --delay=0.5 --bandwidth=1MB/s --queue=0".to_owned(),
            json!({ "both": p2p("8Mbit/s", 1, "500ms") }),
            "PPP, IPv4 and UDP",
        ),
        (format!("./run.sh \"simple-p2p {LINE}\""), both(), "overhead"),
        (format!("SCENARIO=\"simple-p2p {LINE}\""), both(), "overhead"),
        (
            case("drop-rate", "--rate_to_client=10 --rate_to_server=20"),
            with(&[drop("20%")], &[drop("10%")]),
            "26 wait",
        ),
        (
            case("drop-rate", "--rate_to_client=0 --rate_to_server=30"),
            with(&[drop("30%")], &[]),
            "26 wait",
        ),
        (
            case("droplist", "--drops_to_client=1,3,4 --drops_to_server=5"),
            with(&[list(&[5])], &[list(&[1, 3, 4])]),
            "come out of the line",
        ),
        (case("droplist", "--drops_to_server=9,2,9"), with(&[list(&[2, 9])], &[]), "counted"),
        (case("droplist", ""), both(), "26 wait"),
        (
            case("corrupt-rate", "--rate_to_client=10 --rate_to_server=20"),
            with(&[corrupt("20%")], &[corrupt("10%")]),
            "Version Negotiation",
        ),
        (
            case("blackhole", "--on=10s --off=2s"),
            json!({ "both": line(), "phases": cuts("both") }),
            "from the first packet",
        ),
        (
            case("blackhole", "--on=10s --off=2s --direction=toclient"),
            json!({ "both": line(), "phases": cuts("down") }),
            "from the first packet",
        ),
        (
            case("blackhole", "--on=10s --off=2s --direction=toserver --repeat=1"),
            json!({ "both": line(), "phases": cuts("up") }),
            "from the first packet",
        ),
        (
            case("tcp-cross-traffic", ""),
            cross(
                json!({ "rule": "cross", "tcp": 1, "model": "reno", "return": "19ms", "access": "100Mbit/s" }),
            ),
            "not ns-3's",
        ),
        (
            case("udp-cross-traffic", "--crossdatarate=2Mbps"),
            cross(json!({ "rule": "cross", "rate": "2Mbit/s", "size": "512B", "start": "20s" })),
            "after 20 s",
        ),
    ];
    let moved = |fields: Value| {
        let mut up = line();
        up.push(fields);
        json!({ "up": up, "down": line() })
    };
    let rebound = [
        (
            case("rebind", "--first-rebind=1s"),
            moved(json!({ "rule": "rebind", "first": "1s" })),
            "each flow has its own",
        ),
        (
            case("rebind", "--first-rebind=500ms --rebind-freq=3s"),
            moved(json!({ "rule": "rebind", "first": "500ms", "every": "3s" })),
            "each flow has its own",
        ),
        (
            case("rebind", "--first-rebind=1 --rebind-freq=0s --rebind-addr"),
            moved(json!({ "rule": "rebind", "first": "1s", "addresses": "127.0.0.0/8" })),
            "the client's network",
        ),
        (
            case("rebind", "--first-rebind=1s --rebind-addr=false"),
            moved(json!({ "rule": "rebind", "first": "1s" })),
            "each flow has its own",
        ),
    ];
    for (text, expected, said) in cases.into_iter().chain(rebound) {
        become_profiles(from_quic_sim, &[(&text, expected, said)]);
    }
    let (value, _) = read("", from_quic_sim(&case("blackhole", "--on=1s --off=500ms --repeat=3")));
    let lengths: Vec<&Value> =
        value["phases"].as_array().unwrap().iter().map(|one| &one["for"]).collect();
    assert_eq!(
        lengths,
        ["1s", "500ms", "1s", "500ms", "1s", "500ms"]
            .map(Value::from)
            .iter()
            .chain([&Value::Null])
            .collect::<Vec<_>>()
    );
    let names = "simple-p2p, drop-rate, droplist, corrupt-rate, blackhole, rebind, tcp-cross-traffic or udp-cross-traffic";
    are_refused(
        from_quic_sim,
        &[
            ("", &format!("scenario: no scenario is here; write {names}")),
            ("p2p", &format!("p2p: the simulator has no such scenario; it has {names}")),
            (
                "simple-p2p --delay=15ms --bandwidth=10Mbps",
                "--queue: simple-p2p needs it; write --queue=25",
            ),
            ("simple-p2p --delay 15ms", "--delay: it takes a value; write --delay=10, say"),
            (
                "simple-p2p --delay=15ms x",
                "x: values stand behind =, without a space; write --delay=15ms, say",
            ),
            (
                "simple-p2p --delay=15mss --bandwidth=1Mbps --queue=5",
                "--delay: \"15mss\" is not a time; write 15ms, say",
            ),
            (
                "simple-p2p --delay=15ms --bandwidth=10mbit --queue=5",
                "--bandwidth: \"10mbit\" is not a rate; write 10Mbps, say",
            ),
            (
                "simple-p2p --delay=15ms --bandwidth=0bps --queue=5",
                "--bandwidth: 0bps is no rate that a line has; write 10Mbps, say",
            ),
            (
                "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25p",
                "--queue: \"25p\" is not a whole number; write 25, say",
            ),
            (
                "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=-1",
                "--queue: a queue holds no fewer than 0 packets",
            ),
            (
                "simple-p2p --delay=1ms --bandwidth=1Mbps --queue=5 --on=2s",
                "--on: simple-p2p has no such option; leave it out",
            ),
            (
                &case("drop-rate", "--rate_to_client=10"),
                "--rate_to_server: drop-rate needs it; write --rate_to_server=10",
            ),
            (
                &case("drop-rate", "--rate_to_client=0.5 --rate_to_server=1"),
                "--rate_to_client: \"0.5\" is not a whole number; write 25, say",
            ),
            (
                &case("drop-rate", "--rate_to_client=101 --rate_to_server=1"),
                "--rate_to_client: 101 is no share of packets; write 0 to 100",
            ),
            (
                &case("droplist", "--drops_to_client=0,1"),
                "--drops_to_client: packets are counted from 1; write 1,3,4, say",
            ),
            (
                &case("blackhole", "--on=1s --off=0s"),
                "--off: a span of no length is none; write 2s, say",
            ),
            (
                &case("blackhole", "--on=1s --off=1s --repeat=0"),
                "--repeat: 0 is out of bounds; write 1 to 4000",
            ),
            (
                &case("blackhole", "--on=1s --off=1s --direction=up"),
                "--direction: \"up\" is no direction; write both, toclient or toserver",
            ),
            (&case("rebind", ""), "--first-rebind: rebind needs it; write --first-rebind=2s"),
            (
                &case("rebind", "--first-rebind=1s --rebind-addr=maybe"),
                "--rebind-addr: \"maybe\" is neither true nor false",
            ),
            (
                &case("udp-cross-traffic", ""),
                "--crossdatarate: udp-cross-traffic needs it; write --crossdatarate=10Mbps",
            ),
        ],
    );
}

/// Words of which lines are made, right and wrong.
const WORDS: &[&str] = &[
    "tcset",
    "comcast",
    "throttle",
    "simple-p2p",
    "drop-rate",
    "droplist",
    "corrupt-rate",
    "blackhole",
    "rebind",
    "tcp-cross-traffic",
    "udp-cross-traffic",
    "eth0",
    "3g",
    "Slow 4G",
    "--delay",
    "--delay=15ms",
    "--bandwidth=10Mbps",
    "--queue=25",
    "--rate",
    "--rate=1Mbps",
    "10Mbps",
    "100ms",
    "-1",
    "1e9",
    "0",
    "9999999999999999999",
    "--loss",
    "1%",
    "--limit",
    "--latency=5",
    "--packet-loss",
    "--target-bw=-5",
    "--up",
    "--down",
    "--rtt",
    "330",
    "--packetLoss",
    "--rate_to_client=10",
    "--rate_to_server=0",
    "--drops_to_client=1,,3",
    "--on=1s",
    "--off=1ns",
    "--repeat=3",
    "--first-rebind=1s",
    "--rebind-freq=3s",
    "--rebind-addr",
    "--crossdatarate=1kbps",
    "--delay-distro=5",
    "--reordering=3",
    "{",
    "}",
    "\"latency\": 5",
    "\"downloadThroughput\": 1e300",
    "\"",
    "'",
    "\\",
    ";",
    "\n",
    "=",
    "--",
    "--=",
    "°",
];

proptest! {
    #[test]
    fn no_line_is_too_strange(line in "\\PC{0,60}", words in prop::collection::vec(prop::sample::select(WORDS), 0..9)) {
        for (tool, reader) in TOOLS {
            for line in [line.clone(), words.join(" "), format!("{tool} {}", words.join(" "))] {
                if let Ok(translation) = reader(&line) {
                    let profile = Profile::from_json(&translation.profile);
                    prop_assert!(profile.is_ok(), "{tool}: {line}: {profile:?}");
                    prop_assert_eq!(profile.unwrap().to_text(), translation.profile);
                }
            }
        }
    }

    #[test]
    fn no_object_is_too_strange(numbers in prop::collection::vec(any::<f64>(), 4), text in "\\PC{0,9}", flag: bool) {
        let values = json!({
            "offline": flag, "latency": numbers[0], "downloadThroughput": numbers[1], "uploadThroughput": numbers[2],
            "packetLoss": numbers[3], "packetQueueLength": numbers[0], "up": numbers[1], "rtt": text,
        });
        let pruned = |keys: &[&str]| {
            let fields = values.as_object().unwrap().iter().filter(|(key, _)| keys.contains(&key.as_str()));
            Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect()).to_string()
        };
        for keys in [&["latency", "downloadThroughput"][..], &["uploadThroughput", "packetLoss", "packetQueueLength"], &["offline"], &["up", "rtt"]] {
            for (_, reader) in TOOLS {
                if let Ok(translation) = reader(&pruned(keys)) {
                    prop_assert!(Profile::from_json(&translation.profile).is_ok());
                }
            }
        }
        let shown = json!({ "eth0": { "outgoing": { text.as_str(): { "delay": text, "rate": numbers[0], "loss": numbers[1] } } } });
        let _ = from_tcset(&shown.to_string());
    }
}
