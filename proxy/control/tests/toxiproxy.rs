//! What Toxiproxy's clients see: statuses, headers and bodies, word for word.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use jostle_engine::route::Configuration;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use support::{PATIENCE, Running, echo_server};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Asserts that an answer is an error as Go's `http.Error` writes it.
#[track_caller]
fn assert_error(answer: &support::Answer, status: u16, message: &str) {
    let body = format!("{{\"error\":\"{message}\",\"status\":{status}}}\n");
    assert_eq!((answer.status, &answer.body), (status, &body));
    assert_eq!(answer.header("content-type"), Some(TEXT));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-toxiproxy-request-id").map(str::len), Some(20));
}

#[test]
fn the_version_is_written_with_its_space() {
    let running = Running::start();
    let answer = running.ask("GET", "/version", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"version\": \"2.12.0\"}\n"));
    assert_eq!(answer.header("content-type"), Some("application/json;charset=utf-8"));
    assert_eq!(answer.header("x-toxiproxy-request-id").map(str::len), Some(20));
}

#[test]
fn unknown_paths_and_methods_get_bare_answers() {
    let running = Running::start();
    for path in ["/", "/nope", "/proxies/", "/version/"] {
        let answer = running.ask("GET", path, "");
        assert_eq!((answer.status, answer.body.as_str()), (404, "404 page not found\n"), "{path}");
        assert_eq!(answer.header("content-type"), Some(TEXT));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-toxiproxy-request-id"), None);
    }
    for (method, path) in
        [("HEAD", "/version"), ("PUT", "/proxies"), ("OPTIONS", "/proxies/a"), ("GET", "/reset")]
    {
        let answer = running.ask(method, path, "");
        assert_eq!((answer.status, answer.body.as_str()), (405, ""), "{method} {path}");
        for header in ["content-type", "allow", "x-toxiproxy-request-id"] {
            assert_eq!(answer.header(header), None, "{method} {path}");
        }
    }
    for (path, to) in [("//version", "/version"), ("/x/../version", "/version")] {
        let answer = running.ask("GET", path, "");
        assert_eq!((answer.status, answer.header("location")), (301, Some(to)), "{path}");
    }
}

#[test]
fn browsers_are_turned_away() {
    let running = Running::start();
    let ask =
        |agent: &str| running.ask_with("GET", "/proxies", &[&format!("User-Agent: {agent}")], "");
    let answer = ask("Mozilla/5.0 (X11)");
    assert_eq!((answer.status, answer.body.as_str()), (403, "User agent not allowed\n"));
    assert_eq!(answer.header("x-toxiproxy-request-id").map(str::len), Some(20));
    for agent in ["mozilla/5.0", "x Mozilla/5.0", "Mozilla", "curl/8"] {
        assert_eq!(ask(agent).status, 200, "{agent}");
    }
}

