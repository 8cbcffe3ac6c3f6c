use super::*;
use crate::Failure;
use proptest::prelude::*;

/// A client and the requests that its bytes become.
struct Run {
    requests: Requests,
    /// What goes to servers, each with its target.
    sent: Vec<(String, String)>,
    /// What is read of the client, and how far.
    client: Vec<u8>,
    read: usize,
    /// What the client was given.
    given: String,
    /// Set once nothing more of the client goes anywhere.
    is_over: bool,
    turned: Turned,
}

impl Run {
    /// Lets a client say all of this, as far as it is read.
    fn new(client: &str) -> Self {
        let mut negotiation = Negotiation::new(None);
        let mut answer = Vec::new();
        let progress = negotiation.handle(client.as_bytes(), &mut answer);
        let Progress::Asked(Asked::Fetch { target, head, expected }) = progress else {
            panic!("{client:?}: {progress:?}")
        };
        let rest = negotiation.rest();
        let (requests, own) = Requests::begin(negotiation.body(), expected, &rest);
        let first = [&head, &rest[..own]].concat();
        let sent = vec![(target.to_string(), String::from_utf8(first).unwrap())];
        let (client, read) = (client.as_bytes().to_vec(), client.len());
        let given = String::new();
        Self { requests, sent, client, read, given, is_over: false, turned: Turned::No }
    }

    /// Lets a client say more.
    fn say(&mut self, bytes: &str) {
        self.client.extend(bytes.as_bytes());
        self.go_on();
    }

    /// Reads of the client what is to be read, at most `step` bytes at a time.
    fn go_on(&mut self) {
        while !self.is_over {
            if let Some(next) = self.requests.take_next() {
                self.take(next);
                continue;
            }
            let most = match self.requests.intake(false) {
                Intake::Read(most) => most.min(3),
                Intake::Held => return,
                Intake::Over => {
                    self.is_over = true;
                    return;
                }
                Intake::Heard => unreachable!("it was taken"),
            };
            let rest = &self.client[self.read..];
            let piece = rest[..rest.len().min(most)].to_vec();
            if piece.is_empty() {
                return;
            }
            self.read += piece.len();
            match self.requests.handle(&piece) {
                Taken::Own(own) => {
                    let last = self.sent.last_mut().unwrap();
                    last.1.push_str(std::str::from_utf8(&piece[..own]).unwrap());
                }
                Taken::Kept | Taken::Heard => {}
                Taken::Over => self.is_over = true,
            }
        }
    }

    fn take(&mut self, next: NextRequest) {
        match next.progress {
            Progress::Asked(Asked::Fetch { target, head, expected }) => {
                let (requests, own) = Requests::begin(next.body, expected, &next.rest);
                let sent = [&head, &next.rest[..own]].concat();
                self.sent.push((target.to_string(), String::from_utf8(sent).unwrap()));
                self.requests = requests;
            }
            Progress::Asked(Asked::Connect(target)) => {
                self.sent.push((target.to_string(), "tunnel".into()));
                self.is_over = true;
            }
            Progress::Refused(_) => {
                self.given.push_str(std::str::from_utf8(&next.answer).unwrap());
                self.is_over = true;
            }
            other => panic!("{other:?}"),
        }
    }

