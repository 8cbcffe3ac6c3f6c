//! Datagrams through associations (RFC 1928, section 7): who may send them, where they go, and when
//! it is over.

use super::support::{
    PATIENCE, Running, assert_conserved, route, settings, vacant_address, wait_until,
};
use super::{links, receive, socket};
use jostle_common::ecn::Ecn;
use jostle_common::transport::Transport;
use jostle_engine::profile::Profile;
use jostle_engine::route::HostPort;
use jostle_proxy::Summary;
use jostle_sys::{DatagramOptions, Message, Outbox, prepare_datagram_socket};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

fn proxy(more: &str) -> Running {
    Running::start(&format!(r#"{{ "listen": "socks5://127.0.0.1:0" {more} }}"#))
}

/// The address at which clients begin.
fn front(proxy: &Running) -> SocketAddr {
    proxy.address(Transport::Tcp)
}

/// A connection on which an association was asked for, and the reply.
fn ask(proxy: SocketAddr, sender: SocketAddr) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[5, 1, 0]).unwrap();
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).unwrap();
    assert_eq!(chosen, [5, 0]);
    stream.write_all(&[&[5, 3, 0][..], &address(sender)].concat()).unwrap();
    let mut reply = vec![0; if proxy.is_ipv4() { 10 } else { 22 }];
    stream.read_exact(&mut reply).unwrap();
    (stream, reply)
}

/// An association: its connection, and a socket that sends by it.
struct Association {
    kept: TcpStream,
    socket: UdpSocket,
}

