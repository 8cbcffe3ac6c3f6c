//! Checked messages on real sockets: hand-written lines, our client, and the proxy between.

use crate::proxy_support::{Jostle, installed};
use crate::python::{DOCUMENT, script};
use crate::support::{Run, Server, client, client_fed};
use jostle_endpoints::protocol::messages::{MESSAGE_BYTES_MAX, Reply, ReplyVerdict, encode};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs our client with these lines on its stdin.
fn client_with_stdin(arguments: &[&str], stdin: &[u8]) -> Run {
    client_fed(&[arguments, &["--quiet"]].concat(), stdin)
}

/// The next messages that the server prints, up to the end of a session, and that end.
fn session(server: &mut Server) -> (Vec<String>, Value) {
    let mut said = Vec::new();
    loop {
        let line = server.line();
        if line["event"] == "ended" {
            return (said, line);
        }
        assert_eq!(
            (&line["event"], &line["sequence"]),
            (&"message".into(), &said.len().into()),
            "{line}"
        );
        said.push(line["message"].as_str().unwrap().to_owned());
    }
}

/// A connection on which lines are written by hand.
struct Hand {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Hand {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let replies = BufReader::new(stream.try_clone().unwrap());
        Self { stream, replies }
    }

    /// Writes bytes and reads as many replies.
    fn say(&mut self, bytes: &[u8], replies: usize) -> String {
        self.stream.write_all(bytes).unwrap();
        let mut said = String::new();
        for _ in 0..replies {
            self.replies.read_line(&mut said).unwrap();
        }
        said
    }
}

#[test]
fn messages_come_from_arguments_and_stdin_and_end_with_tchau() {
    let mut server = Server::start(&["messages"]);
    let address = server.address.to_string();
    let run = client(&["messages", &address, "one||two|| ||na\u{ef}ve||TCHAU||never"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let expected = json!({ "ok": true, "acknowledged": 4, "goodbye_acknowledged": true,
        "damaged": 0, "nacks": 0 });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&run.summary[key], value, "{key}: {}", run.summary);
    }
    let (said, ended) = session(&mut server);
    assert_eq!(said, ["one", "two", " ", "na\u{ef}ve"]);
    assert_eq!((&ended["how"], &ended["delivered"]), (&"goodbye".into(), &4.into()));

    // Within what a pipe holds: the server's output is read only then.
    let long = "x".repeat(50_000);
    let lines = format!("a||b\n\n{long}\nlast");
    assert_eq!(client_with_stdin(&["messages", &address], lines.as_bytes()).status, Some(0));
    assert_eq!(session(&mut server).0, ["a", "b", "", &long, "last"]);
    assert_eq!(
        client_with_stdin(&["messages", &address, "--separator", ""], b"a||b\n").status,
        Some(0)
    );
    assert_eq!(session(&mut server).0, ["a||b"]);

    let too_long = "x".repeat(MESSAGE_BYTES_MAX + 1);
    let run = client_with_stdin(
        &["messages", &address],
        format!("short\n{too_long}\nnever\n").as_bytes(),
    );
    assert!(run.status == Some(1) && run.stderr.contains("line 2 is too long"), "{}", run.stderr);
    assert_eq!(session(&mut server).0, ["short"]);
    let (status, lines) = server.terminate();
    assert_eq!(
        (status, &lines[0]["sessions"], &lines[0]["delivered"]),
        (Some(0), &4.into(), &11.into())
    );
}

