use super::*;

const MAX: usize = 1024;

/// Follows `bytes` in pieces of `step`. Returns what was passed on, and the status of what was
/// wrong.
fn followed(bytes: &[u8], step: usize) -> (usize, Option<u16>) {
    let mut framing = RequestFraming::new(MAX);
    let mut passed = 0;
    for piece in bytes.chunks(step) {
        let taken = framing.follow(piece);
        passed += taken;
        if taken < piece.len() {
            break;
        }
    }
    (passed, framing.wrong().map(|wrong| wrong.status.as_u16()))
}

/// The status of the refusal, the same however the bytes are cut.
fn refusal(request: &str) -> Option<u16> {
    let results = [1, 2, 7, usize::MAX].map(|step| followed(request.as_bytes(), step).1);
    assert!(results.iter().all(|result| *result == results[0]), "{request:?}: {results:?}");
    results[0]
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let get = |fields: &str| format!("GET /x HTTP/1.1\r\n{fields}\r\n");
    let put = |fields: &str| format!("PUT /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let long = "a".repeat(MAX);
    for (request, expected) in [
        // Lines.
        ("GET /x HTTP/1.1\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET /x HTTP/1.1\r\nHost: a\n\r\n".to_owned(), Some(400)),
        ("GET /x HTTP/1.1\r\nHost: a\r\n\n".to_owned(), Some(400)),
        ("GET /x HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n".to_owned(), Some(400)),
        ("\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), None),
        // The request line.
        ("GET  /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET /x y HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET /x\tHTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        (" GET /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET /x HTTP/1.1 \r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("G(T /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET /x\r\n\r\n".to_owned(), Some(400)),
        ("GET /x http/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET /x HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(), Some(505)),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET a.example:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Some(400)),
        ("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), None),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), None),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), None),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), Some(505)),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), Some(414)),
        // Fields.
        (get("Host: a\r\nX: \r\n"), None),
        (get("Host : a\r\n"), Some(400)),
        (get("Host: a\r\n X: folded\r\n"), Some(400)),
        (get("Host: a\r\n\tfolded\r\n"), Some(400)),
        (get("Host: a\r\nX y: z\r\n"), Some(400)),
        (get("Host: a\r\n: z\r\n"), Some(400)),
        (get("Host: a\r\nno colon\r\n"), Some(400)),
        (get("Host: a\r\nX: a\0b\r\n"), Some(400)),
        (get(&format!("Host: a\r\nX: {long}\r\n")), Some(431)),
        // The host.
        (get(""), Some(400)),
        (get("Host:\r\n"), Some(400)),
        (get("Host: a\r\nHost: a\r\n"), Some(400)),
        (get("Host: a b\r\n"), Some(400)),
        (get("Host: a@b\r\n"), Some(400)),
        (get("Host: a/b\r\n"), Some(400)),
        (get("Host: a,b:80:90\r\n"), Some(400)),
        (get("Host: a:port\r\n"), Some(400)),
        (get("Host: a:65536\r\n"), Some(400)),
        (get("Host: [::1\r\n"), Some(400)),
        (get("Host: ::1\r\n"), Some(400)),
        (get("Host: [::1]:80\r\n"), None),
        (get("Host: a.example:80\r\n"), None),
        (get("Host: a_b.example\r\n"), None),
        ("GET /x HTTP/1.0\r\n\r\n".to_owned(), None),
        ("GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), Some(400)),
        // The length.
        (put("Content-Length: 2\r\nContent-Length: 2\r\n"), Some(400)),
        (put("Content-Length: 2\r\nContent-Length: 3\r\n"), Some(400)),
        (put("Content-Length: 2, 2\r\n"), Some(400)),
        (put("Content-Length: +2\r\n"), Some(400)),
        (put("Content-Length: -2\r\n"), Some(400)),
        (put("Content-Length: 0x2\r\n"), Some(400)),
        (put("Content-Length: 2 2\r\n"), Some(400)),
        (put("Content-Length: \r\n"), Some(400)),
        (put("Content-Length: 18446744073709551616\r\n"), Some(400)),
        (put("Content-Length: 0\r\n"), None),
        // The codings.
        (put("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"), Some(400)),
        (put("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"), Some(400)),
        (put("Transfer-Encoding: identity\r\nContent-Length: 2\r\n"), Some(400)),
        (put("Transfer-Encoding: gzip, chunked\r\n"), Some(501)),
        (put("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), Some(501)),
        (put("Transfer-Encoding: chunked, gzip\r\n"), Some(400)),
        (put("Transfer-Encoding: chunked, chunked\r\n"), Some(400)),
        (put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Some(400)),
        (put("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"), Some(400)),
        (put("Transfer-Encoding: \x0bchunked\r\n"), Some(400)),
        (put("Transfer-Encoding: xchunked\r\n"), Some(400)),
        (put("Transfer-Encoding: \r\n"), Some(400)),
        (put("Transfer-Encoding: , CHUNKED\r\n"), None),
        ("PUT /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Some(400)),
    ] {
        assert_eq!(refusal(&request), expected, "{request:?}");
    }
}

#[test]
fn bodies_are_followed_to_their_end_and_no_further() {
    let chunked = "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    // Behind each body stands a request that is wrong: it is found there, and nowhere else.
    let wrong = "GET /y HTTP/1.1\r\n\r\n";
    for body in [
        "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\n\n\0\0\0\0",
        "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        &format!("{chunked}0\r\n\r\n"),
        &format!("{chunked}3\r\nabc\r\n0A\r\n0123\n\n6789\r\n0\r\nX: y\r\nZ:\r\n\r\n"),
        &format!("{chunked}3;a=b;c=\"d e\"\r\n\r\n\r\r\n0 ;x\r\n\r\n"),
    ] {
        let all = format!("{body}{wrong}");
        for step in [1, 2, 3, 11, usize::MAX] {
            let (passed, status) = followed(all.as_bytes(), step);
            assert_eq!(status, Some(400), "{all:?} in pieces of {step}");
            assert!((body.len()..all.len()).contains(&passed), "{all:?} {passed}");
        }
        assert_eq!(refusal(body), None, "{body:?}");
    }
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "zz\r\n",
        "\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n",
        "3 4\r\nabc\r\n",
        "3;a\rb\r\nabc\r\n",
        "3;\0\r\nabc\r\n",
        "10000000000000000\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
    ] {
        assert_eq!(refusal(&format!("{chunked}{body}")), Some(400), "{body:?}");
    }
    for endless in
        ["3;".to_owned() + &"a".repeat(20_000), "0\r\n".to_owned() + &"X: y\r\n".repeat(4000)]
    {
        assert_eq!(refusal(&format!("{chunked}{endless}")), Some(431));
    }
}

#[test]
fn a_head_of_the_largest_size_passes_and_a_byte_more_does_not() {
    let head = |size: usize| {
        let around = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size - around))
    };
    assert_eq!(refusal(&head(MAX - 1)), None);
    assert_eq!(refusal(&head(MAX)), Some(431));
}
