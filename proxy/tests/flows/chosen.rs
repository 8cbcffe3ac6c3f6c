//! Rules that choose flows and connections, at real sockets: one of two players, the third
//! connection, one host by the name in its TLS hello, and an age.
//!
//! The clients are at 127.0.0.2 and 127.0.0.3, which only Linux has without being told.

use super::support::{PATIENCE, Running, assert_conserved, settings, wait_until};
use super::{connect, in_front_of, pass, read};
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{Fate, Settled, Sink};
use socket2::{Domain, Socket, Type};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What became of a packet: its flow, when it came and how long it took, and whether it was lost.
#[derive(Clone, Copy, Debug)]
struct Met {
    flow: u32,
    direction: Direction,
    entered: jostle_common::time::Instant,
    delay: Duration,
    is_lost: bool,
}

/// A sink that keeps all fates.
#[derive(Clone, Default)]
struct Fates(Arc<Mutex<Vec<Met>>>);

impl Sink for Fates {
    fn record(&mut self, settled: &Settled<'_>) {
        let packet = settled.packet;
        let met = Met {
            flow: packet.flow,
            direction: settled.direction,
            entered: packet.entered,
            delay: packet.at.since(packet.entered),
            is_lost: settled.fate != Fate::Delivered,
        };
        self.0.lock().unwrap().push(met);
    }
}

impl Fates {
    fn all(&self) -> Vec<Met> {
        self.0.lock().unwrap().clone()
    }
}

/// A UDP route with these rules up, and the server behind it.
fn udp(rules: &str) -> (Running, Fates, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    let fates = Fates::default();
    let mut settings = settings(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{upstream}",
              "profile": {{ "up": [ {rules} ] }} }}"#
    ));
    settings.sinks.push(Box::new(fates.clone()));
    (Running::with(settings), fates, server)
}

/// A UDP client at an address.
fn player(address: &str, proxy: &Running) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.connect(proxy.address(Transport::Udp)).unwrap();
    socket
}

/// A TCP client at an address.
fn client(address: &str, proxy: &Running) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let own: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(&own.into()).unwrap();
    socket.connect(&proxy.address(Transport::Tcp).into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

#[test]
fn player_two_has_200_ms_and_the_others_none() {
    let (proxy, fates, _server) =
        udp(r#"{ "rule": "delay", "time": "200ms", "match": { "client": "127.0.0.3" } }"#);
    let players = ["127.0.0.2", "127.0.0.3", "127.0.0.1"].map(|address| player(address, &proxy));
    // In this order, so that flow 2 is player two's.
    for (index, player) in players.iter().enumerate() {
        player.send(b"here").unwrap();
        let count = index + 1;
        wait_until("its flow", || {
            proxy.control.counters().unwrap().links[0].entered == count as u64
        });
    }
    for player in players.iter().cycle().take(27) {
        player.send(b"and here").unwrap();
    }
    wait_until("all fates", || fates.all().len() == 30);
    for met in fates.all() {
        let delay = if met.flow == 2 { 200 } else { 0 };
        assert_eq!((met.delay, met.is_lost), (Duration::from_millis(delay), false), "{met:?}");
    }
    assert_conserved(&proxy.stop());
}

#[test]
fn a_flow_is_cut_off_at_an_age() {
    let (proxy, fates, _server) =
        udp(r#"{ "rule": "drop", "chance": "100%", "match": { "age": "60ms.." } }"#);
    let player = player("127.0.0.2", &proxy);
    // Until both have been seen; when each packet came says what has to become of it.
    wait_until("packets of both ages", || {
        player.send(b"x").unwrap();
        fates.all().iter().any(|met| met.is_lost)
    });
    let met = fates.all();
    assert!(!met[0].is_lost, "the first packet begins the flow");
    for one in &met {
        let age = one.entered.since(met[0].entered);
        assert_eq!(one.is_lost, age >= Duration::from_millis(60), "{age:?}");
        assert_eq!((one.flow, one.direction), (1, Direction::Up));
    }
    assert_conserved(&proxy.stop());
}

/// The ways in which a TCP route may carry its connections.
const WAYS: [&str; 2] = [r#""tcp": "raw", "unit": "read""#, r#""tcp": "model""#];

/// Returns how a route carries its connections, with these rules up.
fn with_rules(way: &str, rules: &str) -> String {
    format!(r#", {way}, "profile": {{ "up": [ {rules} ] }}"#)
}

#[test]
fn the_third_connection_is_reset() {
    let rule = r#"{ "rule": "reset", "after": "0s", "match": { "flow": 3 } }"#;
    for way in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, _) = in_front_of(&listener, &with_rules(way, rule));
        let ends: Vec<_> = (0..4).map(|_| connect(&proxy, &listener)).collect();
        for (index, (mut client, server)) in
            ends.iter().map(|(one, other)| (one, other)).enumerate()
        {
            if index == 2 {
                client.write_all(b"hello").unwrap();
                assert_eq!(read(client), Err(io::ErrorKind::ConnectionReset), "{way}");
                assert_eq!(read(server), Err(io::ErrorKind::ConnectionReset), "{way}");
            } else {
                pass(client, server, 1000);
                pass(server, client, 1000);
            }
        }
        let summary = proxy.control.counters().unwrap();
        assert_eq!(summary.sockets[0].counts["reset_by_rule"], 1, "{way}");
    }
}

#[test]
fn one_clients_connections_are_reset() {
    let rule = r#"{ "rule": "reset", "after": "0s", "match": { "client": "127.0.0.3" } }"#;
    for way in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, _) = in_front_of(&listener, &with_rules(way, rule));
        for address in ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"] {
            let mut client = client(address, &proxy);
            let (server, _) = listener.accept().unwrap();
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            if address == "127.0.0.3" {
                client.write_all(b"hello").unwrap();
                assert_eq!(read(&client), Err(io::ErrorKind::ConnectionReset), "{way}");
            } else {
                pass(&client, &server, 1000);
            }
        }
    }
}

