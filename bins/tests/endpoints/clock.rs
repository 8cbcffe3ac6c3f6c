//! The clock service on real sockets, alone and through the proxy.

use crate::proxy_support::{Background, Jostle, installed};
use crate::support::{Run, Server, client};
use jostle_common::clock::Clock;
use jostle_endpoints::protocol::clock::parse_time;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn the_time_is_told_and_the_connection_survives_every_other_line() {
    let server = Server::start(&["clock"]);
    let mut stream = connect(&server);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let long = "x".repeat(100_000);
    for (asked, is_time) in [
        ("what time is it?\n", true),
        ("\n", false),
        ("hello\n", false),
        ("what time is it?\r\n", true),
        (&format!("{long}\n"), false),
        ("\0\u{1b}[2J\n", false),
        ("what time is it?\n", true),
    ] {
        let before = Clock::wall();
        stream.write_all(asked.as_bytes()).unwrap();
        let answer = line(&mut reader);
        if is_time {
            let told = parse_time(&answer).unwrap();
            assert!(before <= told.wall && told.wall <= Clock::wall(), "{answer}");
            assert_eq!((answer.len(), told.resolution), (30, Duration::from_nanos(1)), "{answer}");
        } else {
            assert_eq!(answer, "error: ask \"what time is it?\"", "{:.20}", asked);
        }
    }
    // Questions in one piece, the last without its newline.
    stream.write_all(b"what time is it?\nwhat time is it?").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().filter(|line| parse_time(line).is_some()).count(), 2, "{rest}");
    let (status, lines) = server.terminate();
    assert_eq!(
        (status, &lines[0]["answered"], &lines[0]["errors"]),
        (Some(0), &5.into(), &4.into())
    );
}

#[test]
fn a_program_from_elsewhere_is_told_the_time() {
    if !installed("nc") {
        return;
    }
    let server = Server::start(&["clock"]);
    let mut nc = Command::new("nc")
        .args([server.address.ip().to_string(), server.address.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = nc.stdin.take().unwrap();
    stdin.write_all(b"what time is it?\n").unwrap();
    let told = line(&mut BufReader::new(nc.stdout.take().unwrap()));
    drop(stdin);
    // Not every nc ends when its input does.
    nc.kill().unwrap();
    nc.wait().unwrap();
    assert!(parse_time(&told).is_some(), "{told}");
}

#[test]
fn many_clients_are_served_while_others_are_silent_or_deaf() {
    let server = Server::start(&["clock"]);
    let _silent: Vec<TcpStream> = (0..200).map(|_| connect(&server)).collect();
    // It asks and never reads, until it cannot even ask any more.
    let mut deaf = connect(&server);
    deaf.set_nonblocking(true).unwrap();
    let questions = b"what time is it?\n".repeat(1000);
    while deaf.write(&questions).is_ok_and(|length| length == questions.len()) {}
    let mut clients: Vec<_> = (0..200).map(|_| connect(&server)).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.write_all(b"what time is it?\n").unwrap();
        }
        for client in &mut clients {
            let mut answer = [0; 31];
            client.read_exact(&mut answer).unwrap();
            assert!(parse_time(std::str::from_utf8(&answer).unwrap()).is_some());
        }
    }
    let (status, lines) = server.terminate();
    assert_eq!((status, &lines[0]["connections"]), (Some(0), &401.into()));
}

#[test]
fn further_clients_wait_their_turn_and_silence_is_ended() {
    let server = Server::start(&["clock", "--max-clients", "1", "--idle", "300ms"]);
    let mut first = connect(&server);
    let mut second = connect(&server);
    second.write_all(b"what time is it?\n").unwrap();
    let mut nothing = Vec::new();
    // The first says nothing and is closed; then it is the second's turn.
    assert_eq!(first.read_to_end(&mut nothing).unwrap(), 0);
    assert!(parse_time(&line(&mut BufReader::new(second))).is_some());
}

