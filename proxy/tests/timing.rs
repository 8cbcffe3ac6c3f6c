//! On the wire: 20 ms of delay at 1,000 packets/s are never early, and the median is less than 0.3
//! ms late.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::transport::Transport;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use support::{PATIENCE, Running};

const DELAY: Duration = Duration::from_millis(20);
const PACKETS: u32 = 2000;

/// Sends packets a millisecond apart on average, at random, and returns how late each came beyond
/// the delay, sorted.
fn latenesses() -> Vec<Duration> {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let upstream = server.local_addr().unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{upstream}",
            "profile": {{ "up": [ {{ "rule": "delay", "time": "20ms" }} ] }} }}"#
    ));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(proxy.address(Transport::Udp)).unwrap();
    let origin = Instant::now();
    let sender = std::thread::spawn(move || {
        let (mut at, mut random) = (0.0, 7u64);
        for _ in 0..PACKETS {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let uniform = ((random >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            at -= uniform.ln() * 1e-3;
            while let Some(wait) = Duration::from_secs_f64(at)
                .checked_sub(origin.elapsed())
                .filter(|wait| !wait.is_zero())
            {
                std::thread::park_timeout(wait);
            }
            client.send(&(origin.elapsed().as_nanos() as u64).to_be_bytes()).unwrap();
        }
    });
    let mut late: Vec<Duration> = (0..PACKETS)
        .map(|_| {
            let mut sent = [0; 8];
            assert_eq!(server.recv(&mut sent).unwrap(), 8);
            let took = origin.elapsed() - Duration::from_nanos(u64::from_be_bytes(sent));
            took.checked_sub(DELAY).unwrap_or_else(|| panic!("{took:?} is early"))
        })
        .collect();
    sender.join().unwrap();
    let summary = proxy.stop();
    assert_eq!(summary.links[0].delivered, u64::from(PACKETS));
    eprintln!("the proxy's own account: {:?}", summary.links[0].lateness);
    late.sort_unstable();
    late
}

#[test]
fn a_delay_of_20_ms_is_never_early_and_hardly_late() {
    let mut medians = Vec::new();
    // A busy machine may spoil one attempt; that it is never early holds in all.
    for _ in 0..3 {
        let late = latenesses();
        let (median, p99) = (late[late.len() / 2], late[late.len() * 99 / 100]);
        eprintln!("late by p50 {median:?}, p99 {p99:?}, max {:?}", late[late.len() - 1]);
        if median < Duration::from_micros(300) {
            return;
        }
        medians.push(median);
    }
    panic!("late by {medians:?}");
}
