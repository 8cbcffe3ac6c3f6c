//! Files over TCP, from our client and from bare connections.

use crate::support::{Server, bytes, client, folder_with, names};
use jostle_common::digest::Digest;
use jostle_console::stop::Stop;
use jostle_endpoints::file::tcp;
use jostle_endpoints::protocol::storage::{Folder, Memory, MemoryFile, MemoryFolder};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

#[test]
fn files_arrive_whole_one_after_the_other_and_at_once() {
    let (folder, song) = folder_with("song.mp3", 3_000_000);
    let incoming = folder.path().join("in");
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let mut server = Server::start_on(
            listen,
            &["file", "--over", "tcp", "--dir", incoming.to_str().unwrap()],
        );
        let address = server.address.to_string();
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    let run = client(&["file", &address, song.to_str().unwrap(), "--over", "tcp"]);
                    assert_eq!(run.status, Some(0), "{}", run.stderr);
                    assert_eq!(run.summary["digest_equal"], true);
                    assert_eq!(run.summary["sha256"], Digest::of(&bytes(3_000_000)).to_string());
                });
            }
        });
        for _ in 0..5 {
            let received = server.line();
            assert_eq!((&received["event"], &received["ok"]), (&"received".into(), &true.into()));
        }
        let (status, lines) = server.terminate();
        assert_eq!(
            (status, &lines[0]["stored"], &lines[0]["failed"]),
            (Some(0), &5.into(), &0.into())
        );
    }
    assert_eq!(names(&incoming).len(), 10);
    for name in names(&incoming) {
        assert!(name.starts_with("received") && name.ends_with(".mp3"), "{name}");
        assert_eq!(std::fs::read(incoming.join(name)).unwrap(), bytes(3_000_000));
    }
}

#[test]
fn a_bare_connection_gets_one_line_when_the_file_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(&["file", "--over", "tcp", "--dir", folder.path().to_str().unwrap()]);
    for name in ["received.mp3", "received-2.mp3"] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(b"music").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut line = String::new();
        stream.read_to_string(&mut line).unwrap();
        assert_eq!(line, format!("{name} 5 {}\n", Digest::of(b"music")));
        assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), b"music");
    }
}

#[test]
fn a_client_that_closes_at_once_changes_nothing_and_a_probe_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&[
        "file",
        "--over",
        "tcp",
        "--dir",
        folder.path().to_str().unwrap(),
        "--once",
    ]);
    drop(TcpStream::connect(server.address).unwrap());
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&bytes(100_000)).unwrap();
    drop(stream);
    let received = server.line();
    assert_eq!((&received["file"], &received["size"]), (&"received.mp3".into(), &100_000.into()));
    let (status, _) = server.wait();
    assert_eq!(status, Some(0));
    assert_eq!(names(folder.path()), ["received.mp3"]);
    assert_eq!(std::fs::read(folder.path().join("received.mp3")).unwrap(), bytes(100_000));
}

#[test]
fn a_reset_leaves_the_part_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&[
        "file",
        "--over",
        "tcp",
        "--dir",
        folder.path().to_str().unwrap(),
        "--once",
    ]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"half").unwrap();
    // The reset must not overtake the data: wait until the server has them.
    let part = folder.path().join("received.mp3.part");
    while std::fs::read(&part).ok().as_deref() != Some(b"half") {
        std::thread::yield_now();
    }
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let received = server.line();
    assert_eq!((&received["ok"], &received["file"]), (&false.into(), &serde_json::Value::Null));
    assert!(received["error"].as_str().unwrap().contains("reset"), "{received}");
    let (status, _) = server.wait();
    assert_eq!(status, Some(1));
    assert_eq!(names(folder.path()), ["received.mp3.part"]);
}

#[test]
fn a_file_beyond_the_limit_is_reset_and_the_client_fails() {
    let (folder, song) = folder_with("song.mp3", 30_000_000);
    let incoming = folder.path().join("in");
    let mut server = Server::start(&[
        "file",
        "--over",
        "tcp",
        "--dir",
        incoming.to_str().unwrap(),
        "--max-size",
        "1MiB",
    ]);
    let run =
        client(&["file", &server.address.to_string(), song.to_str().unwrap(), "--over", "tcp"]);
    assert_eq!((run.status, &run.summary["ok"]), (Some(1), &false.into()));
    assert!(run.stderr.contains("broke") || run.stderr.contains("no answer"), "{}", run.stderr);
    assert!(server.line()["error"].as_str().unwrap().contains("--max-size"));
    assert_eq!(names(&incoming), ["received.mp3.part"]);
}

#[test]
fn silent_connections_do_not_keep_others_out_and_end_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&[
        "file",
        "--over",
        "tcp",
        "--dir",
        folder.path().to_str().unwrap(),
        "--max-clients",
        "2",
        "--idle",
        "300ms",
    ]);
    let silent: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(b"and then nothing").unwrap();
            stream
        })
        .collect();
    let mut waiting = TcpStream::connect(server.address).unwrap();
    waiting.write_all(b"music").unwrap();
    waiting.shutdown(Shutdown::Write).unwrap();
    let mut line = String::new();
    waiting.read_to_string(&mut line).unwrap();
    assert!(line.starts_with("received.mp3 5 "), "{line}");
    let lines: Vec<_> = (0..3).map(|_| server.line()).collect();
    assert_eq!(lines.iter().filter(|line| line["error"] == "the sender went silent").count(), 2);
    drop(silent);
}

/// A folder on a full disk.
#[derive(Clone)]
struct Full;

impl Folder for Full {
    type File = MemoryFile;

    fn create(&mut self) -> io::Result<MemoryFile> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_full_disk_is_no_success_at_either_end() {
    let server = tcp::TcpFileServer::bind(
        "127.0.0.1:0".parse().unwrap(),
        tcp::TcpFileServerSettings::default(),
        Full,
    )
    .unwrap();
    let (address, stop) = (server.address(), Stop::new());
    let stopped = stop.clone();
    let serving = std::thread::spawn(move || {
        let mut reasons = Vec::new();
        let totals = server
            .run(&stopped, |received| reasons.push(received.stored.clone().unwrap_err()))
            .unwrap();
        (totals, reasons)
    });
    let mut source = Memory::new(bytes(10_000_000));
    let sent =
        tcp::send(&tcp::TcpFileSettings::new(vec![address]), &mut source, &Stop::new(), |_| {})
            .unwrap();
    assert!(sent.ending.failure().is_some());
    stop.request();
    let (totals, reasons) = serving.join().unwrap();
    assert_eq!((totals.stored, totals.failed + totals.empty), (0, 1));
    assert!(reasons.iter().all(|reason| reason.contains("no storage space")), "{reasons:?}");
}

#[test]
fn both_ends_stop_when_asked() {
    let settings = tcp::TcpFileServerSettings::default();
    let server =
        tcp::TcpFileServer::bind("127.0.0.1:0".parse().unwrap(), settings, MemoryFolder::default())
            .unwrap();
    let stop = Stop::new();
    stop.request();
    let address = server.address();
    let mut source = Memory::new(bytes(10));
    let sent =
        tcp::send(&tcp::TcpFileSettings::new(vec![address]), &mut source, &stop, |_| {}).unwrap();
    assert_eq!(sent.ending, jostle_endpoints::ending::Ending::Stopped);
    assert_eq!(server.run(&stop, |_| {}).unwrap(), tcp::TcpFileTotals::default());
}
