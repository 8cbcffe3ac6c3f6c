//! A proxy under a clock of the test's: its sockets are real, and its time is an argument, so that
//! what takes minutes is tested to the nanosecond and at once.

use super::*;
use crate::reactor::Readiness;
use crate::worker::serve;
use jostle_engine::route::Configuration;
use mio::Token;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

mod beginnings;

/// Looks at the sockets without an event between them after which nothing more is to come.
const QUIET_LOOKS: usize = 5;

/// The most looks at one time.
const LOOKS_MAX: usize = 10_000;

/// A proxy whose time stands still unless it is told otherwise.
struct Driven {
    proxy: Proxy,
    reports: Vec<(Token, Readiness)>,
}

impl Driven {
    /// Binds a proxy with one route.
    fn new(route: &str) -> Self {
        Self::with(route, |_| {})
    }

    fn with(route: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let no_files = |name: &str| Err(format!("{name}: tests read no files"));
        let text = format!(r#"{{ "seed": 7, "proxies": [ {route} ] }}"#);
        let routes = Configuration::from_json(&text, &no_files).unwrap().routes;
        let mut settings = Settings::new(routes, 7);
        settings.spin = Duration::ZERO;
        change(&mut settings);
        Self { proxy: Proxy::bind(settings).unwrap(), reports: Vec::new() }
    }

    /// The loop and what it works on.
    fn parts(&mut self) -> (&Worker, &mut LoopState) {
        let (worker, loop_state) = &mut self.proxy.first;
        (worker, loop_state)
    }

    fn turn(&mut self) -> &mut Turn {
        &mut self.proxy.first.1.turn
    }

    /// Serves the sockets once, at the time that it is. Returns true if any of them had something.
    fn look(&mut self) -> bool {
        let turn = self.turn();
        let now = turn.now;
        let soon = turn.reactor.now() + Duration::from_millis(1);
        turn.reactor.wait(Some(soon)).unwrap();
        turn.now = now;
        let mut reports = std::mem::take(&mut self.reports);
        let (worker, loop_state) = self.parts();
        worker.obey(loop_state);
        serve(loop_state, &mut reports);
        loop_state.work();
        // The timer reports too, and says nothing of a socket.
        let reactor = &loop_state.turn.reactor;
        let any = reports.iter().any(|(token, _)| reactor.owner(*token).is_some());
        let looked = reactor.agains() > 0 || any;
        self.reports = reports;
        looked
    }

    /// Serves the sockets until none of them has anything, without going on in time.
    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..LOOKS_MAX {
            quiet = if self.look() { 0 } else { quiet + 1 };
            if quiet >= QUIET_LOOKS {
                return;
            }
        }
        panic!("it never rests");
    }

    /// Goes on to a time after the start, doing what is due meanwhile when it is due.
    fn go_to(&mut self, time: Duration) {
        self.settle();
        let end = Instant::START + time;
        while let Some(at) = self.parts().1.fleet.deadline().filter(|at| *at <= end) {
            self.turn().now = self.turn().now.max(at);
            self.settle();
        }
        self.turn().now = end;
        self.settle();
    }

    /// Goes to just before a time, then to it; returns what `stream` was told up to each.
    fn around(&mut self, time: Duration, stream: &mut TcpStream) -> [Vec<u8>; 2] {
        self.go_to(time - Duration::from_nanos(1));
        let before = told(stream);
        self.go_to(time);
        [before, told(stream)]
    }

    /// Connects a client that asks for a target by SOCKS5.
    fn ask(&self, target: SocketAddr) -> TcpStream {
        let mut client = self.connect();
        client.write_all(&socks(target)).unwrap();
        client
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.proxy.listeners()[0].address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }
}

/// What has come so far.
fn told(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => panic!("{error}"),
    }
    bytes
}

