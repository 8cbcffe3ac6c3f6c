//! Clients that ask nothing, ask slowly, send slowly or read slowly; and very many of them.

use crate::support::bytes;
use crate::tools::{Site, answer, connect, end, exchange, names_in, status};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const GET: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn five_thousand_idle_connections_are_held_and_still_answered() {
    const CONNECTIONS: usize = 5000;
    let limit = jostle_sys::raise_descriptor_limit();
    if limit < 2 * CONNECTIONS {
        eprintln!("SKIPPED: only {limit} descriptors");
        return;
    }
    let site = Site::new();
    let server = site.serve(&[]);
    let begun = Instant::now();
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = connect(server.address);
            stream.write_all(GET).unwrap();
            stream
        })
        .collect();
    for round in 0..2 {
        for stream in &mut idle {
            let (head, body) = answer(stream);
            assert_eq!((status(&head), body.len()), (200, 12), "round {round}");
        }
        if round == 0 {
            assert_eq!(status(&exchange(server.address, b"GET /hello.txt HTTP/1.0\r\n\r\n")), 200);
            idle.iter_mut().for_each(|stream| stream.write_all(GET).unwrap());
        }
    }
    let memory = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    eprintln!(
        "{CONNECTIONS} connections in {:?}; {}",
        begun.elapsed(),
        memory.lines().find(|l| l.starts_with("VmRSS")).unwrap()
    );
    let (code, summary) = end(server.terminate());
    assert_eq!(
        (code, &summary["connections"], &summary["succeeded"]),
        (Some(0), &(CONNECTIONS as u64 + 1).into(), &(2 * CONNECTIONS as u64 + 1).into())
    );
}

