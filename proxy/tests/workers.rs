//! Several event loops: what happens to a packet does not depend on how many there are, and orders
//! reach all of them, whole or not at all.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]
#![cfg(target_os = "linux")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::profile::Profile;
use jostle_proxy::{
    FlowId, FlowPage, LinkSummary, OrderError, RouteId, Settings, StartError, Summary,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::{
    Log, PATIENCE, Running, Tally, assert_conserved, counted, route, rules, settings, wait_until,
};

/// How many clients a test has: that the kernel gives all of them to one of two loops has a chance
/// of 2^-31.
const CLIENTS: usize = 32;

/// Packet numbers of the second loop's part of a route, and of further ones, begin behind this one.
const SECOND: u64 = 1 << 40;

fn with_workers(routes: &str, workers: usize) -> Settings {
    Settings { workers, ..settings(routes) }
}

fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A server that sends datagrams back until it goes.
struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start() -> Self {
        let socket = udp();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn link(summary: &Summary, transport: Transport, direction: Direction) -> &LinkSummary {
    summary.link("1", transport, direction).unwrap()
}

/// What became of packets, by flow, direction, size and copy: several where copies were answered.
type FatesByPacket = BTreeMap<(u64, String, u64, u64), Vec<String>>;

/// Sends datagrams of different sizes through a route that so many loops have, and returns what
/// became of each, and the loops that took part.
fn fates_with(workers: usize) -> (FatesByPacket, usize) {
    let server = Echo::start();
    let (tally, log) = (Tally::default(), Log::default());
    let rules = r#"[ { "rule": "drop", "chance": "20%", "per": "flow" },
        { "rule": "drop", "burst": { "mean": "10%", "length": 3 }, "per": "flow" },
        { "rule": "duplicate", "chance": "20%", "per": "flow" },
        { "rule": "corrupt", "chance": "20%", "per": "flow" },
        { "rule": "delay", "time": "2ms", "per": "flow", "flows": "50%" } ]"#;
    let mut settings = with_workers(
        &format!(
            r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}", "workers": "all",
                "profile": {{ "both": {rules} }} }}"#,
            server.address
        ),
        workers,
    );
    settings.events = Some(Box::new(log.clone()));
    settings.sinks = vec![Box::new(tally.clone())];
    let proxy = Running::with(settings);
    let clients: Vec<UdpSocket> = (0..CLIENTS).map(|_| udp()).collect();
    // All that was sent has come, and is answered: no socket's buffer is ever full.
    let settle = |wanted: usize| {
        wait_until("an answer", || {
            let summary = proxy.control.counters().unwrap();
            let [up, down] =
                Direction::BOTH.map(|direction| link(&summary, Transport::Udp, direction));
            up.entered == wanted as u64 && up.held + down.held == 0 && up.delivered == down.entered
        });
    };
    // One flow after the other, so that each run numbers them alike.
    for (nth, client) in clients.iter().enumerate() {
        client.send_to(&[7; 100], proxy.address(Transport::Udp)).unwrap();
        settle(nth + 1);
    }
    const EACH: usize = 60;
    for nth in 1..EACH {
        for client in &clients {
            client.send_to(&vec![7; 100 + nth], proxy.address(Transport::Udp)).unwrap();
        }
        settle(CLIENTS * (nth + 1));
    }
    let summary = proxy.stop();
    assert_conserved(&summary);
    assert_eq!(summary.links.len(), 2, "one line for each direction, whoever has it");
    assert_eq!(summary.socket_count("1", Transport::Udp, "flows"), CLIENTS as u64);
    assert_eq!((summary.workers, summary.contended.is_some()), (workers, workers > 1));
    assert_eq!(tally.fates(), counted(&summary), "the sink and the counters");
    assert_eq!(log.fates(), counted(&summary), "the event log and the counters");
    let (mut fates, mut loops, mut numbers) =
        (FatesByPacket::new(), BTreeSet::new(), BTreeSet::new());
    // Of two answers of one size the first may be told of last, if the server took its time between
    // them: only the first is held.
    let mut lines = log.lines();
    lines.sort_by_key(|line| line["packet"].as_u64());
    for line in lines {
        let number = |name: &str| line[name].as_u64().unwrap();
        loops.insert(number("packet") / SECOND);
        let direction = line["direction"].to_string();
        let is_new = numbers.insert((direction.clone(), number("packet"), number("copy")));
        assert!(is_new, "no other packet has its number: {line}");
        let key = (number("flow"), direction, number("size"), number("copy"));
        let [fate, reason, rules, delay, flipped] =
            ["fate", "reason", "rules", "delay", "flipped_bits"].map(|name| &line[name]);
        let fate = format!("{fate} {reason} {rules} {delay} {flipped}");
        fates.entry(key).or_default().push(fate);
    }
    (fates, loops.len())
}

