//! The flows of a route are listed with what they did, and one of them is closed or reset, which
//! its neighbours do not notice.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

#[path = "flows/chosen.rs"]
#[cfg(target_os = "linux")]
mod chosen;
mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{FlowCounts, FlowId, FlowState, OrderError, RouteId};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{PATIENCE, Running, assert_conserved, on_one_port, wait_until};

/// The ways in which a TCP route may carry its connections: straight, by the rules on the stream
/// itself, and as modelled segments.
const WAYS: [(&str, &str); 3] = [
    ("straight", ""),
    (
        "raw",
        r#", "tcp": "raw", "unit": "read", "profile": { "both": [ { "rule": "delay", "time": "2ms" } ] }"#,
    ),
    ("modelled", r#", "profile": { "both": [ { "rule": "delay", "time": "2ms" } ] }"#),
];

fn flow(transport: Transport, number: u32) -> FlowId {
    FlowId { number, transport }
}

const fn tcp(number: u32) -> FlowId {
    FlowId { number, transport: Transport::Tcp }
}

/// All flows of a route, page by page, with a check of the order.
fn all(proxy: &Running, route: RouteId) -> Vec<FlowState> {
    let (mut flows, mut after) = (Vec::<FlowState>::new(), 0);
    loop {
        let page = proxy.control.flows(route, after).unwrap();
        assert!(page.flows.len() <= 512, "a page is bounded");
        assert!(page.flows.iter().all(|flow| flow.id.number > after));
        flows.extend(page.flows);
        assert!(flows.is_sorted_by(|one, next| one.id < next.id), "each once and in order");
        match page.next {
            Some(next) => {
                assert!(next > after, "it gets on");
                after = next;
            }
            None => return flows,
        }
    }
}

fn only_route(proxy: &Running) -> RouteId {
    proxy.control.routes().unwrap()[0].id
}

/// A proxy in front of a listener, whose connections are accepted one by one.
fn in_front_of(listener: &TcpListener, more: &str) -> (Running, RouteId) {
    let upstream = listener.local_addr().unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "name": "a", "listen": "tcp://127.0.0.1:0", "upstream": "{upstream}"{more} }}"#
    ));
    let route = only_route(&proxy);
    (proxy, route)
}

/// A connection through the proxy, both of its ends.
fn connect(proxy: &Running, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    let (server, _) = listener.accept().unwrap();
    for end in [&client, &server] {
        end.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (client, server)
}

/// Sends bytes from one end to the other and expects them there.
fn pass(mut from: &TcpStream, mut to: &TcpStream, count: usize) {
    from.write_all(&vec![7; count]).unwrap();
    let mut buffer = vec![0; count];
    to.read_exact(&mut buffer).unwrap();
    assert!(buffer.iter().all(|byte| *byte == 7));
}

/// What a read at an end says: how many bytes, or why not.
fn read(mut end: &TcpStream) -> Result<usize, io::ErrorKind> {
    end.read(&mut [0; 100]).map_err(|error| error.kind())
}

#[test]
fn two_hundred_connections_are_listed_with_their_clients_and_bytes() {
    for (way, more) in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, route) = in_front_of(&listener, more);
        assert!(all(&proxy, route).is_empty());
        let ends: Vec<_> = (0..200).map(|_| connect(&proxy, &listener)).collect();
        for (n, (client, server)) in ends.iter().enumerate() {
            pass(client, server, 100 + n);
            pass(server, client, 1000 + n);
        }
        // Together they are what the route did, once the last acknowledgement has gone.
        let mut flows = Vec::new();
        wait_until("the end of what is under way", || {
            flows = all(&proxy, route);
            let summary = proxy.control.counters().unwrap();
            Direction::BOTH.into_iter().all(|direction| {
                let link = summary.link("a", Transport::Tcp, direction).unwrap();
                let sum = |count: fn(FlowCounts) -> u64| {
                    flows.iter().map(|flow| count(flow.counts(direction))).sum::<u64>()
                };
                let sums = (sum(|one| one.packets), sum(|one| one.delivered), sum(|one| one.bytes));
                sums == (link.entered, link.delivered, link.bytes_in)
            })
        });
        assert_eq!(flows.len(), 200, "{way}");
        for (n, (flow, (client, _))) in flows.iter().zip(&ends).enumerate() {
            assert_eq!(flow.id, tcp(n as u32 + 1), "{way}: they count from 1");
            assert_eq!(flow.client, client.local_addr().unwrap());
            assert_eq!(flow.upstream, Some(listener.local_addr().unwrap()));
            assert!(flow.idle <= flow.age && flow.age < PATIENCE, "{flow:?}");
            let [up, down] = Direction::BOTH.map(|direction| flow.counts(direction));
            assert_eq!((up.bytes, down.bytes), (100 + n as u64, 1000 + n as u64), "{way}");
            for counts in [up, down] {
                assert!((1..20).contains(&counts.packets), "{way}: {counts:?}");
                assert_eq!((counts.delivered, counts.discarded), (counts.packets, 0));
            }
            match flow.round_trip {
                // The delayed acknowledgement of a lone segment takes up to 40 ms more.
                Some(rtt) => assert!(
                    way == "modelled" && (4..50).contains(&rtt.as_millis()),
                    "{way}: {rtt:?}"
                ),
                None => assert_ne!(way, "modelled"),
            }
            // A delayed acknowledgement may have gone meanwhile.
            let alone = proxy.control.flow(route, flow.id).unwrap();
            assert_eq!((alone.id, alone.client), (flow.id, flow.client));
            assert_eq!(alone.counts(Direction::Up).bytes, up.bytes);
        }
    }
}

