//! Servers whose answers do not say what they send: our client comes to the whole file, or to none.

use crate::support::{Run, bytes, client, names};
use crate::tools::headers;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

const SIZE: usize = 100_000;
/// What the first answer brings before it breaks off.
const THERE: usize = 30_000;

/// The file that is right.
fn file() -> Vec<u8> {
    bytes(SIZE)
}

/// Another version of the same size.
fn other() -> Vec<u8> {
    file().iter().map(|byte| byte ^ 0x55).collect()
}

/// A request, as far as these servers look at it.
struct Asked {
    /// Which it is, from 0.
    number: usize,
    path: String,
    /// The first byte of its range.
    start: Option<usize>,
}

/// A server. It closes behind its first answer, which breaks off, and behind each if `closes`.
fn serve(closes: bool, answer: impl Fn(&Asked) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while let Some(head) = read_head(&mut stream) {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let start = headers(&head, "range").first().map(|range| {
                    range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
                });
                let asked = Asked { number, path, start };
                number += 1;
                // Who has heard enough may go.
                let _ = stream.write_all(&answer(&asked));
                if closes || asked.number == 0 {
                    break;
                }
            }
        }
    });
    address
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// An answer with these lines as its head.
fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [head.trim().replace('\n', "\r\n").as_bytes(), b"\r\n\r\n", body].concat()
}

/// The first answer: it promises all and breaks off.
fn broken_off() -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: {SIZE}");
    answer(&head, &file()[..THERE])
}

/// The whole file, as it should be.
fn whole() -> Vec<u8> {
    answer(&format!("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: {SIZE}"), &file())
}

/// A part with these fields, and their length.
fn part(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 206 Partial Content\n{fields}\nContent-Length: {}", body.len());
    answer(&head, body)
}

fn get(address: SocketAddr, path: &str, out: &Path) -> Run {
    let url = format!("http://{address}{path}");
    client(&["http", "get", &url, "-o", out.to_str().unwrap(), "--timeout", "10s"])
}

