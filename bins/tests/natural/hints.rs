//! What is not understood is told of, once for each peer; what was damaged is not taken for
//! something else.

use crate::programs::{Told, assert_well, event};
use crate::proxy_support::Jostle;
use crate::support::{bytes, client, client_fed, folder_with, names};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

/// Sends these to a server, ten times over from each of three peers, and returns its stderr.
fn provoke(arguments: &[&str], is_udp: bool, bytes: &[u8]) -> Vec<String> {
    let server = Told::start(arguments);
    let mut streams = Vec::new();
    for _ in 0..3 {
        if is_udp {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..10 {
                socket.send_to(bytes, server.address()).unwrap();
            }
            continue;
        }
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for _ in 0..10 {
            stream.write_all(bytes).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        streams.push(stream);
    }
    for mut stream in streams {
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    if is_udp {
        // A datagram behind them that is answered shows that they were taken.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        if arguments[0] == "saw" {
            socket.send_to(b"0", server.address()).unwrap();
            socket.recv(&mut [0; 5000]).unwrap();
        } else {
            std::thread::park_timeout(Duration::from_millis(300));
        }
    }
    server.end().1
}

#[test]
fn each_peer_is_told_of_once_with_the_remedy() {
    let (folder, song) = folder_with("song.mp3", 5000);
    let (song, folder) = (song.to_str().unwrap(), folder.path().to_str().unwrap());
    for (arguments, is_udp, said, remedy) in [
        (&["saw", song][..], true, &b"packet\x1b[2J please"[..], "ask for a packet by its number"),
        (&["clock"], false, b"time\x1b[2J\n", "ask \"what time is it?\""),
        (&["messages"], false, b"0 99 hello\x1b[2J\n", "fits none that is known"),
        (&["messages"], false, b"hello\x1b[2J\n", "write \"0 CHECKSUM MESSAGE\""),
        (&["file", "--over", "udp", "--dir", folder], true, b"song\x1b[2J.mp3", "4096 bytes"),
    ] {
        let told = provoke(arguments, is_udp, said);
        let hints: Vec<_> = told.iter().filter(|line| line.contains(remedy)).collect();
        assert_eq!(hints.len(), 3, "{arguments:?}: {told:#?}");
        for hint in hints {
            assert!(hint.starts_with("127.0.0.1:") && hint.contains("\\u{1b}[2J"), "{hint}");
        }
    }
}

#[test]
fn a_damaged_line_of_work_is_taken_for_nothing_else() {
    let (folder, song) = folder_with("song.mp3", 100_000);
    let incoming = folder.path().join("in");
    let weather = ["--corrupt", "30%", "--seed"];
    for seed in ["1", "2", "3"] {
        let server = Told::start(&["saw", song.to_str().unwrap()]);
        let route = format!("udp://127.0.0.1:0={}", server.address());
        let proxy = Jostle::start(&[&[&route[..]], &weather[..], &[seed]].concat(), 1);
        let out = folder.path().join("out");
        let address = proxy.address("udp").to_string();
        assert_well(&client(&["saw", &address, "-o", out.to_str().unwrap()]));
        assert_eq!(std::fs::read(out).unwrap(), bytes(100_000));
        let (lines, told) = server.end();
        let summary = event(&lines, "summary");
        assert!(summary["damaged"].as_u64().unwrap() > 0 && summary["plain"] == 0, "{summary}");
        assert!(!told.join("\n").contains("understand"), "{told:?}");

        let arguments = ["file", "--over", "udp", "--dir", incoming.to_str().unwrap()];
        let server = Told::start(&arguments);
        let route = format!("udp://127.0.0.1:0={}", server.address());
        let proxy = Jostle::start(&[&[&route[..]], &weather[..], &[seed]].concat(), 1);
        let address = proxy.address("udp").to_string();
        assert_well(&client(&["file", &address, song.to_str().unwrap(), "--over", "udp"]));
        let (lines, told) = server.end();
        let files = lines.iter().filter(|line| line["event"] == "received");
        assert!(files.clone().count() == 1 && files.clone().all(|l| l["bare_datagrams"].is_null()));
        assert!(told.is_empty(), "{told:?}");

        let mut server = Told::start(&["messages"]);
        let route = format!("tcp://127.0.0.1:0={}", server.address());
        let raw = ["--tcp", "raw", "--unit", "line"];
        let proxy = Jostle::start(&[&[&route[..]], &raw[..], &weather[..], &[seed]].concat(), 1);
        let texts: String = (0..100).map(|number| format!("{number} {} x\n", number * 7)).collect();
        let address = proxy.address("tcp").to_string();
        let run = client_fed(&["messages", &address, "--quiet"], texts.as_bytes());
        assert_well(&run);
        let lines = server.until("ended", 1);
        let ended = event(&lines, "ended");
        assert_eq!((&ended["checksum"], &ended["delivered"]), (&"documented".into(), &100.into()));
        let said: Vec<_> = lines.iter().filter(|line| line["event"] == "message").collect();
        for (line, text) in said.iter().zip(texts.lines()) {
            assert_eq!(line["message"], text);
        }
    }
    assert_eq!(names(&incoming).len(), 3);
}
