//! A hostile client, and a hostile page as far as its requests show: what they ask for is refused
//! and changes nothing, and nobody else is served worse for them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_control::{Patience, Registry, Server, ServerError, ServerSettings, Token};
use jostle_proxy::{Proxy, Settings};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use support::{Answer, PATIENCE, Running};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const CHROMIUM: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140";
const TYPED: &str = "Sec-Fetch-Site: none";
const SAME: &str = "Sec-Fetch-Site: same-origin";
const TOKEN: &str = "a-token-of-the-tests";

/// An API with a proxy and two toxics.
fn furnished(api: ServerSettings) -> Running {
    let running = Running::serving(Settings::new(Vec::new(), 7), api);
    let upstream = "127.0.0.1:9".parse().unwrap();
    running.create("p", upstream);
    for toxic in [r#"{"type":"latency","name":"t"}"#, r#"{"type":"noop","name":"u"}"#] {
        assert_eq!(running.ask("POST", "/proxies/p/toxics", toxic).status, 200);
    }
    running
}

fn state(running: &Running) -> String {
    let answer = running.ask("GET", "/proxies", "");
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#""name":"t""#) && answer.body.contains(r#""name":"u""#));
    answer.body
}

/// Sends a head alone, with its own host, and returns the answer.
fn head_alone(running: &Running, head: &str) -> String {
    String::from_utf8_lossy(&running.raw(format!("{head}\r\n\r\n").as_bytes())).into_owned()
}

#[test]
fn a_name_that_was_made_to_lead_here_is_refused_on_every_method() {
    let running = furnished(ServerSettings::default());
    let before = state(&running);
    for method in METHODS {
        for path in ["/proxies", "/proxies/p", "/proxies/p/toxics/t", "/reset", "/version", "/no"] {
            let head =
                format!("{method} {path} HTTP/1.1\r\nHost: evil.test:8474\r\nConnection: close");
            let answer = head_alone(&running, &head);
            assert!(answer.starts_with("HTTP/1.1 421 "), "{method} {path}: {answer}");
        }
    }
    for head in [
        "DELETE /proxies/p HTTP/1.1\r\nConnection: close",
        "DELETE /proxies/p HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close",
    ] {
        assert!(head_alone(&running, head).starts_with("HTTP/1.1 400 "), "{head}");
    }
    assert_eq!(state(&running), before);
}

#[test]
fn a_page_of_another_origin_is_refused_on_every_method_and_may_read_nothing() {
    for panel in [false, true] {
        let running = furnished(ServerSettings { panel, ..ServerSettings::default() });
        let before = state(&running);
        let foreign: [&[&str]; 5] = [
            &["Origin: http://evil.test"],
            &["Origin: null", "Content-Type: text/plain"],
            &["Sec-Fetch-Site: cross-site"],
            &["Sec-Fetch-Site: same-site", CHROMIUM],
            &["Origin: http://evil.test", "Access-Control-Request-Method: DELETE"],
        ];
        for method in METHODS {
            for lines in foreign {
                for path in ["/", "/proxies", "/proxies/p", "/reset"] {
                    let answer = running.ask_with(method, path, lines, "{}");
                    assert_eq!(answer.status, 403, "{method} {path} {lines:?}");
                    assert_eq!(answer.header("access-control-allow-origin"), None);
                }
            }
        }
        assert_eq!(state(&running), before);
    }
}

#[test]
fn nothing_is_changed_by_asking() {
    let running = furnished(ServerSettings::default());
    let before = state(&running);
    for path in [
        "/reset",
        "/populate",
        "/proxies",
        "/proxies/p",
        "/proxies/p?enabled=false",
        "/proxies/p?_method=DELETE",
        "/proxies/p/toxics",
        "/proxies/p/toxics/t",
        "/rules",
        "/proxies/p/profile",
        "/proxies/p/flows/1/reset",
    ] {
        for method in ["GET", "HEAD"] {
            for more in ["X-HTTP-Method-Override: DELETE", "X-Method: POST"] {
                running.ask_with(method, path, &[more], r#"{"enabled":false,"on":false}"#);
            }
        }
    }
    assert_eq!(state(&running), before);
}

#[test]
fn beyond_loopback_it_listens_only_with_a_token() {
    let proxy = Proxy::bind(Settings::new(Vec::new(), 7)).unwrap();
    let registry = Arc::new(Registry::new(proxy.control(), proxy.routes()));
    let all = "0.0.0.0:0".parse().unwrap();
    let refused = Server::start(all, Arc::clone(&registry)).unwrap_err();
    assert!(matches!(refused, ServerError::Open { .. }));
    assert!(refused.to_string().contains("--api-token"), "{refused}");
    let token = Some(Token::new(TOKEN).unwrap());
    let settings = ServerSettings { token, ..ServerSettings::default() };
    assert!(Server::start_with(all, registry, settings).is_ok());
}

fn with_token(panel: bool) -> Running {
    let token = Some(Token::new(TOKEN).unwrap());
    let api = ServerSettings { token, panel, ..ServerSettings::default() };
    Running::serving(Settings::new(Vec::new(), 7), api)
}

#[test]
fn with_a_token_nothing_is_said_without_it() {
    let running = with_token(false);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for method in METHODS {
        for path in ["/version", "/proxies", "/no"] {
            let answer = running.ask(method, path, "");
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"jostle\""));
        }
    }
    assert_eq!(running.ask_with("GET", "/version", &[&bearer], "").status, 200);
    let wrong = format!("Authorization: Bearer {TOKEN}x");
    assert_eq!(running.ask_with("GET", "/version", &[&wrong], "").status, 401);
}

