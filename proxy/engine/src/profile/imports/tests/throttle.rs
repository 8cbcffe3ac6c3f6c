//! Lines and objects of throttle.

use super::{are_refused, become_profiles, delay, drop, netem_rate};
use crate::profile::imports::from_throttle;
use crate::profile::no_files;
use serde_json::json;

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
