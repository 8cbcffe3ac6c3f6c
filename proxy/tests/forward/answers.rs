//! What clients are answered whose target is not reached, and when.

use crate::client::*;
use crate::support::{PATIENCE, Running, settings, vacant_address};
use jostle_common::transport::Transport;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Asks by SOCKS5 and returns the reply; the connection is closed behind it.
fn socks(proxy: &Running, host: &str, port: u16) -> u8 {
    let mut stream = connect(proxy);
    stream.write_all(&socks_request(host, port)).unwrap();
    let reply = socks_reply(&mut stream);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed, not torn down");
    reply
}

/// Asks an HTTP proxy for a tunnel and returns the status.
fn tunnel(proxy: &Running, target: &str) -> u16 {
    let mut stream = connect(proxy);
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").unwrap();
    let answer = String::from_utf8(read_all(&mut stream)).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn each_failure_is_told_as_the_protocol_has_it_by_every_way() {
    for (way, more) in WAYS {
        let allow = r#", "target": ["127.0.0.1", "*.invalid", "rebound.test", "10.0.0.0/8"]"#;
        let nobody = vacant_address().port();
        let proxy = forward("socks5", &format!("{more}{allow}"));
        assert_eq!(socks(&proxy, "127.0.0.1", nobody), 5, "{way}");
        assert_eq!(socks(&proxy, "127.0.0.2", nobody), 2, "{way}");
        assert_eq!(socks(&proxy, "::ffff:127.0.0.2", nobody), 2, "{way}");
        assert_eq!(socks(&proxy, "no.such.invalid", 80), 4, "{way}");
        // A name that is not listed may have a listed address, and this one has not.
        let own = proxy.address(Transport::Tcp);
        assert_eq!(socks(&proxy, "127.0.0.1", own.port()), 2, "it leads back: {way}");
        let summary = proxy.stop();
        let counts = ["asked", "refused_by_upstream", "not_allowed", "unresolved", "looped"];
        assert_eq!(counts.map(|name| count(&summary, name)), [5, 1, 2, 1, 1], "{way}");

        let proxy = forward("http-proxy", &format!("{more}{allow}"));
        assert_eq!(tunnel(&proxy, &format!("127.0.0.1:{nobody}")), 502, "{way}");
        assert_eq!(tunnel(&proxy, "127.0.0.2:80"), 403, "{way}");
        assert_eq!(tunnel(&proxy, "no.such.invalid:80"), 502, "{way}");
    }
}

#[test]
fn names_are_judged_by_each_address_that_they_have() {
    let target = vacant_address();
    // The name is on no list; of its addresses one is.
    let proxy = forward("socks5", r#", "target": ["127.0.0.1"]"#);
    assert_eq!(socks(&proxy, "localhost", target.port()), 5);
    assert_eq!(count(&proxy.stop(), "refused_by_upstream"), 1);
    let proxy = forward("socks5", r#", "target": ["10.0.0.0/8"]"#);
    for spelled in ["localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1."] {
        assert_eq!(socks(&proxy, spelled, target.port()), 2, "{spelled}");
    }
}

#[test]
fn from_beyond_loopback_no_private_address_is_reached_that_is_not_listed() {
    let target = vacant_address();
    let at =
        |proxy: &Running| SocketAddr::from(([127, 0, 0, 1], proxy.address(Transport::Tcp).port()));
    for (allow, reply) in
        [("\"any\"", 2), ("\"*\"", 2), ("[\"localhost\"]", 2), ("[\"127.0.0.0/8\"]", 5)]
    {
        let route = format!(r#"{{ "listen": "socks5://0.0.0.0:0", "target": {allow} }}"#);
        let proxy = Running::start(&route);
        for host in ["127.0.0.1", "localhost"] {
            let mut stream = std::net::TcpStream::connect(at(&proxy)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&socks_request(host, target.port())).unwrap();
            assert_eq!(socks_reply(&mut stream), reply, "{allow} {host}");
        }
    }
}

#[test]
fn a_refusal_takes_the_time_of_the_modelled_handshake_and_a_denial_none() {
    let rules = r#", "profile": { "both": [ { "rule": "delay", "time": "100ms" } ] }, "target": "127.0.0.1""#;
    let proxy = forward("socks5", rules);
    let begun = Instant::now();
    assert_eq!(socks(&proxy, "127.0.0.1", vacant_address().port()), 5);
    // The SYN, and the reset in answer to it.
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    let summary = proxy.stop();
    let crossed = links(&summary)[0].entered;
    assert!(crossed > 0, "the handshake crossed the links");

    let proxy = forward("socks5", rules);
    assert_eq!(socks(&proxy, "127.0.0.2", 80), 2);
    assert_eq!(links(&proxy.stop())[0].entered, 0, "nothing of it entered the links");
}

#[test]
fn a_target_that_does_not_answer_is_told_as_such_and_not_before_its_time() {
    // A listener whose backlog is full answers nobody.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let target = full.local_addr().unwrap().as_socket().unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let one = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let one = one.unwrap();
            one.set_nonblocking(true).unwrap();
            let _ = one.connect(&target.into());
            one
        })
        .collect();
    let mut settings = settings(r#"{ "listen": "socks5://127.0.0.1:0" }"#);
    settings.connect_timeout = Duration::from_millis(300);
    let proxy = Running::with(settings);
    let begun = Instant::now();
    assert_eq!(socks(&proxy, "127.0.0.1", target.port()), 6);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(count(&proxy.stop(), "connect_timed_out"), 1);
    drop(waiting);
}

#[test]
fn what_is_no_request_is_answered_and_counted() {
    let proxy = forward("socks5", r#", "user": "ann:secret""#);
    let said = |bytes: &[u8]| {
        let mut stream = connect(&proxy);
        stream.write_all(bytes).unwrap();
        read_all(&mut stream)
    };
    assert!(said(b"GET / HTTP/1.1\r\n\r\n").starts_with(b"HTTP/1.1 501 "));
    assert_eq!(said(&[4, 1, 0, 80, 127, 0, 0, 1, 0]), b"");
    assert_eq!(said(&[5, 1, 0]), [5, 0xff], "without a user");
    assert_eq!(said(b"\x05\x01\x02\x01\x03ann\x05wrong"), [5, 2, 1, 1]);
    let bind = b"\x05\x01\x02\x01\x03ann\x06secret\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50";
    assert_eq!(said(bind)[..6], [5, 2, 1, 0, 5, 7]);
    drop(connect(&proxy));
    let mut half = connect(&proxy);
    half.write_all(&[5, 1]).unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut half), b"");
    let (target, server) = serve_once(b"!".to_vec());
    let mut stream = connect(&proxy);
    stream.write_all(b"\x05\x01\x02\x01\x03ann\x06secret").unwrap();
    stream.write_all(&socks_request("127.0.0.1", target.port())[3..]).unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..8], [5, 2, 1, 0, 5, 0, 0, 1]);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!((read_all(&mut stream), server.join().unwrap()), (b"!".to_vec(), Vec::new()));
    crate::support::wait_until("the end of those who left", || {
        proxy.control.counters().is_ok_and(|summary| count(&summary, "left_early") == 2)
    });
    let summary = proxy.stop();
    let counts = ["malformed", "unauthorised", "unsupported", "asked", "negotiating"];
    assert_eq!(counts.map(|name| count(&summary, name)), [2, 2, 1, 1, 0]);
}