#[test]
fn losses_and_copies_are_counted_for_their_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rules = r#"{ "rule": "drop", "every": 3 }, { "rule": "duplicate", "chance": "100%" }"#;
    let more = format!(r#", "tcp": "raw", "unit": "line", "profile": {{ "up": [ {rules} ] }}"#);
    let (proxy, route) = in_front_of(&listener, &more);
    let ends: Vec<_> = (0..2).map(|_| connect(&proxy, &listener)).collect();
    (&ends[0].0).write_all(&b"line\n".repeat(9)).unwrap();
    let mut nine = [0; 6 * 2 * 5];
    (&ends[0].1).read_exact(&mut nine).unwrap();
    let counts = |number| proxy.control.flow(route, tcp(number)).unwrap().counts(Direction::Up);
    let expected = FlowCounts { packets: 9, bytes: 45, delivered: 12, discarded: 3 };
    assert_eq!((counts(1), counts(2)), (expected, FlowCounts::default()));
}

#[test]
fn one_is_closed_and_its_neighbours_go_on() {
    for (way, more) in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, route) = in_front_of(&listener, more);
        let ends: Vec<_> = (0..5).map(|_| connect(&proxy, &listener)).collect();
        ends.iter().for_each(|(client, server)| pass(client, server, 1000));
        proxy.control.close_flow(route, tcp(3)).unwrap();
        let (client, server) = &ends[2];
        assert_eq!((read(client), read(server)), (Ok(0), Ok(0)), "{way}: both see the end");
        for again in 0..2 {
            let gone = proxy.control.close_flow(route, tcp(3));
            assert!(matches!(gone, Err(OrderError::NoFlow(_))), "{way}: {again}");
            let gone = proxy.control.reset_flow(route, tcp(3));
            assert!(matches!(gone, Err(OrderError::NoFlow(_))), "{way}: {again}");
        }
        assert!(proxy.control.flow(route, tcp(3)).is_err());
        // Its number is nobody else's, also when its place is.
        let sixth = connect(&proxy, &listener);
        pass(&sixth.0, &sixth.1, 10);
        assert!(proxy.control.flow(route, tcp(3)).is_err(), "{way}");
        let numbers: Vec<u32> = all(&proxy, route).iter().map(|flow| flow.id.number).collect();
        assert_eq!(numbers, [1, 2, 4, 5, 6], "{way}");
        for (client, server) in ends[..2].iter().chain(&ends[3..]) {
            pass(client, server, 100_000);
            pass(server, client, 100_000);
        }
        drop((ends, sixth));
        let summary = proxy.stop();
        assert_conserved(&summary);
        assert_eq!(summary.socket_count("a", Transport::Tcp, "closed_by_hand"), 1, "{way}");
        assert_eq!(summary.socket_count("a", Transport::Tcp, "finished"), 5, "{way}");
    }
}

