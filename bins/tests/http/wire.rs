//! What bare connections may do: pipelining, half-closes, old versions, broken requests.

use crate::support::bytes;
use crate::tools::{Site, answer, connect, end, exchange, status};
use std::io::{Read, Write};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::new();
    for n in 0..50 {
        site.write(&format!("public/{n}"), format!("number {n}").as_bytes());
    }
    let server = site.serve(&[]);
    let mut stream = connect(server.address);
    let requests: String =
        (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    // Cut where it hurts: in the middle of a head.
    let (first, second) = requests.split_at(requests.len() / 2 + 7);
    stream.write_all(first.as_bytes()).unwrap();
    stream.write_all(second.as_bytes()).unwrap();
    for n in 0..50 {
        let (head, body) = answer(&mut stream);
        assert_eq!((status(&head), body), (200, format!("number {n}").into_bytes()));
    }
    // Bodies and other methods among them.
    let mixed = "HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\nPUT /up HTTP/1.1\r\nHost: x\r\n\
                 Content-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: x\r\n\r\n\
                 POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n\
                 0\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let all = exchange(server.address, mixed.as_bytes());
    let statuses: Vec<_> =
        all.match_indices("HTTP/1.1 ").map(|(place, _)| &all[place + 9..place + 12]).collect();
    assert_eq!(statuses, ["200", "201", "200", "201", "404"], "{all}");
    assert_eq!(std::fs::read(site.path("incoming/up")).unwrap(), b"hello");
    assert_eq!(std::fs::read(site.path("incoming/upload")).unwrap(), b"abc");
}

#[test]
fn a_client_that_ends_its_half_still_gets_the_answer() {
    let site = Site::new();
    let server = site.serve(&[]);
    for request in ["GET /song.mp3 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /song.mp3 HTTP/1.0\r\n\r\n"] {
        let mut stream = connect(server.address);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert!(all.ends_with(&bytes(300_000)), "{}", all.len());
    }
}

#[test]
fn broken_requests_are_refused_and_change_nothing() {
    let site = Site::new();
    let server = site.serve(&["--max-head", "2KiB"]);
    let long = "a".repeat(4000);
    for (request, expected) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..300]), 414),
        (format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", "/a".repeat(100)), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(150)), 431),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_owned(), 400),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n\
          ab".to_owned(), 400),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(), 400),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\
          \r\n".to_owned(), 501),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\
          \r\n0\r\n\r\n".to_owned(), 501),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n".to_owned(), 400),
        ("PUT /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("CONNECT example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n\
          Content-Length: 4\r\n\r\n----".to_owned(), 400),
        ("PUT /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 411),
        ("POST /x HTTP/1.1\r\nHost: a\r\n\r\nabc".to_owned(), 411),
        ("PUT /x HTTP/1.0\r\n\r\nabc".to_owned(), 400),
        ("POST /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nabc".to_owned(), 400),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n\
          Content-Length: 5\r\n\r\n--b--".to_owned(), 415),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n\
          a".to_owned(), 415),
        ("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Range: bytes 0-0/2\r\nContent-Length: 1\r\n\r\n\
          a".to_owned(), 400),
    ] {
        let answer = exchange(server.address, request.as_bytes());
        assert_eq!(status(&answer), expected, "{request:.60}: {answer}");
    }
    // The first bytes of HTTP/2 and of TLS.
    for noise in
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    {
        let answer = exchange(server.address, noise);
        assert!(matches!(status(&answer), 400 | 0 | 505), "{answer}");
    }
    assert!(crate::tools::names_in(&site.path("incoming")).is_empty());
    assert_eq!(status(&exchange(server.address, b"GET /hello.txt HTTP/1.0\r\n\r\n")), 200);
}

/// The number of answers in `text`.
fn answers(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count()
}

#[test]
fn what_is_no_request_is_answered_behind_those_before_it_and_ends_the_connection() {
    let site = Site::new();
    let server = site.serve(&[]);
    let wrong: &[(&str, u16)] = &[
        ("PUT /w HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400),
        (
            "PUT /w HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\n",
            400,
        ),
        (
            "PUT /w HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n\
             2\r\nab\r\n0\r\n\r\n",
            400,
        ),
        ("GET /hello.txt HTTP/1.1\nHost: a\n\n", 400),
        ("GET /hello.txt HTTP/1.1\r\nHost: a\n\r\n", 400),
        ("GET /hello.txt HTTP/1.1\r\n\r\n", 400),
        ("GET /hello.txt HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET /hello.txt HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET /hello.txt HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET /hello.txt HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n", 400),
        ("GET /hello.txt HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ];
    let fine = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    for (request, expected) in wrong {
        let mut stream = connect(server.address);
        // The client neither ends its half nor waits, and sends more behind it.
        stream.write_all(format!("{fine}{request}{fine}").as_bytes()).unwrap();
        let (head, body) = answer(&mut stream);
        assert_eq!((status(&head), &body[..]), (200, &b"hello world\n"[..]), "{request}");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!((status(&rest), answers(&rest)), (*expected, 1), "{rest}");
        assert!(rest.contains("Connection: close"), "{rest}");
    }
    assert!(crate::tools::names_in(&site.path("incoming")).is_empty());
    let (_, summary) = end(server.terminate());
    assert_eq!(summary["malformed"], wrong.len(), "{summary}");
}

#[test]
fn a_body_that_breaks_its_own_framing_stores_nothing() {
    let site = Site::new();
    let server = site.serve(&[]);
    for chunks in ["3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\n", "-3\r\n"]
    {
        let head = "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut stream = connect(server.address);
        stream
            .write_all(format!("{head}{chunks}GET / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!((status(&all), answers(&all)), (400, 1), "{chunks:?} {all}");
    }
    assert!(crate::tools::names_in(&site.path("incoming")).is_empty());
}

#[test]
fn it_ends_well_and_finishes_what_is_under_way() {
    let site = Site::new();
    let server = site.serve(&[]);
    let mut idle = connect(server.address);
    idle.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    answer(&mut idle);
    let mut half = connect(server.address);
    half.write_all(b"PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    while crate::tools::names_in(&site.path("incoming")).is_empty() {
        std::thread::yield_now();
    }
    let begun = std::time::Instant::now();
    let (status, summary) = end(server.terminate());
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert_eq!(
        (status, &summary["event"], &summary["requests"]),
        (Some(0), &"summary".into(), &2.into())
    );
    assert!(crate::tools::names_in(&site.path("incoming")).is_empty(), "half an upload is none");
    assert_eq!(idle.read(&mut [0; 10]).unwrap(), 0);
}
