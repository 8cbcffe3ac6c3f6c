//! Tests of where routes lead, as people write it.

use super::*;
use crate::route::{Configuration, Route, Transports};
use serde_json::json;

fn read(fields: &str) -> Result<Route, String> {
    let text = format!(r#"{{ "proxies": [ {{ {fields} }} ] }}"#);
    let read = Configuration::from_json(&text, &|name| Err(name.into()));
    read.map(|read| read.routes[0].clone()).map_err(|error| error.to_string())
}

#[test]
fn listeners_whose_clients_say_where_they_want_to_go_are_read_and_written() {
    let socks = read(r#""listen": "socks5://127.0.0.1:1080""#).unwrap();
    assert_eq!(socks.transport, Transports::Both);
    assert_eq!(socks.scheme().name(), "socks5");
    assert_eq!(socks.destination.to_string(), "any target");
    assert_eq!(socks.to_value(), json!({ "name": "1", "listen": "socks5://127.0.0.1:1080" }));

    let text = r#""name": "api", "listen": "http-proxy://[::]:8080", "user": "ann:a:b", "target":
        [ "API.example.org.:443", "*.example.net", "10.0.0.0/8:80", "192.0.2.1/32", "[2001:db8::]/32:5",
          "::1", "*:8080" ]"#;
    let http = read(text).unwrap();
    assert_eq!(http.transport, Transports::Tcp);
    let listed = "api.example.org:443, *.example.net, 10.0.0.0/8:80, 192.0.2.1, [2001:db8::]/32:5, \
                  ::1, *:8080";
    assert_eq!(http.destination.to_string(), listed);
    for route in [socks, http.clone()] {
        assert_eq!(Route::from_value(route.to_value()).unwrap(), route);
    }
    assert_eq!(http.to_value()["user"], "ann:a:b");
    assert_eq!(http.to_public_value()["user"], "ann:***");
    for any in [r#""any""#, r#"["any"]"#] {
        let route = read(&format!(r#""listen": "socks5://:1", "target": {any}"#)).unwrap();
        assert!(route.destination.forward().unwrap().allowed.is_any());
    }
}

#[test]
fn mistaken_combinations_are_named_with_place_and_remedy() {
    for (fields, problem) in [
        (
            r#""listen": "socks5://:1", "upstream": "a:1""#,
            "proxies[0].upstream: at a socks5:// listener each client says where it wants to go; \
             leave upstream out",
        ),
        (
            r#""listen": "udp://:1", "upstream": "a:1", "target": "any""#,
            "proxies[0].target: a udp:// listener leads to its upstream alone; leave target out",
        ),
        (
            r#""listen": ":1", "upstream": "a:1", "user": "a:b""#,
            "proxies[0].user: a tcp:// listener leads to its upstream alone; leave user out",
        ),
        (r#""listen": "both://:1""#, "proxies[0]: \"upstream\" is missing; write HOST:PORT"),
        (
            r#""listen": "http://:1", "upstream": "a:1""#,
            "proxies[0].listen: \"http://\" is not relayed; write udp://, tcp:// or both://, or \
             socks5:// or http-proxy://",
        ),
        (
            r#""listen": "socks5://:1", "follow": true"#,
            "proxies[0].follow: clients say where their datagrams go",
        ),
        (
            r#""listen": "http-proxy://:1", "follow": true"#,
            "proxies[0].follow: route \"1\" relays no UDP; leave follow out",
        ),
        (
            r#""listen": "socks5://:1", "target": []"#,
            "proxies[0].target: no target may be reached so; write \"any\"",
        ),
        (
            r#""listen": "socks5://:1", "target": ["any", "a"]"#,
            "proxies[0].target: \"any\" stands alone",
        ),
        (
            r#""listen": "socks5://:1", "target": "a b""#,
            "proxies[0].target: \"a b\" is no host; write example.org",
        ),
        (
            r#""listen": "socks5://:1", "target": "a:0""#,
            "proxies[0].target: \"0\" in \"a:0\" is no port",
        ),
        (r#""listen": "socks5://:1", "target": 7"#, "proxies[0].target: "),
        (
            r#""listen": "socks5://:1", "user": "ann""#,
            "proxies[0].user: there is no colon between user and password; write NAME:PASSWORD",
        ),
        (r#""listen": "socks5://:1", "user": "ann:""#, "proxies[0].user: user and password have"),
    ] {
        let said = read(fields).unwrap_err();
        assert!(said.starts_with(problem), "{fields}: {said}");
    }
    let many = vec!["a"; TARGETS_MAX + 1].join(",");
    assert!(parse_targets(&many).unwrap_err().contains("at most 1024"));
    assert!(parse_targets(&many[2..]).is_ok());
}

#[test]
fn a_route_of_the_command_line_is_read() {
    let (scheme, listen, upstream) = parse_route("udp://127.0.0.1:0=[::1]:53").unwrap();
    assert_eq!((scheme, listen.port), (Scheme::Plain(Transports::Udp), 0));
    assert_eq!(upstream.unwrap().host, "::1");
    assert!(parse_route("udp://127.0.0.1:53").unwrap_err().contains("does not say where"));
    for scheme in ["socks", "socks5h", "http"] {
        let said = parse_route(&format!("{scheme}://127.0.0.1:1080")).unwrap_err();
        assert!(said.starts_with(&format!("\"{scheme}://\" is not relayed; write ")), "{said}");
    }
    for text in ["8080=127.0.0.1:80", "tcp://:80=8080"] {
        let said = parse_route(text).unwrap_err();
        assert_eq!(said, "\"8080\" names no host; write 127.0.0.1:8080, say");
    }
    let (scheme, listen, upstream) = parse_route("socks5://[::1]:1080").unwrap();
    assert_eq!((scheme, listen.port), (Scheme::Forward(ForwardProtocol::Socks5), 1080));
    assert_eq!(upstream, None);
    let said = parse_route("http-proxy://:8080=a:1").unwrap_err();
    assert!(said.contains("leave =a:1 out") && said.contains("--allow"), "{said}");
    let listed = parse_targets("example.org, *.example.org:443").unwrap();
    assert_eq!(listed.written(), ["example.org", "*.example.org:443"]);
    assert!(!parse_user("secret").unwrap_err().contains("secret"));
}