#[test]
fn one_is_reset_and_its_neighbours_go_on() {
    for (way, more) in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, route) = in_front_of(&listener, more);
        let ends: Vec<_> = (0..5).map(|_| connect(&proxy, &listener)).collect();
        ends.iter().for_each(|(client, server)| pass(client, server, 1000));
        proxy.control.reset_flow(route, tcp(2)).unwrap();
        let (client, server) = &ends[1];
        let reset = Err(io::ErrorKind::ConnectionReset);
        assert_eq!((read(client), read(server)), (reset, reset), "{way}");
        assert!(matches!(proxy.control.flow(route, tcp(2)), Err(OrderError::NoFlow(_))), "{way}");
        for (client, server) in ends[..1].iter().chain(&ends[2..]) {
            pass(client, server, 100_000);
            pass(server, client, 100_000);
        }
        drop(ends);
        let summary = proxy.stop();
        assert_conserved(&summary);
        assert_eq!(summary.socket_count("a", Transport::Tcp, "reset_by_hand"), 1, "{way}");
        assert_eq!(summary.socket_count("a", Transport::Tcp, "finished"), 4, "{way}");
    }
}

#[test]
fn one_that_is_not_read_is_closed_all_the_same() {
    for (way, more) in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (proxy, route) = in_front_of(&listener, more);
        let (client, server) = connect(&proxy, &listener);
        client.set_nonblocking(true).unwrap();
        // Until nothing more goes in: the server does not read.
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(100) {
            if (&client).write(&[7; 1 << 16]).is_ok_and(|count| count > 0) {
                last = Instant::now();
            } else {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        proxy.control.close_flow(route, tcp(1)).unwrap();
        wait_until("the end", || {
            let summary = proxy.control.counters().unwrap();
            summary.socket_count("a", Transport::Tcp, "connections_open") == 0
        });
        assert!(all(&proxy, route).is_empty(), "{way}");
        drop(server);
    }
}

#[test]
fn a_handshake_that_is_under_way_can_be_ended() {
    for reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let more = r#", "profile": { "both": [ { "rule": "delay", "time": "1h" } ] }"#;
        let (proxy, route) = in_front_of(&listener, more);
        let client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        wait_until("the connection", || all(&proxy, route).len() == 1);
        let flow = proxy.control.flow(route, tcp(1)).unwrap();
        let leads_to = listener.local_addr().unwrap();
        assert_eq!((flow.upstream, flow.round_trip), (Some(leads_to), None));
        if reset {
            proxy.control.reset_flow(route, flow.id).unwrap();
            assert_eq!(read(&client), Err(io::ErrorKind::ConnectionReset));
        } else {
            proxy.control.close_flow(route, flow.id).unwrap();
            assert_eq!(read(&client), Ok(0));
        }
        drop(client);
        wait_until("the end", || {
            let summary = proxy.control.counters().unwrap();
            summary.socket_count("a", Transport::Tcp, "connections_open") == 0
        });
    }
}

/// A UDP server that answers each datagram with the port it came from, and a client's question.
struct Ports(UdpSocket);

impl Ports {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Lets a client ask with so many bytes; returns the port that the server saw.
    fn ask(&self, client: &UdpSocket, proxy: SocketAddr, bytes: usize) -> u16 {
        let mut buffer = [0; 2000];
        client.send_to(&vec![1; bytes], proxy).unwrap();
        let (count, from) = self.0.recv_from(&mut buffer).unwrap();
        assert_eq!(count, bytes);
        self.0.send_to(&[2; 10], from).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 10);
        from.port()
    }
}