    /// Lets the server of the last request say this. Returns false if any of it was not asked for.
    fn answer(&mut self, bytes: &str) -> bool {
        let own = self.requests.answer(bytes.as_bytes());
        self.given.push_str(&bytes[..own]);
        self.turned = self.requests.turn(None);
        self.go_on();
        own == bytes.len()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(path: &str) -> String {
    format!("GET http://a.de{path} HTTP/1.1\r\nHost: a.de\r\n\r\n")
}

/// The requests that went out: target, method and path.
fn paths(run: &Run) -> Vec<String> {
    let first = |(target, head): &(String, String)| {
        format!("{target} {}", head.split(" HTTP/1").next().unwrap())
    };
    run.sent.iter().map(first).collect()
}

#[test]
fn requests_come_one_after_the_other() {
    let mut run = Run::new(&get("/1"));
    assert!(run.answer(OK));
    assert_eq!(run.turned, Turned::Next);
    run.say(&get("/2"));
    assert!(run.answer("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_eq!(run.turned, Turned::No);
    assert!(run.answer(OK));
    run.say(&get("/3").replace("a.de", "b.de"));
    assert_eq!(paths(&run), ["a.de:80 GET /1", "a.de:80 GET /2", "b.de:80 GET /3"]);
}

#[test]
fn what_comes_too_early_waits_for_its_turn() {
    let all = [get("/1"), get("/2"), "\r\n".into(), get("/3")].concat();
    let mut run = Run::new(&all);
    run.go_on();
    assert_eq!(paths(&run), ["a.de:80 GET /1"]);
    for (at, byte) in OK.char_indices() {
        assert!(run.answer(&byte.to_string()));
        assert_eq!(run.sent.len(), if at + 1 < OK.len() { 1 } else { 2 });
    }
    assert!(run.answer(OK));
    assert_eq!(paths(&run), ["a.de:80 GET /1", "a.de:80 GET /2", "a.de:80 GET /3"]);
    // However much there is, no more is read than has a place.
    let mut run = Run::new(&get("/1"));
    run.client.extend(get("/2").repeat(10_000).bytes());
    run.go_on();
    assert!(run.read <= get("/1").len() + BEYOND, "{} bytes", run.read);
}

/// What is read behind a request at most.
const BEYOND: usize = 8 << 10;

#[test]
fn an_answer_before_the_end_of_the_request_ends_nothing() {
    let mut run =
        Run::new("PUT http://a.de/1 HTTP/1.1\r\nHost: a.de\r\nContent-Length: 6\r\n\r\nabc");
    assert!(run.answer("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(run.turned, Turned::No, "half of the body is still to come");
    assert!(!run.answer(OK), "and nothing else was asked for");
    run.say(&format!("def{}", get("/2")));
    assert_eq!(run.requests.turn(None), Turned::Next);
    run.go_on();
    assert_eq!(paths(&run), ["a.de:80 PUT /1", "a.de:80 GET /2"]);
    assert!(run.sent[0].1.ends_with("\r\n\r\nabcdef"));
}

#[test]
fn bodies_are_no_requests() {
    let evil = get("/evil");
    let length = format!(
        "POST http://a.de/1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{evil}",
        evil.len()
    );
    let chunk = format!("{:x};a=b\r\n{evil}\r\n0\r\nX: y\r\n\r\n", evil.len());
    let chunked = format!(
        "POST http://a.de/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
    );
    for request in [length, chunked] {
        let mut run = Run::new(&format!("{request}{}", get("/2")));
        run.go_on();
        assert!(run.sent[0].1.ends_with(&request[request.find("\r\n\r\n").unwrap()..]));
        assert!(run.answer(OK));
        assert_eq!(paths(&run), ["a.de:80 POST /1", "a.de:80 GET /2"]);
    }
    // Nor is what stands in an answer, whatever it looks like.
    let mut run = Run::new(&get("/1"));
    let body = format!("{OK}{OK}");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    assert!(run.answer(&format!("{head}{body}")));
    assert_eq!(run.turned, Turned::Next);
}

#[test]
fn what_could_be_read_differently_is_the_last_of_its_connection() {
    // Of requests: it is refused, and what stands behind it goes nowhere.
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Transfer-Encoding: chunked\r\n folded\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: b.de\r\n",
        "Content-Length: 5\n",
        "Connection: content-length\r\nContent-Length: 5\r\n",
    ] {
        let mut run = Run::new(&get("/1"));
        run.say(&format!(
            "POST http://a.de/2 HTTP/1.1\r\nHost: a.de\r\n{fields}\r\n0\r\n\r\n{}",
            get("/evil")
        ));
        assert!(run.answer(OK));
        assert_eq!(paths(&run), ["a.de:80 GET /1"], "{fields:?}");
        assert!(run.given.starts_with(&format!("{OK}HTTP/1.1 400 ")), "{fields:?}: {}", run.given);
        assert!(run.is_over);
    }
    // A chunk that is none ends the request where it is.
    let mut run = Run::new(
        "POST http://a.de/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    run.say(&format!("3\r\nabcd\r\n0\r\n\r\n{}", get("/evil")));
    assert!(run.is_over && run.sent.len() == 1 && !run.sent[0].1.contains("evil"));
    // Of answers: they are passed on, and nothing is asked behind them.
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n folded\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nto the end",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "nonsense\r\n",
    ] {
        let mut run = Run::new(&get("/1"));
        run.say(&get("/2"));
        assert!(run.answer(answer), "{answer:?}");
        assert_eq!((run.given.as_str(), run.turned), (answer, Turned::Last));
        assert!(run.is_over && run.sent.len() == 1, "{answer:?}");
    }
}

#[test]
fn a_server_that_was_asked_nothing_says_nothing() {
    // Response splitting: the second answer would be taken for that to the next request.
    for (method, answer) in [
        ("GET", OK),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ] {
        let mut run = Run::new(&get("/1").replace("GET", method));
        let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        assert!(!run.answer(&format!("{answer}{evil}")), "{method} {answer:?}");
        assert_eq!(run.given, answer);
        let mut run = Run::new(&get("/1").replace("GET", method));
        assert!(run.answer(answer));
        assert!(!run.answer(evil), "{method} {answer:?}");
        assert_eq!(run.given, answer);
    }
}

#[test]
fn clients_that_make_one_request_make_no_other() {
    for (request, says) in [
        ("GET http://a.de/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true),
        ("GET http://a.de/ HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", true),
        ("GET http://a.de/ HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n", true),
        ("GET http://a.de/ HTTP/1.0\r\n\r\n", true),
        ("GET http://a.de/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET http://a.de/ HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", false),
        ("GET http://a.de/ HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\n\r\n", false),
    ] {
        let mut run = Run::new(request);
        assert_eq!(run.sent[0].1.contains("Connection: close\r\n"), says, "{request:?}");
        run.say(&get("/2"));
        run.answer(OK);
        assert_eq!((run.sent.len(), run.is_over), (if says { 1 } else { 2 }, says), "{request:?}");
    }
}

#[test]
fn another_protocol_is_a_tunnel() {
    let asks = |protocol: &str, more: &str| {
        format!(
            "GET http://a.de/ HTTP/1.1\r\nHost: a.de\r\nConnection: Upgrade\r\nUpgrade: {protocol}\
             \r\n{more}\r\n"
        )
    };
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
    let mut run = Run::new(&asks("websocket", ""));
    assert!(run.sent[0].1.ends_with("\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"));
    run.say("early");
    assert!(run.answer(&format!("{switch}\x01\x02")));
    // The rest of it waits at the socket.
    assert_eq!((run.turned, run.requests.beyond()), (Turned::Tunnel, b"ear".to_vec()));
    assert!(run.answer("anything\n\0"));
    // HTTP/2 would be asked by streams that nobody sees, and a body might be read as one.
    for request in [
        asks("h2c", ""),
        asks("x, H2C", ""),
        asks("websocket", "Content-Length: 1\r\n") + "a",
        asks("websocket", "").replace("Connection: Upgrade\r\n", ""),
    ] {
        let mut run = Run::new(&request);
        assert!(!run.sent[0].1.contains("pgrade"), "{:?}", run.sent[0]);
        run.answer(switch);
        assert_eq!(run.turned, Turned::No);
        assert_eq!(run.requests.intake(false), Intake::Read(BEYOND));
        run.say(&get("/2"));
        assert!(run.is_over, "an answer that was not asked for is the last");
    }
}

#[test]
fn an_answer_of_ours_waits_for_those_before() {
    let mut run = Run::new(&get("/1"));
    assert!(run.answer(OK));
    assert_eq!(run.requests.intake(true), Intake::Held);
    assert_eq!(run.requests.intake(false), Intake::Read(BEYOND));
    assert_eq!(status_of(&failed(Failure::TimedOut)), 504);
}

fn status_of(answer: &[u8]) -> u16 {
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
}

proptest! {
    #[test]
    fn any_bytes_are_followed_the_same_in_any_pieces(
        client in prop::collection::vec(any::<u8>(), 0..200),
        server in prop::collection::vec(any::<u8>(), 0..200),
        step in 1..20_usize,
    ) {
        let run = |step: usize| {
            let body = RequestFraming::of_body(BodyFraming::Chunked);
            let (mut requests, _) = Requests::begin(body, Expected::default(), b"");
            let mut own = 0;
            for piece in server.chunks(step) {
                own += requests.answer(piece);
            }
            for piece in client.chunks(step) {
                if matches!(requests.intake(false), Intake::Read(_)) {
                    requests.handle(piece);
                }
            }
            // Of a line that is wrong the beginning may have been passed on, and no end of it.
            (own, requests.intake(false))
        };
        prop_assert_eq!(run(step), run(200));
    }
}
