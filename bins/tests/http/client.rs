//! Our client: against our server, and against servers that break off, stall, damage and lie.

use crate::proxy_support::vacant_address;
use crate::support::{Run, bytes, client, names};
use crate::tools::{Site, headers, names_in};
use jostle_common::digest::Digest;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// A server whose n-th answer is `answer(n, head of the request)`, and who closes behind each.
fn scripted(mut answer: impl FnMut(usize, &str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let head = read_head(&mut stream);
            // Who has heard enough may go.
            let _ = stream.write_all(&answer(n, &head));
        }
    });
    address
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn with(head: &str, body: &[u8]) -> Vec<u8> {
    let head = head.trim().replace('\n', "\r\n");
    [head.as_bytes(), b"\r\nConnection: close\r\n\r\n", body].concat()
}

/// All objects that a run of the client prints.
fn run_all(arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn several_files_come_over_one_connection_and_are_checked() {
    let site = Site::new();
    let server = site.serve(&[]);
    let (out, base) = (site.text("out"), format!("http://{}", server.address));
    let urls =
        ["/song.mp3", "/hello.txt", "/deep", "/song.mp3"].map(|path| format!("{base}{path}"));
    let arguments =
        [&["http", "get", "--dir", &out][..], &urls.each_ref().map(String::as_str)].concat();
    let (status, lines) = run_all(&arguments);
    assert_eq!(status, Some(0), "{lines:?}");
    assert!(
        lines[..4].iter().all(|line| line["checked"] == "digest" && line["ok"] == true),
        "{lines:?}"
    );
    assert_eq!(
        (&lines[4]["connections"], &lines[4]["requests"], &lines[4]["retries"]),
        (&1.into(), &5.into(), &0.into())
    );
    assert_eq!(names(&site.path("out")), ["download", "hello.txt", "song-2.mp3", "song.mp3"]);
    assert_eq!(std::fs::read(site.path("out/song-2.mp3")).unwrap(), bytes(300_000));

    let (status, lines) = run_all(&["http", "head", &urls[0], &format!("{base}/nothing")]);
    assert_eq!((status, &lines[0]["headers"]["content-length"]), (Some(1), &"300000".into()));
    assert_eq!(lines[0]["sha256"], Digest::of(&bytes(300_000)).to_string());
    assert_eq!((&lines[1]["status"], &lines[2]["connections"]), (&404.into(), &1.into()));
}

#[test]
fn a_kept_connection_that_the_server_has_closed_is_no_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    // Answers one request on each connection, keeps it, and closes it when it is asked for more.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
            read_head(&mut stream);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let urls = ["/a", "/b", "/c"].map(|path| format!("{base}{path}"));
    let arguments = ["http", "get", "--retries", "0", "--dir", folder.path().to_str().unwrap()];
    let (status, lines) = run_all(&[&arguments[..], &urls.each_ref().map(String::as_str)].concat());
    assert_eq!(status, Some(0), "{lines:?}");
    assert_eq!(
        (&lines[3]["connections"], &lines[3]["requests"], &lines[3]["retries"]),
        (&3.into(), &5.into(), &0.into())
    );
    assert_eq!(names(folder.path()), ["a", "b", "c"]);
}

#[test]
fn files_are_sent_and_the_server_s_word_is_checked() {
    let site = Site::new();
    let server = site.serve(&[]);
    let (song, hello, base) = (
        site.text("public/song.mp3"),
        site.text("public/hello.txt"),
        format!("http://{}/", server.address),
    );
    for (method, names) in [
        (&["put"][..], ["song.mp3", "hello.txt"]),
        (&["put"], ["song.mp3", "hello.txt"]),
        (&["post"], ["song-2.mp3", "hello-2.txt"]),
        (&["post", "--form"], ["song-3.mp3", "hello-3.txt"]),
    ] {
        let (status, lines) = run_all(&[&["http"], method, &[&base, &song, &hello]].concat());
        assert_eq!(status, Some(0), "{lines:?}");
        for (line, name) in lines.iter().zip(names) {
            assert_eq!(
                (&line["stored"], &line["checked"]),
                (&name.into(), &"digest".into()),
                "{method:?}"
            );
        }
        assert_eq!(lines[2]["connections"], 1);
    }
    for name in ["song.mp3", "song-2.mp3", "song-3.mp3"] {
        assert_eq!(std::fs::read(site.path("incoming").join(name)).unwrap(), bytes(300_000));
    }
    let conflict = client(&["http", "put", &format!("{base}song.mp3"), &hello]);
    assert_eq!(
        (conflict.status, &conflict.summary["failed"], &conflict.summary["retries"]),
        (Some(1), &1.into(), &0.into())
    );
    assert_eq!(names_in(&site.path("incoming")).len(), 6);
}

