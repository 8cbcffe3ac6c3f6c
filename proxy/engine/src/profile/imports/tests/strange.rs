//! Whatever is read, it becomes a profile that is right, or an error.

use super::TOOLS;
use crate::profile::Profile;
use crate::profile::imports::from_tcset;
use proptest::prelude::*;
use serde_json::{Value, json};

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
