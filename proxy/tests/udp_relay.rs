//! What a UDP route promises: datagrams cross whole, each is accounted for, and flows keep to their
//! clients.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

#[path = "udp_relay/ecn.rs"]
#[cfg(target_os = "linux")]
mod ecn;
#[path = "udp_relay/rebind.rs"]
mod rebind;
#[path = "udp_relay/scenarios.rs"]
mod scenarios;
#[path = "udp_relay/socks.rs"]
mod socks;
mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{LinkSummary, Summary};
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use support::{PATIENCE, Running, vacant_address};

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client socket that sends to the proxy.
fn client(proxy: SocketAddr) -> UdpSocket {
    let client = socket(if proxy.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
    client.connect(proxy).unwrap();
    client
}

fn start(listen: &str, upstream: SocketAddr, more: &str, portable: bool) -> Running {
    let mut settings = support::settings(&format!(
        r#"{{ "listen": "{listen}", "upstream": "{upstream}" {more} }}"#
    ));
    settings.portable = portable;
    Running::with(settings)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let length = socket.recv(&mut buffer).expect("something comes");
    buffer.truncate(length);
    buffer
}

/// All that comes until `until` does.
fn receive_until(socket: &UdpSocket, until: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let datagram = receive(socket);
        if datagram == until {
            return all;
        }
        all.push(datagram);
    }
}

fn links(summary: &Summary) -> [&LinkSummary; 2] {
    Direction::BOTH.map(|direction| summary.link("1", Transport::Udp, direction).unwrap())
}

fn assert_conserved(summary: &Summary) {
    for link in &summary.links {
        assert_eq!(
            link.entered + link.copies,
            link.delivered + link.discarded_total() + link.held,
            "{link:?}"
        );
    }
}

#[test]
fn datagrams_of_all_sizes_cross_whole_and_apart() {
    for portable in [false, true] {
        let server = socket("127.0.0.1:0");
        let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), "", portable);
        let client = client(proxy.address(Transport::Udp));
        // Runs of equal size, empty ones, and the largest.
        let mut sent: Vec<Vec<u8>> = Vec::new();
        for size in [1, 1200, 1200, 1200, 0, 0, 700, 1200, 65_507, 1472] {
            sent.push(vec![sent.len() as u8; size]);
            client.send(sent.last().unwrap()).unwrap();
        }
        client.send(b"last").unwrap();
        assert!(receive_until(&server, b"last") == sent, "portable: {portable}");
        let (length, peer) = {
            client.send(b"who").unwrap();
            server.recv_from(&mut [0; 10]).unwrap()
        };
        assert_eq!(length, 3);
        for datagram in &sent {
            server.send_to(datagram, peer).unwrap();
        }
        server.send_to(b"last", peer).unwrap();
        assert!(receive_until(&client, b"last") == sent, "portable: {portable}");
        let summary = proxy.stop();
        let [up, down] = links(&summary);
        assert_eq!((up.entered, up.delivered, down.entered, down.delivered), (12, 12, 11, 11));
        assert_eq!(up.bytes_in, up.bytes_out);
        assert_eq!(summary.socket_count("1", Transport::Udp, "flows"), 1);
        assert_conserved(&summary);
    }
}

#[test]
fn each_client_gets_its_own_answers() {
    let server = socket("127.0.0.1:0");
    let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), "", false);
    let clients: Vec<UdpSocket> = (0..50).map(|_| client(proxy.address(Transport::Udp))).collect();
    for round in 0..3u8 {
        let mut peers = BTreeSet::new();
        for (number, client) in clients.iter().enumerate() {
            client.send(&[number as u8, round]).unwrap();
        }
        for _ in &clients {
            let mut buffer = [0; 10];
            let (length, peer) = server.recv_from(&mut buffer).unwrap();
            peers.insert(peer);
            server.send_to(&buffer[..length], peer).unwrap();
        }
        assert_eq!(peers.len(), clients.len(), "one upstream socket per client");
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(receive(client), [number as u8, round]);
        }
    }
    assert_eq!(proxy.stop().socket_count("1", Transport::Udp, "flows"), 50);
}

