//! The eight scenarios of quic-network-simulator on real sockets, all at once: what a client and a
//! server see is what their lines say.

use super::{PATIENCE, client, socket};
use crate::support::{Running, assert_conserved, settings};
use jostle_common::chance::Direction;
use jostle_common::time::Instant as Virtual;
use jostle_common::transport::Transport;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Profile;
use jostle_engine::profile::imports::from_quic_sim;
use jostle_engine::stage::{Output, Stage as _};
use jostle_proxy::{Fate, LinkSummary, Settled, Sink};
use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SCENARIOS: [(&str, &str); 8] = [
    ("simple-p2p", ""),
    ("drop-rate", "--rate_to_client=20 --rate_to_server=30"),
    ("droplist", "--drops_to_server=5,9"),
    ("corrupt-rate", "--rate_to_client=0 --rate_to_server=25"),
    // Again and again: whoever sleeps through the dark once meets it later.
    ("blackhole", "--on=150ms --off=100ms --direction=toserver --repeat=80"),
    ("rebind", "--first-rebind=200ms"),
    ("tcp-cross-traffic", ""),
    ("udp-cross-traffic", "--crossdatarate=2Mbps"),
];

const PACKETS: usize = 100;
const PAYLOAD: usize = 200;

/// What is known of the datagrams to the server on the route that goes dark.
#[derive(Debug, Default)]
struct Dark {
    /// When the first came.
    begun: Option<Virtual>,
    /// When each had crossed the line, at the end of which it may be dark, and whether it was lost;
    /// by number.
    fates: BTreeMap<u64, (Virtual, bool)>,
}

#[derive(Clone, Debug, Default)]
struct Watcher(Arc<Mutex<Dark>>);

impl Sink for Watcher {
    fn record(&mut self, settled: &Settled<'_>) {
        if settled.route == "blackhole" && settled.direction == Direction::Up {
            let (packet, mut dark) = (settled.packet, self.0.lock().unwrap());
            let begun = dark.begun.map_or(packet.entered, |begun| begun.min(packet.entered));
            dark.begun = Some(begun);
            let is_lost = matches!(settled.fate, Fate::Discarded(_));
            dark.fates.insert(packet.number, (packet.at, is_lost));
        }
    }
}

/// The ends of one route, and what they have seen.
struct Ends {
    client: UdpSocket,
    server: UdpSocket,
    /// The payloads that the server got, in order.
    served: Vec<Vec<u8>>,
    /// Where they came from.
    ports: BTreeSet<u16>,
    answered: usize,
}

impl Ends {
    /// Takes all that is there; the server answers each.
    fn take(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = self.server.recv_from(&mut buffer) {
            self.served.push(buffer[..length].to_vec());
            self.ports.insert(from.port());
            let _ = self.server.send_to(&buffer[..length], from);
        }
        while self.client.recv(&mut buffer).is_ok() {
            self.answered += 1;
        }
    }

    /// Returns the numbers of the datagrams that did not come.
    fn missing(&self, sent: usize) -> Vec<usize> {
        let number = |payload: &Vec<u8>| u16::from_be_bytes([payload[198], payload[199]]);
        let came: BTreeSet<usize> =
            self.served.iter().map(|one| usize::from(number(one))).collect();
        (1..=sent).filter(|number| !came.contains(number)).collect()
    }
}

/// A datagram that says its number at its end, where no rule here touches it.
fn datagram(number: usize) -> Vec<u8> {
    let mut payload = vec![0xA5; PAYLOAD];
    payload[198..].copy_from_slice(&(number as u16).to_be_bytes());
    payload
}

fn profile(name: &str, more: &str) -> String {
    let line = format!("{name} --delay=15ms --bandwidth=10Mbps --queue=25 {more}");
    from_quic_sim(&line).unwrap().profile
}

/// Returns how many of so many packets the rules of a route drop and damage upwards: by their
/// numbers, whenever they come.
fn foretold(name: &str, more: &str, packets: usize) -> (usize, usize) {
    let profile = Profile::from_json(&profile(name, more)).unwrap();
    let [mut link, _] = Link::both(&profile, 7, name);
    let (mut dropped, mut damaged) = (0, 0);
    for number in 1..=packets {
        let at = Virtual::from_millis(number as u64 * 5);
        link.handle(Packet::new(1, at, Body::data(datagram(number))));
        while let Some(at) = link.deadline() {
            match link.poll(at) {
                Some(Output::Discard(..)) => dropped += 1,
                Some(Output::Deliver(packet)) => damaged += usize::from(packet.is_damaged()),
                None => {}
            }
        }
    }
    (dropped, damaged)
}

