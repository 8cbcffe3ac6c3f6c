//! Lines of `tcset`, and what `tcshow` prints.

use super::{are_refused, become_profiles, delay, drop, netem_rate, read};
use crate::profile::imports::from_tcset;
use serde_json::{Value, json};

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
