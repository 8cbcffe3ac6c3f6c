//! Our clients against servers of others: they are understood, or it is said why not.

use crate::programs::{PythonServer, assert_well};
use crate::support::{bytes, client, client_fed, folder_with};

#[test]
fn a_clock_that_sends_no_newline_and_no_zone_is_read() {
    let Some(server) = PythonServer::start("clock.py", &[]) else { return };
    let run = client(&["clock", &server.address, "--count", "3"]);
    assert_well(&run);
    assert_eq!(run.summary["answered"], 3);
    // It is the same clock, whatever its zone.
    let best = &run.summary["best"]["interval_ms"];
    assert!(best[0].as_f64().unwrap() <= 0.0 && best[1].as_f64().unwrap() >= 0.0, "{best}");
    assert!(run.stderr.contains("bytes without a newline"), "{}", run.stderr);
}

#[test]
fn an_echo_without_newlines_is_one() {
    let Some(server) = PythonServer::start("echo_tcp.py", &[]) else { return };
    let run = client_fed(&["echo", &server.address, "--over", "tcp"], b"hello\n");
    assert_well(&run);
    assert_eq!((&run.summary["sent"], &run.summary["intact"]), (&1.into(), &1.into()));
    assert!(run.stderr.contains("answered 5 bytes without a newline"), "{}", run.stderr);
}

#[test]
fn a_confirmation_that_holds_the_request_is_an_answer_and_another_is_told_of() {
    let Some(server) = PythonServer::start("ping.py", &["confirmed: "]) else { return };
    let run = client(&["ping", &server.address, "--count", "5", "--timeout", "fixed:2s"]);
    assert_well(&run);
    assert_eq!((&run.summary["answered"], &run.summary["damaged"]), (&5.into(), &0.into()));
    assert!(run.stderr.contains("answered 67 bytes that hold the request"), "{}", run.stderr);
    let Some(server) = PythonServer::start("ping.py", &["ACK"]) else { return };
    let run = client(&["ping", &server.address, "--count", "2", "--timeout", "fixed:100ms"]);
    assert_eq!((run.status, &run.summary["answered"]), (Some(1), &0.into()));
    assert!(run.stderr.contains("do not hold the request, \"ACK\""), "{}", run.stderr);
}

#[test]
fn bare_replies_are_understood_and_another_checksum_is_told_of() {
    let Some(server) = PythonServer::start("messages.py", &["ours"]) else { return };
    let run = client(&["messages", &server.address, "hello||how are you?||TCHAU"]);
    assert_well(&run);
    assert_eq!(
        (&run.summary["acknowledged"], &run.summary["goodbye_acknowledged"]),
        (&2.into(), &true.into())
    );
    let Some(server) = PythonServer::start("messages.py", &["other"]) else { return };
    let run = client(&["messages", &server.address, "hello", "--patience", "3s"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("may expect another checksum"), "{}", run.stderr);
}

#[test]
fn a_server_that_never_answers_is_told_of_before_patience_ends() {
    let Some(server) = PythonServer::start("saw.py", &[]) else { return };
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out");
    let patience = ["-o", out.to_str().unwrap(), "--patience", "5s"];
    let run = client(&[&["saw", &server.address][..], &patience].concat());
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("does jostle-server saw run there?"), "{}", run.stderr);
}

#[test]
fn a_receiver_that_says_nothing_has_the_file_and_the_client_says_what_it_missed() {
    let (folder, song) = folder_with("song.mp3", 50_000);
    let out = folder.path().join("out");
    let Some(mut server) = PythonServer::start("mp3_tcp.py", &[out.to_str().unwrap()]) else {
        return;
    };
    let run = client(&["file", &server.address, song.to_str().unwrap(), "--over", "tcp"]);
    server.wait();
    assert_eq!(std::fs::read(out).unwrap(), bytes(50_000));
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("did not say that it stored"), "{}", run.stderr);
}
