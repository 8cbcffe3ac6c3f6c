//! What a journal tells is played again.

use crate::{File, Running};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_control::{History, Journal};
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::{Profile, no_files};
use jostle_engine::stage::{Output, Stage};
use jostle_proxy::{Fate, Loss, Settled, Sink};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What became of a packet, as the event log would tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    direction: bool,
    number: u64,
    copy: u64,
    at: u64,
    reason: Option<&'static str>,
    rules: Vec<String>,
}

/// A packet as it entered.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Instant,
    flow: u32,
    size: u32,
}

type Arrivals = [BTreeMap<u64, Arrival>; 2];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<(Arrivals, Vec<Told>)>>);

impl Sink for Log {
    fn record(&mut self, settled: &Settled<'_>) {
        let Settled { direction, packet, fate, .. } = settled;
        let reason = match fate {
            Fate::Delivered => None,
            Fate::Discarded(Loss::Link(reason)) => Some(reason.name()),
            // What the sockets refused left the link all the same.
            Fate::Discarded(Loss::Orphaned | Loss::NoBuffer | Loss::TooBig | Loss::SendFailed) => {
                None
            }
            // This never entered.
            Fate::Discarded(_) => return,
        };
        let mut rules: Vec<String> = settled.rules().map(str::to_owned).collect();
        rules.sort();
        let arrival = Arrival { at: packet.entered, flow: packet.flow, size: packet.size() };
        let mut log = self.0.lock().unwrap();
        log.0[direction.index()].insert(packet.number, arrival);
        log.1.push(Told {
            direction: *direction == Direction::Up,
            number: packet.number,
            copy: u64::from(packet.copy()),
            at: packet.at.as_nanos(),
            reason,
            rules,
        });
    }
}

/// Lets the recorded arrivals cross links of a profile in virtual time.
fn virtually(profile: &Profile, seed: u64, name: &str, arrivals: &Arrivals) -> Vec<Told> {
    let mut links = Link::both(profile, seed, name);
    let mut all: Vec<(Arrival, usize)> = Vec::new();
    for (way, arrivals) in arrivals.iter().enumerate() {
        all.extend(arrivals.values().map(|arrival| (*arrival, way)));
    }
    all.sort_by_key(|(arrival, way)| (arrival.at, *way));
    let mut told = Vec::new();
    let mut take = |link: &Link, way: usize, output: &Output| {
        let packet = output.packet();
        let reason = match output {
            Output::Deliver(_) => None,
            Output::Discard(_, reason) => Some(reason.name()),
        };
        let places = (0..64).filter(|place| packet.trace.rules & (1 << place) != 0);
        let mut rules: Vec<String> = places.map(|place| link.rule_key(place).to_owned()).collect();
        rules.sort();
        let (number, copy) = (packet.number, u64::from(packet.copy()));
        told.push(Told {
            direction: way == Direction::Up.index(),
            number,
            copy,
            at: packet.at.as_nanos(),
            reason,
            rules,
        });
    };
    for (arrival, way) in all {
        links.iter_mut().for_each(|link| link.begin(arrival.at));
        while let Some(output) = links[way].poll(arrival.at) {
            take(&links[way], way, &output);
        }
        let body = Body::data(vec![0; arrival.size as usize]);
        links[way].handle(Packet::new(arrival.flow, arrival.at, body));
    }
    for (way, link) in links.iter_mut().enumerate() {
        while let Some(output) = link.poll(Instant::from_nanos(u64::MAX)) {
            take(link, way, &output);
        }
    }
    told
}

