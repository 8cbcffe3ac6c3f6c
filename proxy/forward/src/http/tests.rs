use super::*;
use crate::Failure;
use proptest::prelude::*;

/// What becomes of an exchange, the same however the bytes are cut: at each place if they are few.
fn exchange(credentials: Option<&str>, bytes: &[u8]) -> (Progress, String, Vec<u8>) {
    let of = |mut pieces: &mut dyn Iterator<Item = &[u8]>| {
        let credentials = credentials.map(|text| Credentials::read(text).unwrap());
        let mut negotiation = Negotiation::new(credentials);
        let (mut answer, mut progress) = (Vec::new(), Progress::More);
        for piece in &mut pieces {
            progress = negotiation.handle(piece, &mut answer);
            if progress != Progress::More {
                break;
            }
        }
        let mut rest = negotiation.rest();
        match &progress {
            Progress::Asked(_) => rest.extend(pieces.flatten()),
            _ => rest.clear(),
        }
        (progress, String::from_utf8(answer).unwrap(), rest)
    };
    let whole = of(&mut [bytes].into_iter());
    let step = if bytes.len() < 1000 { 1 } else { bytes.len() / 7 };
    for cut in (0..bytes.len()).step_by(step) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(of(&mut [first, second].into_iter()), whole, "{bytes:.80?} cut at {cut}");
    }
    for step in [1, 3] {
        assert_eq!(of(&mut bytes.chunks(step)), whole, "{bytes:.80?} in pieces of {step}");
    }
    whole
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}

/// Returns the target and the head that a request becomes.
fn fetched(request: &str) -> (String, String) {
    match exchange(None, request.as_bytes()) {
        (Progress::Asked(Asked::Fetch { target, head, .. }), answer, _) if answer.is_empty() => {
            (target.to_string(), String::from_utf8(head).unwrap())
        }
        other => panic!("{request:?}: {other:?}"),
    }
}

#[test]
fn tunnels() {
    for (target, is) in [
        ("example.org:443", "example.org:443"),
        ("EXAMPLE.org.:443", "example.org:443"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::1]:80", "[::1]:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
    ] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n\x16\x03\x01");
        let (progress, answer, rest) = exchange(None, request.as_bytes());
        assert_eq!(progress, Progress::Asked(Asked::Connect(is.parse().unwrap())), "{target}");
        assert_eq!((answer.as_str(), rest.as_slice()), ("", &b"\x16\x03\x01"[..]));
    }
    let old = b"CONNECT a:443 HTTP/1.0\r\n\r\n";
    assert_eq!(exchange(None, old).0, Progress::Asked(Asked::Connect("a:443".parse().unwrap())));
}

#[test]
fn requests_become_those_of_the_server() {
    let via = "Via: 1.1 jostle\r\n\r\n";
    for (line, target, first) in [
        ("GET http://a.de/x?y=1 HTTP/1.1", "a.de:80", "GET /x?y=1 HTTP/1.1\r\nHost: a.de\r\n"),
        ("GET http://a.de HTTP/1.1", "a.de:80", "GET / HTTP/1.1\r\nHost: a.de\r\n"),
        ("GET http://a.de?q HTTP/1.1", "a.de:80", "GET /?q HTTP/1.1\r\nHost: a.de\r\n"),
        ("GET http://a.de:8080/ HTTP/1.1", "a.de:8080", "GET / HTTP/1.1\r\nHost: a.de:8080\r\n"),
        ("GET HTTP://A.DE/ HTTP/1.1", "a.de:80", "GET / HTTP/1.1\r\nHost: a.de\r\n"),
        ("GET http://[::1]:81/ HTTP/1.1", "[::1]:81", "GET / HTTP/1.1\r\nHost: [::1]:81\r\n"),
        ("OPTIONS http://a.de HTTP/1.1", "a.de:80", "OPTIONS * HTTP/1.1\r\nHost: a.de\r\n"),
        ("GET http://a.de/ HTTP/1.0", "a.de:80", "GET / HTTP/1.0\r\nHost: a.de\r\n"),
        (
            "GET http://a.de/http://b.de/ HTTP/1.1",
            "a.de:80",
            "GET /http://b.de/ HTTP/1.1\r\nHost: a.de\r\n",
        ),
    ] {
        let (is, head) = fetched(&format!("{line}\r\nHost: other.example\r\n\r\n"));
        // A proxy keeps no connection of HTTP/1.0 (RFC 9112, section 9.3).
        let head = head.replace("\r\nConnection: close\r\n", "\r\n");
        assert_eq!((is, head), (target.into(), format!("{first}{via}")), "{line}");
    }
}