/// The ways to answer the request for the rest of the file.
type Lie = (&'static str, fn(usize) -> Vec<u8>);

const LIES: &[Lie] = &[
    ("less than was asked for", |start| {
        let end = (start + 20_000).min(SIZE);
        let fields = format!("ETag: \"v1\"\nContent-Range: bytes {start}-{}/{SIZE}", end - 1);
        part(&fields, &file()[start..end])
    }),
    ("the whole as a part", |_| {
        part(&format!("ETag: \"v1\"\nContent-Range: bytes 0-{}/{SIZE}", SIZE - 1), &file())
    }),
    ("a part as the whole", |start| {
        let head = format!(
            "HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Range: bytes {start}-{}/{SIZE}\n\
             Content-Length: {}",
            SIZE - 1,
            SIZE - start
        );
        answer(&head, &file()[start..])
    }),
    ("a part as the whole, without a word", |start| {
        let head = format!("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: {}", SIZE - start);
        answer(&head, &file()[start..])
    }),
    ("another size", |start| {
        let fields = format!("ETag: \"v1\"\nContent-Range: bytes {start}-89999/90000");
        part(&fields, &file()[start..90_000])
    }),
    ("no size", |start| {
        let fields = format!("ETag: \"v1\"\nContent-Range: bytes {start}-49999/*");
        part(&fields, &file()[start..50_000])
    }),
    ("bytes further on", |start| {
        let fields =
            format!("ETag: \"v1\"\nContent-Range: bytes {}-{}/{SIZE}", start + 1, SIZE - 1);
        part(&fields, &file()[start + 1..])
    }),
    ("another version", |start| {
        let fields = format!("ETag: \"v2\"\nContent-Range: bytes {start}-{}/{SIZE}", SIZE - 1);
        part(&fields, &other()[start..])
    }),
    ("another version under a weak tag", |start| {
        let fields = format!("ETag: W/\"v1\"\nContent-Range: bytes {start}-{}/{SIZE}", SIZE - 1);
        part(&fields, &other()[start..])
    }),
    ("no version", |start| {
        part(&format!("Content-Range: bytes {start}-{}/{SIZE}", SIZE - 1), &other()[start..])
    }),
    ("no place", |start| part("ETag: \"v1\"", &file()[start..])),
    ("two places", |start| {
        let range = format!("Content-Range: bytes {start}-{}/{SIZE}", SIZE - 1);
        part(&format!("ETag: \"v1\"\n{range}\n{range}"), &file()[start..])
    }),
    ("several parts", |start| {
        let body = format!(
            "--b\r\nContent-Range: bytes {start}-{}/{SIZE}\r\n\r\nabc\r\n--b--\r\n",
            SIZE - 1
        );
        part("ETag: \"v1\"\nContent-Type: multipart/byteranges; boundary=b", body.as_bytes())
    }),
    ("packed", |start| {
        let range = format!("Content-Range: bytes {start}-{}/{SIZE}", SIZE - 1);
        part(&format!("ETag: \"v1\"\nContent-Encoding: gzip\n{range}"), &other()[start..])
    }),
    ("less than its range", |start| {
        let fields = format!("ETag: \"v1\"\nContent-Range: bytes {start}-{}/{SIZE}", SIZE - 1);
        part(&fields, &file()[start..50_000])
    }),
    ("chunks that end too early", |start| {
        let head = format!(
            "HTTP/1.1 206 Partial Content\nETag: \"v1\"\nTransfer-Encoding: chunked\n\
             Content-Range: bytes {start}-{}/{SIZE}",
            SIZE - 1
        );
        // As often as it is tried again, it comes to the end.
        let body = &file()[start..(start + 30_000).min(SIZE)];
        let size = format!("{:x}\r\n", body.len());
        let chunk = [size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        answer(&head, &chunk)
    }),
    ("chunks that go on too long", |start| {
        let head = format!(
            "HTTP/1.1 206 Partial Content\nETag: \"v1\"\nTransfer-Encoding: chunked\n\
             Content-Range: bytes {start}-{}/{SIZE}",
            start + 9_999
        );
        answer(&head, &[b"4e20\r\n", &file()[start..start + 20_000], b"\r\n0\r\n\r\n"].concat())
    }),
    ("nothing there", |_| {
        answer(
            &format!(
                "HTTP/1.1 416 Range Not Satisfiable\nContent-Range: bytes */{SIZE}\n\
                 Content-Length: 0"
            ),
            b"",
        )
    }),
];

#[test]
fn whatever_is_sent_for_the_rest_the_file_is_whole() {
    for (name, lie) in LIES {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let lie = *lie;
        let address = serve(false, move |asked| match asked.start {
            _ if asked.number == 0 => broken_off(),
            Some(start) => lie(start),
            None => whole(),
        });
        let run = get(address, "/x", &out);
        assert_eq!(run.status, Some(0), "{name}: {}", run.stderr);
        assert!(std::fs::read(&out).unwrap() == file(), "{name}");
        assert_eq!(names(folder.path()), ["out"], "{name}");
        assert_eq!(run.lines[0]["checked"], "length", "{name}");
    }
}

#[test]
fn a_server_that_never_sends_the_whole_is_a_failure_and_leaves_no_file() {
    let packed = |_: &Asked| {
        let head = format!("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {SIZE}");
        answer(&head, &other())
    };
    let unasked = |_: &Asked| part(&format!("Content-Range: bytes 0-9/{SIZE}"), &file()[..10]);
    let cut = |_: &Asked| {
        let head = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked";
        let mut bytes = answer(head, b"2710\r\n");
        bytes.extend(&file()[..10_000]);
        bytes.extend(b"\r\n");
        bytes
    };
    let too_long = |_: &Asked| {
        let head = format!("HTTP/1.1 200 OK\nContent-Length: {SIZE}\nConnection: close");
        answer(&head, &file()[..SIZE - 1])
    };
    let part_of_whole = |_: &Asked| {
        let head = format!("HTTP/1.1 200 OK\nContent-Length: 10\nContent-Range: bytes 0-9/{SIZE}");
        answer(&head, &file()[..10])
    };
    type Serve = Box<dyn Fn(&Asked) -> Vec<u8> + Send>;
    let servers: [(&str, Serve); 5] = [
        ("packed", Box::new(packed)),
        ("a part that nobody asked for", Box::new(unasked)),
        ("chunks without an end", Box::new(cut)),
        ("a length that is too long", Box::new(too_long)),
        ("a part as the whole", Box::new(part_of_whole)),
    ];
    for (name, server) in servers {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let url = format!("http://{}/x", serve(true, server));
        let run = client(&["http", "get", &url, "-o", out.to_str().unwrap(), "--retries", "1"]);
        assert_eq!((run.status, out.exists()), (Some(1), false), "{name}: {}", run.stderr);
    }
}

#[test]
fn a_version_of_two_sizes_is_never_called_whole() {
    let half = |head: &str| {
        let body = &file()[..SIZE / 2];
        answer(&format!("HTTP/1.1 200 OK\nETag: \"v1\"\n{head}"), body)
    };
    let by_length = half(&format!("Content-Length: {}", SIZE / 2));
    let to_the_end = half("Connection: close");
    for later in [by_length, to_the_end] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let address = serve(true, move |asked| match asked.number {
            0 => broken_off(),
            _ => later.clone(),
        });
        let run = get(address, "/x", &out);
        assert_eq!((run.status, out.exists()), (Some(1), false), "{}", run.stderr);
    }
    // Under another tag it is another version, and a file may become shorter.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let address = serve(true, |asked| match asked.number {
        0 => broken_off(),
        _ => answer("HTTP/1.1 200 OK\nETag: \"v2\"\nContent-Length: 7", b"shorter"),
    });
    let run = get(address, "/x", &out);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(std::fs::read(&out).unwrap(), b"shorter");
}

#[test]
fn the_part_of_one_address_is_never_joined_to_the_file_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Both call their version "v1", as tags are each address's own.
    let address = serve(true, |asked| match asked.path.as_str() {
        "/one" => {
            answer("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: 100000", &other()[..THERE])
        }
        "/latest" => answer("HTTP/1.1 302 Found\nLocation: /two\nContent-Length: 0", b""),
        _ => match asked.start {
            None => whole(),
            Some(start) => part(
                &format!("ETag: \"v1\"\nContent-Range: bytes {start}-{}/{SIZE}", SIZE - 1),
                &file()[start..],
            ),
        },
    });
    let out_text = out.to_str().unwrap();
    let one = format!("http://{address}/one");
    let broken = client(&["http", "get", &one, "-o", out_text, "--retries", "0"]);
    assert_eq!(broken.status, Some(1));
    assert_eq!(names(folder.path()), ["out.part", "out.part.etag"]);
    let run = get(address, "/latest", &out);
    assert_eq!((run.status, &run.lines[0]["resumed"]), (Some(0), &0.into()), "{}", run.stderr);
    assert!(std::fs::read(&out).unwrap() == file());
}
