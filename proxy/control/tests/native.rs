//! What the API does beyond Toxiproxy's: proxies of UDP, whole profiles, every rule as a toxic.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use support::{Answer, PATIENCE, Running, echo_server};

const TOXICS: &str = "/proxies/p/toxics";

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, begins: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with(begins), "{error}");
}

/// Asks, and returns the answer's status and JSON.
fn ask(running: &Running, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = running.ask(method, path, &body.to_string());
    (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// A socket that sends back what it gets, until the test ends.
fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    address
}

fn udp_client(to: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let mut answer = vec![0; bytes.len()];
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(bytes));
        stream.read_exact(&mut answer)
    })?;
    assert_eq!(answer, bytes);
    Ok(())
}

#[test]
fn a_udp_proxy_is_created_with_its_rules_in_one_call() {
    let running = Running::start();
    let body = json!({
        "name": "p", "upstream": udp_echo().to_string(), "listen": "127.0.0.1:0", "protocol": "udp",
        "toxics": [ { "type": "drop", "stream": "upstream", "attributes": { "every": 3 } },
                    { "type": "latency", "attributes": { "latency": 1 } } ],
        "seed": 5, "idle": "30s",
    });
    let (status, proxy) = ask(&running, "POST", "/proxies", &body);
    assert_eq!((status, &proxy["protocol"]), (201, &json!("udp")), "{proxy}");
    assert_eq!(
        names(&proxy["toxics"]),
        ["latency_downstream"],
        "what Toxiproxy's clients can read"
    );
    assert_eq!(names(&proxy["rules"]), ["drop_upstream", "latency_downstream"]);
    let client = udp_client(proxy["listen"].as_str().unwrap());
    for number in 1..=9_u8 {
        client.send(&[number]).unwrap();
    }
    let mut got = Vec::new();
    for _ in 0..6 {
        let mut buffer = [0; 8];
        assert_eq!(client.recv(&mut buffer).unwrap(), 1);
        got.push(buffer[0]);
    }
    assert_eq!(got, [1, 2, 4, 5, 7, 8], "each third datagram is lost");
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.recv(&mut [0; 8]).is_err());
    let state = running.ask("GET", "/state", "").json();
    let shown = &state["proxies"][0];
    assert_eq!(
        (&shown["protocol"], &shown["tcp"], &shown["seed"]),
        (&json!("udp"), &Value::Null, &json!(5))
    );

    // A rule on streams has nothing to act on, and the place says so.
    let stall = json!({ "type": "timeout" });
    let (status, said) = ask(&running, "POST", TOXICS, &stall);
    assert_eq!(status, 400);
    let said = said["error"].as_str().unwrap();
    assert!(said.contains("relays UDP alone; leave timeout out"), "{said}");
    let (status, said) = ask(&running, "POST", TOXICS, &json!({ "type": "noop" }));
    assert_eq!(status, 200, "what does nothing may stand anywhere: {said}");
    assert_eq!(running.ask("DELETE", "/proxies/p", "").status, 204);
}