#[test]
fn a_proxy_is_created_shown_and_deleted() {
    let running = Running::start();
    let all = running.ask("GET", "/proxies", "");
    assert_eq!((all.status, all.body.as_str()), (200, "{}"));
    assert_eq!(all.header("content-type"), Some(JSON));
    assert_eq!(all.header("content-length"), Some("2"));

    let body = r#"{"Name":"a","listen":"localhost:0","UPSTREAM":"noport","extra":[]} trailing"#;
    let created = running.ask("POST", "/proxies", body);
    assert_eq!(created.status, 201);
    let listen = created.json()["listen"].as_str().unwrap().to_owned();
    assert!(listen.starts_with("127.0.0.1:") && listen != "127.0.0.1:0", "{listen}");
    let text = format!(
        r#"{{"name":"a","listen":"{listen}","upstream":"noport","enabled":true,"toxics":[]}}"#
    );
    assert_eq!(created.body, text);
    assert_eq!(running.ask("GET", "/proxies/a", "").body, text);
    assert_eq!(running.ask("GET", "/proxies", "").body, format!(r#"{{"a":{text}}}"#));

    assert_error(&running.ask("POST", "/proxies", &text), 409, "proxy already exists");
    let deleted = running.ask("DELETE", "/proxies/a", "");
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    assert_error(&running.ask("DELETE", "/proxies/a", ""), 404, "proxy not found");
    assert_error(&running.ask("GET", "/proxies/a", ""), 404, "proxy not found");
}

#[test]
fn names_are_decoded_and_every_one_can_be_addressed() {
    let running = Running::start();
    for (name, path) in
        [("a b", "/proxies/a%20b"), ("x/y", "/proxies/x%2Fy"), ("ü", "/proxies/%C3%BC")]
    {
        let body = json!({ "name": name, "listen": "127.0.0.1:0", "upstream": "u:1" });
        assert_eq!(running.ask("POST", "/proxies", &body.to_string()).status, 201);
        assert_eq!(running.ask("GET", path, "").json()["name"], name);
        assert_eq!(running.ask("DELETE", path, "").status, 204);
    }
}

#[test]
fn what_is_missing_or_wrong_is_said_in_order() {
    let running = Running::start();
    let ask = |body: &str| running.ask("POST", "/proxies", body);
    assert_error(&ask(""), 400, "bad request body: EOF");
    assert_error(&ask(r#"{"name":"#), 400, "bad request body: unexpected EOF");
    assert_error(
        &ask("junk"),
        400,
        "bad request body: invalid character 'j' looking for beginning of value",
    );
    assert_error(&ask("null"), 400, "missing required field: name");
    assert_error(&ask("{}"), 400, "missing required field: name");
    assert_error(&ask(r#"{"name":"a"}"#), 400, "missing required field: upstream");
    assert_error(&ask(r#"{"name":"a","upstream":""}"#), 400, "missing required field: upstream");
    for body in [r#"{"name":1}"#, "[]", r#"{"name":"a","upstream":"u","enabled":"yes"}"#] {
        let answer = ask(body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.starts_with("{\"error\":\"bad request body: "), "{answer:?}");
    }
    let listen = |text: &str| ask(&json!({"name":"l","upstream":"u:1","listen":text}).to_string());
    assert_error(&listen("local373"), 500, "listen tcp: address local373: missing port in address");
    assert_error(&listen("127.0.0.1:99999"), 500, "listen tcp: address 99999: invalid port");
    assert_error(&listen("127.0.0.1:nope"), 500, "listen tcp: lookup tcp/nope: unknown port");
    assert_error(
        &listen("192.0.2.1:8000"),
        500,
        "listen tcp 192.0.2.1:8000: bind: cannot assign requested address",
    );
    assert_eq!(running.ask("GET", "/proxies", "").body, "{}", "nothing was created");
}

#[test]
fn a_taken_port_is_refused_in_the_words_that_clients_look_for() {
    let running = Running::start();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let body = json!({ "name": "a", "upstream": "u:1", "listen": taken.to_string() });
    assert_error(
        &running.ask("POST", "/proxies", &body.to_string()),
        500,
        &format!("listen tcp {taken}: bind: address already in use"),
    );
    assert_eq!(running.ask("GET", "/proxies", "").body, "{}");
}

#[test]
fn a_disabled_proxy_keeps_its_text_and_listens_again_on_its_port() {
    let running = Running::start();
    let body = r#"{"name":"a","listen":"garbage","upstream":"u:1","enabled":false}"#;
    let created = running.ask("POST", "/proxies", body).json();
    assert_eq!((&created["listen"], &created["enabled"]), (&json!("garbage"), &json!(false)));
    let enable = running.ask("POST", "/proxies/a", r#"{"enabled":true}"#);
    assert_error(&enable, 500, "listen tcp: address garbage: missing port in address");

    let upstream = echo_server();
    let listen = running.create("b", upstream);
    let mut client = TcpStream::connect(listen).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    let disabled = running.ask("PATCH", "/proxies/b", r#"{"enabled":false}"#);
    assert_eq!((disabled.status, &disabled.json()["enabled"]), (200, &json!(false)));
    // Both sides see the end (FIN), at once.
    assert_eq!(client.read(&mut answer).unwrap(), 0);
    assert!(TcpStream::connect(listen).is_err());
    for _ in 0..2 {
        let enabled = running.ask("POST", "/proxies/b", r#"{"enabled":true}"#).json();
        assert_eq!(enabled["listen"], json!(listen.to_string()));
    }
    let mut again = TcpStream::connect(listen).unwrap();
    again.set_read_timeout(Some(PATIENCE)).unwrap();
    again.write_all(b"again").unwrap();
    again.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"again");
}

#[test]
fn a_route_that_was_configured_is_enabled_and_disabled_like_any_other() {
    let text = format!(
        r#"[ {{ "name": "a", "listen": "127.0.0.1:0", "upstream": "{}", "enabled": false }} ]"#,
        echo_server()
    );
    let configuration = Configuration::from_json(&text, &|_| Err("no files".into())).unwrap();
    let running = Running::with(configuration.routes);
    assert_eq!(running.ask("GET", "/proxies/a", "").json()["enabled"], json!(false));
    let enabled = running.ask("POST", "/proxies/a", r#"{"enabled":true}"#);
    assert_eq!((enabled.status, &enabled.json()["enabled"]), (200, &json!(true)));
    let listen = enabled.json()["listen"].as_str().unwrap().to_owned();
    let mut client = TcpStream::connect(listen).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn an_update_that_changes_nothing_keeps_connections() {
    let running = Running::start();
    let (upstream, other) = (echo_server(), echo_server());
    let listen = running.create("a", upstream);
    let mut client = TcpStream::connect(listen).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let echo = |client: &mut TcpStream| {
        let mut answer = [0; 4];
        client.write_all(b"ping").and_then(|()| client.read_exact(&mut answer)).is_ok()
    };
    assert!(echo(&mut client));
    for body in [
        "{}".to_owned(),
        "null".to_owned(),
        r#"{"name":"renamed"}"#.to_owned(),
        format!(r#"{{"listen":"localhost:{}"}}"#, listen.port()),
        format!(r#"{{"upstream":"{upstream}","enabled":true}}"#),
    ] {
        let answer = running.ask("POST", "/proxies/a", &body);
        assert_eq!((answer.status, &answer.json()["name"]), (200, &json!("a")), "{body}");
        assert!(echo(&mut client), "{body}");
    }
    let moved = running.ask("PATCH", "/proxies/a", &format!(r#"{{"upstream":"{other}"}}"#));
    assert_eq!(moved.json()["upstream"], json!(other.to_string()));
    assert!(!echo(&mut client), "its connections are closed");
    assert!(echo(&mut TcpStream::connect(listen).unwrap()));
    let bad = running.ask("PATCH", "/proxies/a", r#"{"listen":"garbage"}"#);
    assert_error(&bad, 500, "address garbage: missing port in address");
    assert!(echo(&mut TcpStream::connect(listen).unwrap()), "nothing has changed");
}

#[test]
fn populate_creates_what_is_not_there_and_leaves_what_is() {
    let running = Running::start();
    assert_eq!(running.ask("POST", "/populate", "[]").body, r#"{"proxies":[]}"#);
    assert_eq!(running.ask("POST", "/populate", "null").body, r#"{"proxies":[]}"#);
    assert_eq!(running.ask("POST", "/populate", "{}").status, 400);
    let missing = running.ask("POST", "/populate", r#"[{"name":"a","upstream":"u"},{"name":"b"}]"#);
    assert_eq!(missing.header("content-type"), Some(JSON));
    assert_eq!(
        missing.body,
        r#"{"error":"missing required field: upstream at proxy 2","status":400,"proxies":null}"#
    );
    assert_eq!(running.ask("GET", "/proxies", "").body, "{}", "nothing was created");

    let upstream = echo_server();
    let listen = running.create("a", upstream);
    let list = json!([
        { "name": "a", "listen": format!("localhost:{}", listen.port()), "upstream": upstream.to_string() },
        { "name": "b", "listen": "127.0.0.1:0", "upstream": upstream.to_string(), "enabled": false },
    ]);
    let mut client = TcpStream::connect(listen).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let populated = running.ask("POST", "/populate", &list.to_string());
    assert_eq!(populated.status, 201);
    let proxies = populated.json()["proxies"].as_array().unwrap().clone();
    assert_eq!(proxies.len(), 2);
    assert_eq!(proxies[0]["listen"], json!(listen.to_string()));
    assert_eq!(proxies[1]["enabled"], json!(false));
    client.write_all(b"still").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();

    // The first failure stops; what came before it stays.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let list = json!([
        { "name": "c", "listen": "127.0.0.1:0", "upstream": "u:1" },
        { "name": "d", "listen": held.local_addr().unwrap().to_string(), "upstream": "u:1" },
        { "name": "e", "listen": "127.0.0.1:0", "upstream": "u:1" },
    ]);
    let failed = running.ask("POST", "/populate", &list.to_string());
    assert_eq!((failed.status, failed.json()["proxies"].as_array().unwrap().len()), (500, 1));
    let names = running.ask("GET", "/proxies", "").json();
    let names: Vec<&String> = names.as_object().unwrap().keys().collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn reset_enables_everything() {
    let running = Running::start();
    running.create("a", echo_server());
    running.ask("POST", "/proxies/a", r#"{"enabled":false}"#);
    let reset = running.ask("POST", "/reset", "ignored");
    assert_eq!((reset.status, reset.body.as_str()), (204, ""));
    assert_eq!(running.ask("GET", "/proxies/a", "").json()["enabled"], json!(true));
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let running = Running::start();
    let body = format!(r#"{{"name":"{}"}}"#, "n".repeat(2 << 20));
    assert_eq!(running.ask("POST", "/proxies", &body).status, 413);
}
