//! The beginnings of connections without rules: what clients say at once, and which sockets ask silent
//! peers.

use super::*;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use std::net::Shutdown;

#[test]
fn what_a_client_says_at_once_reaches_the_address_that_answers() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    let (mute, _sockets) = mute();
    for addresses in [vec![target], vec![nobody(), target], vec![mute, target]] {
        // A part of what is read early, and more than that.
        for size in [1, 40_000] {
            let said: Vec<u8> = (0..size).map(|place: usize| (place % 251) as u8).collect();
            let route = format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "{target}" }}"#);
            let mut proxy = Driven::new(&route);
            let LoopState { fleet, turn, .. } = &mut *proxy.proxy.first.1;
            fleet.touch(0).set_addresses(addresses.clone(), turn);
            let mut client = proxy.connect();
            client.write_all(&said).unwrap();
            proxy.go_to(ms(8000));
            client.shutdown(Shutdown::Write).unwrap();
            proxy.settle();
            let mut heard = Vec::new();
            server.accept().unwrap().0.read_to_end(&mut heard).unwrap();
            assert!(heard == said, "{addresses:?}: {} of {size}", heard.len());
            let [up, _] = proxy.proxy.first.1.fleet.touch(0).report().links;
            let up = up.summary("1", Transport::Tcp, Direction::Up);
            assert_eq!((up.bytes_in, up.bytes_out), (size as u64, size as u64));
        }
    }
}

#[test]
fn a_client_that_resets_at_once_is_a_reset_at_the_upstream() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    for said in [&b""[..], b"hello"] {
        let route = format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "{target}" }}"#);
        let mut proxy = Driven::new(&route);
        let mut client = proxy.connect();
        client.write_all(said).unwrap();
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        proxy.settle();
        let end = server.accept().unwrap().0.read_to_end(&mut Vec::new());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset, "{said:?}");
        let counts = proxy.proxy.first.1.fleet.touch(0).report().counts;
        assert_eq!(counts["reset_by_client"], 1, "{said:?}");
    }
}

/// The sockets in use at a port of ours that ask their peers when these are silent.
#[cfg(target_os = "linux")]
fn asking(port: u16) -> usize {
    // Of each: the state, of which 1 is an established one, and the timer that runs, 2 for that.
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let wanted = format!(":{port:04X}");
    let asks = |fields: &Vec<&str>| fields[3] == "01" && fields[5].starts_with("02:");
    let is_at = |field: &str| field.ends_with(&wanted);
    lines.filter(|fields| (is_at(fields[1]) || is_at(fields[2])) && asks(fields)).count()
}

#[test]
#[cfg(target_os = "linux")]
fn sockets_of_connections_that_last_are_told_to_ask_silent_peers() {
    // More than are looked at in a turn.
    const MANY: usize = 600;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    let mut proxy =
        Driven::new(&format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "{target}" }}"#));
    let door = proxy.proxy.listeners()[0].address.port();
    let assert_asking = |wanted: [usize; 2], why: &str| {
        // A long table may tell of a socket twice, or not at all, while others come and go.
        let told = || [door, target.port()].map(asking);
        let last = (0..100).map(|_| told()).find(|told| *told == wanted).unwrap_or_else(told);
        assert_eq!(last, wanted, "{why}");
    };
    let open = |proxy: &mut Driven, count| {
        let mut pairs = Vec::new();
        while pairs.len() < count {
            // No more than fit a backlog.
            let clients: Vec<_> = (0..100.min(count)).map(|_| proxy.connect()).collect();
            proxy.settle();
            pairs.extend(clients.into_iter().map(|client| (client, server.accept().unwrap().0)));
        }
        pairs
    };
    let early = open(&mut proxy, 1);
    proxy.go_to(ms(1500));
    let _late = open(&mut proxy, MANY);
    proxy.go_to(ms(2000) - Duration::from_nanos(1));
    assert_asking([0, 0], "none has lasted");
    proxy.go_to(ms(2000));
    assert_asking([1, 1], "those that came late do not yet");
    drop(early);
    proxy.go_to(ms(4000));
    assert_asking([MANY, MANY], "all that are there");
    assert!(proxy.parts().1.fleet.deadline().is_none(), "there is nothing left to look for");
}
