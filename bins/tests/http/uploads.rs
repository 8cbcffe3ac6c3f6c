//! Uploads as curl and bare connections send them.

use crate::support::{Server, bytes};
use crate::tools::{Site, connect, curl, end, exchange, headers, names_in, status};
use jostle_common::digest::Digest;
use std::io::Write;

#[test]
fn curl_stores_files_in_every_way_it_knows() {
    let site = Site::new();
    let mut server = site.serve(&[]);
    let base = format!("http://{}", server.address);
    let song = site.text("public/song.mp3");
    let digest = Digest::of(&bytes(300_000));
    let Some(text) = curl(&["-i", "-T", &song, &format!("{base}/")]) else { return };
    assert!(
        text.contains("201 Created") && text.ends_with(&format!("song.mp3 300000 {digest}\n")),
        "{text}"
    );
    let stored = server.line();
    assert_eq!(
        (&stored["event"], &stored["file"], &stored["sha256"]),
        (&"stored".into(), &"song.mp3".into(), &digest.to_string().into())
    );
    let data = format!("@{song}");
    let text = curl(&["--data-binary", &data, &format!("{base}/raw.bin")]).unwrap();
    assert_eq!(text, format!("raw.bin 300000 {digest}\n"));
    let form = format!("file=@{song}");
    let text = curl(&[
        "-F",
        &form,
        "-F",
        "note=not a file",
        "-F",
        &format!("other=@{song};filename=C:\\dir\\b.mp3"),
        &base,
    ])
    .unwrap();
    assert_eq!(text, format!("song-2.mp3 300000 {digest}\nb.mp3 300000 {digest}\n"));
    let text =
        curl(&["-H", "Accept: application/json", "-F", &form, &format!("{base}/_jostle/upload")])
            .unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["files"][0]["name"], "song-3.mp3");
    assert_eq!(
        (&json["files"][0]["size"], &json["files"][0]["sha256"]),
        (&300_000.into(), &digest.to_string().into())
    );
    let page = curl(&["-H", "Accept: text/html", "-F", &form, &base]).unwrap();
    assert!(page.contains("<h1>Stored</h1>") && page.contains("song-4.mp3"), "{page}");
    let empty = curl(&["-X", "PUT", "-d", "", "-i", &format!("{base}/empty")]).unwrap();
    assert!(status(&empty) == 201 && empty.contains("empty 0 e3b0c442"), "{empty}");
    let names = names_in(&site.path("incoming"));
    assert_eq!(
        names,
        ["b.mp3", "empty", "raw.bin", "song-2.mp3", "song-3.mp3", "song-4.mp3", "song.mp3"]
    );
    for name in names.iter().filter(|name| *name != "empty") {
        assert_eq!(
            std::fs::read(site.path("incoming").join(name)).unwrap(),
            bytes(300_000),
            "{name}"
        );
    }
}

#[test]
fn nothing_is_overwritten_and_the_same_again_is_no_conflict() {
    let site = Site::new();
    site.write("other", b"other bytes!");
    site.write("longer", b"longer than the first");
    let server = site.serve(&[]);
    let url = format!("http://{}/name", server.address);
    let put = |file: &str| curl(&["-i", "-H", "Expect:", "-T", &site.text(file), &url]);
    let Some(first) = put("public/hello.txt") else { return };
    let statuses = ["public/hello.txt", "other", "longer"].map(|file| status(&put(file).unwrap()));
    assert_eq!((status(&first), statuses), (201, [200, 409, 409]));
    assert_eq!(std::fs::read(site.path("incoming/name")).unwrap(), b"hello world\n");
    assert_eq!(names_in(&site.path("incoming")), ["name"]);
}

