//! What a client and a server see of each other through a TCP route is what they see directly:
//! half-close, reset and refusal, for plain, raw and modelled routes alike.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

#[path = "tcp_faithful/door.rs"]
mod door;
mod support;

use jostle_common::transport::Transport;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use support::{PATIENCE, Running, vacant_address, wait_until};

/// The ways between client and server.
#[derive(Clone, Copy, Debug)]
enum Way {
    Direct,
    Route { profile: &'static str, tcp: &'static str, portable: bool },
}

const NO_RULES: &str = "{}";
const DELAY: &str = r#"{ "both": [ { "rule": "delay", "time": "20ms" } ] }"#;

const WAYS: [Way; 8] = [
    Way::Direct,
    Way::Route { profile: NO_RULES, tcp: r#""model""#, portable: false },
    Way::Route { profile: NO_RULES, tcp: r#""model""#, portable: true },
    Way::Route { profile: DELAY, tcp: r#""model""#, portable: false },
    Way::Route { profile: DELAY, tcp: r#""model""#, portable: true },
    Way::Route { profile: DELAY, tcp: r#""raw", "unit": "line""#, portable: false },
    Way::Route { profile: DELAY, tcp: r#""raw", "unit": "4KiB""#, portable: false },
    Way::Route { profile: DELAY, tcp: r#""raw", "unit": "read""#, portable: true },
];

/// Where a client connects to reach `server`, and the proxy that must live as long.
fn reach(way: Way, server: SocketAddr) -> (SocketAddr, Option<Running>) {
    match way {
        Way::Direct => (server, None),
        Way::Route { profile, tcp, portable } => {
            let mut settings = support::settings(&format!(
                r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "{server}",
                    "profile": {profile}, "tcp": {tcp} }}"#
            ));
            settings.portable = portable;
            let proxy = Running::with(settings);
            (proxy.address(Transport::Tcp), Some(proxy))
        }
    }
}

/// A client and a server connected to each other.
fn connected(way: Way) -> (TcpStream, TcpStream, Option<Running>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, proxy) = reach(way, listener.local_addr().unwrap());
    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (client, server, proxy)
}

/// Closes a socket with a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads to the end: the bytes, and how it came.
fn read_out(stream: &mut TcpStream) -> (Vec<u8>, Result<(), io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map(drop).map_err(|error| error.kind());
    (bytes, end)
}

#[test]
fn half_close_delivers_a_late_reply() {
    for way in WAYS {
        let (mut client, mut server, _proxy) = connected(way);
        client.write_all(b"question\nunfinished").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_out(&mut server), (b"question\nunfinished".to_vec(), Ok(())), "{way:?}");
        // The client has long finished when the server begins.
        let waited = Instant::now();
        let late = server
            .set_read_timeout(Some(Duration::from_millis(300)))
            .and_then(|()| server.read(&mut [0]));
        assert_eq!(late.ok(), Some(0), "{way:?}: still at the end");
        while waited.elapsed() < Duration::from_millis(300) {
            std::thread::park_timeout(Duration::from_millis(300));
        }
        server.write_all(b"late reply\n").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_out(&mut client), (b"late reply\n".to_vec(), Ok(())), "{way:?}");
    }
}

#[test]
fn the_server_may_finish_first() {
    for way in WAYS {
        let (mut client, mut server, _proxy) = connected(way);
        server.write_all(b"greeting\n").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_out(&mut client), (b"greeting\n".to_vec(), Ok(())), "{way:?}");
        client.write_all(b"answer\n").unwrap();
        drop(client);
        assert_eq!(read_out(&mut server), (b"answer\n".to_vec(), Ok(())), "{way:?}");
    }
}

#[test]
fn a_reset_by_the_server_reaches_the_client() {
    for way in WAYS {
        let (mut client, mut server, proxy) = connected(way);
        client.write_all(b"question\n").unwrap();
        let mut question = [0; 9];
        server.read_exact(&mut question).unwrap();
        server.write_all(b"half an answer\n").unwrap();
        reset(server);
        assert_eq!(
            read_out(&mut client),
            (b"half an answer\n".to_vec(), Err(io::ErrorKind::ConnectionReset)),
            "{way:?}"
        );
        if let Some(proxy) = proxy {
            let summary = proxy.stop();
            assert_eq!(
                summary.socket_count("1", Transport::Tcp, "reset_by_upstream"),
                1,
                "{way:?}"
            );
            assert_eq!(summary.socket_count("1", Transport::Tcp, "connections_open"), 0, "{way:?}");
        }
    }
}

#[test]
fn a_reset_by_the_client_reaches_the_server() {
    for way in WAYS {
        let (mut client, mut server, proxy) = connected(way);
        client.write_all(b"question\n").unwrap();
        let mut question = [0; 9];
        server.read_exact(&mut question).unwrap();
        reset(client);
        assert_eq!(read_out(&mut server), (vec![], Err(io::ErrorKind::ConnectionReset)), "{way:?}");
        if let Some(proxy) = proxy {
            let summary = proxy.stop();
            assert_eq!(summary.socket_count("1", Transport::Tcp, "reset_by_client"), 1, "{way:?}");
        }
    }
}

#[test]
fn a_reset_after_a_half_close_still_comes() {
    for way in WAYS {
        let (client, mut server, _proxy) = connected(way);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_out(&mut server), (vec![], Ok(())), "{way:?}");
        reset(client);
        // It reads the end again until the reset has come; then writing fails too.
        let begun = Instant::now();
        let failed = loop {
            match server.write(b"x") {
                Ok(_) => assert!(begun.elapsed() < PATIENCE, "{way:?}: the reset does not come"),
                Err(error) => break error.kind(),
            }
            std::thread::park_timeout(Duration::from_millis(5));
        };
        assert!(
            matches!(failed, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
            "{way:?}: {failed:?}"
        );
    }
}

#[test]
fn a_reset_reaches_an_end_that_does_not_read() {
    for way in WAYS {
        let (mut client, server, _proxy) = connected(way);
        // Fills all buffers on the way.
        client.set_nonblocking(true).unwrap();
        let begun = Instant::now();
        let mut quiet = 0;
        while quiet < 20 && begun.elapsed() < PATIENCE {
            match client.write(&[b'x'; 65_536]) {
                Ok(_) => quiet = 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    quiet += 1;
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Err(error) => panic!("{way:?}: {error}"),
            }
        }
        assert_eq!(quiet, 20, "{way:?}: the way is bounded");
        reset(client);
        // The server never reads, and sees the reset when it writes.
        let begun = Instant::now();
        let failed = loop {
            match (&server).write(b"x") {
                Ok(_) => assert!(begun.elapsed() < PATIENCE, "{way:?}: the reset does not come"),
                Err(error) => break error.kind(),
            }
            std::thread::park_timeout(Duration::from_millis(5));
        };
        assert!(
            matches!(failed, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
            "{way:?}: {failed:?}"
        );
    }
}

#[test]
fn a_refusing_upstream_resets_the_client() {
    for way in WAYS {
        let closed = vacant_address();
        let (address, proxy) = reach(way, closed);
        let begun = Instant::now();
        let refused = match TcpStream::connect(address) {
            Err(error) => error.kind(),
            // Through a relay the connect itself succeeds; the reset follows at once.
            Ok(mut client) => {
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                read_out(&mut client).1.unwrap_err()
            }
        };
        assert!(
            matches!(refused, io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset),
            "{way:?}: {refused:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(1), "{way:?}: {:?}", begun.elapsed());
        if let Some(proxy) = proxy {
            assert_eq!(
                proxy.stop().socket_count("1", Transport::Tcp, "refused_by_upstream"),
                1,
                "{way:?}"
            );
        }
    }
}

#[test]
fn a_silent_upstream_is_given_up() {
    // With a backlog of one that is full, the kernel ignores further SYNs.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let silent = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = TcpStream::connect(silent).unwrap();
    let mut settings =
        support::settings(&format!(r#"{{ "listen": "127.0.0.1:0", "upstream": "{silent}" }}"#));
    settings.connect_timeout = Duration::from_millis(500);
    let proxy = Running::with(settings);
    let mut client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let begun = Instant::now();
    assert_eq!(read_out(&mut client).1, Err(io::ErrorKind::ConnectionReset));
    let took = begun.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_secs(2)).contains(&took), "{took:?}");
    assert_eq!(proxy.stop().socket_count("1", Transport::Tcp, "connect_timed_out"), 1);
}

#[test]
fn a_connection_that_ends_at_once_reaches_the_server() {
    for way in WAYS {
        for text in ["", "hello"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (address, proxy) = reach(way, listener.local_addr().unwrap());
            for _ in 0..20 {
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(text.as_bytes()).unwrap();
                drop(client);
            }
            for _ in 0..20 {
                let (mut server, _) = listener.accept().unwrap();
                server.set_read_timeout(Some(PATIENCE)).unwrap();
                assert_eq!(read_out(&mut server), (text.as_bytes().to_vec(), Ok(())), "{way:?}");
            }
            if let Some(proxy) = proxy {
                assert_eq!(proxy.stop().socket_count("1", Transport::Tcp, "cut"), 0, "{way:?}");
            }
        }
    }
}

#[test]
fn connections_torn_down_at_once_leave_nothing_behind() {
    for way in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, proxy) = reach(way, listener.local_addr().unwrap());
        // The server hangs up on everybody, with a reset on every other.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if number % 2 == 0 {
                    reset(stream.unwrap());
                }
            }
        });
        let Some(proxy) = proxy else { continue };
        for number in 0..60 {
            let mut client = TcpStream::connect(address).unwrap();
            match number % 3 {
                0 => reset(client),
                1 => drop(client),
                _ => {
                    let _ = client.write_all(&[b'\n'; 1000]);
                    let _ = client.shutdown(Shutdown::Write);
                }
            }
        }
        // Accepted in their order: once this one has met its end, all have been accepted.
        let mut last = TcpStream::connect(address).unwrap();
        last.set_read_timeout(Some(PATIENCE)).unwrap();
        last.shutdown(Shutdown::Write).unwrap();
        let _ = read_out(&mut last);
        let begun = Instant::now();
        let summary = proxy.stop();
        assert!(
            begun.elapsed() < Duration::from_millis(1500),
            "{way:?}: something hangs: {:?}",
            summary.sockets
        );
        assert_eq!(summary.socket_count("1", Transport::Tcp, "connections"), 61, "{way:?}");
        assert_eq!(
            summary.socket_count("1", Transport::Tcp, "cut"),
            0,
            "{way:?}: {:?}",
            summary.sockets
        );
    }
}