/// Waits would be seen that are a thousand times as long as usual.
#[test]
fn only_what_keeps_coming_fast_waits_to_be_read_with_others() {
    let server = socket("127.0.0.1:0");
    let mut settings = support::settings(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}" }}"#,
        server.local_addr().unwrap()
    ));
    settings.coalesce = Duration::from_millis(50);
    let proxy = Running::with(settings);
    let client = client(proxy.address(Transport::Udp));
    let exchange = |count: u32| {
        let begun = Instant::now();
        for number in 0..count {
            client.send(&number.to_be_bytes()).unwrap();
            let (mut buffer, number) = ([0; 4], number.to_be_bytes());
            loop {
                let (_, peer) = server.recv_from(&mut buffer).unwrap();
                if buffer == number {
                    server.send_to(&buffer, peer).unwrap();
                    break;
                }
            }
            while receive(&client) != number {}
        }
        begun.elapsed()
    };
    // A hundred that waited would take five seconds each way.
    let slow = exchange(100);
    assert!(slow < Duration::from_secs(4), "{slow:?}");
    // As fast as can be, for some time, so that some may wait.
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_millis(200) {
        client.send(&u32::MAX.to_be_bytes()).unwrap();
        sent += 1;
    }
    // The server's buffer does not hold all of them, and the last ones come behind a wait.
    server.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while server.recv(&mut [0; 4]).is_ok() {}
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let slow = exchange(100);
    assert!(slow < Duration::from_secs(4), "{slow:?}");
    let summary = proxy.stop();
    let [up, down] = links(&summary);
    let (missed, entered) = (up.missed_by_kernel.unwrap_or(0), up.entered);
    assert_eq!((entered + missed, down.entered), (200 + sent, 200));
    assert_eq!(up.delivered, entered);
    assert_conserved(&summary);
}

/// The datagrams that arrive of 500 numbered ones, and the summary.
fn numbered(profile: &str, portable: bool) -> (Vec<Vec<u8>>, Summary) {
    let server = socket("127.0.0.1:0");
    let (address, end) = (server.local_addr().unwrap(), socket("127.0.0.1:0"));
    let more = format!(r#", "profile": {profile}"#);
    let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), &more, portable);
    let client = client(proxy.address(Transport::Udp));
    let mut arrived = Vec::new();
    for number in 1..=500u16 {
        client.send(&number.to_be_bytes()).unwrap();
        // No socket's buffer holds 500 datagrams: these are read before there are more.
        if number % 50 == 0 {
            support::wait_until("the fate of each", || {
                let counters = proxy.control.counters().unwrap();
                links(&counters)[0].entered == u64::from(number) && links(&counters)[0].held == 0
            });
            end.send_to(b"stop", address).unwrap();
            arrived.extend(receive_until(&server, b"stop"));
        }
    }
    let summary = proxy.stop();
    assert_conserved(&summary);
    (arrived, summary)
}

#[test]
fn counters_say_what_the_receiver_sees_and_the_seed_repeats_it() {
    let profile = r#"{ "up": [ { "rule": "drop", "chance": "10%" },
        { "rule": "duplicate", "chance": "10%" },
        { "rule": "corrupt", "chance": "10%" }, { "rule": "delay", "time": "5ms" } ] }"#;
    let (arrived, summary) = numbered(profile, false);
    let [up, _] = links(&summary);
    assert_eq!((up.entered, up.missed_by_kernel, up.held), (500, Some(0), 0));
    assert_eq!(up.delivered, arrived.len() as u64);
    assert_eq!(up.discarded.get("drop"), Some(&up.discarded_total()));
    // 50 expected, sd 6.7; five of them.
    assert!((17..=83).contains(&up.discarded_total()), "{up:?}");
    assert!((17..=83).contains(&up.copies), "{up:?}");
    assert!((17..=83).contains(&up.corrupted), "{up:?}");
    for portable in [false, true] {
        let (again, other) = numbered(profile, portable);
        assert!(again == arrived, "portable: {portable}");
        let [other, _] = links(&other);
        let counts = |link: &LinkSummary| {
            (link.entered, link.copies, link.delivered, link.discarded.clone(), link.corrupted)
        };
        assert_eq!(counts(other), counts(up), "portable: {portable}");
    }
}