/// A TLS ClientHello in one record, which names a server.
fn hello(name: &str) -> Vec<u8> {
    let prefixed = |bytes: Vec<u8>| [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
    let entry = [vec![0], prefixed(name.as_bytes().to_vec())].concat();
    let extension = [vec![0, 0], prefixed(prefixed(entry))].concat();
    let front = [vec![3, 3], vec![7; 32], vec![0, 0, 2, 0x13, 1, 1, 0]].concat();
    let body = [front, prefixed(extension)].concat();
    let message = [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    [vec![22, 3, 1], prefixed(message)].concat()
}

#[test]
fn only_the_host_that_a_tls_client_names_is_reset() {
    let rule = r#"{ "rule": "reset", "after": "0s", "match": { "target": "*.example.org" } }"#;
    for way in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, _) = in_front_of(&listener, &with_rules(way, rule));
        let whole = |name| vec![hello(name)];
        let halves = |name| {
            let bytes = hello(name);
            vec![bytes[..20].to_vec(), bytes[20..].to_vec()]
        };
        for (pieces, is_reset) in [
            (whole("other.test"), false),
            (whole("API.example.org"), true),
            (vec![b"GET / HTTP/1.1\r\nhost: api.example.org\r\n\r\n".to_vec()], false),
            (halves("api.example.org"), true),
            (halves("example.org"), false),
        ] {
            let (mut client, server) = connect(&proxy, &listener);
            for piece in &pieces {
                client.write_all(piece).unwrap();
            }
            if is_reset {
                assert_eq!(read(&client), Err(io::ErrorKind::ConnectionReset), "{way}");
            } else {
                // Nothing is held back, and nothing of it is changed.
                let sent = pieces.concat();
                let mut received = vec![0; sent.len()];
                io::Read::read_exact(&mut &server, &mut received).unwrap();
                assert_eq!(received, sent);
                pass(&server, &client, 100);
            }
        }
    }
}

/// A rule that comes later knows the name that was said before there was any.
#[test]
fn a_name_is_heard_also_where_there_is_no_rule_yet() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, route) = in_front_of(&listener, "");
    let (mut client, server) = connect(&proxy, &listener);
    let (other, other_server) = connect(&proxy, &listener);
    let said = hello("api.example.org");
    client.write_all(&said).unwrap();
    io::Read::read_exact(&mut &server, &mut vec![0; said.len()]).unwrap();
    pass(&other, &other_server, 10);
    let rule = r#"{ "rule": "reset", "after": "0s", "match": { "target": "api.example.org" } }"#;
    let profile = jostle_engine::profile::Profile {
        up: jostle_engine::profile::Timeline::constant(super::support::rules(rule)),
        ..Default::default()
    };
    proxy.control.set_profile(route, profile).unwrap();
    client.write_all(b"more").unwrap();
    assert_eq!(read(&client), Err(io::ErrorKind::ConnectionReset));
    pass(&other, &other_server, 10);
}
