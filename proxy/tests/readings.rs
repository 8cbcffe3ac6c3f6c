//! Readings of the counters: of many routes a few at a time, and nothing of them twice or not at
//! all.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Running, wait_until};

#[test]
fn what_is_read_while_routes_go_adds_up() {
    const ROUTES: usize = 40;
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    let route = |number| {
        format!(
            r#"{{ "name": "r{number}", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}" }}"#
        )
    };
    let routes: Vec<String> = (0..ROUTES).map(route).collect();
    let running = Running::start(&routes.join(","));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for listener in &running.listeners {
        client.send_to(b"one", listener.address).unwrap();
    }
    let entered = |summary: &jostle_proxy::Summary| -> u64 {
        summary.links.iter().map(|link| link.entered).sum()
    };
    let control = running.control.clone();
    wait_until("a datagram for each", || entered(&control.counters().unwrap()) == ROUTES as u64);

    let (remover, readings) = (running.control.clone(), Arc::new(AtomicUsize::new(0)));
    let read = readings.clone();
    let removing = std::thread::spawn(move || {
        for (number, state) in remover.routes().unwrap().into_iter().enumerate() {
            // However the threads are scheduled, one reading ends between the first and the last.
            if number == ROUTES / 2 {
                wait_until("a reading", || read.load(Ordering::Acquire) > 0);
            }
            remover.remove(state.id, Duration::ZERO).unwrap();
        }
    });
    let mut names = ROUTES;
    while !removing.is_finished() || names > 0 {
        let summary = control.counters().unwrap();
        assert_eq!(entered(&summary), ROUTES as u64, "{summary:?}");
        assert_eq!(summary.links.len(), 2 * ROUTES);
        names = control.routes().unwrap().len();
        readings.fetch_add(1, Ordering::Release);
    }
    removing.join().unwrap();
    assert!(readings.load(Ordering::Acquire) > 1, "none with all routes gone");
    let snapshot = control.snapshot().unwrap();
    assert_eq!((snapshot.times.len(), entered(&snapshot.summary)), (2 * ROUTES, ROUTES as u64));
    assert!(snapshot.held_bytes.is_empty() && !snapshot.is_draining && snapshot.rules_on);
}