#[test]
fn without_a_descriptor_clients_wait_and_it_is_said_once() {
    let command = format!(
        "ulimit -n 24; exec {} clock --listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_jostle-server")
    );
    let mut server = Command::new("sh")
        .args(["-c", &command])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(Background)
        .unwrap();
    let ready = line(&mut BufReader::new(server.0.stdout.take().unwrap()));
    let address = ready.rsplit_once("//").unwrap().1;
    let clients: Vec<_> = (0..30).map(|_| TcpStream::connect(address).unwrap()).collect();
    for mut client in clients {
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.write_all(b"what time is it?\n").unwrap();
        // When it goes, there is room for one that waits.
        assert!(parse_time(&line(&mut BufReader::new(client))).is_some());
    }
    server.0.kill().unwrap();
    let mut said = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said.matches("no descriptor is left").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

fn ask(run: &Run) -> Vec<(f64, f64)> {
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let answers = run.lines.iter().filter(|line| line["event"] == "answer");
    answers
        .map(|line| {
            let [offset, error, rtt] =
                ["offset_ms", "error_ms", "rtt_ms"].map(|name| line[name].as_f64().unwrap());
            assert!((error - rtt / 2.0).abs() < 1e-6, "{line}");
            (offset, error)
        })
        .collect()
}

#[test]
fn the_true_offset_is_inside_the_bound_however_the_delay_is_spread() {
    let server = Server::start(&["clock"]);
    let route = format!("tcp://127.0.0.1:0={}", server.address);
    // One machine has one clock: the true offset is 0. A question needs 50 ms, all of them on one
    // way.
    std::thread::scope(|scope| {
        for (delay, side) in [("--up-delay", 1.0), ("--down-delay", -1.0)] {
            let route = &route;
            scope.spawn(move || {
                let proxy = Jostle::start(&[route, delay, "50ms", "--seed", "7"], 1);
                let run = client(&["clock", &proxy.address("tcp").to_string(), "--count", "50"]);
                let answers = ask(&run);
                assert_eq!(answers.len(), 50);
                for (offset, error) in &answers {
                    assert!(offset.abs() <= *error, "{offset} ± {error} ms does not hold 0");
                    // The method's limit: nothing tells which way took the time. At least 50 ms of
                    // each round trip were on this side of the server's answer, however long the
                    // machine makes the rest.
                    assert!(offset * side >= 50.0 - error, "{offset} ± {error} ms");
                }
                let best = &run.summary["best"];
                assert_eq!(best["rtt_ms"], run.summary["rtt_ms"]["min"]);
                let [from, to] =
                    [0, 1].map(|end: usize| best["interval_ms"][end].as_f64().unwrap());
                assert!(from <= 0.0 && 0.0 <= to, "{best}");
                // Of fifty round trips one is hardly longer than it must be, so what it says is
                // wrong by nearly its whole bound.
                let [offset, error] =
                    ["offset_ms", "error_ms"].map(|name| best[name].as_f64().unwrap());
                assert!(offset * side > 0.6 * error, "{best}");
                proxy.stop().assert_conserved();
            });
        }
    });
}

#[test]
fn every_format_bounds_the_offset() {
    for format in ["rfc3339", "rfc2822", "unix", "unix-ms", "unix-ns"] {
        let mut server = Server::start(&["clock", "--once", "--format", format]);
        let run =
            client(&["clock", &server.address.to_string(), "--count", "10", "--interval", "3ms"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        let answers: Vec<_> = run.lines.iter().filter(|line| line["event"] == "answer").collect();
        assert_eq!(answers.len(), 10);
        for answer in answers {
            let [from, to] = [0, 1].map(|end: usize| answer["interval_ms"][end].as_f64().unwrap());
            assert!(from <= 0.0 && 0.0 <= to, "{format}: {answer}");
        }
        assert_eq!(server.wait().0, Some(0), "it ends when its client has gone");
    }
}

#[test]
fn an_answer_that_is_no_time_fails_and_names_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = [0; 17];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(b"late\x1b[2J\n").unwrap();
        question
    });
    let run = client(&["clock", &address]);
    assert_eq!((run.status, &serving.join().unwrap()), (Some(1), b"what time is it?\n"));
    assert!(run.stderr.contains("late\\u{1b}[2J\", which is no time"), "{}", run.stderr);
}