#[test]
fn many_at_once_get_names_of_their_own() {
    let site = Site::new();
    let server = site.serve(&[]);
    std::thread::scope(|scope| {
        for n in 0..20 {
            let address = server.address;
            scope.spawn(move || {
                let body = vec![n; 100_000];
                let mut request = format!(
                    "POST /same.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                )
                .into_bytes();
                request.extend(&body);
                assert_eq!(status(&exchange(address, &request)), 201);
            });
        }
    });
    let mut first_bytes: Vec<u8> = names_in(&site.path("incoming"))
        .iter()
        .map(|name| {
            let content = std::fs::read(site.path("incoming").join(name)).unwrap();
            assert!(
                content.len() == 100_000 && content.iter().all(|byte| *byte == content[0]),
                "{name}"
            );
            content[0]
        })
        .collect();
    first_bytes.sort_unstable();
    assert_eq!(first_bytes, (0..20).collect::<Vec<u8>>());
}

#[test]
fn what_is_damaged_or_too_large_or_breaks_off_leaves_nothing() {
    let site = Site::new();
    let server = site.serve(&["--max-size", "100KiB"]);
    let base = format!("http://{}", server.address);
    let wrong =
        format!("Repr-Digest: {}", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
    let Some(text) = curl(&["-i", "-H", &wrong, "--data-binary", "damaged", &format!("{base}/a")])
    else {
        return;
    };
    assert!(status(&text) == 400 && text.contains("damaged on the way"), "{text}");
    let song = site.text("public/song.mp3");
    for arguments in [
        &["-T", &song][..],
        &["-H", "Expect:", "-T", &song],
        &["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T", &song],
        &["-F", &format!("file=@{song}")],
    ] {
        let text = curl(&[&["-i"], arguments, &[&format!("{base}/")]].concat()).unwrap();
        assert!(text.contains(" 413 "), "{arguments:?}: {text}");
    }
    for head in [
        "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 50000",
        "PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked",
    ] {
        let mut stream = connect(server.address);
        stream.write_all(format!("{head}\r\n\r\n100\r\n").as_bytes()).unwrap();
        stream.write_all(&[7; 200]).unwrap();
        drop(stream);
    }
    let (_, summary) = end(server.terminate());
    assert_eq!((&summary["stored"], &summary["unstored"]), (&0.into(), &7.into()), "{}", summary);
    assert!(names_in(&site.path("incoming")).is_empty(), "{:?}", names_in(&site.path("incoming")));
}

#[test]
fn other_sites_pages_may_not_upload_and_nobody_may_without_a_folder() {
    let site = Site::new();
    let server = site.serve(&["--allow-host", "files.example"]);
    let base = format!("http://{}/", server.address);
    for (origin, host, expected) in [
        ("http://evil.example".to_owned(), server.address.to_string(), 403),
        ("null".to_owned(), server.address.to_string(), 403),
        ("http://rebound.example".to_owned(), "rebound.example".to_owned(), 421),
        (format!("http://{}", server.address), server.address.to_string(), 201),
        ("http://files.example".to_owned(), "files.example".to_owned(), 201),
    ] {
        let (origin, host) = (format!("Origin: {origin}"), format!("Host: {host}"));
        let Some(text) = curl(&["-i", "-H", &origin, "-H", &host, "-d", "x", &base]) else {
            return;
        };
        assert_eq!(status(&text), expected, "{origin} {host}: {text}");
    }
    let root = site.text("public");
    let closed = Server::start(&["http", "--root", &root]);
    for method in ["PUT", "POST"] {
        let text = curl(&["-i", "-X", method, "-d", "x", &format!("http://{}/x", closed.address)])
            .unwrap();
        assert_eq!((status(&text), headers(&text, "allow")[0]), (405, "GET, HEAD, OPTIONS"));
        assert!(text.contains("--uploads"), "{text}");
    }
    assert_eq!(
        status(&curl(&["-i", &format!("http://{}/_jostle/upload", closed.address)]).unwrap()),
        404
    );
}

#[test]
fn no_method_is_answered_to_a_name_that_may_be_somebody_else_s() {
    let site = Site::new();
    let server = site.serve(&["--allow-host", "Files.Example"]);
    let port = server.address.port();
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "POST", "DELETE"] {
        for (host, is_known) in [
            (format!("rebound.example:{port}"), false),
            (format!("127.0.0.1.rebound.example:{port}"), false),
            (format!("127.0.0.1:{port}"), true),
            (format!("localhost:{port}"), true),
            (format!("[::1]:{port}"), true),
            (format!("192.168.1.20:{port}"), true),
            ("files.example".to_owned(), true),
            (format!("box.local:{port}"), true),
            (format!("box:{port}"), true),
        ] {
            let request = format!(
                "{method} /hello.txt HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
            );
            let answer = exchange(server.address, request.as_bytes());
            assert_eq!(status(&answer) == 421, !is_known, "{method} {host}: {answer}");
            let is_told = answer.contains("--allow-host") || method == "HEAD";
            assert!(!answer.contains("hello world") && is_told || is_known, "{answer}");
        }
        // The target names a host as well, and counts before the field.
        let request = format!(
            "{method} http://rebound.example/hello.txt HTTP/1.1\r\nHost: localhost\r\n\
             Content-Length: 0\r\n\r\n"
        );
        assert_eq!(status(&exchange(server.address, request.as_bytes())), 421, "{method}");
    }
}

#[test]
fn what_was_uploaded_runs_nothing_when_it_is_served() {
    let site = Site::new();
    let (root, uploads) = (site.text("public"), site.text("public/in"));
    let server = Server::start(&["http", "--root", &root, "--uploads", &uploads]);
    let base = format!("http://{}", server.address);
    std::os::unix::fs::symlink("in", site.path("public/link")).unwrap();
    site.write("public/page.html", b"<script>ours()</script>");
    let text = "<script>theirs()</script>";
    for name in ["index.html", "page.html", "picture.svg"] {
        if curl(&["-X", "PUT", "-d", text, &format!("{base}/in/{name}")]).is_none() {
            return;
        }
    }
    for (path, is_upload) in [
        ("/in/page.html", true),
        ("/in/", true),
        ("/in/picture.svg", true),
        ("/in/../in/page.html", true),
        ("/link/page.html", true),
        ("/page.html", false),
        ("/deep/", false),
    ] {
        let text = curl(&["-i", "--path-as-is", &format!("{base}{path}")]).unwrap();
        assert_eq!(status(&text), 200, "{path}");
        let sandboxed = headers(&text, "content-security-policy") == ["sandbox"];
        assert_eq!(sandboxed, is_upload, "{path}: {text}");
        assert_eq!(headers(&text, "x-content-type-options"), ["nosniff"], "{path}");
    }
}

/// Sends a form with one file in a part with this head. Returns the answer.
fn post_part(server: &Server, content_type: &str, boundary: &str, head: &[u8]) -> String {
    let body = [
        format!("--{boundary}\r\n").as_bytes(),
        head,
        b"\r\n\r\nabc\r\n",
        format!("--{boundary}--\r\n").as_bytes(),
    ]
    .concat();
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    exchange(server.address, &[request.as_bytes(), &body].concat())
}

#[test]
fn the_name_of_a_form_s_file_is_read_however_it_is_written() {
    let site = Site::new();
    let server = site.serve(&[]);
    for (disposition, name) in [
        (&b"form-data; name=\"file\"; filename*=utf-8''%E6%9D%B1%E4%BA%AC.png"[..], "東京.png"),
        (
            b"form-data; name=\"file\"; filename*=UTF-8''first%C3%A9.txt; filename=\"second.txt\"",
            "firsté.txt",
        ),
        (b"form-data; name=\"file\"; filename*=iso-8859-1'en'%A3%20rates.txt", "£ rates.txt"),
        (b"FORM-DATA; Name=\"f\"; FileName=\"case.txt\"", "case.txt"),
        (b"form-data; name=\"file\"; filename=\"caf\xe9.txt\"", "café.txt"),
        (b"form-data; name=\"file\"; filename=\"%22x%22.txt\"", "_x_.txt"),
    ] {
        let head = [b"Content-Disposition: ", disposition].concat();
        let answer = post_part(&server, "multipart/form-data; boundary=b", "b", &head);
        assert!(status(&answer) == 201 && answer.contains(&format!("{name} 3 ")), "{answer}");
        // A raw body says its name in the same field.
        let raw =
            [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n", &head[..], b"\r\n\r\nabc"];
        let answer = exchange(server.address, &raw.concat());
        let (stem, end) = name.rsplit_once('.').unwrap();
        let again = format!("{stem}-2.{end} 3 ");
        // Percent signs are themselves there.
        let is_named = answer.contains(&again) || name.starts_with('_');
        assert!(status(&answer) == 201 && is_named, "{answer}");
    }
    let head = b"Content-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\
                 Content-Transfer-Encoding: base64";
    let answer = post_part(&server, "multipart/form-data; boundary=b", "b", head);
    assert_eq!(status(&answer), 415, "{answer}");
    assert!(!site.path("incoming/a").exists());
}

#[test]
fn a_form_whose_boundary_cannot_be_read_is_never_stored_as_a_file() {
    let site = Site::new();
    let server = site.serve(&[]);
    let head = b"Content-Disposition: form-data; name=\"f\"; filename=\"w00t.gif\"";
    let mut stored = 0;
    for (boundary, written, expected) in [
        ("BnwTroy:bN-XtGH:zptICgfofzS:'-", "boundary=BnwTroy:bN-XtGH:zptICgfofzS:'-", 201),
        ("a/b=c", "boundary=a/b=c", 201),
        ("X X", "boundary=X X", 201),
        ("a?(b),c", "boundary=a?(b),c", 201),
        ("q;q", "boundary=\"q;q\"", 201),
        ("none", "charset=utf-8", 400),
        ("none", "boundary", 400),
        ("none", "boundary=", 400),
    ] {
        let content_type = format!("multipart/form-data; {written}");
        let answer = post_part(&server, &content_type, boundary, head);
        assert_eq!(status(&answer), expected, "{written}: {answer}");
        stored += usize::from(expected == 201);
    }
    let names = names_in(&site.path("incoming"));
    assert_eq!(names.len(), stored);
    for name in names {
        assert!(name.starts_with("w00t"), "{name}");
        assert_eq!(std::fs::read(site.path("incoming").join(&name)).unwrap(), b"abc");
    }
}

#[test]
fn uploads_below_the_root_can_be_had_at_once() {
    let site = Site::new();
    let (root, uploads) = (site.text("public"), site.text("public/new things"));
    let server = Server::start(&["http", "--root", &root, "--uploads", &uploads]);
    let base = format!("http://{}", server.address);
    let Some(text) = curl(&["-i", "-d", "fresh", &format!("{base}/a%20b.txt")]) else { return };
    assert_eq!((status(&text), headers(&text, "location")), (201, vec!["/new%20things/a%20b.txt"]));
    assert_eq!(curl(&[&format!("{base}/new%20things/a%20b.txt")]).unwrap(), "fresh");
    let again =
        curl(&["-i", "-X", "PUT", "-d", "fresh", &format!("{base}/new%20things/a%20b.txt")])
            .unwrap();
    assert_eq!(status(&again), 200);
}

#[test]
fn a_form_without_end_or_bound_is_refused_in_little_memory() {
    let site = Site::new();
    let server = site.serve(&[]);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    // A part's head that never ends, and no part at all.
    for start in ["--b\r\nX: ", ""] {
        let mut stream = connect(server.address);
        stream.write_all(head.as_bytes()).unwrap();
        let filler = "a".repeat(60_000);
        let mut text = format!("{start}{filler}");
        for _ in 0..500 {
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            if stream.write_all(chunk.as_bytes()).is_err() {
                break;
            }
            text.clone_from(&filler);
        }
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        assert_eq!(status(&String::from_utf8_lossy(&answer)), 400);
    }
    assert!(names_in(&site.path("incoming")).is_empty());
}

#[test]
fn the_first_file_of_a_form_is_told_of_although_the_second_breaks_off() {
    let site = Site::new();
    let server = site.serve(&["--max-size", "100B"]);
    let part = |name: &str, size: usize| {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n"
        );
        head + &"a".repeat(size) + "\r\n"
    };
    let body = format!("{}{}--b--\r\n", part("fits", 100), part("does-not", 101));
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    assert_eq!(status(&exchange(server.address, (head + &body).as_bytes())), 413);
    assert_eq!(names_in(&site.path("incoming")), ["fits"]);
    let (_, summary) = end(server.terminate());
    assert_eq!((&summary["stored"], &summary["unstored"]), (&1.into(), &1.into()));
}

#[test]
fn a_server_stores_no_more_in_all_than_it_may() {
    let site = Site::new();
    let server = site.serve(&["--max-total", "1000B"]);
    let put = |name: &str, size: usize, head: &str| {
        let head = format!("PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n");
        let body = match head.contains("chunked") {
            true => [format!("{size:x}\r\n").as_bytes(), &bytes(size), b"\r\n0\r\n\r\n"].concat(),
            false => bytes(size),
        };
        status(&exchange(server.address, &[head.as_bytes(), &body].concat()))
    };
    assert_eq!(put("one", 600, "Content-Length: 600"), 201);
    assert_eq!(put("two", 401, "Content-Length: 401"), 507, "known before a byte is stored");
    assert_eq!(put("two", 401, "Transfer-Encoding: chunked"), 507);
    assert_eq!(put("three", 400, "Transfer-Encoding: chunked"), 201);
    assert_eq!(put("four", 1, "Content-Length: 1"), 507);
    assert_eq!(names_in(&site.path("incoming")), ["one", "three"]);
    let (code, summary) = end(server.terminate());
    assert_eq!((code, &summary["stored"]), (Some(0), &2.into()));
}

#[test]
fn what_a_killed_server_left_is_removed_by_the_next_and_nothing_else() {
    let site = Site::new();
    std::fs::create_dir(site.path("incoming")).unwrap();
    for name in [".jostle-0123456789abcdef.part", "song.part", ".jostle-else.part"] {
        site.write(&format!("incoming/{name}"), b"left");
        let file = std::fs::File::options().write(true);
        let file = file.clone().open(site.path(&format!("incoming/{name}"))).unwrap();
        let old = file.metadata().unwrap().modified().unwrap();
        file.set_modified(old - std::time::Duration::from_secs(3600)).unwrap();
    }
    let server = site.serve(&[]);
    assert_eq!(names_in(&site.path("incoming")), [".jostle-else.part", "song.part"]);
    assert_eq!(server.terminate().0, Some(0));
}
