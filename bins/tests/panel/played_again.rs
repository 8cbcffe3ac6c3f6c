//! What was done by hand in the panel, played again from the journal of it.

use super::{installed, jostle, session};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::no_files;
use jostle_engine::route::{Configuration, Route};
use jostle_engine::stage::{Output, Stage};
use serde_json::Value;
use std::collections::BTreeMap;

/// What became of a packet or a copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    direction: String,
    packet: u64,
    copy: u64,
    /// When it left the link, in nanoseconds.
    at: u64,
    reason: Option<String>,
    rules: Vec<String>,
}

/// A packet as it entered.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: u64,
    way: usize,
    flow: u32,
    size: usize,
}

/// Reads seconds to the nanosecond, as the event log writes them.
fn nanos(value: &Value) -> u64 {
    let text = value.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let whole: u64 = whole.parse().unwrap();
    whole * 1_000_000_000 + format!("{part:0<9}").parse::<u64>().unwrap()
}

/// Reads an event log: what became of the packets, and how they came.
fn read(events: &str) -> (Vec<Told>, Vec<Arrival>) {
    let mut told = Vec::new();
    let mut arrivals = BTreeMap::new();
    for line in events.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| line[key].as_u64().unwrap();
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        let direction = text("direction").unwrap();
        let rules = line["rules"].as_array().unwrap().iter().map(|rule| rule.as_str().unwrap());
        let mut rules: Vec<String> = rules.map(str::to_owned).collect();
        rules.sort();
        let at = nanos(&line["t"]);
        if number("copy") == 0 {
            let way = usize::from(direction == "down");
            let entered = at - nanos(&line["delay"]);
            let flow = u32::try_from(number("flow")).unwrap();
            let size = usize::try_from(number("size")).unwrap();
            let arrival = Arrival { at: entered, way, flow, size };
            arrivals.insert((entered, way, number("packet")), arrival);
        }
        let (packet, copy) = (number("packet"), number("copy"));
        told.push(Told { direction, packet, copy, at, reason: text("reason"), rules });
    }
    (told, arrivals.into_values().collect())
}

/// Lets the arrivals cross the links of a route in virtual time.
fn virtually(route: &Route, seed: u64, arrivals: &[Arrival]) -> Vec<Told> {
    let mut links = Link::both(&route.profile, seed, &route.name);
    let mut told = Vec::new();
    let mut take = |link: &Link, way: usize, output: &Output| {
        let packet = output.packet();
        let places = (0..64).filter(|place| packet.trace.rules & (1 << place) != 0);
        let mut rules: Vec<String> = places.map(|place| link.rule_key(place).to_owned()).collect();
        rules.sort();
        told.push(Told {
            direction: Direction::BOTH[way].to_string(),
            packet: packet.number,
            copy: u64::from(packet.copy()),
            at: packet.at.as_nanos(),
            reason: match output {
                Output::Deliver(_) => None,
                Output::Discard(_, reason) => Some(reason.name().to_owned()),
            },
            rules,
        });
    };
    for arrival in arrivals {
        let (at, way) = (Instant::from_nanos(arrival.at), arrival.way);
        links.iter_mut().for_each(|link| link.begin(at));
        while let Some(output) = links[way].poll(at) {
            take(&links[way], way, &output);
        }
        let body = Body::data(vec![0; arrival.size]);
        links[way].handle(Packet::new(arrival.flow, at, body));
    }
    for (way, link) in links.iter_mut().enumerate() {
        while let Some(output) = link.poll(Instant::from_nanos(u64::MAX)) {
            take(link, way, &output);
        }
    }
    told
}

/// Twenty changes by a person's mouse and keys; what the journal tells does the same to the same
/// packets, to the nanosecond.
#[test]
fn what_a_person_did_is_played_again_packet_by_packet() {
    if !["chromium", "python3"].map(installed).iter().all(|there| *there) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let seen = session("by_hand.py", folder.path(), None);
    assert_eq!((&seen["changes"], &seen["console"]), (&20.into(), &Value::Array(Vec::new())));

    let written = jostle()
        .args(["profile", "from-journal", "journal.jsonl", "--config"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let remarks = String::from_utf8_lossy(&written.stderr).into_owned();
    assert_eq!((written.status.code(), remarks.as_str()), (Some(0), ""));
    let journal = std::fs::read_to_string(folder.path().join("journal.jsonl")).unwrap();
    let by_panel = journal.lines().filter(|line| line.contains(r#""origin":"panel""#)).count();
    assert!(by_panel >= 20, "{by_panel} changes, a drag has several");
    let configuration =
        Configuration::from_json(&String::from_utf8(written.stdout).unwrap(), &no_files).unwrap();
    let (seed, route) = (configuration.seed.unwrap(), &configuration.routes[0]);

    let events = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let (mut real, arrivals) = read(&events);
    let sent = seen["sent"].as_u64().unwrap();
    let came = arrivals.iter().filter(|arrival| arrival.way == 0).count();
    assert_eq!(came as u64, sent, "each datagram came in");
    let mut again = virtually(route, seed, &arrivals);
    for told in [&mut real, &mut again] {
        told.sort();
    }
    let differ = real.iter().zip(&again).find(|(real, again)| real != again);
    assert_eq!(differ, None);
    assert_eq!(real.len(), again.len());
    let lost = real.iter().filter(|told| told.reason.is_some()).count();
    let rules: std::collections::BTreeSet<&String> =
        real.iter().flat_map(|told| &told.rules).collect();
    assert!(lost > 60 && rules.len() >= 4, "{lost} lost by {rules:?}");
}