#[test]
fn a_proxy_comes_with_all_that_it_is_asked_to_have_or_not_at_all() {
    let running = Running::start();
    let refused = |more: Value, begins: &str| {
        let mut body = json!({ "name": "p", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_problem(&running.ask("POST", "/proxies", &body.to_string()), 400, begins);
        let listed = running.ask("POST", "/populate", &json!([body]).to_string());
        assert_problem(&listed, 400, begins);
        assert!(listed.json()["error"].as_str().unwrap().ends_with(" at proxy 1"));
    };
    refused(
        json!({ "protocol": "sctp" }),
        "protocol: \"sctp\" is not relayed; write udp, tcp, both, socks5 or http-proxy",
    );
    for name in ["no-such-network", "/etc/passwd"] {
        let problem = format!("profile: there is no built-in profile \"{name}\"; ");
        refused(json!({ "profile": name }), &problem);
    }
    for name in [".", ".."] {
        refused(json!({ "name": name }), "name: no URL can name \".\" or \"..\"; write a letter");
    }
    refused(
        json!({ "profile": { "up": [ { "rule": "drop", "chance": "5" } ] } }),
        "profile.up[0].chance: \"5\" has no unit; write \"5%\"",
    );
    refused(
        json!({ "toxics": [ { "type": "drop", "attributes": { "chance": 7 } } ] }),
        "toxics[0].attributes.chance: ",
    );
    refused(
        json!({ "profile": "geo-satellite", "toxics": [ { "type": "noop" } ] }),
        "profile: the toxics are the route's profile already",
    );
    refused(json!({ "tcp": "vegas" }), "tcp: \"vegas\" is not a way to treat TCP");
    refused(json!({ "unit": "read" }), "unit: units are for raw streams");
    refused(json!({ "idle": 5 }), "idle: ");
    refused(json!({ "seed": -1 }), "seed: ");
    refused(json!({ "follow": true }), "follow: ");
    refused(
        json!({ "protocol": "udp", "toxics": [ { "type": "slicer" } ] }),
        "profile: route \"p\": rule \"slicer_downstream\" acts on TCP streams",
    );
    assert_eq!(running.ask("GET", "/proxies", "").body, "{}", "nothing of it was created");

    // What clients send of what they know not is no mistake.
    let body = json!({ "name": "q", "upstream": "u:1", "enabled": false, "toxics": [], "Logger": {},
                       "profile": null, "seed": null, "protocol": null, "tcp": null });
    let (status, proxy) = ask(&running, "POST", "/proxies", &body);
    assert_eq!(status, 201);
    let keys: Vec<&String> = proxy.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "listen", "upstream", "enabled", "toxics"], "as Toxiproxy prints it");
    for (tcp, shown) in [("model", "cubic"), ("reno", "reno"), ("cubic", "cubic"), ("raw", "raw")] {
        let body = json!({ "name": tcp, "upstream": "u:1", "enabled": false, "tcp": tcp });
        assert_eq!(ask(&running, "POST", "/proxies", &body).1["tcp"], json!(shown));
    }
    let body =
        json!({ "name": "sat", "upstream": "u:1", "enabled": false, "profile": "geo-satellite" });
    assert_eq!(ask(&running, "POST", "/proxies", &body).1["tcp"], json!("cubic"), "as in a file");
}

#[test]
fn every_rule_is_added_shown_changed_and_removed_as_a_toxic() {
    let running = Running::start();
    let listen = running.create("p", echo_server());
    let rate = json!({ "type": "rate", "stream": "both", "toxicity": 0.5,
                       "attributes": { "limit": "80Mbit/s", "queue": "100ms" } });
    let (status, toxic) = ask(&running, "POST", TOXICS, &rate);
    assert_eq!(
        (status, &toxic["name"], &toxic["stream"]),
        (200, &json!("rate_both"), &json!("both"))
    );
    assert_eq!(toxic["attributes"], rate["attributes"]);
    assert_eq!(running.ask("GET", TOXICS, "").body, "[]");
    let rules =
        |running: &Running| running.ask("GET", "/proxies/p/rules", "").json()["rules"].clone();
    assert_eq!(rules(&running)[0]["enabled"], json!(true));
    assert_eq!(names(&rules(&running)), ["rate_both"], "one toxic, listed once");
    let profile = running.ask("GET", "/proxies/p/profile", "").json();
    assert_eq!(profile["both"][0]["name"], json!("rate_both"), "a rule in each direction");
    assert_eq!(profile["both"][0]["flows"], json!("50%"));

    let one = "/proxies/p/toxics/rate_both";
    let (status, toxic) =
        ask(&running, "PATCH", one, &json!({ "attributes": { "limit": "1Gbit/s" } }));
    assert_eq!(status, 200);
    assert_eq!(toxic["attributes"], json!({ "limit": "1Gbit/s", "queue": "100ms" }));
    assert_eq!(running.ask("GET", one, "").json(), toxic);
    let before = running.ask("GET", "/state", "").body;
    for (method, path, body, begins) in [
        ("PATCH", one, json!({ "attributes": { "limit": "1" } }), "attributes.limit: "),
        (
            "PATCH",
            one,
            json!({ "attributes": { "no": 1 } }),
            "attributes.no: \"no\" is unknown here",
        ),
        (
            "POST",
            TOXICS,
            json!({ "type": "drop", "attributes": { "chance": "5" } }),
            "attributes.chance: ",
        ),
        (
            "POST",
            TOXICS,
            json!({ "type": "drop", "attributes": { "flows": "5%" } }),
            "attributes.flows: ",
        ),
        (
            "POST",
            TOXICS,
            json!({ "type": "packet_loss", "attributes": { "correlation": 0.2 } }),
            "attributes.correlation: ",
        ),
    ] {
        assert_problem(&running.ask(method, path, &body.to_string()), 400, begins);
    }
    assert_eq!(ask(&running, "POST", TOXICS, &rate).0, 409);
    assert_eq!(running.ask("GET", "/state", "").body, before, "nothing of it changed anything");
    exchange(&mut TcpStream::connect(listen).unwrap(), b"served").unwrap();
    assert_eq!(running.ask("DELETE", one, "").status, 204);
    assert_eq!(rules(&running), json!([]));
    let clean = running.ask("GET", "/proxies/p", "").json();
    assert!(clean.get("tcp").is_none() && clean.get("rules").is_none(), "{clean}");
}