#[test]
fn a_datagram_meets_the_same_on_any_number_of_workers() {
    let (one, loops) = fates_with(1);
    assert_eq!(loops, 1);
    let all = one.values().flatten();
    let lost = all.clone().filter(|fate| fate.contains("discarded")).count();
    assert!(all.clone().count() > 3000 && lost > 600, "{lost} of {}", all.count());
    for workers in [2, 4] {
        let (several, loops) = fates_with(workers);
        assert!(loops > 1, "{loops} loops had something to do");
        assert_eq!(several, one, "{workers} workers");
    }
}

/// Sends lines through a raw route that so many loops have, and returns those that arrive, by
/// connection.
fn lines_with(workers: usize) -> Vec<BTreeSet<String>> {
    const LINES: usize = 200;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Running::with(with_workers(
        &format!(
            r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "{}", "workers": 4,
                "tcp": "raw", "unit": "line", "profile": {{ "up": [
                    {{ "rule": "drop", "chance": "30%", "per": "flow" }},
                    {{ "rule": "delay", "time": "1ms", "per": "flow" }} ] }} }}"#,
            server.local_addr().unwrap()
        ),
        workers,
    ));
    // Taken before the next one comes, so that each run numbers them alike.
    let pairs: Vec<(TcpStream, TcpStream)> = (0..CLIENTS)
        .map(|_| {
            let client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
            (client, server.accept().unwrap().0)
        })
        .collect();
    for (client, _) in &pairs {
        let text: String = (0..LINES).map(|line| format!("{line}\n")).collect();
        (&*client).write_all(text.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    }
    let arrived = pairs.iter().map(|(_, server)| {
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(server).lines().map(Result::unwrap).collect()
    });
    let arrived: Vec<BTreeSet<String>> = arrived.collect();
    drop(pairs);
    let summary = proxy.stop();
    assert_conserved(&summary);
    let link = link(&summary, Transport::Tcp, Direction::Up);
    assert_eq!(link.entered, (CLIENTS * LINES) as u64);
    assert_eq!(link.delivered, arrived.iter().map(|lines| lines.len() as u64).sum::<u64>());
    assert_eq!(summary.socket_count("1", Transport::Tcp, "connections"), CLIENTS as u64);
    arrived
}

#[test]
fn a_line_of_a_stream_meets_the_same_on_any_number_of_workers() {
    let one = lines_with(1);
    assert!(one.iter().all(|lines| (100..180).contains(&lines.len())));
    assert!(one.iter().any(|lines| *lines != one[0]), "each connection draws for itself");
    for workers in [2, 4] {
        assert_eq!(lines_with(workers), one, "{workers} workers");
    }
}

