//! What happens when something inside fails: a 500, and the server lives on.

use crate::support::{client, failing_server};
use crate::tools::{Site, answer, connect, end, status};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use jostle_console::stop::Stop;
use jostle_endpoints::http::server::{Answering, Exchange, Handler, HttpServer, Limits};
use std::io::Write;
use std::sync::Arc;

/// Fails at some paths.
#[derive(Debug)]
struct Fragile;

impl Handler for Fragile {
    fn answer(self: Arc<Self>, request: Request<Incoming>, exchange: Exchange) -> Answering {
        let path = request.uri().path().to_owned();
        assert!(path != "/at-once", "broken before it began, for {}", exchange.peer);
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(path != "/later", "broken in the middle");
            let body = Full::new("fine".into()).map_err(|never| match never {}).boxed_unsync();
            Response::new(body)
        })
    }
}

#[test]
fn a_panic_is_a_500_on_the_same_connection_and_the_server_lives_on() {
    let limits = Limits::default();
    let server =
        HttpServer::bind("127.0.0.1:0".parse().unwrap(), limits, Arc::new(Fragile)).unwrap();
    let (address, stop) = (server.address(), Stop::new());
    let stopped = stop.clone();
    let serving = std::thread::spawn(move || server.run(&stopped, |_| {}));
    let mut stream = connect(address);
    for (path, expected) in [("/", 200), ("/later", 500), ("/", 200), ("/at-once", 500), ("/", 200)]
    {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let (head, body) = answer(&mut stream);
        assert_eq!(status(&head), expected, "{path}");
        assert!(
            !String::from_utf8_lossy(&body).contains("broken"),
            "what went wrong is nobody's business"
        );
    }
    stop.request();
    let totals = serving.join().unwrap();
    assert_eq!((totals.requests, totals.failed, totals.panics, totals.connections), (5, 2, 2, 1));
}

#[test]
fn wrong_usage_is_status_two_and_failures_name_their_cause() {
    let site = Site::new();
    let (root, nowhere) = (site.text("public"), site.text("nowhere"));
    for arguments in [
        &["http", "--root", &root, "--idle", "0"][..],
        &["http", "--root", &root, "--max-head", "5B"],
        &["http", "--root", &root, "--max-size", "5"],
        &["http", "--root", &root, "--max-clients", "0"],
        &["http", "--root", &root, "--listen", "https://127.0.0.1:0"],
    ] {
        let run = failing_server(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.stderr);
    }
    let run = failing_server(&["http", "--root", &nowhere]);
    assert!(run.status == Some(1) && run.stderr.contains(&nowhere), "{}", run.stderr);
    for arguments in [
        &["http"][..],
        &["http", "get"],
        &["http", "get", "https://127.0.0.1/"],
        &["http", "get", "127.0.0.1/a", "127.0.0.1/b", "-o", &nowhere],
        &["http", "put", "127.0.0.1/a", &root, &root],
        &["http", "get", "127.0.0.1/", "--timeout", "0"],
    ] {
        let run = client(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn once_ends_with_the_first_connection() {
    let site = Site::new();
    let mut server = site.serve(&["--once"]);
    let mut stream = connect(server.address);
    for _ in 0..2 {
        stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(&mut stream);
    }
    drop(stream);
    let (status, summary) = end(server.wait());
    assert_eq!((status, &summary["requests"]), (Some(0), &2.into()));
}