#[test]
fn a_browser_changes_its_token_into_a_cookie() {
    let running = with_token(true);
    let page = |path: &str, more: &[&str]| -> Answer {
        let lines: Vec<&str> = [CHROMIUM, TYPED].iter().chain(more).copied().collect();
        running.ask_with("GET", path, &lines, "")
    };
    assert_eq!(page("/", &[]).status, 401);
    assert_eq!(page("/?token=not-the-token", &[]).status, 401);
    let signed_in = page(&format!("/?token={TOKEN}"), &[]);
    assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/")));
    let cookie = signed_in.header("set-cookie").unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(TOKEN));
    let pair = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_ne!(page("/", &[&pair]).status, 401);
    let proxies = running.ask_with("GET", "/proxies", &[CHROMIUM, SAME, &pair], "");
    assert_eq!((proxies.status, proxies.body.as_str()), (200, "{}"));
    assert_eq!(running.ask_with("GET", "/proxies", &[CHROMIUM, SAME], "").status, 401);
}

#[test]
fn what_the_panel_gets_is_bound_to_its_origin() {
    let running = furnished(ServerSettings { panel: true, ..ServerSettings::default() });
    let origin = format!("Origin: http://{}", running.api);
    let answer = running.ask_with("GET", "/proxies", &[CHROMIUM, SAME], "");
    assert_eq!(answer.status, 200);
    let policy = answer.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    // A page sends JSON and says so, which no form can.
    let ask = |lines: &[&str], body: &str| {
        let lines: Vec<&str> = [CHROMIUM, SAME, &origin].iter().chain(lines).copied().collect();
        running.ask_with("PATCH", "/proxies/p", &lines, body).status
    };
    let kinds = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
    for kind in kinds {
        assert_eq!(ask(&[&format!("Content-Type: {kind}")], "{}"), 415);
    }
    assert_eq!(ask(&[], "{}"), 415);
    assert_eq!(ask(&["Content-Type: application/json"], "{}"), 200);
    // What a program gets is Toxiproxy's answer and no more.
    let plain = running.ask("GET", "/proxies", "");
    assert_eq!(plain.header("content-security-policy"), None);
}

