//! What the commands promise on the command line: status, one clear message, nothing left behind.

use crate::support::{Server, bytes, client, failing_server, folder_with, names};
use jostle_endpoints::protocol::{saw::Request, wire};
use std::net::UdpSocket;
use std::process::Command;

#[test]
fn wrong_usage_is_status_two_and_leaves_nothing() {
    let (folder, song) = folder_with("song.mp3", 10);
    let song = song.to_str().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    for arguments in [
        &["saw"][..],
        &["saw", "127.0.0.1:9001"],
        &["saw", "127.0.0.1:port", "-o", out],
        &["saw", "tcp://127.0.0.1:9001", "-o", out],
        &["saw", "127.0.0.1:9001", "-o", out, "--timeout", "fixed:5"],
        &["saw", "127.0.0.1:9001", "-o", out, "--max-size", "5"],
        &["file", "127.0.0.1:9003", song],
        &["file", "127.0.0.1:9003", song, "--over", "sctp"],
        &["file", "127.0.0.1:9003", song, "--over", "tcp", "--rate", "1Mbit/s"],
        &["file", "127.0.0.1:9003", song, "--over", "udp", "--rate", "0"],
        &["ping", "tcp://127.0.0.1:1234"],
        &["ping", "127.0.0.1", "--size", "23"],
        &["ping", "127.0.0.1", "--flood", "--interval", "1ms"],
        &["clock", "127.0.0.1", "--count", "0"],
        &["clock", "udp://127.0.0.1"],
        &["echo", "127.0.0.1"],
        &["echo", "127.0.0.1", "--over", "udp", "--linger", "0"],
        &["messages"],
        &["messages", "udp://127.0.0.1:9000", "hello"],
        &["messages", "127.0.0.1:9000", "hello", "--timeout", "soon"],
        &["messages", "127.0.0.1:9000", "hello", "--patience", "0"],
    ] {
        let run = client(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty());
    }
    for arguments in [
        &["file", "--over", "tcp", "--naive"][..],
        &["file", "--over", "tcp", "--name", "../escape"],
        &["file", "--over", "tcp", "--idle", "0"],
        &["messages", "--max-clients", "0"],
        &["messages", "--idle", "0"],
        &["saw", song, "--listen", "nowhere"],
        &["clock", "--format", "iso"],
        &["clock", "--max-clients", "0"],
        &["echo"],
        &["ping", "--listen", "127.0.0.1:x"],
        &["nonsense"],
    ] {
        let run = failing_server(arguments);
        let expected = if arguments.contains(&"nowhere") { 1 } else { 2 };
        assert_eq!(run.status, Some(expected), "{arguments:?}: {}", run.stderr);
    }
    assert_eq!(names(folder.path()), ["song.mp3"]);
}

#[test]
fn failures_name_their_cause_and_keep_what_was_there() {
    let (folder, song) = folder_with("song.mp3", 10_000);
    let song = song.to_str().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = failing_server(&["saw", song, "--listen", &address]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains(&address) && run.stderr.contains("in use"), "{}", run.stderr);
    let run = failing_server(&["saw", "/does/not/exist"]);
    assert!(run.status == Some(1) && run.stderr.contains("/does/not/exist"), "{}", run.stderr);

    // A port that was just given back: nobody listens there.
    drop(taken);
    let out = folder.path().join("out");
    std::fs::write(&out, "old").unwrap();
    for arguments in [
        &["saw", &address, "-o", out.to_str().unwrap()][..],
        &["file", &address, song, "--over", "udp"],
        &["file", &address, song, "--over", "tcp"],
        &["ping", &address],
        &["clock", &address],
        &["echo", &address, "--over", "tcp"],
        &["messages", &address, "hello"],
    ] {
        let run = client(arguments);
        assert_eq!(run.status, Some(1), "{}", run.stderr);
        assert!(run.stderr.to_lowercase().contains("connection refused"), "{}", run.stderr);
    }
    assert_eq!(std::fs::read(&out).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["out", "song.mp3"]);
    let run = client(&["file", &address, "/does/not/exist", "--over", "udp"]);
    assert!(run.status == Some(1) && run.stderr.contains("/does/not/exist"), "{}", run.stderr);
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let (folder, song) = folder_with("song.mp3", 10_000);
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let out = folder.path().join("out");
    for arguments in [
        &["saw", &address, "-o", out.to_str().unwrap(), "--patience", "300ms"][..],
        &["file", &address, song.to_str().unwrap(), "--over", "udp", "--patience", "300ms"],
    ] {
        let run = client(arguments);
        assert_eq!(run.status, Some(1));
        assert!(
            run.stderr.contains("answer from") && run.stderr.contains(&address),
            "{}",
            run.stderr
        );
    }
    assert_eq!(names(folder.path()), ["song.mp3"]);
}