/// A SOCKS5 client's greeting and request for an IPv4 address.
fn socks(target: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(target) = target else { panic!("{target} is IPv4") };
    let (ip, port) = (target.ip().octets(), target.port().to_be_bytes());
    [&[5, 1, 0, 5, 1, 0, 1], &ip[..], &port[..]].concat()
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const FAR: &str = r#""profile": { "both": [ { "rule": "delay", "time": "300ms" } ] }"#;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_tunnel_is_open_after_one_round_trip_as_a_connect_is() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    let tunnel = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    for (scheme, request, answer) in [
        ("socks5", socks(target), &b"\x05\x00\x00"[..]),
        ("http-proxy", tunnel.into_bytes(), &b"HTTP/1.1 200 "[..]),
    ] {
        let mut proxy = Driven::new(&format!(r#"{{ "listen": "{scheme}://127.0.0.1:0", {FAR} }}"#));
        let mut client = proxy.connect();
        client.write_all(&request).unwrap();
        server.set_nonblocking(true).unwrap();
        proxy.go_to(ms(300) - Duration::from_nanos(1));
        assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "{scheme}");
        if scheme == "socks5" {
            assert_eq!(told(&mut client), [5, 0], "the greeting crosses nothing");
        }
        proxy.go_to(ms(300));
        let (mut far, _) = server.accept().expect("the SYN has arrived");
        far.set_nonblocking(true).unwrap();
        // A server that speaks first, as it does once the handshake is over.
        far.write_all(b"220").unwrap();
        let [before, then] = proxy.around(ms(600), &mut client);
        assert_eq!(before, b"", "{scheme}");
        assert!(then.starts_with(answer), "{scheme}: {then:?}");
        client.write_all(b"hello").unwrap();
        assert_eq!(proxy.around(ms(900), &mut far), [&b""[..], b"hello"], "{scheme}");
        assert_eq!(proxy.around(ms(1200), &mut client), [&b""[..], b"220"], "{scheme}");
    }
}

#[test]
fn a_refusal_is_told_after_one_round_trip_as_a_connect_has_it() {
    let target = nobody();
    let tunnel = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let fetch = format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n");
    for (scheme, request, answer) in [
        ("socks5", socks(target), &b"\x05\x05\x00"[..]),
        ("http-proxy", tunnel.into_bytes(), &b"HTTP/1.1 502 "[..]),
        ("http-proxy", fetch.into_bytes(), &b"HTTP/1.1 502 "[..]),
    ] {
        let mut proxy = Driven::new(&format!(r#"{{ "listen": "{scheme}://127.0.0.1:0", {FAR} }}"#));
        let mut client = proxy.connect();
        client.write_all(&request).unwrap();
        proxy.go_to(ms(300));
        let _ = told(&mut client);
        let [before, then] = proxy.around(ms(600), &mut client);
        assert_eq!(before, b"", "{scheme}");
        assert!(then.starts_with(answer), "{scheme}: {then:?}");
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "and closed");
    }
    // A fixed route has no words for it: its client is reset.
    let route = format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "{target}", {FAR} }}"#);
    let mut proxy = Driven::new(&route);
    let mut client = proxy.connect();
    assert_eq!(proxy.around(ms(599), &mut client), [b"", b""]);
    proxy.go_to(ms(600));
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_handshake_that_finds_nobody_is_told_when_linux_gives_up() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    let tunnel = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let outage = |direction: &str| {
        format!(r#""profile": {{ "{direction}": [ {{ "rule": "drop", "chance": "100%" }} ] }}"#)
    };
    for (direction, scheme, request, answer) in [
        ("up", "socks5", socks(target), &b"\x05\x06\x00"[..]),
        ("up", "http-proxy", tunnel.clone().into_bytes(), &b"HTTP/1.1 504 "[..]),
        // Here the server is reached, and its answers are not.
        ("down", "socks5", socks(target), &b"\x05\x06\x00"[..]),
        ("down", "http-proxy", tunnel.into_bytes(), &b"HTTP/1.1 504 "[..]),
    ] {
        let rules = outage(direction);
        let route = format!(r#"{{ "listen": "{scheme}://127.0.0.1:0", {rules} }}"#);
        let mut proxy = Driven::new(&route);
        let mut client = proxy.connect();
        client.write_all(&request).unwrap();
        proxy.go_to(ms(1));
        let _ = told(&mut client);
        let [before, then] = proxy.around(Duration::from_secs(131), &mut client);
        assert_eq!(before, b"", "{scheme} {direction}");
        assert!(then.starts_with(answer), "{scheme} {direction}: {then:?}");
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "and closed");
    }
}

