//! What a client sees that wants to connect: nobody listens while the upstream refuses or the route
//! is cut, and clients wait in a small backlog.

use super::support::{PATIENCE, Running, rules, vacant_address, wait_until};
use jostle_common::transport::Transport;
use jostle_engine::profile::{Profile, Start, Timeline};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn route(upstream: SocketAddr, more: &str) -> Running {
    Running::start(&format!(
        r#"{{ "name": "a", "listen": "tcp://127.0.0.1:0", "upstream": "{upstream}", {more} }}"#
    ))
}

/// What a connect comes to.
fn connect(address: SocketAddr) -> Result<TcpStream, io::ErrorKind> {
    TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.kind())
}

fn wait_until_refused(address: SocketAddr) {
    wait_until("a refusal", || match connect(address) {
        Ok(_) => false,
        // It closed while the client was on its way in.
        Err(io::ErrorKind::ConnectionReset) => false,
        Err(kind) => {
            assert_eq!(kind, io::ErrorKind::ConnectionRefused);
            true
        }
    });
}

/// Sends some bytes through the proxy and back.
fn exchange(address: SocketAddr, listener: &TcpListener) {
    let mut client = connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    // Looks at the upstream are connections too, which say nothing.
    let mut buffer = [0; 5];
    loop {
        let (mut server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        if server.read_exact(&mut buffer).is_ok() {
            server.write_all(b"world").unwrap();
            break;
        }
    }
    assert_eq!(&buffer, b"hello");
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"world");
}

fn count(proxy: &Running, name: &str) -> u64 {
    let summary = proxy.control.counters().unwrap();
    summary.sockets[0].counts.get(name).copied().unwrap_or(0)
}

fn times_closed(proxy: &Running) -> u64 {
    count(proxy, "listener_closed")
}

#[test]
#[cfg(target_os = "linux")]
fn nobody_listens_while_the_upstream_refuses() {
    for more in [
        r#""open": "with upstream""#,
        r#""open": "with upstream", "profile": { "both": [ { "rule": "delay", "time": "5ms" } ] }"#,
    ] {
        let upstream = vacant_address();
        let proxy = route(upstream, more);
        let address = proxy.address(Transport::Tcp);
        wait_until_refused(address);
        // The port is kept: nobody gets it who does not insist.
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        assert_eq!(other.bind(&address.into()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let listener = TcpListener::bind(upstream).unwrap();
        wait_until("somebody who listens", || connect(address).is_ok());
        exchange(address, &listener);
        let closed = times_closed(&proxy);
        assert!(closed >= 1);
        drop(listener);
        wait_until_refused(address);
        assert!(times_closed(&proxy) > closed);
        proxy.stop();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn nobody_listens_while_an_outage_cuts_the_route() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let outage = r#"{ "rule": "outage", "up": "100ms", "down": "1h" }"#;
    let profile = format!(r#""profile": {{ "start": "run", "down": [ {outage} ] }}"#);
    let upstream = listener.local_addr().unwrap();
    let proxy = route(upstream, &format!(r#""open": "with upstream", {profile}"#));
    let address = proxy.address(Transport::Tcp);
    wait_until_refused(address);
    let route_id = proxy.control.routes().unwrap()[0].id;
    // An outage for some flows cuts nobody off from connecting.
    let some = outage.replace(" }", r#", "match": { "flow": 3 } }"#);
    let timeline = Timeline { start: Start::Run, ..Timeline::constant(rules(&some)) };
    proxy.control.set_profile(route_id, Profile { down: timeline, ..Profile::default() }).unwrap();
    wait_until("somebody who listens", || connect(address).is_ok());
    proxy.control.set_profile(route_id, Profile::default()).unwrap();
    exchange(address, &listener);
    assert_eq!(times_closed(&proxy), 1);
}

#[test]
fn each_client_waits_before_it_is_accepted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = route(listener.local_addr().unwrap(), r#""accept": "150ms""#);
    for _ in 0..3 {
        let begun = Instant::now();
        // The kernel connects it at once; what it says waits there too.
        let mut client = connect(proxy.address(Transport::Tcp)).unwrap();
        client.write_all(b"hello").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
        let mut buffer = [0; 5];
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        server.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"hello");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_backlog_answers_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = route(listener.local_addr().unwrap(), r#""accept": "1h""#);
    let address = proxy.address(Transport::Tcp);
    let first = connect(address).unwrap();
    // One waits; the SYN of another is dropped, and sent again after a second.
    let second = TcpStream::connect_timeout(&address, Duration::from_millis(300));
    assert_eq!(second.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(count(&proxy, "accepted"), 0);
    drop(first);
}
