//! Files as curl sees them.

use crate::support::bytes;
use crate::tools::{Site, curl, headers, status};
use jostle_common::digest::Digest;

#[test]
fn curl_gets_files_whole_and_in_ranges_over_one_connection() {
    let site = Site::new();
    let server = site.serve(&[]);
    let url = format!("http://{}/song.mp3", server.address);
    let out = site.text("out");
    let format = "%{http_code} %{size_download} %{num_connects} %{content_type}\n";
    let Some(text) = curl(&["-w", format, "-o", &out, &url, "-o", &out, &url, "-o", &out, &url])
    else {
        return;
    };
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        ["200 300000 1 audio/mpeg", "200 300000 0 audio/mpeg", "200 300000 0 audio/mpeg"]
    );
    assert_eq!(std::fs::read(&out).unwrap(), bytes(300_000));
    for (range, expected) in
        [("0-99", 0..100), ("299990-", 299_990..300_000), ("-7", 299_993..300_000)]
    {
        let text = curl(&["-r", range, "-D", "-", "-o", &out, &url]).unwrap();
        assert_eq!(status(&text), 206);
        let content_range = format!("bytes {}-{}/300000", expected.start, expected.end - 1);
        assert_eq!(headers(&text, "content-range"), [content_range]);
        assert_eq!(std::fs::read(&out).unwrap(), bytes(300_000)[expected]);
    }
    let text = curl(&["-r", "300000-", "-D", "-", "-o", &out, &url]).unwrap();
    assert_eq!((status(&text), headers(&text, "content-range")), (416, vec!["bytes */300000"]));
    let text = curl(&["-r", "0-1,5-6", "-D", "-", "-o", &out, &url]).unwrap();
    assert_eq!((status(&text), headers(&text, "content-length")), (200, vec!["300000"]));
}

#[test]
fn every_answer_names_the_digest_of_the_whole_file() {
    let site = Site::new();
    let server = site.serve(&[]);
    let url = format!("http://{}/song.mp3", server.address);
    let Some(whole) = curl(&["-I", &url]) else { return };
    let digest = headers(&whole, "repr-digest")[0];
    assert_eq!(headers(&whole, "content-length"), ["300000"]);
    let out = site.text("out");
    let part = curl(&["-r", "5-9", "-D", "-", "-o", &out, &url]).unwrap();
    assert_eq!(headers(&part, "repr-digest"), [digest]);
    // RFC 9530's base64, read by somebody else.
    let decode = format!(
        "printf %s '{digest}' | sed 's/^sha-256=://; s/:$//' | base64 -d | od -An -tx1 | tr -d ' \
         \\n'"
    );
    let hex = std::process::Command::new("sh").args(["-c", &decode]).output().unwrap();
    assert_eq!(String::from_utf8(hex.stdout).unwrap(), Digest::of(&bytes(300_000)).to_string());
    assert_eq!(
        headers(&curl(&["-I", "-H", "Want-Repr-Digest: sha-256=0", &url]).unwrap(), "repr-digest")
            .len(),
        0
    );
    // A changed file has another digest and another tag.
    site.write("public/song.mp3", b"new");
    let changed = curl(&["-I", &url]).unwrap();
    assert_ne!(headers(&changed, "repr-digest"), [digest]);
    assert_ne!(headers(&changed, "etag"), headers(&whole, "etag"));
}

#[test]
fn conditions_save_the_body() {
    let site = Site::new();
    let server = site.serve(&[]);
    let url = format!("http://{}/hello.txt", server.address);
    let Some(head) = curl(&["-I", &url]) else { return };
    let (etag, modified) = (headers(&head, "etag")[0], headers(&head, "last-modified")[0]);
    for (condition, expected) in [
        (format!("If-None-Match: {etag}"), 304),
        ("If-None-Match: \"other\"".to_owned(), 200),
        (format!("If-Modified-Since: {modified}"), 304),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 200),
        ("If-Match: \"other\"".to_owned(), 412),
    ] {
        let text = curl(&["-i", "-H", &condition, &url]).unwrap();
        assert_eq!(status(&text), expected, "{condition}");
        assert_eq!(text.contains("hello world"), expected == 200, "{condition}");
    }
    for (tag, expected) in [(etag, 206), ("\"other\"", 200)] {
        let text = curl(&["-i", "-r", "0-4", "-H", &format!("If-Range: {tag}"), &url]).unwrap();
        assert_eq!(status(&text), expected, "{tag}");
    }
}

