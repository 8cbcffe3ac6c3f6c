//! Clients of others against our servers, directly and through a proxy without rules.

use crate::programs::{Told, addresses, client, event};
use crate::support::{bytes, folder_with, names};
use jostle_endpoints::protocol::clock::parse_time;

const SIZE: usize = 50_000;

#[test]
fn stop_and_wait_asks_for_numbers_and_gets_bare_packets() {
    for size in [SIZE, 3 * 4096, 1, 0] {
        let (folder, song) = folder_with("song.mp3", size);
        let server = Told::start(&["saw", song.to_str().unwrap()]);
        let (_proxy, addresses) = addresses("udp", server.address());
        let out = folder.path().join("out");
        for (address, form) in addresses.into_iter().zip(["text", "binary"]) {
            let Some(said) = client("saw.py", address, &[out.to_str().unwrap(), form]) else {
                return;
            };
            assert_eq!(said, [format!("{} packets", size.div_ceil(4096))]);
            assert_eq!(std::fs::read(&out).unwrap(), bytes(size));
        }
        let (lines, told) = server.end();
        let requests = event(&lines, "summary")["plain"].as_u64().unwrap() as usize;
        assert!(requests >= 2 * (size.div_ceil(4096) + 1), "{requests}");
        assert!(!told.join("\n").contains("understand"), "{told:?}");
    }
}

#[test]
fn ping_gets_its_messages_back() {
    let server = Told::start(&["ping"]);
    let (_proxy, addresses) = addresses("udp", server.address());
    for address in addresses {
        let Some(said) = client("ping.py", address, &["3"]) else { return };
        for (number, line) in said.iter().enumerate() {
            assert!(line.starts_with(&format!("message {number} after ")), "{line}");
        }
        assert_eq!(said.len(), 3);
    }
    assert!(server.end().1.is_empty());
}

#[test]
fn a_clock_is_asked_without_newlines() {
    let server = Told::start(&["clock"]);
    let (_proxy, addresses) = addresses("tcp", server.address());
    for address in addresses {
        let Some(said) = client("clock.py", address, &["3"]) else { return };
        assert_eq!(said.iter().filter(|line| parse_time(line).is_some()).count(), 3, "{said:?}");
    }
    let (lines, told) = server.end();
    assert_eq!((&lines[0]["answered"], &lines[0]["errors"]), (&6.into(), &0.into()));
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn http_by_hand_gets_a_file_and_an_error() {
    let (folder, _) = folder_with("song.mp3", SIZE);
    let server = Told::start(&["http", "--root", folder.path().to_str().unwrap()]);
    let (_proxy, addresses) = addresses("tcp", server.address());
    let out = tempfile::NamedTempFile::new().unwrap();
    let out = out.path().to_str().unwrap();
    for address in addresses {
        let Some(said) = client("http.py", address, &["/song.mp3", out]) else { return };
        assert_eq!(said, ["HTTP/1.1 200 OK"]);
        assert_eq!(std::fs::read(out).unwrap(), bytes(SIZE));
        let said = client("http.py", address, &["/missing", out]).unwrap();
        assert_eq!(said, ["HTTP/1.1 404 Not Found"]);
    }
}

#[test]
fn echo_answers_messages_without_newlines() {
    let messages = ["hello", "Grüße", "how are you?"];
    for (over, name) in [("tcp", "echo_tcp.py"), ("udp", "echo_udp.py")] {
        let server = Told::start(&["echo", "--over", over]);
        let (_proxy, addresses) = addresses(over, server.address());
        for address in addresses {
            let Some(said) = client(name, address, &messages) else { return };
            assert_eq!(said, messages, "{over}");
        }
        let (lines, told) = server.end();
        let texts: Vec<_> = lines.iter().filter(|line| line["event"] == "message").collect();
        assert_eq!(texts.len(), 6, "{lines:?}");
        for (line, text) in texts.iter().zip(messages.iter().cycle()) {
            assert_eq!(line["text"], **text);
        }
        assert!(told.is_empty(), "{told:?}");
    }
}

#[test]
fn a_file_is_sent_bare_over_tcp() {
    let (folder, song) = folder_with("song.mp3", SIZE);
    let incoming = folder.path().join("in");
    let arguments = ["file", "--over", "tcp", "--dir", incoming.to_str().unwrap()];
    let server = Told::start(&arguments);
    let (_proxy, addresses) = addresses("tcp", server.address());
    for address in addresses {
        if client("mp3_tcp.py", address, &[song.to_str().unwrap()]).is_none() {
            return;
        }
    }
    stored(&incoming, &["received-2.mp3", "received.mp3"], SIZE);
    let (lines, _) = server.end();
    assert_eq!(event(&lines, "summary")["stored"], 2);
}

#[test]
fn a_file_is_sent_bare_over_udp() {
    // One that ends with a short chunk, one that ends with silence, and others' chunk sizes.
    for (size, chunk) in [(SIZE, 4096), (4 * 4096, 4096), (SIZE, 1024), (SIZE, 1400)] {
        let (folder, song) = folder_with("song.mp3", size);
        let incoming = folder.path().join("in");
        let arguments = ["file", "--over", "udp", "--dir", incoming.to_str().unwrap()];
        let server = Told::start(&arguments);
        let (_proxy, addresses) = addresses("udp", server.address());
        for address in addresses {
            let arguments = [song.to_str().unwrap(), &chunk.to_string()];
            if client("mp3_udp.py", address, &arguments).is_none() {
                return;
            }
        }
        stored(&incoming, &["received-2.mp3", "received.mp3"], size);
        let (lines, told) = server.end();
        let received = event(&lines, "received");
        assert_eq!(received["bare_datagrams"], size.div_ceil(chunk), "{received}");
        assert_eq!((&received["ok"], &received["digest_equal"]), (&true.into(), &().into()));
        assert!(told.is_empty(), "{told:?}");
    }
}

/// Waits until a folder holds these files, and checks that each is the one of so many bytes.
fn stored(folder: &std::path::Path, expected: &[&str], size: usize) {
    for _ in 0..1000 {
        if folder.exists() && names(folder) == expected {
            for name in expected {
                assert_eq!(std::fs::read(folder.join(name)).unwrap(), bytes(size), "{name}");
            }
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    panic!("{:?} is not {expected:?}", names(folder));
}
