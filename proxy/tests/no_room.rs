//! Datagrams for whose flow there is no descriptor are counted as everything else. A process of its
//! own, for it lowers its limit.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::net::UdpSocket;
use support::{Log, Running, Tally, assert_conserved, counted, wait_until};

const MANY: u64 = 100_000;

/// Few more than the test has open itself: there is room for a handful of flows.
const DESCRIPTORS: u64 = 60;

/// How many datagrams may be under way to the proxy.
const WINDOW: u64 = 50;

#[test]
fn no_room_for_a_flow() {
    let limit = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let clients: Vec<UdpSocket> =
        (0..30).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let (tally, log) = (Tally::default(), Log::default());
    let mut settings = support::settings(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}", "profile": {{ "up": [
            {{ "rule": "delay", "time": "1h" }} ] }} }}"#,
        server.local_addr().unwrap()
    ));
    settings.events = Some(Box::new(log.clone()));
    settings.sinks = vec![Box::new(tally.clone())];
    let proxy = Running::with(settings);
    let address = proxy.address(Transport::Udp);
    // A flow with a packet inside is not closed to make room.
    let mut flows = 0;
    let refused = clients.iter().any(|client| {
        client.send_to(b"hold", address).unwrap();
        let fates = || {
            let summary = proxy.control.counters().unwrap();
            let held = summary.link("1", Transport::Udp, Direction::Up).unwrap().held as usize;
            (held, summary.socket_count("1", Transport::Udp, "no_room") > 0)
        };
        wait_until("a fate", || fates().0 > flows || fates().1);
        flows = fates().0;
        fates().1
    });
    assert!(refused && (3..=20).contains(&flows), "{flows} flows");
    for sent in 0..MANY {
        wait_until("a fate", || tally.total() + WINDOW >= sent);
        clients[flows + sent as usize % 10].send_to(b"no room", address).unwrap();
    }
    wait_until("the last fate", || tally.total() == MANY + 1);
    proxy.control.stop_within(std::time::Duration::ZERO);
    let summary = proxy.stop();
    assert_conserved(&summary);
    assert_eq!(tally.fates(), counted(&summary), "the sink and the counters");
    assert_eq!(log.fates(), counted(&summary), "the event log and the counters");
    let link = summary.link("1", Transport::Udp, Direction::Up).unwrap();
    assert_eq!((link.entered, link.held), (MANY + 1 + flows as u64, flows as u64), "{link:?}");
    assert_eq!(link.discarded["no_room"], MANY + 1, "{link:?}");
    assert_eq!(link.bytes_in, 7 * MANY + 4 * (flows as u64 + 1));
    assert_eq!(summary.socket_count("1", Transport::Udp, "no_room"), MANY + 1);
}