#[test]
fn the_scenarios_of_the_quic_network_simulator_are_what_they_say() {
    let servers = SCENARIOS.map(|_| socket("127.0.0.1:0"));
    let routes = SCENARIOS.iter().zip(&servers).map(|((name, more), server)| {
        let upstream = server.local_addr().unwrap();
        let profile = profile(name, more);
        format!(
            r#"{{ "name": "{name}", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}", "profile": {profile} }}"#
        )
    });
    let watcher = Watcher::default();
    let mut settings = settings(&routes.collect::<Vec<_>>().join(", "));
    settings.sinks = vec![Box::new(watcher.clone())];
    let proxy = Running::with(settings);
    let addresses: Vec<_> = proxy.listeners.iter().map(|listener| listener.address).collect();
    let mut ends: Vec<Ends> = servers
        .into_iter()
        .zip(addresses)
        .map(|(server, address)| {
            let client = client(address);
            client.set_nonblocking(true).unwrap();
            server.set_nonblocking(true).unwrap();
            Ends { client, server, served: Vec::new(), ports: BTreeSet::new(), answered: 0 }
        })
        .collect();
    let begun = Instant::now();
    let mut sent = 0;
    // Until the line that goes dark is lit again, and the flow that moves has moved.
    let is_over = |ends: &[Ends], sent: usize| {
        let dark = ends[4].missing(sent);
        let lit_again = dark.iter().zip(dark.iter().skip(1)).any(|(one, next)| next - one > 1);
        sent >= PACKETS && !dark.is_empty() && lit_again && ends[5].ports.len() > 1
    };
    while !is_over(&ends, sent) {
        assert!(begun.elapsed() < PATIENCE, "it does not happen: {sent} sent");
        sent += 1;
        for ends in &mut ends {
            ends.client.send(&datagram(sent)).unwrap();
        }
        std::thread::park_timeout(Duration::from_millis(3));
        ends.iter_mut().for_each(Ends::take);
    }
    // Until everything has its fate.
    let links = |name: &str| -> [LinkSummary; 2] {
        let summary = proxy.control.counters().unwrap();
        Direction::BOTH.map(|way| summary.link(name, Transport::Udp, way).unwrap().clone())
    };
    crate::support::wait_until("the end", || {
        ends.iter_mut().for_each(Ends::take);
        SCENARIOS.iter().zip(&ends).all(|((name, _), ends)| {
            let [up, down] = links(name);
            up.entered == sent as u64
                && up.held == 0
                && down.held == 0
                && ends.served.len() as u64 == up.delivered
                && down.entered >= up.delivered
                && ends.answered as u64 == down.delivered
        })
    });
    let of = |name: &str| SCENARIOS.iter().position(|(known, _)| *known == name).unwrap();
    for (name, _) in SCENARIOS {
        let [up, down] = links(name);
        // 230 bytes at 10 Mbit/s, and 15 ms.
        let least = 15.18;
        assert!(up.delay.p50_ms >= least * 0.99 && down.delay.p50_ms >= least * 0.99, "{name}");
        if name == "tcp-cross-traffic" {
            assert!(down.delay.max_ms > 20.0, "the stream's queue is theirs too: {:?}", down.delay);
        }
        let crossed = down.cross.map_or(0, |cross| cross.delivered);
        assert_eq!(
            (up.cross.is_none(), crossed > 10),
            (true, name == "tcp-cross-traffic"),
            "{name}"
        );
    }
    for name in ["simple-p2p", "rebind", "tcp-cross-traffic", "udp-cross-traffic"] {
        assert!(ends[of(name)].missing(sent).is_empty(), "{name} loses nothing to the server");
    }
    let (dropped, _) = foretold(SCENARIOS[1].0, SCENARIOS[1].1, sent);
    assert_eq!(ends[of("drop-rate")].missing(sent).len(), dropped, "by number, whenever they come");
    assert_eq!(ends[of("droplist")].missing(sent), [5, 9]);
    let (_, damaged) = foretold(SCENARIOS[3].0, SCENARIOS[3].1, sent);
    let corrupt = &ends[of("corrupt-rate")];
    let hits = |payload: &Vec<u8>| payload[..198].iter().filter(|byte| **byte != 0xA5).count();
    assert!(corrupt.served.iter().all(|payload| hits(payload) <= 1 && payload.len() == PAYLOAD));
    assert_eq!(corrupt.served.iter().filter(|payload| hits(payload) == 1).count(), damaged);
    // Lost is what comes to the end of the line in the dark, to the nanosecond, and nothing else.
    let dark = watcher.0.lock().unwrap();
    let lost = dark.fates.iter().filter(|(_, (_, is_lost))| *is_lost);
    let lost: Vec<usize> = lost.map(|(number, _)| *number as usize).collect();
    assert_eq!(ends[of("blackhole")].missing(sent), lost);
    for (number, (at, is_lost)) in &dark.fates {
        let elapsed = at.since(dark.begun.unwrap()).as_nanos();
        assert_eq!(elapsed % 250_000_000 >= 150_000_000, *is_lost, "{number}: {elapsed} ns");
    }
    // There is light on both sides of some.
    assert!(
        lost[0] > 1
            && dark
                .fates
                .iter()
                .any(|(number, (_, is_lost))| { *number as usize > lost[0] && !is_lost })
    );
    drop(dark);
    assert_eq!(ends[of("rebind")].ports.len(), 2, "it moved once");
    let summary = proxy.stop();
    assert_conserved(&summary);
}
