//! Each datagram has one fate, and the counters, the event log and a sink tell the same of it:
//! whatever refuses it, and whether that is before the link, in it or behind it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{LinkSummary, Summary};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use support::{Brake, Log, Running, Tally, assert_conserved, counted, wait_until};

/// How many datagrams meet the fate that a test is about, or nearly.
const MANY: u64 = 100_000;

/// How many datagrams may be under way to the proxy: its socket's buffer holds as many.
const WINDOW: u64 = 50;

/// A proxy whose fates are counted in three ways.
struct Counted {
    proxy: Running,
    tally: Tally,
    log: Log,
}

impl Counted {
    fn start(route: &str) -> Self {
        let (tally, log) = (Tally::default(), Log::default());
        let mut settings = support::settings(route);
        settings.events = Some(Box::new(log.clone()));
        settings.sinks = vec![Box::new(tally.clone())];
        Self { proxy: Running::with(settings), tally, log }
    }

    fn address(&self) -> SocketAddr {
        self.proxy.address(Transport::Udp)
    }

    /// Sends `count` datagrams, one for each fate that comes, and waits for all fates but `held`.
    fn send(&self, sockets: &[UdpSocket], payload: &[u8], count: u64, held: u64) {
        let before = self.tally.total();
        for sent in 0..count {
            if sent % 16 == 0 {
                let known = || self.tally.total() - before;
                wait_until("a fate", || known() + held.min(sent) + WINDOW >= sent);
            }
            let socket = &sockets[sent as usize % sockets.len()];
            socket.send_to(payload, self.address()).unwrap();
        }
        wait_until("the last fate", || self.tally.total() - before + held >= count);
    }

    /// Stops it, and checks that all three tell the same.
    fn stop(self) -> Summary {
        let summary = self.proxy.stop();
        assert_conserved(&summary);
        assert_eq!(summary.events_lost, 0);
        let counted = counted(&summary);
        assert_eq!(self.tally.fates(), counted, "the sink and the counters");
        assert_eq!(self.log.fates(), counted, "the event log and the counters");
        summary
    }
}

fn sockets(count: usize, address: &str) -> Vec<UdpSocket> {
    (0..count).map(|_| UdpSocket::bind(address).unwrap()).collect()
}

fn up(summary: &Summary) -> &LinkSummary {
    summary.link("1", Transport::Udp, Direction::Up).unwrap()
}

#[test]
fn a_full_queue() {
    let [server] = [(); 1].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let counted = Counted::start(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}", "profile": {{ "up": [
            {{ "rule": "rate", "limit": "1kbit/s", "queue": "10packets" }} ] }} }}"#,
        server.local_addr().unwrap()
    ));
    // 11 at most are held: the queue, and what is in service.
    counted.send(&sockets(1, "127.0.0.1:0"), &[7; 100], MANY, 11);
    let summary = counted.stop();
    let link = up(&summary);
    assert!(link.discarded["queue_full"] >= MANY - 100, "{link:?}");
    assert_eq!((link.entered, link.bytes_in), (MANY, 100 * MANY));
}

#[test]
fn a_datagram_that_is_too_big_for_the_way_out() {
    let Ok(client) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    };
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let counted = Counted::start(&format!(
        r#"{{ "listen": "udp://[::1]:0", "upstream": "{}" }}"#,
        server.local_addr().unwrap()
    ));
    let client = [client];
    counted.send(&client, &[7; 100], 10, 0);
    // IPv6 takes it, IPv4 takes 65,507 bytes.
    counted.send(&client, &[7; 65_520], MANY, 0);
    let summary = counted.stop();
    let link = up(&summary);
    assert_eq!((link.discarded["too_big"], link.delivered), (MANY, 10), "{link:?}");
    assert_eq!((link.bytes_in, link.bytes_out), (MANY * 65_520 + 1000, 1000));
    assert_eq!(summary.socket_count("1", Transport::Udp, "too_big"), MANY);
}