#[test]
fn fields_between_neighbours_go_no_further() {
    let (_, head) = fetched(concat!(
        "POST http://a.de/ HTTP/1.1\r\nHost: a.de\r\nAccept: */*\r\nConnection: keep-alive, X-Mine\r\n",
        "Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nX-Mine: 1\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy-Authorization: Basic eDp5\r\n",
        "Via: 1.0 first\r\nCookie: a=b\r\nContent-Length: 3\r\nX-Yours:   2  \r\n\r\nabc"
    ));
    assert_eq!(
        head,
        concat!(
            "POST / HTTP/1.1\r\nHost: a.de\r\nAccept: */*\r\nVia: 1.0 first\r\nCookie: a=b\r\n",
            "Content-Length: 3\r\nX-Yours: 2\r\nVia: 1.1 jostle\r\n\r\n"
        )
    );
}

#[test]
fn what_is_no_request_for_a_proxy_is_refused() {
    let connect = |target: &str| format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let get = |url: &str| format!("GET {url} HTTP/1.1\r\nHost: a\r\n\r\n");
    let post = |fields: &str| format!("POST http://a/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let tunnel = |fields: &str| format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{fields}\r\n");
    let long = "a".repeat(HEAD_BYTES_MAX);
    let exchanges = [
        (connect("a"), 400),
        (connect("a:0"), 400),
        (connect("a:65536"), 400),
        (connect(":443"), 400),
        (connect("http://a:443"), 400),
        (connect("a:443/"), 400),
        (connect("u@a:443"), 400),
        (connect("[::1]"), 400),
        (connect("[fe80::1%25lo]:80"), 400),
        (get("/"), 400),
        (get("*"), 400),
        (get("a.de"), 400),
        (get("http://"), 400),
        (get("http:///x"), 400),
        (get("http://a:b/"), 400),
        (get("http://a:0/"), 400),
        (get("http://u:p@a/"), 400),
        (get("http://a#x"), 400),
        (get("http://a/#x"), 400),
        (get("http://a\\@b/"), 400),
        (get("http://a b/"), 400),
        (get("https://a/"), 501),
        (get("ftp://a/"), 501),
        (get("file:///etc/passwd"), 501),
        // What two readers could read differently.
        (post("Content-Length: 1\r\nContent-Length: 1\r\n"), 400),
        (post("Content-Length: 1, 1\r\n"), 400),
        (post("Content-Length: +1\r\n"), 400),
        (post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
        (post("Transfer-Encoding: chunked, identity\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400),
        (post("Transfer-Encoding: gzip, chunked\r\n"), 501),
        (post("Transfer-Encoding : chunked\r\n"), 400),
        (post("Content-Length: 1, 2\r\n"), 400),
        (post("Content-Length: -1\r\n"), 400),
        (post("Content-Length: 0x5\r\n"), 400),
        (post("Content-Length: 1 1\r\n"), 400),
        (post("Content-Length: \r\n"), 400),
        (post("Content-Length: 99999999999999999999\r\n"), 400),
        (post("Content-Length : 1\r\n"), 400),
        (post("content-length: 1\r\nContent-Length: 2\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 400),
        (post("Transfer-Encoding: xchunked\r\n"), 400),
        (post("Transfer-Encoding: identity\r\n"), 400),
        (post("Transfer-Encoding: \r\n"), 400),
        (post("Transfer-Encoding:\x0bchunked\r\n"), 400),
        (post("Transfer-Encoding: chunk\r\n ed\r\n"), 400),
        (post(" Transfer-Encoding: chunked\r\n"), 400),
        (post("Transfer\tEncoding: chunked\r\n"), 400),
        (post("Transfer-Encoding\r\n"), 400),
        (post(": chunked\r\n"), 400),
        (post("X: a\nContent-Length: 1\r\n"), 400),
        (post("X\0: a\r\n"), 400),
        (post("X\x7f: a\r\n"), 400),
        (post("Host : b\r\n"), 400),
        (post("X: a\r\n b\r\n"), 400),
        (post("X: a\rY: b\r\n"), 400),
        (post("X: a\0b\r\n"), 400),
        (post("Host: b\r\n"), 400),
        (post("Connection: Content-Length\r\nContent-Length: 4\r\n"), 400),
        (post("Connection: close, transfer-encoding\r\nTransfer-Encoding: chunked\r\n"), 400),
        (post("Connection: host\r\n"), 400),
        (tunnel("Content-Length: 5\r\n"), 400),
        (tunnel("Transfer-Encoding: chunked\r\n"), 400),
        ("GET http://a/ HTTP/1.1\nHost: a\n\n".into(), 400),
        ("GET http://a/ HTTP/1.1\r\n\r\n".into(), 400),
        ("GET http://a/ HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        ("GET http://a/\r\n".into(), 400),
        ("GET  http://a/ HTTP/1.1\r\n".into(), 400),
        (format!("GET http://a/{long} HTTP/1.1\r\n"), 414),
        (format!("GET http://a/ HTTP/1.1\r\nX: {long}\r\n"), 431),
        ("\x05\x01\x00\r\n".into(), 400),
        ("\x16\x03\x01\x02\x00\n".into(), 400),
    ];
    assert!(exchanges.len() >= 70, "{}", exchanges.len());
    for (request, expected) in exchanges {
        let (progress, answer, _) = exchange(None, request.as_bytes());
        assert!(matches!(progress, Progress::Refused(_)), "{request:.80?}: {progress:?}");
        assert_eq!(status(&answer), Some(expected), "{request:.80?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
}

#[test]
fn who_has_a_password_must_name_it() {
    let with = |field: &str| format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{field}\r\n");
    let basic =
        |text: &str| format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(text));
    for (field, passes) in [
        (basic("ann:secret"), true),
        (basic("ann:secret").replace("Basic", "bASIC"), true),
        (basic("ann:Secret"), false),
        (basic("ann"), false),
        (basic("ann:secret:"), false),
        (basic("ann:secret") + &basic("ann:secret"), false),
        ("Proxy-Authorization: Bearer x\r\n".into(), false),
        ("Proxy-Authorization: Basic !!!\r\n".into(), false),
        ("Proxy-Authorization: \r\n".into(), false),
        ("Authorization: Basic YW5uOnNlY3JldA==\r\n".into(), false),
        (String::new(), false),
    ] {
        let (progress, answer, _) = exchange(Some("ann:secret"), with(&field).as_bytes());
        assert_eq!(matches!(progress, Progress::Asked(_)), passes, "{field}");
        if !passes {
            assert_eq!(progress, Progress::Refused(Malformed::Credentials));
            assert_eq!(status(&answer), Some(407));
            assert!(answer.contains("\r\nProxy-Authenticate: Basic realm=\"jostle\"\r\n"));
        }
    }
}

#[test]
fn a_body_ends_where_its_head_says() {
    let length = "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let chunked = "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let none = "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let next = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    for (head, body) in [(length, "abcde"), (chunked, "3\r\nabc\r\n0\r\nX: y\r\n\r\n"), (none, "")]
    {
        let mut negotiation = Negotiation::new(None);
        let progress = negotiation.handle(head.as_bytes(), &mut Vec::new());
        assert!(matches!(progress, Progress::Asked(Asked::Fetch { .. })));
        let mut framing = negotiation.body();
        let bytes = [body, next].concat();
        assert_eq!(framing.follow_one(bytes.as_bytes()), body.len(), "{head}");
        assert!(framing.is_between() && framing.wrong().is_none());
    }
}

#[test]
fn failures_have_statuses() {
    for (failure, code) in [
        (Failure::NotAllowed, 403),
        (Failure::HostUnreachable, 502),
        (Failure::NetworkUnreachable, 502),
        (Failure::ConnectionRefused, 502),
        (Failure::General, 502),
        (Failure::TimedOut, 504),
    ] {
        let answer = String::from_utf8(failed(failure)).unwrap();
        assert_eq!(status(&answer), Some(code));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (progress, answer, _) = exchange(None, &bytes);
        prop_assert_eq!(answer.is_empty(), !matches!(progress, Progress::Refused(_)));
    }

    #[test]
    fn what_is_asked_for_is_one_request(
        fields in prop::collection::vec(("[A-Za-z-]{1,12}", "[ -~]{0,20}"), 0..6),
        path in "[!-~]{0,20}",
    ) {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET http://a.de/{path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        if let (Progress::Asked(Asked::Fetch { head, .. }), _, _) = exchange(None, request.as_bytes()) {
            let mut framing = RequestFraming::new(HEAD_BYTES_MAX);
            prop_assert_eq!(framing.follow(&head), head.len());
            prop_assert!(framing.wrong().is_none());
        }
    }
}