/// A server of `content` that breaks each answer off after `piece` bytes.
fn breaking(content: Vec<u8>, piece: usize) -> SocketAddr {
    let digest = {
        use std::fmt::Write as _;
        let mut hex = String::new();
        Digest::of(&content).0.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        let decode = format!("printf %s {hex} | xxd -r -p | base64");
        String::from_utf8(Command::new("sh").args(["-c", &decode]).output().unwrap().stdout)
            .unwrap()
    };
    scripted(move |_, head| {
        let size = content.len();
        let first = headers(head, "range")
            .first()
            .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
        let digest = if digest.trim().is_empty() {
            String::new()
        } else {
            format!("Repr-Digest: sha-256=:{}:\n", digest.trim())
        };
        match first {
            None => with(
                &format!("HTTP/1.1 200 OK\nETag: \"v1\"\n{digest}Content-Length: {size}"),
                &content[..piece.min(size)],
            ),
            Some(first) => {
                let first: usize = first;
                assert_eq!(headers(head, "if-range"), ["\"v1\""]);
                let head = format!(
                    "HTTP/1.1 206 Partial Content\nETag: \"v1\"\n{digest}Content-Length: \
                     {}\nContent-Range: bytes {first}-{}/{size}",
                    size - first,
                    size - 1
                );
                with(&head, &content[first..(first + piece).min(size)])
            }
        }
    })
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let address = breaking(bytes(1_000_000), 300_000);
    let run = |retries: &str| -> Run {
        client(&[
            "http",
            "get",
            &format!("http://{address}/x"),
            "-o",
            out.to_str().unwrap(),
            "--retries",
            retries,
        ])
    };
    let given_up = run("1");
    assert_eq!(
        (given_up.status, &given_up.summary["retries"]),
        (Some(1), &1.into()),
        "{}",
        given_up.stderr
    );
    assert_eq!(names(folder.path()), ["out.part", "out.part.etag"]);
    assert_eq!(std::fs::metadata(folder.path().join("out.part")).unwrap().len(), 600_000);
    // The next run goes on from there.
    let done = run("3");
    assert_eq!((done.status, &done.summary["retries"]), (Some(0), &1.into()), "{}", done.stderr);
    assert_eq!(names(folder.path()), ["out"]);
    assert_eq!(std::fs::read(&out).unwrap(), bytes(1_000_000));
}

#[test]
fn a_file_that_has_changed_meanwhile_is_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let address = scripted(move |n, head| match n {
        0 => with("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: 10", b"old"),
        _ => {
            assert_eq!(headers(head, "if-range"), ["\"v1\""]);
            with("HTTP/1.1 200 OK\nETag: \"v2\"\nContent-Length: 9", b"new bytes")
        }
    });
    let run = client(&["http", "get", &format!("http://{address}/x"), "-o", out.to_str().unwrap()]);
    assert_eq!((run.status, &run.summary["retries"]), (Some(0), &1.into()), "{}", run.stderr);
    assert_eq!(std::fs::read(&out).unwrap(), b"new bytes");
}

#[test]
fn damage_is_noticed_and_the_file_never_gets_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let digest = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    let address = scripted(move |_, _| {
        with(&format!("HTTP/1.1 200 OK\nRepr-Digest: {digest}\nContent-Length: 7"), b"damaged")
    });
    let run = client(&[
        "http",
        "get",
        &format!("http://{address}/x"),
        "-o",
        out.to_str().unwrap(),
        "--retries",
        "2",
    ]);
    assert_eq!(
        (run.status, &run.summary["damaged"], &run.summary["retries"]),
        (Some(1), &3.into(), &2.into())
    );
    assert!(run.stderr.contains("damaged on the way"), "{}", run.stderr);
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}