#[test]
fn hand_written_lines_get_their_replies() {
    let mut server = Server::start(&["messages"]);
    let mut hand = Hand::connect(&server);
    assert_eq!(hand.say(b"0 c2912e81 hello\n", 1), "ACK 0 e5820718\n");
    assert_eq!(hand.say(b"1 60d6e0f5 hov are you?\n", 1), "NACK 1 d0370a2c\n");
    // Joined with the next line by a damaged newline; doubled; too early; ended as telnet does.
    assert_eq!(
        hand.say(b"1 60d6e0f5 how are you?\x0b1 60d6e0f5 how are you?\n", 1),
        "NACK 1 d0370a2c\n"
    );
    assert_eq!(
        hand.say(b"0 c2912e81 hello\n2 6de4f7ac TCHAU\n", 2),
        "ACK 0 e5820718\nNACK 1 d0370a2c\n"
    );
    assert_eq!(hand.say(b"1 60d6e0f5 how are ", 0), "");
    assert_eq!(hand.say(b"you?\r\n", 1), "ACK 1 9285378e\n");
    assert_eq!(hand.say(&vec![b'x'; 200_000], 0), "");
    assert_eq!(
        hand.say(b"\n2 6de4f7ac TCHAU\n2 6de4f7ac TCHAU\n", 3),
        "NACK 2 493e5b96\nACK 2 0b8c6634\nACK 2 0b8c6634\n"
    );
    // The server closes by itself when nobody doubts its last ACK.
    assert_eq!(hand.replies.read_to_end(&mut Vec::new()).unwrap(), 0);
    let (said, ended) = session(&mut server);
    assert_eq!(said, ["hello", "how are you?"]);
    let counts = json!({ "how": "goodbye", "lines": 9, "delivered": 2, "goodbyes": 1, "doubled": 2,
        "damaged": 3, "early": 1 });
    for (key, value) in counts.as_object().unwrap() {
        assert_eq!(&ended[key], value, "{key}: {ended}");
    }
    for example in DOCUMENT.lines().filter_map(|line| line.strip_prefix("server  ")) {
        assert!(
            Reply::decode(example.as_bytes()).is_some_and(|reply| reply.is_checked),
            "{example}"
        );
    }
    for line in ["0 c2912e81 hello", "1 60d6e0f5 how are you?", "2 6de4f7ac TCHAU"] {
        assert!(DOCUMENT.contains(&format!("client  {line}")), "{line}");
    }
}

#[test]
fn many_clients_have_sequences_of_their_own() {
    let server = Server::start(&["messages", "--max-clients", "3"]);
    let address = server.address.to_string();
    // Nine clients for three places: all get one in the end.
    std::thread::scope(|scope| {
        for number in 0..9 {
            let address = &address;
            scope.spawn(move || {
                let lines: String = (0..50).map(|line| format!("{number}:{line}\n")).collect();
                let run = client_with_stdin(&["messages", address], lines.as_bytes());
                assert_eq!(
                    (run.status, &run.summary["acknowledged"]),
                    (Some(0), &50.into()),
                    "{}",
                    run.stderr
                );
            });
        }
    });
    let (status, lines) = server.terminate();
    assert_eq!(status, Some(0));
    let mut said = vec![Vec::new(); 9];
    for line in lines.iter().filter(|line| line["event"] == "message") {
        let session = line["session"].as_u64().unwrap() as usize;
        said[session - 1].push(line["message"].as_str().unwrap().to_owned());
    }
    said.sort();
    for (number, said) in said.iter().enumerate() {
        assert_eq!(*said, (0..50).map(|line| format!("{number}:{line}")).collect::<Vec<_>>());
    }
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["sessions"], &summary["delivered"], &summary["goodbyes"]),
        (&9.into(), &450.into(), &9.into())
    );
}