#[test]
fn loss_on_a_proxy_of_toxiproxy_s_costs_time_and_no_byte() {
    let running = Running::start();
    let listen = running.create("p", echo_server());
    let mut before = TcpStream::connect(listen).unwrap();
    exchange(&mut before, b"begun").unwrap();
    let loss =
        json!({ "type": "packet_loss", "stream": "both", "attributes": { "loss_rate": 0.1 } });
    assert_eq!(ask(&running, "POST", TOXICS, &loss).0, 200);
    let proxy = running.ask("GET", "/proxies/p", "").json();
    assert_eq!((&proxy["tcp"], &proxy["listen"]), (&json!("cubic"), &json!(listen.to_string())));
    assert_eq!(names(&proxy["rules"]), ["packet_loss_both"]);
    assert!(exchange(&mut before, b"ended").is_err(), "connections that stood begin anew");
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n * 31 % 251) as u8).collect();
    exchange(&mut TcpStream::connect(listen).unwrap(), &bytes).unwrap();
    let summary = running.control.counters().unwrap();
    let lost: u64 = summary.links.iter().map(|link| link.discarded.values().sum::<u64>()).sum();
    assert!(lost > 5, "{lost} packets were lost on the way");
    // Who asked for raw streams has them broken.
    let raw = json!({ "name": "raw", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "tcp": "raw",
                      "unit": "read", "toxics": [ { "type": "drop", "attributes": { "every": 2 } } ] });
    assert_eq!(ask(&running, "POST", "/proxies", &raw).0, 201);
    let state = running.ask("GET", "/state", "").json();
    assert_eq!(
        (&state["proxies"][1]["tcp"], &state["proxies"][1]["unit"]),
        (&json!("raw"), &json!("read"))
    );
}

#[test]
fn a_reset_takes_toxics_away_and_leaves_the_proxy_its_own_weather() {
    let running = Running::start();
    let body = json!({ "name": "p", "upstream": "u:1", "listen": "127.0.0.1:0",
                       "profile": { "both": [ { "rule": "delay", "time": "5ms" } ],
                                    "up": [ { "rule": "stall", "after": "1000B" } ] } });
    assert_eq!(ask(&running, "POST", "/proxies", &body).0, 201);
    for toxic in
        [json!({ "type": "latency" }), json!({ "type": "drop", "attributes": { "every": 9 } })]
    {
        assert_eq!(ask(&running, "POST", TOXICS, &toxic).0, 200);
    }
    let rules =
        |running: &Running| running.ask("GET", "/proxies/p/rules", "").json()["rules"].clone();
    assert_eq!(
        names(&rules(&running)),
        ["delay", "stall", "latency_downstream", "drop_downstream"]
    );
    assert_eq!(running.ask("POST", "/reset", "").status, 204);
    assert_eq!(names(&rules(&running)), ["delay", "stall"]);
    let profile = running.ask("GET", "/proxies/p/profile", "").json();
    assert_eq!(profile, body["profile"]);
}

