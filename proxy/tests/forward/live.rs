//! Routes that change while clients say where they want to go, and what is told of these.

use crate::client::*;
use crate::support::{PATIENCE, Running, route};
use jostle_engine::profile::Profile;
use jostle_proxy::{FlowEvent, Observed, Settled, Sink};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

fn delayed(time: &str) -> Profile {
    let text = format!(r#"{{ "both": [ {{ "rule": "delay", "time": "{time}" }} ] }}"#);
    Profile::from_json(&text).unwrap()
}

#[test]
fn rules_may_come_and_go_while_a_client_says_where_it_wants_to_go() {
    let proxy = forward("socks5", "");
    let id = proxy.control.routes().unwrap()[0].id;
    for (number, profile) in
        [delayed("1ms"), Profile::default(), delayed("2ms")].into_iter().enumerate()
    {
        let (target, server) = serve_once(pattern(50_000));
        let mut stream = connect(&proxy);
        let request = socks_request("127.0.0.1", target.port());
        stream.write_all(&request[..7]).unwrap();
        let mut greeted = [0; 2];
        stream.read_exact(&mut greeted).unwrap();
        proxy.control.set_profile(id, profile).unwrap();
        stream.write_all(&request[7..]).unwrap();
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], [5, 0], "{number}");
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(read_all(&mut stream) == pattern(50_000), "{number}");
        server.join().unwrap();
    }
    let summary = proxy.stop();
    assert_eq!(count(&summary, "finished"), 3);
    assert!(links(&summary)[0].entered > 0, "some crossed the links");
}

#[test]
fn a_route_that_is_replaced_asks_by_what_it_says_now() {
    let (target, server) = serve_once(b"there".to_vec());
    let proxy = forward("socks5", "");
    let state = proxy.control.routes().unwrap()[0].clone();
    let listen = state.listeners[0].address;
    let mut waiting = connect(&proxy);
    waiting.write_all(&[5, 1, 0]).unwrap();
    let mut greeted = [0; 2];
    waiting.read_exact(&mut greeted).unwrap();
    let replaced = route(&format!(
        r#"{{ "name": "1", "listen": "socks5://{listen}", "target": "127.0.0.9", "user": "a:b" }}"#
    ));
    proxy.control.replace(state.id, replaced, PATIENCE).unwrap();
    // It has not been asked for a user, and is held to the targets that hold now.
    waiting.write_all(&socks_request("127.0.0.1", target.port())[3..]).unwrap();
    let mut answer = [0; 10];
    waiting.read_exact(&mut answer).unwrap();
    assert_eq!(answer[1], 2);
    let mut new = connect(&proxy);
    new.write_all(&[5, 1, 0]).unwrap();
    assert_eq!(read_all(&mut new), [5, 0xff], "who comes now names a user");
    let back = Running::start(r#"{ "listen": "socks5://127.0.0.1:0" }"#);
    let mut stream = through_socks(&back, target);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut stream), b"there");
    server.join().unwrap();
}

/// Keeps what it is told of flows.
#[derive(Clone, Default)]
struct Observer(Arc<Mutex<Vec<String>>>);

impl Sink for Observer {
    fn record(&mut self, _: &Settled<'_>) {}

    fn observes(&self) -> bool {
        true
    }

    fn observe(&mut self, observed: &Observed<'_>) {
        let told = match observed.event {
            FlowEvent::Opened { .. } => "opened".to_owned(),
            FlowEvent::AskedFor(target) => target.to_string(),
            FlowEvent::Connected => "connected".to_owned(),
            FlowEvent::Closed => "closed".to_owned(),
            _ => return,
        };
        self.0.lock().unwrap().push(format!("{} {told}", observed.flow));
    }
}

#[test]
fn what_was_asked_for_is_told_and_listed_and_what_was_not_has_no_number() {
    let observer = Observer::default();
    let mut settings = crate::support::settings(r#"{ "listen": "socks5://127.0.0.1:0" }"#);
    settings.sinks.push(Box::new(observer.clone()));
    let proxy = Running::with(settings);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut nonsense = connect(&proxy);
    nonsense.write_all(b"nonsense").unwrap();
    assert_eq!(read_all(&mut nonsense), b"");
    let mut stream = connect(&proxy);
    stream.write_all(&socks_request("LocalHost.", port)).unwrap();
    assert_eq!(socks_reply(&mut stream), 0);
    let (server, _) = listener.accept().unwrap();
    let id = proxy.control.routes().unwrap()[0].id;
    let flows = proxy.control.flows(id, 0).unwrap().flows;
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0].id.number, 1);
    assert_eq!(flows[0].target.as_ref().unwrap().to_string(), format!("localhost:{port}"));
    assert_eq!(flows[0].upstream, Some(listener.local_addr().unwrap()));
    assert_eq!(flows[0].client, stream.local_addr().unwrap());
    proxy.control.close_flow(id, flows[0].id).unwrap();
    assert_eq!(read_all(&mut stream), b"");
    drop((server, stream));
    crate::support::wait_until("its end", || {
        observer.0.lock().unwrap().last().is_some_and(|last| last == "1 closed")
    });
    let target = format!("1 localhost:{port}");
    let told = ["1 opened", &target, "1 connected", "1 closed"];
    assert_eq!(*observer.0.lock().unwrap(), told);
}