impl Association {
    fn new(proxy: SocketAddr) -> Self {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (kept, reply) = ask(proxy, any);
        assert_eq!(reply[..3], [5, 0, 0]);
        // It is told to send where it has come to already.
        assert_eq!(reply[3..], address(proxy));
        let socket = socket(if proxy.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        socket.connect(proxy).unwrap();
        Self { kept, socket }
    }

    fn send(&self, header: &[u8], payload: &[u8]) {
        self.socket.send(&[header, payload].concat()).unwrap();
    }

    /// The next datagram: who it is from, and what it carries.
    fn receive(&self) -> (SocketAddr, Vec<u8>) {
        split(&receive(&self.socket))
    }
}

/// An address as messages have it.
fn address(address: SocketAddr) -> Vec<u8> {
    let (kind, ip) = match address {
        SocketAddr::V4(v4) => (1, v4.ip().octets().to_vec()),
        SocketAddr::V6(v6) => (4, v6.ip().octets().to_vec()),
    };
    [&[kind][..], &ip, &address.port().to_be_bytes()].concat()
}

/// The header of datagrams to an address.
fn to(target: SocketAddr) -> Vec<u8> {
    [&[0, 0, 0][..], &address(target)].concat()
}

/// The header of datagrams to a name.
fn to_name(name: &str, port: u16) -> Vec<u8> {
    [&[0, 0, 0, 3, name.len() as u8][..], name.as_bytes(), &port.to_be_bytes()].concat()
}

fn split(datagram: &[u8]) -> (SocketAddr, Vec<u8>) {
    let [0, 0, 0, kind, rest @ ..] = datagram else { panic!("{datagram:?}") };
    let (ip, rest) = rest.split_at(if *kind == 1 { 4 } else { 16 });
    let (port, payload) = rest.split_at(2);
    let port = u16::from_be_bytes([port[0], port[1]]);
    let address = match ip.try_into() {
        Ok(octets) => SocketAddr::new(Ipv4Addr::from_octets(octets).into(), port),
        Err(_) => {
            let octets: [u8; 16] = ip.try_into().unwrap();
            SocketAddr::new(Ipv6Addr::from(octets).into(), port)
        }
    };
    (address, payload.to_vec())
}

/// A server: what it gets goes back, reversed.
fn answer(server: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let (length, from) = server.recv_from(&mut buffer).expect("something comes");
    let came = buffer[..length].to_vec();
    let back: Vec<u8> = came.iter().rev().copied().collect();
    server.send_to(&back, from).unwrap();
    came
}

fn sockets(summary: &Summary, transport: Transport, name: &str) -> u64 {
    summary.socket_count("1", transport, name)
}

fn address_of(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

#[test]
fn datagrams_cross_without_their_headers_and_come_back_with_the_sender_s() {
    for portable in [false, true] {
        for (listen, here) in
            [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"), ("[::1]", "127.0.0.1")]
        {
            let mut settings = settings(&format!(r#"{{ "listen": "socks5://{listen}:0" }}"#));
            settings.portable = portable;
            let proxy = Running::with(settings);
            let server = socket(&format!("{here}:0"));
            let target = address_of(&server);
            let client = Association::new(front(&proxy));
            let mut bytes = 0;
            for size in [5, 0, 1, 1200, 1200, 60_000] {
                let payload: Vec<u8> = (0..size).map(|n: u32| n as u8).collect();
                client.send(&to(target), &payload);
                assert!(answer(&server) == payload, "{size} bytes");
                let back: Vec<u8> = payload.iter().rev().copied().collect();
                assert!(client.receive() == (target, back), "{size} bytes");
                bytes += u64::from(size);
            }
            let summary = proxy.stop();
            let [up, down] = links(&summary);
            assert_eq!((up.entered, up.delivered, down.entered, down.delivered), (6, 6, 6, 6));
            assert_eq!(
                (up.bytes_in, up.bytes_out, down.bytes_in, down.bytes_out),
                (bytes, bytes, bytes, bytes)
            );
            assert_eq!(sockets(&summary, Transport::Udp, "flows"), 1);
            assert_eq!(sockets(&summary, Transport::Tcp, "associations"), 1);
            assert_conserved(&summary);
        }
    }
}

#[test]
fn each_target_is_a_flow_and_names_are_looked_up() {
    let proxy = proxy("");
    let servers = [socket("127.0.0.1:0"), socket("127.0.0.1:0")];
    let [one, other] = [0, 1].map(|place| address_of(&servers[place]));
    let client = Association::new(front(&proxy));
    for round in 0..3u8 {
        for (server, target) in servers.iter().zip([one, other]) {
            client.send(&to(target), &[round]);
            answer(server);
            assert_eq!(client.receive(), (target, vec![round]));
        }
    }
    // The answer says which address of the name it was.
    client.send(&to_name("LocalHost.", one.port()), b"named");
    assert_eq!(answer(&servers[0]), b"named");
    assert_eq!(client.receive(), (one, b"deman".to_vec()));
    let route = proxy.control.routes().unwrap().remove(0).id;
    let flows = proxy.control.flows(route, 0).unwrap().flows;
    let targets: Vec<String> =
        flows.iter().map(|flow| flow.target.as_ref().unwrap().to_string()).collect();
    let named = HostPort { host: "localhost".into(), port: one.port() }.to_string();
    assert_eq!(targets, [one.to_string(), other.to_string(), named]);
    assert_eq!(flows.iter().map(|flow| flow.counts[0].packets).collect::<Vec<_>>(), [3, 3, 1]);
    let summary = proxy.stop();
    assert_eq!(sockets(&summary, Transport::Udp, "flows"), 3);
    assert_conserved(&summary);
}

#[test]
fn names_without_an_address_lose_their_datagrams_and_are_accounted_for() {
    let proxy = proxy("");
    let client = Association::new(front(&proxy));
    for number in 0..300u16 {
        client.send(&to_name("no-such-host.invalid", 9), &number.to_be_bytes());
    }
    // A datagram behind them waits for none of them.
    let server = socket("127.0.0.1:0");
    client.send(&to(address_of(&server)), b"past");
    assert_eq!(answer(&server), b"past");
    assert_eq!(client.receive().1, b"tsap");
    wait_until("an answer to the question", || {
        let summary = proxy.control.counters().unwrap();
        links(&summary)[0].discarded_total() == 300
    });
    let summary = proxy.stop();
    let up = links(&summary)[0];
    let lost = |name: &str| up.discarded.get(name).copied().unwrap_or_default();
    // As many wait as there is room for; once there is an answer none does.
    assert_eq!(lost("no_upstream") + lost("no_room"), 300, "{up:?}");
    assert!(lost("no_upstream") >= 200, "{up:?}");
    assert_eq!((up.entered, up.delivered), (301, 1));
    assert_conserved(&summary);
}

#[test]
fn runs_of_datagrams_are_taken_apart_by_target() {
    let proxy = proxy("");
    let servers = [socket("127.0.0.1:0"), socket("127.0.0.1:0")];
    let headers = [0, 1].map(|place| to(address_of(&servers[place])));
    let address = front(&proxy);
    let (_kept, reply) = ask(address, ([0, 0, 0, 0], 0).into());
    assert_eq!(reply[1], 0);
    let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let [asked_address, hops, portable, ipv6] = [false; 4];
    let options = DatagramOptions { portable, asked_address, ipv6, hops };
    prepare_datagram_socket(&sender, options).unwrap();
    let sender = mio::net::UdpSocket::from_std(sender.into());
    // All in one message, which the system cuts and the proxy may read as one again: 20 for one
    // server and the other by fives, one that is none, and a short one at the end.
    let mut datagrams: Vec<Vec<u8>> = (0..20u8)
        .map(|number| [&headers[usize::from(number / 5 % 2)][..], &[number; 100]].concat())
        .collect();
    datagrams[12][2] = 1;
    datagrams.push([&headers[1][..], &[20; 7]].concat());
    let pieces: Vec<IoSlice<'_>> = datagrams.iter().map(|one| IoSlice::new(one)).collect();
    let message = Message { pieces: &pieces, to: Some(address), source: None, ecn: Ecn::NotEct };
    assert_eq!(Outbox::new(false).send(&sender, &[message]).unwrap(), 1);
    for (place, expected) in [
        (0, [0, 1, 2, 3, 4, 10, 11, 13, 14].as_slice()),
        (1, &[5, 6, 7, 8, 9, 15, 16, 17, 18, 19, 20]),
    ] {
        for &number in expected {
            let came = receive(&servers[place]);
            let length = if number == 20 { 7 } else { 100 };
            assert_eq!(came, vec![number; length], "at server {place}");
        }
    }
    let summary = proxy.stop();
    let up = links(&summary)[0];
    assert_eq!((up.entered, up.delivered, up.discarded["fragment"]), (21, 20, 1));
    assert_eq!(sockets(&summary, Transport::Udp, "flows"), 2);
    assert_conserved(&summary);
}

#[test]
fn answers_come_in_runs_and_whole() {
    let proxy = proxy(r#", "profile": { "down": [ { "rule": "delay", "time": "20ms" } ] }"#);
    let server = socket("127.0.0.1:0");
    let client = Association::new(front(&proxy));
    client.send(&to(address_of(&server)), b"go");
    let (_, peer) = server.recv_from(&mut [0; 9]).unwrap();
    let sent: Vec<Vec<u8>> = (0..200usize)
        .map(|number| vec![number as u8; [1200, 1200, 1200, 0, 700, 40][number % 6]])
        .collect();
    // No more at once than the client's socket holds, however late this thread is.
    for part in sent.chunks(40) {
        for datagram in part {
            server.send_to(datagram, peer).unwrap();
        }
        for datagram in part {
            assert!(client.receive() == (address_of(&server), datagram.clone()));
        }
    }
    assert_conserved(&proxy.stop());
}

#[test]
fn strangers_fragments_and_nonsense_are_refused_and_counted() {
    let proxy = proxy("");
    let (server, stranger) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let target = to(address_of(&server));
    let hello = [&target[..], b"hello"].concat();
    // Nobody has an association yet.
    stranger.send_to(&hello, front(&proxy)).unwrap();
    let counted = |name: &str, count: u64| {
        wait_until(name, || {
            let summary = proxy.control.counters().unwrap();
            sockets(&summary, Transport::Udp, name) == count
        });
    };
    counted("no_association", 1);
    let client = Association::new(front(&proxy));
    client.send(&target, b"first");
    answer(&server);
    client.receive();
    // The first datagram has settled the port, and another address is none of it.
    stranger.send_to(&hello, front(&proxy)).unwrap();
    let elsewhere = socket("127.0.0.2:0");
    elsewhere.send_to(&hello, front(&proxy)).unwrap();
    counted("no_association", 3);
    // A port that was said is the only one.
    let said = socket("127.0.0.3:0");
    let control = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    control.bind(&SocketAddr::from(([127, 0, 0, 3], 0)).into()).unwrap();
    control.connect(&front(&proxy).into()).unwrap();
    let mut control = TcpStream::from(control);
    let request = [&[5, 1, 0, 5, 3, 0][..], &address(address_of(&said))].concat();
    control.write_all(&request).unwrap();
    control.read_exact(&mut [0; 12]).unwrap();
    let other = socket("127.0.0.3:0");
    other.send_to(&hello, front(&proxy)).unwrap();
    counted("no_association", 4);
    said.send_to(&hello, front(&proxy)).unwrap();
    assert_eq!(answer(&server), b"hello");
    assert_eq!(split(&receive(&said)).1, b"olleh");
    for fragment in [1, 0x80, 0xff] {
        client.send(&[&[0, 0, fragment], &target[3..]].concat(), b"part");
    }
    counted("fragment", 3);
    for nonsense in [&[][..], &[0, 0, 0], &[0, 0, 0, 1, 127, 0, 0, 1, 0, 0, 7], &[9; 40]] {
        client.send(nonsense, &[]);
    }
    counted("malformed", 4);
    client.send(&target, b"last");
    assert_eq!(answer(&server), b"last");
    let summary = proxy.stop();
    assert_eq!(links(&summary)[0].delivered, 3);
    assert_eq!(sockets(&summary, Transport::Udp, "flows"), 2);
    assert_conserved(&summary);
}

#[test]
fn an_association_ends_with_its_connection_however_that_ends() {
    for how in ["close", "half-close", "reset"] {
        let proxy = proxy("");
        let server = socket("127.0.0.1:0");
        let target = to(address_of(&server));
        let (client, other) = (Association::new(front(&proxy)), Association::new(front(&proxy)));
        for one in [&client, &other] {
            one.send(&target, b"hello");
            answer(&server);
            one.receive();
        }
        let Association { mut kept, socket: sends } = client;
        match how {
            "close" => drop(kept),
            "half-close" => {
                kept.shutdown(Shutdown::Write).unwrap();
                assert_eq!(kept.read(&mut [0; 1]).unwrap(), 0, "the proxy ends it too");
            }
            _ => {
                SockRef::from(&kept).set_linger(Some(Duration::ZERO)).unwrap();
                drop(kept);
            }
        }
        wait_until("the end of the association", || {
            let summary = proxy.control.counters().unwrap();
            sockets(&summary, Transport::Tcp, "associations_open") == 1
        });
        // Whose port is whose shows once the one that is left is heard.
        other.send(&target, b"still there");
        answer(&server);
        assert_eq!(other.receive().1.len(), 11, "{how}");
        wait_until("the end of its flow", || {
            let summary = proxy.control.counters().unwrap();
            sockets(&summary, Transport::Udp, "flows_dissociated") == 1
        });
        sends.send(&[&target[..], b"too late"].concat()).unwrap();
        wait_until("a stranger", || {
            let summary = proxy.control.counters().unwrap();
            sockets(&summary, Transport::Udp, "no_association") == 1
        });
        drop(other);
        wait_until("the end of all", || {
            let summary = proxy.control.counters().unwrap();
            sockets(&summary, Transport::Udp, "flows_open") == 0
        });
        assert_conserved(&proxy.stop());
    }
}

#[test]
fn a_proxy_that_ends_or_a_route_that_goes_ends_associations() {
    for removes in [false, true] {
        let proxy = proxy("");
        let server = socket("127.0.0.1:0");
        let Association { mut kept, socket: sends } = Association::new(front(&proxy));
        sends.send(&[&to(address_of(&server))[..], b"hello"].concat()).unwrap();
        answer(&server);
        if removes {
            let route = proxy.control.routes().unwrap().remove(0).id;
            proxy.control.remove(route, PATIENCE).unwrap();
        }
        let summary = (!removes).then(|| proxy.stop());
        let ended = kept.read(&mut [0; 1]);
        let is_reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(ended.as_ref().is_ok_and(|n| *n == 0) || ended.as_ref().is_err_and(is_reset));
        if let Some(summary) = summary {
            assert_conserved(&summary);
        }
    }
}

#[test]
fn new_rules_disturb_no_association_and_another_address_ends_it() {
    let ended = |kept: &mut TcpStream| {
        let end = kept.read(&mut [0; 1]);
        end.is_ok_and(|length| length == 0)
    };
    for (name, listen) in [("1", "127.0.0.2:0"), ("other", "127.0.0.1:0")] {
        let proxy = proxy("");
        let server = socket("127.0.0.1:0");
        let target = to(address_of(&server));
        let mut client = Association::new(front(&proxy));
        let id = proxy.control.routes().unwrap().remove(0).id;
        for delay in ["1ms", "2ms"] {
            client.send(&target, b"hello");
            answer(&server);
            assert_eq!(client.receive().1, b"olleh");
            let rules = format!(r#"{{ "both": [ {{ "rule": "delay", "time": "{delay}" }} ] }}"#);
            proxy.control.set_profile(id, Profile::from_json(&rules).unwrap()).unwrap();
        }
        let new = route(&format!(r#"{{ "name": "{name}", "listen": "socks5://{listen}" }}"#));
        proxy.control.replace(id, new, PATIENCE).unwrap();
        assert!(ended(&mut client.kept), "{name} at {listen}");
        let listeners = proxy.control.routes().unwrap().remove(0).listeners;
        let tcp = listeners.iter().find(|one| one.protocol == Transport::Tcp).unwrap().address;
        let client = Association::new(tcp);
        client.send(&target, b"again");
        answer(&server);
        assert_eq!(client.receive().1, b"niaga");
        assert_conserved(&proxy.stop());
    }
}

#[test]
fn what_may_not_be_reached_is_not() {
    let (open, shut) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let proxy = proxy(&format!(r#", "target": ["{}", "no-such-host.invalid"]"#, address_of(&open)));
    let client = Association::new(front(&proxy));
    client.send(&to(address_of(&shut)), b"no");
    client.send(&to_name("localhost", address_of(&shut).port()), b"no");
    client.send(&to_name("127.0.0.1.", address_of(&shut).port()), b"no");
    // A listed address is one by whatever name.
    client.send(&to_name("localhost", address_of(&open).port()), b"yes");
    assert_eq!(answer(&open), b"yes");
    client.receive();
    shut.set_nonblocking(true).unwrap();
    assert_eq!(shut.recv(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let summary = proxy.stop();
    assert_eq!(sockets(&summary, Transport::Udp, "not_allowed"), 3);
    assert_conserved(&summary);
}

#[test]
fn nothing_leads_back_and_nobody_there_is_told() {
    let proxy = proxy("");
    let client = Association::new(front(&proxy));
    client.send(&to(front(&proxy)), b"round");
    let gone = vacant_address();
    client.send(&to(gone), b"anybody?");
    wait_until("the refusal", || {
        let summary = proxy.control.counters().unwrap();
        sockets(&summary, Transport::Udp, "refused_by_upstream") >= 1
    });
    let summary = proxy.stop();
    assert_eq!(sockets(&summary, Transport::Udp, "looped"), 1);
    assert_conserved(&summary);
}

#[test]
fn a_thousand_associations_come_and_go_and_leave_nothing() {
    let proxy = proxy("");
    let server = socket("127.0.0.1:0");
    let target = to(address_of(&server));
    for _ in 0..10 {
        let all: Vec<Association> = (0..100).map(|_| Association::new(front(&proxy))).collect();
        for client in &all {
            client.send(&target, b"hi");
            answer(&server);
            client.receive();
        }
        drop(all);
        wait_until("the end of all", || {
            let summary = proxy.control.counters().unwrap();
            sockets(&summary, Transport::Tcp, "associations_open") == 0
                && sockets(&summary, Transport::Udp, "flows_open") == 0
        });
    }
    let summary = proxy.stop();
    assert_eq!(sockets(&summary, Transport::Tcp, "associations"), 1000);
    assert_eq!(sockets(&summary, Transport::Udp, "flows_dissociated"), 1000);
    assert_eq!(links(&summary)[0].delivered, 1000);
    assert_conserved(&summary);
}