#[test]
fn a_version_is_known_by_its_bytes_whatever_its_dates_say() {
    let site = Site::new();
    let server = site.serve(&[]);
    let (path, url) = (site.path("public/v"), format!("http://{}/v", server.address));
    let dated = |text: &str, seconds: u64| {
        std::fs::write(&path, text).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    dated("aaaa", 1_000_000_000);
    // Until the file system would give another change another time.
    std::thread::park_timeout(std::time::Duration::from_millis(50));
    let Some(first) = curl(&["-i", &url]) else { return };
    let etag = headers(&first, "etag")[0];
    assert!(etag.starts_with('"'), "{first}");
    dated("cccc", 1_000_000_000);
    for condition in [format!("If-None-Match: {etag}"), format!("If-Range: {etag}")] {
        let text = curl(&["-i", "-r", "1-2", "-H", &condition, &url]).unwrap();
        let (expected, body) = if condition.contains("None") { (206, "cc") } else { (200, "cccc") };
        assert!(status(&text) == expected && text.ends_with(body), "{condition}: {text}");
    }
    // A date that has not come yet is that of the answer; none is left out.
    dated("aaaa", 4_102_444_800);
    let text = curl(&["-I", &url]).unwrap();
    assert_eq!(headers(&text, "last-modified"), headers(&text, "date"), "{text}");
    dated("aaaa", 0);
    let text = curl(&["-I", &url]).unwrap();
    assert_eq!((headers(&text, "last-modified").len(), headers(&text, "date").len()), (0, 1));
}

#[test]
fn dots_in_a_path_lead_where_they_say() {
    let site = Site::new();
    let server = site.serve(&[]);
    for (path, expected) in [
        ("/./hello.txt", 200),
        ("/deep/../hello.txt", 200),
        ("/%2e/hello.txt", 200),
        ("/deep/.", 200),
        ("/deep/./../../hello.txt", 404),
        ("/../hello.txt", 404),
    ] {
        let url = format!("http://{}{path}", server.address);
        let Some(text) = curl(&["-i", "--path-as-is", &url]) else { return };
        assert_eq!(status(&text), expected, "{path}: {text}");
    }
}

#[test]
fn folders_pages_and_methods() {
    let site = Site::new();
    let server = site.serve(&[]);
    let base = format!("http://{}", server.address);
    let Some(text) = curl(&["-i", &format!("{base}/deep?x=1")]) else { return };
    assert_eq!((status(&text), headers(&text, "location")), (301, vec!["/deep/?x=1"]));
    assert!(curl(&["-L", &format!("{base}/deep")]).unwrap().contains("<h1>deep</h1>"));
    let text = curl(&["-i", &format!("{base}/")]).unwrap();
    assert!(status(&text) == 200 && text.contains("is working"), "{text}");
    for (path, expected) in
        [("/nothing", 404), ("/hello.txt/", 404), ("/%zz", 400), ("/_jostle/nothing", 404)]
    {
        let plain = curl(&["-i", &format!("{base}{path}")]).unwrap();
        let page = curl(&["-i", "-H", "Accept: text/html,*/*", &format!("{base}{path}")]).unwrap();
        assert_eq!((status(&plain), status(&page)), (expected, expected), "{path}");
        assert!(headers(&plain, "content-type")[0].starts_with("text/plain"));
        assert!(
            page.contains("<!doctype html>")
                && page.contains(&format!("<p class=\"status\">{expected}")),
            "{page}"
        );
    }
    for method in ["DELETE", "PATCH", "TRACE", "NONSENSE"] {
        let text = curl(&["-i", "-X", method, &format!("{base}/hello.txt")]).unwrap();
        assert_eq!(
            (status(&text), headers(&text, "allow")[0]),
            (405, "GET, HEAD, OPTIONS, POST, PUT"),
            "{method}"
        );
    }
    let text = curl(&["-i", "-X", "OPTIONS", &format!("{base}/")]).unwrap();
    assert_eq!((status(&text), headers(&text, "allow").len()), (204, 1));
}

#[test]
fn a_listing_shows_what_can_be_had_and_only_when_told() {
    let site = Site::new();
    site.write("public/<b>&amp;.txt", b"odd");
    site.write("public/escape\u{1b}[2J", b"");
    site.write("public/.hidden", b"");
    std::os::unix::fs::symlink(site.path("secret.txt"), site.path("public/link-out")).unwrap();
    std::os::unix::fs::symlink("hello.txt", site.path("public/link-in")).unwrap();
    std::fs::create_dir(site.path("public/empty")).unwrap();
    let server = site.serve(&[]);
    let Some(text) = curl(&["-i", &format!("http://{}/empty/", server.address)]) else { return };
    assert_eq!(status(&text), 404, "no listing unless it is asked for");
    let server = site.serve(&["--listing"]);
    let base = format!("http://{}/", server.address);
    let text = curl(&[&base]).unwrap();
    assert_eq!(text, "deep/\nempty/\n<b>&amp;.txt\nhello.txt\nlink-in\nsong.mp3\n");
    let page = curl(&["-H", "Accept: text/html", &base]).unwrap();
    assert!(page.contains("<a href=\"%3Cb%3E%26amp%3B.txt\">&lt;b&gt;&amp;amp;.txt</a>"), "{page}");
    assert!(
        page.contains("<a href=\"deep/\">deep/</a>")
            && !page.contains(".hidden")
            && !page.contains("link-out")
    );
    assert_eq!(curl(&[&format!("{base}%3Cb%3E%26amp%3B.txt")]).unwrap(), "odd");
}

#[test]
fn large_files_are_streamed_and_a_hole_costs_nothing() {
    let site = Site::new();
    let sparse = std::fs::File::create(site.path("public/sparse")).unwrap();
    sparse.set_len(3 << 30).unwrap();
    let server = site.serve(&[]);
    let url = format!("http://{}/sparse", server.address);
    // Nobody asked for the digest of three gigabytes, so the answer does not wait for it.
    let Some(text) =
        curl(&["-r", "3221225470-", "-D", "-", "-o", "/dev/null", "-w", "%{size_download}", &url])
    else {
        return;
    };
    assert!(
        text.ends_with("2")
            && headers(&text, "content-range") == ["bytes 3221225470-3221225471/3221225472"],
        "{text}"
    );
    let text =
        curl(&["-r", "0-299999999", "-o", "/dev/null", "-w", "%{size_download}", &url]).unwrap();
    assert_eq!(text, "300000000");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 100_000, "{kib} KiB");
}

#[test]
fn a_listing_and_a_request_leave_pipes_alone() {
    let site = Site::new();
    let pipe = site.path("public/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let server = site.serve(&["--listing"]);
    // A writer waits until somebody opens the pipe to read.
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::File::options().write(true).open(pipe).map(drop)
    });
    for _ in 0..3 {
        let listed = exchange(server.address, b"GET / HTTP/1.0\r\n\r\n");
        assert!(status(&listed) == 200 && !listed.contains("pipe"), "{listed}");
        assert_eq!(status(&exchange(server.address, b"GET /pipe HTTP/1.0\r\n\r\n")), 404);
    }
    assert!(!writer.is_finished(), "the server has opened the pipe");
    let _reader = std::fs::File::open(&pipe).unwrap();
    writer.join().unwrap().unwrap();
}
