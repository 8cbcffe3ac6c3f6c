//! Flows that leave from fresh sockets: each datagram from the socket of its time, what comes to
//! the old one as the rule says, and nothing lost of what happens.

use crate::support::{self, Log, PATIENCE, Running, wait_until};
use crate::{assert_conserved, client, links, receive, socket};
use jostle_common::transport::Transport;
use jostle_proxy::{FlowState, OrderError, RouteId};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A proxy in front of `upstream` with these rules up, and its event log.
fn start(upstream: SocketAddr, rules: &str, more: &str, portable: bool) -> (Running, Log) {
    let mut settings = support::settings(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{upstream}", "profile": {{ "up": [ {rules} ] }} {more} }}"#
    ));
    settings.portable = portable;
    let log = Log::default();
    settings.events = Some(Box::new(log.clone()));
    (Running::with(settings), log)
}

fn route(proxy: &Running) -> RouteId {
    proxy.control.routes().unwrap()[0].id
}

/// The only flow, once its first datagram has been read.
fn flow(proxy: &Running) -> FlowState {
    let only = || proxy.control.flows(route(proxy), 0).unwrap().flows.pop();
    wait_until("the flow", || only().is_some());
    only().expect("it is not forgotten")
}

fn receive_from(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).expect("something comes");
    buffer.truncate(length);
    (buffer, from)
}

fn addresses(line: &Value) -> (SocketAddr, SocketAddr) {
    let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
    (address("from"), address("to"))
}

