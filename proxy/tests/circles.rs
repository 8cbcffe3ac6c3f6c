//! What goes round in a circle, or is forged to, comes to an end.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{Proxy, StartError, Summary};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use support::{PATIENCE, Running, assert_conserved, settings, wait_until};

/// The hops that a datagram has at most: after so many a circle is over.
const HOPS_MAX: u64 = 255;

/// Two proxies, each of which relays to the other, on an address of their own.
fn circle(scheme: &str, ip: &str) -> [Running; 2] {
    // Both ports are free now, on an address that nobody else uses.
    let free = [(), ()].map(|()| TcpListener::bind(format!("{ip}:0")).unwrap());
    let [one, other] = free.each_ref().map(|listener| listener.local_addr().unwrap());
    drop(free);
    [(one, other), (other, one)].map(|(listen, upstream)| {
        Running::start(&format!(
            r#"{{ "listen": "{scheme}://{listen}", "upstream": "{upstream}" }}"#
        ))
    })
}

fn looped(summary: &Summary, transport: Transport) -> u64 {
    summary.socket_count("1", transport, "looped")
}

#[test]
fn a_datagram_in_a_circle_of_two_proxies_dies_out() {
    let proxies = circle("udp", "127.13.7.1");
    let client = UdpSocket::bind("127.13.7.1:0").unwrap();
    client.send_to(b"round", proxies[0].address(Transport::Udp)).unwrap();
    let total = || -> u64 {
        let counters = proxies.each_ref().map(|proxy| proxy.control.counters().unwrap());
        counters.iter().map(|summary| looped(summary, Transport::Udp)).sum()
    };
    wait_until("the end of the circle", || total() > 0);
    let summaries = proxies.map(Running::stop);
    summaries.iter().for_each(assert_conserved);
    let entered: Vec<u64> = summaries
        .iter()
        .map(|summary| summary.link("1", Transport::Udp, Direction::Up).unwrap().entered)
        .collect();
    assert_eq!(summaries.iter().map(|one| looped(one, Transport::Udp)).sum::<u64>(), 1);
    assert!(entered[0].abs_diff(entered[1]) <= 1, "it went to and fro: {entered:?}");
    assert!((2..=HOPS_MAX).contains(&(entered[0] + entered[1])), "{entered:?}");
}

#[test]
fn a_connection_in_a_circle_of_two_proxies_is_refused_in_the_end() {
    let proxies = circle("tcp", "127.13.7.2");
    let mut client = TcpStream::connect(proxies[0].address(Transport::Tcp)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = client.read(&mut [0]);
    assert!(end.is_err() || end.unwrap() == 0, "nobody has anything to say");
    let summaries = proxies.map(Running::stop);
    assert_eq!(summaries.iter().map(|one| looped(one, Transport::Tcp)).sum::<u64>(), 1);
    let accepted: u64 = summaries
        .iter()
        .map(|summary| summary.socket_count("1", Transport::Tcp, "connections"))
        .sum();
    assert!((2..=HOPS_MAX).contains(&accepted), "{accepted}");
}

#[test]
fn a_wildcard_leads_back_from_all_addresses_of_the_machine() {
    // What leaves for elsewhere comes from an address of ours that is not on loopback, if any.
    let abroad = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("198.51.100.1:9")?;
        socket.local_addr()
    });
    let mut own: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "127.9.9.9".parse().unwrap()];
    own.extend(abroad.map(|address| address.ip()));
    for ip in own {
        for scheme in ["udp", "tcp"] {
            let free = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
            let upstream = SocketAddr::new(ip, free);
            let result = Proxy::bind(settings(&format!(
                r#"{{ "listen": "{scheme}://0.0.0.0:{free}", "upstream": "{upstream}" }}"#
            )));
            let error = result.err().map(|error| error.to_string());
            let refused = matches!(&error, Some(text) if text.contains("comes back to it"));
            assert!(refused, "{scheme} {upstream}: {error:?}");
        }
    }
    let elsewhere =
        Proxy::bind(settings(r#"{ "listen": "udp://0.0.0.0:0", "upstream": "198.51.100.1:53" }"#));
    assert!(!matches!(elsewhere, Err(StartError::Circle { .. })));
}

/// Sends a datagram whose sender is forged. Returns false if the test may not do that.
fn forge(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> bool {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)) else {
        return false;
    };
    socket.bind(&SocketAddr::new(from.ip(), 0).into()).unwrap();
    let length = 8 + payload.len() as u16;
    let header = [from.port(), to.port(), length, 0].map(u16::to_be_bytes).concat();
    socket.send_to(&[&header, payload].concat(), &SocketAddr::new(to.ip(), 0).into()).unwrap();
    true
}

#[test]
fn what_claims_to_come_from_the_proxy_itself_is_dropped() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    for follow in [false, true] {
        let proxy = Running::start(&format!(
            r#"{{ "name": "a", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}",
                 "follow": {follow} }},
               {{ "name": "b", "listen": "udp://0.0.0.0:0", "upstream": "{upstream}" }}"#
        ));
        let [a, b] = [0, 1].map(|place| proxy.listeners[place].address);
        let b = SocketAddr::new("127.0.0.1".parse().unwrap(), b.port());
        for (from, to) in [(a, a), (b, a), (a, b), (b, b)] {
            if !forge(from, to, b"loop") {
                eprintln!("SKIPPED: forging a sender needs CAP_NET_RAW");
                return;
            }
        }
        let count =
            |summary: &Summary, route| summary.socket_count(route, Transport::Udp, "looped");
        wait_until("the forged datagrams", || {
            let counters = proxy.control.counters().unwrap();
            count(&counters, "a") == 2 && count(&counters, "b") == 2
        });
        // Who is no part of the proxy is served as ever.
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"hello", a).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 100];
        let (length, _) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello", "nothing else came");
        let summary = proxy.stop();
        assert_conserved(&summary);
        for route in ["a", "b"] {
            let link = summary.link(route, Transport::Udp, Direction::Up).unwrap();
            assert_eq!(link.discarded["looped"], 2, "{link:?}");
        }
    }
}