#[test]
fn a_further_request_takes_one_round_trip_and_no_handshake() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let target = server.local_addr().unwrap();
    let request = format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let mut proxy = Driven::new(&format!(r#"{{ "listen": "http-proxy://127.0.0.1:0", {FAR} }}"#));
    let mut client = proxy.connect();
    client.write_all(request.as_bytes()).unwrap();
    proxy.go_to(ms(300));
    let (mut far, _) = server.accept().unwrap();
    far.set_nonblocking(true).unwrap();
    // The first one comes behind the handshake.
    let mut begun = ms(600);
    for number in 1..=3 {
        let [before, then] = proxy.around(begun + ms(300), &mut far);
        assert_eq!(before, b"", "{number}");
        assert!(then.starts_with(b"GET / HTTP/1.1\r\n") && then.ends_with(b"\r\n\r\n"), "{number}");
        far.write_all(answer).unwrap();
        assert_eq!(proxy.around(begun + ms(600), &mut client), [&b""[..], answer], "{number}");
        begun += ms(5000);
        proxy.go_to(begun);
        client.write_all(request.as_bytes()).unwrap();
    }
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "one connection");
}

#[test]
fn the_head_of_a_further_request_has_as_much_time_as_the_first_one() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    let request = format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for rules in ["", FAR] {
        let comma = if rules.is_empty() { "" } else { "," };
        let route = format!(r#"{{ "listen": "http-proxy://127.0.0.1:0"{comma} {rules} }}"#);
        let mut proxy = Driven::with(&route, |settings| settings.negotiation_timeout = ms(10_000));
        let mut client = proxy.connect();
        // Each piece goes by itself.
        client.set_nodelay(true).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        proxy.go_to(ms(1000));
        let (mut far, _) = server.accept().unwrap();
        far.write_all(answer).unwrap();
        proxy.go_to(ms(2000));
        assert_eq!(told(&mut client), answer);
        // It may say nothing for longer than that; then each piece comes in time, and all do.
        proxy.go_to(ms(30_000));
        let (begin, end) = request.split_at(20);
        client.write_all(begin.as_bytes()).unwrap();
        proxy.go_to(ms(39_000));
        client.write_all(end.as_bytes()).unwrap();
        proxy.go_to(ms(40_000));
        far.write_all(answer).unwrap();
        proxy.go_to(ms(41_000));
        assert_eq!(told(&mut client), answer, "{rules}");
        // What comes a byte at a time has no more.
        for (nth, byte) in request.bytes().take(19).enumerate() {
            proxy.go_to(ms(45_000 + 500 * nth as u64));
            client.write_all(&[byte]).unwrap();
        }
        assert_eq!(proxy.around(ms(55_000), &mut client), [b"", b""]);
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "{rules}: closed");
        let counts = proxy.proxy.first.1.fleet.touch(0).report().counts;
        assert_eq!(["negotiation_timed_out", "asked_again"].map(|name| counts[name]), [1, 1]);
    }
}

/// A listener whose backlog is full, so that it answers nobody; and what fills it.
fn mute() -> (SocketAddr, Vec<socket2::Socket>) {
    let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = new();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let one = new();
        one.set_nonblocking(true).unwrap();
        let _ = one.connect(&address);
        sockets.push(one);
    }
    (address.as_socket().unwrap(), sockets)
}

