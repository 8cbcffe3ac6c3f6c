//! What a person should hear of while the proxy runs is said once.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::transport::Transport;
use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::sync::{Mutex, Once};
use support::{PATIENCE, Running, vacant_address, wait_until};

/// The warnings of all tests. Each looks for those about its own upstream.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            WARNINGS.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        log::set_logger(&Warnings).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
}

fn warnings_about(upstream: &str) -> Vec<String> {
    let warnings = WARNINGS.lock().unwrap();
    warnings.iter().filter(|warning| warning.contains(upstream)).cloned().collect()
}

fn udp_client(proxy: &Running) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(proxy.address(Transport::Udp)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

#[test]
fn a_dead_udp_upstream_is_told_once() {
    listen();
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{upstream}" }}"#
    ));
    let refused = || {
        let counters = proxy.control.counters().unwrap();
        counters.socket_count("1", Transport::Udp, "refused_by_upstream")
    };
    let clients = [udp_client(&proxy), udp_client(&proxy)];
    for sent in 1..=5 {
        clients.iter().for_each(|client| assert_eq!(client.send(b"there?").unwrap(), 6));
        wait_until("the refusal", || refused() >= sent);
    }
    let told = warnings_about(&upstream.to_string());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("nobody listens at udp://"), "{told:?}");
}

#[test]
fn a_dead_tcp_upstream_is_told_once() {
    listen();
    for weather in ["{}", r#"{ "both": [ { "rule": "delay", "time": "1ms" } ] }"#] {
        let upstream = vacant_address();
        let proxy = Running::start(&format!(
            r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "{upstream}",
                 "profile": {weather} }}"#
        ));
        for _ in 0..5 {
            let mut client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            assert!(client.read(&mut [0]).is_err(), "it is refused");
        }
        let told = warnings_about(&upstream.to_string());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("cannot reach tcp://"), "{told:?}");
    }
}

#[test]
fn answers_from_another_port_are_told_once_with_the_remedy() {
    listen();
    let asked = UdpSocket::bind("127.0.0.1:0").unwrap();
    asked.set_read_timeout(Some(PATIENCE)).unwrap();
    let upstream = asked.local_addr().unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{upstream}" }}"#
    ));
    for round in 0..3 {
        let client = udp_client(&proxy);
        client.send(b"file").unwrap();
        let (_, from) = asked.recv_from(&mut [0; 100]).unwrap();
        // As a TFTP server does, the answer comes from a new port.
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.send_to(b"block 1", from).unwrap();
        if round == 0 {
            wait_until("the stray answer", || {
                let counters = proxy.control.counters().unwrap();
                counters.socket_count("1", Transport::Udp, "foreign") == 1
            });
        }
    }
    let told = warnings_about(&upstream.to_string());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("--follow"), "{told:?}");
    // The one that was asked is heard as before.
    let client = udp_client(&proxy);
    client.send(b"again").unwrap();
    let (_, from) = asked.recv_from(&mut [0; 100]).unwrap();
    asked.send_to(b"here", from).unwrap();
    assert_eq!(client.recv(&mut [0; 100]).unwrap(), 4);
}

#[test]
fn a_listener_that_anybody_may_go_through_is_told_with_the_remedy() {
    listen();
    for (name, listen, more, tells) in [
        ("beyond-without-user", "socks5://0.0.0.0:0", "", 1),
        ("beyond-with-user", "http-proxy://0.0.0.0:0", r#", "user": "a:b""#, 0),
        ("loopback", "socks5://127.0.0.1:0", "", 0),
    ] {
        let route = format!(r#"{{ "name": "{name}", "listen": "{listen}"{more} }}"#);
        drop(Running::start(&route));
        let told = warnings_about(&format!("route {name}:"));
        assert_eq!(told.len(), tells, "{told:?}");
        for warning in told {
            assert!(warning.contains("--user") && warning.contains("127.0.0.1"), "{warning}");
        }
    }
}
