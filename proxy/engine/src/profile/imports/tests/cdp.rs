//! Conditions of Chrome's protocol.

use super::{are_refused, become_profiles, delay, drop};
use crate::profile::imports::from_cdp;
use serde_json::json;

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
