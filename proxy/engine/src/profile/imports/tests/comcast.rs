//! Lines of Comcast.

use super::{are_refused, become_profiles, delay, drop, netem_rate};
use crate::profile::imports::from_comcast;
use serde_json::{Value, json};

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