fn udp_client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn udp_flows_are_listed_and_one_is_forgotten() {
    let server = Ports::new();
    let upstream = server.address();
    let proxy = Running::start(&format!(
        r#"{{ "name": "a", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}" }}"#
    ));
    let (route, address) = (only_route(&proxy), proxy.address(Transport::Udp));
    let clients: Vec<UdpSocket> = (0..300).map(|_| udp_client()).collect();
    let ports: Vec<u16> =
        clients.iter().enumerate().map(|(n, one)| server.ask(one, address, n)).collect();
    let flows = all(&proxy, route);
    assert_eq!(flows.len(), 300, "more than a page");
    for (n, (flow, client)) in flows.iter().zip(&clients).enumerate() {
        assert_eq!(flow.id, self::flow(Transport::Udp, n as u32 + 1));
        assert_eq!(flow.client, client.local_addr().unwrap());
        assert_eq!((flow.upstream, flow.round_trip), (Some(upstream), None));
        let counts = |bytes| FlowCounts { packets: 1, bytes, delivered: 1, discarded: 0 };
        assert_eq!(flow.counts, [counts(n as u64), counts(10)]);
    }
    let second = flow(Transport::Udp, 2);
    proxy.control.close_flow(route, second).unwrap();
    assert!(matches!(proxy.control.flow(route, second), Err(OrderError::NoFlow(_))));
    assert!(matches!(proxy.control.reset_flow(route, second), Err(OrderError::NoFlow(_))));
    assert_eq!(all(&proxy, route).len(), 299);
    // Its client begins a new one, with another number; the others go on with theirs.
    for (n, client) in clients.iter().enumerate() {
        let port = server.ask(client, address, 5);
        assert_eq!(port == ports[n], n != 1, "{n}");
    }
    assert!(proxy.control.flow(route, second).is_err());
    let last = proxy.control.flow(route, flow(Transport::Udp, 301)).unwrap();
    assert_eq!(last.client, clients[1].local_addr().unwrap());
    // A reset is no more and no less.
    proxy.control.reset_flow(route, last.id).unwrap();
    assert!(proxy.control.flow(route, last.id).is_err());
    let summary = proxy.stop();
    assert_conserved(&summary);
    assert_eq!(summary.socket_count("a", Transport::Udp, "flows_closed_by_hand"), 2);
}

#[test]
fn what_a_forgotten_flow_has_inside_is_accounted_for() {
    let server = Ports::new();
    let upstream = server.address();
    let proxy = Running::start(&format!(
        r#"{{ "name": "a", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}",
            "profile": {{ "up": [ {{ "rule": "drop", "every": 4 }},
                                  {{ "rule": "delay", "time": "300ms" }} ] }} }}"#
    ));
    let (route, address) = (only_route(&proxy), proxy.address(Transport::Udp));
    let (gone, stays) = (udp_client(), udp_client());
    for _ in 0..8 {
        gone.send_to(b"gone", address).unwrap();
    }
    let first = flow(Transport::Udp, 1);
    let counts = |id| proxy.control.flow(route, id).ok().map(|flow| flow.counts(Direction::Up));
    wait_until("eight", || counts(first).is_some_and(|counts| counts.packets == 8));
    let expected = FlowCounts { packets: 8, bytes: 32, delivered: 0, discarded: 2 };
    wait_until("their fates", || counts(first) == Some(expected));
    proxy.control.close_flow(route, first).unwrap();
    server.ask(&stays, address, 7);
    let flows = all(&proxy, route);
    assert_eq!((flows.len(), flows[0].id), (1, flow(Transport::Udp, 2)));
    assert_eq!(flows[0].counts(Direction::Up).delivered, 1);
    let summary = proxy.stop();
    assert_conserved(&summary);
    let up = summary.link("a", Transport::Udp, Direction::Up).unwrap();
    assert_eq!((up.entered, up.held, up.discarded["orphaned"]), (9, 0, 6));
    assert_eq!(up.delivered, 1);
}