#[test]
fn a_profile_is_shown_and_set_unless_it_has_changed_meanwhile() {
    let running = Running::start();
    running.create("p", echo_server());
    let path = "/proxies/p/profile";
    let shown = running.ask("GET", path, "");
    assert_eq!((shown.status, shown.body.as_str()), (200, "{}"));
    let first = shown.header("etag").unwrap().to_owned();
    let profile = json!({ "both": [ { "rule": "delay", "time": "1ms" } ] });
    let set = |body: &Value, tag: &str| {
        running.ask_with("PUT", path, &[&format!("If-Match: {tag}")], &body.to_string())
    };
    let done = set(&profile, &first);
    assert_eq!((done.status, done.json()), (200, profile.clone()));
    let second = done.header("etag").unwrap().to_owned();
    assert_ne!(first, second);
    assert_problem(&set(&json!({}), &first), 412, "the proxy has changed meanwhile: its ETag is ");
    assert_eq!(running.ask("GET", path, "").json(), profile);
    assert_eq!(set(&profile, "*").header("etag"), Some(second.as_str()), "the same is no change");
    let named = running.ask("PUT", path, r#""geo-satellite""#);
    assert_eq!(named.status, 200, "{named:?}");
    let built_in = running.ask("GET", "/profiles", "").json();
    let built_in = built_in["profiles"].as_array().unwrap();
    let satellite = built_in.iter().find(|one| one["name"] == "geo-satellite").unwrap();
    assert_eq!(satellite["profile"], named.json());
    assert!(built_in.len() > 90 && !satellite["up"].as_array().unwrap().is_empty());
    for (body, begins) in [
        ("", "this is not JSON"),
        ("[]", "here belongs an object"),
        (r#""no-such""#, "there is no built-in profile \"no-such\""),
        (r#"{ "upp": [] }"#, "upp: \"upp\" is unknown here"),
        (r#"{ "up": [ { "rule": "rate", "trace": "/etc/hosts" } ] }"#, "up[0].trace: "),
    ] {
        let answer = running.ask("PUT", path, body);
        assert_problem(&answer, 400, begins);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(running.ask("GET", path, "").json(), named.json(), "nothing has changed");
    for method in ["GET", "PUT"] {
        assert_problem(
            &running.ask(method, "/proxies/q/profile", "{}"),
            404,
            "there is no proxy \"q\"",
        );
    }
}

#[test]
fn all_rules_are_switched_off_and_on() {
    let running = Running::start();
    running.create("p", echo_server());
    for (body, on) in
        [(r#"{"on": false}"#, false), (r#"{"on":false}"#, false), (r#"{"on":true}"#, true)]
    {
        let answer = running.ask("POST", "/rules", body);
        assert_eq!((answer.status, answer.json()), (200, json!({ "on": on })));
        assert_eq!(running.ask("GET", "/rules", "").json(), json!({ "on": on }));
        let state = running.ask("GET", "/state", "").json();
        assert_eq!((&state["rules_on"], &state["seed"]), (&json!(on), &json!(7)));
        assert_eq!(running.control.rules_are_on(), on);
    }
    for body in ["", "{}", "[]", r#"{"on": 1}"#, r#"{"on": null}"#] {
        assert_eq!(running.ask("POST", "/rules", body).status, 400, "{body}");
    }
}

#[test]
fn populate_takes_the_further_keys_and_leaves_what_is_there_alone() {
    let running = Running::start();
    let upstream = udp_echo().to_string();
    let list = |toxics: Value| json!([ { "name": "p", "listen": "127.0.0.1:0", "upstream": upstream, "protocol": "both", "toxics": toxics } ]);
    let drop = json!([ { "type": "drop", "attributes": { "every": 2 } } ]);
    let (status, done) = ask(&running, "POST", "/populate", &list(drop));
    assert_eq!((status, done.as_object().unwrap().len()), (201, 1));
    let listen = done["proxies"][0]["listen"].as_str().unwrap().to_owned();
    let mut again = list(json!([]));
    again[0]["listen"] = json!(listen);
    let (_, same) = ask(&running, "POST", "/populate", &again);
    assert_eq!(names(&same["proxies"][0]["rules"]), ["drop_downstream"]);
    // From both to one: the other way round the port might be taken by now.
    again[0]["protocol"] = json!("udp");
    let (status, other) = ask(&running, "POST", "/populate", &again);
    assert_eq!((status, &other["proxies"][0]["protocol"]), (201, &json!("udp")));
    assert_eq!(other["proxies"][0]["listen"], json!(listen));
    assert!(other["proxies"][0].get("rules").is_none(), "it is another one");
}

/// Many proxies come and go without waiting for each other or for names.
#[test]
fn creating_many_proxies_takes_as_long_for_each() {
    let running = Running::start();
    let create = |range: std::ops::Range<u32>| {
        let clock = jostle_common::clock::Clock::start();
        for number in range {
            let body = json!({ "name": number.to_string(), "listen": "127.0.0.1:0",
                               "upstream": "no-such-host.invalid:1" });
            assert_eq!(running.ask("POST", "/proxies", &body.to_string()).status, 201);
        }
        clock.now().since(jostle_common::time::Instant::START)
    };
    let (first, second) = (create(0..150), create(150..300));
    assert!(second < first * 6 + Duration::from_secs(1), "{first:?}, then {second:?}");
    for number in 0..300 {
        assert_eq!(running.ask("DELETE", &format!("/proxies/{number}"), "").status, 204);
    }
    assert_eq!(running.ask("GET", "/proxies", "").body, "{}");
}