#[test]
fn a_hundred_slow_heads_do_not_stop_the_next_client_and_end_in_time() {
    let site = Site::new();
    let server = site.serve(&["--head-time", "1s"]);
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(server.address);
            stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: x\r\nX-").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(status(&exchange(server.address, b"GET /hello.txt HTTP/1.0\r\n\r\n")), 200);
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    for (n, mut stream) in slow.into_iter().enumerate() {
        // A byte now and then does not help.
        if n == 0 {
            for _ in 0..3 {
                std::thread::park_timeout(Duration::from_millis(200));
                stream.write_all(b"a").unwrap();
            }
        }
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(status(&text), 408, "{text}");
    }
    assert!(
        (Duration::from_millis(900)..Duration::from_secs(5)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    let (_, summary) = end(server.terminate());
    assert_eq!(summary["slow_heads"], 100);
}

#[test]
fn idle_connections_end_and_busy_ones_do_not() {
    let site = Site::new();
    let server = site.serve(&["--idle", "600ms"]);
    let (mut fresh, mut used, mut busy) =
        (connect(server.address), connect(server.address), connect(server.address));
    used.write_all(GET).unwrap();
    answer(&mut used);
    let begun = Instant::now();
    // More than the idle time in all, but never at once.
    for _ in 0..4 {
        busy.write_all(GET).unwrap();
        answer(&mut busy);
        std::thread::park_timeout(Duration::from_millis(250));
    }
    for stream in [&mut fresh, &mut used] {
        assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0, "ended, and properly");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    busy.write_all(GET).unwrap();
    answer(&mut busy);
    let (_, summary) = end(server.terminate());
    assert_eq!(summary["idle"], 2);
}

#[test]
fn a_reader_that_does_not_read_is_let_go_and_a_slow_one_is_not() {
    let site = Site::new();
    std::fs::File::create(site.path("public/large")).unwrap().set_len(100 << 20).unwrap();
    let server = site.serve(&["--patience", "2s", "--min-rate", "400kbit/s"]);
    let request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stalled = connect(server.address);
    stalled.write_all(request).unwrap();
    let mut slow = connect(server.address);
    slow.write_all(request).unwrap();
    let begun = Instant::now();
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    // About ten times the least rate, for two times the patience.
    while begun.elapsed() < Duration::from_secs(4) {
        read += slow.read(&mut buffer[..50_000]).unwrap();
        std::thread::park_timeout(Duration::from_millis(80));
    }
    assert!(read > 1_000_000, "{read}");
    let mut rest = 0;
    let ended = loop {
        match stalled.read(&mut buffer) {
            Ok(0) => break "ended",
            Ok(length) => rest += length,
            Err(_) => break "reset",
        }
    };
    assert!(ended == "reset" && rest < 90 << 20, "{ended} after {rest}");
    assert!(slow.read(&mut buffer).unwrap() > 0);
    drop(slow);
    let (_, summary) = end(server.terminate());
    assert_eq!(summary["slow_readers"], 1);
}

#[test]
fn a_body_that_trickles_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let server = site.serve(&["--patience", "1s", "--min-rate", "80kbit/s"]);
    let mut stream = connect(server.address);
    stream.write_all(b"PUT /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(800) {
        stream.write_all(b"drip").unwrap();
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(status(&text), 408, "{text}");
    assert!(
        (Duration::from_millis(900)..Duration::from_secs(5)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    assert!(names_in(&site.path("incoming")).is_empty());
    // Fast enough is fast enough.
    let mut request =
        b"PUT /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n"
            .to_vec();
    request.extend(bytes(300_000));
    assert_eq!(status(&exchange(server.address, &request)), 201);
    let (_, summary) = end(server.terminate());
    assert_eq!(summary["slow_bodies"], 1);
}

#[test]
fn further_clients_wait_for_their_turn() {
    let site = Site::new();
    let server = site.serve(&["--max-clients", "2"]);
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(server.address);
            stream.write_all(GET).unwrap();
            answer(&mut stream);
            stream
        })
        .collect();
    let mut waiting = connect(server.address);
    waiting.write_all(GET).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.read(&mut [0; 10]).is_err(), "not served yet");
    waiting.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    drop(held);
    let (head, _) = answer(&mut waiting);
    assert_eq!(status(&head), 200);
}

/// A figure of a process, in KiB.
fn memory(server: &crate::support::Server, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors(server: &crate::support::Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count()
}

/// Waits until `done`, or fails.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn clients_that_ask_for_a_long_digest_and_go_leave_nothing() {
    const CLIENTS: usize = 600;
    let site = Site::new();
    // Long to read; there is nothing in it, so it takes no room.
    std::fs::File::create(site.path("public/large")).unwrap().set_len(64 << 30).unwrap();
    let server = site.serve(&["--max-clients", "700"]);
    let before = descriptors(&server);
    let request = b"HEAD /large HTTP/1.1\r\nHost: x\r\nWant-Repr-Digest: sha-256=10\r\n\r\n";
    for _ in 0..CLIENTS {
        connect(server.address).write_all(request).unwrap();
    }
    until("all have been let go", || descriptors(&server) <= before + 4);
    let normal = exchange(server.address, b"GET /hello.txt HTTP/1.0\r\n\r\n");
    assert!(normal.ends_with("hello world\n"), "{normal}");
    // One that ends its half gets the answer, without the digest.
    let answer = exchange(server.address, request);
    assert!(status(&answer) == 200 && !answer.contains("repr-digest"), "{answer}");
    let (_, summary) = end(server.terminate());
    let undigested = summary["undigested"].as_u64().unwrap();
    assert!((1..=CLIENTS as u64 + 1).contains(&undigested), "{summary}");
}

#[test]
fn a_reader_that_stands_still_costs_little_memory_and_a_quick_one_still_gets_large_pieces() {
    const READERS: usize = 300;
    let site = Site::new();
    std::fs::File::create(site.path("public/large")).unwrap().set_len(256 << 20).unwrap();
    let server = site.serve(&[]);
    let request = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let read_all = || {
        let mut stream = connect(server.address);
        stream.write_all(request).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
    };
    // The threads and what they hold are there before the count.
    assert!(read_all() > 256 << 20);
    let before = memory(&server, "VmRSS");
    let slow: Vec<TcpStream> = (0..READERS)
        .map(|_| {
            let stream = connect(server.address);
            socket2::SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
            (&stream).write_all(request).unwrap();
            stream
        })
        .collect();
    // Each has its head, so its answer has begun; the server is idle when nothing moves.
    let mut byte = [0];
    for mut stream in &slow {
        stream.read_exact(&mut byte).unwrap();
    }
    assert!(read_all() > 256 << 20, "others are served as before");
    let each = memory(&server, "VmRSS").saturating_sub(before) / READERS as u64;
    eprintln!("{each} KiB for each reader");
    assert!(each <= 64, "{each} KiB for each reader");
    drop(slow);
    let (_, summary) = end(server.terminate());
    assert_eq!(summary["slow_readers"], 0, "{summary}");
}

#[test]
fn silent_connections_yield_to_who_waits_and_one_that_is_answered_does_not() {
    let site = Site::new();
    let server = site.serve(&["--max-clients", "3"]);
    let mut kept = connect(server.address);
    kept.write_all(GET).unwrap();
    assert_eq!(status(&answer(&mut kept).0), 200);
    let mut silent: Vec<_> = (0..2).map(|_| connect(server.address)).collect();
    let mut waiting = connect(server.address);
    waiting.write_all(GET).unwrap();
    assert_eq!(status(&answer(&mut waiting).0), 200);
    // The longest silent has gone; one that asked something keeps its place longer.
    assert!(matches!(silent[0].read(&mut [0]), Ok(0) | Err(_)));
    kept.write_all(GET).unwrap();
    assert_eq!(status(&answer(&mut kept).0), 200);
    silent[1].write_all(GET).unwrap();
    assert_eq!(status(&answer(&mut silent[1]).0), 200);
    let (_, summary) = end(server.terminate());
    assert_eq!((&summary["yielded"], &summary["idle"]), (&1.into(), &0.into()));
}