#[test]
fn an_address_that_never_answers_leaves_time_to_the_others() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let (mute, _sockets) = mute();
    let seconds = Duration::from_secs;
    for (addresses, reached) in [
        (vec![mute, mute, server.local_addr().unwrap()], Some(seconds(6))),
        (vec![mute, nobody(), server.local_addr().unwrap()], Some(seconds(3))),
        (vec![mute, server.local_addr().unwrap()], Some(Duration::from_millis(4500))),
        (vec![server.local_addr().unwrap(), mute], Some(Duration::from_nanos(1))),
        (vec![mute; 3], None),
    ] {
        let route = format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "{mute}" }}"#);
        let mut proxy = Driven::with(&route, |settings| settings.connect_timeout = seconds(9));
        let LoopState { fleet, turn, .. } = &mut *proxy.proxy.first.1;
        fleet.touch(0).set_addresses(addresses.clone(), turn);
        let mut client = proxy.connect();
        if let Some(at) = reached {
            proxy.go_to(at - Duration::from_nanos(1));
            let early = server.accept();
            if at > seconds(1) {
                assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock, "{addresses:?}");
                proxy.go_to(at);
                server.accept().unwrap_or_else(|error| panic!("{addresses:?}: {error}"));
            } else {
                early.unwrap();
            }
            // A look at what was tried is not taken for one at what is there.
            assert_eq!(proxy.around(seconds(20), &mut client), [b"", b""]);
        } else {
            assert_eq!(proxy.around(seconds(9) - Duration::from_nanos(1), &mut client), [b"", b""]);
            proxy.go_to(seconds(9));
            assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_rule_on_a_target_looks_at_those_alone_who_asked_for_it() {
    let servers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [slow, other] = servers.each_ref().map(|server| server.local_addr().unwrap());
    let chosen = format!(r#""match": {{ "target": "127.0.0.1:{}" }}"#, slow.port());
    let delay = format!(r#"{{ "rule": "delay", "time": "300ms", {chosen} }}"#);
    let mut proxy = Driven::new(&format!(
        r#"{{ "listen": "socks5://127.0.0.1:0", "profile": {{ "both": [ {delay} ] }} }}"#
    ));
    let mut clients = [slow, other].map(|target| proxy.ask(target));
    proxy.go_to(ms(0));
    let answered = [5, 0, 5, 0, 0, 1];
    assert_eq!(told(&mut clients[0]), [5, 0], "its handshake takes its time");
    assert!(told(&mut clients[1]).starts_with(&answered));
    let [before, then] = proxy.around(ms(600), &mut clients[0]);
    assert!(before.is_empty() && then.starts_with(&answered[2..]), "{before:?} {then:?}");

    // The same for a rule on the stream: who asked for that target is reset.
    let reset = format!(r#"{{ "rule": "reset", "after": "1s", {chosen} }}"#);
    let mut proxy = Driven::new(&format!(
        r#"{{ "listen": "socks5://127.0.0.1:0", "profile": {{ "up": [ {reset} ] }} }}"#
    ));
    let mut clients = [slow, other].map(|target| proxy.ask(target));
    proxy.go_to(ms(0));
    for client in &mut clients {
        assert!(told(client).starts_with(&answered));
        client.write_all(b"hello").unwrap();
    }
    proxy.go_to(ms(999));
    assert_eq!(clients.each_mut().map(told), [b"", b""]);
    proxy.go_to(ms(1000));
    assert_eq!(clients[0].read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(told(&mut clients[1]), b"");
}

#[test]
fn a_rule_on_an_age_comes_to_a_stream_at_that_age() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    for mode in [r#""tcp": "model""#, r#""tcp": "raw", "unit": "read""#] {
        let rule = r#"{ "rule": "delay", "time": "300ms", "match": { "age": "2s..3s" } }"#;
        let mut proxy = Driven::new(&format!(
            r#"{{ "listen": "127.0.0.1:0", "upstream": "{}", {mode}, "profile": {{ "up": [ {rule} ] }} }}"#,
            server.local_addr().unwrap()
        ));
        let mut client = proxy.connect();
        proxy.go_to(ms(0));
        let (mut far, _) = server.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        for (at, waits) in [(500, 0), (1999, 0), (2000, 300), (2600, 300), (3000, 0), (4000, 0)] {
            proxy.go_to(ms(at));
            client.write_all(b"hello").unwrap();
            if waits == 0 {
                proxy.go_to(ms(at));
                assert_eq!(told(&mut far), b"hello", "{mode} at {at}");
            } else {
                assert_eq!(
                    proxy.around(ms(at + waits), &mut far),
                    [&b""[..], b"hello"],
                    "{mode} {at}"
                );
            }
        }
    }
}
