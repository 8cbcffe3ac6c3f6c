//! How a proxy starts: all listeners or none, on the ports that were asked for, with names
//! resolved.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use jostle_common::transport::Transport;
use jostle_proxy::{Proxy, StartError};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use support::{PATIENCE, Running, settings, vacant_address, wait_until};

#[test]
fn all_listeners_are_opened_or_none() {
    let taken = TcpListener::bind(vacant_address()).unwrap();
    let address = taken.local_addr().unwrap();
    let free = vacant_address();
    let routes = format!(
        r#"{{ "name": "first", "listen": "both://{free}", "upstream": "127.0.0.1:9" }},
           {{ "name": "second", "listen": "tcp://{address}", "upstream": "127.0.0.1:9" }}"#
    );
    let Err(error) = Proxy::bind(settings(&routes)) else { panic!("the port is in use") };
    assert!(matches!(&error, StartError::Listen { route, .. } if route == "second"), "{error}");
    let expected =
        format!("route second: cannot listen on tcp://{address}: Address already in use");
    assert!(error.to_string().starts_with(&expected), "{error}");
    // The first route's sockets are free again.
    TcpListener::bind(free).unwrap();
    UdpSocket::bind(free).unwrap();
    drop(taken);
    let proxy = Proxy::bind(settings(&routes)).unwrap();
    let found: Vec<String> = proxy.listeners().iter().map(ToString::to_string).collect();
    let expected = [
        format!("listening first udp://{free}"),
        format!("listening first tcp://{free}"),
        format!("listening second tcp://{address}"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_route_that_leads_to_itself_is_refused() {
    let [one, two] = [(); 2].map(|()| vacant_address().port());
    let circle = |routes: &str| match Proxy::bind(settings(routes)) {
        Err(StartError::Circle { route, .. }) => Some(route),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    };
    let route = |scheme: &str, listen: &str, from: u16, upstream: &str, to: u16| {
        format!(r#"{{ "listen": "{scheme}://{listen}:{from}", "upstream": "{upstream}:{to}" }}"#)
    };
    for scheme in ["udp", "tcp", "both"] {
        assert_eq!(
            circle(&route(scheme, "127.0.0.1", one, "127.0.0.1", one)).as_deref(),
            Some("1")
        );
        assert_eq!(circle(&route(scheme, "0.0.0.0", one, "127.0.0.1", one)).as_deref(), Some("1"));
        assert_eq!(
            circle(&route(scheme, "localhost", one, "localhost", one)).as_deref(),
            Some("1")
        );
        // Two routes in a row are a way to add weather; in a circle they are not.
        let first = route(scheme, "127.0.0.1", one, "127.0.0.1", two);
        let chain = format!("{first}, {}", route(scheme, "127.0.0.1", two, "127.0.0.1", 9));
        assert_eq!(circle(&chain), None);
        let both = format!("{first}, {}", route(scheme, "127.0.0.1", two, "127.0.0.1", one));
        assert_eq!(circle(&both).as_deref(), Some("1"));
    }
    // A UDP route on the port number of its TCP server is no circle.
    let server = vacant_address().port();
    let across = format!(
        "{}, {}",
        route("udp", "127.0.0.1", server, "127.0.0.1", two),
        route("tcp", "127.0.0.1", two, "127.0.0.1", server)
    );
    assert_eq!(circle(&across), None);
}

#[test]
fn an_unknown_name_to_listen_at_is_told() {
    let routes = r#"{ "name": "web", "listen": "no-such-host.invalid:1",
        "upstream": "127.0.0.1:1" }"#;
    let Err(error) = Proxy::bind(settings(routes)) else { panic!("nobody has that name") };
    let text = error.to_string();
    assert!(text.starts_with("route web: cannot resolve no-such-host.invalid:1: "), "{text}");
}

#[test]
fn an_upstream_without_an_address_does_not_keep_the_other_routes_from_starting() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    for profile in ["{}", r#"{ "both": [ { "rule": "delay", "time": "1ms" } ] }"#] {
        let proxy = Running::start(&format!(
            r#"{{ "name": "local", "listen": "127.0.0.1:0", "upstream": "{}" }},
               {{ "name": "minio", "listen": "both://127.0.0.1:0",
                  "upstream": "minio-not-there.invalid:9000", "profile": {profile} }}"#,
            server.local_addr().unwrap()
        ));
        let named = |name: &str, protocol: Transport| {
            let mut listeners = proxy.listeners.iter();
            let found = listeners.find(|one| one.route == name && one.protocol == protocol);
            found.expect("it listens").address
        };
        let mut client = TcpStream::connect(named("minio", Transport::Tcp)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let end = client.read(&mut [0; 10]).map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{profile}");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"anybody there?", named("minio", Transport::Udp)).unwrap();
        wait_until("the datagram's fate", || {
            let summary = proxy.control.counters().unwrap();
            summary.socket_count("minio", Transport::Udp, "no_upstream") == 1
        });
        reaches(&server, named("local", Transport::Tcp));
        let summary = proxy.stop();
        assert_eq!(summary.socket_count("minio", Transport::Tcp, "connect_failed"), 1);
        assert_eq!(summary.socket_count("minio", Transport::Udp, "flows"), 0);
    }
}

#[test]
fn disabled_routes_do_not_start() {
    let proxy = Running::start(
        r#"{ "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": false },
            { "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9" }"#,
    );
    assert_eq!(proxy.listeners.len(), 1);
    assert_eq!(proxy.listeners[0].route, "2");
    assert_eq!(proxy.stop().links.len(), 2);
}

#[test]
fn both_has_one_port_number_even_on_localhost() {
    for _ in 0..20 {
        let proxy =
            Running::start(r#"{ "listen": "both://localhost:0", "upstream": "127.0.0.1:9" }"#);
        let port = proxy.listeners[0].address.port();
        assert!(proxy.listeners.iter().all(|listener| listener.address.port() == port));
        let families = if has_ipv6() { 2 } else { 1 };
        assert_eq!(proxy.listeners.len(), 2 * families);
    }
}

fn has_ipv6() -> bool {
    let found = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !found {
        eprintln!("SKIPPED in part: this machine has no IPv6");
    }
    found
}

/// Checks that a connection through the proxy reaches the server.
fn reaches(server: &TcpListener, proxy: SocketAddr) {
    let server = server.try_clone().unwrap();
    std::thread::spawn(move || server.accept().unwrap().0.write_all(b"welcome").unwrap());
    let mut client = TcpStream::connect(proxy).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "welcome");
}

#[test]
fn an_upstream_name_is_tried_on_all_its_addresses() {
    // `localhost` has two; the server is on one.
    let known: Vec<SocketAddr> = ("localhost", 0).to_socket_addrs().unwrap().collect();
    for host in ["127.0.0.1", "::1"] {
        if !known.iter().any(|address| address.ip().to_string() == host)
            || (host == "::1" && !has_ipv6())
        {
            eprintln!("SKIPPED in part: localhost is not {host} here");
            continue;
        }
        let server = TcpListener::bind((host, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        for profile in ["{}", r#"{ "both": [ { "rule": "delay", "time": "1ms" } ] }"#] {
            let proxy = Running::start(&format!(
                r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "localhost:{port}",
                    "profile": {profile} }}"#
            ));
            reaches(&server, proxy.address(Transport::Tcp));
            assert_eq!(proxy.stop().socket_count("1", Transport::Tcp, "refused_by_upstream"), 0);
        }
    }
}

#[test]
fn a_thousand_routes_work_in_one_process() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    let routes: Vec<String> = (0..1000)
        .map(|n| {
            format!(r#"{{ "name": "r{n}", "listen": "127.0.0.1:0", "upstream": "{upstream}" }}"#)
        })
        .collect();
    let proxy = Running::start(&routes.join(","));
    assert_eq!(proxy.listeners.len(), 1000);
    for listener in proxy.listeners.iter().step_by(37) {
        reaches(&server, listener.address);
    }
    let summary = proxy.stop();
    assert_eq!(summary.socket_count("r37", Transport::Tcp, "finished"), 1);
    assert_eq!(summary.socket_count("r38", Transport::Tcp, "connections"), 0);
}