#[test]
fn silence_and_busy_servers_are_tried_again_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let address = scripted(|n, _| match n {
        0 => {
            std::thread::park_timeout(std::time::Duration::from_millis(600));
            Vec::new()
        }
        1 => with("HTTP/1.1 503 Service Unavailable\nContent-Length: 0", b""),
        2 => b"garbage\r\n\r\n".to_vec(),
        _ => with("HTTP/1.1 200 OK", b"to the end of the connection"),
    });
    let (status, lines) = run_all(&[
        "http",
        "get",
        &format!("http://{address}/a"),
        "--dir",
        dir,
        "--timeout",
        "300ms",
    ]);
    assert_eq!(
        (status, &lines[0]["retries"], &lines[0]["checked"]),
        (Some(0), &3.into(), &"nothing".into()),
        "{lines:?}"
    );
    assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"to the end of the connection");
    let gone = vacant_address();
    let run = client(&["http", "get", &format!("http://{gone}/"), "--dir", dir, "--retries", "1"]);
    assert!(run.status == Some(1) && run.summary["retries"] == 1, "{}", run.summary);
}

#[test]
fn names_from_the_wire_stay_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("in");
    let address = scripted(|n, _| {
        let names = ["../../escape", "/etc/passwd", "C:\\\\evil.exe", ".bashrc", "..", "a\\\"b"];
        with(
            &format!(
                "HTTP/1.1 200 OK\nContent-Disposition: attachment; \
                 filename=\"{}\"\nContent-Length: 2",
                names[n]
            ),
            b"ok",
        )
    });
    let url = format!("http://{address}/..%2f..%2ffallback");
    for _ in 0..6 {
        let run = client(&["http", "get", &url, "--dir", dir.to_str().unwrap()]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
    }
    assert_eq!(names(&dir), ["a_b", "bashrc", "escape", "evil.exe", "fallback", "passwd"]);
    assert_eq!(names(folder.path()), ["in"]);
}

#[test]
fn redirections_are_followed_and_loops_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let address = scripted(|_, head| match head.split(' ').nth(1).unwrap() {
        "/there" => with("HTTP/1.1 200 OK\nContent-Length: 2", b"ok"),
        "/loop" => with("HTTP/1.1 302 Found\nLocation: loop\nContent-Length: 0", b""),
        _ => with("HTTP/1.1 301 Moved Permanently\nLocation: /there\nContent-Length: 0", b""),
    });
    let run = client(&["http", "get", &format!("http://{address}/here"), "--dir", dir]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let run = client(&["http", "get", &format!("http://{address}/loop"), "--dir", dir]);
    assert_eq!((run.status, &run.summary["requests"]), (Some(1), &11.into()));
    assert_eq!(names(folder.path()), ["there"]);
}

#[test]
fn it_stops_when_asked_and_leaves_a_part_to_go_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args([
            "http",
            "get",
            &format!("http://{address}/x"),
            "-o",
            out.to_str().unwrap(),
            "--json",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    read_head(&mut stream);
    stream.write_all(&with("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: 10", b"half")).unwrap();
    let part = folder.path().join("out.part");
    while std::fs::read(&part).ok().as_deref() != Some(b"half") {
        std::thread::yield_now();
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let output = child.wait_with_output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &summary["stopped"]), (Some(0), &true.into()));
    assert_eq!(names(folder.path()), ["out.part", "out.part.etag"]);
}

#[test]
fn a_file_beyond_the_limit_is_not_fetched_and_the_remedy_is_said() {
    let site = Site::new();
    let server = site.serve(&[]);
    let endless = scripted(|_, _| with("HTTP/1.1 200 OK", &bytes(400_000)));
    let (declared, undeclared) =
        (format!("http://{}/song.mp3", server.address), format!("http://{endless}/song.mp3"));
    let out = site.text("out.mp3");
    for url in [&declared, &undeclared] {
        let (status, lines) = run_all(&["http", "get", url, "-o", &out, "--max-size", "299999B"]);
        let said = lines[0]["error"].as_str().unwrap();
        assert!(status == Some(1) && said.contains("--max-size"), "{url}: {said}");
        assert_eq!((&lines[0]["retries"], lines[0]["file"].is_null()), (&0.into(), true));
        assert!(names_in(site.folder.path()).iter().all(|name| !name.starts_with("out")));
    }
    let (status, _) = run_all(&["http", "get", &declared, "-o", &out, "--max-size", "300kB"]);
    assert_eq!(status, Some(0));
}