#[test]
fn the_rules_can_be_switched_off_and_on() {
    let server = socket("127.0.0.1:0");
    let profile = r#", "profile": { "up": [ { "rule": "drop", "chance": "100%" } ] }"#;
    let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), profile, false);
    let client = client(proxy.address(Transport::Udp));
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let arrives = |text: &[u8]| {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            client.send(text).unwrap();
            let mut buffer = [0; 10];
            if let Ok(length) = server.recv(&mut buffer)
                && &buffer[..length] == text
            {
                return true;
            }
            if text == b"lost" {
                return false;
            }
        }
        false
    };
    assert!(!arrives(b"lost"));
    assert!(!proxy.control.toggle(), "they are off now");
    assert!(arrives(b"passes"));
    assert!(proxy.control.toggle(), "they are on now");
    // Until the loop has seen it.
    while server.recv(&mut [0; 10]).is_ok() {}
    let begun = Instant::now();
    while arrives(b"lost") {
        assert!(begun.elapsed() < PATIENCE);
    }
    let summary = proxy.stop();
    let [up, _] = links(&summary);
    assert!(up.delivered >= 1 && up.discarded_total() >= 2, "{up:?}");
}

#[test]
fn idle_flows_are_forgotten_but_not_with_packets_inside() {
    let server = socket("127.0.0.1:0");
    let more = r#", "idle": "1s", "profile": { "up": [ { "rule": "delay", "time": "1500ms" } ] }"#;
    let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), more, false);
    let client = client(proxy.address(Transport::Udp));
    client.send(b"slow").unwrap();
    let mut buffer = [0; 10];
    let (_, first) = server.recv_from(&mut buffer).unwrap();
    server.send_to(b"answer", first).unwrap();
    assert_eq!(receive(&client), b"answer", "the flow outlived its idle time");
    support::wait_until("its idle time", || {
        let counters = proxy.control.counters().unwrap();
        counters.socket_count("1", Transport::Udp, "flows_idle") == 1
    });
    client.send(b"again").unwrap();
    let (_, second) = server.recv_from(&mut buffer).unwrap();
    assert_ne!(first, second, "a new flow");
    let summary = proxy.stop();
    assert_eq!(summary.socket_count("1", Transport::Udp, "flows"), 2);
    assert_eq!(summary.socket_count("1", Transport::Udp, "flows_idle"), 1);
}

#[test]
fn an_earlier_refusal_costs_no_datagram() {
    for portable in [false, true] {
        let address = vacant_address();
        let server = socket(&address.to_string());
        let more = r#", "profile": { "up": [ { "rule": "delay", "time": "30ms" } ] }"#;
        let proxy = start("udp://127.0.0.1:0", address, more, portable);
        let client = client(proxy.address(Transport::Udp));
        drop(server);
        client.send(b"refused").unwrap();
        support::wait_until("the one to leave", || {
            links(&proxy.control.counters().unwrap())[0].delivered == 1
        });
        let server = socket(&address.to_string());
        client.send(b"one").unwrap();
        client.send(b"two").unwrap();
        assert_eq!(receive(&server), b"one", "portable: {portable}");
        assert_eq!(receive(&server), b"two", "portable: {portable}");
        let summary = proxy.stop();
        assert_eq!(
            summary.socket_count("1", Transport::Udp, "refused_by_upstream"),
            1,
            "portable: {portable}"
        );
    }
}