#[test]
fn modelled_streams_on_several_workers_arrive_whole() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Running::with(with_workers(
        &format!(
            r#"{{ "listen": "tcp://localhost:0", "upstream": "{}", "workers": "all",
                "profile": {{ "both": [ {{ "rule": "drop", "chance": "3%", "per": "flow" }},
                    {{ "rule": "delay", "time": "1ms", "per": "flow" }} ] }} }}"#,
            server.local_addr().unwrap()
        ),
        2,
    ));
    let address = proxy.address(Transport::Tcp);
    let data: Vec<u8> = (0..300_000_u32).map(|byte| byte as u8).collect();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (client, data) = (TcpStream::connect(address).unwrap(), data.clone());
            std::thread::spawn(move || {
                (&client).write_all(&data).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                (&client).read_to_end(&mut answer).unwrap();
                answer == data
            })
        })
        .collect();
    let servers: Vec<_> = (0..8)
        .map(|_| {
            let (stream, _) = server.accept().unwrap();
            std::thread::spawn(move || {
                let mut asked = Vec::new();
                (&stream).read_to_end(&mut asked).unwrap();
                (&stream).write_all(&asked).unwrap();
            })
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap()));
    servers.into_iter().for_each(|server| server.join().unwrap());
    let summary = proxy.stop();
    assert_conserved(&summary);
    assert!(link(&summary, Transport::Tcp, Direction::Up).discarded_total() > 0);
    assert_eq!(summary.memory.used, 0, "nothing is left behind");
}

/// Asks until an answer comes, or none for so long.
fn is_answered(client: &UdpSocket, address: SocketAddr) -> bool {
    client.send_to(b"ask", address).unwrap();
    client.recv(&mut [0; 10]).is_ok()
}

/// All flows of a route, page by page.
fn all_flows(proxy: &Running, id: RouteId) -> Vec<u32> {
    let mut after = 0;
    let mut numbers = Vec::new();
    loop {
        let FlowPage { flows, next } = proxy.control.flows(id, after).unwrap();
        numbers.extend(flows.iter().map(|flow| flow.id.number));
        match next {
            Some(next) => after = next,
            None => return numbers,
        }
    }
}