#[test]
fn an_answer_from_elsewhere() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let counted = Counted::start(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}", "follow": true }}"#,
        server.local_addr().unwrap()
    ));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hello", counted.address()).unwrap();
    let peer = server.recv_from(&mut [0; 10]).unwrap().1;
    let peer = SocketAddr::new([127, 0, 0, 1].into(), peer.port());
    let stranger = UdpSocket::bind("127.0.0.9:0").unwrap();
    for sent in 0..1000 {
        wait_until("a fate", || counted.tally.total() + WINDOW >= sent);
        stranger.send_to(b"psst", peer).unwrap();
    }
    wait_until("the last fate", || counted.tally.total() == 1001);
    let summary = counted.stop();
    let down = summary.link("1", Transport::Udp, Direction::Down).unwrap();
    assert_eq!((down.entered, down.discarded["foreign"], down.bytes_in), (1000, 1000, 4000));
}

#[test]
#[cfg(target_os = "linux")]
fn what_the_kernel_drops() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tally, log) = (Tally::default(), Log::default());
    let (release, braked) = mpsc::channel();
    let mut settings = support::settings(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}" }}"#,
        server.local_addr().unwrap()
    ));
    settings.events = Some(Box::new(log.clone()));
    settings.sinks = vec![Box::new(tally.clone()), Box::new(Brake(braked))];
    let counted = Counted { proxy: Running::with(settings), tally, log };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = || client.send_to(&[7; 1000], counted.address()).unwrap();
    send();
    wait_until("the loop to stand still", || counted.tally.total() == 1);
    // The buffer holds less than 16 MB of them, whatever the system's limits are.
    let sent = MANY + 16_000;
    (0..sent).for_each(|_| {
        send();
    });
    drop(release);
    // Nothing more is sent: no read tells of what was dropped behind the last one that was queued.
    let total = || counted.tally.total();
    wait_until("the counts to agree", || {
        let link = counted.proxy.control.counters().unwrap();
        let link = up(&link);
        link.entered + link.missed_by_kernel.unwrap() == 1 + sent && total() == link.entered
    });
    let summary = counted.stop();
    let link = up(&summary);
    let missed = link.missed_by_kernel.unwrap();
    assert!(missed >= MANY, "{link:?}");
    assert_eq!(link.entered + missed, 1 + sent);
    assert_eq!(link.bytes_in, 1000 * link.entered);
}

#[test]
#[cfg(target_os = "linux")]
fn what_the_kernel_drops_in_front_of_a_flow_is_counted_when_the_flow_closes() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tally, log) = (Tally::default(), Log::default());
    let (release, braked) = mpsc::channel();
    let mut settings = support::settings(&format!(
        r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{}", "idle": "500ms" }}"#,
        server.local_addr().unwrap()
    ));
    settings.events = Some(Box::new(log.clone()));
    settings.sinks = vec![Box::new(tally.clone()), Box::new(Brake(braked))];
    let counted = Counted { proxy: Running::with(settings), tally, log };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"question", counted.address()).unwrap();
    let (_, flow) = server.recv_from(&mut [0; 10]).unwrap();
    wait_until("the loop to stand still", || counted.tally.total() == 1);
    let sent = MANY + 16_000;
    (0..sent).for_each(|_| {
        server.send_to(&[7; 1000], flow).unwrap();
    });
    drop(release);
    let closed = || {
        let summary = counted.proxy.control.counters().unwrap();
        summary.socket_count("1", Transport::Udp, "flows_idle") == 1
    };
    wait_until("the flow to be forgotten", closed);
    let summary = counted.stop();
    let down = summary.link("1", Transport::Udp, Direction::Down).unwrap();
    assert!(down.missed_by_kernel.unwrap() >= MANY, "{down:?}");
    assert_eq!(down.entered + down.missed_by_kernel.unwrap(), sent);
}

#[test]
fn a_portable_proxy_does_not_claim_to_know_what_the_kernel_drops() {
    let mut settings =
        support::settings(r#"{ "listen": "both://127.0.0.1:0", "upstream": "127.0.0.1:9" }"#);
    settings.portable = true;
    let summary = Running::with(settings).stop();
    for link in &summary.links {
        let known = (link.protocol == Transport::Tcp).then_some(0);
        assert_eq!(link.missed_by_kernel, known, "{link:?}");
    }
}