#[test]
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let server = socket("127.0.0.1:0");
    let proxy = start("udp://0.0.0.0:0", server.local_addr().unwrap(), "", false);
    let port = proxy.address(Transport::Udp).port();
    // A client that asks two addresses of the proxy has two flows; a connected socket takes no
    // answer from a wrong address.
    let client = socket("127.0.0.1:0");
    let mut peers = Vec::new();
    for asked in ["127.0.0.2", "127.0.0.3"] {
        client.connect((asked, port)).unwrap();
        client.send(asked.as_bytes()).unwrap();
        let mut buffer = [0; 20];
        let (length, peer) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], peer).unwrap();
        assert_eq!(receive(&client), asked.as_bytes());
        peers.push(peer);
    }
    assert_ne!(peers[0], peers[1]);
}

#[test]
fn ipv6_and_localhost_work() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    let server = socket("[::1]:0");
    for portable in [false, true] {
        let proxy = start("udp://localhost:0", server.local_addr().unwrap(), "", portable);
        let addresses: Vec<SocketAddr> =
            proxy.listeners.iter().map(|listener| listener.address).collect();
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses[0].port(), addresses[1].port(), "one port number");
        for address in addresses {
            let client = client(address);
            client.send(b"hello").unwrap();
            let mut buffer = [0; 20];
            let (length, peer) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..length], peer).unwrap();
            assert_eq!(receive(&client), b"hello", "{address}");
        }
    }
}

#[test]
fn follow_takes_answers_from_other_ports_of_the_upstream_only() {
    for portable in [false, true] {
        let server = socket("127.0.0.1:0");
        let (other_port, other_host) = (socket("127.0.0.1:0"), socket("127.0.0.9:0"));
        let proxy = start(
            "udp://127.0.0.1:0",
            server.local_addr().unwrap(),
            r#", "follow": true"#,
            portable,
        );
        let client = client(proxy.address(Transport::Udp));
        client.send(b"read file").unwrap();
        let (_, peer) = server.recv_from(&mut [0; 20]).unwrap();
        let peer = SocketAddr::new([127, 0, 0, 1].into(), peer.port());
        other_host.send_to(b"foreign", peer).unwrap();
        other_port.send_to(b"block 1", peer).unwrap();
        assert_eq!(receive(&client), b"block 1");
        client.send(b"ack 1").unwrap();
        assert_eq!(receive(&other_port), b"ack 1", "the answer goes to the port that spoke last");
        let summary = proxy.stop();
        assert_eq!(summary.socket_count("1", Transport::Udp, "foreign"), 1);
    }
}