#[test]
fn the_next_client_waits_for_a_place_and_says_so() {
    let mut server = Server::start(&["messages", "--max-clients", "1"]);
    let mut first = Hand::connect(&server);
    assert_eq!(first.say(b"0 c2912e81 hello\n", 1), "ACK 0 e5820718\n");
    let mut second = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args(["messages", &server.address.to_string(), "me too", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut remark = String::new();
    BufReader::new(second.stderr.as_mut().unwrap()).read_line(&mut remark).unwrap();
    assert!(remark.contains("waiting for a place"), "{remark}");
    assert_eq!(
        first.say(b"1 60d6e0f5 how are you?\n", 1),
        "ACK 1 9285378e\n",
        "the first is served meanwhile"
    );
    drop(first);
    let output = second.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let (said, ended) = session(&mut server);
    assert_eq!((said.len(), &ended["how"]), (2, &"left".into()));
    // Its copies of the first two seconds all arrive, and count once.
    let (said, ended) = session(&mut server);
    assert_eq!((said, &ended["session"]), (vec!["me too".to_owned()], &2.into()));
    assert!((4..=9).contains(&ended["doubled"].as_u64().unwrap()), "{ended}");
}

#[test]
fn a_silent_client_loses_its_place_and_a_port_probe_is_no_session() {
    let mut server = Server::start(&["messages", "--once", "--idle", "300ms"]);
    drop(TcpStream::connect(server.address).unwrap());
    let mut hand = Hand::connect(&server);
    assert_eq!(hand.say(b"0 c2912e81 hello\n", 1), "ACK 0 e5820718\n");
    assert_eq!(hand.replies.read_to_end(&mut Vec::new()).unwrap(), 0);
    let (said, ended) = session(&mut server);
    assert_eq!((said.len(), &ended["how"]), (1, &"silent".into()));
    let (status, lines) = server.wait();
    assert_eq!((status, &lines[0]["sessions"]), (Some(0), &1.into()));
}

#[test]
fn bytes_that_are_no_text_lose_nothing() {
    let mut server = Server::start(&["messages", "--once"]);
    let mut hand = Hand::connect(&server);
    assert_eq!(hand.say(&encode(0, b"\xff\x00\x1b[2J"), 1).len(), 15);
    hand.stream.shutdown(Shutdown::Write).unwrap();
    let line = server.line();
    assert_eq!(
        (&line["message"], &line["hex"]),
        (&"\u{fffd}\0\u{1b}[2J".into(), &"ff001b5b324a".into())
    );
}

#[test]
fn a_client_that_does_not_read_its_replies_is_not_listened_to() {
    let mut server = Server::start(&["messages", "--idle", "500ms"]);
    let mut flood = TcpStream::connect(server.address).unwrap();
    flood.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    // An empty line is damaged, and its NACK is fifteen times as long: the server stops reading,
    // and gives it up.
    let broken = (0..10_000).find_map(|_| flood.write_all(&[b'\n'; 10_000]).err());
    assert!(broken.is_some(), "100 MB of lines were taken");
    assert_eq!(server.line()["event"], "ended");
}

/// A server that nobody here wrote: its replies have no checksum, and it closes after the goodbye
/// without an ACK.
fn bare_server(listener: &TcpListener, say: impl Fn(usize) -> String) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for number in 0.. {
        let Some(Ok(line)) = lines.next() else { return };
        if line.ends_with("TCHAU") {
            return;
        }
        stream.write_all(say(number).as_bytes()).unwrap();
    }
}

#[test]
fn servers_without_checksums_are_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            bare_server(&listener, |line| ["ACK 0\n", "NACK 1\n", "ACK 1\n"][line].to_owned())
        });
        let run = client(&["messages", &address, "one||two", "--timeout", "fixed:5s"]);
        assert_eq!(
            (run.status, &run.summary["acknowledged"]),
            (Some(0), &2.into()),
            "{}",
            run.stderr
        );
        assert_eq!(
            (&run.summary["goodbye_acknowledged"], &run.summary["nacks"]),
            (&false.into(), &1.into())
        );
    });
}

#[test]
fn a_connection_that_ends_early_names_the_message_in_doubt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.next().unwrap().unwrap();
            stream.write_all(&Reply::new(ReplyVerdict::Ack, 0).encode()).unwrap();
            lines.next().unwrap().unwrap();
        });
        let run = client(&["messages", &address, "one||two||three"]);
        assert_eq!((run.status, &run.summary["acknowledged"]), (Some(1), &1.into()));
        assert!(run.stderr.contains("message 1 was in flight"), "{}", run.stderr);
    });
}