/// Where each datagram comes from agrees with the times in the event log, however late the loop
/// was.
#[test]
fn each_datagram_leaves_from_the_socket_of_its_time() {
    const WINDOW: u32 = 20;
    for (portable, more) in [(false, ""), (true, ""), (false, r#", "follow": true"#)] {
        let server = socket("127.0.0.1:0");
        let rules = r#"{ "rule": "rebind", "first": "30ms", "every": "20ms" },
                       { "rule": "delay", "time": "15ms", "jitter": "5ms" }"#;
        let (proxy, log) = start(server.local_addr().unwrap(), rules, more, portable);
        let client = client(proxy.address(Transport::Udp));
        let mut came = BTreeMap::new();
        let mut receive = || {
            let (bytes, from) = receive_from(&server);
            let number = u32::from_be_bytes(bytes.as_slice().try_into().unwrap());
            assert_eq!(came.insert(u64::from(number), from), None, "each once");
        };
        let mut sent = 0u32;
        while sent < WINDOW || flow(&proxy).rebinds < 6 {
            sent += 1;
            client.send(&sent.to_be_bytes()).unwrap();
            if sent > WINDOW {
                receive();
            }
        }
        (0..WINDOW).for_each(|_| receive());
        let summary = proxy.stop();
        assert_conserved(&summary);
        let lines = log.lines();
        let changes: Vec<&Value> = lines.iter().filter(|line| line["event"] == "rebind").collect();
        let rebinds = summary.socket_count("1", Transport::Udp, "rebinds");
        assert_eq!(changes.len() as u64, rebinds);
        assert!(rebinds >= 6, "{rebinds}");
        assert_eq!(summary.socket_count("1", Transport::Udp, "rebinds_failed"), 0);
        let time = |line: &Value| line["t"].as_f64().unwrap();
        for (one, next) in changes.iter().zip(&changes[1..]) {
            assert_eq!(addresses(one).1, addresses(next).0, "one after the other");
            assert!(time(next) - time(one) >= 0.0099, "{one} {next}");
        }
        let first = addresses(changes[0]).0;
        let is_sent = |line: &&Value| line["fate"] == "delivered";
        assert_eq!(lines.iter().filter(is_sent).count(), came.len());
        for line in lines.iter().filter(is_sent) {
            let from = came[&line["packet"].as_u64().unwrap()];
            let before = changes.iter().take_while(|change| time(change) <= time(line)).last();
            let expected = before.map_or(first, |change| addresses(change).1);
            // A socket that is bound to all addresses is logged as such.
            assert_eq!(from.port(), expected.port(), "{line}");
        }
        assert_eq!(came.len(), sent as usize);
    }
}

#[test]
fn what_comes_to_the_old_socket_is_dropped_or_delivered() {
    for (old, portable) in [("drop", false), ("deliver", false), ("drop", true), ("deliver", true)]
    {
        let server = socket("127.0.0.1:0");
        let rules = format!(r#"{{ "rule": "rebind", "first": "10ms", "old": "{old}" }}"#);
        let (proxy, _) = start(server.local_addr().unwrap(), &rules, "", portable);
        let client = client(proxy.address(Transport::Udp));
        client.send(b"first").unwrap();
        let (_, before) = receive_from(&server);
        wait_until("the fresh socket", || flow(&proxy).rebinds == 1);
        server.send_to(b"late", before).unwrap();
        client.send(b"second").unwrap();
        let (bytes, after) = receive_from(&server);
        assert_eq!((bytes.as_slice(), before == after), (&b"second"[..], false));
        assert_eq!((before.ip(), flow(&proxy).local), (after.ip(), Some(after)));
        server.send_to(b"prompt", after).unwrap();
        let delivers = old == "deliver";
        if delivers {
            let both = [receive(&client), receive(&client)];
            assert!(both.contains(&b"late".to_vec()) && both.contains(&b"prompt".to_vec()));
        } else {
            assert_eq!(receive(&client), b"prompt");
            wait_until("the one that was late", || {
                let summary = proxy.control.counters().unwrap();
                links(&summary)[1].discarded.get("old_address") == Some(&1)
            });
        }
        let summary = proxy.stop();
        assert_conserved(&summary);
        let dropped = links(&summary)[1].discarded.get("old_address").copied().unwrap_or(0);
        assert_eq!((dropped, links(&summary)[1].entered), (u64::from(!delivers), 2));
        assert_eq!(summary.socket_count("1", Transport::Udp, "old_address"), dropped);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_flow_takes_another_address_of_the_machine() {
    let server = socket("127.0.0.1:0");
    let rules =
        r#"{ "rule": "rebind", "every": "10ms", "addresses": ["127.0.0.77", "127.0.0.78"] }"#;
    let (proxy, log) = start(server.local_addr().unwrap(), rules, "", false);
    let client = client(proxy.address(Transport::Udp));
    let mut seen = Vec::new();
    let begun = Instant::now();
    while seen.len() < 3 {
        assert!(begun.elapsed() < PATIENCE, "{seen:?}");
        client.send(b"x").unwrap();
        let (_, from) = receive_from(&server);
        if seen.last() != Some(&from.ip().to_string()) {
            seen.push(from.ip().to_string());
        }
    }
    assert_eq!(seen[0], "127.0.0.1");
    assert!(seen[1..].iter().all(|ip| ip.starts_with("127.0.0.7")), "{seen:?}");
    let summary = proxy.stop();
    assert_conserved(&summary);
    let lines = log.lines();
    let taken: Vec<String> = lines
        .iter()
        .filter(|line| line["event"] == "rebind")
        .map(|line| addresses(line).1.ip().to_string())
        .collect();
    let expected = ["127.0.0.77", "127.0.0.78"].iter().cycle();
    assert!(taken.iter().zip(expected).all(|(taken, expected)| taken == expected), "{taken:?}");
}

#[test]
fn addresses_that_the_machine_does_not_have_are_refused() {
    let server = socket("127.0.0.1:0");
    // Set aside for documents (RFC 5737): nobody has it.
    let rules = r#"{ "rule": "rebind", "first": "1s", "addresses": ["192.0.2.1"] }"#;
    let wrong = format!(
        r#"{{ "name": "wrong", "listen": "udp://127.0.0.1:0", "upstream": "{}", "profile": {{ "up": [ {rules} ] }} }}"#,
        server.local_addr().unwrap()
    );
    let (proxy, _) = start(server.local_addr().unwrap(), "", "", false);
    let refused = |error: OrderError| {
        let text = error.to_string();
        let expected = "rule \"rebind\" leaves from 192.0.2.1, which this machine does not have";
        assert!(text.contains(expected), "{text}");
    };
    let wrong = support::route(&wrong);
    refused(proxy.control.add(wrong.clone()).unwrap_err());
    refused(proxy.control.set_profile(route(&proxy), wrong.profile.clone()).unwrap_err());
    let (first, patience) = (route(&proxy), Duration::from_secs(1));
    refused(proxy.control.replace(first, wrong, patience).unwrap_err());
    let routes = proxy.control.routes().unwrap();
    assert!(routes.len() == 1 && routes[0].route.profile.is_empty(), "nothing has changed");
}

#[test]
fn rules_that_are_off_rebind_nothing_and_a_live_rule_does_at_once() {
    let server = socket("127.0.0.1:0");
    let rules = r#"{ "rule": "rebind", "every": "10ms" }"#;
    let (proxy, _) = start(server.local_addr().unwrap(), rules, "", false);
    proxy.control.switch_rules(false).unwrap();
    let client = client(proxy.address(Transport::Udp));
    let begun = Instant::now();
    let mut ports = BTreeSet::new();
    while begun.elapsed() < Duration::from_millis(50) {
        client.send(b"x").unwrap();
        ports.insert(receive_from(&server).1.port());
    }
    assert_eq!((ports.len(), flow(&proxy).rebinds), (1, 0));
    // Without times it is once, when it comes.
    let once = support::rules(r#"{ "rule": "rebind" }"#);
    let profile = jostle_engine::profile::Profile {
        up: jostle_engine::profile::Timeline::constant(once),
        ..Default::default()
    };
    proxy.control.set_profile(route(&proxy), profile).unwrap();
    assert_eq!(flow(&proxy).rebinds, 0, "rules are off");
    proxy.control.switch_rules(true).unwrap();
    wait_until("the fresh socket", || flow(&proxy).rebinds == 1);
    client.send(b"x").unwrap();
    assert!(ports.insert(receive_from(&server).1.port()));
}

#[test]
fn a_route_that_drains_sends_what_it_has_and_closes_all_sockets() {
    let server = socket("127.0.0.1:0");
    let rules = r#"{ "rule": "rebind", "every": "10ms", "old": "deliver" },
                   { "rule": "delay", "time": "60ms" }"#;
    let (proxy, _) = start(server.local_addr().unwrap(), rules, "", false);
    let client = client(proxy.address(Transport::Udp));
    client.send(&[0]).unwrap();
    receive_from(&server);
    wait_until("some fresh sockets", || flow(&proxy).rebinds >= 6);
    (1..=20).for_each(|number| assert_eq!(client.send(&[number]).unwrap(), 1));
    wait_until("all of them", || links(&proxy.control.counters().unwrap())[0].entered == 21);
    proxy.control.remove(route(&proxy), PATIENCE).unwrap();
    let all: Vec<u8> = (1..=20).map(|_| receive_from(&server).0[0]).collect();
    assert_eq!(all, (1..=20).collect::<Vec<u8>>());
    let summary = proxy.stop();
    assert_conserved(&summary);
    assert_eq!(links(&summary)[0].delivered, 21);
}