#[test]
fn bodies_are_bounded_however_they_come() {
    let running = furnished(ServerSettings::default());
    let before = state(&running);
    let host = running.api;
    let name = |length: usize| format!(r#"{{"name":"{}"}}"#, "n".repeat(length - 11));
    let exact = running.ask("POST", "/proxies", &name(1 << 20));
    assert_eq!((exact.status, exact.body.contains("255 printable")), (400, true), "it was read");
    assert_eq!(running.ask("POST", "/proxies", &name((1 << 20) + 1)).status, 413);
    // Whoever says how much it will be is refused before it comes.
    let announced = format!(
        "POST /proxies HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Length: 1099511627776"
    );
    let answer = head_alone(&running, &announced);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let mut chunked = format!(
        "POST /reset HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    for _ in 0..40 {
        chunked += &format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    }
    let answer = running.raw((chunked + "0\r\n\r\n").as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(state(&running), before);
}

#[test]
fn what_is_no_http_ends_its_own_connection_only() {
    let running = furnished(ServerSettings::default());
    let before = state(&running);
    let host = running.api;
    let long = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", "x".repeat(100_000));
    let wide = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X-Y: z\r\n".repeat(2000));
    let chunks = format!(
        "POST /reset HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n"
    );
    let twice = format!(
        "POST /reset HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"
    );
    let inputs: [&[u8]; 9] = [
        b"",
        b"\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        long.as_bytes(),
        wide.as_bytes(),
        chunks.as_bytes(),
        twice.as_bytes(),
    ];
    for input in inputs {
        let answer = running.raw(input);
        let begins = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
        assert!(answer.is_empty() || begins.starts_with("HTTP/1.1 4"), "{begins}");
        assert_eq!(state(&running), before);
    }
}

/// Short waits, so that a test sees their ends.
const HURRY: Patience = Patience {
    head: Duration::from_millis(300),
    body: Duration::from_millis(300),
    idle: Duration::from_millis(300),
    write: Duration::from_millis(300),
};

/// Waits until the other side ends a connection, and returns what came until then.
fn until_it_ends(mut stream: &TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut came = Vec::new();
    match stream.read_to_end(&mut came) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it waits: {error}"),
        _ => came,
    }
}

#[test]
fn a_client_that_makes_wait_is_not_waited_for() {
    let running = furnished(ServerSettings { patience: HURRY, ..ServerSettings::default() });
    let host = running.api;
    let begun = Clock::start();
    let connect = |bytes: String| {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream
    };
    let idle = connect(String::new());
    let in_head = connect(format!("GET /proxies HTTP/1.1\r\nHost: {host}\r\nX-"));
    let in_body =
        connect(format!("POST /proxies HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n{{"));
    let used = connect(format!("GET /version HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    // Some bytes of a head at a time do not make it young again.
    let mut trickle = connect(String::new());
    trickle.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut bytes = 0;
    while trickle.write_all(b"G").is_ok() {
        bytes += 1;
        match trickle.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    assert!((2..100).contains(&bytes), "{bytes}");
    assert!(until_it_ends(&idle).is_empty());
    assert!(until_it_ends(&in_head).is_empty());
    assert!(until_it_ends(&in_body).starts_with(b"HTTP/1.1 408 "));
    assert!(until_it_ends(&used).starts_with(b"HTTP/1.1 200 "));
    let took = begun.now().since(Instant::START);
    assert!(took >= Duration::from_millis(300) && took < PATIENCE / 2, "{took:?}");
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let running = furnished(ServerSettings { patience: HURRY, ..ServerSettings::default() });
    let (mut stream, asked) = deaf(&running);
    // It takes nothing more until it has ended.
    let begun = Clock::start();
    let ended = loop {
        match stream.write(b"G") {
            Err(error) if error.kind() != ErrorKind::WouldBlock => break true,
            _ if begun.now().since(Instant::START) > PATIENCE => break false,
            _ => {}
        }
    };
    assert!(ended);
    let came = until_it_ends(&stream);
    let answers = came.windows(9).filter(|piece| *piece == b"HTTP/1.1 ").count();
    assert!(answers > 0 && answers < asked, "{answers} of {asked}");
}

/// A client that asks without end and reads nothing, until nothing more is taken from it.
fn deaf(running: &Running) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(running.api).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = format!("GET /proxies HTTP/1.1\r\nHost: {}\r\n\r\n", running.api);
    let many = request.repeat(1000);
    let mut asked = 0;
    loop {
        match stream.write(many.as_bytes()) {
            Ok(count) => asked += count / request.len(),
            Err(_) => return (stream, asked),
        }
        assert!(asked < 1_000_000, "it takes requests without end");
    }
}

#[test]
fn who_ends_its_side_is_answered_and_one_that_is_gone_leaves_no_stream_behind() {
    let running = furnished(ServerSettings { patience: HURRY, ..ServerSettings::default() });
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}", running.api);
    assert!(head_alone(&running, &get("/proxies")).starts_with("HTTP/1.1 200 "));
    // A stream of events has no end of its own.
    let begun = Clock::start();
    assert!(head_alone(&running, &get("/live")).starts_with("HTTP/1.1 200 "));
    assert!(begun.now().since(Instant::START) < PATIENCE / 2);
}

#[test]
fn those_who_hold_places_and_are_silent_give_them_to_who_asks() {
    let running = furnished(ServerSettings::default());
    let before = state(&running);
    // More than there are places, of three kinds.
    let host = running.api;
    let mut held: Vec<TcpStream> = Vec::new();
    for n in 0..60 {
        let mut stream = TcpStream::connect(host).unwrap();
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"GET /proxies HTTP/1.1\r\nX-").unwrap(),
            _ => {
                let head = format!("POST /populate HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9");
                stream.write_all(format!("{head}\r\n\r\n[").as_bytes()).unwrap();
            }
        }
        held.push(stream);
    }
    let (deaf, _) = deaf(&running);
    let begun = Clock::start();
    assert_eq!(state(&running), before);
    let took = begun.now().since(Instant::START);
    // Not even one of the waits of 15 s was waited for.
    assert!(took < Duration::from_secs(12), "{took:?}");
    drop((held, deaf));
}

#[test]
fn idle_connections_of_a_pool_larger_than_all_places_cost_nobody_a_request() {
    let running = furnished(ServerSettings::default());
    let request = format!("GET /version HTTP/1.1\r\nHost: {}\r\n\r\n", running.api);
    let mut pool: Vec<TcpStream> = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(running.api).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        pool.push(stream);
    }
}