/// What is done by hand, one after the other.
const BY_HAND: [&str; 20] = [
    r#"{ "both": [ { "rule": "drop", "chance": "5%" } ] }"#,
    r#"{ "both": [ { "rule": "drop", "chance": "25%" } ] }"#,
    r#"{ "both": [ { "rule": "drop", "chance": "25%" }, { "rule": "delay", "time": "8ms" } ] }"#,
    r#"{ "both": [ { "rule": "delay", "time": "8ms", "jitter": "4ms", "memory": "5ms" } ] }"#,
    r#"{ "up": [ { "rule": "drop", "burst": { "mean": "20%", "length": 4 } } ], "down": [] }"#,
    "off",
    "on",
    r#"{ "up": [ { "rule": "drop", "burst": { "mean": "30%", "length": "5ms" } } ] }"#,
    r#"{ "both": [ { "rule": "rate", "limit": "400kbit/s", "queue": "20ms" } ] }"#,
    r#"{ "both": [ { "rule": "rate", "limit": "300kbit/s", "queue": "5 packets" },
        { "rule": "duplicate", "chance": "20%" } ] }"#,
    r#"{ "up": [ { "rule": "duplicate", "chance": "30%", "gap": "3ms" } ],
        "down": [ { "rule": "reorder", "chance": "30%", "behind": 2, "at_most": "9ms" } ] }"#,
    "off",
    r#"{ "up": [ { "rule": "drop", "chance": "90%" } ] }"#,
    "on",
    r#"{ "up": [ { "rule": "reorder", "chance": "40%", "behind": 3, "at_most": "20ms" } ],
        "phases": [ { "for": "3ms" }, { "for": "4ms", "both": [ { "rule": "drop", "chance": "50%" } ] } ],
        "then": "repeat" }"#,
    r#"{ "both": [ { "rule": "outage", "up": "6ms", "down": "3ms", "random": true } ] }"#,
    r#"{ "both": [ { "rule": "outage", "up": "6ms", "down": "3ms", "hold": true } ] }"#,
    r#"{ }"#,
    r#"{ "both": [ { "rule": "batch", "window": "7ms" }, { "rule": "drop", "every": 7 } ] }"#,
    r#"{ "both": [ { "rule": "drop", "chance": "5%" }, { "rule": "delay", "time": "2ms" } ] }"#,
];

/// Twenty changes under traffic; the journal's profile does to the recorded arrivals, in virtual
/// time, what was done to each packet.
#[test]
fn what_was_done_by_hand_is_played_again_packet_by_packet() {
    for seed in [1, 7, 2026] {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let route = format!(
            r#"{{ "name": "game", "listen": "udp://127.0.0.1:0", "upstream": "{}",
                "profile": {{ "both": [ {{ "rule": "delay", "time": "1ms" }} ] }} }}"#,
            server.local_addr().unwrap()
        );
        let (log, file) = (Log::default(), File::default());
        let running = Running::start(&route, seed, vec![Box::new(log.clone())]);
        let journal = Journal::start(&running.registry, seed, Box::new(file.clone())).unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            server.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            let echo = scope.spawn(move || {
                let mut buffer = [0; 2000];
                let mut idle = 0;
                while idle < 10 {
                    match server.recv_from(&mut buffer) {
                        Ok((length, from)) => drop(server.send_to(&buffer[..length], from)),
                        Err(_) => idle += 1,
                    }
                }
            });
            let at = running.at;
            let sender = scope.spawn(move || {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                let mut size = 40;
                while stopped.recv_timeout(Duration::from_micros(300))
                    == Err(RecvTimeoutError::Timeout)
                {
                    size = (size * 7 + 13) % 1300 + 20;
                    client.send_to(&vec![1; size], at).unwrap();
                }
            });
            for change in BY_HAND {
                std::thread::park_timeout(Duration::from_millis(25));
                match change {
                    "off" => running.switch(false),
                    "on" => running.switch(true),
                    profile => running.set("game", profile),
                }
            }
            std::thread::park_timeout(Duration::from_millis(25));
            drop(stop);
            sender.join().unwrap();
            echo.join().unwrap();
        });
        let end = journal.finish();
        drop(running);
        assert_eq!((end.lines, end.lost), (22, 0), "{end:?}");
        let history = History::read(&file.text(), &no_files).unwrap();
        let replay = history.replay("game", &no_files).unwrap();
        assert_eq!(replay.remarks, [] as [&str; 0], "seed {seed}");
        let (arrivals, mut real) = log.0.lock().unwrap().clone();
        let mut again = virtually(&replay.route.profile, seed, "game", &arrivals);
        assert!(real.len() > 800, "{} fates", real.len());
        for told in [&mut real, &mut again] {
            told.sort();
        }
        let differ = real.iter().zip(&again).find(|(real, again)| real != again);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(real.len(), again.len(), "seed {seed}");
        let lost = real.iter().filter(|told| told.reason.is_some()).count();
        let chosen = real.iter().filter(|told| !told.rules.is_empty()).count();
        assert!(lost > 80 && chosen > 300, "{lost} lost, {chosen} chosen of {}", real.len());
    }
}