#[test]
fn megabytes_cross_unchanged_both_ways_at_once() {
    for way in WAYS {
        let (client, server, _proxy) = connected(way);
        let sent: Vec<u8> =
            (0..4_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let ends = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
        let threads = ends.map(|(mut from, mut to)| {
            let sent = sent.clone();
            let writer = std::thread::spawn(move || {
                from.write_all(&sent).unwrap();
                from.shutdown(Shutdown::Write).unwrap();
            });
            (writer, std::thread::spawn(move || read_out(&mut to)))
        });
        for (writer, reader) in threads {
            writer.join().unwrap();
            let (bytes, end) = reader.join().unwrap();
            assert_eq!((bytes.len(), end), (sent.len(), Ok(())), "{way:?}");
            assert!(bytes == sent, "{way:?}");
        }
    }
}

/// Whether `client` and `server` see a reset within the patience of a test.
fn both_reset(mut client: TcpStream, mut server: TcpStream) {
    for stream in [&mut client, &mut server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(read_out(stream).1, Err(io::ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_silent_connection_is_torn_down_and_a_lively_one_is_not() {
    const IDLE: Duration = Duration::from_millis(600);
    let rules =
        [r#""profile": {}"#, r#""profile": { "both": [ { "rule": "delay", "time": 0 } ] }"#];
    let raw = format!(r#""tcp": "raw", {}"#, rules[1]);
    for fields in [rules[0], rules[1], &raw] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = listener.local_addr().unwrap();
        let proxy = Running::start(&format!(
            r#"{{ "listen": "127.0.0.1:0", "upstream": "{upstream}", "idle": "600ms", {fields} }}"#
        ));
        let connect = || {
            let client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
            (client, listener.accept().unwrap().0)
        };
        let silent = connect();
        let (mut client, mut server) = connect();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < 3 * IDLE {
            client.write_all(b"alive\n").unwrap();
            server.read_exact(&mut [0; 6]).unwrap();
            std::thread::park_timeout(IDLE / 6);
        }
        both_reset(silent.0, silent.1);
        let counted =
            |name| proxy.control.counters().unwrap().socket_count("1", Transport::Tcp, name);
        assert_eq!((counted("idle"), counted("connections_open")), (1, 1), "{fields}");
        let silent_since = Instant::now();
        both_reset(client, server);
        let took = silent_since.elapsed();
        assert!((IDLE / 2..IDLE + Duration::from_secs(2)).contains(&took), "{took:?}");
        assert_eq!((counted("idle"), counted("connections_open")), (2, 0), "{fields}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_asks_whether_a_silent_peer_is_still_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().port();
    let proxy = Running::start(&format!(
        r#"{{ "listen": "127.0.0.1:0", "upstream": "127.0.0.1:{upstream}" }}"#
    ));
    let _client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    let _server = listener.accept().unwrap();
    // Of each established socket: the ports, and the timer that runs; 2 is the one of keepalive.
    let timers = |local: bool, port: u16| {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let wanted = format!(":{port:04X}");
        let timers: Vec<String> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields[if local { 1 } else { 2 }].ends_with(&wanted))
            .filter(|fields| fields[3] == "01")
            .map(|fields| fields[5].to_owned())
            .collect();
        timers
    };
    let asks = |timers: Vec<String>| timers.len() == 1 && timers[0].starts_with("02:");
    let door = proxy.address(Transport::Tcp).port();
    wait_until("the client's side", || asks(timers(true, door)));
    wait_until("the upstream's side", || asks(timers(false, upstream)));
}

#[test]
fn urgent_bytes_stay_in_their_places() {
    // Each piece, and whether its last byte is urgent.
    const PIECES: [(&[u8], bool); 5] =
        [(b"!", true), (b"GET", false), (b" ", true), (b"/ HTTP/1.0\r", false), (b"\n", true)];
    for way in WAYS {
        let (mut client, mut server, _proxy) = connected(way);
        let say = |stream: &mut TcpStream| {
            for (piece, is_urgent) in PIECES {
                if is_urgent {
                    SockRef::from(&*stream).send_out_of_band(piece).unwrap();
                } else {
                    stream.write_all(piece).unwrap();
                }
            }
            stream.shutdown(Shutdown::Write).unwrap();
        };
        // Directly they are urgent at the other end too; through a relay they are bytes.
        for stream in [&client, &server] {
            SockRef::from(stream).set_out_of_band_inline(true).unwrap();
        }
        say(&mut client);
        say(&mut server);
        for stream in [&mut server, &mut client] {
            let whole = (b"!GET / HTTP/1.0\r\n".to_vec(), Ok(()));
            assert_eq!(read_out(stream), whole, "{way:?}");
        }
    }
}
