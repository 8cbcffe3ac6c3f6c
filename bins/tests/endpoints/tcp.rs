//! Files over TCP, from our client and from bare connections.

use crate::support::{Server, bytes, client, folder_with, names};
use jostle_common::digest::Digest;
use jostle_console::stop::Stop;
use jostle_endpoints::file::tcp;
use jostle_endpoints::protocol::storage::{Folder, Memory, MemoryFile, MemoryFolder};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::path::Path;
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

/// The parts in a folder.
fn parts(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.ends_with(".part")).collect()
}

#[test]
fn a_reset_leaves_nothing() {
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
    let arrived =
        |part: &String| std::fs::read(folder.path().join(part)).is_ok_and(|b| b == b"half");
    while !parts(folder.path()).first().is_some_and(arrived) {
        std::thread::yield_now();
    }
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let received = server.line();
    assert_eq!((&received["ok"], &received["file"]), (&false.into(), &serde_json::Value::Null));
    assert!(received["error"].as_str().unwrap().contains("reset"), "{received}");
    let (status, _) = server.wait();
    assert_eq!(status, Some(1));
    assert!(names(folder.path()).is_empty());
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
    assert!(names(&incoming).is_empty());
}

#[test]
fn a_server_stores_no_more_in_all_than_it_may() {
    let (folder, song) = folder_with("song.mp3", 600_000);
    for (over, refused) in [("tcp", "broke"), ("udp", "room for 448576 more")] {
        let incoming = folder.path().join(over);
        let mut server = Server::start(&[
            "file",
            "--over",
            over,
            "--dir",
            incoming.to_str().unwrap(),
            "--max-total",
            "1MiB",
        ]);
        let send = || {
            let address = server.address.to_string();
            client(&["file", &address, song.to_str().unwrap(), "--over", over])
        };
        assert_eq!(send().status, Some(0), "{over}");
        let second = send();
        assert_eq!(second.status, Some(1), "{over}: {}", second.summary);
        let is_said = |reason| second.stderr.contains(reason);
        assert!(is_said(refused) || over == "tcp" && is_said("no answer"), "{}", second.stderr);
        assert_eq!(server.line()["ok"], true);
        if over == "tcp" {
            assert!(server.line()["error"].as_str().unwrap().contains("--max-total"));
        }
        assert_eq!(names(&incoming), ["received.mp3"], "{over}");
        let (status, lines) = server.terminate();
        assert_eq!((status, &lines[0]["stored"]), (Some(0), &1.into()));
    }
}

#[test]
fn a_folder_that_is_gone_fails_the_one_file_and_is_said() {
    let (folder, song) = folder_with("song.mp3", 50_000);
    for kind in [&["tcp"][..], &["udp"], &["udp", "--naive", "--idle", "200ms"]] {
        let incoming = folder.path().join("in");
        let arguments =
            [&["file", "--dir", incoming.to_str().unwrap(), "--once", "--over"], kind].concat();
        let mut server = Server::start(&arguments);
        // As good as one that cannot be written to, which stops no superuser.
        std::fs::remove_dir(&incoming).unwrap();
        if kind.len() == 1 {
            let address = server.address.to_string();
            let run = client(&["file", &address, song.to_str().unwrap(), "--over", kind[0]]);
            assert_eq!(run.status, Some(1), "{kind:?}: {}", run.stderr);
        } else {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"music", server.address).unwrap();
        }
        let received = server.line();
        assert_eq!((&received["event"], &received["ok"]), (&"received".into(), &false.into()));
        assert!(received["error"].as_str().unwrap().contains("No such file"), "{received}");
        let (status, lines) = server.wait();
        assert_eq!((status, &lines[0]["failed"]), (Some(1), &1.into()), "{kind:?}");
    }
}

#[test]
fn what_a_killed_server_left_is_removed_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["file", "--over", "tcp", "--dir", folder.path().to_str().unwrap()];
    let server = Server::start(&arguments);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"half").unwrap();
    while parts(folder.path()).is_empty() {
        std::thread::yield_now();
    }
    // Dropped, it is killed.
    drop(server);
    let [left] = &parts(folder.path())[..] else { panic!() };
    let part = File::options().write(true).open(folder.path().join(left)).unwrap();
    let old = part.metadata().unwrap().modified().unwrap() - Duration::from_secs(3600);
    part.set_modified(old).unwrap();
    std::fs::write(folder.path().join("another's.part"), "").unwrap();
    let server = Server::start(&arguments);
    assert_eq!(names(folder.path()), ["another's.part"]);
    assert_eq!(server.terminate().0, Some(0));
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