#[test]
fn a_mute_server_is_given_up_and_an_interrupted_client_ends_well() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let run = client(&["messages", &address, "hello", "--patience", "400ms"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("no ACK for message 0"), "{}", run.stderr);
    let waiting = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args(["messages", &address, "hello", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The first connection is that of the client before.
    let (_, _) = mute.accept().unwrap();
    let (mut stream, _) = mute.accept().unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    assert!(
        Command::new("kill").args(["-INT", &waiting.id().to_string()]).status().unwrap().success()
    );
    let output = waiting.wait_with_output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["seconds"].as_f64().unwrap() > 0.0, "{summary}");
    assert_eq!(
        (output.status.code(), &summary["stopped"], &summary["ok"]),
        (Some(0), &true.into(), &false.into())
    );
}

#[test]
fn a_thousand_messages_arrive_once_and_in_order_through_a_bad_line_and_every_count_agrees() {
    let mut server = Server::start(&["messages", "--once"]);
    let route = format!("tcp://127.0.0.1:0={}", server.address);
    let weather =
        ["--tcp", "raw", "--unit", "line", "--drop", "25%", "--corrupt", "25%", "--seed", "7"];
    let jostle = Jostle::start(&[&[&route[..]], &weather[..]].concat(), 1);
    let address = jostle.address("tcp").to_string();
    let lines: String =
        (0..1000).map(|number| format!("message {number} of a thousand\n")).collect();
    let (run, (said, ended)) = std::thread::scope(|scope| {
        // Read while it is printed: a server whose output nobody takes stops.
        let printed = scope.spawn(|| session(&mut server));
        // Two thousand timeouts: short ones.
        let run =
            client_with_stdin(&["messages", &address, "--timeout", "fixed:2ms"], lines.as_bytes());
        assert_eq!(
            (run.status, &run.summary["acknowledged"]),
            (Some(0), &1000.into()),
            "{}",
            run.stderr
        );
        (run, printed.join().unwrap())
    });
    assert_eq!(said, lines.lines().collect::<Vec<_>>());
    let summary = jostle.stop();
    summary.assert_conserved();
    let (up, down) = (summary.link("tcp", "up"), summary.link("tcp", "down"));
    let count = |value: &Value, name: &str| value[name].as_u64().unwrap();
    let (client, run) = (|name| count(&run.summary, name), &ended);
    let server = |name| count(run, name);
    // Each line is a unit of the proxy.
    assert_eq!(client("sent"), count(up, "in"));
    assert_eq!(server("acks") + server("nacks"), count(down, "in"));
    assert_eq!(client("sent"), 1001 + client("resends"));
    assert_eq!(
        server("lines"),
        server("delivered") + server("goodbyes") + server("doubled") + server("damaged")
    );
    // A damaged newline makes one line of two, a newline made by damage two of one; either takes a
    // damaged unit.
    let (delivered, corrupted) = (count(up, "delivered"), count(up, "corrupted"));
    assert!(server("lines").abs_diff(delivered) <= corrupted / 10, "{ended} {up}");
    assert!(server("damaged").abs_diff(corrupted) <= corrupted / 10, "{ended} {up}");
    let (delivered, corrupted) = (count(down, "delivered"), count(down, "corrupted"));
    let read = client("acks") + client("nacks") + client("damaged");
    assert!(
        read.abs_diff(delivered) <= corrupted / 5
            && client("damaged").abs_diff(corrupted) <= corrupted / 5,
        "{down}"
    );
    // What is needed: 1001 / 0.75⁴ = 3164 rounds, some of them with a copy too many.
    assert!((2900..4500).contains(&client("sent")), "{}", client("sent"));
    assert!(client("timeouts") > 1000 && client("nacks") > 100);
}

#[test]
fn the_ten_lines_of_python_get_everything_through() {
    if !installed("python3") {
        return;
    }
    let mut server = Server::start(&["messages", "--once"]);
    let route = format!("tcp://127.0.0.1:0={}", server.address);
    let weather =
        ["--tcp", "raw", "--unit", "line", "--drop", "10%", "--corrupt", "10%", "--seed", "3"];
    let jostle = Jostle::start(&[&[&route[..]], &weather[..]].concat(), 1);
    let address = jostle.address("tcp");
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let messages = ["one", "", "na\u{ef}ve", "4", "5", "6", "7", "8"];
    let output = Command::new("python3")
        .args(["-c", script("messages.py"), &host, &port])
        .args(messages)
        .output();
    let output = output.unwrap();
    let (said, ended) = session(&mut server);
    assert_eq!(said, messages, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &ended["goodbyes"]), (Some(0), &1.into()));
    assert!(ended["damaged"].as_u64().unwrap() + ended["doubled"].as_u64().unwrap() > 0, "{ended}");
}

#[test]
fn nc_gets_its_ack() {
    if !installed("nc") {
        return;
    }
    let server = Server::start(&["messages"]);
    let (host, port) = (server.address.ip().to_string(), server.address.port().to_string());
    let mut nc = Command::new("nc")
        .args(["-N", &host, &port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    nc.stdin.take().unwrap().write_all(b"0 c2912e81 hello\n").unwrap();
    assert_eq!(nc.wait_with_output().unwrap().stdout, b"ACK 0 e5820718\n");
}