#[test]
fn udp_and_tcp_of_one_port_are_listed_together_and_ended_apart() {
    let (listener, socket) = on_one_port();
    let upstream = listener.local_addr().unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "name": "a", "listen": "both://127.0.0.1:0", "upstream": "{upstream}" }}"#
    ));
    let (route, server) = (only_route(&proxy), Ports(socket));
    let clients: Vec<UdpSocket> = (0..3).map(|_| udp_client()).collect();
    for client in &clients {
        server.ask(client, proxy.address(Transport::Udp), 9);
    }
    let ends: Vec<_> = (0..2).map(|_| connect(&proxy, &listener)).collect();
    ends.iter().for_each(|(client, server)| pass(client, server, 8));
    let listed = |proxy| all(proxy, route).iter().map(|flow| flow.id).collect::<Vec<_>>();
    let (udp, both) = (Transport::Udp, [Transport::Udp, Transport::Tcp]);
    let pairs = [1, 2].into_iter().flat_map(|number| both.map(|one| flow(one, number)));
    let mut expected: Vec<FlowId> = pairs.chain([flow(udp, 3)]).collect();
    expected.sort_unstable();
    assert_eq!(listed(&proxy), expected);
    proxy.control.reset_flow(route, tcp(1)).unwrap();
    assert!(proxy.control.flow(route, flow(udp, 1)).is_ok());
    assert!(proxy.control.flow(route, tcp(3)).is_err(), "the third is UDP's");
    proxy.control.close_flow(route, flow(udp, 2)).unwrap();
    pass(&ends[1].0, &ends[1].1, 8);
    expected.retain(|id| ![tcp(1), flow(udp, 2)].contains(id));
    assert_eq!(listed(&proxy), expected);
}

#[test]
fn a_list_is_right_while_a_thousand_connections_come_and_go() {
    const CLIENTS: usize = 4;
    const EACH: usize = 250;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, route) = in_front_of(&listener, WAYS[0].1);
    let address = proxy.address(Transport::Tcp);
    let over = AtomicBool::new(false);
    let (lists, listed) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let serve = |mut stream: TcpStream| {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_ok() && byte[0] == b'.' {
                    return false;
                }
                stream.write_all(b"!").unwrap();
                true
            };
            while serve(listener.accept().unwrap().0) {}
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut ports = Vec::new();
                    for _ in 0..EACH {
                        let mut client = TcpStream::connect(address).unwrap();
                        client.set_read_timeout(Some(PATIENCE)).unwrap();
                        client.write_all(b"?").unwrap();
                        client.read_exact(&mut [0]).unwrap();
                        ports.push(client.local_addr().unwrap());
                    }
                    ports
                })
            })
            .collect();
        let lister = scope.spawn(|| {
            let (mut lists, mut seen) = (0, Vec::new());
            while !over.load(Ordering::Acquire) {
                // What it is told of one is never of another: the check is in there.
                seen.extend(all(&proxy, route).into_iter().map(|flow| (flow.id, flow.client)));
                lists += 1;
            }
            (lists, seen)
        });
        let ports: Vec<SocketAddr> =
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert_eq!(ports.len(), CLIENTS * EACH);
        over.store(true, Ordering::Release);
        let (lists, mut seen) = lister.join().unwrap();
        TcpStream::connect(address).unwrap().write_all(b".").unwrap();
        assert!(seen.iter().all(|(_, client)| ports.contains(client)));
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.is_sorted_by(|one, next| one.0 < next.0), "a number has one client");
        (lists, seen.len())
    });
    assert!(lists > 10 && listed > 10, "{lists} lists of {listed} connections");
    wait_until("the end", || all(&proxy, route).is_empty());
    let summary = proxy.stop();
    assert_eq!(summary.socket_count("a", Transport::Tcp, "connections"), 1001);
}

#[test]
fn flows_of_what_is_not_there_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, route) = in_front_of(&listener, "");
    for number in [0, 1, u32::MAX] {
        for transport in Transport::ALL {
            let id = flow(transport, number);
            assert!(matches!(proxy.control.flow(route, id), Err(OrderError::NoFlow(_))));
            assert!(matches!(proxy.control.close_flow(route, id), Err(OrderError::NoFlow(_))));
            assert!(matches!(proxy.control.reset_flow(route, id), Err(OrderError::NoFlow(_))));
        }
    }
    proxy.control.close(route).unwrap();
    assert!(matches!(proxy.control.flows(route, 0), Err(OrderError::NoRoute(_))));
    assert!(matches!(proxy.control.close_flow(route, tcp(1)), Err(OrderError::NoRoute(_))));
}
