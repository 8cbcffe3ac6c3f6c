//! Clients that are slow to say where they want to go, and what they cost others.

use crate::client::*;
use crate::support::{Running, settings, wait_until};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn who_does_not_say_in_time_where_to_go_is_closed() {
    let mut settings = settings(r#"{ "listen": "socks5://127.0.0.1:0" }"#);
    settings.negotiation_timeout = Duration::from_millis(300);
    let proxy = Running::with(settings);
    let begun = Instant::now();
    let (silent, mut half) = (connect(&proxy), connect(&proxy));
    half.write_all(&[5, 1, 0, 5, 1]).unwrap();
    for mut stream in [silent, half] {
        let said = read_all(&mut stream);
        assert!(said.is_empty() || said == [5, 0], "{said:?}");
        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    }
    let summary = proxy.stop();
    assert_eq!(["negotiation_timed_out", "asked"].map(|name| count(&summary, name)), [2, 0]);
}

#[test]
fn a_thousand_slow_handshakes_cost_nobody_else_anything() {
    let proxy =
        forward("socks5", r#", "profile": { "both": [ { "rule": "delay", "time": "1ms" } ] }"#);
    // Each has one descriptor here, one at the proxy, and one that is kept for its target.
    let many = (jostle_sys::raise_descriptor_limit() / 8).min(1000) as u64;
    let slow: Vec<_> = (0..many)
        .map(|number| {
            let mut stream = connect(&proxy);
            let some = 1 + number as usize % 9;
            stream.write_all(&socks_request("localhost", 80)[..some]).unwrap();
            stream
        })
        .collect();
    let negotiating = |proxy: &Running| count(&proxy.control.counters().unwrap(), "negotiating");
    wait_until("all that negotiate", || negotiating(&proxy) == many);
    for _ in 0..20 {
        let (target, server) = serve_once(pattern(1000));
        let mut stream = through_socks(&proxy, target);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut stream), pattern(1000));
        server.join().unwrap();
    }
    let summary = proxy.control.counters().unwrap();
    let counts = ["negotiating", "asked", "crowded_out", "connections_open"];
    let [negotiating_now, asked, crowded_out, _] = counts.map(|name| count(&summary, name));
    assert_eq!([negotiating_now, asked, crowded_out], [many, 20, 0]);
    assert!(
        proxy.control.flows(proxy.control.routes().unwrap()[0].id, 0).unwrap().flows.len() <= 20
    );
    drop(slow);
    wait_until("the end of the slow ones", || negotiating(&proxy) == 0);
}

#[test]
fn a_drain_ends_who_has_said_nothing_and_serves_who_has_begun() {
    let (target, server) = serve_once(b"done".to_vec());
    let proxy = forward("socks5", "");
    let mut silent = connect(&proxy);
    let mut begun = connect(&proxy);
    let request = socks_request("127.0.0.1", target.port());
    begun.write_all(&request[..5]).unwrap();
    let mut greeted = [0; 2];
    begun.read_exact(&mut greeted).unwrap();
    assert_eq!(greeted, [5, 0]);
    let control = proxy.control.clone();
    control.stop_within(Duration::from_secs(20));
    assert_eq!(read_all(&mut silent), b"");
    begun.write_all(&request[5..]).unwrap();
    let mut answer = [0; 10];
    begun.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..2], [5, 0]);
    begun.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut begun), b"done");
    server.join().unwrap();
    let summary = proxy.stop();
    assert_eq!(["finished", "cut"].map(|name| count(&summary, name)), [1, 0]);
}