#[test]
fn orders_about_a_route_of_several_workers_reach_all_of_its_flows() {
    let server = Echo::start();
    let proxy = Running::with(with_workers(
        &format!(
            r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}", "workers": "all" }}"#,
            server.address
        ),
        2,
    ));
    let (address, control) = (proxy.address(Transport::Udp), &proxy.control);
    let id = control.routes().unwrap()[0].id;
    let clients: Vec<UdpSocket> = (0..CLIENTS).map(|_| udp()).collect();
    assert!(clients.iter().all(|client| is_answered(client, address)));
    let numbers: Vec<u32> = (1..=CLIENTS as u32).collect();
    assert_eq!(all_flows(&proxy, id), numbers, "in order, whoever has them");
    // One flow, wherever it is.
    for number in [1, 2, 17] {
        let flow = FlowId { number, transport: Transport::Udp };
        assert_eq!(control.flow(id, flow).unwrap().id, flow);
        control.reset_flow(id, flow).unwrap();
        let gone = control.close_flow(id, flow).unwrap_err();
        assert!(matches!(gone, OrderError::NoFlow(_)), "{gone}");
    }
    assert_eq!(all_flows(&proxy, id).len(), CLIENTS - 3);
    assert!(clients.iter().all(|client| is_answered(client, address)));
    // The rules of all, at one moment.
    let lose = rules(r#"{ "rule": "drop", "chance": "100%", "per": "flow" }"#).remove(0);
    let changed = control.set_rule(id, Direction::Up, lose).unwrap();
    assert!(changed.outcome.udp.is_some_and(|began| began <= changed.at));
    let lost = || {
        let summary = control.counters().unwrap();
        link(&summary, Transport::Udp, Direction::Up).discarded_total()
    };
    for client in &clients {
        client.send_to(b"lost", address).unwrap();
    }
    wait_until("all of them", || lost() == CLIENTS as u64);
    let off = control.switch_rules(false).unwrap();
    assert_eq!(off.outcome.len(), 1, "one route, whoever has it");
    assert!(clients.iter().all(|client| is_answered(client, address)));
    control.switch_rules(true).unwrap();
    for client in &clients {
        client.send_to(b"lost", address).unwrap();
    }
    wait_until("all of them again", || lost() == 2 * CLIENTS as u64);
    control.remove_rule(id, Direction::Up, "drop").unwrap();
    assert!(clients.iter().all(|client| is_answered(client, address)));
    // What it cannot have changes nothing.
    let all = rules(r#"{ "rule": "rate", "limit": "1Mbit/s" }"#).remove(0);
    let error = control.set_rule(id, Direction::Up, all).unwrap_err().to_string();
    assert!(error.contains(r#"add "per": "flow" to it, or leave "workers""#), "{error}");
    let profile = Profile::from_json(r#"{ "down": [ { "rule": "drop", "chance": "1%" } ] }"#);
    assert!(matches!(control.set_profile(id, profile.unwrap()), Err(OrderError::Rules(_))));
    assert!(control.routes().unwrap()[0].route.profile.is_empty());
    assert!(clients.iter().all(|client| is_answered(client, address)));
    control.close(id).unwrap();
    assert!(matches!(control.flows(id, 0), Err(OrderError::NoRoute(_))));
    assert!(UdpSocket::bind(address).is_ok(), "its port is free");
    let summary = proxy.stop();
    assert_conserved(&summary);
    let pauses = summary.contended.unwrap().pauses;
    assert!(pauses >= 5, "{pauses} orders for which both stood still");
}

/// A route of one worker becomes one of several and back, as when its file is edited: it listens
/// all the time, and whoever asks is answered.
#[test]
fn a_route_comes_to_have_more_workers_and_fewer() {
    let server = Echo::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let streams = listener.local_addr().unwrap();
    let tcp = std::thread::spawn(move || {
        // It counts those that come, until one says that it is the last.
        (1..).find(|_| listener.accept().unwrap().0.read(&mut [0; 8]).is_ok_and(|read| read == 4))
    });
    let text = |name: &str, scheme: &str, upstream: SocketAddr, listen: SocketAddr, more: &str| {
        route(&format!(
            r#"{{ "name": "{name}", "listen": "{scheme}://{listen}", "upstream": "{upstream}"{more} }}"#
        ))
    };
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let proxy = Running::with(Settings { workers: 3, ..Settings::new(Vec::new(), 7) });
    let control = &proxy.control;
    // The second is not on the first loop.
    let ids = ["u", "t"].map(|name| match name {
        "u" => control.add(text(name, "udp", server.address, any, "")).unwrap(),
        _ => control.add(text(name, "tcp", streams, any, "")).unwrap(),
    });
    let states = control.routes().unwrap();
    let at = ids.map(|id| states.iter().find(|one| one.id == id).unwrap().listeners[0].address);
    let client = udp();
    let ask = |what: &str| {
        assert!(is_answered(&udp(), at[0]) && is_answered(&client, at[0]), "asked with {what:?}");
        drop(TcpStream::connect(at[1]).unwrap());
    };
    ask("one worker");
    for workers in [r#", "workers": 2"#, r#", "workers": "all""#, "", r#", "workers": 2"#, ""] {
        let new = [
            text("u", "udp", server.address, at[0], workers),
            text("t", "tcp", streams, at[1], workers),
        ];
        for (id, new) in ids.into_iter().zip(new) {
            let listens = control.replace(id, new, Duration::from_secs(5)).unwrap().outcome.0;
            assert_eq!((listens.id, listens.listeners.len()), (id, 1));
            assert!(at.contains(&listens.listeners[0].address));
        }
        (0..16).for_each(|_| ask(workers));
    }
    (&TcpStream::connect(at[1]).unwrap()).write_all(b"last").unwrap();
    assert_eq!(tcp.join().unwrap(), Some(5 * 16 + 2), "each connection came through");
    ids.into_iter().for_each(|id| {
        control.remove(id, Duration::ZERO).unwrap();
    });
    wait_until("free ports", || UdpSocket::bind(at[0]).is_ok() && TcpListener::bind(at[1]).is_ok());
    assert_conserved(&proxy.stop());
}

#[test]
fn routes_on_different_workers_are_one_proxy() {
    let server = Echo::start();
    let text = |name: &str, upstream: SocketAddr| {
        format!(
            r#"{{ "name": "{name}", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}" }}"#
        )
    };
    let names = ["a", "b", "c", "d"];
    let routes: Vec<String> = names.iter().map(|name| text(name, server.address)).collect();
    let proxy = Running::with(with_workers(&routes.join(","), 2));
    let (control, client) = (&proxy.control, udp());
    let at: Vec<SocketAddr> = proxy.listeners.iter().map(|one| one.address).collect();
    assert!(at.iter().all(|address| is_answered(&client, *address)));
    let states = control.routes().unwrap();
    assert_eq!(states.iter().map(|one| one.route.name.as_str()).collect::<Vec<_>>(), names);
    // Names and circles are looked for among all.
    for name in names {
        let taken = control.add(route(&text(name, server.address))).unwrap_err();
        assert!(matches!(&taken, OrderError::NameTaken(same) if same == name), "{taken}");
    }
    let one = control.add(route(&text("e", at[0]))).unwrap();
    let (from, to) = (control.routes().unwrap()[4].listeners[0].address, states[0].id);
    let back = route(&text("a", from).replace("127.0.0.1:0", &at[0].to_string()));
    let circle = control.replace(to, back, Duration::ZERO).unwrap_err();
    assert!(matches!(circle, OrderError::Start(StartError::Circle { .. })), "{circle}");
    control.remove(one, Duration::ZERO).unwrap();
    // Each takes orders, and all are switched at once.
    for state in &states {
        let lose = rules(r#"{ "rule": "drop", "chance": "100%" }"#).remove(0);
        control.set_rule(state.id, Direction::Up, lose).unwrap();
    }
    assert_eq!(control.switch_rules(false).unwrap().outcome.len(), 4);
    assert!(at.iter().all(|address| is_answered(&client, *address)));
    assert!(control.toggle(), "they are on again");
    wait_until("rules on both", || {
        at.iter().for_each(|address| {
            client.send_to(b"ask", *address).unwrap();
        });
        let summary = control.counters().unwrap();
        let lost = |name: &&str| {
            let link = summary.link(name, Transport::Udp, Direction::Up).unwrap();
            link.discarded_total() > 0
        };
        names.iter().all(lost)
    });
    let summary = proxy.stop();
    assert_conserved(&summary);
    let order: Vec<&str> = summary.sockets.iter().map(|one| one.route.as_str()).collect();
    assert_eq!(order, ["a", "b", "c", "d", "e"], "route by route, whoever has them");
}

#[test]
fn both_workers_finish_what_is_open_and_then_end() {
    let server = Echo::start();
    let text = |name: &str| {
        format!(
            r#"{{ "name": "{name}", "listen": "udp://127.0.0.1:0", "upstream": "{}",
                "profile": {{ "up": [ {{ "rule": "delay", "time": "300ms" }} ] }} }}"#,
            server.address
        )
    };
    let proxy = Running::with(with_workers(&[text("a"), text("b")].join(","), 2));
    let client = udp();
    for listener in &proxy.listeners {
        client.send_to(b"late", listener.address).unwrap();
    }
    let entered = |summary: &Summary| -> Vec<u64> {
        let link = |name| summary.link(name, Transport::Udp, Direction::Up).unwrap();
        ["a", "b"].map(|name| link(name).entered).to_vec()
    };
    wait_until("both", || entered(&proxy.control.counters().unwrap()) == [1, 1]);
    let control = proxy.control.clone();
    let summary = proxy.stop();
    for name in ["a", "b"] {
        let up = summary.link(name, Transport::Udp, Direction::Up).unwrap();
        assert_eq!((up.entered, up.delivered, up.held), (1, 1, 0), "{name}: it waited for both");
    }
    assert!(matches!(control.counters(), Err(OrderError::Ended)));
}

#[test]
fn the_port_of_another_is_not_shared() {
    let other = Running::with(with_workers(
        r#"{ "listen": "udp://127.0.0.1:0", "upstream": "127.0.0.1:9", "workers": "all" }"#,
        2,
    ));
    let taken = other.address(Transport::Udp);
    let text =
        format!(r#"{{ "listen": "udp://{taken}", "upstream": "127.0.0.1:9", "workers": "all" }}"#);
    let refused = jostle_proxy::Proxy::bind(with_workers(&text, 2)).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StartError::Listen { .. }), "{refused}");
}
