//! Routes are added, replaced and removed while a proxy relays: what stays is not disturbed, what
//! goes drains, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::profile::Profile;
use jostle_proxy::{OrderError, RouteId, StartError};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;
use support::{
    Brake, PATIENCE, Running, assert_conserved, no_routes, on_one_port, route, rules, settings,
    vacant_address, wait_until,
};

const SECOND: Duration = Duration::from_secs(1);

fn udp(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A proxy that begins without routes.
fn empty() -> Running {
    Running::with(no_routes())
}

fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 100];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (String::from_utf8(buffer[..length].to_vec()).unwrap(), from)
}

/// Where a route listens.
fn address(proxy: &Running, id: RouteId, transport: Transport) -> SocketAddr {
    let routes = proxy.control.routes().unwrap();
    let state = routes.iter().find(|state| state.id == id).expect("it is there");
    let mut listeners = state.listeners.iter();
    listeners.find(|listener| listener.protocol == transport).expect("it listens").address
}

#[test]
fn a_route_comes_and_goes_and_what_it_did_stays() {
    let proxy = empty();
    let server = udp("127.0.0.1:0");
    let upstream = server.local_addr().unwrap();
    let text =
        format!(r#"{{ "name": "a", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}" }}"#);
    let client = udp("127.0.0.1:0");
    let mut last: Option<RouteId> = None;
    for round in 1..=3 {
        let id = proxy.control.add(route(&text)).unwrap();
        assert!(last.is_none_or(|last| last != id), "an identity is given once");
        client.send_to(b"hello", address(&proxy, id, Transport::Udp)).unwrap();
        assert_eq!(receive(&server).0, "hello");
        proxy.control.remove(id, SECOND).unwrap();
        assert!(proxy.control.routes().unwrap().is_empty());
        assert!(matches!(proxy.control.remove(id, SECOND), Err(OrderError::NoRoute(_))));
        let counts = proxy.control.counters().unwrap();
        let up = counts.link("a", Transport::Udp, Direction::Up).unwrap();
        assert_eq!((up.entered, up.delivered), (round, round));
        last = Some(id);
    }
    let summary = proxy.stop();
    assert_eq!(summary.links.len(), 2, "three routes of one name are one");
    assert_eq!(summary.socket_count("a", Transport::Udp, "flows"), 3);
    assert_eq!(summary.link("a", Transport::Udp, Direction::Up).unwrap().lateness.packets, 3);
}

#[test]
fn an_order_that_cannot_be_carried_out_changes_nothing() {
    let proxy = empty();
    let taken = vacant_address();
    let blocker = TcpListener::bind(vacant_address()).unwrap();
    let add = |text: &str| proxy.control.add(route(text));
    let first = format!(r#"{{ "name": "a", "listen": "{taken}", "upstream": "127.0.0.1:9" }}"#);
    let id = add(&first).unwrap();
    let before = proxy.control.routes().unwrap();
    assert!(matches!(add(&first), Err(OrderError::NameTaken(name)) if name == "a"));
    let busy = format!(
        r#"{{ "name": "b", "listen": "both://{}", "upstream": "127.0.0.1:9" }}"#,
        blocker.local_addr().unwrap()
    );
    let listens = |result| matches!(result, Err(OrderError::Start(StartError::Listen { .. })));
    assert!(listens(add(&busy).map(drop)));
    assert!(listens(proxy.control.replace(id, route(&busy), SECOND).map(drop)));
    // The UDP half of it, which could be opened, is free again.
    UdpSocket::bind(blocker.local_addr().unwrap()).unwrap();
    let back = format!(r#"{{ "name": "a", "listen": "{taken}", "upstream": "{taken}" }}"#);
    let result = proxy.control.replace(id, route(&back), SECOND);
    assert!(matches!(result, Err(OrderError::Start(StartError::Circle { .. }))), "{result:?}");
    let nowhere =
        r#"{ "name": "d", "listen": "127.0.0.1:0", "upstream": "no-such-host.invalid:1" }"#;
    assert!(matches!(add(nowhere), Err(OrderError::Start(StartError::Resolve { .. }))));
    let result = proxy.control.remove_rule(id, Direction::Up, "drop");
    let Err(error) = result else { panic!("it has no rules") };
    assert_eq!(error.to_string(), r#"route "a" has no rule "drop" up"#);
    let bytes = r#""match": { "bytes": { "offset": 0, "text": "GET" } }"#;
    let profile = format!(r#"{{ "up": [ {{ "rule": "drop", "chance": "1%", {bytes} }} ] }}"#);
    let result = proxy.control.set_profile(id, Profile::from_json(&profile).unwrap());
    assert!(matches!(result, Err(OrderError::Rules(_))), "{result:?}");
    assert_eq!(proxy.control.routes().unwrap(), before);
    let control = proxy.control.clone();
    proxy.stop();
    assert!(matches!(control.routes(), Err(OrderError::Ended)));
}

#[test]
fn a_circle_through_two_routes_is_found_when_the_second_comes() {
    let proxy = empty();
    let [one, two] = [(); 2].map(|()| vacant_address());
    let text = |name: &str, listen: SocketAddr, upstream: SocketAddr| {
        route(&format!(r#"{{ "name": "{name}", "listen": "{listen}", "upstream": "{upstream}" }}"#))
    };
    let first = proxy.control.add(text("1", one, two)).unwrap();
    let second = proxy.control.add(text("2", two, one));
    assert!(matches!(second, Err(OrderError::Start(StartError::Circle { .. }))), "{second:?}");
    proxy.control.remove(first, Duration::ZERO).unwrap();
    proxy.control.add(text("2", two, one)).unwrap();
}

#[test]
fn replacing_keeps_sockets_flows_and_connections() {
    let proxy = empty();
    let ((listener, server), other) = (on_one_port(), udp("127.0.0.1:0"));
    let text = |upstream: &UdpSocket, profile: &str| {
        let upstream = upstream.local_addr().unwrap();
        route(&format!(
            r#"{{ "name": "a", "listen": "both://127.0.0.1:0", "upstream": "{upstream}",
                "profile": {{ {profile} }} }}"#
        ))
    };
    let id = proxy.control.add(text(&server, "")).unwrap();
    let at = address(&proxy, id, Transport::Udp);
    let client = udp("127.0.0.1:0");
    client.send_to(b"one", at).unwrap();
    let (_, peer) = receive(&server);
    let mut stream = TcpStream::connect(at).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    // Other rules and another upstream: the flow and the connection go on where they are.
    let delay = r#""both": [ { "rule": "delay", "time": "10ms" } ]"#;
    proxy.control.replace(id, text(&other, delay), SECOND).unwrap();
    assert_eq!(address(&proxy, id, Transport::Udp), at, "port 0 is the same one again");
    client.send_to(b"two", at).unwrap();
    assert_eq!(receive(&server), ("two".into(), peer));
    stream.write_all(b"bytes").unwrap();
    let mut bytes = [0; 5];
    accepted.set_read_timeout(Some(PATIENCE)).unwrap();
    accepted.read_exact(&mut bytes).unwrap();
    // A new client goes to the new upstream.
    let newcomer = udp("127.0.0.1:0");
    newcomer.send_to(b"three", at).unwrap();
    assert_eq!(receive(&other).0, "three");
    // Listening somewhere else: the connection goes on, the old place is closed.
    let mut elsewhere = text(&other, delay);
    elsewhere.listen.host = "127.0.0.2".into();
    proxy.control.replace(id, elsewhere, SECOND).unwrap();
    let moved = address(&proxy, id, Transport::Tcp);
    assert_eq!(moved.ip().to_string(), "127.0.0.2");
    assert!(TcpStream::connect(at).is_err(), "nobody listens there any more");
    accepted.write_all(b"reply").unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"reply");
    newcomer.send_to(b"four", moved).unwrap();
    assert_eq!(receive(&other).0, "four");
    // UDP alone: the connection is cut when its time is over.
    let mut alone = text(&other, "");
    alone.listen.host = "127.0.0.2".into();
    alone.transport = jostle_engine::route::Transports::Udp;
    proxy.control.replace(id, alone, Duration::ZERO).unwrap();
    assert!(stream.read(&mut bytes).is_err(), "a reset");
    newcomer.send_to(b"five", moved).unwrap();
    assert_eq!(receive(&other).0, "five");
    let summary = proxy.stop();
    assert_conserved(&summary);
    let up = summary.link("a", Transport::Udp, Direction::Up).unwrap();
    assert_eq!((up.entered, up.delivered), (5, 5));
    assert_eq!(summary.socket_count("a", Transport::Tcp, "cut"), 1);
}

#[test]
fn another_name_or_mode_makes_a_new_route_on_the_same_sockets() {
    let proxy = empty();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = |name: &str, tcp: &str| {
        route(&format!(
            r#"{{ "name": "{name}", "listen": "127.0.0.1:0", "tcp": {tcp}, "upstream": "{}",
                "profile": {{ "both": [ {{ "rule": "delay", "time": "1ms" }} ] }} }}"#,
            listener.local_addr().unwrap()
        ))
    };
    let id = proxy.control.add(text("a", r#""model""#)).unwrap();
    let at = address(&proxy, id, Transport::Tcp);
    let meet = || {
        let client = TcpStream::connect(at).unwrap();
        let server = listener.accept().unwrap().0;
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        (client, server)
    };
    let exchange = |(client, server): &mut (TcpStream, TcpStream)| {
        server.write_all(b"hello\n").unwrap();
        let mut bytes = [0; 6];
        client.read_exact(&mut bytes).unwrap();
    };
    let mut old = meet();
    proxy.control.replace(id, text("a", r#""raw""#), PATIENCE).unwrap();
    let mut new = meet();
    proxy.control.replace(id, text("b", r#""raw""#), PATIENCE).unwrap();
    let mut newest = meet();
    assert_eq!(address(&proxy, id, Transport::Tcp), at);
    [&mut old, &mut new, &mut newest].into_iter().for_each(exchange);
    drop((old, new, newest));
    let all = || {
        let summary = proxy.control.counters().unwrap();
        let finished = |route| summary.socket_count(route, Transport::Tcp, "finished");
        (finished("a"), finished("b")) == (2, 1)
    };
    wait_until("the end of all three", all);
    assert_conserved(&proxy.stop());
}

#[test]
fn a_disabled_route_waits_to_be_enabled() {
    let proxy = empty();
    let server = udp("127.0.0.1:0");
    let mut text = route(&format!(
        r#"{{ "name": "a", "listen": "udp://127.0.0.1:0", "upstream": "{}", "enabled": false }}"#,
        server.local_addr().unwrap()
    ));
    let id = proxy.control.add(text.clone()).unwrap();
    assert!(proxy.control.routes().unwrap()[0].listeners.is_empty());
    for _ in 0..3 {
        text.enabled = true;
        proxy.control.replace(id, text.clone(), SECOND).unwrap();
        let at = address(&proxy, id, Transport::Udp);
        udp("127.0.0.1:0").send_to(b"hello", at).unwrap();
        assert_eq!(receive(&server).0, "hello");
        text.enabled = false;
        proxy.control.replace(id, text.clone(), SECOND).unwrap();
        wait_until("the port to be free", || UdpSocket::bind(at).is_ok());
    }
}

#[test]
fn rules_are_set_and_removed_by_key() {
    let server = udp("127.0.0.1:0");
    let proxy = Running::start(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}" }}"#,
        server.local_addr().unwrap()
    ));
    let id = proxy.control.routes().unwrap()[0].id;
    let client = udp("127.0.0.1:0");
    let keys = || -> Vec<String> {
        let routes = proxy.control.routes().unwrap();
        routes[0].route.profile.up.rules().map(|rule| rule.key.clone()).collect()
    };
    let set = |text: &str| {
        proxy.control.set_rule(id, Direction::Up, rules(text).remove(0)).unwrap();
    };
    set(r#"{ "rule": "drop", "chance": "100%" }"#);
    set(r#"{ "rule": "delay", "time": "1ms" }"#);
    client.send_to(b"lost", proxy.address(Transport::Udp)).unwrap();
    let dropped = || {
        let summary = proxy.control.counters().unwrap();
        summary.link("1", Transport::Udp, Direction::Up).unwrap().discarded["drop"]
    };
    wait_until("the drop", || dropped() == 1);
    set(r#"{ "rule": "drop", "chance": "0" }"#);
    assert_eq!(keys(), ["drop", "delay"]);
    client.send_to(b"passes", proxy.address(Transport::Udp)).unwrap();
    assert_eq!(receive(&server).0, "passes");
    proxy.control.remove_rule(id, Direction::Up, "drop").unwrap();
    assert_eq!(keys(), ["delay"]);
    let summary = proxy.stop();
    let up = summary.link("1", Transport::Udp, Direction::Up).unwrap();
    assert_eq!((up.discarded["drop"], up.delivered), (1, 1));
}

#[test]
fn a_removed_route_drains() {
    let proxy = empty();
    let (listener, server) = on_one_port();
    let text = |name: &str| {
        route(&format!(
            r#"{{ "name": "{name}", "listen": "both://127.0.0.1:0", "upstream": "{}",
                "profile": {{ "both": [ {{ "rule": "delay", "time": "150ms" }} ] }} }}"#,
            server.local_addr().unwrap()
        ))
    };
    let id = proxy.control.add(text("a")).unwrap();
    let at = address(&proxy, id, Transport::Udp);
    let client = udp("127.0.0.1:0");
    let mut stream = TcpStream::connect(at).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    for number in 0..100 {
        client.send_to(format!("{number}").as_bytes(), at).unwrap();
    }
    stream.write_all(b"question").unwrap();
    proxy.control.remove(id, PATIENCE).unwrap();
    // What had come gets out, the connection goes on, and nothing new begins.
    assert!(TcpStream::connect(at).is_err(), "nobody listens there any more");
    for number in 0..100 {
        assert_eq!(receive(&server).0, format!("{number}"));
    }
    let mut question = [0; 8];
    accepted.read_exact(&mut question).unwrap();
    accepted.write_all(b"answer").unwrap();
    accepted.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    drop((stream, accepted));
    // The name is free at once, the port when the datagrams are out.
    let id = proxy.control.add(text("a")).unwrap();
    wait_until("the port to be free", || UdpSocket::bind(at).is_ok());
    // At the end of its time it is cut.
    let mut stream = TcpStream::connect(address(&proxy, id, Transport::Tcp)).unwrap();
    let (_accepted, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    proxy.control.remove(id, Duration::from_millis(100)).unwrap();
    assert!(stream.read(&mut [0; 10]).is_err(), "a reset");
    let summary = proxy.stop();
    assert_conserved(&summary);
    let up = summary.link("a", Transport::Udp, Direction::Up).unwrap();
    assert_eq!((up.entered, up.delivered, up.held), (100, 100, 0));
    let count = |name| summary.socket_count("a", Transport::Tcp, name);
    assert_eq!((count("finished"), count("cut")), (1, 1));
}

#[test]
fn a_full_mailbox_is_told_at_once() {
    let server = udp("127.0.0.1:0");
    let (release, braked) = mpsc::channel();
    let mut settings = settings(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}" }}"#,
        server.local_addr().unwrap()
    ));
    settings.sinks = vec![Box::new(Brake(braked))];
    let proxy = Running::with(settings);
    udp("127.0.0.1:0").send_to(b"stand still", proxy.address(Transport::Udp)).unwrap();
    assert_eq!(receive(&server).0, "stand still");
    let (told, results) = mpsc::channel();
    for _ in 0..80 {
        let (control, told) = (proxy.control.clone(), told.clone());
        std::thread::spawn(move || told.send(control.routes().is_ok()).unwrap());
    }
    // Those who found no room know at once; the others when the loop goes on.
    for _ in 0..16 {
        assert!(!results.recv_timeout(PATIENCE).unwrap());
    }
    drop(release);
    for _ in 0..64 {
        assert!(results.recv_timeout(PATIENCE).unwrap());
    }
    assert_eq!(proxy.stop().links[0].entered, 1);
}

#[test]
fn a_name_that_comes_later_is_looked_up() {
    let proxy = empty();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let id = proxy
        .control
        .add(route(&format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "localhost:{port}" }}"#)))
        .unwrap();
    let _client = TcpStream::connect(address(&proxy, id, Transport::Tcp)).unwrap();
    listener.accept().unwrap();
}

#[test]
fn a_route_is_added_without_waiting_for_a_name_and_its_first_client_waits_for_it() {
    let proxy = empty();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || stream.write_all(b"hello"));
        }
    });
    let profiles = ["{}", r#"{ "both": [ { "rule": "delay", "time": "1ms" } ] }"#];
    for (number, profile) in profiles.into_iter().cycle().take(20).enumerate() {
        // In capitals it is a name like any other, which every system knows.
        let text = format!(
            r#"{{ "name": "r{number}", "listen": "127.0.0.1:0", "upstream": "LOCALHOST:{port}",
                  "profile": {profile} }}"#
        );
        let state = proxy.control.add_promptly(route(&text)).unwrap();
        let mut client = TcpStream::connect(state.outcome.listeners[0].address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; 5];
        client.read_exact(&mut answer).expect("it waited, and was not refused");
        assert_eq!(&answer, b"hello");
    }
    // What nobody has refuses the clients of its route, and no order waits for it.
    let text = r#"{ "name": "x", "listen": "127.0.0.1:0", "upstream": "no-such-host.invalid:1" }"#;
    let state = proxy.control.add_promptly(route(text)).unwrap();
    let mut client = TcpStream::connect(state.outcome.listeners[0].address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    // Its upstream stays known when only its rules change.
    let named = proxy.control.routes().unwrap().remove(0);
    let changed = profiles[1].replace("1ms", "2ms");
    let profile = Profile::from_json(&changed).unwrap();
    let other = jostle_engine::route::Route { profile, ..named.route };
    proxy.control.replace_promptly(named.id, other, SECOND).unwrap();
    let mut client = TcpStream::connect(named.listeners[0].address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn whoever_takes_over_a_closed_route_s_port_is_a_client_like_any_other() {
    let proxy = empty();
    let server = udp("127.0.0.1:0");
    let upstream = server.local_addr().unwrap();
    let text = |name: &str| {
        route(&format!(
            r#"{{ "name": "{name}", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}" }}"#
        ))
    };
    let (one, other) =
        (proxy.control.add(text("a")).unwrap(), proxy.control.add(text("b")).unwrap());
    let (port, to) = (address(&proxy, one, Transport::Udp), address(&proxy, other, Transport::Udp));
    proxy.control.close(one).unwrap();
    let client = udp(&port.to_string());
    client.send_to(b"hello", to).unwrap();
    assert_eq!(receive(&server).0, "hello");
}
