//! The route files in `configs/proxies/` do to their systems what they say.

use crate::proxy_support::Jostle;
use crate::support::{Run, Server, bytes, client, client_fed, folder_with};
use jostle_common::statistics::{Z_999, proportion_margin};
use serde_json::Value;

/// The proxy with the weather of `configs/proxies/NAME.json`, in front of this server, on a port of
/// its own.
fn behind(name: &str, scheme: &str, server: &Server) -> (Jostle, String) {
    let file = format!("{}/../configs/proxies/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut configuration: Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let route = &mut configuration["proxies"][0];
    assert_eq!(route["name"], name);
    route["listen"] = format!("{scheme}://127.0.0.1:0").into();
    route["upstream"] = server.address.to_string().into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("route.json");
    std::fs::write(&path, configuration.to_string()).unwrap();
    let proxy = Jostle::start(&["--config", path.to_str().unwrap()], 1);
    let address = proxy.address(scheme).to_string();
    (proxy, address)
}

fn count(run: &Run, name: &str) -> u64 {
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run.summary[name].as_u64().unwrap()
}

#[test]
fn ping_meets_a_bad_radio_link() {
    const COUNT: u64 = 1000;
    let server = Server::start(&["ping"]);
    let (proxy, address) = behind("ping", "udp", &server);
    let run = client(&["ping", &address, "--count", &COUNT.to_string(), "--interval", "2ms"]);
    // A datagram that gets there, nine in ten, is answered once or, three in a hundred times,
    // twice; an answer gets back whole with 0.9·0.98.
    let back: f64 = 0.9 * 0.98;
    let expected = 1.0 - 0.9 * (0.97 * back + 0.03 * (1.0 - (1.0 - back).powi(2)));
    let margin = proportion_margin(expected, COUNT as f64, 0.0, Z_999);
    let loss = run.summary["loss"].as_f64().unwrap();
    assert!((loss - expected).abs() < margin, "{loss} is not {expected} ± {margin}");
    assert!(count(&run, "doubled") > 0 && count(&run, "damaged") > 0, "{}", run.summary);
    let rtt = |name: &str| run.summary["rtt_ms"][name].as_f64().unwrap();
    assert!(rtt("min") >= 5.0 && rtt("p95") - rtt("min") > 10.0, "{}", run.summary);
    proxy.stop().assert_conserved();
}

#[test]
fn the_clock_is_asked_over_ways_of_different_length() {
    let server = Server::start(&["clock"]);
    let (_proxy, address) = behind("clock", "tcp", &server);
    let run = client(&["clock", &address, "--count", "20"]);
    assert_eq!(count(&run, "answered"), 20);
    // The handshake is in the first round trip.
    let answers: Vec<_> =
        run.lines.iter().filter(|line| line["event"] == "answer").skip(1).collect();
    let offsets = answers.iter().map(|answer| answer["offset_ms"].as_f64().unwrap());
    let mean = offsets.sum::<f64>() / answers.len() as f64;
    assert!((18.0..32.0).contains(&mean), "{mean} ms is not about 25 ms");
    let best = &run.summary["best"];
    assert!(
        best["rtt_ms"].as_f64().unwrap() < 70.0 && best["interval_ms"][0].as_f64().unwrap() <= 0.0,
        "{best}"
    );
}

#[test]
fn echo_loses_lines_over_udp_and_time_over_tcp() {
    let lines: String = (1..=150).map(|number| format!("line {number} of the song\n")).collect();
    let talk = |over: &str| {
        let server = Server::start(&["echo", "--over", over]);
        let (_proxy, address) = behind("echo", over, &server);
        client_fed(&["echo", &address, "--over", over], lines.as_bytes())
    };
    let udp = talk("udp");
    let [sent, intact, damaged, missing] =
        ["sent", "intact", "damaged", "missing"].map(|name| count(&udp, name));
    assert_eq!((sent, intact + damaged + missing), (150, 150));
    assert!(missing > 10 && damaged > 0 && count(&udp, "doubled") > 0, "{}", udp.summary);
    let tcp = talk("tcp");
    assert_eq!((count(&tcp, "sent"), count(&tcp, "intact")), (150, 150));
    let slowest = tcp.summary["rtt_ms"]["max"].as_f64().unwrap();
    assert!(slowest > 60.0, "what is lost costs at least a round trip more: {}", tcp.summary);
}

#[test]
fn saw_gets_its_file_through_half_of_all_requests_lost() {
    let (folder, song) = folder_with("song.mp3", 200_000);
    let server = Server::start(&["saw", song.to_str().unwrap()]);
    let (proxy, address) = behind("saw", "udp", &server);
    let out = folder.path().join("received.mp3");
    let run = client(&["saw", &address, "-o", out.to_str().unwrap()]);
    assert_eq!(count(&run, "packets"), 49);
    assert_eq!(std::fs::read(out).unwrap(), bytes(200_000));
    // 49 successes at 0.5·(0.9·0.9, or one of two copies) each. A timeout that comes too soon under
    // load only adds attempts, so the upper bound is wide; 49 and three standard deviations of the
    // negative binomial are the lower one.
    let requests = count(&run, "requests");
    assert!((80..300).contains(&requests), "{}", run.summary);
    assert!(count(&run, "damaged") > 0 && count(&run, "duplicates") > 0, "{}", run.summary);
    proxy.stop().assert_conserved();
}

#[test]
fn a_file_has_holes_over_udp_and_is_whole_over_tcp() {
    let (folder, song) = folder_with("song.mp3", 800_000);
    let incoming = folder.path().join("in");
    let send = |over: &str| {
        let server = Server::start(&["file", "--over", over, "--dir", incoming.to_str().unwrap()]);
        let (proxy, address) = behind("file", over, &server);
        let run = client(&["file", &address, song.to_str().unwrap(), "--over", over]);
        proxy.stop().assert_conserved();
        run
    };
    let udp = send("udp");
    let [chunks, intact, damaged, missing] =
        ["packets", "intact", "damaged", "missing"].map(|name| count(&udp, name));
    assert_eq!((chunks, intact + damaged + missing), (196, 196));
    // 3 % of 196 are six; 0 and 17 are each less likely than 1 in 300.
    assert!((1..17).contains(&missing) && damaged < 12, "{}", udp.summary);
    assert!(count(&udp, "doubled") > 0 && count(&udp, "late") > 0, "{}", udp.summary);
    let tcp = send("tcp");
    assert_eq!(count(&tcp, "size"), 800_000);
    assert_eq!(std::fs::read(incoming.join("received-2.mp3")).unwrap(), bytes(800_000));
}

#[test]
fn messages_arrive_once_and_in_order_through_a_mangled_stream() {
    let mut server = Server::start(&["messages"]);
    let (proxy, address) = behind("messages", "tcp", &server);
    let lines: String = (0..60).map(|number| format!("verse {number}\n")).collect();
    let run = client_fed(&["messages", &address, "--quiet"], lines.as_bytes());
    assert_eq!(count(&run, "acknowledged"), 60);
    assert!(count(&run, "resends") > 30, "{}", run.summary);
    for number in 0..60 {
        assert_eq!(server.line()["message"], format!("verse {number}"));
    }
    proxy.stop().assert_conserved();
}