#[test]
fn a_client_that_is_interrupted_ends_well_and_keeps_its_part_apart() {
    let (folder, song) = folder_with("song.mp3", 10_000);
    let server = Server::start(&["saw", song.to_str().unwrap()]);
    // A relay that lets one answer through, and then says nothing.
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    let out = folder.path().join("out");
    let client = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args([
            "saw",
            &relay.local_addr().unwrap().to_string(),
            "-o",
            out.to_str().unwrap(),
            "--json",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut buffer = [0; 5000];
    let (length, from) = relay.recv_from(&mut buffer).unwrap();
    relay.send_to(&buffer[..length], server.address).unwrap();
    let (length, _) = relay.recv_from(&mut buffer).unwrap();
    relay.send_to(&buffer[..length], from).unwrap();
    // The request for the second packet shows that the first was written.
    let number = |datagram: &[u8]| Request::decode(wire::open(datagram).unwrap()).unwrap().number;
    while {
        let length = relay.recv_from(&mut buffer).unwrap().0;
        number(&buffer[..length]) == 0
    } {}
    Command::new("kill").args(["-INT", &client.id().to_string()]).status().unwrap();
    let output = client.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["ok"], &summary["stopped"], &summary["bytes"]),
        (&false.into(), &true.into(), &4096.into())
    );
    assert!(
        summary["seconds"].as_f64().unwrap() > 0.0
            && summary["goodput_bps"].as_f64().unwrap() > 0.0,
        "{summary}"
    );
    assert_eq!(names(folder.path()), ["out.part", "song.mp3"]);
    assert_eq!(std::fs::read(folder.path().join("out.part")).unwrap(), bytes(10_000)[..4096]);
}

#[test]
fn help_shows_examples_and_text_output_starts_with_the_ready_line() {
    for program in [env!("CARGO_BIN_EXE_jostle-server"), env!("CARGO_BIN_EXE_jostle-client")] {
        for kind in ["saw", "file", "messages", "ping", "clock", "echo"] {
            let help = Command::new(program).args([kind, "--help"]).output().unwrap();
            assert!(help.status.success());
            assert!(
                String::from_utf8(help.stdout).unwrap().contains("Examples:"),
                "{program} {kind}"
            );
        }
        let completions = Command::new(program).args(["completions", "bash"]).output().unwrap();
        assert!(String::from_utf8(completions.stdout).unwrap().contains("COMPLETE="));
    }
    let (folder, song) = folder_with("song.mp3", 5000);
    let server = Command::new(env!("CARGO_BIN_EXE_jostle-server"))
        .args(["saw", song.to_str().unwrap(), "--once", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut server = server.unwrap();
    let mut stdout = std::io::BufReader::new(server.stdout.take().unwrap());
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut ready).unwrap();
    let address = ready.trim().strip_prefix("listening saw udp://").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args(["saw", address, "-o", folder.path().join("out").to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("5,000 of 5,000 bytes, whole") && text.contains("goodput"), "{text}");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}
