//! Clients of an HTTP proxy that make several requests on one connection.

use crate::client::*;
use crate::support::{PATIENCE, wait_until};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A server that is asked by hand.
struct Server(TcpListener);

impl Server {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Takes the next connection.
    fn accept(&self) -> Side {
        Side::new(self.0.accept().unwrap().0)
    }

    /// Returns true if nobody else has connected.
    fn is_left_alone(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let is_so = matches!(self.0.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).unwrap();
        is_so
    }
}

/// One side of a connection, read by lines and lengths.
struct Side(BufReader<TcpStream>);

impl Side {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Reads a head, up to and with its empty line.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "it ends within {head:?}");
        }
        head
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads the end, with nothing in front of it.
    fn end(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

fn get(target: SocketAddr, path: &str) -> String {
    format!("GET http://{target}{path} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads an answer made by [`ok`].
fn assert_ok(side: &mut Side, body: &str) {
    let whole = ok(body);
    assert_eq!(String::from_utf8(side.bytes(whole.len())).unwrap(), whole);
}

#[test]
fn requests_for_one_server_share_a_connection_to_it() {
    for (way, more) in WAYS {
        let server = Server::new();
        let proxy = forward("http-proxy", more);
        let mut client = Side::new(connect(&proxy));
        let body = pattern(100_000);
        let mut far = None;
        for number in 0..20 {
            let target = server.address();
            client.say(format!(
                "PUT http://{target}/{number} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            ));
            let far = far.get_or_insert_with(|| server.accept());
            assert!(far.head().starts_with(&format!("PUT /{number} HTTP/1.1\r\n")), "{way}");
            far.say("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n", "{way}");
            client.say(&body);
            assert!(far.bytes(body.len()) == body, "{way}");
            far.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n");
            far.say(&body);
            far.say("\r\n0\r\nX: y\r\n\r\n");
            let head = client.head();
            assert_eq!(head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "{way}");
            client.bytes(7);
            assert!(client.bytes(body.len()) == body, "{way}");
            assert_eq!(client.bytes(13), b"\r\n0\r\nX: y\r\n\r\n", "{way}");
        }
        assert!(server.is_left_alone(), "{way}");
        // The server's end comes to the client, and the client's to the server.
        let mut far = far.unwrap();
        far.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
        client.end();
        drop(client);
        far.end();
        wait_until("the end", || {
            proxy.control.counters().is_ok_and(|summary| count(&summary, "finished") == 1)
        });
        let summary = proxy.stop();
        let counts = ["connections", "asked", "asked_again", "connections_open"];
        assert_eq!(counts.map(|name| count(&summary, name)), [1, 1, 19, 0], "{way}");
    }
}

#[test]
fn a_request_for_another_server_goes_to_that_one_and_ends_the_first() {
    for (way, more) in WAYS {
        let (one, other) = (Server::new(), Server::new());
        let proxy = forward("http-proxy", more);
        let mut client = Side::new(connect(&proxy));
        // All at once: each is answered in its turn, and none is seen by the wrong one.
        client.say(
            [
                get(one.address(), "/1"),
                get(other.address(), "/2"),
                get(other.address(), "/3"),
                get(one.address(), "/4"),
            ]
            .concat(),
        );
        let mut first = one.accept();
        assert!(first.head().starts_with("GET /1 "), "{way}");
        assert!(other.is_left_alone(), "{way}");
        first.say(ok("first"));
        let mut second = other.accept();
        assert!(second.head().starts_with("GET /2 "), "{way}");
        first.end();
        second.say(ok("second"));
        assert!(second.head().starts_with("GET /3 "), "{way}");
        second.say(ok("third"));
        let mut third = one.accept();
        assert!(third.head().starts_with("GET /4 "), "{way}");
        second.end();
        third.say(ok("fourth"));
        for body in ["first", "second", "third", "fourth"] {
            assert_ok(&mut client, body);
        }
        // A tunnel is another target too.
        let target = other.address();
        client.say(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\nhello"));
        let mut tunnel = other.accept();
        assert_eq!(client.head(), "HTTP/1.1 200 Connection Established\r\n\r\n", "{way}");
        assert_eq!(tunnel.bytes(5), b"hello", "{way}");
        third.end();
        tunnel.say(get(one.address(), "/no"));
        assert_eq!(
            client.bytes(get(one.address(), "/no").len()),
            get(one.address(), "/no").as_bytes()
        );
        drop(client);
        tunnel.end();
        drop(tunnel);
        wait_until("the end", || {
            proxy.control.counters().is_ok_and(|summary| count(&summary, "connections_open") == 0)
        });
        let summary = proxy.stop();
        let counts = ["connections", "asked", "asked_again"];
        assert_eq!(counts.map(|name| count(&summary, name)), [1, 4, 1], "{way}");
    }
}

#[test]
fn what_nobody_asked_for_comes_to_nobody() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (way, more) in WAYS {
        let server = Server::new();
        let proxy = forward("http-proxy", more);
        for at_once in [true, false] {
            let mut client = Side::new(connect(&proxy));
            client.say(get(server.address(), "/1"));
            let mut far = server.accept();
            far.head();
            far.say(format!("{}{}", ok("good"), if at_once { evil } else { "" }));
            assert_ok(&mut client, "good");
            if !at_once {
                far.say(evil);
            }
            client.end();
            far.end();
        }
        // Behind the last request nothing goes to the server, whoever it is for.
        for body in ["", "4\r\nbody\r\n0\r\n\r\n"] {
            let mut client = Side::new(connect(&proxy));
            let framing = if body.is_empty() { "" } else { "Transfer-Encoding: chunked\r\n" };
            client.say(format!(
                "PUT http://{}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n{body}{}",
                server.address(),
                get(server.address(), "/secret")
            ));
            let mut far = server.accept();
            assert!(far.head().contains("\r\nConnection: close\r\n"), "{way}");
            assert_eq!(far.bytes(body.len()), body.as_bytes(), "{way}");
            far.end();
            far.say(ok("bye"));
            drop(far);
            assert_ok(&mut client, "bye");
            client.end();
        }
    }
}

#[test]
fn a_later_request_fails_as_a_first_one_does() {
    for (way, more) in WAYS {
        let allow = r#", "target": "127.0.0.1""#;
        let server = Server::new();
        let proxy = forward("http-proxy", &format!("{more}{allow}"));
        let nobody = crate::support::vacant_address();
        for (request, status) in [
            (get(nobody, "/"), "502"),
            (get("127.0.0.2:80".parse().unwrap(), "/"), "403"),
            ("GET /no-proxy-is-asked-so HTTP/1.1\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET ftp://127.0.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), "501"),
        ] {
            let mut client = Side::new(connect(&proxy));
            client.say(get(server.address(), "/1") + &request);
            let mut far = server.accept();
            far.head();
            far.say(ok("first"));
            assert_ok(&mut client, "first");
            assert!(client.head().starts_with(&format!("HTTP/1.1 {status} ")), "{way} {request}");
            client.0.read_to_end(&mut Vec::new()).unwrap();
            far.end();
        }
        let summary = proxy.stop();
        let counts = ["asked", "refused_by_upstream", "not_allowed", "malformed", "unsupported"];
        assert_eq!(counts.map(|name| count(&summary, name)), [6, 1, 1, 1, 1], "{way}");
    }
}

#[test]
fn another_protocol_takes_the_connection_over() {
    for (way, more) in WAYS {
        let server = Server::new();
        let proxy = forward("http-proxy", more);
        let mut client = Side::new(connect(&proxy));
        let target = server.address();
        client.say(format!(
            "GET http://{target}/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly"
        ));
        let mut far = server.accept();
        assert!(far.head().ends_with("\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "{way}");
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
        far.say(format!("{switch}\0there"));
        assert_eq!(client.head(), switch, "{way}");
        assert_eq!(client.bytes(6), b"\0there", "{way}");
        assert_eq!(far.bytes(5), b"early", "{way}");
        client.say(get(target, "/"));
        assert_eq!(far.bytes(get(target, "/").len()), get(target, "/").as_bytes(), "{way}");
    }
}

#[test]
fn a_proxy_that_drains_waits_for_answers_and_not_for_further_requests() {
    let server = Server::new();
    let proxy = forward("http-proxy", "");
    let mut clients = Vec::new();
    for number in 0..2 {
        let mut client = Side::new(connect(&proxy));
        client.say(get(server.address(), "/"));
        let mut far = server.accept();
        far.head();
        if number == 0 {
            far.say(ok("idle"));
            assert_ok(&mut client, "idle");
        }
        clients.push((client, far));
    }
    proxy.control.stop_within(10 * PATIENCE);
    clients[0].0.end();
    let (client, far) = &mut clients[1];
    far.say(ok("busy"));
    assert_ok(client, "busy");
    client.end();
    drop(clients);
    assert_eq!(count(&proxy.stop(), "cut"), 0);
}
