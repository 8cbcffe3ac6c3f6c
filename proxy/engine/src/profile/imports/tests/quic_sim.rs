//! Scenarios of quic-network-simulator.

use super::{are_refused, become_profiles, delay, drop, read};
use crate::profile::imports::from_quic_sim;
use serde_json::{Value, json};

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