#[test]
fn what_is_inside_is_delivered_before_the_end() {
    let server = socket("127.0.0.1:0");
    let more = r#", "profile": { "up": [ { "rule": "delay", "time": "300ms" } ] }"#;
    let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), more, false);
    client(proxy.address(Transport::Udp)).send(b"late").unwrap();
    support::wait_until("it to be inside", || {
        links(&proxy.control.counters().unwrap())[0].held == 1
    });
    let summary = proxy.stop();
    assert_eq!(links(&summary)[0].delivered, 1);
    assert_eq!(receive(&server), b"late");
    // More than two seconds are not waited for.
    let more = r#", "profile": { "up": [ { "rule": "delay", "time": "1h" } ] }"#;
    let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), more, false);
    client(proxy.address(Transport::Udp)).send(b"never").unwrap();
    support::wait_until("it to be inside", || {
        links(&proxy.control.counters().unwrap())[0].held == 1
    });
    let begun = Instant::now();
    let summary = proxy.stop();
    assert!((1.9..3.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    assert_eq!(links(&summary)[0].held, 1);
    assert_conserved(&summary);
}

#[test]
fn what_clients_send_by_turns_arrives_by_turns() {
    const CLIENTS: usize = 10;
    const BURSTS: usize = 40;
    for (profile, portable) in [
        ("", false),
        ("", true),
        (r#", "profile": { "up": [ { "rule": "delay", "time": "5ms" } ] }"#, false),
        (
            r#", "profile": { "up": [ { "rule": "rate", "limit": "200Mbit/s", "queue": "1s" } ] }"#,
            false,
        ),
    ] {
        let server = socket("127.0.0.1:0");
        let proxy = start("udp://127.0.0.1:0", server.local_addr().unwrap(), profile, portable);
        let address = proxy.address(Transport::Udp);
        let clients: Vec<UdpSocket> = (0..CLIENTS).map(|_| client(address)).collect();
        let (mut sent, mut back) = (0u32, 0u32);
        for burst in 0..BURSTS {
            // One after the other, and now and then two of one client.
            let mut due = Vec::new();
            for place in 0..100 {
                let who = (place + place / 7 + burst) % CLIENTS;
                clients[who].send(&sent.to_be_bytes()).unwrap();
                due.push(sent);
                sent += 1;
            }
            let came: Vec<u32> = (0..100)
                .map(|_| u32::from_be_bytes(receive(&server).try_into().unwrap()))
                .collect();
            back += came.windows(2).filter(|pair| pair[1] < pair[0]).count() as u32;
            let mut sorted = came;
            sorted.sort_unstable();
            assert_eq!(sorted, due, "all came");
        }
        assert_eq!(back, 0, "{profile}: steps back among {sent}");
        assert_eq!(links(&proxy.stop())[0].delivered, u64::from(sent));
    }
}

#[test]
fn who_has_not_shown_that_it_is_there_gets_three_times_what_it_sent() {
    // A client that is not on loopback, if the machine has another address.
    let abroad = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("198.51.100.1:9")?;
        socket.local_addr()
    });
    let Some(own) = abroad.ok().filter(|address| !address.ip().is_loopback()) else {
        eprintln!("SKIPPED: the machine has no address but loopback");
        return;
    };
    let own = own.ip();
    for (limit, ip, right) in [
        (Some(3), own, 3),
        (Some(1), own, 1),
        (None, own, 10),
        (Some(3), "127.0.0.1".parse().unwrap(), 10),
    ] {
        let server = socket("127.0.0.1:0");
        let mut settings = support::settings(&format!(
            r#"{{ "listen": "udp://0.0.0.0:0", "upstream": "{}" }}"#,
            server.local_addr().unwrap()
        ));
        settings.amplification = limit;
        let proxy = Running::with(settings);
        let port = proxy.address(Transport::Udp).port();
        let client = socket(&SocketAddr::new(ip, 0).to_string());
        client.connect((ip, port)).unwrap();
        let mut buffer = [0; 1000];
        client.send(&[1; 100]).unwrap();
        let (_, flow) = server.recv_from(&mut buffer).unwrap();
        // One question, ten answers of its size; then one more of each.
        (0..10).for_each(|_| assert_eq!(server.send_to(&[2; 100], flow).unwrap(), 100));
        support::wait_until("the answers", || {
            let counters = proxy.control.counters().unwrap();
            links(&counters)[1].entered == 10 && links(&counters)[1].held == 0
        });
        for _ in 0..right {
            assert_eq!(receive(&client), [2; 100]);
        }
        client.send(&[3; 100]).unwrap();
        assert_eq!(server.recv(&mut buffer).unwrap(), 100);
        (0..10).for_each(|_| assert_eq!(server.send_to(&[4; 100], flow).unwrap(), 100));
        for _ in 0..10 {
            assert_eq!(receive(&client), [4; 100], "{limit:?} {ip}: it has answered");
        }
        let summary = proxy.stop();
        assert_conserved(&summary);
        let withheld = links(&summary)[1].discarded.get("amplified").copied();
        assert_eq!(withheld.unwrap_or(0), 10 - right, "{limit:?} {ip}");
    }
}
