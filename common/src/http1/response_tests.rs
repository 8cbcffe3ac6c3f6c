use super::*;

/// Follows the answer in pieces of `step`: how many bytes belong to it, and what it came to.
fn followed(bytes: &[u8], step: usize, is_head: bool, upgrade: bool) -> (usize, ResponseState) {
    let mut framing = ResponseFraming::new(is_head, upgrade);
    let mut passed = 0;
    for piece in bytes.chunks(step) {
        let taken = framing.follow(piece);
        passed += taken;
        if taken < piece.len() {
            break;
        }
    }
    (passed, framing.state())
}

/// The same however the bytes are cut.
fn follow(bytes: &str, is_head: bool, upgrade: bool) -> (usize, ResponseState) {
    let steps = [1, 2, 7, usize::MAX];
    let all = steps.map(|step| followed(bytes.as_bytes(), step, is_head, upgrade));
    assert!(all.iter().all(|one| *one == all[0]), "{bytes:?}: {all:?}");
    all[0]
}

/// What stands behind an answer, and would be the next one.
const NEXT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn answers_are_followed_to_their_end_and_no_further() {
    use ResponseState::{Ended, Last};
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (answer, state) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde".to_owned(), Ended),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n".to_owned(), Ended),
        ("HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n\r\n".to_owned(), Ended),
        (format!("{chunked}0\r\n\r\n"), Ended),
        (format!("{chunked}3;a=b\r\nabc\r\n0A\r\n0123\n\n6789\r\n0\r\nX: y\r\n\r\n"), Ended),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(), Ended),
        // Without a body.
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Ended),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".to_owned(), Ended),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n".to_owned(), Ended),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Ended),
        // Behind interim answers.
        (format!("HTTP/1.1 100 Continue\r\n\r\n{NEXT}"), Ended),
        (
            format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 \r\n\r\n{NEXT}"),
            Ended,
        ),
        // The server says that it closes, or does not say that it stays.
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na".to_owned(), Last),
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n".to_owned(), Last),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na".to_owned(), Last),
        (
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na".to_owned(),
            Ended,
        ),
    ] {
        let whole = format!("{answer}{NEXT}");
        assert_eq!(follow(&whole, false, false), (answer.len(), state), "{answer:?}");
        let short = follow(&answer[..answer.len() - 1], false, false);
        assert!(short.1 != Ended, "{answer:?} has not ended before: {short:?}");
    }
    for head in
        ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "", "Content-Length: 0\r\n"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
        let whole = format!("{answer}{NEXT}");
        assert_eq!(follow(&whole, true, false), (answer.len(), Ended), "HEAD {head:?}");
    }
}

#[test]
fn what_two_readers_could_read_differently_ends_with_the_connection() {
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = "x".repeat(70_000);
    for answer in [
        ok(""),
        ok("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
        ok("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"),
        ok("Content-Length: 2\r\nContent-Length: 2\r\n"),
        ok("Content-Length: 2\r\nContent-Length: 30\r\n"),
        ok("Content-Length: 2, 2\r\n"),
        ok("Content-Length: +2\r\n"),
        ok("Content-Length: \r\n"),
        ok("Content-Length : 2\r\n"),
        ok("Content-Length: 2\r\n X: folded\r\n"),
        ok("Content-Length: 2\r\n\tfolded\r\n"),
        ok("Content-Length: 2\r\nX: a\rY: b\r\n"),
        ok("Content-Length: 2\r\nX: a\0b\r\n"),
        ok("Content-Length: 2\nX: a\r\n"),
        ok("no colon\r\nContent-Length: 0\r\n"),
        ok("Transfer-Encoding: chunked, gzip\r\n"),
        ok("Transfer-Encoding: xchunked\r\n"),
        ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ok(&format!("X: {long}\r\nContent-Length: 0\r\n")),
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n".to_owned(),
        "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n".to_owned(),
        "hello\r\n".to_owned(),
        format!("{chunked}3\nabc\r\n0\r\n\r\n"),
        format!("{chunked}3\r\nabcd\r\n0\r\n\r\n"),
        format!("{chunked}zz\r\n"),
        format!("{chunked}-1\r\n"),
        format!("{chunked}0\r\n folded\r\n\r\n"),
    ] {
        // All of it is passed on, and none of it is an answer to another request.
        let whole = format!("{answer}{NEXT}");
        let name = &answer[..answer.len().min(100)];
        assert_eq!(follow(&whole, false, false), (whole.len(), ResponseState::Last), "{name:?}");
    }
    // Two lengths are unclear even where there is no body.
    let both = ok("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(follow(&both, true, false).1, ResponseState::Last);
}

#[test]
fn another_protocol_begins_only_where_it_was_asked_for() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let whole = format!("{answer}\0\x01anything\n");
    assert_eq!(follow(&whole, false, true), (whole.len(), ResponseState::Upgraded));
    assert_eq!(follow(NEXT, false, true), (NEXT.len(), ResponseState::Ended), "it was declined");
    let early = format!("HTTP/1.1 100 Continue\r\n\r\n{answer}");
    assert_eq!(follow(&early, false, true), (early.len(), ResponseState::Upgraded));
}
